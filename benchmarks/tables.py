"""What tables cost as pictures become more: memory of training, and of writing them and `status`, with times.

    python benchmarks/tables.py training --pictures 1000 2000 4000
    python benchmarks/tables.py writing --like demo/work --pictures 1000 2000 4000
    python benchmarks/tables.py writing --pictures 25000 50000 100000

*training* makes up features as wide as those of `extract`, and has a process of its own read them, rank their
columns and fit one base learner of each kind. *writing* lays out a work folder in which everything is
measured: pictures, label images and finished parts are those of a small one again and again (of `--like`, or
of eight tiny pictures measured by one family). `extract`, which then only writes the tables, and `status`
run in processes of their own. Lines have seconds and the largest memory; the last, slopes per picture.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

COLUMNS = 17_102
FOLDS = 5


def fit_one(root: Path, pictures: int) -> None:
    """Read features and labels of a made-up work folder, and fit one base learner of each kind."""
    from models.cross_fitting import Block, Choice, CrossFitter
    from models.hyperparameters import KINDS, defaults
    from pipeline.data.dataset import read_dataset
    from pipeline.stages.options import TrainOptions

    options = TrainOptions(work=root, labels=root / "labels.csv", trials=0, folds=FOLDS)
    data = read_dataset(options, lambda _: None)
    block = Block.of("features", data.blocks["features"], KINDS)
    fitter = CrossFitter([block], data.targets[data.trained].to_numpy(), data.fold)
    for kind in KINDS:
        choice = Choice.same((0, kind), (0,), FOLDS, defaults(kind, pictures))
        fitter.log_odds(choice.fits(choice.final, (0, 1)))


def peak() -> float:
    """Return the most memory, in MB, that this process has had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def alone(*arguments: object) -> tuple[float, float]:
    """Run this script in a process of its own; return its seconds and its largest memory in MB."""
    start = time.monotonic()
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.monotonic() - start, float(done.stdout.split()[-1])


def slopes(found: dict[int, tuple[float, float]], what: str) -> None:
    """Print how seconds and memory grow with pictures."""
    for pictures, (seconds, memory) in found.items():
        print(f"{what}, {pictures:,} pictures: {seconds:.1f} s, {memory:,.0f} MB", flush=True)
    if len(found) > 1:
        grow = [np.polyfit(list(found), [one[part] for one in found.values()], 1)[0] for part in (0, 1)]
        print(f"{what}: {1000 * grow[0]:.2f} ms and {1000 * grow[1]:.1f} kB per picture")


def training(given: argparse.Namespace, root: Path) -> None:
    """Measure what a training holds in memory."""
    import stack_scale

    from pipeline.core.workspace import Workspace

    found = {}
    for pictures in given.pictures:
        work = Workspace(root / str(pictures))
        made = argparse.Namespace(labels=None, pictures=pictures, columns=given.columns)
        stack_scale.prepare(work, made)
        found[pictures] = alone("fit_one", "--work", work.root, "--pictures", pictures)
    slopes(found, f"training, {given.columns:,} columns")


def main() -> None:
    """Lay out, measure, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["training", "writing", "fit_one", "extract", "status"])
    parser.add_argument("--pictures", type=int, nargs="+", default=[1000, 2000, 4000])
    parser.add_argument("--columns", type=int, default=COLUMNS, help="of training")
    parser.add_argument("--like", type=Path, help="work folder whose parts are written again and again")
    parser.add_argument("--work", type=Path, help="where to lay out; a temporary folder unless given")
    given = parser.parse_args()
    if given.what == "fit_one":
        fit_one(given.work, given.pictures[0])
        print(peak())
        return
    with tempfile.TemporaryDirectory() as folder:
        training(given, given.work or Path(folder))


if __name__ == "__main__":
    main()

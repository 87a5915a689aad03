"""What tables cost as pictures become more: memory of training, and of writing them and `status`, with times.

    python benchmarks/tables.py training --pictures 1000 2000 4000
    python benchmarks/tables.py writing --like demo/work --pictures 500 1000 2000
    python benchmarks/tables.py writing --pictures 25000 50000 100000

*training* makes up features as wide as those of `extract`, and has a process of its own read them, rank
their columns, fit one base learner of each kind and learn where the pictures lie. *writing* lays out a work
folder in which everything is measured: samples, label images and finished parts are those of a small one
again and again (of `--like`, or of eight small pictures measured by one family). `extract`, which then only
writes the tables, and `status` run in processes of their own. The samples share few files of pictures:
looking at so many is not counted. Lines have seconds of processor time and the largest memory; the last,
slopes per picture.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import stack_scale

from models.blocks import Block
from models.cross_fitting import Choice, CrossFitter
from models.hyperparameters import KINDS, defaults
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.store import Parts
from pipeline.core.workers import LARGEST_CHUNK, blocks_of
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import read_dataset
from pipeline.stages.extract import Extract
from pipeline.stages.options import ExtractOptions, SimulateOptions, TrainOptions
from pipeline.stages.reliance import learn_unlikeness
from pipeline.stages.simulate import Simulate
from pipeline.stages.status import recorded_options, status

COLUMNS = 17_102
FOLDS = 5


def fit(root: Path) -> None:
    """Read a made-up work folder, fit one base learner of each kind, and learn where its pictures lie."""
    options = TrainOptions(work=root, labels=root / "labels.csv", trials=0, folds=FOLDS)
    data = read_dataset(options, lambda _: None)
    block = Block.of("features", data.blocks["features"], KINDS)
    fitter = CrossFitter([block], data.targets[data.trained].to_numpy(), data.fold)
    for kind in KINDS:
        choice = Choice.same((0, kind), (0,), FOLDS, defaults(kind, len(data.fold)))
        fitter.log_odds(choice.fits(choice.final, (0, 1)))
    learn_unlikeness(data, SilentProgress())


def extract(root: Path) -> None:
    """Write the tables of a work folder in which everything is measured."""
    options = recorded_options(Extract(), Workspace(root / "small"))
    assert options is not None
    asked = options.model_copy(update={"samples": root / "samples.csv", "work": root / "work", "jobs": 1})
    done = execute(Extract(), asked, SilentProgress())
    assert done.fresh
    assert not done.measured


def look(root: Path) -> None:
    """Ask for the state of the stages."""
    states = {one.stage: one.state for one in status(root / "work")}
    assert states["extract"] == "done"


WHAT = {"fit": fit, "extract": extract, "status": look}


def alone(what: str, root: Path) -> tuple[float, float]:
    """Do it in a process of its own; return its seconds of processor time and its largest memory in MB."""
    command = [sys.executable, __file__, what, "--work", str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, memory = map(float, done.stdout.split()[-2:])
    return seconds, memory


def report(what: str, found: dict[int, tuple[float, float]]) -> None:
    """Print the last measurement and, of several, how seconds and memory grow with pictures."""
    pictures, (seconds, memory) = list(found.items())[-1]
    print(f"{what}, {pictures:,} pictures: {seconds:.1f} s, {memory:,.0f} MB", flush=True)
    if len(found) > 1:
        grow = [np.polyfit(list(found), [one[part] for one in found.values()], 1)[0] for part in (0, 1)]
        print(f"{what}: {1000 * grow[0]:.2f} ms and {1000 * grow[1]:.1f} kB per picture", flush=True)


def training(given: argparse.Namespace, root: Path) -> None:
    """Measure what a training holds in memory."""
    found = {}
    for pictures in given.pictures:
        work = Workspace(root / str(pictures))
        stack_scale.prepare(work, argparse.Namespace(labels=None, pictures=pictures, columns=given.columns))
        found[pictures] = alone("fit", work.root)
        report(f"training, {given.columns:,} columns", found)


def small(root: Path) -> Path:
    """Measure eight small pictures by one family."""
    execute(Simulate(), SimulateOptions(out=root / "data", pictures=8, size=128, jobs=1), SilentProgress())
    settings = {"segmenter": "watershed", "families": ("intensity",), "jobs": 1}
    pictures = {"images": root / "data" / "images", "samples": root / "data" / "samples.csv"}
    execute(Extract(), ExtractOptions(**pictures, work=root / "work", **settings), SilentProgress())
    return root / "work"


def lay_out(like: Path, root: Path, pictures: int) -> None:
    """Lay out a work folder in which so many samples are measured, those of a small one again and again."""
    known, work = Workspace(like.resolve()), Workspace(root / "work")
    work.masks.mkdir(parents=True)
    (root / "small").symlink_to(known.root)
    options = recorded_options(Extract(), known)
    assert options is not None
    table = pd.read_csv(options.samples)
    own = table["Id"].tolist()
    ids = [f"picture_{number:07}" for number in range(pictures)]
    many = table.iloc[np.arange(pictures) % len(table)].assign(Id=ids)
    many.assign(group=[f"group_{number // 3}" for number in range(pictures)]).to_csv(
        root / "samples.csv", index=False
    )
    for number, name in enumerate(ids):
        os.link(known.mask(own[number % len(own)]), work.mask(name))
    if known.diameters.is_file():
        os.link(known.diameters, work.diameters)
    for folder in {path.parent for path in known.parts.rglob("*.parquet") if "embeddings" not in path.parts}:
        parts = Parts(folder)
        keys = dict(parts.index().keys())
        each = dict(list(parts.read(keys, parts.located(keys)).groupby("Id", sort=False)))
        copies = Parts(work.parts / folder.relative_to(known.parts))
        chunks: dict[tuple[int, ...], pd.DataFrame] = {}
        for block in blocks_of(range(pictures), LARGEST_CHUNK):
            some = tuple(number % len(own) for number in block)
            if some not in chunks:
                rows = [each[own[one]].assign(Id=place) for place, one in enumerate(some) if own[one] in each]
                chunks[some] = pd.concat(rows, ignore_index=True)
            copies.write(chunks[some].assign(Id=np.array(ids[block[0] : block[-1] + 1])[chunks[some]["Id"]]))


def writing(given: argparse.Namespace, root: Path) -> None:
    """Measure the writing of tables, and `status`."""
    like = given.like or small(root / "small")
    found: dict[str, dict[int, tuple[float, float]]] = {"extract": {}, "status": {}}
    for pictures in given.pictures:
        here = root / str(pictures)
        start = time.process_time()
        lay_out(like, here, pictures)
        print(f"{pictures:,} pictures laid out in {time.process_time() - start:.0f} s", flush=True)
        for what, measured in found.items():
            measured[pictures] = alone(what, here)
            report(what, measured)
        size = sum(path.stat().st_size for path in (here / "work" / "parts").rglob("*"))
        print(f"parts of {pictures:,} pictures: {size / pictures / 1000:.0f} kB each on the disk", flush=True)


def main() -> None:
    """Lay out, measure, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["training", "writing", *WHAT])
    parser.add_argument("--pictures", type=int, nargs="+", default=[1000, 2000, 4000])
    parser.add_argument("--columns", type=int, default=COLUMNS, help="of training")
    parser.add_argument("--like", type=Path, help="work folder whose samples are taken again and again")
    parser.add_argument("--work", type=Path, help="where to lay out; a temporary folder unless given")
    given = parser.parse_args()
    if given.what in WHAT:
        WHAT[given.what](given.work)
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = next(line for line in lines if line.startswith("VmHWM")).split()[1]
        print(time.process_time(), int(peak) / 1024)
        return
    with tempfile.TemporaryDirectory() as folder:
        (training if given.what == "training" else writing)(given, given.work or Path(folder))


if __name__ == "__main__":
    main()

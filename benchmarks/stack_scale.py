"""Train the stack at full size, and state its memory and time.

    python benchmarks/stack_scale.py --work DIR                          # 31,072 pictures, 3,000 columns
    python benchmarks/stack_scale.py --work DIR --labels kaggle2018_train.csv
    python benchmarks/stack_scale.py --work DIR --sample                 # a few fits, to extrapolate from

Columns are made up: each of 3,000 is noise and a little of the truth of one location. Labels are the given
ones, or drawn with the competition's prevalences. It runs `python run.py train` and `evaluate` in a
process of their own, as a person would; killed and run again, it goes on where it was.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.blocks import Block
from models.cross_fitting import Choice, CrossFitter
from models.hyperparameters import KINDS, Hyperparameters, defaults
from models.tuning import strata
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import read_dataset
from pipeline.data.labels import read_labels
from pipeline.data.locations import LOCATIONS
from pipeline.stages.options import TrainOptions

COUNTS = (
    12885, 1254, 3621, 1561, 1858, 2513, 1008, 2822, 53, 45, 28, 1093, 688, 537,
    1066, 21, 530, 210, 902, 1482, 172, 3777, 802, 2965, 322, 8228, 328, 11,
)  # fmt: skip
"""Pictures with each location among the competition's 31,072."""


def made_up_labels(pictures: int) -> pd.DataFrame:
    """Draw labels with the competition's prevalences; every picture has one at least."""
    rng = np.random.default_rng(0)
    truth = rng.random((pictures, len(LOCATIONS))) < np.array(COUNTS) / 31_072
    truth[~truth.any(axis=1), 0] = True
    return pd.DataFrame(truth, index=[f"p{number:06}" for number in range(pictures)], columns=list(LOCATIONS))


def write_features(path: Path, truth: np.ndarray, ids: pd.Index, columns: int) -> None:
    """Write columns that each know a little of one location, in blocks, so that this takes no memory."""
    names = [f"cell__made_up__c{number:04}__protein__mean" for number in range(columns)]
    location = np.arange(columns) % truth.shape[1]
    strength = 0.3 * 0.999 ** np.arange(columns)
    schema = pa.schema([("Id", pa.string()), *((name, pa.float32()) for name in names)])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(ids), 2048):
            rng = np.random.default_rng(start)
            some = truth[start : start + 2048]
            values = rng.normal(size=(len(some), columns)).astype(np.float32)
            values += (some[:, location] * strength).astype(np.float32)
            arrays = [pa.array(ids[start : start + 2048].astype(str)), *map(pa.array, values.T)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def prepare(work: Workspace, given: argparse.Namespace) -> Path:
    """Write features, samples and labels as `extract` would leave them; return the labels' path."""
    labels = work.root / "labels.csv"
    if work.features.exists() and labels.exists():
        return labels
    work.root.mkdir(parents=True, exist_ok=True)
    truth = read_labels(given.labels).targets if given.labels else made_up_labels(given.pictures)
    truth = truth.iloc[: given.pictures]
    table = pd.DataFrame(
        {
            "Id": truth.index,
            "Target": [" ".join(map(str, np.flatnonzero(row))) for row in truth.to_numpy()],
        }
    )
    groups = pd.DataFrame({"Id": table["Id"], "group": [f"g{number // 3}" for number in range(len(table))]})
    groups.to_parquet(work.samples, index=False)
    work.extraction.write_text(json.dumps({"segmenter": "none"}))
    write_features(work.features, truth.to_numpy(), truth.index, given.columns)
    table.to_csv(labels, index=False)
    return labels


def sample(options: TrainOptions) -> None:
    """Fit the base learners of one location of each stratum, and work out what all of them take."""
    data = read_dataset(options, print)
    folds, locations = data.folds, len(data.trained)
    sizes = {(0, 1): folds * (folds - 1) // 2, (0,): folds, (): 1}
    with threadpool_limits(1):
        start = time.process_time()
        block = Block.of("features", data.blocks["features"], KINDS)
        fitter = CrossFitter([block], data.targets[data.trained].to_numpy(), data.fold)
        groups = strata(fitter.targets, fitter.crossed)
        first = Choice.same((0, "lightgbm"), (0,), folds, Hyperparameters(columns=1, trees=1))
        fitter.log_odds(first.fits(first.final, (0, 1)))  # orders columns and finds bins, once for all fits
        preparing, total = time.process_time() - start, 0.0
        for (name, group), kind, (without, each) in product(groups.items(), KINDS, sizes.items()):
            start, number = time.process_time(), each * len(group)
            chosen = defaults(kind, len(data.fold), int(fitter.targets[:, group].sum(axis=0).min()))
            choice = Choice.same((0, kind), (group[len(group) // 2],), folds, chosen)
            if without:
                fitter.log_odds(choice.fits(choice.final, without))
            else:
                fitter.final_learners([choice])
            seconds = time.process_time() - start
            total += number * seconds
            print(f"{name} locations, {kind} without {len(without)} folds: {seconds:.2f} s, {number} of them")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{len(data.targets)} pictures, {len(block.columns)} columns, {locations} locations, {folds} folds: "
        f"peak memory {peak:.2f} GiB; columns prepared in {preparing:.0f} s; all fits by these: "
        f"{total / 60:.0f} min of processor time, meta-learner not included"
    )


def main() -> None:
    """Prepare, train, evaluate, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--labels", type=Path, help="csv Id,Target; drawn with real prevalences unless given")
    parser.add_argument("--pictures", type=int, default=31_072)
    parser.add_argument("--columns", type=int, default=3_000)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sample", action="store_true")
    given = parser.parse_args()
    work = Workspace(given.work)
    labels = prepare(work, given)
    if given.sample:
        sample(TrainOptions(work=work.root, labels=labels, trials=0, folds=given.folds))
        return
    start = time.monotonic()
    command = ["train", "--labels", labels, "--work", work.root, "--trials", 0, "--folds", given.folds]
    subprocess.run([sys.executable, "run.py", *map(str, [*command, "--jobs", given.jobs])], check=True)
    wall = time.monotonic() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "run.py", "evaluate", "--work", str(work.root)], check=True)
    card = json.loads((work.model / "card.json").read_text())
    locations, folds = len(card["locations"]), card["folds"]
    fits = locations * len(KINDS) * (folds * (folds - 1) // 2 + folds + 1)
    processor = used.ru_utime + used.ru_stime
    print(
        f"{card['pictures']} pictures, {card['blocks']['features']} columns, {locations} locations, "
        f"{folds} folds, {given.jobs} jobs\n"
        f"train: {wall / 60:.1f} min of wall time, {processor / 60:.1f} min of processor time "
        f"({processor / max(wall, 1):.2f} cores), peak memory {used.ru_maxrss / 2**20:.2f} GiB\n"
        f"{fits} fits, {processor / fits:.2f} s of processor time each, meta-learner and reading included"
    )


if __name__ == "__main__":
    main()

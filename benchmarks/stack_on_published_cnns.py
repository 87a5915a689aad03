"""Stack the outputs of published networks, and compare with them on equal terms.

    python benchmarks/stack_on_published_cnns.py                     # seven networks' hard labels
    python benchmarks/stack_on_published_cnns.py --rows hpa_v18      # in antibody groups
    python benchmarks/stack_on_published_cnns.py --labels L.csv --tables a.parquet b.csv ...
    python benchmarks/stack_on_published_cnns.py --rows hpa_v18 --sample 1000 --tables-to DIR

Tables are those that `python run.py train --outputs` takes: Id, and a column per location of
probabilities or of 0 and 1, or label sets. Pictures that all networks predicted are scored. Every number
comes from nested cross-validation: base learners, weights and thresholds are fitted without the rows that
they predict. The stack is the one that `train` makes, with its defaults. Networks that give probabilities
need not be calibrated; they are scored both at 0.5 and with thresholds fitted without the fold, by rules
chosen so too, and the better of the two is what the stack has to beat.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.base_learners.votes import scaled
from models.folds import stratified_group_folds
from models.meta_learner import OuterFold, decide_folds
from models.metrics import Counts, count, interval, interval_of_difference, resampled_counts
from models.stack_model import STACK
from models.stacking import StackedLocations
from models.thresholds import NESTED
from pipeline.commands.console import RichProgress
from pipeline.core.errors import PipelineError
from pipeline.core.store import Store
from pipeline.data.labels import read_labels
from pipeline.data.locations import LOCATIONS
from pipeline.data.prediction_tables import OUTPUTS, output_column, read_probabilities

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
RAREST = 5
FOLDS = 5
OTHERS = ("target_bits", "published_ensemble_bits")


@dataclass(frozen=True)
class Outputs:
    """Networks' outputs, shape (rows, networks, locations), and the truth."""

    ids: pd.Series
    networks: list[str]
    probability: NDArray[np.float32]
    truth: NDArray[np.bool_]


def unpack(bits: pd.Series) -> NDArray[np.bool_]:
    """Turn bit sets into a table of rows x locations."""
    return (bits.to_numpy()[:, None] >> np.arange(len(LOCATIONS), dtype=np.uint32) & 1).astype(bool)


def read_published(real: Path, rows: str) -> Outputs:
    """Read the seven networks' label sets for the rows of one data set."""
    path = real / "cnn_oof" / "out_of_fold_labels.parquet"
    if not path.is_file():
        raise PipelineError(f"{path}: missing; give the folder of real data as --real, or --tables")
    table = pd.read_parquet(path)
    kaggle = table["Id"].isin(pd.read_csv(real / "labels" / "kaggle2018_train.csv")["Id"])
    table = table[kaggle if rows == "kaggle" else ~kaggle].reset_index(drop=True)
    names = [name for name in table.columns if name.endswith("_bits") and name not in OTHERS]
    values = np.stack([unpack(table[name]) for name in names], axis=1).astype(np.float32)
    networks = [name.removesuffix("_bits") for name in names]
    return Outputs(table["Id"], networks, values, unpack(table["target_bits"]))


def read_tables(labels: Path, tables: list[Path]) -> Outputs:
    """Read one table of predictions per network, for the labelled pictures that all of them predicted."""
    truth, found = read_labels(labels).targets, read_probabilities(tables).dropna()
    ids = truth.index.intersection(found.index)
    if ids.empty:
        raise PipelineError(f"{labels}: no picture of it is predicted by every network; ids must be the same")
    print(f"{len(ids)} of {len(truth)} labelled pictures are predicted by every network")
    names = [name.split("__")[1] for name in found.columns[:: len(LOCATIONS)]]
    values = found.loc[ids].to_numpy().reshape(len(ids), len(names), len(LOCATIONS))
    return Outputs(pd.Series(ids), names, values, truth.loc[ids].to_numpy())


def write_sample(outputs: Outputs, groups: pd.Series, number: int, seed: int, folder: Path) -> None:
    """Write labels, groups and one table per network, for the pictures of so many groups drawn at random."""
    drawn = np.random.default_rng(seed).permutation(groups.unique())[:number]
    rows = np.flatnonzero(groups.isin(drawn))
    folder.mkdir(parents=True, exist_ok=True)
    ids = outputs.ids.iloc[rows].to_numpy()
    sets = [" ".join(map(str, np.flatnonzero(row))) for row in outputs.truth[rows]]
    pd.DataFrame({"Id": ids, "Target": sets}).to_csv(folder / "labels.csv", index=False)
    pd.DataFrame({"Id": ids, "group": groups.iloc[rows]}).to_csv(folder / "groups.csv", index=False)
    for position, name in enumerate(outputs.networks):
        table = pd.DataFrame(outputs.probability[rows, position], columns=list(LOCATIONS))
        table.insert(0, "Id", ids)
        table.to_csv(folder / f"{name}.csv", index=False)
    print(f"{len(rows)} pictures of {len(drawn)} groups: {folder}")


def stack(
    outputs: Outputs, groups: pd.Series, fold: NDArray[np.int16], store: Path | None
) -> dict[str, NDArray[np.bool_]]:
    """Choose locations of all rows by the stack, in nested five-fold cross-validation.

    Where groups have several rows, each is also given the answer of its group.
    """
    start = time.monotonic()
    columns = [output_column(network, name) for network in outputs.networks for name in LOCATIONS]
    table = pd.DataFrame(scaled(outputs.probability).reshape(len(fold), -1), outputs.ids, columns)
    truth = pd.DataFrame(outputs.truth, outputs.ids, list(LOCATIONS))
    trained = StackedLocations(jobs=os.cpu_count() or 1, of_networks=(OUTPUTS,), always=True)
    with RichProgress().track(
        "Base learners", trained.fits_needed({OUTPUTS: table}, len(LOCATIONS), FOLDS)
    ) as done:
        trained.fit(
            {OUTPUTS: table},
            truth,
            fold,
            groups=groups.to_numpy(dtype=str),
            store=None if store is None else Store(store),
            finished=done,
        )
    print(f"base learners and meta-learners: {time.monotonic() - start:.0f} s")
    chosen = {STACK: trained.out_of_fold_[STACK].chosen}
    known = trained.group_answers_
    if len(known.names) < len(fold):
        place = np.searchsorted(known.names, groups.to_numpy(dtype=str))
        chosen[f"{STACK}, by group"] = known.predicted.chosen[place]
    return chosen


def votes_by_group(votes: NDArray[np.float64], groups: pd.Series) -> NDArray[np.bool_]:
    """Choose what more than half of all networks say of all rows of a group, given their shares."""
    return np.asarray(pd.DataFrame(votes).groupby(groups.to_numpy()).transform("mean").to_numpy() > 0.5)


def own_thresholds(
    probability: NDArray[np.float32], truth: NDArray[np.bool_], fold: NDArray[np.int16]
) -> NDArray[np.bool_]:
    """Predict every row by thresholds, and rules, chosen without its fold."""
    values = probability.astype(np.float64)
    outside = [fold != number for number in np.unique(fold)]
    parts = [OuterFold(rest, values[rest], values[~rest]) for rest in outside]
    return decide_folds(parts, truth, fold, NESTED, always=True).chosen


def rivals(outputs: Outputs, fold: NDArray[np.int16]) -> dict[str, NDArray[np.bool_]]:
    """Return what every network alone predicts; probabilities in two ways."""
    chosen = {}
    for name, values in zip(outputs.networks, outputs.probability.swapaxes(0, 1), strict=True):
        chosen[name] = values >= 0.5
        if not np.isin(values, (0, 1)).all():
            chosen[f"{name}, own thresholds"] = own_thresholds(values, outputs.truth, fold)
    return chosen


def report(
    outputs: Outputs,
    alone: dict[str, NDArray[np.bool_]],
    chosen: dict[str, NDArray[np.bool_]],
    groups: pd.Series,
) -> None:
    """Print the stack beside its inputs, with intervals paired over groups."""
    truth = outputs.truth
    rarest = np.argsort(truth.sum(axis=0))[:RAREST]
    votes = (outputs.probability >= 0.5).mean(axis=1)
    predicted = alone | {"majority vote": votes > 0.5}
    if groups.nunique() < len(groups):
        predicted["majority vote, by group"] = votes_by_group(votes, groups)
    predicted |= chosen
    counts = {name: count(truth, some) for name, some in predicted.items()}
    spread = {name: resampled_counts(truth, some, groups, draws=1000) for name, some in predicted.items()}
    print(f"{len(truth)} pictures in {groups.nunique()} groups; macro-F1 over {len(LOCATIONS)} locations")
    width = max(map(len, predicted))
    for name, some in counts.items():
        low, high = interval(spread[name].macro_f1(), float(some.macro_f1()))
        rare = some.f1()[rarest].mean()
        print(f"{name:{width}} {some.macro_f1():.4f} ({low:.4f} to {high:.4f})  five rarest {rare:.3f}")
    best = max(alone, key=lambda name: counts[name].macro_f1())
    gain = float(counts["stack"].macro_f1() - counts[best].macro_f1())
    low, high = interval_of_difference(spread["stack"].macro_f1() - spread[best].macro_f1(), gain)
    print(f"stack over {best}: {gain:+.4f} ({low:+.4f} to {high:+.4f}), paired bootstrap")
    print(f"  {'F1':30} stack   best")
    _per_location(counts["stack"], counts[best], truth)


def _per_location(ours: Counts, best: Counts, truth: NDArray[np.bool_]) -> None:
    for column, name in enumerate(LOCATIONS):
        print(f"  {name:30} {ours.f1()[column]:.3f}  {best.f1()[column]:.3f}  {truth[:, column].sum():6}")


def main() -> None:
    """Read, stack, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, default=REAL, help="folder of real data")
    parser.add_argument("--rows", choices=("kaggle", "hpa_v18"), default="kaggle")
    parser.add_argument("--labels", type=Path, help="csv Id,Target for --tables")
    parser.add_argument("--tables", type=Path, nargs="+", help="one per network, instead of the published")
    parser.add_argument(
        "--store", type=Path, help="folder that keeps finished base learners, to go on after a stop"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tables-to", type=Path, metavar="DIR", help="write a sample's tables, and stop")
    parser.add_argument("--sample", type=int, default=1000, help="groups of that sample")
    given = parser.parse_args()
    if bool(given.tables) != bool(given.labels):
        parser.error("--labels and --tables belong together")
    try:
        outputs = (
            read_tables(given.labels, given.tables)
            if given.tables
            else read_published(given.real, given.rows)
        )
    except PipelineError as error:
        parser.error(str(error))
    grouped = given.rows == "hpa_v18" and not given.tables
    groups = outputs.ids.str.split("_").str[0] if grouped else outputs.ids
    if given.tables_to:
        write_sample(outputs, groups, given.sample, given.seed, given.tables_to)
        return
    fold = stratified_group_folds(outputs.truth, groups, FOLDS, seed=given.seed)
    chosen = stack(outputs, groups, fold, given.store)
    report(outputs, rivals(outputs, fold), chosen, groups)


if __name__ == "__main__":
    main()

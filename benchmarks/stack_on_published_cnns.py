"""Stack the outputs of published networks, and compare with them on equal terms.

    python benchmarks/stack_on_published_cnns.py                     # seven networks' hard labels
    python benchmarks/stack_on_published_cnns.py --rows hpa_v18      # in antibody groups
    python benchmarks/stack_on_published_cnns.py --labels L.csv --tables a.parquet b.csv ...

Tables hold Id and one column per location, in the competition's order: probabilities or 0 and 1. Every
number comes from nested cross-validation: members, weights and thresholds are fitted without
the rows that they answer.
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
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.agreement import agreement_columns
from models.crossfit import EXTRA, MemoryStore
from models.folds import stratified_group_folds
from models.heads import Head, mean_group_size, nested_answers
from models.metrics import Counts, count, interval, resampled_counts
from models.outputs import nested_outputs, output_columns
from models.thresholds import NESTED
from pipeline.labels import read_labels
from pipeline.locations import LOCATIONS
from pipeline.training.store import FileStore

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
RAREST = 5
OTHERS = ("target_bits", "published_ensemble_bits")


@dataclass(frozen=True)
class Outputs:
    """Networks' outputs, the truth, and which rows are scored."""

    ids: pd.Series
    networks: list[str]
    answers: NDArray[np.float32]
    truth: NDArray[np.bool_]
    scored: NDArray[np.bool_]


def unpack(bits: pd.Series) -> NDArray[np.bool_]:
    """Turn bit sets into a table of rows x locations."""
    return (bits.to_numpy()[:, None] >> np.arange(len(LOCATIONS), dtype=np.uint32) & 1).astype(bool)


def read_published(rows: str) -> Outputs:
    """Read the seven networks' label sets; the rows of the other data set are extra, or left out."""
    table = pd.read_parquet(REAL / "cnn_oof" / "out_of_fold_labels.parquet")
    kaggle = table["Id"].isin(pd.read_csv(REAL / "labels" / "kaggle2018_train.csv")["Id"]).to_numpy()
    if rows == "hpa_v18":  # Kaggle's pictures show some of the same antibodies, so they do not help here
        table, kaggle = table[~kaggle].reset_index(drop=True), np.zeros(int((~kaggle).sum()), dtype=bool)
    names = [name for name in table.columns if name.endswith("_bits") and name not in OTHERS]
    values = np.stack([unpack(table[name]) for name in names], axis=1).astype(np.float32)
    scored = kaggle if rows == "kaggle" else ~kaggle
    networks = [name.removesuffix("_bits") for name in names]
    return Outputs(table["Id"], networks, values, unpack(table["target_bits"]), scored)


def read_tables(labels: Path, tables: list[Path]) -> Outputs:
    """Read one table of probabilities per network, for the pictures that all of them and the labels hold."""
    truth = read_labels(labels).targets
    read = [pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path) for path in tables]
    read = [table.set_index("Id").astype(np.float32) for table in read]
    ids = truth.index
    for table in read:
        ids = ids.intersection(table.index)
    values = np.stack([table.loc[ids].to_numpy() for table in read], axis=1)
    everything = np.ones(len(ids), dtype=bool)
    return Outputs(
        pd.Series(ids), [path.stem for path in tables], values, truth.loc[ids].to_numpy(), everything
    )


def describe(outputs: Outputs) -> pd.DataFrame:
    """Lay out every network's answers, and how far their sets of locations agree."""
    names = (outputs.networks, list(LOCATIONS))
    each = output_columns(outputs.answers, *names)
    return pd.concat([each, agreement_columns(outputs.answers >= 0.5, *names)], axis=1)


def stack(outputs: Outputs, groups: pd.Series, store: Path | None, seed: int) -> NDArray[np.bool_]:
    """Choose locations of the scored rows by nested five-fold cross-validation."""
    fold = np.full(len(outputs.truth), EXTRA, dtype=np.int16)
    fold[outputs.scored] = stratified_group_folds(
        outputs.truth[outputs.scored], groups[outputs.scored], 5, seed=seed
    )
    columns = describe(outputs)
    start = time.monotonic()

    def finished(_: int) -> None:
        print(f"  {time.monotonic() - start:.0f} s", end="\r", flush=True)

    keep = MemoryStore() if store is None else FileStore(store)
    with threadpool_limits(1):
        nested = nested_outputs(
            columns, outputs.truth, fold, store=keep, jobs=os.cpu_count() or 1, finished=finished
        )
        size = mean_group_size(groups[outputs.scored].to_numpy())
        head = Head("stack", tuple(range(len(LOCATIONS))), always=True, group_size=size)
        known = (outputs.truth[outputs.scored], fold[outputs.scored])
        answers = nested_answers(head, nested.inner, nested.outer, *known, NESTED)
    print(f"members and heads: {time.monotonic() - start:.0f} s")
    return answers.chosen


def report(outputs: Outputs, chosen: NDArray[np.bool_], groups: pd.Series) -> None:
    """Print the stack beside its inputs, with intervals paired over groups."""
    truth, values = outputs.truth[outputs.scored], outputs.answers[outputs.scored] >= 0.5
    drawn = groups[outputs.scored]
    rarest = np.argsort(truth.sum(axis=0))[:RAREST]
    answers = {name: values[:, place] for place, name in enumerate(outputs.networks)}
    answers["majority vote"] = values.mean(axis=1) > 0.5
    answers["stack"] = chosen
    counts = {name: count(truth, some) for name, some in answers.items()}
    spread = {name: resampled_counts(truth, some, drawn, draws=1000) for name, some in answers.items()}
    print(f"{len(truth)} pictures in {drawn.nunique()} groups; macro-F1 over {len(LOCATIONS)} locations")
    for name, some in counts.items():
        low, high = interval(spread[name].macro_f1())
        rare = some.f1()[rarest].mean()
        print(f"{name:24} {some.macro_f1():.4f} ({low:.4f} to {high:.4f})  five rarest {rare:.3f}")
    best = max(outputs.networks, key=lambda name: counts[name].macro_f1())
    low, high = interval(spread["stack"].macro_f1() - spread[best].macro_f1())
    gain = counts["stack"].macro_f1() - counts[best].macro_f1()
    print(f"stack over {best}: {gain:+.4f} ({low:+.4f} to {high:+.4f}), paired bootstrap")
    _per_location(counts["stack"], counts[best], truth)


def _per_location(ours: Counts, best: Counts, truth: NDArray[np.bool_]) -> None:
    for place, name in enumerate(LOCATIONS):
        print(f"  {name:30} {ours.f1()[place]:.3f}  {best.f1()[place]:.3f}  {truth[:, place].sum():6}")


def main() -> None:
    """Read, stack, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", choices=("kaggle", "hpa_v18"), default="kaggle")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--tables", type=Path, nargs="+")
    parser.add_argument(
        "--store", type=Path, help="folder that keeps finished members, to go on after a stop"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    outputs = read_tables(given.labels, given.tables) if given.tables else read_published(given.rows)
    grouped = given.rows == "hpa_v18" and not given.tables
    groups = outputs.ids.str.split("_").str[0] if grouped else outputs.ids
    report(outputs, stack(outputs, groups, given.store, given.seed), groups)


if __name__ == "__main__":
    main()

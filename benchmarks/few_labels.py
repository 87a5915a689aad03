"""What few labels add to the shipped network, and it to them, on real pictures that it was not trained on.

Three answers, on the same pictures: a stack of handcrafted features trained from nothing; the same stack
that starts at the shipped network (``train --start shipped``); the shipped network alone. First all labelled
pictures in folds, then stacks trained on some of them and scored on the others. Macro-F1 is over the
locations with five pictures or more; intervals, 95 %, are of the bootstrap over pictures, those of a
difference paired.

Run from the project's folder: python benchmarks/few_labels.py ../shared/real/hpa2018 --work FOLDER
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from models.folds import stratified_group_folds
from models.metrics import count, interval, interval_of_difference, resampled_counts
from models.stack_model import STACK
from models.stacking import StackedLocations
from pipeline.commands.console import RichProgress
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.data.cell_tables import seen_alone
from pipeline.data.dataset import read_features
from pipeline.data.labels import read_labels
from pipeline.data.locations import LOCATIONS
from pipeline.data.prediction_tables import log_odds_column
from pipeline.networks.shipped import decided, shipped_card
from pipeline.stages.embed import Embed
from pipeline.stages.extract import Extract
from pipeline.stages.options import EmbedOptions, ExtractOptions

FEWEST = 5
"""Pictures of a location that is scored."""

FOLDS, SOME, REPEATS, DRAWS, SEED = 5, (10, 20, 40), 5, 2000, 0

START = "shipped"

Truth = NDArray[np.bool_]
Stack = Callable[[pd.DataFrame, NDArray[np.int16]], StackedLocations]


def tables(images: Path, work: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure and embed the pictures; return features and log-odds of the 28 locations, by Id."""
    progress = RichProgress()
    execute(Extract(), ExtractOptions(images=images, work=work), progress)
    execute(Embed(), EmbedOptions(images=images, work=work, network=START), progress)
    features = read_features(Workspace(work))
    log_odds = pd.read_parquet(Workspace(work).embedding(START)).set_index("Id")
    return features, log_odds.loc[features.index, [log_odds_column(START, name) for name in LOCATIONS]]


def fitted(
    features: pd.DataFrame, log_odds: pd.DataFrame | None, Y: pd.DataFrame, folds: int
) -> tuple[StackedLocations, pd.DataFrame]:
    """Fit a stack to rows of the tables that have labels; return it and the targets of its locations."""
    fold = stratified_group_folds(Y.to_numpy(), pd.Series(Y.index), folds, seed=SEED)
    known = Y.any() & ~Y.all()
    if log_odds is None:  # learners of one location need it in every fold
        parts = [Y[fold == number] for number in range(folds)]
        known &= np.all([part.any() & ~part.all() for part in parts], axis=0)
    names = list(Y.columns[known])
    blocks = {"features": features.loc[Y.index]}
    if log_odds is not None:
        blocks[START] = log_odds.loc[Y.index, [log_odds_column(START, name) for name in names]]
    stack = StackedLocations(starts=(START,), alone=seen_alone(features.columns))
    return stack.fit(blocks, Y[names], fold), Y[names]


def told(scored: list[str], answers: dict[str, Truth], truth: Truth) -> None:
    """Print macro-F1 of each answer, and of the differences to the second, with intervals."""
    names = list(answers)
    alone = pd.Series(np.arange(len(truth)))
    resampled = {
        name: resampled_counts(truth, chosen, alone, draws=DRAWS, seed=SEED).macro_f1()
        for name, chosen in answers.items()
    }
    for name in names:
        value = float(count(truth, answers[name]).macro_f1())
        low, high = interval(resampled[name], value)
        print(f"  {name:32s} {value:.3f} ({low:.3f}–{high:.3f}) over {len(scored)} locations")
    for name in names:
        if name != names[1]:
            gain = float(count(truth, answers[names[1]]).macro_f1() - count(truth, answers[name]).macro_f1())
            low, high = interval_of_difference(resampled[names[1]] - resampled[name], gain)
            print(f"  gain of the start over {name:20s} {gain:+.3f} ({low:+.3f} to {high:+.3f})")


def predicted(stack: StackedLocations, X: pd.DataFrame, alone: pd.DataFrame) -> pd.DataFrame:
    """Return what a stack chooses, and of locations that it does not know what the network alone does."""
    chosen = alone.copy()
    found = stack.model_.predict(X).chosen
    chosen[found.columns] = found
    return chosen


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Folder of images and labels.csv.")
    parser.add_argument("--work", type=Path, required=True, help="Folder of what is computed; used again.")
    given = parser.parse_args()
    features, log_odds = tables(given.folder / "images", given.work)
    Y = read_labels(given.folder / "labels.csv").targets.loc[features.index]
    scored = [name for name in LOCATIONS if Y[name].sum() >= FEWEST]
    card, deciding = shipped_card()
    alone = decided(log_odds.to_numpy(), Y.index, card.outputs, deciding).chosen[list(LOCATIONS)]

    answers = {}
    for name, start in (("features, from nothing", None), ("features and the start", log_odds)):
        stack, targets = fitted(features, start, Y, FOLDS)
        found = pd.DataFrame(stack.out_of_fold_[STACK].chosen, Y.index, targets.columns)
        answers[name] = found[scored].to_numpy()
    answers["the shipped network alone"] = alone[scored].to_numpy()
    print(f"\nAll {len(Y)} pictures, out of {FOLDS} folds: macro-F1")
    told(scored, answers, Y[scored].to_numpy())

    rng = np.random.default_rng(SEED)
    nothing = pd.DataFrame(False, Y.index, Y.columns)
    for number in SOME:
        scores = []
        for _ in range(REPEATS):
            some = Y.index[np.sort(rng.choice(len(Y), number, replace=False))]
            rest = Y.index.difference(some)
            truth, X = Y.loc[rest, scored].to_numpy(), features.join(log_odds).loc[rest]
            row = [count(truth, alone.loc[rest, scored].to_numpy()).macro_f1()]
            for start, otherwise in ((None, nothing), (log_odds, alone)):
                try:
                    stack, _ = fitted(features, start, Y.loc[some], 3)
                    found = predicted(stack, X, otherwise.loc[rest])
                except ValueError:  # no location is in every fold
                    found = otherwise.loc[rest]
                row.append(count(truth, found[scored].to_numpy()).macro_f1())
            scores.append(row)
        mean = np.mean(scores, axis=0)
        print(
            f"{number} labelled pictures, scored on the other {len(Y) - number}, mean of {REPEATS} draws: "
            f"from nothing {mean[1]:.3f}, with the start {mean[2]:.3f}, the network alone {mean[0]:.3f}"
        )


if __name__ == "__main__":
    main()

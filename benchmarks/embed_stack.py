"""Stacks on handcrafted features, on a network's embedding and on both, compared on the same folds.

Imported by ``stack_duloc.py`` and ``stack_simulated.py``. Answers are those of `StackedLocations`, outer
out of fold; intervals and differences are bootstrapped over groups, with the same draws for every stack.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from models.folds import stratified_group_folds
from models.metrics import all_positive_macro_f1, count, interval, resampled_counts
from models.stack import STACK
from models.training import StackedLocations, crossed


@dataclass(frozen=True)
class Compared:
    """Out-of-fold answers of one stack per choice of blocks.

    Attributes
    ----------
    truth : DataFrame of bool
        Pictures x locations that can be cross-validated.
    groups : Series
    probability : dict of str to DataFrame
        Name of a stack to its probabilities.
    chosen : dict of str to ndarray of bool
    """

    truth: pd.DataFrame
    groups: pd.Series
    probability: Mapping[str, pd.DataFrame]
    chosen: Mapping[str, np.ndarray]


def compare(
    handcrafted: pd.DataFrame,
    embedding: pd.DataFrame,
    truth: pd.DataFrame,
    groups: pd.Series,
    *,
    folds: int,
    jobs: int,
    seed: int = 0,
) -> Compared:
    """Train the three stacks; all tables have the same rows."""
    fold = stratified_group_folds(truth.to_numpy(), groups, folds, seed=seed)
    usable = [name for name in truth.columns if crossed(truth[name].to_numpy(), fold)]
    blocks = {"handcrafted": handcrafted, "network": embedding}
    choices = {name: {name: table} for name, table in blocks.items()} | {"handcrafted and network": blocks}
    probability, chosen = {}, {}
    for name, chosen_blocks in choices.items():
        stack = StackedLocations(seed=seed, jobs=jobs).fit(chosen_blocks, truth[usable], fold)
        answers = stack.out_of_fold_[STACK]
        probability[name] = pd.DataFrame(answers.probability, index=truth.index, columns=usable)
        chosen[name] = np.asarray(answers.chosen, bool)
    return Compared(truth[usable], groups, probability, chosen)


def report(found: Compared) -> None:
    """Print each stack's macro-F1 with its interval, and the differences between stacks."""
    truth = found.truth.to_numpy()
    print(f"{len(truth)} pictures, {found.groups.nunique()} groups, {truth.shape[1]} locations")
    print(f"{'answering every location':32} {all_positive_macro_f1(truth):.3f}")
    draws = {}
    for name, chosen in found.chosen.items():
        draws[name] = resampled_counts(truth, chosen, found.groups, seed=0).macro_f1()
        low, high = interval(draws[name])
        print(f"{name:32} {float(count(truth, chosen).macro_f1()):.3f} ({low:.3f} to {high:.3f})")
    for first, second in combinations(reversed(list(draws)), 2):
        low, high = interval(draws[first] - draws[second])
        told = "cannot be told apart" if low <= 0 <= high else "differ"
        print(f"{first} minus {second}: {low:+.3f} to {high:+.3f}, {told}")

"""The stack's score beside others: the four protocols, a selection of labels, and ablations.

What a score means depends on which pictures share a fold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t

from models.ablation import BaseLogOdds, ablations
from models.meta_learner import mean_group_size
from models.metrics import (
    Labels,
    all_positive_macro_f1,
    balanced_f1,
    count,
    interval,
    interval_of_difference,
    resampled_counts,
)
from models.nested import Nested
from models.stack_model import STACK, TOP_TWO
from models.stacking import RANDOM_SPLIT, WITHOUT_SELECTION
from pipeline.core.errors import PipelineError
from pipeline.core.stage import Progress, check_intact
from pipeline.core.workspace import Workspace
from pipeline.stages.head_options import Head

ALWAYS_YES = 2 / 3
"""F1 of predicting yes where positives and negatives are equally many."""


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold predictions of one model; tables are rows x locations, in the order of `groups`.

    `plates` are those that folds are made of, if they are.
    """

    truth: pd.DataFrame
    probability: pd.DataFrame
    chosen: pd.DataFrame
    groups: pd.Series
    fold: pd.Series
    plates: pd.Series | None = None

    @property
    def folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1

    @property
    def units(self) -> pd.Series:
        """What is drawn for intervals: plates where folds are made of them, else groups."""
        return self.groups if self.plates is None else self.plates

    def of(self, ids: pd.Index, names: Sequence[str]) -> "OutOfFold":
        """Return the predictions of some rows and locations, in this order."""
        truth, probability, chosen = (
            table.loc[ids, list(names)] for table in (self.truth, self.probability, self.chosen)
        )
        plates = None if self.plates is None else self.plates.loc[ids]
        return OutOfFold(truth, probability, chosen, self.groups.loc[ids], self.fold.loc[ids], plates)


@dataclass(frozen=True)
class Score:
    """A score and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Protocol:
    """One protocol, and what knowing nothing scores `beside` it.

    Where there is no score it was not measured; `about` says how it would be.
    """

    letter: str
    about: str
    score: Score | None = None
    beside: float | None = None


def by_head(models: Mapping[str, OutOfFold]) -> dict[Head, OutOfFold]:
    """Return the predictions of the models that answer by themselves: see `predict --head`."""
    stack = models[STACK]
    own = [models[name] for name in stack.truth.columns]
    truth, probability, chosen = (
        pd.concat([getattr(one, table) for one in own], axis=1)
        for table in ("truth", "probability", "chosen")
    )
    both: dict[Head, OutOfFold] = {"two-locations": models[TOP_TWO]} if TOP_TWO in models else {}
    binary = replace(stack, truth=truth, probability=probability, chosen=chosen)
    return {"stack": stack, **both, "binary": binary}


def macro_f1(predicted: OutOfFold, draws: int, seed: int) -> Score:
    """Return macro-F1 over its locations, with its interval over groups."""
    truth, chosen = predicted.truth.to_numpy(), predicted.chosen.to_numpy()
    value, spread = _resampled(truth, chosen, predicted.units, draws, seed)
    return Score(value, *interval(spread, value))


def paired(one: OutOfFold, other: OutOfFold, draws: int, seed: int) -> tuple[Score, Score, Score]:
    """Return macro-F1 of both, on the same pictures, and how much higher the first one's is."""
    (here, spread), (there, beside) = (
        _resampled(a.truth.to_numpy(), a.chosen.to_numpy(), a.units, draws, seed) for a in (one, other)
    )
    return (
        Score(here, *interval(spread, here)),
        Score(there, *interval(beside, there)),
        Score(here - there, *interval_of_difference(spread - beside, here - there)),
    )


def of_plates(predicted: OutOfFold, plates: pd.Series) -> tuple[pd.DataFrame, Score]:
    """Score every plate on its own, and return the mean macro-F1 with its t interval over plates.

    Columns of the table: ``pictures, macro_f1, micro_f1``; macro-F1 is over locations that occur in truth or
    predictions.
    """
    truth, chosen = predicted.truth.to_numpy(), predicted.chosen.to_numpy()
    rows = {}
    for plate in sorted(set(plates)):
        here = plates.eq(plate).to_numpy()
        counts = count(truth[here], chosen[here])
        scores = float(counts.macro_f1(skip_undefined=True)), float(counts.micro_f1())
        rows[plate] = dict(zip(("pictures", "macro_f1", "micro_f1"), (int(here.sum()), *scores), strict=True))
    table = pd.DataFrame.from_dict(rows, orient="index")
    each = table["macro_f1"]
    reach = t.ppf(0.975, len(each) - 1) * float(each.std()) / len(each) ** 0.5
    mean = float(each.mean())
    return table, Score(mean, max(0.0, mean - reach), min(1.0, mean + reach))


def _resampled(
    truth: Labels, chosen: Labels, groups: pd.Series, draws: int, seed: int
) -> tuple[float, NDArray[np.float64]]:
    """Return macro-F1, and bootstrap values of it over groups."""
    drawn = resampled_counts(truth, chosen, groups, draws=draws, seed=seed)
    return float(count(truth, chosen).macro_f1()), np.asarray(drawn.macro_f1())


def protocols(
    models: Mapping[str, OutOfFold], *, ungrouped: int | None, kaggle: float | None, draws: int, seed: int
) -> list[Protocol]:
    """Return protocols A to D, given predictions by model; macro-F1 of B and C is over trained locations.

    `ungrouped` counts pictures whose group was not found, None where no groups were given; `kaggle` is the
    private score of a submission, as the user has it.
    """
    stack = models[STACK]
    always = all_positive_macro_f1(stack.truth.to_numpy())
    here = macro_f1(stack, draws, seed)
    number = stack.groups.nunique()
    without = f"the group of {ungrouped} pictures was not found" if ungrouped else "no groups were given"
    b = Protocol("B", f"{without} (train --groups)")
    c = Protocol("C", "folds that ignore groups, optimistic: not measured (train --random-split)")
    if ungrouped == 0:
        b = Protocol("B", f"{number} groups that no fold splits", here, always)
    if RANDOM_SPLIT in models:
        random = macro_f1(models[RANDOM_SPLIT], draws, seed)
        c = Protocol("C", "folds that ignore groups, optimistic", random, always)
    elif ungrouped != 0:
        known = "not all groups are known" if ungrouped else "no groups known but near-duplicates"
        c = Protocol("C", f"{known}, optimistic", here, always)
    a = Protocol("A", "private score of a Kaggle submission: not given (evaluate --kaggle-score)")
    if kaggle is not None:
        a = Protocol("A", "private score of a Kaggle submission, as given", Score(kaggle, kaggle, kaggle))
    return [a, b, c, _balanced(models, draws, seed)]


def _balanced(models: Mapping[str, OutOfFold], draws: int, seed: int) -> Protocol:
    """Return the binary models' mean F1 at 1:1, with its interval over groups."""
    binary = by_head(models)["binary"]
    truth, probability = binary.truth.to_numpy(), binary.probability.to_numpy()
    pairs = list(zip(truth.T, probability.T, strict=True))
    chosen = np.column_stack([chance >= known.mean() for known, chance in pairs])
    drawn = resampled_counts(truth, chosen, models[STACK].units, draws=draws, seed=seed)
    rows = np.asarray(resampled_counts(truth, ~chosen, models[STACK].units, draws=draws, seed=seed).false)
    recall = drawn.hit / np.maximum(drawn.hit + drawn.missed, 1)
    alarm = drawn.false / np.maximum(drawn.false + rows, 1)
    spread = (2 * recall / (1 + recall + alarm)).mean(axis=1)
    value = float(np.mean([balanced_f1(known, chance) for known, chance in pairs]))
    score = Score(value, *interval(spread, value))
    return Protocol("D", "binary models, as many positives as negatives (1:1)", score, ALWAYS_YES)


@dataclass(frozen=True)
class Selection:
    """The stack learning from selected labels, beside the same learning from all; all labels are scored."""

    chosen: Score
    everything: Score
    difference: Score


def selection(models: Mapping[str, OutOfFold], draws: int, seed: int) -> Selection | None:
    """Compare with and without the selection of labels, where there is one."""
    if WITHOUT_SELECTION not in models:
        return None
    return Selection(*paired(models[STACK], models[WITHOUT_SELECTION], draws, seed))


@dataclass(frozen=True)
class Ablation:
    """One variant beside the stack: macro-F1 over trained locations with its 95 % interval.

    And its difference to the stack's, with the paired interval from `worst` to `most`.
    """

    name: str
    macro_f1: float
    low: float
    high: float
    difference: float
    worst: float
    most: float


def ablate(work: Workspace, rule: str, draws: int, seed: int, progress: Progress) -> list[Ablation]:
    """Fit meta-learner and thresholds again on some base learners, and score them on the same groups."""
    if not work.base_log_odds.is_file():
        raise PipelineError(f"{work.base_log_odds}: missing; run train again with --work {work.root}")
    check_intact(work.base_log_odds)
    with np.load(work.base_log_odds, allow_pickle=False) as kept:
        base = BaseLogOdds(
            nested=Nested(list(kept["inner"]), kept["outer"], kept["outer"]),
            targets=kept["targets"],
            fold=kept["fold"],
            blocks=kept["blocks"].tolist(),
            kinds=kept["kinds"].tolist(),
            always=bool(kept["always"]),
            group_size=mean_group_size(kept["groups"]),
        )
        units = pd.Series(kept.get("units", kept["groups"]))
    rows: list[Ablation] = []
    whole: tuple[float, NDArray[np.float64]] | None = None
    with progress.track("Leaving parts out", 1) as advance:
        for name, predicted in ablations(base, rule):
            value, spread = _resampled(base.targets, predicted.chosen, units, draws, seed)
            whole = whole or (value, spread)
            low, high = interval(spread, value)
            worst, most = interval_of_difference(spread - whole[1], value - whole[0])
            rows.append(Ablation(name, value, low, high, value - whole[0], worst, most))
        advance(1)
    return rows

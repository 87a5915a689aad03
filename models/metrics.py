"""Scores of multilabel predictions: F1 in both conventions, average precision, intervals over groups."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

Labels = NDArray[np.bool_]
Floats = NDArray[np.float64]

LEVEL = 0.95
"""Share of the bootstrap values that an interval holds."""


@dataclass(frozen=True)
class Counts:
    """True positives, false positives and false negatives; arrays of the same shape, locations last."""

    hit: Floats
    false: Floats
    missed: Floats

    def f1(self, undefined: float = 0.0) -> Floats:
        """Return F1; `undefined` where a location occurs neither in the truth nor in the predictions."""
        total = 2 * self.hit + self.false + self.missed
        return np.where(total > 0, 2 * self.hit / np.maximum(total, 1), undefined)

    def micro_f1(self) -> Floats:
        """Return F1 of all predictions pooled over locations."""
        return Counts(self.hit.sum(-1), self.false.sum(-1), self.missed.sum(-1)).f1()

    def macro_f1(self, *, skip_undefined: bool = False) -> Floats:
        """Return the mean F1 over locations; undefined ones count as 0, or not at all."""
        if not skip_undefined:
            return np.asarray(self.f1().mean(axis=-1))
        values = self.f1(undefined=np.nan)
        defined = ~np.isnan(values)
        return np.asarray(np.where(defined, values, 0).sum(-1) / np.maximum(defined.sum(-1), 1))


def count(truth: Labels, chosen: Labels) -> Counts:
    """Count over rows; both arrays have shape (rows, locations)."""
    return Counts(
        (truth & chosen).sum(axis=0).astype(np.float64),
        (~truth & chosen).sum(axis=0).astype(np.float64),
        (truth & ~chosen).sum(axis=0).astype(np.float64),
    )


def per_location(truth: pd.DataFrame, chosen: pd.DataFrame, probability: pd.DataFrame) -> pd.DataFrame:
    """Score every location, given tables of rows x locations, the first two of bool.

    Returns one row per location: ``f1, precision, recall, average_precision, support``; NaN where a ratio
    has no denominator.
    """
    counts = count(truth.to_numpy(), chosen.to_numpy())
    with np.errstate(invalid="ignore"):
        scores = {
            "f1": counts.f1(undefined=np.nan),
            "precision": counts.hit / (counts.hit + counts.false),
            "recall": counts.hit / (counts.hit + counts.missed),
        }
    table = pd.DataFrame(scores, index=pd.Index(truth.columns, name="location"))
    table["average_precision"] = [
        average_precision_score(truth[name], probability[name]) if truth[name].any() else np.nan
        for name in truth.columns
    ]
    table["support"] = truth.sum(axis=0).to_numpy()
    return table


def all_positive_macro_f1(truth: Labels) -> float:
    """Return the macro-F1 of predicting every location for every row."""
    return float(count(truth, np.ones_like(truth)).macro_f1())


def balanced_f1(truth: NDArray[np.bool_], probability: Floats) -> float:
    """Return the F1 expected where positives and negatives are equally many.

    This is what many published "binary" scores are: it says nothing about rare locations in
    practice, and predicting yes always scores 2/3. The threshold is the share of positives, as training
    on a balanced sample would set it. Both arrays have shape (rows,).
    """
    chosen = probability >= truth.mean()
    recall, false_alarm = chosen[truth].mean(), chosen[~truth].mean()
    return float(2 * recall / (1 + recall + false_alarm))


def resampled_counts(
    truth: Labels, chosen: Labels, groups: pd.Series, *, draws: int = 1000, seed: int = 0
) -> Counts:
    """Count on bootstrap samples of whole groups; counts have shape (draws, locations).

    Groups, one for each row, are drawn with replacement; rows of a group come together. Draws depend on the
    groups and the seed alone, so that differences between two sets of predictions are paired.

    Source: Field & Welsh (2007), Bootstrapping clustered data, J. R. Statist. Soc. B 69.
    """
    codes, names = pd.factorize(groups)
    rng = np.random.default_rng(seed)
    parts = [truth & chosen, ~truth & chosen, truth & ~chosen]
    grouped = [sum_by(part, codes, len(names)) for part in parts]
    even = np.full(len(names), 1 / len(names))
    resampled = []
    for _ in range(draws):
        times = rng.multinomial(len(names), even).astype(np.float64)
        resampled.append([times @ table for table in grouped])
    return Counts(*(np.stack(rows) for rows in zip(*resampled, strict=True)))


def interval(values: Floats, estimate: float) -> tuple[float, float]:
    """Return the bias-corrected percentile interval of a score, given its bootstrap values.

    Samples of few groups lack some, which makes their scores lower than that of all groups, as that of
    all groups here is lower than that of all there are. Percentiles are therefore moved up by twice what the
    bootstrap values are too low on average. The interval holds the estimate, and ends at 0 and 1.

    Source: Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 10 (bias).
    """
    return _ends(np.clip(values + 2 * (estimate - values.mean()), 0, 1), estimate)


def interval_of_difference(values: Floats, difference: float) -> tuple[float, float]:
    """Return the percentile interval, which holds it, of a paired difference, given its bootstrap values.

    What samples of few groups lack, both sides lack: there is next to no bias to correct. A correction would
    move an end that is 0, because many samples show no difference, to where it says that there is one.
    """
    return _ends(values, difference)


def _ends(values: Floats, estimate: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(min(low, estimate)), float(max(high, estimate))


def sum_by(values: Labels, codes: NDArray[np.int64], groups: int) -> Floats:
    """Sum rows by their group's code, shape (groups, columns)."""
    totals = np.zeros((groups, values.shape[1]))
    np.add.at(totals, codes, values)
    return totals

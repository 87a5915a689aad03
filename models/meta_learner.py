"""Level 1 of the stack: linear models in the log-odds of level 0, and their thresholds.

Three kinds of heads stand on the same boosters. A *binary* head of a location sees that location's
log-odds only; the *top two* head sees those of two locations; the *stack* sees those of all. Weights
on a location's own log-odds are pulled towards weights pooled over the head's locations, weights on
other locations' towards 0 and five times as hard.

What is pulled is not calibrated. Where positives allow, a location's log-odds are therefore stretched
and shifted by what its out-of-fold log-odds ask for, which leaves them linear in level 0's.

Penalties count independent rows. Rows of one group (pictures of one protein, of one sample) are not: with
groups of several rows each, penalties are that many times as large.

Source: Platt (1999), Probabilistic outputs for support vector machines, Advances in Large Margin
Classifiers.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.linear import Linear, fit_logistic, pooled_weights
from models.thresholds import NESTED, answer, choose_rules, fit_thresholds

Floats = NDArray[np.float64]

OWN = 50.0
OTHERS = 250.0
POOLED = 25.0
"""Penalties in independent rows (see `models.linear`): on own and others' weights, and on the pooled ones."""

CALIBRATED = 30
"""Independent positives from which a location is calibrated."""

_STRETCH = 5.0
"""Penalty in independent rows that pulls the stretch of calibration towards 1."""


@dataclass(frozen=True)
class Head:
    """What a head answers, and what it may see.

    Attributes
    ----------
    name : str
    locations : tuple of int
        Positions of its locations on the second axis of level 0's log-odds.
    always : bool
        Whether every row gets at least one location.
    group_size : float
        How many rows say as much as one independent row: see `mean_group_size`.
    """

    name: str
    locations: tuple[int, ...]
    always: bool = False
    group_size: float = 1.0


def mean_group_size(groups: Sequence[Hashable] | NDArray[np.generic]) -> float:
    """Return the mean number of rows of a group."""
    return len(groups) / max(1, len(np.unique(np.asarray(groups))))


@dataclass(frozen=True)
class FittedHead:
    """A head's linear models, one per location, and thresholds.

    Attributes
    ----------
    linear : list of Linear
        Each over the head's log-odds of level 0: its locations in turn, all sources of each.
    thresholds : ndarray, shape (locations,)
    """

    head: Head
    linear: list[Linear]
    thresholds: Floats

    def log_odds(self, margins: Floats) -> Floats:
        """Return log-odds, shape (rows, locations), given level 0's, shape (rows, all locations, sources)."""
        inputs = _inputs(self.head, margins)
        return np.column_stack([linear(inputs) for linear in self.linear])

    def chosen(self, probability: Floats) -> NDArray[np.bool_]:
        """Apply the thresholds."""
        return answer(probability, self.thresholds, always=self.head.always)


def fit_head(
    head: Head, margins: Floats, targets: NDArray[np.bool_], fold: NDArray[np.int16], rule: str
) -> FittedHead:
    """Fit linear models on all given rows, and thresholds on their out-of-fold probabilities.

    Parameters
    ----------
    margins : ndarray, shape (rows, locations, sources)
        Level 0's out-of-fold log-odds.
    targets : ndarray of bool, shape (rows, locations)
    fold : ndarray of int, shape (rows,)
        For the inner cross-validation that calibration and thresholds need.
    rule : str
        One of `models.thresholds.RULES`, or `models.thresholds.NESTED`.
    """
    linear, inside = _fit_calibrated(head, margins, targets, fold)
    return FittedHead(head, linear, thresholds_by(rule, inside, targets[:, head.locations], fold))


def _fit_calibrated(
    head: Head, margins: Floats, targets: NDArray[np.bool_], fold: NDArray[np.int16]
) -> tuple[list[Linear], Floats]:
    """Fit and calibrate linear models; return them and the rows' out-of-fold probabilities."""
    inside = np.empty((len(fold), len(head.locations)))
    for number in np.unique(fold):
        rest = fold != number
        linear = _fit_linear(head, margins[rest], targets[rest])
        inputs = _inputs(head, margins[~rest])
        inside[~rest] = np.column_stack([function(inputs) for function in linear])
    linear = _fit_linear(head, margins, targets)
    for place, y in enumerate(targets[:, head.locations].T):
        if y.sum() >= CALIBRATED * head.group_size:
            pull = np.full(1, _STRETCH * head.group_size)
            change = fit_logistic(inside[:, [place]], y, np.ones(1), pull)
            inside[:, place] = change(inside[:, [place]])
            linear[place] = linear[place].then(change)
    return linear, expit(inside)


def thresholds_by(rule: str, inside: Floats, known: NDArray[np.bool_], fold: NDArray[np.int16]) -> Floats:
    """Choose thresholds on out-of-fold probabilities by a rule, or by `NESTED`."""
    if rule != NESTED:
        return fit_thresholds(inside, known, rule)
    rules = choose_rules(inside, known, fold)
    columns = [
        fit_thresholds(inside[:, [place]], known[:, [place]], name) for place, name in enumerate(rules)
    ]
    return np.concatenate(columns)


@dataclass(frozen=True)
class Answers:
    """Probabilities and choices of one head; shape (rows, locations)."""

    probability: Floats
    chosen: NDArray[np.bool_]


@dataclass(frozen=True)
class OuterFold:
    """What one outer fold's thresholds are chosen on, and what they decide.

    Attributes
    ----------
    rest : ndarray of bool, shape (rows,)
        Rows outside the fold.
    inside : ndarray, shape (rows outside, locations)
        Their out-of-fold probabilities.
    probability : ndarray, shape (rows of the fold, locations)
    """

    rest: NDArray[np.bool_]
    inside: Floats
    probability: Floats


def outer_folds(
    head: Head, inner: Sequence[Floats], outer: Floats, targets: NDArray[np.bool_], fold: NDArray[np.int16]
) -> list[OuterFold]:
    """Fit a head without every outer fold; `inner` and `outer` are those of `models.nested.Nested`."""
    parts = []
    for number, margins in enumerate(inner):
        rest = fold != number
        linear, inside = _fit_calibrated(head, margins[rest], targets[rest], fold[rest])
        inputs = _inputs(head, outer[~rest])
        probability = expit(np.column_stack([function(inputs) for function in linear]))
        parts.append(OuterFold(rest, inside, probability))
    return parts


def decide(
    parts: Sequence[OuterFold], known: NDArray[np.bool_], fold: NDArray[np.int16], rule: str, *, always: bool
) -> Answers:
    """Answer every row with thresholds that were chosen without its fold; shape of `known`."""
    probability, chosen = np.empty(known.shape), np.zeros(known.shape, dtype=bool)
    for part in parts:
        thresholds = thresholds_by(rule, part.inside, known[part.rest], fold[part.rest])
        probability[~part.rest] = part.probability
        chosen[~part.rest] = answer(part.probability, thresholds, always=always)
    return Answers(probability, chosen)


def nested_answers(
    head: Head,
    inner: Sequence[Floats],
    outer: Floats,
    targets: NDArray[np.bool_],
    fold: NDArray[np.int16],
    rule: str,
) -> Answers:
    """Answer every row by a head that was fitted, thresholds included, without the row's fold.

    `inner` and `outer` are those of `models.nested.Nested`.
    """
    parts = outer_folds(head, inner, outer, targets, fold)
    return decide(parts, targets[:, head.locations], fold, rule, always=head.always)


def _inputs(head: Head, margins: Floats) -> Floats:
    return np.asarray(margins[:, head.locations, :].reshape(len(margins), -1))


def _fit_linear(head: Head, margins: Floats, targets: NDArray[np.bool_]) -> list[Linear]:
    """Fit one linear model per location of the head; see the module for what is pulled where."""
    own = margins[:, head.locations, :]
    known = targets[:, head.locations]
    sources = own.shape[2]
    weights = np.full(sources, 1 / sources)
    if len(head.locations) > 1:
        weights = pooled_weights(own, known, weights, POOLED * head.group_size)
    inputs = _inputs(head, margins)
    models = []
    for position in range(len(head.locations)):
        mine = slice(position * sources, (position + 1) * sources)
        prior, penalty = np.zeros(inputs.shape[1]), np.full(inputs.shape[1], OTHERS)
        prior[mine], penalty[mine] = weights, OWN
        models.append(fit_logistic(inputs, known[:, position], prior, penalty * head.group_size))
    return models

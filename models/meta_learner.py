"""The meta-learner of the stack: linear models in the base learners' log-odds, and their thresholds.

Three kinds of meta-learners share the same base learners. A *binary* one sees one location's
log-odds only; the *top two* see those of two locations; the *stack* sees those of all. Weights
on a location's own log-odds are shrunk towards weights pooled over its locations, weights on
other locations' towards 0: five times as hard, and harder the more sources say the same of them.

What is shrunk is not calibrated. Where positives allow, a location's log-odds are therefore scaled
and shifted (Platt scaling) on its out-of-fold log-odds, which leaves them linear in the base learners'.

Where few groups say how learners should be weighed, their plain mean can be as good. There every prediction
is a weighted mean of both, with the shares that out-of-fold log-losses give them (see `fitted_share`).

Penalties count independent rows. Rows of one group (pictures of one protein, of one sample) are not: with
groups of several rows each, penalties are that many times as large.

Source: Platt (1999), Probabilistic outputs for support vector machines, Advances in Large Margin
Classifiers.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from models.base_learners.logistic import Linear, fit_logistic, pooled_weights
from models.nested import Nested
from models.thresholds import NESTED, choose_rules, decide, fit_thresholds

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]
Folds = NDArray[np.int16]

OWN, OTHERS, POOLED = 50.0, 250.0, 25.0
"""Penalties in independent rows (see `fit_logistic`): on own and others' weights, and on the pooled ones."""

SOURCES = 4
"""Sources above which the penalty on others' weights grows with their number: together they say one thing."""

CALIBRATED = 30
"""Independent positives from which a location is calibrated."""

UNSEEN = 0.5
"""Positives that are expected among rows that show none, of a location that is learned elsewhere."""

_SCALE_PENALTY = 5.0
"""Penalty in independent rows that shrinks the scale of the calibration towards 1."""

FEW = 2000
"""Independent rows below which the plain mean of base learners has a share in what is predicted."""


@dataclass(frozen=True)
class MetaLearner:
    """What a meta-learner predicts and sees: positions of locations on the base learners' second axis.

    `always` says whether every row gets at least one location, `group_size` how many rows say as much as one
    independent row (see `mean_group_size`).
    """

    name: str
    locations: tuple[int, ...]
    always: bool = False
    group_size: float = 1.0


def mean_group_size(groups: Sequence[Hashable] | NDArray[np.generic]) -> float:
    """Return the mean number of rows of a group."""
    return len(groups) / max(1, len(np.unique(np.asarray(groups))))


@dataclass(frozen=True)
class FittedMetaLearner:
    """A meta-learner's linear models and thresholds, one per location.

    Models are over the log-odds of base learners: its locations in turn, all sources of each.
    """

    meta: MetaLearner
    linear: list[Linear]
    thresholds: Floats

    def log_odds(self, base: Floats) -> Floats:
        """Return log-odds, (rows, locations), given the base learners', (rows, all locations, sources)."""
        return _apply(self.meta, self.linear, base)

    def chosen(self, probability: Floats) -> Labels:
        """Apply the thresholds."""
        return decide(probability, self.thresholds, always=self.meta.always)


def fit_meta_learner(
    meta: MetaLearner, base: Floats, targets: Labels, fold: Folds, rule: str
) -> FittedMetaLearner:
    """Fit linear models on all given rows, and thresholds on their out-of-fold probabilities.

    Parameters
    ----------
    base : ndarray, shape (rows, locations, sources)
        The base learners' out-of-fold log-odds.
    targets : ndarray of bool, shape (rows, locations)
    fold : ndarray of int, shape (rows,)
        For the inner cross-validation that calibration and thresholds need.
    rule : str
        One of `models.thresholds.RULES`, or `models.thresholds.NESTED`.
    """
    linear, inside = _fit_calibrated(meta, base, targets, fold)
    return FittedMetaLearner(meta, linear, thresholds_by(rule, inside, targets[:, meta.locations], fold))


def thresholds_by(rule: str, inside: Floats, known: Labels, fold: Folds) -> Floats:
    """Choose thresholds on out-of-fold probabilities by a rule, or by `NESTED`."""
    if rule != NESTED:
        return fit_thresholds(inside, known, rule)
    rules = choose_rules(inside, known, fold)
    columns = [fit_thresholds(inside[:, [k]], known[:, [k]], name) for k, name in enumerate(rules)]
    return np.concatenate(columns)


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold probabilities and choices of one meta-learner; shape (rows, locations).

    `thresholds` are those that decided each fold, shape (folds, locations), where they were chosen.
    """

    probability: Floats
    chosen: Labels
    thresholds: Floats | None = None


@dataclass(frozen=True)
class OuterFold:
    """What one outer fold's thresholds are chosen on, and what they decide.

    `rest` are the rows outside the fold, `inside` their out-of-fold probabilities, shape (rows outside,
    locations), and `probability` those of the fold's rows, shape (rows of the fold, locations).
    """

    rest: Labels
    inside: Floats
    probability: Floats


def outer_folds(meta: MetaLearner, nested: Nested, targets: Labels, fold: Folds) -> list[OuterFold]:
    """Fit a meta-learner without every outer fold."""
    parts = []
    for number, base in enumerate(nested.inner):
        rest = fold != number
        linear, inside = _fit_calibrated(meta, base[rest], targets[rest], fold[rest])
        parts.append(OuterFold(rest, inside, expit(_apply(meta, linear, nested.outer[~rest]))))
    return parts


def decide_folds(
    parts: Sequence[OuterFold], known: Labels, fold: Folds, rule: str, *, always: bool
) -> Predictions:
    """Predict every row with thresholds that were chosen without its fold; shape of `known`."""
    probability, chosen = np.empty(known.shape), np.zeros(known.shape, dtype=bool)
    thresholds = [thresholds_by(rule, part.inside, known[part.rest], fold[part.rest]) for part in parts]
    for part, own in zip(parts, thresholds, strict=True):
        probability[~part.rest] = part.probability
        chosen[~part.rest] = decide(part.probability, own, always=always)
    return Predictions(probability, chosen, np.stack(thresholds))


def nested_predictions(
    meta: MetaLearner, nested: Nested, targets: Labels, fold: Folds, rule: str
) -> Predictions:
    """Predict every row by a meta-learner that was fitted, thresholds included, without the row's fold."""
    parts = outer_folds(meta, nested, targets, fold)
    return decide_folds(parts, targets[:, meta.locations], fold, rule, always=meta.always)


def _apply(meta: MetaLearner, linear: Sequence[Linear], base: Floats) -> Floats:
    return np.column_stack([function(_inputs(meta, base)) for function in linear])


def _inputs(meta: MetaLearner, base: Floats) -> Floats:
    return np.asarray(base[:, meta.locations, :].reshape(len(base), -1))


def _fit_calibrated(
    meta: MetaLearner, base: Floats, targets: Labels, fold: Folds
) -> tuple[list[Linear], Floats]:
    """Fit, calibrate and mix linear models; return them and the rows' out-of-fold probabilities."""
    inside, known = np.empty((len(fold), len(meta.locations))), targets[:, meta.locations]
    for number in np.unique(fold):
        rest = fold != number
        inside[~rest] = _apply(meta, _fit_linear(meta, base[rest], targets[rest]), base[~rest])
    plain = base[:, meta.locations, :].mean(axis=2)
    few = len(fold) < FEW * meta.group_size
    share = fitted_share(inside, plain, known, meta.group_size) if few else 1.0
    linear = _fit_linear(meta, base, targets)
    for position, y in enumerate(known.T):
        if y.sum() >= CALIBRATED * meta.group_size:
            pull = np.full(1, _SCALE_PENALTY * meta.group_size)
            change = fit_logistic(inside[:, [position]], y, np.ones(1), pull)
            inside[:, position] = change(inside[:, [position]])
            linear[position] = linear[position].then(change)
        linear[position] = _mixed(linear[position], position, base.shape[2], share)
    return linear, expit(share * inside + (1 - share) * plain)


def fitted_share(fitted: Floats, plain: Floats, known: Labels, group_size: float) -> float:
    """Return the share of a prediction that fitted weights have; the plain mean has the rest.

    Both say what out-of-fold log-odds, shape (rows, locations), cost: log-losses are summed over independent
    rows, and averaged over locations, since those of one row are no independent evidence. Shares are the
    posterior probabilities of the two.
    """
    losses = [(np.logaddexp(0, some) - known * some).sum() for some in (fitted, plain)]
    return float(expit((losses[1] - losses[0]) / (group_size * known.shape[1])))


def _mixed(function: Linear, position: int, sources: int, share: float) -> Linear:
    """Mix a location's function with the plain mean of the location's own log-odds."""
    weights = share * function.weights
    weights[position * sources : (position + 1) * sources] += (1 - share) / sources
    return Linear(share * function.bias, weights)


def _fit_linear(meta: MetaLearner, base: Floats, targets: Labels) -> list[Linear]:
    """Fit one linear model per location; see the module for what is shrunk to what."""
    own = base[:, meta.locations, :]
    known = targets[:, meta.locations]
    both = known.any(axis=0) & ~known.all(axis=0)
    sources = own.shape[2]
    weights = np.full(sources, 1 / sources)
    if both.sum() > 1:
        weights = pooled_weights(own[:, both], known[:, both], weights, POOLED * meta.group_size)
    inputs, others = _inputs(meta, base), OTHERS * max(1.0, sources / SOURCES)
    models = []
    for position, y in enumerate(known.T):
        mine = slice(position * sources, (position + 1) * sources)
        prior, penalty = np.zeros(inputs.shape[1]), np.full(inputs.shape[1], others)
        prior[mine], penalty[mine] = weights, OWN
        if both[position]:
            models.append(fit_logistic(inputs, y, prior, penalty * meta.group_size))
        else:
            models.append(_unlearned(inputs, y, prior))
    return models


def _unlearned(inputs: Floats, y: Labels, prior: Floats) -> Linear:
    """Return the prior's function, shifted so that it expects `UNSEEN` positives where rows show none."""
    log_odds = inputs @ prior
    expected = UNSEEN if not y.any() else len(y) - UNSEEN
    bias = brentq(lambda shift: expit(log_odds + shift).sum() - expected, -1e3, 1e3)
    return Linear(float(bias), prior)

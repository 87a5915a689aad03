"""Which labels base learners learn from, where some are suspected errors: never which ones are scored.

Every mask is made without the folds that its fit leaves out. Labels that experts or a reliability
table contradict are known beforehand. Confident learning judges a label by probabilities that are out of
fold among the very rows that the fit learns from, so that nothing of a scored fold has a say.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.cross_fitting import CrossFitter, Fit, Labels
from models.hyperparameters import defaults

Floats = NDArray[np.float64]
Without = tuple[int, ...]

LEAST_KEPT = 0.5
"""Share of a location's positives that has to stay: a filter that leaves out more is not applied to it."""

MINIMUM_FOLDS = 4
"""Confident learning leaves out three folds at a time, and has to keep one."""


def subsets(folds: int) -> list[Without]:
    """Return the sets of folds that a nested cross-validation leaves out: none, one, two."""
    numbers = range(folds)
    return [(), *((number,) for number in numbers), *combinations(numbers, 2)]


def masks(fitter: CrossFitter, given: Sequence[Labels], *, confident: bool) -> dict[Without, Labels]:
    """Return which labels, shape (rows, locations), may be learned from, by the folds that a fit leaves out.

    What is known beforehand keeps the `given` ones; `confident` keeps those alone, too, that confident
    learning does not suspect: a ValueError where there are too few folds for it.
    """
    if confident and fitter.folds < MINIMUM_FOLDS:
        raise ValueError(f"confident learning needs {MINIMUM_FOLDS} folds, there are {fitter.folds}")
    return {without: _mask(fitter, given, without, confident=confident) for without in subsets(fitter.folds)}


def deleted(fitter: CrossFitter, given: Mapping[str, Labels], *, confident: bool) -> dict[str, Labels]:
    """Return, by filter, the labels that it alone keeps from the final model's base learners."""
    result = {name: ~_spared(fitter, keep, ()) for name, keep in given.items()}
    if confident:
        result["confident"] = ~_spared(fitter, _confident(fitter, ()), ())
    return result


def _mask(fitter: CrossFitter, given: Sequence[Labels], without: Without, *, confident: bool) -> Labels:
    keep = np.ones(fitter.targets.shape, dtype=bool)
    for some in given:
        keep &= _spared(fitter, some, without)
    if confident:
        keep &= _spared(fitter, _confident(fitter, without), without)
    return _spared(fitter, keep, without)


def _spared(fitter: CrossFitter, keep: Labels, without: Without) -> Labels:
    """Leave alone the locations that would lose too many positives, or all negatives, of a fit's rows."""
    inside = ~np.isin(fitter.fold, without)
    truth, kept = fitter.targets[inside], keep[inside]
    enough = (truth & kept).sum(axis=0) >= np.maximum(LEAST_KEPT * truth.sum(axis=0), 1)
    return np.asarray(keep | ~(enough & (~truth & kept).any(axis=0)))


def _confident(fitter: CrossFitter, without: Without) -> Labels:
    """Judge labels of the rows outside some folds by models that saw neither those folds nor the row's.

    Only locations that every fold has and lacks are judged.
    """
    positions = fitter.crossed
    log_odds = np.full(fitter.targets.shape, np.nan)
    hyperparameters = defaults("linear", len(fitter.fold))
    for own in set(range(fitter.folds)) - set(without):
        left_out = tuple(sorted((*without, own)))
        here, held_out = fitter.fold == own, fitter.fold[np.isin(fitter.fold, left_out)] == own
        blocks = range(len(fitter.blocks))
        fits = [Fit(block, "linear", k, hyperparameters, left_out) for block in blocks for k in positions]
        predicted = np.stack([some[held_out] for some in fitter.log_odds(fits)], axis=1)
        means = predicted.reshape(len(predicted), len(fitter.blocks), -1).mean(axis=1)
        log_odds[np.ix_(np.flatnonzero(here), np.array(positions))] = means
    judged = np.ix_(np.flatnonzero(~np.isin(fitter.fold, without)), np.array(positions))
    keep = np.ones(fitter.targets.shape, dtype=bool)
    keep[judged] = ~suspected_errors(expit(log_odds[judged]), fitter.targets[judged])
    return keep


def suspected_errors(probability: Floats, truth: Labels) -> Labels:
    """Say which labels confident learning takes for wrong.

    A label is suspected where its quality score is in the lowest part of its location that the estimated
    joint distribution of given and true labels says is wrong. Probabilities are out of fold; all arrays have
    shape (rows, locations).

    Source: Thyagarajan et al. (2022), Identifying incorrect annotations in multi-label classification data,
    arXiv:2211.13895.
    """
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class

    labels = [np.flatnonzero(row).tolist() for row in truth]
    return np.asarray(find_multilabel_issues_per_class(labels, probability, n_jobs=1), dtype=bool)

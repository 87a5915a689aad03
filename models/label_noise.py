"""Which labels boosters learn from, where some are doubted: never which ones are scored.

Every mask is made without the folds that its fit leaves out. Labels that experts or a reliability
table doubt are known beforehand. Confident learning judges a label by probabilities that are out of
fold among the very rows that the fit learns from, so that nothing of a scored fold has a say.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.cross_fitting import EXTRA, Fit, Labels, Level0
from models.hyperparameters import defaults

Floats = NDArray[np.float64]
Without = tuple[int, ...]

LEAST_KEPT = 0.5
"""Share of a location's positives that has to stay: a filter that doubts more is not applied to it."""

MINIMUM_FOLDS = 4
"""Confident learning leaves out three folds at a time, and has to keep one."""


def subsets(folds: int) -> list[Without]:
    """Return the sets of folds that a nested cross-validation leaves out: none, one, two."""
    numbers = range(folds)
    return [(), *((number,) for number in numbers), *combinations(numbers, 2)]


def masks(level0: Level0, given: Sequence[Labels], *, confident: bool) -> dict[Without, Labels]:
    """Return which labels may be learned from, by the folds that a fit leaves out.

    Parameters
    ----------
    given : sequence of ndarray of bool, shape (rows, locations)
        What filters that are known beforehand keep.
    confident : bool
        Keep only labels that confident learning does not doubt, too.

    Raises
    ------
    ValueError
        If there are too few folds for confident learning.
    """
    if confident and level0.folds < MINIMUM_FOLDS:
        raise ValueError(f"confident learning needs {MINIMUM_FOLDS} folds, there are {level0.folds}")
    return {without: _mask(level0, given, without, confident=confident) for without in subsets(level0.folds)}


def deleted(level0: Level0, given: Mapping[str, Labels], *, confident: bool) -> dict[str, Labels]:
    """Return, by filter, the labels that it alone keeps from the final model's boosters."""
    result = {name: ~_spared(level0, keep, ()) for name, keep in given.items()}
    if confident:
        result["confident"] = ~_spared(level0, _confident(level0, ()), ())
    return result


def _mask(level0: Level0, given: Sequence[Labels], without: Without, *, confident: bool) -> Labels:
    keep = np.ones(level0.targets.shape, dtype=bool)
    for some in given:
        keep &= _spared(level0, some, without)
    if confident:
        keep &= _spared(level0, _confident(level0, without), without)
    return _spared(level0, keep, without)


def _spared(level0: Level0, keep: Labels, without: Without) -> Labels:
    """Leave alone the locations that would lose too many positives, or all negatives, of a fit's rows."""
    inside = ~np.isin(level0.fold, without)
    truth, kept = level0.targets[inside], keep[inside]
    enough = (truth & kept).sum(axis=0) >= np.maximum(LEAST_KEPT * truth.sum(axis=0), 1)
    spared: Labels = keep | ~(enough & (~truth & kept).any(axis=0))
    return spared


def _confident(level0: Level0, without: Without) -> Labels:
    """Judge labels of the rows outside some folds by models that saw neither those folds nor the row's."""
    margin = np.full(level0.targets.shape, np.nan)
    settings = defaults("linear", len(level0.fold))
    for own in set(range(level0.folds)) - set(without):
        left_out = tuple(sorted((*without, own)))
        here, held_out = level0.fold == own, level0.fold[np.isin(level0.fold, left_out)] == own
        places = range(level0.targets.shape[1])
        fits = [
            Fit(block, "linear", place, settings, left_out)
            for block in range(len(level0.blocks))
            for place in places
        ]
        answers = np.stack([answer[held_out] for answer in level0.margins(fits)], axis=1)
        margin[here] = answers.reshape(len(answers), len(level0.blocks), -1).mean(axis=1)
    judged = ~np.isin(level0.fold, (*without, EXTRA))
    keep = np.ones(level0.targets.shape, dtype=bool)
    keep[judged] = ~doubted(expit(margin[judged]), level0.targets[judged])
    return keep


def doubted(probability: Floats, truth: Labels) -> Labels:
    """Say which labels confident learning takes for wrong.

    A label is doubted where its quality score is in the lowest part of its location that the estimated
    joint distribution of given and true labels says is wrong.

    Parameters
    ----------
    probability : ndarray, shape (rows, locations)
        Out of fold.
    truth : ndarray of bool, shape (rows, locations)

    References
    ----------
    Thyagarajan et al. (2022), Identifying incorrect annotations in multi-label classification data,
    arXiv:2211.13895.
    """
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class

    labels = [np.flatnonzero(row).tolist() for row in truth]
    return np.asarray(find_multilabel_issues_per_class(labels, probability, n_jobs=1), dtype=bool)

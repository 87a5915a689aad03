"""Answers of groups: pictures of one protein, antibody or well, answered together.

A group's probability is the mean of its pictures', decided by thresholds of its own, which are chosen on
groups. It shows a location where any of its pictures does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.meta_learner import OuterFold, Predictions, decide_folds, thresholds_by

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True)
class GroupAnswers:
    """Out-of-fold answers of groups, and the thresholds for those of new pictures.

    Attributes
    ----------
    names : ndarray of str, shape (groups,)
        Sorted.
    fold : ndarray of int, shape (groups,)
    truth : ndarray of bool, shape (groups, locations)
    predicted : Predictions
        By models and thresholds that saw nothing of the group's fold; shape (groups, locations).
    thresholds : ndarray, shape (locations,)
    """

    names: NDArray[np.str_]
    fold: NDArray[np.int16]
    truth: Labels
    predicted: Predictions
    thresholds: Floats


def mean_probability(probability: Floats, group: NDArray[np.intp], groups: int) -> Floats:
    """Return the mean over the rows of each group, shape (groups, locations); `group` is every row's."""
    sums = np.zeros((groups, probability.shape[1]))
    np.add.at(sums, group, probability)
    return np.asarray(sums / np.bincount(group, minlength=groups)[:, None])


def answer_groups(
    parts: Sequence[OuterFold],
    truth: Labels,
    fold: NDArray[np.int16],
    groups: NDArray[np.str_],
    rule: str,
    *,
    always: bool,
) -> GroupAnswers:
    """Answer groups, which no fold splits, by what was predicted of their rows in every outer fold.

    Parameters
    ----------
    parts : sequence of OuterFold
    truth : ndarray of bool, shape (rows, locations)
    fold, groups : ndarray, shape (rows,)
    rule : str
        How thresholds are chosen: see `models.meta_learner.thresholds_by`.
    always : bool
        Whether every group gets its most probable location, however improbable.
    """
    names, group = np.unique(groups, return_inverse=True)
    own_fold, shown = np.zeros(len(names), np.int16), np.zeros((len(names), truth.shape[1]), dtype=bool)
    own_fold[group] = fold
    np.logical_or.at(shown, group, truth)
    of_groups = []
    for part in parts:
        rows, rest = np.empty(truth.shape), np.zeros(len(names), dtype=bool)
        rows[part.rest], rows[~part.rest] = part.inside, part.probability
        rest[group[part.rest]] = True
        means = mean_probability(rows, group, len(names))
        of_groups.append(OuterFold(rest, means[rest], means[~rest]))
    predicted = decide_folds(of_groups, shown, own_fold, rule, always=always)
    thresholds = thresholds_by(rule, predicted.probability, shown, own_fold)
    return GroupAnswers(names, own_fold, shown, predicted, thresholds)

"""Answers of groups: means of their pictures' probabilities, by thresholds that saw nothing of the fold."""

import numpy as np

from models.group_answers import answer_groups, mean_probability
from models.meta_learner import OuterFold, decide_folds
from models.thresholds import fit_thresholds

FOLD = np.repeat([0, 1, 2], 20).astype(np.int16)
GROUPS = np.array([f"g{number // 4:02}" for number in range(60)])


def folds(seed, noise):
    """Return outer folds of noisy probabilities of labels that a group's four rows share, and the labels."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.random((15, 2)) < 0.5, 4, axis=0)
    value = np.clip(0.5 + 0.3 * (2.0 * truth - 1) + noise * rng.normal(size=truth.shape), 0.01, 0.99)
    parts = [OuterFold(number != FOLD, value[number != FOLD], value[number == FOLD]) for number in range(3)]
    return parts, truth, value


def test_mean_probability_is_that_of_each_groups_rows():
    probability = np.array([[0.1, 1.0], [0.5, 0.0], [0.3, 0.5]])
    found = mean_probability(probability, np.array([1, 0, 1]), 2)
    np.testing.assert_allclose(found, [[0.5, 0.0], [0.2, 0.75]])


def test_several_noisy_pictures_are_answered_better_together():
    parts, truth, value = folds(0, 0.4)
    own = decide_folds(parts, truth, FOLD, "half_f1", always=False).chosen
    found = answer_groups(parts, truth, FOLD, GROUPS, "half_f1", always=False)
    assert list(found.names) == sorted(set(GROUPS))
    np.testing.assert_allclose(found.predicted.probability, value.reshape(15, 4, 2).mean(axis=1))
    assert (found.truth == truth[::4]).all()
    assert (found.fold == FOLD[::4]).all()
    assert (found.predicted.chosen == found.truth).mean() > (own == truth).mean() + 0.1


def test_groups_of_one_row_are_answered_as_the_row():
    parts, truth, _ = folds(1, 0.4)
    rows = np.array([f"{number:02}" for number in range(60)])
    found = answer_groups(parts, truth, FOLD, rows, "half_f1", always=False)
    own = decide_folds(parts, truth, FOLD, "half_f1", always=False)
    assert (found.predicted.chosen == own.chosen).all()
    np.testing.assert_array_equal(found.predicted.probability, own.probability)
    np.testing.assert_array_equal(found.thresholds, fit_thresholds(own.probability, truth, "half_f1"))


def test_a_folds_answers_do_not_depend_on_its_own_labels():
    parts, truth, _ = folds(2, 0.4)
    other = truth.copy()
    other[FOLD == 1] = ~other[FOLD == 1]
    before, after = (
        answer_groups(parts, labels, FOLD, GROUPS, "half_f1", always=False) for labels in (truth, other)
    )
    here = before.fold == 1
    assert (before.predicted.chosen[here] == after.predicted.chosen[here]).all()
    assert (before.predicted.thresholds[1] == after.predicted.thresholds[1]).all()
    assert (before.predicted.thresholds[0] != after.predicted.thresholds[0]).any()


def test_a_group_shows_what_any_of_its_pictures_is_labelled_with():
    parts, truth, _ = folds(3, 0.1)
    labels = truth & (np.arange(60) % 4 == 2)[:, None]
    found = answer_groups(parts, labels, FOLD, GROUPS, "half_f1", always=False)
    assert (found.truth == truth[::4]).all()

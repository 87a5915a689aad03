"""Level 1 is calibrated where positives allow, and stays linear."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from models import meta_learner as heads
from models.tuning import normalised_log_loss
from models.meta_learner import CALIBRATED, Head, fit_head, mean_group_size, nested_answers, outer_folds

HEAD = Head("stack", (0, 1))


def overconfident(rows: int, prior: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make log-odds of two locations and one source that are three times what they should be."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(prior, 1.5, (rows, 2))
    targets = rng.random((rows, 2)) < expit(log_odds)
    return 3 * log_odds[:, :, None], targets, (np.arange(rows) % 4).astype(np.int16)


def test_probabilities_mean_what_they_say_where_positives_allow() -> None:
    margins, targets, fold = overconfident(3000, -1.0)
    new, truth, _ = overconfident(3000, -1.0, seed=1)
    log_odds = fit_head(HEAD, margins, targets, fold, "half_f1").log_odds(new)
    for place in range(2):
        assert normalised_log_loss(log_odds[:, place], truth[:, place]) < 0.82
        assert normalised_log_loss(new[:, place, 0], truth[:, place]) > 0.85
        chance = expit(log_odds[:, place])
        sure = chance > 0.7
        assert abs(truth[sure, place].mean() - chance[sure].mean()) < 0.03


def test_only_locations_with_enough_positives_are_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    margins, targets, fold = overconfident(600, -2.0)
    targets[np.flatnonzero(targets[:, 1])[CALIBRATED - 5 :], 1] = False
    assert targets[:, 1].sum() < CALIBRATED <= targets[:, 0].sum()
    with_it = fit_head(HEAD, margins, targets, fold, "half_f1").linear
    monkeypatch.setattr(heads, "CALIBRATED", 10_000)
    without = fit_head(HEAD, margins, targets, fold, "half_f1").linear
    assert np.array_equal(with_it[1].weights, without[1].weights)
    assert not np.array_equal(with_it[0].weights, without[0].weights)
    stretch = with_it[0].weights / without[0].weights
    assert np.allclose(stretch, stretch[0])  # a factor: contributions keep adding up


def test_rows_that_come_five_times_say_as_much_as_one() -> None:
    margins, targets, fold = overconfident(400, -1.0)
    once = fit_head(HEAD, margins, targets, fold, "half_f1")
    groups = np.repeat(np.arange(400), 5)
    several = replace(HEAD, group_size=mean_group_size(groups))
    repeated = fit_head(several, margins[groups], targets[groups], fold[groups], "half_f1")
    taken_for_independent = fit_head(HEAD, margins[groups], targets[groups], fold[groups], "half_f1")
    for one, five, wrong in zip(once.linear, repeated.linear, taken_for_independent.linear, strict=True):
        assert five.weights == pytest.approx(one.weights, rel=1e-4)
        assert five.bias == pytest.approx(one.bias, rel=1e-4)
        assert wrong.weights != pytest.approx(one.weights, rel=1e-2)


def test_calibration_of_an_outer_fold_does_not_see_its_labels() -> None:
    margins, targets, fold = overconfident(400, -1.0)
    inner = [np.where((fold == number)[:, None, None], np.nan, margins) for number in range(4)]
    other = targets.copy()
    other[fold == 2] = ~other[fold == 2]
    one, two = (nested_answers(HEAD, inner, margins, Y, fold, "f1") for Y in (targets, other))
    assert np.array_equal(one.probability[fold == 2], two.probability[fold == 2])
    assert np.array_equal(one.chosen[fold == 2], two.chosen[fold == 2])
    assert not np.array_equal(one.probability[fold == 1], two.probability[fold == 1])


def test_what_thresholds_are_chosen_on_is_out_of_fold() -> None:
    margins, targets, fold = overconfident(400, -1.0)
    inner = [np.where((fold == number)[:, None, None], np.nan, margins) for number in range(4)]
    part = outer_folds(HEAD, inner, margins, targets, fold)[0]
    assert part.inside.shape == (300, 2)
    assert part.probability.shape == (100, 2)
    assert not np.isnan(part.inside).any()

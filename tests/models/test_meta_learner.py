"""The meta-learner is calibrated where positives allow, and stays linear."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from models import meta_learner
from models.meta_learner import (
    CALIBRATED,
    SOURCES,
    MetaLearner,
    fit_meta_learner,
    fitted_share,
    mean_group_size,
    nested_predictions,
    outer_folds,
)
from models.nested import Nested
from models.tuning import normalised_log_loss

META = MetaLearner("stack", (0, 1))


def overconfident(rows: int, prior: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make log-odds of two locations and one source that are three times what they should be."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(prior, 1.5, (rows, 2))
    targets = rng.random((rows, 2)) < expit(log_odds)
    return 3 * log_odds[:, :, None], targets, (np.arange(rows) % 4).astype(np.int16)


def test_probabilities_mean_what_they_say_where_positives_allow() -> None:
    base, targets, fold = overconfident(3000, -1.0)
    new, truth, _ = overconfident(3000, -1.0, seed=1)
    log_odds = fit_meta_learner(META, base, targets, fold, "half_f1").log_odds(new)
    for k in range(2):
        assert normalised_log_loss(log_odds[:, k], truth[:, k]) < 0.82
        assert normalised_log_loss(new[:, k, 0], truth[:, k]) > 0.85
        chance = expit(log_odds[:, k])
        sure = chance > 0.7
        assert abs(truth[sure, k].mean() - chance[sure].mean()) < 0.03


def test_only_locations_with_enough_positives_are_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    base, targets, fold = overconfident(600, -2.0)
    targets[np.flatnonzero(targets[:, 1])[CALIBRATED - 5 :], 1] = False
    assert targets[:, 1].sum() < CALIBRATED <= targets[:, 0].sum()
    with_it = fit_meta_learner(META, base, targets, fold, "half_f1").linear
    monkeypatch.setattr(meta_learner, "CALIBRATED", 10_000)
    without = fit_meta_learner(META, base, targets, fold, "half_f1").linear
    assert np.array_equal(with_it[1].weights, without[1].weights)
    assert not np.array_equal(with_it[0].weights, without[0].weights)


def test_the_meta_learner_stays_linear_when_it_is_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    base, targets, fold = overconfident(600, -2.0)
    fitted = fit_meta_learner(META, base, targets, fold, "half_f1")
    by_hand = np.column_stack([one.bias + base.reshape(600, -1) @ one.weights for one in fitted.linear])
    np.testing.assert_allclose(fitted.log_odds(base), by_hand)
    monkeypatch.setattr(meta_learner, "CALIBRATED", 10_000)
    monkeypatch.setattr(meta_learner, "fitted_share", lambda *_: 1.0)
    without = fit_meta_learner(META, base, targets, fold, "half_f1").linear[0].weights
    monkeypatch.setattr(meta_learner, "CALIBRATED", CALIBRATED)
    stretch = fit_meta_learner(META, base, targets, fold, "half_f1").linear[0].weights / without
    assert np.allclose(stretch, stretch[0])  # a factor: contributions keep adding up


def test_fitted_weights_and_the_plain_mean_share_by_what_they_cost_out_of_fold() -> None:
    known = np.array([[True], [False], [True], [False]])
    good, bad = np.where(known, 2.0, -2.0), np.where(known, -2.0, 2.0)
    assert fitted_share(good, good, known, 1.0) == 0.5
    assert fitted_share(good, bad, known, 1.0) > 0.99
    assert fitted_share(bad, good, known, 1.0) < 0.01
    assert fitted_share(good, bad, known, 8.0) == pytest.approx(expit(1.0))  # 4 rows x 2 log-odds / 8
    twice = [np.tile(some, 3) for some in (good, bad, known)]
    assert fitted_share(*twice, 8.0) == pytest.approx(expit(1.0))  # locations are no more evidence


def test_few_groups_get_the_plain_mean_where_it_is_the_better_one() -> None:
    """Two sources as good as each other, twelve groups of many rows, and labels that shift between folds."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(12), 20)
    fold = (group % 4).astype(np.int16)
    truth = rng.random((12, 2))[group] < np.array([0.15, 0.5, 0.8, 0.95])[fold][:, None]
    base = np.where(truth, 2.0, -2.0)[:, :, None] + rng.normal(0, 2.0, (240, 2, 2))
    several = replace(META, group_size=mean_group_size(group))
    plain = fit_meta_learner(several, base, truth, fold, "f1").log_odds(base)
    assert np.corrcoef(plain.ravel(), base.mean(axis=2).ravel())[0, 1] > 0.98


def test_mixing_leaves_what_is_returned_out_of_fold_in_step_with_the_functions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base, targets, fold = overconfident(400, -1.0)
    inner = [np.where((fold == number)[:, None, None], np.nan, base) for number in range(4)]
    monkeypatch.setattr(meta_learner, "fitted_share", lambda *_: 0.0)
    part = outer_folds(META, Nested(inner, base, base), targets, fold)[1]
    np.testing.assert_allclose(part.inside, expit(base[part.rest].mean(axis=2)))
    np.testing.assert_allclose(part.probability, expit(base[~part.rest].mean(axis=2)))


def test_rows_that_come_five_times_say_as_much_as_one() -> None:
    base, targets, fold = overconfident(400, -1.0)
    once = fit_meta_learner(META, base, targets, fold, "half_f1")
    groups = np.repeat(np.arange(400), 5)
    several = replace(META, group_size=mean_group_size(groups))
    repeated = fit_meta_learner(several, base[groups], targets[groups], fold[groups], "half_f1")
    taken_for_independent = fit_meta_learner(META, base[groups], targets[groups], fold[groups], "half_f1")
    for one, five, wrong in zip(once.linear, repeated.linear, taken_for_independent.linear, strict=True):
        assert five.weights == pytest.approx(one.weights, rel=1e-4)
        assert five.bias == pytest.approx(one.bias, rel=1e-4)
        assert wrong.weights != pytest.approx(one.weights, rel=1e-2)


def test_calibration_of_an_outer_fold_does_not_see_its_labels() -> None:
    base, targets, fold = overconfident(400, -1.0)
    inner = [np.where((fold == number)[:, None, None], np.nan, base) for number in range(4)]
    other = targets.copy()
    other[fold == 2] = ~other[fold == 2]
    one, two = (nested_predictions(META, Nested(inner, base, base), Y, fold, "f1") for Y in (targets, other))
    assert np.array_equal(one.probability[fold == 2], two.probability[fold == 2])
    assert np.array_equal(one.chosen[fold == 2], two.chosen[fold == 2])
    assert not np.array_equal(one.probability[fold == 1], two.probability[fold == 1])


def test_what_thresholds_are_chosen_on_is_out_of_fold() -> None:
    base, targets, fold = overconfident(400, -1.0)
    inner = [np.where((fold == number)[:, None, None], np.nan, base) for number in range(4)]
    part = outer_folds(META, Nested(inner, base, base), targets, fold)[0]
    assert part.inside.shape == (300, 2)
    assert part.probability.shape == (100, 2)
    assert not np.isnan(part.inside).any()


def test_many_rows_need_no_plain_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    base, targets, fold = overconfident(400, -1.0)
    base /= 3
    mixed = fit_meta_learner(META, base, targets, fold, "half_f1").linear
    monkeypatch.setattr(meta_learner, "FEW", 400)
    alone = fit_meta_learner(META, base, targets, fold, "half_f1").linear
    assert mixed[0].bias != alone[0].bias
    monkeypatch.setattr(meta_learner, "fitted_share", lambda *_: 1.0)
    monkeypatch.setattr(meta_learner, "FEW", 401)
    fitted = fit_meta_learner(META, base, targets, fold, "half_f1").linear
    assert np.array_equal(fitted[0].weights, alone[0].weights)


def test_more_sources_that_say_the_same_of_other_locations_do_not_say_more() -> None:
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-1, 1.5, (1200, 2))
    targets = rng.random((1200, 2)) < expit(log_odds + log_odds[:, ::-1] / 4)
    fold = (np.arange(1200) % 4).astype(np.int16)

    def others(copies: int) -> float:
        base = np.repeat(log_odds[:, :, None], copies, axis=2)
        weights = fit_meta_learner(META, base, targets, fold, "half_f1").linear[0].weights
        return float(weights[copies:].sum())

    assert others(1) < others(SOURCES)  # so few are shrunk alike
    np.testing.assert_allclose([others(8), others(16)], others(SOURCES), rtol=0.02)

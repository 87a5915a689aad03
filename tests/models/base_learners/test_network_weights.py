"""What networks say themselves, weighted alike for all locations."""

import numpy as np
from scipy.special import expit

from models.base_learners import LEARNERS
from models.base_learners.votes import scaled
from models.hyperparameters import defaults

KIND = "network_weights"


def networks(rows, noises, seed=0, locations=4):
    """Return the table of networks whose log-odds of the truth are so noisy, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.random((rows, locations)) < 0.3
    values = [3.0 * (2 * truth - 1) + noise * rng.normal(size=truth.shape) for noise in noises]
    return scaled(expit(np.stack(values, axis=1)).astype(np.float32)).reshape(rows, -1), truth, values


def fitted(table, truth):
    return LEARNERS[KIND].fit(table, truth, defaults(KIND, len(truth)), 0)


def test_one_network_keeps_its_order_from_any_number_of_rows():
    table, truth, (values,) = networks(30, [2.0])
    learner = fitted(table, truth)
    found = learner.log_odds(table)
    assert (np.argsort(found, axis=0) == np.argsort(values, axis=0)).all()


def test_better_networks_count_more():
    table, truth, _ = networks(2000, [1.0, 6.0])
    weights = fitted(table, truth).weights
    assert weights[0] > 4 * abs(weights[1])


def test_few_rows_leave_the_networks_mean():
    table, truth, values = networks(2, [1.0, 1.0], seed=1)
    found = fitted(table, truth).log_odds(table)
    np.testing.assert_allclose(found, np.mean(values, axis=0), atol=0.6)


def test_it_splits_its_log_odds_and_reads_back_what_it_wrote():
    table, truth, _ = networks(200, [1.0, 2.0, 3.0])
    table[3, :4] = np.nan
    learner = fitted(table, truth)
    again = LEARNERS[KIND].from_bytes(learner.to_bytes())
    np.testing.assert_array_equal(again.log_odds(table), learner.log_odds(table))
    parts = learner.contributions(table)
    np.testing.assert_allclose(parts.sum(axis=2).T, learner.log_odds(table), atol=1e-12)
    assert np.isfinite(parts).all()


def test_unknown_labels_do_not_count():
    table, truth, _ = networks(400, [1.0, 4.0])
    labels = truth.astype(np.float32)
    labels[::2] = np.nan
    half = fitted(table[1::2], truth[1::2])
    np.testing.assert_allclose(fitted(table, labels).weights, half.weights, rtol=1e-6)


def test_locations_that_nothing_is_known_of_are_answered_all_the_same():
    table, truth, _ = networks(100, [1.0])
    truth[:, 2] = False
    assert np.isfinite(fitted(table, truth).log_odds(table)).all()
    nothing = fitted(table, np.zeros_like(truth))
    np.testing.assert_array_equal(nothing.weights, [1.0])

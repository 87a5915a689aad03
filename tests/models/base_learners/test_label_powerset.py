"""Networks over sets of locations: combinations count, and unknown labels do not."""

import numpy as np
import pytest
from scipy.special import expit

from models.base_learners.label_powerset import LabelPowerset
from models.hyperparameters import NetworkHyperparameters

SMALL = NetworkHyperparameters(networks=2, hidden=16, epochs=8, batch=64)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    """Two locations that never come together, each seen by two networks through noise."""
    rng = np.random.default_rng(0)
    first = rng.random(400) < 0.5
    truth = np.stack([first, ~first], axis=1)
    seen = truth[:, None] + rng.normal(0, 0.7, (400, 2, 2))
    return expit(4 * seen - 2).astype(np.float32).reshape(400, -1), truth


def test_locations_that_never_come_together_are_not_both_likely(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, truth = data
    both = np.full((1, 4), 0.9, np.float32)
    one = NetworkHyperparameters(networks=1, hidden=16, epochs=8, batch=64)
    probability = expit(LabelPowerset.fit(X, truth, one, 0).log_odds(np.concatenate([X, both])))
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-5)
    assert ((probability[:400] > 0.5) == truth).mean() > 0.8


def test_it_is_repeatable_and_read_back_predicts_alike(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, truth = data
    one, again, other = (LabelPowerset.fit(X, truth, SMALL, seed) for seed in (0, 0, 5))
    assert one.to_bytes() == again.to_bytes() != other.to_bytes()
    read = LabelPowerset.from_bytes(one.to_bytes())
    assert np.array_equal(read.log_odds(X), one.log_odds(X))


def test_contributions_are_one_pseudo_column_and_the_bias(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, truth = data
    learner = LabelPowerset.fit(X, truth, SMALL, 0)
    parts = learner.contributions(X)
    assert parts.shape == (2, 400, 2)
    np.testing.assert_allclose(parts.sum(axis=2).T, learner.log_odds(X), atol=1e-12)
    assert np.abs(parts[:, :, 0].mean(axis=1)).max() < 1e-9  # measured from the mean
    assert np.ptp(parts[:, :, 1], axis=1).max() == 0


def test_labels_that_may_not_be_learned_from_change_nothing(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, truth = data
    hidden = np.random.default_rng(0).random(truth.shape) < 0.3
    one, other = (np.where(hidden, np.nan, some).astype(np.float32) for some in (truth, truth ^ hidden))
    learner = LabelPowerset.fit(X, one, SMALL, 0)
    assert learner.to_bytes() == LabelPowerset.fit(X, other, SMALL, 0).to_bytes()
    assert ((learner.log_odds(X) > 0) == truth).mean() > 0.7

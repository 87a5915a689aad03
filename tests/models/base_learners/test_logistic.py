"""Ridge logistic regression around a prior."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from models.base_learners.logistic import fit_logistic
from models.meta_learner import pooled_weights


def sample(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(rows, 3)) + 1.5
    return Z, rng.random(rows) < expit(Z @ [1.0, 0.5, -0.5] - 1.5)


def test_without_a_prior_it_is_ridge_logistic_regression() -> None:
    Z, y = sample(300, 0)
    ours = fit_logistic(Z, y, np.zeros(3), np.full(3, 2.0))
    theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=1000).fit(Z, y)
    assert np.allclose(ours.weights, theirs.coef_[0], atol=1e-5)
    assert ours.bias == pytest.approx(theirs.intercept_[0], abs=1e-4)
    assert np.allclose(ours(Z), theirs.decision_function(Z), atol=1e-4)


def test_few_positives_stay_near_the_prior_and_many_leave_it() -> None:
    prior = np.array([3.0, 3.0, 3.0])
    few = fit_logistic(*sample(12, 1), prior, np.full(3, 10.0))
    many = fit_logistic(*sample(20_000, 1), prior, np.full(3, 10.0))
    assert np.abs(many.weights - [1.0, 0.5, -0.5]).max() < 0.1
    assert np.abs(few.weights - prior).max() < np.abs(many.weights - prior).max()


def test_separable_rows_give_finite_weights() -> None:
    Z = np.linspace(-1, 1, 20)[:, None]
    linear = fit_logistic(Z, Z[:, 0] > 0, np.ones(1), np.full(1, 1.0))
    assert 1 < linear.weights[0] < 50


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="positives and negatives"):
        fit_logistic(np.ones((3, 1)), np.ones(3, dtype=bool), np.zeros(1), np.ones(1))


def test_pooled_weights_are_those_of_all_locations_with_an_intercept_each() -> None:
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(4000, 4, 2))
    log_odds = Z @ [0.8, 0.3] + np.array([-3.0, -1.0, 0.0, 1.0])
    targets = rng.random((4000, 4)) < expit(log_odds)
    weights = pooled_weights(Z, targets, np.full(2, 0.5), 1.0)
    assert np.allclose(weights, [0.8, 0.3], atol=0.05)
    one_hot = np.eye(4)[np.tile(np.arange(4), 4000)]
    stacked = np.column_stack([Z.reshape(-1, 2), 1e3 * one_hot])  # intercepts without a penalty
    both = LogisticRegression(C=1e8, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(
        stacked, targets.ravel()
    )
    assert np.allclose(pooled_weights(Z, targets, np.zeros(2), 1e-6), both.coef_[0, :2], atol=1e-3)

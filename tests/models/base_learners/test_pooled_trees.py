"""Trees over pairs of a row and a location: rare locations learn from common ones."""

from dataclasses import replace

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score

from models.base_learners.pooled_trees import PooledTrees
from models.base_learners.trees import LightGBMTrees
from models.hyperparameters import Hyperparameters, defaults

POOLED = defaults("pooled_trees", 0)

SHARES = np.array([0.4, 0.3, 0.2, 0.01])
"""The last location has a handful of positives."""

QUALITY = np.array([3.0, 1.0, 0.2])
"""How well each of three networks sees; it is the same for all locations."""


def published(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hard labels of networks that differ in quality alike for all locations, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.random((rows, 4)) < SHARES
    seen = (2 * truth[:, None] - 1) * QUALITY[None, :, None] + rng.normal(0, 1.5, (rows, 3, 4))
    return (seen > 1).astype(np.float32), truth


def flat(outputs: np.ndarray) -> np.ndarray:
    return outputs.reshape(len(outputs), -1)


def fitted(outputs: np.ndarray, truth: np.ndarray, hyperparameters: Hyperparameters = POOLED) -> PooledTrees:
    return PooledTrees.fit(flat(outputs), truth, hyperparameters, 0)


def test_a_rare_location_learns_which_network_to_trust_from_the_others() -> None:
    outputs, truth = published(800, seed=11)
    asked, known = published(20_000, seed=12)
    predicted = fitted(outputs, truth).log_odds(flat(asked))
    assert truth[:, 3].sum() < 12
    precision = average_precision_score(known[:, 3], predicted[:, 3])
    assert precision > average_precision_score(known[:, 3], asked.mean(axis=1)[:, 3]) + 0.05
    assert np.abs(expit(predicted).mean(axis=0) - SHARES).max() < 0.04


def test_it_is_repeatable_and_knows_nothing_of_other_rows() -> None:
    outputs, truth = published(300, seed=11)
    trees = fitted(outputs, truth)
    whole = trees.log_odds(flat(outputs))
    assert np.array_equal(whole, fitted(outputs, truth).log_odds(flat(outputs)))
    assert np.array_equal(whole[40:50], trees.log_odds(flat(outputs[40:50])))


def test_examples_that_count_nothing_change_nothing() -> None:
    outputs, truth = published(2000, seed=11)
    seen, known = outputs[:, :, 0], truth[:, 0]
    both = np.concatenate([seen, seen]), np.concatenate([known, ~known])
    weight = np.repeat([1.0, 0.0], 2000).astype(np.float32)
    weighed = LightGBMTrees.fit(*both, POOLED, 0, weight).log_odds(seen)
    misled = LightGBMTrees.fit(*both, POOLED, 0).log_odds(seen)
    assert average_precision_score(known, weighed) > 0.8
    assert average_precision_score(known, misled) < 0.7


def test_unnamed_examples_are_sampled_without_shifting_probabilities() -> None:
    rng = np.random.default_rng(13)
    truth = rng.random((4000, 4)) < 0.2
    silent = np.zeros((4000, 3, 4), np.float32)
    predicted = expit(fitted(silent, truth).log_odds(flat(silent)))
    assert np.abs(predicted.mean() - 0.2) < 0.03


def test_sampled_examples_stand_for_those_left_out() -> None:
    outputs, truth = published(4000, seed=11)
    # It cannot split: all it learns is the share.
    stump = fitted(outputs, truth, replace(POOLED, min_rows=10**6))
    predicted = expit(stump.log_odds(flat(outputs[:10])))
    assert np.ptp(predicted) < 1e-9
    assert abs(predicted.mean() - truth.mean()) < 0.01


def test_labels_that_may_not_be_learned_from_change_nothing() -> None:
    outputs, truth = published(300, seed=11)
    hidden = np.random.default_rng(0).random(truth.shape) < 0.3
    one, other = (np.where(hidden, np.nan, some).astype(np.float32) for some in (truth, truth ^ hidden))
    assert fitted(outputs, one).to_bytes() == fitted(outputs, other).to_bytes()
    assert fitted(outputs, one).to_bytes() != fitted(outputs, truth).to_bytes()

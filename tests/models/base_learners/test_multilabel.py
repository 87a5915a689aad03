"""One XGBoost model of all locations, and its exact contributions."""

import itertools
import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from models.base_learners.multilabel import MultilabelBooster, MultilabelTrees
from models.feature_selection import shared_columns
from models.hyperparameters import Settings

SMALL = Settings(columns=8, trees=12, leaves=7, column_share=1.0, learning_rate=0.2)


@pytest.fixture(scope="module")
def data() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 8)).astype(np.float32)
    score = np.column_stack([X[:, 0] + X[:, 1], X[:, 0] - X[:, 2], X[:, 3] * X[:, 4]])
    Y = score + 0.5 * rng.normal(size=score.shape) > [0.3, 1.0, 0.8]
    X[rng.random(X.shape) < 0.1] = np.nan
    return X, Y


def test_it_learns_every_location_with_missing_values(data: tuple) -> None:
    X, Y = data
    booster = MultilabelBooster(SMALL).fit(X[:200], Y[:200])
    margin = booster.decision_function(X[200:])
    assert margin.shape == (100, 3)
    assert min(roc_auc_score(Y[200:, k], margin[:, k]) for k in range(3)) > 0.65
    assert np.array_equal(booster.predict(X), booster.predict_proba(X) > 0.5)


def test_contributions_sum_to_the_log_odds_of_every_location(data: tuple) -> None:
    X, Y = data
    booster = MultilabelBooster(SMALL).fit(X, Y)
    parts = booster.contributions(X)
    assert parts.shape == (3, 300, 9)
    assert np.abs(parts.sum(axis=2) - booster.decision_function(X).T).max() < 1e-9
    assert np.ptp(parts[:, :, -1], axis=1).max() < 1e-5  # rounding alone: the bias belongs to no row


def known_only(tree: dict, x: NDArray[np.float32], known: set[int], node: int = 0) -> NDArray[np.float64]:
    """Return a tree's answer where only some features are known, by walking it."""
    if tree["left_children"][node] < 0:
        return np.array(tree["leaf_weights"]).reshape(-1, 3)[tree["right_children"][node]]
    left, right = tree["left_children"][node], tree["right_children"][node]
    feature = tree["split_indices"][node]
    if feature in known:
        value = x[feature]
        goes_left = (
            bool(tree["default_left"][node])
            if np.isnan(value)
            else value < np.float32(tree["split_conditions"][node])
        )
        return known_only(tree, x, known, left if goes_left else right)
    cover = tree["sum_hessian"]
    return sum(cover[child] / cover[node] * known_only(tree, x, known, child) for child in (left, right))


def test_contributions_are_shapley_values_of_the_trees(data: tuple) -> None:
    X, Y = data
    trees = MultilabelTrees.grow(X[:, :5], Y, np.ones(Y.shape, dtype=bool), SMALL, 0)
    model = json.loads(bytes(trees.booster.save_raw("json")))["learner"]["gradient_booster"]["model"]
    parts = trees.contributions(X[:12, :5])
    for row in range(12):
        value = {
            some: sum(known_only(tree, X[row, :5], set(some)) for tree in model["trees"])
            for size in range(6)
            for some in itertools.combinations(range(5), size)
        }
        for feature in range(5):
            shapley = np.zeros(3)
            for some, answer in value.items():
                if feature in some:
                    continue
                weight = math.factorial(len(some)) * math.factorial(4 - len(some)) / math.factorial(5)
                shapley += weight * (value[tuple(sorted((*some, feature)))] - answer)
            assert np.allclose(parts[:, row, feature], shapley, atol=1e-6)
        assert np.allclose(parts[:, row, -1], trees.prior + value[()], atol=1e-6)


def test_the_same_fit_twice_gives_the_same_bytes_and_reads_back_alike(data: tuple) -> None:
    X, Y = data
    booster = MultilabelBooster(SMALL, seed=5).fit(X, Y)
    content = booster.trees_.to_bytes()
    assert content == clone(booster).fit(X, Y).trees_.to_bytes()
    again = MultilabelBooster().restore(MultilabelTrees.from_bytes(content), booster.kept_, 8)
    assert np.array_equal(again.decision_function(X), booster.decision_function(X))
    assert np.array_equal(again.contributions(X), booster.contributions(X))


def test_labels_that_may_not_be_learned_from_change_nothing(data: tuple) -> None:
    X, Y = data
    learn = np.ones(Y.shape, dtype=bool)
    learn[::4, 1] = False
    wrong = Y.copy()
    wrong[::4, 1] = ~wrong[::4, 1]
    one, other = (MultilabelTrees.grow(X, labels, learn, SMALL, 0) for labels in (Y, wrong))
    assert np.array_equal(one.margin(X), other.margin(X))
    all_learned = MultilabelTrees.grow(X, wrong, np.ones(Y.shape, dtype=bool), SMALL, 0)
    assert not np.array_equal(one.margin(X), all_learned.margin(X))


def test_weighing_positives_raises_their_probability(data: tuple) -> None:
    X, Y = data
    weighed = Settings(columns=8, trees=12, column_share=1.0, positive_weight=1.0)
    margins = [MultilabelBooster(some).fit(X, Y).decision_function(X) for some in (SMALL, weighed)]
    assert (margins[1].mean(axis=0) > margins[0].mean(axis=0) + 0.2).all()


def test_columns_are_kept_for_every_location_in_turn() -> None:
    order = np.array([[3, 0, 1, 2, 4], [3, 4, 2, 1, 0]], dtype=np.int32)
    assert shared_columns(order, 2).tolist() == [0, 3]
    assert shared_columns(order, 3).tolist() == [0, 3, 4]
    assert shared_columns(order, 9).tolist() == [0, 1, 2, 3, 4]


def test_a_location_with_one_class_is_refused(data: tuple) -> None:
    X, Y = data
    with pytest.raises(ValueError, match="location 1 has examples of one class only"):
        MultilabelBooster(SMALL).fit(X, Y & [True, False, True])

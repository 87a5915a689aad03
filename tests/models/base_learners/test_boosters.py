"""Both libraries behave as one scikit-learn classifier."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from models.base_learners.trees import BinaryBooster
from models.base_learners.trees import READ
from models.feature_selection import centred_ranks, columns_by_separation, sides
from models.hyperparameters import BINARY_KINDS as KINDS
from models.hyperparameters import Kind, Settings

Table = NDArray[np.float32]
SMALL = Settings(columns=12, trees=25, column_share=1.0)


@pytest.fixture(scope="module")
def data() -> tuple[Table, NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 30)).astype(np.float32)
    y = X[:, 3] + X[:, 17] + 0.5 * rng.normal(size=240) > 0.8
    X[rng.random(X.shape) < 0.1] = np.nan
    return X, y


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_with_missing_values(kind: Kind, data: tuple[Table, NDArray[np.bool_]]) -> None:
    X, y = data
    booster = BinaryBooster(kind, SMALL).fit(X[:160], y[:160])
    assert roc_auc_score(y[160:], booster.decision_function(X[160:])) > 0.8
    probability = booster.predict_proba(X)
    assert np.allclose(probability.sum(axis=1), 1)
    assert np.array_equal(booster.predict(X), probability[:, 1] > 0.5)


def test_lightgbm_keeps_a_column_that_is_zero_in_all_but_a_few_of_many_rows() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((40_000, 2)).astype(np.float32)
    X[:, 0] = 0
    X[rng.permutation(len(X))[:6], 0] = 1
    y = (rng.random(len(X)) < 0.3) | (X[:, 0] > 0)
    booster = BinaryBooster("lightgbm", Settings(min_rows=2, row_share=1.0)).fit(X, y)
    assert booster.decision_function(X)[X[:, 0] > 0].min() > 1


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_sum_to_the_log_odds(kind: Kind, data: tuple[Table, NDArray[np.bool_]]) -> None:
    X, y = data
    booster = BinaryBooster(kind, SMALL).fit(X, y)
    parts = booster.contributions(X)
    assert parts.shape == (240, 31)
    assert np.abs(parts.sum(axis=1) - booster.decision_function(X)).max() < 1e-9
    assert np.ptp(parts[:, -1]) < 1e-5  # rounding alone: the bias belongs to no row
    unused = np.setdiff1d(np.arange(30), booster.kept_)
    assert not parts[:, unused].any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_fit_twice_gives_the_same_bytes(kind: Kind, data: tuple[Table, NDArray[np.bool_]]) -> None:
    booster = BinaryBooster(kind, SMALL, seed=5).fit(*data)
    assert booster.trees_.to_bytes() == clone(booster).fit(*data).trees_.to_bytes()
    other = BinaryBooster(kind, SMALL, seed=6).fit(*data)
    same = np.array_equal(booster.decision_function(data[0]), other.decision_function(data[0]))
    assert same == (kind == "linear")  # chance has no part in a linear fit


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_read_back_answer_alike_to_the_bit(kind: Kind, data: tuple[Table, NDArray[np.bool_]]) -> None:
    booster = BinaryBooster(kind, SMALL).fit(*data)
    trees = READ[kind](booster.trees_.to_bytes())
    again = BinaryBooster(kind).restore(trees, booster.kept_, 30)
    assert np.array_equal(again.decision_function(data[0]), booster.decision_function(data[0]))


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
def test_weighing_positives_raises_their_probability(
    kind: Kind, data: tuple[Table, NDArray[np.bool_]]
) -> None:
    plain = BinaryBooster(kind, SMALL).fit(*data)
    weighed = BinaryBooster(kind, Settings(columns=12, trees=25, column_share=1.0, positive_weight=1.0)).fit(
        *data
    )
    assert weighed.decision_function(data[0]).mean() > plain.decision_function(data[0]).mean() + 0.2


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="needs examples of two classes, not of 1"):
        BinaryBooster().fit(np.ones((5, 2), dtype=np.float32), np.ones(5, dtype=bool))


def test_ranks_are_centred_and_missing_values_are_in_the_middle() -> None:
    X = np.array([[5.0], [np.nan], [7.0], [100.0]], dtype=np.float32)
    assert centred_ranks(X)[:, 0].tolist() == [-0.5, 0.0, 0.0, 0.5]


def test_the_columns_that_separate_best_are_kept_whatever_their_sign_or_scale() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 10)).astype(np.float32)
    y = np.arange(60) < 20
    X[y, 4] -= 3
    X[:, 8] = 1000 * (X[:, 8] + 3 * y)
    assert sorted(columns_by_separation(centred_ranks(X), sides(y)[None])[0, :2]) == [4, 8]


def test_rows_that_are_not_used_have_no_say_in_the_columns() -> None:
    X = np.zeros((40, 3), dtype=np.float32)
    y = np.arange(40) % 2 == 0
    X[:, 0] = np.where(np.arange(40) < 20, 0, y)  # separates only the rows that are not used
    X[:, 2] = np.where(np.arange(40) < 20, y, 0)
    used = np.arange(40) < 20
    assert columns_by_separation(centred_ranks(X), sides(y, used)[None])[0, 0] == 2


def test_a_linear_fit_is_the_same_in_the_space_of_rows_and_of_columns() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 39)).astype(np.float32)
    y = X[:, 0] + 0.3 * rng.normal(size=40) > 0
    settings = Settings(columns=100, l2=5.0)
    few = BinaryBooster("linear", settings).fit(X, y)
    constant = np.column_stack([X, np.ones((40, 2), dtype=np.float32)])  # more columns than rows now
    many = BinaryBooster("linear", settings).fit(constant, y)
    assert np.allclose(few.decision_function(X), many.decision_function(constant), atol=1e-6)
    assert not many.contributions(constant)[:, 39:41].any()

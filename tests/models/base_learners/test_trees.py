"""Learners of one location behave alike, whatever the library."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from models.base_learners import LEARNERS
from models.base_learners.trees import BINS, bin_values
from models.blocks import Block
from models.cross_fitting import Choice, CrossFitter, FittedLearner
from models.feature_selection import centred_ranks, class_weights, columns_by_separation
from models.hyperparameters import KINDS, MANY, TREES, Hyperparameters, Kind

Table = NDArray[np.float32]
SMALL = Hyperparameters(columns=12, trees=25, column_share=1.0)


def fitted(
    kind: Kind, X: Table, y: NDArray[np.bool_], hyperparameters: Hyperparameters = SMALL, seed: int = 0
) -> FittedLearner:
    """Fit to all rows, on the columns that are kept for it."""
    block = Block("block", tuple(map(str, range(X.shape[1]))), X, "", (kind,))
    fitter = CrossFitter([block], y[:, None], np.zeros(len(y), dtype=np.int16), seed=seed)
    return fitter.final_learners([Choice.same((0, kind), (0,), 1, hyperparameters)])[0]


def log_odds(learner: FittedLearner, X: Table) -> NDArray[np.float64]:
    return learner.log_odds(X)[:, 0]


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
    learner = fitted(kind, X[:160], y[:160])
    assert roc_auc_score(y[160:], log_odds(learner, X[160:])) > 0.8


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("kind", TREES)
def test_trees_keep_a_column_that_is_zero_in_all_but_a_few_of_many_rows(kind: Kind, shared: bool) -> None:
    rng = np.random.default_rng(0)
    X = rng.random((40_000, 2)).astype(np.float32)
    X[:, 0] = 0
    X[rng.permutation(len(X))[:6], 0] = 1
    y = (rng.random(len(X)) < 0.3) | (X[:, 0] > 0)
    bins = {"bins": bin_values(X)} if shared else {}
    learner = LEARNERS[kind].fit(X, y, Hyperparameters(min_rows=2, row_share=1.0), 0, **bins)
    assert learner.log_odds(X)[X[:, 0] > 0].min() > 1


def test_bins_spread_rows_and_a_common_value_has_one_to_itself() -> None:
    rng = np.random.default_rng(0)
    X = np.zeros((4000, 4), dtype=np.float32)
    X[:, 0] = rng.permutation(4000)
    X[:400, 1] = 1 + rng.permutation(400)
    X[:, 2] = np.arange(4000) % 3
    X[:10, :2] = np.nan
    bins = bin_values(X)
    assert bins.shape == (BINS + 1, 4)
    assert np.isnan(bins[-1]).all()
    held = np.diff(np.searchsorted(np.sort(X[10:, 0]), bins[:-1, 0]))
    assert held.min() >= 62
    assert held.max() <= 65
    zero, *others = np.unique(bins[:-1, 1])
    assert zero == 0
    assert len(others) >= BINS - 3
    assert np.diff(others).max() <= 10
    assert np.unique(bins[:-1, 2]).tolist() == [0, 1, 2]
    assert np.unique(bins[:-1, 3]).tolist() == [0]


def test_a_column_without_values_has_bins_without_values() -> None:
    assert np.isnan(bin_values(np.full((5, 1), np.nan, dtype=np.float32))).all()


@pytest.mark.parametrize("kind", TREES)
@pytest.mark.parametrize("rows", [MANY - 1, MANY])
def test_fits_of_a_table_of_many_rows_share_its_bins(kind: Kind, rows: int) -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(rows, 6)).astype(np.float32)
    X[rng.random(X.shape) < 0.2] = np.nan
    y = X[:, 1] + rng.normal(size=rows) > 0.5
    learner = fitted(kind, X, y)
    nodes = learner.learner.booster.trees_to_dataframe()
    thresholds = nodes["threshold" if kind == "lightgbm" else "Split"].dropna().to_numpy(np.float64)
    starts = np.sort(bin_values(X)[:-1].astype(np.float64), axis=0)
    if kind == "lightgbm":  # splits in the middle between values, and around 0
        starts = np.vstack([(starts[1:] + starts[:-1]) / 2, np.zeros(6)])
    off = np.abs(thresholds[:, None] - starts.ravel()).min(axis=1)
    assert (off.max() < 1e-6) == (rows == MANY)
    assert roc_auc_score(y, log_odds(learner, X)) > 0.75


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_sum_to_the_log_odds(kind: Kind, data: tuple[Table, NDArray[np.bool_]]) -> None:
    X, y = data
    learner = fitted(kind, X, y)
    parts = learner.contributions(X)[0]
    assert parts.shape == (240, 31)
    assert np.abs(parts.sum(axis=1) - log_odds(learner, X)).max() < 1e-9
    assert np.ptp(parts[:, -1]) < 1e-5  # rounding alone: the bias belongs to no row
    unused = np.setdiff1d(np.arange(30), learner.selected)
    assert not parts[:, unused].any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_fit_twice_gives_the_same_bytes(kind: Kind, data: tuple[Table, NDArray[np.bool_]]) -> None:
    one, again, other = (fitted(kind, *data, seed=seed) for seed in (5, 5, 6))
    assert one.learner.to_bytes() == again.learner.to_bytes()
    same = np.array_equal(log_odds(one, data[0]), log_odds(other, data[0]))
    assert same == (kind == "linear")  # chance has no part in a linear fit


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_read_back_predict_alike_to_the_bit(kind: Kind, data: tuple[Table, NDArray[np.bool_]]) -> None:
    X, y = data
    learner = LEARNERS[kind].fit(X, y, SMALL, 0)
    again = LEARNERS[kind].from_bytes(learner.to_bytes())
    assert np.array_equal(again.log_odds(X), learner.log_odds(X))


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
def test_weighing_positives_raises_their_probability(
    kind: Kind, data: tuple[Table, NDArray[np.bool_]]
) -> None:
    weight = Hyperparameters(columns=12, trees=25, column_share=1.0, positive_weight=1.0)
    plain, weighed = fitted(kind, *data), fitted(kind, *data, weight)
    assert log_odds(weighed, data[0]).mean() > log_odds(plain, data[0]).mean() + 0.2


def test_ranks_are_centred_and_missing_values_are_in_the_middle() -> None:
    X = np.array([[5.0], [np.nan], [7.0], [100.0]], dtype=np.float32)
    assert centred_ranks(X)[:, 0].tolist() == [-0.5, 0.0, 0.0, 0.5]


def test_the_columns_that_separate_best_are_kept_whatever_their_sign_or_scale() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 10)).astype(np.float32)
    y = np.arange(60) < 20
    X[y, 4] -= 3
    X[:, 8] = 1000 * (X[:, 8] + 3 * y)
    assert sorted(columns_by_separation(X, [class_weights(y)[None]])[0][0, :2]) == [4, 8]


def test_columns_ranked_block_by_block_are_ordered_as_all_at_once() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2500)).astype(np.float32)
    X[rng.random(X.shape) < 0.1] = np.nan
    y = rng.random((3, 50)) < 0.3
    weights = [np.stack([class_weights(one, used) for one in y]) for used in (y[0] | True, X[:, 0] > 0)]
    orders = columns_by_separation(X, weights)
    for order, some in zip(orders, weights, strict=True):
        separation = np.abs(some @ centred_ranks(X))
        assert np.array_equal(order, np.argsort(-separation, axis=1, kind="stable"))


def test_ranks_are_those_of_scipy_ties_and_infinite_values_included() -> None:
    X = np.random.default_rng(0).integers(0, 9, (40, 4)).astype(np.float32)
    X[3, 0], X[4, 1], X[5, 1] = np.inf, -0.0, 0.0
    X[7:, 2], X[:, 3] = np.nan, np.nan
    for column, ranks in zip(X.T, centred_ranks(X).T, strict=True):
        known = ~np.isnan(column)
        expected = (rankdata(column[known]) - (known.sum() + 1) / 2) / max(known.sum() - 1, 1)
        assert np.array_equal(ranks[known], expected.astype(np.float32))
        assert not ranks[~known].any()


def test_rows_that_are_not_used_have_no_say_in_the_columns() -> None:
    X = np.zeros((40, 3), dtype=np.float32)
    y = np.arange(40) % 2 == 0
    X[:, 0] = np.where(np.arange(40) < 20, 0, y)  # separates only the rows that are not used
    X[:, 2] = np.where(np.arange(40) < 20, y, 0)
    used = np.arange(40) < 20
    assert columns_by_separation(X, [class_weights(y, used)[None]])[0][0, 0] == 2


def test_a_linear_fit_is_the_same_in_the_space_of_rows_and_of_columns() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 39)).astype(np.float32)
    y = X[:, 0] + 0.3 * rng.normal(size=40) > 0
    ridge = Hyperparameters(columns=100, l2=5.0)
    few = fitted("linear", X, y, ridge)
    constant = np.column_stack([X, np.ones((40, 2), dtype=np.float32)])  # more columns than rows now
    many = fitted("linear", constant, y, ridge)
    assert np.allclose(log_odds(few, X), log_odds(many, constant), atol=1e-6)
    assert not many.contributions(constant)[0][:, 39:41].any()

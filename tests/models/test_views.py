"""Predictions without some columns: out of fold as all others, and better where learners saw rows without."""

import numpy as np
import pytest
from scipy.special import logit

from models.blocks import View
from models.stack_model import STACK
from models.stacking import StackedLocations
from tests.models.tables import LOCATIONS, Tables, make_tables

HALF = View("without half", {"features": np.arange(24) < 12})


def fitted(tables: Tables, views: tuple[View, ...] = (), **options: object) -> StackedLocations:
    return StackedLocations(**options).fit(tables.X, tables.Y, tables.fold, views=views)


def masked(tables: Tables, rows: np.ndarray) -> Tables:
    """Take the columns of the view out of some rows."""
    X = tables.X["features"].copy()
    X.iloc[rows, :12] = np.nan
    return Tables(tables.X | {"features": X}, tables.Y, tables.fold)


def test_views_change_nothing_else(tables: Tables, stack: StackedLocations) -> None:
    viewed = fitted(tables, (HALF,), seed=stack.seed)
    for name in (STACK, *LOCATIONS):
        before, after = (one.out_of_fold_[name].probability for one in (fitted(tables), viewed))
        np.testing.assert_array_equal(before, after)
    assert set(viewed.out_of_fold_) - set(stack.out_of_fold_) == {HALF.name}


@pytest.mark.parametrize("fold", [0, 2])
def test_a_view_is_predicted_as_if_the_fold_had_lacked_the_columns(tables: Tables, fold: int) -> None:
    inside = np.flatnonzero(tables.fold == fold)
    viewed = fitted(tables, (HALF,)).out_of_fold_[HALF.name]
    lacking = fitted(masked(tables, inside)).out_of_fold_[STACK]
    np.testing.assert_array_equal(viewed.probability[inside], lacking.probability[inside])
    np.testing.assert_array_equal(viewed.chosen[inside], lacking.chosen[inside])


def log_loss(stack: StackedLocations, name: str, truth: np.ndarray) -> float:
    probability = stack.out_of_fold_[name].probability
    return float(np.logaddexp(0, np.where(truth, -1, 1) * logit(probability)).mean())


def test_dropout_helps_where_columns_are_missing() -> None:
    tables = make_tables(240)
    most = View("without most", {"features": np.arange(24) < 20, "net": np.ones(6, dtype=bool)})
    truth = tables.Y.to_numpy()
    plain = fitted(tables, (most,), kinds=("lightgbm", "xgboost"))
    both = StackedLocations(kinds=("lightgbm", "xgboost"))
    both.fit(tables.X, tables.Y, tables.fold, views=(most,), dropout=True)
    assert log_loss(both, most.name, truth) < log_loss(plain, most.name, truth) - 0.02
    assert log_loss(both, STACK, truth) < log_loss(plain, STACK, truth) + 0.1


def test_a_row_and_its_copies_count_as_one(tables: Tables) -> None:
    same = View("the same", {"features": np.zeros(24, dtype=bool)})
    plain = fitted(tables, kinds=("linear",)).out_of_fold_[STACK].probability
    both = StackedLocations(kinds=("linear",))
    both.fit(tables.X, tables.Y, tables.fold, views=(same,), dropout=True)
    np.testing.assert_allclose(both.out_of_fold_[STACK].probability, plain, atol=1e-6)

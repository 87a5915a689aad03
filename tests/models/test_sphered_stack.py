"""Stacks that sphere their rows: by the rows that a fit learns from and no others, and again when loaded."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.blocks import Block
from models.bundle import load_model, save_model
from models.cross_fitting import CrossFitter, Fit
from models.hyperparameters import Hyperparameters
from models.stacking import StackedLocations
from tests.models.tables import Tables

REFERENCE = np.arange(90) % 3 > 0


@pytest.fixture(scope="module")
def sphered(tables: Tables) -> StackedLocations:
    return StackedLocations(kinds=("linear",)).fit(tables.X, tables.Y, tables.fold, reference=REFERENCE)


def log_odds_of_fold_0(table: pd.DataFrame, tables: Tables) -> np.ndarray:
    block = Block.of("net", table, ("linear",), REFERENCE)
    fitter = CrossFitter([block], tables.Y.to_numpy(), tables.fold)
    (values,) = fitter.log_odds([Fit(0, "linear", 0, Hyperparameters(), (0, 1))])
    return values[tables.fold[np.isin(tables.fold, (0, 1))] == 0]


def test_rows_that_are_left_out_do_not_change_how_others_are_sphered(tables: Tables) -> None:
    table = tables.X["net"]
    left_out, learned = (tables.fold == 1, tables.fold == 2)
    plain = log_odds_of_fold_0(table, tables)
    noise = np.random.default_rng(5).normal(size=table.shape)
    assert log_odds_of_fold_0(table + 3 * noise * left_out[:, None], tables) == pytest.approx(plain)
    # rows that are learned from do, if they are of the reference
    known = learned & REFERENCE
    assert log_odds_of_fold_0(table + 3 * noise * known[:, None], tables) != pytest.approx(plain, rel=1e-3)


def test_a_sphered_stack_predicts_the_same_once_it_is_saved(
    sphered: StackedLocations, joined: pd.DataFrame, tmp_path: Path
) -> None:
    save_model(sphered.model_, tmp_path, {})
    again = load_model(tmp_path)
    assert set(again.stack.spherings) == {"features", "net"}
    before, after = sphered.model_.predict(joined), again.predict(joined)
    pd.testing.assert_frame_equal(before.probability, after.probability)


def test_contributions_of_sphered_columns_add_up(sphered: StackedLocations, joined: pd.DataFrame) -> None:
    parts = sphered.model_.contributions(joined, "Cytosol")
    probability = sphered.model_.predict(joined).probability["Cytosol"]
    assert parts.sum(axis=1).to_numpy() == pytest.approx(np.log(probability / (1 - probability)))
    unknown = joined.mask(joined.notna())  # counts as the mean of the reference
    assert np.isfinite(sphered.model_.predict(unknown).probability).all(axis=None)


def test_sphering_makes_a_model_blind_to_a_mixture_of_its_columns(tables: Tables) -> None:
    """Whitened correlations of one table are those of another that was stretched column by column."""
    X = {"net": tables.X["net"]}
    fit = StackedLocations(kinds=("linear",)).fit
    plain = fit(X, tables.Y, tables.fold, reference=REFERENCE)
    stretched = fit({"net": 7 * X["net"] - 3}, tables.Y, tables.fold, reference=REFERENCE)
    one, other = (stack.out_of_fold_["stack"].probability for stack in (plain, stretched))
    assert one == pytest.approx(other, abs=1e-3)

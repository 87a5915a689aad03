"""Columns that base learners of their own see: trees of pictures, and networks of single cells."""

import numpy as np
import pandas as pd
import pytest

from models.bags import bags_of, kept_columns
from models.base_learners.cell_network import CellNetwork
from models.cell_answers import cell_network
from models.hyperparameters import CELLS, CELLS_GRANULES, GRANULES, IN_CYTOPLASM, LINEAR_IN_CYTOPLASM
from models.stack_model import STACK
from models.stacking import StackedLocations

OWN = {GRANULES: ("f3", "f4", "f20", "b"), IN_CYTOPLASM: ("f4", "f20", "b")}


@pytest.fixture(scope="module")
def cells():
    """Make 60 pictures of four cells: ids, a table of columns a, b and c, and labels that a and b tell."""
    rng = np.random.default_rng(0)
    ids = pd.Index([f"p{number:03}" for number in range(60)], name="Id")
    known = rng.random((60, 3)) < [0.4, 0.5, 0.3]
    values = rng.normal(size=(240, 3)) + 3 * known.repeat(4, axis=0) * [1, 1, 0]
    return ids, pd.DataFrame(values, ids.repeat(4), ["a", "b", "c"]), known


def test_trees_of_their_own_see_nothing_else(tables):
    stack = StackedLocations(alone=OWN).fit(tables.X, tables.Y, tables.fold)
    trees = ("lightgbm", "xgboost", "linear")
    more = [GRANULES, IN_CYTOPLASM, LINEAR_IN_CYTOPLASM]
    assert [kind for _, kind in stack.model_.sources] == [*trees, *more, *trees]
    names = stack.model_.blocks["features"]
    for source, columns in ((3, {"f3", "f4", "f20"}), (4, {"f4", "f20"}), (5, {"f4", "f20"})):
        own = [one for one in stack.model_.learners if one.source == source]
        assert len(own) == 3
        assert {names[k] for one in own for k in one.selected} == columns
    like = {one.source: type(one.learner) for one in stack.model_.learners}
    assert (like[3], like[4], like[5]) == (like[0], like[0], like[2])
    table = pd.concat(tables.X.values(), axis=1)
    parts = stack.model_.contributions(table, "Cytosol")
    log_odds = stack.model_.meta_learners[STACK].log_odds(stack.model_.base_log_odds(table))
    np.testing.assert_allclose(parts.sum(axis=1), log_odds[:, 1], atol=1e-5)


@pytest.mark.parametrize("alone", [{}, {GRANULES: (), IN_CYTOPLASM: tuple(f"f{k}" for k in range(24))}])
def test_none_or_all_columns_alone_are_no_learner_more(tables, alone):
    stack = StackedLocations(kinds=("lightgbm",), alone=alone)
    assert stack.fits_needed(tables.X, 3, 3) == StackedLocations(kinds=("lightgbm",)).fits_needed(
        tables.X, 3, 3
    )


@pytest.mark.parametrize(
    ("kinds", "more"),
    [(("linear",), [LINEAR_IN_CYTOPLASM]), (("lightgbm",), [GRANULES, IN_CYTOPLASM]), (("xgboost",), [])],
)
def test_learners_of_their_own_are_of_the_kinds_asked_for(tables, kinds, more):
    stack = StackedLocations(kinds=kinds, alone=OWN).fit(tables.X, tables.Y, tables.fold)
    assert [kind for _, kind in stack.model_.sources] == [*kinds, *more, *kinds]


def test_learners_of_all_granules_need_trees(tables):
    linear = StackedLocations(kinds=("linear",), alone={GRANULES: OWN[GRANULES]})
    assert linear.fits_needed(tables.X, 3, 3) == StackedLocations(kinds=("linear",)).fits_needed(
        tables.X, 3, 3
    )


def test_networks_of_cells_share_columns_out(cells):
    ids, table, known = cells
    bags = bags_of(table, ["a", "b", "c"], ids)
    fold = (np.arange(60) % 3).astype(np.int16)
    targets = pd.DataFrame(known, ids, ["One", "Two", "Three"])
    stack = StackedLocations(alone=OWN).fit({CELLS: bags}, targets, fold)
    assert stack.model_.sources == ((0, CELLS), (0, CELLS_GRANULES))
    both = [one.learner for one in stack.model_.learners]
    assert all(isinstance(one, CellNetwork) for one in both)
    assert [one.seen.tolist() for one in both if isinstance(one, CellNetwork)] == [[0, 2], [1]]
    assert cell_network(stack.model_) is both[0]  # what answers cells
    parts = stack.model_.contributions(bags, "Two")
    assert {"cnn__cells__cells", "cnn__cells__cells_granules"} < set(parts)
    log_odds = stack.model_.meta_learners[STACK].log_odds(stack.model_.base_log_odds(bags))
    np.testing.assert_allclose(parts.sum(axis=1), log_odds[:, 1], atol=1e-6)
    own = fold == 0
    unseen = stack.cell_learners_[0].log_odds(bags[own].to_numpy(np.float32))
    np.testing.assert_array_equal(unseen, stack.nested_.outer[own, :, 0])


def test_columns_alone_are_kept_however_rare_what_they_find(cells):
    _, table, _ = cells
    rare = table.assign(ring=np.where(np.arange(240) == 7, 1.0, np.nan), same=2 * table["a"])
    assert kept_columns(rare, ["ring", "same"]) == sorted([*kept_columns(table), "ring", "same"])
    assert "ring" not in kept_columns(rare)

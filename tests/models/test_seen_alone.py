"""Columns that base learners of their own see: trees of pictures, and networks of single cells."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from models.bags import bags_of, kept_columns
from models.base_learners.cell_network import CellNetwork
from models.base_learners.label_powerset import pack_networks
from models.cell_answers import ShownByCells, cell_networks
from models.hyperparameters import CELLS, CELLS_FAMILY, FAMILY
from models.stacking import STACK, StackedLocations

OWN = ("f3", "f4", "f20", "b")


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
    assert [kind for _, kind in stack.model_.sources] == [*trees, FAMILY, *trees]
    names = stack.model_.blocks["features"]
    own = [one for one in stack.model_.learners if one.source == 3]
    assert len(own) == 3
    assert {names[k] for one in own for k in one.selected} == {"f3", "f4", "f20"}
    table = pd.concat(tables.X.values(), axis=1)
    parts = stack.model_.contributions(table, "Cytosol")
    log_odds = stack.model_.meta_learners[STACK].log_odds(stack.model_.base_log_odds(table))
    np.testing.assert_allclose(parts.sum(axis=1), log_odds[:, 1], atol=1e-5)


@pytest.mark.parametrize("alone", [(), tuple(f"f{number}" for number in range(24))])
def test_none_or_all_columns_alone_are_no_learner_more(tables, alone):
    stack = StackedLocations(kinds=("lightgbm",), alone=alone)
    assert stack.fits_needed(tables.X, 3, 3) == StackedLocations(kinds=("lightgbm",)).fits_needed(
        tables.X, 3, 3
    )


def test_trees_of_their_own_need_trees(tables):
    linear = StackedLocations(kinds=("linear",), alone=OWN)
    assert linear.fits_needed(tables.X, 3, 3) == StackedLocations(kinds=("linear",)).fits_needed(
        tables.X, 3, 3
    )


def test_networks_of_cells_share_columns_out(cells):
    ids, table, known = cells
    bags = bags_of(table, ["a", "b", "c"], ids)
    fold = (np.arange(60) % 3).astype(np.int16)
    targets = pd.DataFrame(known, ids, ["One", "Two", "Three"])
    stack = StackedLocations(alone=OWN).fit({CELLS: bags}, targets, fold)
    assert stack.model_.sources == ((0, CELLS), (0, CELLS_FAMILY))
    networks = cell_networks(stack.model_)
    assert [[one["seen"].tolist() for one in some.networks] for some in networks] == [[[0, 2]] * 3, [[1]] * 3]
    parts = stack.model_.contributions(bags, "Two")
    assert {"cnn__cells__cells", "cnn__cells__cells_family"} < set(parts)
    log_odds = stack.model_.meta_learners[STACK].log_odds(stack.model_.base_log_odds(bags))
    np.testing.assert_allclose(parts.sum(axis=1), log_odds[:, 1], atol=1e-6)
    own = fold == 0
    unseen = [one.log_odds(bags[own].to_numpy(np.float32)) for one in stack.cell_learners_[0]]
    np.testing.assert_array_equal(np.stack(unseen, axis=2), stack.nested_.outer[own])


def test_each_network_counts_as_much_as_it_tells():
    """One of two networks tells which cells show the location, the other says nothing."""
    rng = np.random.default_rng(3)
    with_it = np.arange(4000) < 2000
    shows = with_it & (rng.random(4000) < 0.4)
    telling = rng.normal(np.where(shows, 2.0, -2.0), 1.0)
    log_odds = np.stack([telling, rng.normal(size=4000)], axis=1)[:, None]
    both = ShownByCells.fit(log_odds, with_it[:, None])
    assert both.slope.shape == (1, 2)
    assert both.slope[0, 1] < 0.15 * both.slope[0, 0]
    alone = ShownByCells.fit(log_odds[:, :, :1], with_it[:, None])
    assert both.slope[0, 0] == pytest.approx(alone.slope[0, 0], rel=0.1)
    assert both.share[0] == pytest.approx(alone.share[0], abs=0.02)
    card = json.loads(json.dumps(both.as_card(["Rare"])))
    np.testing.assert_array_equal(ShownByCells.of_card(card, ["Rare"]).given(log_odds), both.given(log_odds))


def test_a_card_with_one_slope_is_read():
    """Before model format 6 there was one network, and its slope was a number."""
    one = ShownByCells.of_card({"Rare": {"share": 0.5, "slope": 2.0, "offset": -1.0}}, ["Rare"])
    np.testing.assert_allclose(one.given(np.array([[[0.5]], [[3.0]]]))[:, 0], expit([0.0, 5.0]))


def test_networks_that_share_their_columns_are_read():
    """Model format 5 gave the columns once for all networks."""
    of_all = {"seen": np.array([1], np.int32), "middle": np.zeros(1), "spread": np.ones(1)}
    network = {"hidden.weight": np.ones((2, 1)), "hidden.bias": np.zeros(2), "output.weight": np.ones((1, 2))}
    network |= {"output.bias": np.zeros(1), "past.weight": np.ones((1, 1)), "sharpness": np.zeros(1)}
    network = {name: value.astype(np.float32) for name, value in network.items()}
    read = CellNetwork.from_bytes(pack_networks(of_all | {"bias": np.zeros(1)}, [network, network]))
    now = CellNetwork((of_all | network,) * 2, np.zeros(1))
    numbers = np.array([[7.0, 0.5], [9.0, -0.5]], np.float32)
    np.testing.assert_array_equal(read.of_cells(numbers), now.of_cells(numbers))
    assert read.of_cells(numbers).shape == (2, 2, 1)


def test_columns_alone_are_kept_however_rare_what_they_find(cells):
    _, table, _ = cells
    rare = table.assign(ring=np.where(np.arange(240) == 7, 1.0, np.nan), same=2 * table["a"])
    assert kept_columns(rare, ["ring", "same"]) == sorted([*kept_columns(table), "ring", "same"])
    assert "ring" not in kept_columns(rare)

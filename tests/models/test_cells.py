"""Learning from single cells with the labels of pictures, and what is answered of each cell."""

import numpy as np
import pandas as pd
import pytest

from models.bags import PLACES, bag_columns, bags_of, cell_columns, chosen_cells, kept_columns, unpacked
from models.base_learners import LEARNERS
from models.base_learners.cell_network import CellNetwork, most_telling
from models.cell_answers import ShownByCells, answers_of_cells, cell_network
from models.hyperparameters import CELLS, NetworkHyperparameters
from models.learner_store import MemoryStore
from models.stacking import StackedLocations

COLUMNS = ["a", "b", "c"]
QUICK = NetworkHyperparameters(
    networks=1, hidden=16, epochs=20, batch=32, dropout=0.0, input_dropout=0.0, learning_rate=1e-2
)


def pictures(number=120, seed=0):
    """Make pictures of up to 23 cells; some show location 0 in one cell (a), some location 1 in all (b)."""
    rng = np.random.default_rng(seed)
    rare, common = rng.random(number) < 0.25, rng.random(number) < 0.5
    tables, shows = [], []
    for picture in range(number):
        cells = rng.normal(size=(int(rng.integers(1, 24)), 3))
        cells[:, 1] += 1.5 * common[picture]
        shows.append(np.zeros(len(cells), bool))
        if rare[picture]:
            one = rng.integers(len(cells))
            cells[one, 0] += 6
            shows[-1][one] = True
        tables.append(pd.DataFrame(cells, [f"p{picture:03}"] * len(cells), COLUMNS))
    ids = pd.Index([f"p{picture:03}" for picture in range(number)])
    return pd.concat(tables), ids, np.column_stack([rare, common]), shows


@pytest.fixture(scope="module")
def learned():
    """Fit a network to bags of pictures."""
    cells, ids, known, _ = pictures()
    bags = bags_of(cells, COLUMNS, ids)
    return CellNetwork.fit(bags.to_numpy(np.float32), known, QUICK, 0)


def test_a_bag_holds_cells_in_their_order_and_nothing_else():
    cells = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]}, index=["y", "x", "y"])
    bags = bags_of(cells, ["a", "b"], pd.Index(["x", "y", "none"]))
    assert list(bags.columns) == bag_columns(["a", "b"])
    assert cell_columns(list(bags.columns)) == ["a", "b"]
    assert bags.loc["y"].dropna().tolist() == [1, 4, 3, 6]
    assert bags.loc["x"].dropna().tolist() == [2, 5]
    assert bags.loc["none"].isna().all()


def test_networks_see_the_columns_that_tell_labels_apart(monkeypatch):
    cells, ids, known, _ = pictures()
    rng = np.random.default_rng(1)
    wide = pd.DataFrame(rng.normal(size=(len(cells), 30)), cells.index, [f"noise_{k}" for k in range(30)])
    wide.insert(17, "b", cells["b"])
    bags, _ = unpacked(bags_of(wide, list(wide.columns), ids).to_numpy(np.float32))
    monkeypatch.setattr("models.base_learners.cell_network.SEEN", 3)
    labels = known.astype(np.float32)
    seen = most_telling(bags, labels)
    assert len(seen) == 3
    assert 17 in seen
    labels[:, 1] = np.nan  # nothing may be learned of what b tells
    assert 17 not in most_telling(bags, labels)


def test_many_cells_are_taken_evenly():
    taken = chosen_cells(100)
    assert len(taken) == PLACES
    assert (taken[0], taken[-1]) == (0, 99)
    assert np.ptp(np.diff(taken)) <= 1
    assert chosen_cells(3).tolist() == [0, 1, 2]


def test_columns_that_say_the_same_are_kept_once():
    rng = np.random.default_rng(0)
    between = rng.normal(size=50).repeat(6)
    cells = pd.DataFrame({"first": between + 0.1 * rng.normal(size=300), "noise": rng.normal(size=300)})
    cells["same"] = 2 * cells["first"]
    cells["flat"] = 1.0
    cells.index = np.arange(50).repeat(6).astype(str)
    assert kept_columns(cells) == ["first", "noise"]


def test_the_cell_that_shows_a_location_is_found_from_labels_of_pictures(learned):
    cells, ids, known, shows = pictures(seed=1)
    found = []
    for picture, here in zip(ids[known[:, 0]], np.array(shows, dtype=object)[known[:, 0]], strict=True):
        log_odds = learned.of_cells(cells.loc[[picture]].to_numpy(np.float32)).mean(axis=0)
        found.append(log_odds[:, 0].argmax() == here.argmax())
    assert np.mean(found) > 0.9
    bags = bags_of(cells, COLUMNS, ids).to_numpy(np.float32)
    right = (learned.log_odds(bags) > 0) == known
    assert right.mean(axis=0).min() > 0.8


def test_log_odds_lie_between_the_mean_and_the_maximum_of_cells(learned):
    cells, ids, _, _ = pictures(seed=2)
    of_cells = learned.of_cells(cells.loc[[ids[0]]].to_numpy(np.float32))
    pooled = learned.pooled(of_cells)
    assert (pooled <= of_cells.max(axis=(0, 1)) + 1e-9).all()
    assert (pooled >= of_cells.mean(axis=(0, 1)) - 1e-9).all()
    np.testing.assert_allclose(learned.shares(of_cells).sum(axis=0), 1)


def test_a_network_survives_its_bytes_and_is_the_same_each_time(learned):
    cells, ids, known, _ = pictures()
    bags = bags_of(cells, COLUMNS, ids).to_numpy(np.float32)
    again = LEARNERS[CELLS].from_bytes(learned.to_bytes())
    np.testing.assert_array_equal(again.log_odds(bags), learned.log_odds(bags))
    assert CellNetwork.fit(bags, known, QUICK, 0).to_bytes() == learned.to_bytes()


def test_a_picture_without_cells_has_the_mean(learned):
    empty = np.full((1, PLACES * 3), np.nan, np.float32)
    np.testing.assert_array_equal(learned.log_odds(empty)[0], learned.bias)
    np.testing.assert_allclose(learned.contributions(empty)[:, 0, 0], 0)


def test_cells_agree_with_their_picture():
    given = np.array([[0.9, 0.6], [0.2, 0.9], [0.5, 0.1]])
    found = answers_of_cells(given, np.full((3, 2), 1 / 3), np.array([0.8, 0.9]), np.array([True, False]))
    assert found.chosen[:, 0].tolist() == [True, False, True]
    assert not found.chosen[:, 1].any()
    some_cell = [1 - 0.1 * 0.8 * 0.5, 1 - 0.4 * 0.1 * 0.9]  # which the picture's probability is of
    np.testing.assert_allclose(found.probability, given / some_cell * [0.8, 0.9])
    assert (found.probability <= [0.8, 0.9]).all()


@pytest.mark.parametrize("slope", [1.0, 100.0])
def test_a_cell_that_shows_what_is_answered_is_not_at_zero(slope):
    shown = ShownByCells(np.array([0.5]), np.array([slope]), np.array([-10.0 * slope]))
    given = shown.given(np.array([[0.0], [-3.0], [-6.0]]))
    found = answers_of_cells(given, given, np.array([0.23]), np.array([True]))
    assert found.chosen[0, 0]
    assert found.probability[0, 0] > 0.23 / 3 - 1e-9
    assert found.probability.sum() == pytest.approx(0.23, rel=0.01)


def test_a_cell_that_is_sure_has_the_pictures_probability():
    found = answers_of_cells(np.array([[1.0], [0.0]]), np.ones((2, 1)), np.array([0.7]), np.array([True]))
    np.testing.assert_allclose(found.probability, [[0.7], [0.0]])


def test_the_best_cell_shows_what_is_answered_however_improbable():
    found = answers_of_cells(
        np.array([[0.1], [0.2]]), np.full((2, 1), 0.5), np.array([0.1]), np.array([True])
    )
    assert found.chosen[:, 0].tolist() == [False, True]


@pytest.mark.parametrize("share", [0.15, 0.6, 1.0])
def test_the_share_of_cells_that_show_a_location_is_found_without_labels_of_cells(share):
    rng = np.random.default_rng(5)
    with_it = np.arange(6000) < 2400  # cells of pictures with the location
    shows = with_it & (rng.random(6000) < share)
    log_odds = rng.normal(np.where(shows, 1.0, -3.0), 1.5)
    found = ShownByCells.fit(log_odds[:, None], with_it[:, None])
    assert found.share[0] == pytest.approx(share, abs=0.04)
    assert found.slope[0] == pytest.approx(4 / 1.5**2, rel=0.15)  # of two normal densities
    given = found.given(log_odds[with_it, None])[:, 0]
    assert given.mean() == pytest.approx(share, abs=0.04)
    assert (given >= 0.5).mean() == pytest.approx(shows[with_it].mean(), abs=0.05)
    card = found.as_card(["Rare"])
    np.testing.assert_array_equal(ShownByCells.of_card(card, ["Rare"]).given(log_odds), found.given(log_odds))


def test_cells_all_show_what_all_pictures_have():
    found = ShownByCells.fit(np.zeros((5, 1)), np.ones((5, 1), bool))
    assert (found.given(np.array([[-30.0], [30.0]])) > 0.99).all()


def test_a_stack_learns_from_cells_beside_features():
    cells, ids, known, _ = pictures(90)
    rng = np.random.default_rng(3)
    features = pd.DataFrame(rng.normal(size=(90, 4)), ids, list("wxyz"))
    blocks = {"features": features, CELLS: bags_of(cells, COLUMNS, ids)}
    targets = pd.DataFrame(known, ids, ["One", "Two"])
    fold = (np.arange(90) % 3).astype(np.int16)
    stack = StackedLocations(kinds=("linear",)).fit(blocks, targets, fold)
    assert stack.model_.sources == ((0, "linear"), (1, CELLS))
    assert isinstance(cell_network(stack.model_), CellNetwork)
    table = pd.concat(blocks.values(), axis=1)
    parts = stack.model_.contributions(table, "One")
    assert "cnn__cells__cells" in parts
    log_odds = stack.model_.meta_learners["stack"].log_odds(stack.model_.base_log_odds(table))
    np.testing.assert_allclose(parts.sum(axis=1), log_odds[:, 0], atol=1e-6)
    assert stack.out_of_fold_["stack"].probability[known[:, 1], 1].mean() > 0.6


class Counted(MemoryStore):
    """Knows how many base learners were fitted."""

    def __init__(self):
        super().__init__()
        self.put_keys = []

    def put(self, key, content):
        self.put_keys.append(key)
        super().put(key, content)


def test_cells_are_answered_out_of_fold_by_learners_that_the_stack_has_fitted():
    cells, ids, known, _ = pictures(90)
    bags = bags_of(cells, COLUMNS, ids)
    targets = pd.DataFrame(known, ids, ["One", "Two"])
    fold = (np.arange(90) % 3).astype(np.int16)
    store = Counted()
    stack = StackedLocations().fit({CELLS: bags}, targets, fold, store=store)
    assert len(store.put_keys) == 3 + 3 + 1  # pairs of folds, folds, everything
    for number, learner in enumerate(stack.cell_learners_):
        own = fold == number
        np.testing.assert_array_equal(
            learner.log_odds(bags[own].to_numpy(np.float32)), stack.nested_.outer[own, :, 0]
        )
    keep = np.ones(known.shape, bool)
    keep[fold > 0, 0] = np.arange((fold > 0).sum()) % 4 > 0
    filtered = StackedLocations().fit({CELLS: bags}, targets, fold, keep={"experts": keep})
    first = [one.cell_learners_[0].log_odds(bags.to_numpy(np.float32)) for one in (stack, filtered)]
    assert np.abs(first[0] - first[1]).max() > 0.01
    np.testing.assert_array_equal(first[1][fold == 0], filtered.nested_.outer[fold == 0, :, 0])

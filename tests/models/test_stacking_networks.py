"""A stack of networks' predictions: honest, exact, resumable, better than its inputs; rare locations too."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.bundle import load_model, save_model
from models.learner_store import MemoryStore
from models.metrics import count
from models.stack_model import STACK
from models.stacking import StackedLocations
from tests.models.tables import LOCATIONS, Tables, make_predictions, make_tables

KINDS = ["label_powerset", "pooled_trees", "network_weights"]
PSEUDO = [f"cnn__nets__{kind}" for kind in KINDS]


def fitted(tables: Tables, Y: pd.DataFrame | None = None, **given: object) -> StackedLocations:
    options = {"store", "finished", "keep", "confident"}
    more = {name: given.pop(name) for name in options & set(given)}
    stack = StackedLocations(of_networks=("nets",), **given)
    return stack.fit(tables.X, tables.Y if Y is None else Y, tables.fold, **more)


def test_it_beats_the_best_of_its_inputs(networks: Tables, stack_of_networks: StackedLocations) -> None:
    truth = networks.Y.to_numpy()
    values = networks.X["nets"].to_numpy().reshape(len(truth), 3, 3)
    best = max(count(truth, values[:, network] > 0.5).macro_f1() for network in range(3))
    chosen = stack_of_networks.out_of_fold_[STACK].chosen
    assert count(truth, chosen).macro_f1() > best + 0.03


def test_learners_of_all_locations_contribute_as_one_pseudo_column_each(
    networks: Tables, stack_of_networks: StackedLocations
) -> None:
    model, X = stack_of_networks.model_, networks.X["nets"].iloc[:20]
    assert [kind for _, kind in model.sources] == KINDS
    assert len(model.learners) == 3
    for name in (STACK, "Cytosol"):
        parts = model.contributions(X, "Cytosol", name)
        probability = model.predict(X, name).probability["Cytosol"]
        assert list(parts.columns) == [*PSEUDO, "bias"]
        assert np.abs(parts.sum(axis=1) - np.log(probability / (1 - probability))).max() < 1e-9
        assert np.ptp(parts["bias"]) < 1e-12
    shares = model.effects(X)[0]
    assert list(shares.index) == PSEUDO
    assert np.allclose(shares.sum(), 1)


def test_contributions_add_up_where_blocks_of_both_sorts_are_joined() -> None:
    tables, nets = make_tables(90), make_predictions(90)
    nets = nets.X["nets"].set_axis(tables.Y.index)
    stack = StackedLocations(kinds=("linear",), of_networks=("nets",))
    stack.fit(tables.X | {"nets": nets}, tables.Y, tables.fold)
    X = pd.concat([*tables.X.values(), nets], axis=1).iloc[:9]
    for location in LOCATIONS:
        parts = stack.model_.contributions(X, location)
        probability = stack.model_.predict(X).probability[location]
        assert np.abs(parts.sum(axis=1) - np.log(probability / (1 - probability))).max() < 1e-9
    assert list(parts.columns) == [*tables.X["features"], *tables.X["net"], *PSEUDO, "bias"]


def test_a_model_read_back_predicts_and_explains_alike_without_pickle(
    networks: Tables, stack_of_networks: StackedLocations, tmp_path: Path
) -> None:
    save_model(stack_of_networks.model_, tmp_path, {})
    model, X = load_model(tmp_path).stack, networks.X["nets"]
    ours = stack_of_networks.model_
    assert model.predict(X).probability.equals(ours.predict(X).probability)
    assert model.contributions(X, "Vesicles").equals(ours.contributions(X, "Vesicles"))
    assert {path.name for path in (tmp_path / "learners").iterdir()} == {
        "all_block0_label_powerset.safetensors",
        "all_block0_pooled_trees.json",
        "all_block0_network_weights.json",
    }


def test_predictions_of_a_fold_do_not_depend_on_its_labels(
    networks: Tables, stack_of_networks: StackedLocations
) -> None:
    inside, shuffled = networks.fold == 1, networks.Y.copy()
    shuffled.iloc[inside] = np.roll(networks.Y[inside].to_numpy(), 7, axis=0)
    other = fitted(networks, shuffled).out_of_fold_[STACK]
    honest = stack_of_networks.out_of_fold_[STACK]
    assert np.array_equal(honest.probability[inside], other.probability[inside])
    assert np.array_equal(honest.chosen[inside], other.chosen[inside])
    assert not np.array_equal(honest.probability[~inside], other.probability[~inside])


def test_the_number_of_jobs_changes_no_bit(networks: Tables, stack_of_networks: StackedLocations) -> None:
    two = fitted(networks, jobs=2)
    X = networks.X["nets"]
    assert np.array_equal(
        two.out_of_fold_[STACK].probability, stack_of_networks.out_of_fold_[STACK].probability
    )
    assert two.model_.predict(X).probability.equals(stack_of_networks.model_.predict(X).probability)


class CountingStore(MemoryStore):
    """Counts what is fitted."""

    fitted = 0

    def put(self, key: str, content: bytes) -> None:
        self.fitted += 1
        super().put(key, content)


def test_an_interrupted_training_goes_on(networks: Tables, stack_of_networks: StackedLocations) -> None:
    store, stops = CountingStore(), iter(range(3))

    def stop(_: int) -> None:
        if next(stops, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(networks, store=store, finished=stop)
    before = store.fitted
    again = fitted(networks, store=store)
    assert before == 4
    assert store.fitted == 3 * 7  # three pairs, three single folds and all rows, of three learners
    expected = stack_of_networks.out_of_fold_[STACK].probability
    assert np.array_equal(again.out_of_fold_[STACK].probability, expected)


def test_a_location_that_some_folds_lack_is_predicted_all_the_same(networks: Tables) -> None:
    Y = networks.Y.copy()
    rare = np.flatnonzero(Y["Vesicles"] & (networks.X["nets"]["a Vesicles"] > 0.6).to_numpy())[:2]
    Y["Vesicles"] = np.isin(np.arange(len(Y)), rare)
    stack = fitted(networks, Y)
    found = stack.out_of_fold_[STACK].probability[:, 2]
    assert np.isfinite(found).all()
    assert found[rare].min() > np.median(found)
    with pytest.raises(ValueError, match="in some fold: Vesicles"):
        fitted(networks, Y.assign(Vesicles=False))
    features = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 4)), index=Y.index)
    both = StackedLocations(kinds=("linear",), of_networks=("nets",))
    both.fit({"features": features.add_prefix("f"), **networks.X}, Y, networks.fold)
    kinds = [both.model_.sources[learner.source][1] for learner in both.model_.learners]
    assert kinds == ["linear", "linear", *KINDS]


def test_missing_predictions_and_left_out_labels_are_no_obstacle(networks: Tables) -> None:
    X = networks.X["nets"].copy()
    X.iloc[::5, :3] = np.nan
    X.iloc[0] = np.nan
    keep = np.random.default_rng(0).random(networks.Y.shape) > 0.1
    stack = fitted(Tables({"nets": X}, networks.Y, networks.fold), keep={"some": keep})
    assert np.isfinite(stack.out_of_fold_[STACK].probability).all()
    assert np.isfinite(stack.model_.predict(X).probability.to_numpy()).all()


def test_a_table_that_is_not_of_these_locations_is_refused(networks: Tables) -> None:
    X = {"nets": networks.X["nets"].iloc[:, :8]}
    with pytest.raises(ValueError, match="block 'nets' has not one column per network and location"):
        fitted(Tables(X, networks.Y, networks.fold))

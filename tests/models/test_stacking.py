"""The stack: honest out of fold, additive, the same whatever the jobs and interruptions."""

from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from models.cross_fitting import crossed
from models.learner_store import MemoryStore
from models.metrics import all_positive_macro_f1, count
from models.stack_model import STACK, TOP_TWO
from models.stacking import StackedLocations
from models.tuning import Tuning
from tests.models.tables import LOCATIONS, Tables

NAMES = [STACK, TOP_TWO, *LOCATIONS]


def probability(stack: StackedLocations, table: pd.DataFrame) -> pd.DataFrame:
    return stack.model_.predict(table).probability


def with_shuffled_labels(tables: Tables, fold: int) -> pd.DataFrame:
    """Permute the labels of one fold's rows."""
    Y = tables.Y.copy()
    inside = np.flatnonzero(tables.fold == fold)
    Y.iloc[inside] = Y.iloc[np.roll(inside, 7)].to_numpy()
    return Y


@pytest.mark.parametrize("trials", [0, 2])
def test_predictions_of_a_fold_do_not_depend_on_its_labels(tables: Tables, trials: int) -> None:
    shuffled = with_shuffled_labels(tables, 1)
    honest = StackedLocations(Tuning(trials)).fit(tables.X, tables.Y, tables.fold)
    other = StackedLocations(Tuning(trials)).fit(tables.X, shuffled, tables.fold)
    inside = tables.fold == 1
    for name in NAMES:
        one, two = honest.out_of_fold_[name], other.out_of_fold_[name]
        assert np.array_equal(one.probability[inside], two.probability[inside])
        assert np.array_equal(one.chosen[inside], two.chosen[inside])
        assert not np.array_equal(one.probability[~inside], two.probability[~inside])


def test_it_beats_predicting_everything(tables: Tables, stack: StackedLocations) -> None:
    truth = tables.Y.to_numpy()
    score = count(truth, stack.out_of_fold_[STACK].chosen).macro_f1()
    assert score > all_positive_macro_f1(truth) + 0.15


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("name", [STACK, TOP_TWO, None])
def test_contributions_sum_to_the_log_odds(
    stack: StackedLocations, joined: pd.DataFrame, location: str, name: str | None
) -> None:
    if name == TOP_TWO and location == "Vesicles":
        return
    name = name or location
    model = stack.model_
    parts = model.contributions(joined, location, name)
    probability = model.predict(joined, name).probability[location]
    log_odds = np.log(probability / (1 - probability))
    assert np.abs(parts.sum(axis=1) - log_odds).max() < 1e-6
    assert list(parts.columns) == [*model.columns, "bias"]
    assert parts["bias"].std() < 1e-5


def test_a_binary_model_sees_its_own_learners_only_and_the_stack_all(stack: StackedLocations) -> None:
    sources = len(stack.model_.sources)
    assert len(stack.model_.meta_learners["Cytosol"].linear[0].weights) == sources
    assert len(stack.model_.meta_learners[TOP_TWO].linear[0].weights) == 2 * sources
    weights = stack.model_.meta_learners[STACK].linear[1].weights.reshape(3, sources)
    assert np.abs(weights[1]).sum() > np.abs(weights[[0, 2]]).sum() > 0


def test_mean_shares_are_those_of_the_contributions(stack: StackedLocations, joined: pd.DataFrame) -> None:
    shares = stack.model_.effects(joined)[0]
    parts = stack.model_.contributions(joined, "Cytosol").drop(columns="bias").abs().mean()
    assert np.allclose(shares["Cytosol"], parts / parts.sum())
    assert np.allclose(shares.sum(), 1)


def test_every_row_gets_a_location_only_where_that_is_asked_for(
    tables: Tables, stack: StackedLocations, joined: pd.DataFrame
) -> None:
    always = StackedLocations(always=True).fit(tables.X, tables.Y, tables.fold)
    for fitted, named in ((stack, False), (always, True)):
        assert fitted.model_.predict(joined).chosen.any(axis=1).all() == named
        assert fitted.out_of_fold_[STACK].chosen.any(axis=1).all() == named


def test_the_number_of_jobs_changes_no_bit(
    tables: Tables, stack: StackedLocations, joined: pd.DataFrame
) -> None:
    two = StackedLocations(jobs=2).fit(tables.X, tables.Y, tables.fold)
    assert probability(two, joined).equals(probability(stack, joined))
    assert np.array_equal(two.out_of_fold_[STACK].probability, stack.out_of_fold_[STACK].probability)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
@pytest.mark.usefixtures("stack")  # what libraries keep for good has been started
def test_base_learners_start_no_threads_beside_the_jobs(tables: Tables) -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    before, seen = threads(), []
    StackedLocations(jobs=2).fit(
        {"net": tables.X["net"]}, tables.Y, tables.fold, finished=lambda _: seen.append(threads())
    )
    assert max(seen) <= before + 2 + 3  # the pool of two has three threads that hand work on


class DyingStore(MemoryStore):
    """Stops the training after some base learners, as a kill would."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self.lives = lives

    def put(self, key: str, content: bytes) -> None:
        if self.lives == 0:
            raise KeyboardInterrupt
        self.lives -= 1
        super().put(key, content)


def test_an_interrupted_training_goes_on_to_the_same_model(
    tables: Tables, joined: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = StackedLocations(Tuning(1)).fit(tables.X, tables.Y, tables.fold)
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path_factory.mktemp('tuning')}/tuning.db")
    store = DyingStore(50)
    with pytest.raises(KeyboardInterrupt):
        StackedLocations(Tuning(1, storage=storage)).fit(tables.X, tables.Y, tables.fold, store=store)
    store.lives = 10_000
    again = StackedLocations(Tuning(1, storage=storage)).fit(tables.X, tables.Y, tables.fold, store=store)
    storage.engine.dispose()
    assert store.lives < 10_000
    assert probability(again, joined).equals(probability(whole, joined))
    assert np.array_equal(again.out_of_fold_[STACK].chosen, whole.out_of_fold_[STACK].chosen)


def test_a_missing_column_is_named(stack: StackedLocations, joined: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="1 columns of the model are missing from the table: f3"):
        stack.model_.predict(joined.drop(columns="f3"))


def test_an_unknown_location_lists_the_known_ones(stack: StackedLocations, joined: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="'Golgi'; known: Nucleoplasm, Cytosol, Vesicles"):
        stack.model_.contributions(joined, "Golgi")


def test_what_cannot_be_cross_validated_is_refused(tables: Tables) -> None:
    with pytest.raises(ValueError, match="folds must be 0, 1, 2 or more"):
        StackedLocations().fit(tables.X, tables.Y, tables.fold % 2)
    Y = tables.Y.copy()
    Y.loc[tables.fold == 2, "Cytosol"] = False
    with pytest.raises(ValueError, match="in some fold: Cytosol"):
        StackedLocations().fit(tables.X, Y, tables.fold)


def test_blocks_that_do_not_fit_together_are_refused(tables: Tables) -> None:
    twice = {"one": tables.X["net"], "two": tables.X["net"]}
    with pytest.raises(ValueError, match="column 'e0' occurs in two blocks"):
        StackedLocations().fit(twice, tables.Y, tables.fold)
    with pytest.raises(ValueError, match="rows of block 'net'"):
        StackedLocations().fit({"net": tables.X["net"].iloc[::-1]}, tables.Y, tables.fold)


def test_labels_that_may_not_be_learned_from_change_nothing(tables: Tables) -> None:
    keep = np.ones(tables.Y.shape, dtype=bool)
    keep[::9, 1] = False
    wrong = tables.Y.copy()
    wrong.iloc[::9, 1] = ~wrong.iloc[::9, 1]
    right, other = (
        StackedLocations().fit(tables.X, Y, tables.fold, keep={"some": keep}).model_
        for Y in (tables.Y, wrong)
    )
    for one, two in zip(right.learners, other.learners, strict=True):
        assert one.learner.to_bytes() == two.learner.to_bytes()


def test_a_location_is_crossed_if_every_fold_has_it_and_lacks_it() -> None:
    fold = np.array([0, 0, 1, 1], dtype=np.int16)
    assert crossed(np.array([True, False, True, False]), fold)
    assert not crossed(np.array([True, False, False, False]), fold)
    assert not crossed(np.array([True, True, True, False]), fold)

"""Tuning draws candidates without looking, and lets every outer fold choose for itself."""

import numpy as np
import optuna
import pytest

from models.blocks import Block
from models.cross_fitting import CrossFitter
from models.hyperparameters import (
    COMMON,
    KINDS,
    LARGE,
    MANY,
    OF_NETWORKS,
    TREES,
    Hyperparameters,
    Kind,
    defaults,
)
from models.learner_store import MemoryStore
from models.tuning import (
    Candidate,
    Metric,
    Rounds,
    Study,
    Tuning,
    best,
    choose,
    normalised_log_loss,
    precision_loss,
    strata,
    tune,
)
from tests.models.tables import make_tables

KIND: Kind = "lightgbm"


FOLDS = 3


def study(kind: Kind = KIND, rows: int = 100, **given: object) -> Study:
    settings = {"name": "a", "positives": 0, "folds": FOLDS, "rounds": 1, "trials": 4, "seed": 0} | given
    return Study(kind=kind, rows=rows, **settings)


def losses(drawn: Hyperparameters) -> Rounds:
    return lambda _, __: np.array([drawn.learning_rate, -drawn.learning_rate, 1.0])


@pytest.mark.parametrize(("rows", "positives"), [(100, 0), (LARGE, 0), (MANY, 0), (MANY, COMMON)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_come_first_and_are_within_the_space(kind: Kind, rows: int, positives: int) -> None:
    candidates = tune(losses, study(kind, rows, positives=positives, trials=3))
    assert len(candidates) == 4
    assert candidates[0].hyperparameters == defaults(kind, rows, positives)


@pytest.mark.parametrize("kind", TREES)
def test_trees_are_larger_in_large_tables_and_small_again_where_time_counts(kind: Kind) -> None:
    small, large, many = (defaults(kind, rows, COMMON) for rows in (LARGE - 1, LARGE, MANY))
    assert defaults(kind, MANY, COMMON - 1) == small
    assert small.leaves < many.leaves < large.leaves
    assert small.trees < many.trees <= large.trees
    assert many.columns < large.columns


def test_candidates_do_not_depend_on_how_earlier_ones_did() -> None:
    one = tune(losses, study())
    other = tune(lambda s: lambda *given: -losses(s)(*given), study())
    assert [c.hyperparameters for c in one] == [c.hyperparameters for c in other]
    assert len({c.hyperparameters for c in one}) == 5


def test_a_study_that_was_interrupted_goes_on_with_the_same_candidates() -> None:
    whole = tune(losses, study())
    storage = optuna.storages.InMemoryStorage()
    calls = 0

    def dying(settings: Hyperparameters) -> Rounds:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return losses(settings)

    with pytest.raises(KeyboardInterrupt):
        tune(dying, study(storage=storage))
    again = tune(dying, study(storage=storage))
    assert [c.hyperparameters for c in again] == [c.hyperparameters for c in whole]
    assert calls == 6  # two finished, one repeated, two more


class Course:
    """Losses of candidates in two rounds, by fold, and which rounds were asked for."""

    def __init__(self, rounds: list[list[list[float]]]) -> None:
        self.rounds = rounds
        self.asked: list[tuple[int, int, list[bool]]] = []
        self.begun = -1

    def __call__(self, settings: Hyperparameters) -> Rounds:  # noqa: ARG002 - the course is fixed
        self.begun += 1
        number = self.begun

        def evaluate(place: int, going: np.ndarray) -> np.ndarray:
            self.asked.append((number, place, going.tolist()))
            return np.array(self.rounds[number][place])

        return evaluate


EVEN = [[1.0, 1.0], [1.0, 1.0]]


def test_a_fold_prunes_what_is_worse_than_the_median_of_earlier_candidates() -> None:
    course = Course([EVEN, EVEN, EVEN, EVEN, [[2.0, 0.5], [0.1, 0.4]], [[2.0, 2.0], [0.1, 0.1]]])
    candidates = tune(course, study(folds=2, rounds=2, trials=5))
    assert course.asked[-3:] == [(4, 0, [True, True]), (4, 1, [False, True]), (5, 0, [True, True])]
    assert candidates[4].losses.tolist() == [np.inf, 0.4]
    assert np.isinf(candidates[5].losses).all()
    assert best(candidates, 0) == candidates[0].hyperparameters
    assert best(candidates, 1) == candidates[4].hyperparameters
    assert best(candidates) == candidates[0].hyperparameters  # the final model wants one that no fold pruned


def test_what_one_fold_prunes_does_not_depend_on_the_losses_of_another() -> None:
    rng = np.random.default_rng(0)
    rounds = rng.random((9, 2, 2))
    other = rounds.copy()
    other[:, :, 1] = rng.random((9, 2))
    first, second = (tune(Course(r.tolist()), study(folds=2, rounds=2, trials=8)) for r in (rounds, other))
    assert [c.losses[0] for c in first] == [c.losses[0] for c in second]
    assert np.isinf([c.losses[0] for c in first]).any()


def test_a_pruned_study_that_was_interrupted_ends_the_same() -> None:
    rounds = np.random.default_rng(1).random((9, 2, 2)).tolist()
    whole = tune(Course(rounds), study(folds=2, rounds=2, trials=8))
    storage = optuna.storages.InMemoryStorage()
    tune(Course(rounds), study(folds=2, rounds=2, trials=5, storage=storage))
    later = Course(rounds[6:])
    again = tune(later, study(folds=2, rounds=2, trials=8, storage=storage))
    assert [c.losses.tolist() for c in again] == [c.losses.tolist() for c in whole]
    assert later.begun == 2


def test_no_candidate_is_begun_when_it_is_late_but_the_defaults_always_are() -> None:
    assert len(tune(losses, study(late=lambda: True))) == 1


def test_a_dashboard_sees_intermediate_values_and_pruned_trials() -> None:
    storage = optuna.storages.InMemoryStorage()
    course = Course([EVEN] * 4 + [[[2.0, 2.0], [0.1, 0.1]]])
    tune(course, study(folds=2, rounds=2, storage=storage))
    trials = optuna.load_study(study_name="a", storage=storage).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4 + ["PRUNED"]
    assert trials[0].intermediate_values == {0: 1.0, 1: 1.0}


def test_every_outer_fold_chooses_its_own_candidate() -> None:
    one = Candidate(Hyperparameters(trees=1), np.array([1.0, 3.0]))
    other = Candidate(Hyperparameters(trees=2), np.array([1.5, 1.0]))
    assert best([one, other], 0) == one.hyperparameters
    assert best([one, other], 1) == other.hyperparameters
    assert best([one, other]) == other.hyperparameters


def test_strata_follow_the_number_of_positives() -> None:
    targets = np.zeros((1000, 4), dtype=bool)
    for location, positives in enumerate([5, 400, 299, 29]):
        targets[:positives, location] = True
    assert strata(targets, [0, 1, 2, 3]) == {"rare": [0, 3], "uncommon": [2], "common": [1]}


def test_knowing_only_the_prevalence_has_a_normalised_log_loss_of_1() -> None:
    truth = np.arange(100) < 7
    prior = np.full(100, np.log(0.07 / 0.93))
    assert normalised_log_loss(prior, truth) == pytest.approx(1.0)
    assert normalised_log_loss(prior + 2 * (truth - 0.5), truth) < 1.0


def test_a_useless_ranking_has_a_precision_loss_of_1_and_a_perfect_one_of_0() -> None:
    truth = np.arange(100) < 7
    assert precision_loss(np.zeros(100), truth) == pytest.approx(1.0)
    assert precision_loss(truth.astype(float), truth) == 0
    assert precision_loss(np.zeros(100), np.zeros(100, dtype=bool)) == 1


class CountingStore(MemoryStore):
    """Counts what is fitted."""

    fitted = 0

    def put(self, key: str, content: bytes) -> None:
        self.fitted += 1
        super().put(key, content)


def test_pruning_spares_fits_and_every_fold_still_chooses_by_its_inner_folds_alone() -> None:
    tables = make_tables(90, folds=5)
    block = Block.of("net", tables.X["net"], ("linear",))
    chosen, fitted = [], []
    for shuffled in (False, True):
        Y = tables.Y.to_numpy().copy()
        if shuffled:
            inside = np.flatnonzero(tables.fold == 1)
            Y[inside] = Y[np.roll(inside, 7)]
        store = CountingStore()
        fitter = CrossFitter([block], Y, tables.fold, store=store)
        choices = choose(fitter, Tuning(trials=8))
        chosen.append([choice.per_fold[1] for choice in choices])
        fitted.append(store.fitted)
    assert chosen[0] == chosen[1]
    assert max(fitted) < 9 * 10 * 3  # candidates, pairs, locations


def linear_fitter() -> CrossFitter:
    tables = make_tables(60)
    block = Block.of("net", tables.X["net"], ("linear",))
    return CrossFitter([block], tables.Y.to_numpy(), tables.fold)


@pytest.mark.parametrize(
    ("metric", "measure"), [("log_loss", "log-loss"), ("average_precision", "average precision")]
)
def test_every_study_is_told_of_in_one_line(metric: Metric, measure: str) -> None:
    told: list[str] = []
    choose(linear_fitter(), Tuning(trials=1, metric=metric, note=told.append))
    assert told
    for line in told:
        assert line.startswith("net linear, ")
        assert measure in line
        assert "tuned (1 of 1 trials)" in line


def test_learners_of_all_locations_are_not_tuned() -> None:
    tables = make_tables(60)
    blocks = [Block.of("nets", tables.X["net"], OF_NETWORKS)]
    store = CountingStore()
    choices = choose(CrossFitter(blocks, tables.Y.to_numpy(), tables.fold, store=store), Tuning(trials=8))
    assert [choice.positions for choice in choices] == [(None,)] * 3
    assert store.fitted == 0


def test_a_timeout_ends_the_trials_but_not_the_defaults() -> None:
    storage, told = optuna.storages.InMemoryStorage(), []
    choose(linear_fitter(), Tuning(trials=5, timeout=1e-9, storage=storage, note=told.append))
    names = optuna.get_all_study_names(storage)
    trials = [len(optuna.load_study(study_name=name, storage=storage).trials) for name in names]
    assert trials == [1] * len(told)
    assert told

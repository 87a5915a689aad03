"""Tuning draws candidates without looking, and lets every outer fold choose for itself."""

import numpy as np
import optuna
import pytest

from models.settings import KINDS, LARGE, Kind, Settings, defaults
from models.tuning import Candidate, best, normalised_log_loss, strata, tune

KIND: Kind = "lightgbm"


def losses(settings: Settings) -> np.ndarray:
    return np.array([settings.learning_rate, -settings.learning_rate, 1.0])


@pytest.mark.parametrize("rows", [100, LARGE])
@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_come_first_and_are_within_the_space(kind: Kind, rows: int) -> None:
    candidates = tune(losses, name="a", trials=3, kind=kind, rows=rows, seed=0)
    assert len(candidates) == 4
    assert candidates[0].settings == defaults(kind, rows)


def test_candidates_do_not_depend_on_how_earlier_ones_did() -> None:
    one = tune(losses, name="a", trials=4, kind=KIND, rows=100, seed=0)
    other = tune(lambda s: -losses(s), name="a", trials=4, kind=KIND, rows=100, seed=0)
    assert [c.settings for c in one] == [c.settings for c in other]
    assert len({c.settings for c in one}) == 5


def test_a_study_that_was_interrupted_goes_on_with_the_same_candidates() -> None:
    whole = tune(losses, name="a", trials=4, kind=KIND, rows=100, seed=0)
    storage = optuna.storages.InMemoryStorage()
    calls = 0

    def dying(settings: Settings) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return losses(settings)

    with pytest.raises(KeyboardInterrupt):
        tune(dying, name="a", trials=4, kind=KIND, rows=100, seed=0, storage=storage)
    again = tune(dying, name="a", trials=4, kind=KIND, rows=100, seed=0, storage=storage)
    assert [c.settings for c in again] == [c.settings for c in whole]
    assert calls == 6  # two finished, one repeated, two more


def test_every_outer_fold_chooses_its_own_candidate() -> None:
    one = Candidate(Settings(trees=1), np.array([1.0, 3.0]))
    other = Candidate(Settings(trees=2), np.array([1.5, 1.0]))
    assert best([one, other], 0) == one.settings
    assert best([one, other], 1) == other.settings
    assert best([one, other]) == other.settings


def test_strata_follow_the_number_of_positives() -> None:
    targets = np.zeros((1000, 4), dtype=bool)
    for location, positives in enumerate([5, 400, 299, 29]):
        targets[:positives, location] = True
    assert strata(targets) == {"rare": [0, 3], "uncommon": [2], "common": [1]}


def test_knowing_only_the_prevalence_has_a_normalised_log_loss_of_1() -> None:
    truth = np.arange(100) < 7
    prior = np.full(100, np.log(0.07 / 0.93))
    assert normalised_log_loss(prior, truth) == pytest.approx(1.0)
    assert normalised_log_loss(prior + 2 * (truth - 0.5), truth) < 1.0

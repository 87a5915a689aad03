"""Cuts that hold a risk: realised on groups that were not calibrated on, counted over many simulations."""

import numpy as np
import pytest

from models.risk import LEVELS, Level, as_card, calibrate, calibrate_levels, held_out, level_of, realised

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def simulated(groups: int, seed: int, *, sure: float = 1.0, most: int = 5) -> Arrays:
    """Return probabilities, choices, truth and groups: pictures of a group share their errors.

    With `sure` other than 1, probabilities are too extreme (or not enough): cuts may not believe them.
    """
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), rng.integers(1, most + 1, groups))
    log_odds = rng.normal(-1, 2, (groups, 6))
    truth = rng.random((groups, 6)) < 1 / (1 + np.exp(-log_odds))
    probability = 1 / (1 + np.exp(-sure * (log_odds[group] + rng.normal(0, 0.3, (len(group), 6)))))
    return probability, probability >= 0.3, truth[group], group


@pytest.mark.parametrize("sure", [1.0, 3.0])
@pytest.mark.parametrize("risk", [0.1, 0.2])
def test_of_what_is_named_in_new_groups_no_larger_share_is_wrong(risk: float, sure: float) -> None:
    wrong, named = np.zeros(200), np.zeros(200)
    for seed in range(200):
        level = calibrate(*simulated(80, seed, sure=sure), risk)
        probability, chosen, truth, _ = simulated(200, 1000 + seed, sure=sure)
        names = level.named(probability, chosen)
        wrong[seed], named[seed] = (names & ~truth).sum(), names.sum()
    share = wrong / np.maximum(named, 1)
    error = share.std() / np.sqrt(200)
    assert share.mean() <= risk + 2 * error
    assert wrong.sum() / named.sum() <= risk + 2 * error


def test_of_many_groups_the_risk_is_made_use_of() -> None:
    wrong = []
    for seed in range(20):
        level = calibrate(*simulated(1500, seed), 0.1)
        probability, chosen, truth, _ = simulated(500, 1000 + seed)
        names = level.named(probability, chosen)
        wrong.append((names & ~truth).sum() / names.sum())
    assert 0.08 < np.mean(wrong) < 0.105


def test_pictures_that_are_alike_count_as_one_group_and_need_a_higher_cut() -> None:
    alone, grouped = [], []
    for seed in range(100):
        probability, chosen, truth, group = simulated(8, seed, most=30)
        fresh, choice, known, _ = simulated(50, 1000 + seed, most=30)
        for units, shares in ((np.arange(len(group)), alone), (group, grouped)):
            names = calibrate(probability, chosen, truth, units, 0.1).named(fresh, choice)
            shares.append((names & ~known).sum() / max(names.sum(), 1))
    assert np.mean(alone) > 0.1 >= np.mean(grouped)


def test_the_cut_is_the_lowest_that_leaves_room_for_one_more_group_of_wrong_names() -> None:
    probability = np.linspace(0.99, 0.5, 40)[:, None]
    truth = np.arange(40)[:, None] < 30
    level = calibrate(probability, probability > 0, truth, np.arange(40), 0.1)
    # 30 right, 2 wrong and one more that may be wrong are 3 of 33; a third wrong one makes 4 of 34
    assert level.cut == probability[31, 0]
    assert level.coverage == 32 / 40


def test_equal_probabilities_are_named_together_or_not_at_all() -> None:
    probability = np.array([[0.9]] * 20 + [[0.8]] * 20)
    truth = np.array([[True]] * 20 + [[True]] * 10 + [[False]] * 10)
    assert calibrate(probability, probability > 0, truth, np.arange(40), 0.1).cut == 0.9


def test_pictures_that_nothing_is_named_for_are_counted() -> None:
    probability = np.array([[0.9, 0.1]] * 30 + [[0.4, 0.2]] * 70)
    truth = probability > 0.5
    chosen = probability >= 0.3
    level = calibrate(probability, chosen, truth, np.arange(100), 0.1)
    found = realised(level.named(probability, chosen), truth, np.arange(100), 0.1)
    assert (level.coverage, found.coverage, found.wrong, found.found) == (0.3, 0.3, 0, 1)


def test_where_no_cut_holds_the_risk_nothing_is_named() -> None:
    probability = np.full((30, 2), 0.6)
    level = calibrate(probability, probability > 0, np.zeros((30, 2), bool), np.arange(30), 0.1)
    assert level == Level(0.1, None, 0.0)
    assert not level.named(probability, probability > 0).any()
    nothing = np.zeros((30, 2), bool)
    assert calibrate(probability, nothing, nothing, np.arange(30), 0.1).cut is None
    assert realised(nothing, nothing, np.arange(30), 0.1).wrong == 0


def test_the_cut_adds_no_name_to_what_thresholds_choose() -> None:
    probability, chosen, truth, group = simulated(100, 0)
    level = calibrate(probability, chosen, truth, group, 0.4)
    assert not (level.named(probability, chosen) & ~chosen).any()


def test_held_out_names_come_from_cuts_of_the_other_folds() -> None:
    probability, chosen, truth, group = simulated(100, 1)
    fold = group % 4
    named = held_out(probability, chosen, truth, group, fold, 0.2)
    mine, rest = fold == 2, fold != 2
    level = calibrate(probability[rest], chosen[rest], truth[rest], group[rest], 0.2)
    assert np.array_equal(named[mine], level.named(probability[mine], chosen[mine]))
    changed = truth.copy()
    changed[mine] = False  # its own truth has no say
    assert np.array_equal(held_out(probability, chosen, changed, group, fold, 0.2)[mine], named[mine])


def test_shifted_shares_bend_the_risk_where_errors_are_of_one_location() -> None:
    named = np.zeros((200, 2), bool)
    named[:100, 0] = named[100:, 1] = True
    truth = named.copy()
    truth[100:, 1] = np.arange(100) < 60  # every error names the second location
    truth[160:, 0] = True
    found = realised(named, truth, np.arange(200), 0.2)
    assert found.wrong == 0.2
    even = realised(named, named, np.arange(200), 0.2)
    assert found.shifted > 0.25
    assert even.shifted == 0


def test_levels_are_found_by_their_risk() -> None:
    levels = calibrate_levels(*simulated(200, 3), risks=(*LEVELS, 0.25))
    cuts = [level.cut for level in levels if level.cut is not None]
    assert cuts == sorted(cuts, reverse=True)
    card = as_card(levels, 0.25)
    assert level_of(card, None) == next(level for level in levels if level.risk == 0.25)
    assert level_of(card, 0.1).risk == 0.1
    assert level_of(as_card(levels, None), None) is None
    with pytest.raises(ValueError, match=r"risk 0.17 was not calibrated; calibrated: 0.05, 0.1, .*0.25"):
        level_of(card, 0.17)

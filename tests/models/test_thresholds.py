"""Rules that turn probabilities into answers."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import f1_score

from models.metrics import count
from models.thresholds import RULES, choose_rules, decide, f1, f1_shrunk, fit_thresholds, half_f1, proportion


def calibrated(rows: int, seed: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.3, 3, rows) * scale
    return probability, rng.random(rows) < probability


def test_f1_finds_the_best_of_all_thresholds() -> None:
    probability, truth = calibrated(300, 0)
    tried = [f1_score(truth, probability >= cut) for cut in np.unique(probability)]
    assert f1_score(truth, probability >= f1(probability, truth)) == pytest.approx(max(tried))


def test_f1_does_not_cut_between_equal_probabilities() -> None:
    probability = np.array([0.5, 0.5, 0.5, 0.1, 0.1])
    truth = np.array([True, False, False, True, False])
    assert f1(probability, truth) <= 0.1  # F1 is 4/7 for all rows, 2/5 for the first three


def test_half_f1_is_near_the_best_threshold_of_many_calibrated_rows() -> None:
    probability, truth = calibrated(200_000, 1)
    assert half_f1(probability, truth) == pytest.approx(f1(probability, truth), abs=0.05)


def test_shrinking_lies_between_the_data_and_the_promise() -> None:
    probability, truth = calibrated(100, 3)
    ends = sorted([f1(probability, truth), half_f1(probability, truth)])
    assert ends[0] < f1_shrunk(probability, truth) < ends[1]


def test_the_fewer_positives_the_closer_to_the_promise() -> None:
    probability = np.linspace(0.01, 0.9, 50)
    truth = probability > 0.85
    many = (np.tile(probability, 100), np.tile(truth, 100))
    few = abs(f1_shrunk(probability, truth) - half_f1(probability, truth))
    assert few < abs(f1_shrunk(*many) - half_f1(*many))


DISTORTED = {
    "sharper": lambda p: expit(3 * logit(p)),
    "flatter": lambda p: expit(logit(p) / 3),
    "higher": lambda p: expit(logit(p) + 2),
    "lower": lambda p: expit(logit(p) - 2),
    "squared": np.square,
    "cut in five": lambda p: p / 5,
    "calibrated": lambda p: p,
}


@pytest.mark.parametrize("name", sorted(DISTORTED))
@pytest.mark.parametrize("rows", [300, 2000])
def test_no_rule_loses_to_another_where_probabilities_are_not_calibrated(name: str, rows: int) -> None:
    rng = np.random.default_rng(1)

    def drawn(number: int) -> tuple[np.ndarray, np.ndarray]:
        prevalence = np.array([0.3, 0.1, 0.1, 0.05, 0.05, 0.02])
        truth = rng.random((number, 6)) < prevalence
        seen = rng.normal(size=truth.shape) + 2.5 * truth
        return DISTORTED[name](expit(2.5 * seen - 3.125 + logit(prevalence))), truth

    (rest, known), (here, truth) = drawn(rows), drawn(20_000)
    chosen = {rule: here >= fit_thresholds(rest, known, rule) for rule in RULES}
    scores = {rule: float(count(truth, some).macro_f1()) for rule, some in chosen.items()}
    assert max(scores.values()) - min(scores.values()) < 0.05, scores


def test_half_f1_of_probabilities_that_say_nothing_chooses_all() -> None:
    probability, truth = np.linspace(0.9, 0.1, 200), np.arange(200) >= 150  # the higher the less likely
    assert (probability >= half_f1(probability, truth)).all()


def test_proportion_chooses_as_many_as_are_positive() -> None:
    probability, truth = calibrated(500, 4)
    assert (probability >= proportion(probability, truth)).sum() == truth.sum()


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_stays_within_0_and_1_without_positives_or_negatives(rule: str) -> None:
    probability = np.full((10, 2), 0.3)
    truth = np.column_stack([np.zeros(10, dtype=bool), np.ones(10, dtype=bool)])
    thresholds = fit_thresholds(probability, truth, rule)
    assert ((thresholds > 0) & (thresholds < 1)).all()


def test_the_likeliest_location_is_always_answered_unless_told_otherwise() -> None:
    probability = np.array([[0.1, 0.2], [0.9, 0.1]])
    thresholds = np.array([0.5, 0.5])
    assert decide(probability, thresholds, always=True).tolist() == [[False, True], [True, False]]
    assert decide(probability, thresholds, always=False).tolist() == [[False, False], [True, False]]


def test_a_higher_threshold_never_chooses_more() -> None:
    probability = np.random.default_rng(0).random((50, 3))
    low = decide(probability, np.full(3, 0.3), always=False)
    high = decide(probability, np.full(3, 0.6), always=False)
    assert not (high & ~low).any()


def test_the_rule_is_chosen_within_each_stratum_by_what_other_folds_say() -> None:
    rng = np.random.default_rng(0)
    rows = 3000
    probability, truth = calibrated(rows, 7)
    overconfident = np.sqrt(probability)  # its promise of F1 is wrong, so half of it is a poor threshold
    rare = np.where(rng.random(rows) < 0.005, 0.9, 0.01)
    both = np.column_stack([overconfident, rare])
    known = np.column_stack([truth, rare > 0.5])
    rules = choose_rules(both, known, (np.arange(rows) % 3).astype(np.int16))
    assert rules[0] in {"f1", "f1_shrunk", "proportion"}
    assert len(rules) == 2


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rare_location_has_no_threshold_above_a_half_and_a_common_one_may(rule: str) -> None:
    probability = np.full((400, 2), 0.02)
    truth = np.zeros((400, 2), dtype=bool)
    truth[:10, 0], truth[:100, 1] = True, True
    probability[truth] = 0.99
    probability[300:390, :] = 0.8  # confident, and wrong
    rare, common = fit_thresholds(probability, truth, rule)
    assert rare <= 0.5
    assert common > 0.5

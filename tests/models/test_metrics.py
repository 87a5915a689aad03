"""Scores, both macro conventions, and intervals over groups."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from models.metrics import (
    all_positive_macro_f1,
    balanced_f1,
    count,
    interval,
    interval_of_difference,
    per_location,
    resampled_counts,
)

TRUTH = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
CHOSEN = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]], dtype=bool)


def test_f1_is_that_of_scikit_learn() -> None:
    counts = count(TRUTH, CHOSEN)
    assert counts.f1().tolist() == f1_score(TRUTH, CHOSEN, average=None, zero_division=0).tolist()
    assert counts.micro_f1() == pytest.approx(f1_score(TRUTH, CHOSEN, average="micro"))


def test_an_undefined_f1_counts_as_0_or_is_skipped() -> None:
    counts = count(TRUTH, CHOSEN)
    assert float(counts.macro_f1()) == pytest.approx((0.5 + 2 / 3) / 3)
    assert float(counts.macro_f1(skip_undefined=True)) == pytest.approx((0.5 + 2 / 3) / 2)


def test_answering_everything_scores_what_the_shares_say() -> None:
    assert all_positive_macro_f1(TRUTH) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


def test_a_table_has_nan_where_a_ratio_has_no_denominator() -> None:
    columns = ["a", "b", "c"]
    table = per_location(
        pd.DataFrame(TRUTH, columns=columns),
        pd.DataFrame(CHOSEN, columns=columns),
        pd.DataFrame(CHOSEN * 0.9, columns=columns),
    )
    assert table.loc["b", ["f1", "precision", "recall", "support"]].tolist() == [2 / 3, 1.0, 0.5, 2]
    assert table.loc["c", ["f1", "precision", "recall", "average_precision"]].isna().all()


def test_resampling_single_rows_has_the_spread_of_a_binomial() -> None:
    truth = np.ones((400, 1), dtype=bool)
    chosen = np.arange(400)[:, None] < 200
    hits = resampled_counts(truth, chosen, pd.Series(np.arange(400)), draws=2000).hit[:, 0]
    assert hits.mean() == pytest.approx(200, abs=1)
    assert hits.std() == pytest.approx(10, rel=0.1)


def test_rows_of_a_group_are_drawn_together() -> None:
    truth = np.ones((400, 1), dtype=bool)
    chosen = np.arange(400)[:, None] < 200
    grouped = resampled_counts(truth, chosen, pd.Series(np.arange(400) // 100), draws=500).hit[:, 0]
    assert set(np.unique(grouped)) <= {0, 100, 200, 300, 400}


def test_draws_are_paired_between_two_sets_of_answers() -> None:
    groups = pd.Series([0, 1, 2, 3])
    one = resampled_counts(TRUTH, CHOSEN, groups, draws=50, seed=1)
    other = resampled_counts(TRUTH, TRUTH, groups, draws=50, seed=1)
    assert np.array_equal(one.hit + one.missed, other.hit)


def test_the_interval_holds_the_middle() -> None:
    assert interval(np.linspace(0, 1, 1001), 0.5) == pytest.approx((0.025, 0.975))


def test_an_interval_of_values_that_are_too_low_is_moved_up_by_twice_their_bias() -> None:
    values = np.linspace(0.2, 0.4, 1001)
    assert interval(values, 0.35) == pytest.approx((0.305, 0.495))


def test_an_interval_ends_where_scores_and_differences_do() -> None:
    assert interval(np.linspace(0.8, 1, 1001), 0.95) == (pytest.approx(0.905), 1.0)
    assert interval(np.linspace(-0.1, 0.1, 1001), 0.0)[0] == 0.0
    assert interval_of_difference(np.linspace(-0.1, 0.1, 1001), 0.0)[0] == pytest.approx(-0.095)


def test_an_interval_of_very_few_groups_holds_its_estimate() -> None:
    truth = np.eye(12, dtype=bool)  # every location in one group: bootstrap samples lack a third of them
    drawn = resampled_counts(truth, truth, pd.Series(np.arange(12)), draws=200).macro_f1()
    assert interval(drawn, 0.9)[0] <= 0.9
    assert interval_of_difference(drawn, 0.2)[0] == 0.2


def test_one_picture_is_no_difference_beyond_chance() -> None:
    truth = np.zeros((60, 1), dtype=bool)
    truth[:2] = True
    one, other = truth.copy(), truth.copy()
    other[0] = False
    groups = pd.Series(np.arange(60))
    drawn = [resampled_counts(truth, side, groups).macro_f1() for side in (one, other)]
    low, high = interval_of_difference(drawn[0] - drawn[1], 1 - 2 / 3)
    assert low == 0 < high


def test_intervals_of_few_groups_cover() -> None:
    rng = np.random.default_rng(0)
    groups, held, f1 = 40, 0, 2 * 0.7 / (1 + 0.7 + 0.3)  # recall 0.7, as many false alarms as misses
    for number in range(150):
        truth = np.repeat(rng.random((groups, 1)) < 0.15, 3, axis=0)
        rate = np.where(truth, 0.7, 0.3 * 0.15 / 0.85)
        chosen = np.repeat(rng.random((groups, 1)), 3, axis=0) < rate
        named = pd.Series(np.repeat(np.arange(groups), 3))
        drawn = resampled_counts(truth, chosen, named, draws=100, seed=number).macro_f1()
        low, high = interval(drawn, float(count(truth, chosen).macro_f1()))
        held += low <= f1 <= high
    assert 0.88 < held / 150 <= 0.99


def test_balanced_f1_is_that_of_a_balanced_sample_and_two_thirds_for_always_yes() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(20_000) < 0.05
    probability = np.clip(0.05 + 0.08 * truth + rng.normal(0, 0.05, 20_000), 0, 1)
    positives, negatives = np.flatnonzero(truth), np.flatnonzero(~truth)
    some = np.concatenate([positives, rng.choice(negatives, len(positives), replace=False)])
    sampled = f1_score(truth[some], probability[some] >= truth.mean())
    assert balanced_f1(truth, probability) == pytest.approx(sampled, abs=0.02)
    assert balanced_f1(truth, np.ones(20_000)) == pytest.approx(2 / 3)

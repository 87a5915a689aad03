"""Folds keep groups whole and locations even."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

from benchmarks.stack import unevenness
from models.folds import positive_groups, stratified_group_folds


def skewed(rows: int, locations: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shares = 0.5 * 0.7 ** np.arange(locations)
    return rng.random((rows, locations)) < shares


@settings(max_examples=25, deadline=None)
@given(
    folds=st.integers(2, 6),
    groups=st.integers(6, 40),
    seed=st.integers(0, 99),
)
def test_no_group_straddles_and_no_fold_is_empty(folds: int, groups: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    group = pd.Series(rng.integers(0, groups, 150))
    if group.nunique() < folds:
        return
    fold = stratified_group_folds(skewed(150, 6, seed), group, folds, seed=seed)
    assert pd.Series(fold).groupby(group).nunique().max() == 1
    assert set(fold.tolist()) == set(range(folds))


def test_the_same_seed_gives_the_same_folds() -> None:
    targets, group = skewed(200, 5, 0), pd.Series(np.arange(200) // 3)
    first = stratified_group_folds(targets, group, 5, seed=3)
    assert np.array_equal(first, stratified_group_folds(targets, group, 5, seed=3))
    assert not np.array_equal(first, stratified_group_folds(targets, group, 5, seed=4))


@pytest.mark.parametrize("seed", range(4))
def test_single_rows_are_dealt_as_evenly_as_iterative_stratification_does(seed: int) -> None:
    targets = skewed(400, 8, seed)
    ours = stratified_group_folds(targets, pd.Series(np.arange(400)), 5, seed=seed)
    theirs = np.zeros(400, dtype=np.int16)
    splitter = MultilabelStratifiedKFold(5, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(splitter.split(targets, targets)):
        theirs[test] = number
    assert unevenness(targets, ours) <= unevenness(targets, theirs) + 1e-9


def test_every_fold_gets_positives_where_there_are_as_many_groups_as_folds() -> None:
    targets = np.zeros((100, 3), dtype=bool)
    targets[:10, 0] = targets[5:40, 1] = targets[60:, 2] = True
    fold = stratified_group_folds(targets, pd.Series(np.arange(100) // 2), 5)
    counts = np.stack([targets[fold == number].sum(axis=0) for number in range(5)])
    assert counts[:, 0].tolist() == [2, 2, 2, 2, 2]
    assert counts.min() > 0


def test_groups_of_very_different_size_still_give_even_folds() -> None:
    rng = np.random.default_rng(1)
    group = pd.Series(np.repeat(np.arange(120), rng.integers(1, 30, 120)))
    of_group = skewed(120, 6, 2)
    targets = of_group[group]
    fold = stratified_group_folds(targets, group, 5)
    sizes = np.bincount(fold)
    assert sizes.max() - sizes.min() <= 0.05 * len(group) / 5
    random = rng.integers(0, 5, 120)[group]
    assert unevenness(targets, fold) < 0.1 * unevenness(targets, random)


def test_a_hundred_thousand_rows_take_seconds() -> None:
    rng = np.random.default_rng(0)
    group = pd.Series(np.sort(rng.integers(0, 12_815, 105_677)))
    targets = skewed(12_815, 28, 0)[group]
    stratified_group_folds(targets[:500], group[:500], 5)  # compiles
    start = time.process_time()
    fold = stratified_group_folds(targets, group, 5)
    assert time.process_time() - start < 15
    assert pd.Series(fold).groupby(group).nunique().max() == 1


def test_positive_groups_are_counted_once() -> None:
    targets = np.array([[1, 0], [1, 0], [0, 0], [1, 1]], dtype=bool)
    assert positive_groups(targets, pd.Series(["a", "a", "b", "c"])).tolist() == [2, 1]


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="2 groups cannot fill 3 folds"):
        stratified_group_folds(np.ones((4, 1), dtype=bool), pd.Series([0, 0, 1, 1]), 3)


def test_a_missing_group_is_refused() -> None:
    with pytest.raises(ValueError, match="1 rows have no group"):
        stratified_group_folds(np.ones((3, 1), dtype=bool), pd.Series(["a", None, "b"]), 2)

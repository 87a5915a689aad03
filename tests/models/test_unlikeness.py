"""How far rows are from those of the training: a known rate of false alarms, and what is noticed."""

import numpy as np
import pandas as pd
import pytest

from models import unlikeness
from models.unlikeness import Unlikeness, drifts, fit_unlikeness, overall

COLUMNS = [f"c{number}" for number in range(30)]
PARTS = {"first": ("table", COLUMNS[:20]), "second": ("table", COLUMNS[20:])}


def rows(groups: int, seed: int, each: int = 3) -> tuple[pd.DataFrame, np.ndarray]:
    """Return rows of few directions and some noise; those of a group are alike."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(5, 30))
    latent = rng.normal(size=(groups, 5)).repeat(each, axis=0) + rng.normal(0, 0.3, (groups * each, 5))
    table = pd.DataFrame(latent @ mixing + rng.normal(0, 0.3, (groups * each, 30)), columns=COLUMNS)
    return table, np.arange(groups).repeat(each)


def fitted(groups: int = 100, seed: int = 0, **more: float) -> Unlikeness:
    table, group = rows(groups, seed)
    return fit_unlikeness({"table": table}, PARTS, (group % 3).astype(np.int16), group, **more)


def test_rows_like_those_of_the_training_are_taken_for_unlike_ones_as_rarely_as_is_said() -> None:
    alarms = [
        (
            overall((model := fitted(40, seed, rate=0.1)).surprises(rows(40, 1000 + seed)[0])) > model.limit
        ).mean()
        for seed in range(20)
    ]
    assert 0.02 < np.mean(alarms) < 0.1 + 2 * np.std(alarms) / np.sqrt(20)


def test_rows_outside_the_directions_of_the_training_are_noticed_and_the_part_is_named() -> None:
    model = fitted()
    table, _ = rows(40, 5)
    table[COLUMNS[20:]] = np.random.default_rng(1).permuted(table[COLUMNS[20:]].to_numpy(), axis=1)
    surprises = model.surprises(table)
    assert (overall(surprises) > model.limit).mean() > 0.7
    assert (surprises.idxmax(axis=1) == "second").mean() > 0.9


def test_training_rows_themselves_are_within_the_limit() -> None:
    table, _ = rows(100, 0)
    assert (overall(fitted(rate=0.05).surprises(table)) > fitted(rate=0.05).limit).mean() <= 0.05


def test_the_column_that_is_farthest_is_named_with_its_sign() -> None:
    model, (table, _) = fitted(), rows(1, 7)
    table.loc[0, "c23"] = -60.0
    column, far = model.farthest(table.loc[0], "second")
    assert column == "c23"
    assert far < -5


def test_a_row_has_the_same_bits_alone_and_among_others() -> None:
    model, (table, _) = fitted(), rows(20, 8)
    together = model.surprises(table)
    alone = pd.concat([model.surprises(table.iloc[[row]]) for row in range(len(table))])
    pd.testing.assert_frame_equal(together, alone, check_exact=True)


def test_stored_and_read_again_it_is_the_same() -> None:
    model, (table, _) = fitted(), rows(5, 9)
    again = Unlikeness.of(model.arrays())
    pd.testing.assert_frame_equal(model.surprises(table), again.surprises(table), check_exact=True)
    assert (again.limit, again.rate, again.names) == (model.limit, model.rate, model.names)
    assert not any(array.dtype.hasobject for array in model.arrays().values())


def test_few_groups_cannot_tell_a_rate_that_is_small() -> None:
    assert fitted(9, rate=0.01).rate == pytest.approx(0.1)
    assert fitted(200, rate=0.01).rate == 0.01


def test_unknown_and_constant_columns_count_as_usual() -> None:
    table, group = rows(60, 0)
    table["c3"] = 4.0
    table.loc[::2, "c25"] = np.nan
    table["c26"] = np.nan
    model = fit_unlikeness({"table": table}, PARTS, (group % 3).astype(np.int16), group)
    fresh, _ = rows(20, 1)
    fresh["c3"] = 9.0
    fresh["c26"] = 1.0
    surprises = model.surprises(fresh)
    assert np.isfinite(surprises.to_numpy()).all()
    assert (overall(surprises) <= model.limit).mean() > 0.8


def test_batches_that_do_not_drift_are_taken_for_drifting_as_rarely_as_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unlikeness, "RATE", 0.1)
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(100):
        known, scores = rng.gamma(2, size=80), pd.Series(rng.gamma(2, size=60))
        batches, groups = pd.Series(np.repeat(list("abc"), 20)), pd.Series(np.arange(60))
        wrong += any(one.drifts for one in drifts(scores, batches, known, groups))
    assert wrong / 100 < 0.1 + 2 * np.sqrt(0.09 / 100)


def test_a_batch_that_drifts_is_found_and_groups_count_once() -> None:
    known = np.linspace(0.5, 1.5, 100)
    scores = pd.Series(np.concatenate([np.linspace(0.5, 1.5, 20), np.linspace(1.2, 2.2, 20)]))
    batches = pd.Series(["plate 1"] * 20 + ["plate 2"] * 20)
    alone = pd.Series(np.arange(40))
    first, second = drifts(scores, batches, known, alone)
    assert (first.drifts, second.drifts) == (False, True)
    assert (second.batch, second.pictures) == ("plate 2", 20)
    together = pd.Series(["one protein"] * 40)
    assert not any(one.drifts for one in drifts(scores, batches, known, together))

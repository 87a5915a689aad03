"""A stack that starts at a network's log-odds: few rows stay near them, many may leave them."""

from pathlib import Path

import numpy as np
import pandas as pd

from models.base_learners.start import Start
from models.bundle import load_model, save_model
from models.metrics import count
from models.stack_model import STACK
from models.stacking import StackedLocations
from tests.models.tables import LOCATIONS, Tables, make_tables


def tables_with_start(rows: int, seed: int = 0, flaw: float = 0.0) -> Tables:
    """Add log-odds that know the truth through noise and, as a flaw, are shifted by location."""
    tables = make_tables(rows, seed)
    rng = np.random.default_rng(seed + 100)
    log_odds = 3 * tables.Y.to_numpy() - 1.5 + rng.normal(0, 1.5, tables.Y.shape) + flaw * np.arange(3)
    names = [f"cnn__shipped__logit_{name.lower()}" for name in LOCATIONS]
    return Tables(
        tables.X | {"shipped": pd.DataFrame(log_odds, tables.Y.index, names)}, tables.Y, tables.fold
    )


def fitted(tables: Tables, blocks: tuple[str, ...]) -> StackedLocations:
    X = {name: tables.X[name] for name in blocks}
    return StackedLocations(kinds=("linear",), starts=("shipped",)).fit(X, tables.Y, tables.fold)


def log_loss(stack: StackedLocations, tables: Tables) -> float:
    p = np.clip(stack.out_of_fold_[STACK].probability, 1e-9, 1 - 1e-9)
    return float(-np.log(np.where(tables.Y, p, 1 - p)).mean())


def test_log_odds_are_repeated_and_the_mean_stands_in_where_there_are_none():
    X = np.array([[1.0, -2.0], [3.0, 0.0], [np.nan, np.nan]], np.float32)
    start = Start.fit(X, np.zeros((3, 2)), None, 0)
    assert start.log_odds(X).tolist() == [[1, -2], [3, 0], [2, -1]]
    assert Start.from_bytes(start.to_bytes()).log_odds(X).tolist() == start.log_odds(X).tolist()
    parts = start.contributions(X)
    assert np.allclose(parts.sum(axis=2).T, start.log_odds(X))


def test_few_rows_with_a_start_beat_the_same_rows_without():
    better = 0
    for seed in range(4):
        tables = tables_with_start(80, seed)
        with_start, without = fitted(tables, ("net", "shipped")), fitted(tables, ("net",))
        better += log_loss(with_start, tables) < log_loss(without, tables) - 0.03
    assert better == 4


def test_a_shift_by_location_is_made_up_for():
    """Shares of locations differ from those that the network was trained on."""
    right, shifted = tables_with_start(60), tables_with_start(60, flaw=2.0)
    one, other = fitted(right, ("shipped",)), fitted(shifted, ("shipped",))
    truth = right.Y.to_numpy()
    assert abs(log_loss(one, right) - log_loss(other, shifted)) < 0.02
    scores = [count(truth, stack.out_of_fold_[STACK].chosen).macro_f1() for stack in (one, other)]
    assert abs(scores[0] - scores[1]) < 0.05


def test_a_location_of_one_positive_is_learned_too_and_stays_near_the_start():
    tables = tables_with_start(60)
    Y = tables.Y.copy()
    Y["Vesicles"] = False
    Y.iloc[7, 2] = True
    log_odds = tables.X["shipped"].copy()
    log_odds.iloc[:, 2] = -3.0
    log_odds.iloc[7, 2] = 3.0
    stack = StackedLocations(kinds=("linear",), starts=("shipped",))
    stack.fit({"net": tables.X["net"], "shipped": log_odds}, Y, tables.fold)
    found = stack.out_of_fold_[STACK].probability[:, 2]
    assert found.argmax() == 7


def test_it_is_saved_and_explained(tmp_path: Path):
    tables = tables_with_start(60)
    model = fitted(tables, ("net", "shipped")).model_
    save_model(model, tmp_path, {})
    read = load_model(tmp_path).stack
    X = pd.concat([tables.X["net"], tables.X["shipped"]], axis=1)
    assert read.predict(X).probability.equals(model.predict(X).probability)
    parts = read.contributions(X, "Cytosol")
    assert list(parts.columns)[-2:] == ["cnn__shipped__start", "bias"]
    p = read.predict(X).probability["Cytosol"]
    assert np.abs(parts.sum(axis=1) - np.log(p / (1 - p))).max() < 1e-9

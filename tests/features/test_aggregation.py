"""Cells of a picture in one row."""

import numpy as np
import pandas as pd
import pytest
from scenes import in_one_row

from features import aggregate

NAME = "cell__morphology__area"


def cells(*values: float) -> pd.DataFrame:
    """Return a table of one column."""
    return pd.DataFrame({NAME: np.array(values, np.float32)})


def summary(values, touching) -> dict[str, float]:
    """Aggregate one column; names without the column's own."""
    row = in_one_row(aggregate({"morphology": cells(*values)}, touches_border=np.array(touching, bool)))
    return {name.rsplit("__", 1)[1]: value for name, value in row.items()}


def test_without_border_cells_the_statistics_are_those_of_numpy():
    values = np.random.default_rng(0).normal(size=13).astype(np.float32)
    row = summary(values, [False] * 13)
    wide = values.astype(np.float64)
    assert row["mean"] == pytest.approx(wide.mean())
    assert row["std"] == pytest.approx(wide.std())
    assert [row["p10"], row["median"], row["p90"]] == pytest.approx(np.quantile(wide, [0.1, 0.5, 0.9]))
    assert row["max"] == pytest.approx(wide.max())
    assert row["cells"] == 13
    assert row["border_share"] == 0


def test_only_border_cells_weigh_the_same_as_only_inner_cells():
    inner, border = summary([1, 4, 9, 2], [False] * 4), summary([1, 4, 9, 2], [True] * 4)
    assert border.pop("border_share") == 1
    assert inner.pop("border_share") == 0
    assert border == pytest.approx(inner)


def test_a_border_cell_counts_half_in_the_mean_and_fully_in_the_maximum():
    row = summary([1, 1, 6], [False, False, True])
    assert row["mean"] == pytest.approx((1 + 1 + 0.5 * 6) / 2.5)
    assert row["std"] == pytest.approx(np.sqrt((2 * 1 + 0.5 * 16) / 2.5))
    assert row["max"] == 6


def test_weighted_quantiles_stay_in_order_and_between_the_extremes():
    generator = np.random.default_rng(1)
    for _ in range(50):
        count = generator.integers(1, 9)
        values = generator.integers(0, 4, count).astype(float)
        row = summary(values, generator.random(count) < 0.5)
        assert values.min() <= row["p10"] <= row["median"] <= row["p90"] <= row["max"] == values.max()


def test_cells_far_above_the_others_are_counted_by_weight():
    assert summary([1, 1.1, 0.9, 1, 5], [False] * 5)["beyond"] == pytest.approx(0.2)
    assert summary([1, 1.1, 0.9, 1, 5], [False] * 4 + [True])["beyond"] == pytest.approx(0.5 / 4.5)
    assert summary([1, 1, 1, 1, 3], [False] * 5)["beyond"] == pytest.approx(0.2)
    assert summary([2, 2, 2], [False] * 3)["beyond"] == 0
    assert summary([5, 5, 5, 1], [False] * 4)["beyond"] == 0


def test_a_heavier_lower_half_pulls_the_median_down():
    assert summary([0, 1, 2, 3], [False, False, True, True])["median"] < 1.5


def test_undefined_values_are_left_out():
    nan, infinite = float("nan"), float("inf")
    row = summary([nan, 2, infinite, 4], [False] * 4)
    assert (row["mean"], row["median"], row["max"], row["cells"]) == (3, 3, 4, 4)
    row = summary([nan, nan], [False, True])
    assert all(np.isnan(row[name]) for name in ("mean", "std", "median", "p10", "p90", "max", "beyond"))


def test_a_picture_without_cells_has_a_row():
    row = summary([], [])
    assert row.pop("cells") == 0
    assert len(row) == 8
    assert all(np.isnan(value) for value in row.values())


def test_a_flag_per_cell_is_needed():
    with pytest.raises(ValueError, match="touches_border has shape \\(2,\\); there are 1 cells"):
        aggregate({"morphology": cells(1)}, touches_border=np.array([True, False]))

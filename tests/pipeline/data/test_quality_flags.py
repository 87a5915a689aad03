"""Flags of pictures: none of good ones, the right one of each kind of bad one."""

from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.data.layouts import CHANNELS
from pipeline.data.masks import Segmentation
from pipeline.data.picture_quality import COLUMNS, quality
from pipeline.data.pictures import Picture
from pipeline.data.quality_flags import flags

SIDE = 160
GOOD = 20
"""Pictures of a data set."""

Pixels = NDArray[np.float32]


def field(seed: int) -> tuple[Pixels, Segmentation]:
    """Return a field of nine cells with textured nuclei, and where they are."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    cells, nuclei = np.zeros((2, SIDE, SIDE), np.int32)
    for label, (row, column) in enumerate(np.argwhere(np.ones((3, 3))) * 52 + 27, start=1):
        far = np.hypot(rows - row - rng.uniform(-5, 5), columns - column - rng.uniform(-5, 5))
        cells[far < 23], nuclei[far < 12] = label, label
    texture = cv2.GaussianBlur(rng.uniform(0.2, 1.0, (SIDE, SIDE, 4)).astype(np.float32), (0, 0), 1.0)
    planes = [0.05 + 0.5 * texture[..., plane] * (cells > 0) for plane in range(len(CHANNELS))]
    planes[2] = 0.01 + 0.5 * texture[..., 2] * (nuclei > 0)
    return np.stack(planes).astype(np.float32), Segmentation(cells, nuclei)


def data_set(change: Callable[[Pixels], Pixels] | None = None, *, all_of_them: bool = False) -> pd.DataFrame:
    """Return the numbers of a data set, the last picture of which, or all, are changed."""
    rows = []
    for seed in range(GOOD):
        pixels, found = field(seed)
        if change is not None and (all_of_them or seed == GOOD - 1):
            pixels = change(pixels).astype(np.float32)
        rows.append({"cells": found.count, **quality(Picture(pixels), found)})
    return pd.DataFrame(rows)


def blurred(pixels: Pixels) -> Pixels:
    return np.stack([cv2.GaussianBlur(plane, (0, 0), 3) for plane in pixels])


def darker_corners(pixels: Pixels) -> Pixels:
    place = np.linspace(-1, 1, SIDE)
    return pixels * np.exp(-0.7 * (place[:, None] ** 2 + place**2))


def with_dust(pixels: Pixels) -> Pixels:
    pixels = pixels.copy()
    pixels[2, 45:55, 10:150] = 1
    return pixels


def with_a_dim_nucleus_channel(pixels: Pixels) -> Pixels:
    return pixels * np.array([1, 1, 0.15, 1])[:, None, None]


def test_good_pictures_have_numbers_and_no_flag() -> None:
    table = data_set()
    assert table[COLUMNS].notna().all(axis=None)
    assert flags(table).tolist() == [""] * GOOD


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        (blurred, "out of focus (microtubules, nucleus, er)"),
        (lambda pixels: pixels * 4, "saturated (microtubules, protein, nucleus, er)"),
        (darker_corners, "uneven illumination"),
        (with_dust, "debris"),
        (with_a_dim_nucleus_channel, "unusual channel balance (nucleus)"),
    ],
)
def test_a_bad_picture_among_good_ones_has_its_flag(change: Callable[[Pixels], Pixels], flag: str) -> None:
    told = flags(data_set(lambda pixels: np.clip(change(pixels), 0, 1)))
    assert flag in told.iloc[-1].split("; ")
    assert told.iloc[:-1].tolist() == [""] * (GOOD - 1)


def test_pictures_with_few_cells_are_nearly_empty() -> None:
    table = data_set()
    table.loc[[3, 4], "cells"], table.loc[[3, 5], "QC_foreground"] = 2, [0.1, 0.01]
    assert flags(table)[[3, 5]].tolist() == ["nearly empty"] * 2
    assert (flags(table) != "").sum() == 2  # two cells that fill a close-up are not few


def test_illumination_that_a_plate_shares_is_told_of_all_its_pictures_and_no_others() -> None:
    dark, even = data_set(darker_corners, all_of_them=True), data_set()
    dark[[name for name in dark if "corners" in name]] = 0.45  # too weak to be told of one picture
    table = pd.concat([dark.assign(Metadata_Plate="P1"), even.assign(Metadata_Plate="P2")])
    told = flags(table.reset_index(drop=True))
    assert told[:GOOD].str.startswith("uneven illumination of the plate (").all()
    assert (told[GOOD:] == "").all()


def test_close_ups_of_single_cells_have_no_uneven_illumination() -> None:
    table = data_set(darker_corners, all_of_them=True)
    assert flags(table).str.startswith("uneven").all()
    assert (flags(table.assign(cells=2)) == "").all()


def test_few_pictures_are_judged_by_fixed_limits_only() -> None:
    table = data_set(lambda pixels: np.clip(4 * with_a_dim_nucleus_channel(pixels), 0, 1))
    few = table.iloc[-5:].reset_index(drop=True)
    assert flags(few).iloc[-1] == "saturated (microtubules, protein, er)"


def test_a_channel_that_was_not_recorded_and_a_picture_without_cells_have_no_numbers() -> None:
    pixels, found = field(0)
    numbers = quality(Picture(pixels[1:], channels=CHANNELS[1:]), found)
    lacking = {name for name, value in numbers.items() if np.isnan(value)}
    assert lacking == {name for name in COLUMNS if name.endswith("_microtubules")}
    nothing = np.zeros_like(found.cells)
    numbers = quality(Picture(pixels), Segmentation(nothing, nothing))
    assert numbers["QC_foreground"] == 0
    assert np.isnan(numbers["QC_debris"])
    assert flags(pd.DataFrame([{"cells": 0, **numbers}])).tolist() == ["nearly empty"]


def enlarged(factor: int) -> float:
    """Return the focus of the nuclei of a field with so many pixels for each."""
    pixels, found = field(0)
    planes = np.stack([np.kron(plane, np.ones((factor, factor), np.float32)) for plane in pixels])
    labels = [np.kron(one, np.ones((factor, factor), np.int32)) for one in (found.cells, found.nuclei)]
    return float(quality(Picture(planes), Segmentation(*labels))["QC_focus_nucleus"])


def test_focus_does_not_depend_on_the_size_of_fine_pixels() -> None:
    assert enlarged(4) == pytest.approx(enlarged(2), abs=0.1)


def test_debris_that_was_taken_for_a_nucleus_is_debris() -> None:
    pixels, found = field(0)
    spot = found.nuclei == 5
    for changed, others in (("dead", 0.05), ("dust", 4.0)):
        worse = pixels * np.where(spot, others, 1.0)
        worse[2] = np.where(spot, 0.9, pixels[2])
        numbers = quality(Picture(worse.astype(np.float32)), found)
        assert numbers["QC_debris"] == pytest.approx(spot.sum() / (found.nuclei == 1).sum(), abs=0.1), changed
    mitosis = pixels.copy()
    mitosis[2] = np.where(spot, 0.9, pixels[2])
    assert quality(Picture(mitosis), found)["QC_debris"] == 0


def test_a_nucleus_channel_that_shows_something_else_is_told() -> None:
    table = data_set(lambda pixels: pixels[[0, 1, 3, 2]])
    assert flags(table).iloc[-1].startswith("unusual channel balance (")
    assert "nucleus" in flags(table).iloc[-1]


@pytest.mark.parametrize(
    "lacking", [["er"], ["er", "microtubules", "nucleus"]], ids=["er", "all but the protein"]
)
def test_data_sets_without_a_channel_are_judged_by_the_others(lacking: list[str]) -> None:
    table = data_set(lambda pixels: np.clip(pixels * 4, 0, 1))
    table[[name for name in COLUMNS if name.endswith(tuple(lacking))]] = np.nan
    told = flags(table)
    kept = [channel for channel in CHANNELS if channel not in lacking]
    assert f"saturated ({', '.join(kept)})" in told.iloc[-1]
    assert (told.iloc[:-1] == "").all()

"""The same cells photographed with smaller or larger pixels."""

import numpy as np
import pandas as pd
import pytest
from scenes import Scene, blob, in_one_row
from scipy.ndimage import gaussian_filter

from features import family_versions, measure_field, parse
from features.inputs import COMMON_UM, check_field

FINE = COMMON_UM / 2
SHAPE = (192, 288)

TOLERANCES = {
    "adjacency": 0.1,
    "colocalization": 0.06,
    "division": 0.03,
    "edges": 0.05,
    "filaments": 0.1,
    "filters": 0.03,
    "granularity": 0.06,
    "haralick": 0.03,
    "intensity": 0.03,
    "lbp": 0.07,
    "morphology": 0.03,
    "neighbours": 0.03,
    "nucleoli": 0.05,
    "objects": 0.05,
    "outline": 0.1,
    "places": 0.04,
    "radial": 0.04,
    "relations": 0.03,
    "rods": 0.1,
    "topology": 0.06,
    "zernike": 0.1,
    "zones": 0.03,
}
"""Median over a family's columns of the relative difference between pixel sizes."""

ABSOLUTE = {"relations"}
"""Families of correlations, near 0 between these independent textures: there it is the difference itself."""


def photographed(factor: float) -> Scene:
    """Return two cells under a microscope that resolves about 0.6 µm, with pixels `factor` times as large."""
    cells, nuclei = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    for label, centre in ((1, (92.3, 78.6)), (2, (98.1, 207.2))):
        cells[blob(SHAPE, centre, 70, 0.12)] = label
        nuclei[blob(SHAPE, (centre[0] + 6, centre[1] - 8), 28, 0.1)] = label
    planes = []
    for channel in range(4):
        noise = np.random.default_rng(channel).normal(size=SHAPE)
        grain = gaussian_filter(noise, 3) / 0.09 + gaussian_filter(noise, 8) / 0.035
        planes.append(np.clip(0.3 + 0.12 * grain + 0.1 * (nuclei > 0), 0, 1) * (cells > 0))
    repeat, block = {1.0: (1, 1), 4 / 3: (3, 4), 2.0: (1, 2)}[factor]
    labels = [binned(image, repeat, block)[..., 0].astype(np.int32) for image in (cells, nuclei)]
    pixels = np.array([binned(plane, repeat, block).mean(axis=-1) for plane in planes], np.float32)
    return Scene(pixels, *labels)


def binned(image: np.ndarray, repeat: int, block: int) -> np.ndarray:
    """List the parts of every new pixel: an old one is cut into `repeat`^2, a new one made of `block`^2."""
    fine = image.repeat(repeat, axis=0).repeat(repeat, axis=1)
    rows, columns = (side // block for side in fine.shape)
    parts = fine[: rows * block, : columns * block].reshape(rows, block, columns, block)
    return np.moveaxis(parts, 1, 2).reshape(rows, columns, block * block)


def difference(one: pd.DataFrame, other: pd.DataFrame) -> pd.Series:
    """Return each column's relative difference, at its worse cell."""
    size = (one.abs() + other.abs()) / 2
    return ((one - other).abs() / size.where(size > 1e-6)).max()


@pytest.fixture(scope="module")
def tables():
    return {
        factor: photographed(factor).measured(pixel_size_um=FINE * factor) for factor in (1.0, 4 / 3, 2.0)
    }


@pytest.mark.parametrize("factor", [1.0, 4 / 3])
@pytest.mark.parametrize("family", sorted(set(family_versions()) - {"granules"}))  # here are none
def test_with_a_known_pixel_size_a_family_stays_within_its_tolerance(tables, family, factor):
    columns = [column for column in tables[2.0] if parse(column).family == family]
    one, other = tables[2.0][columns], tables[factor][columns]
    gap = (one - other).abs().max() if family in ABSOLUTE else difference(one, other)
    assert gap.median() <= TOLERANCES[family]


def test_without_a_pixel_size_lengths_are_in_pixels():
    ratio = photographed(1.0).measured(families=["morphology"]) / photographed(2.0).measured(
        families=["morphology"]
    )
    assert ratio["cell__morphology__area"].tolist() == pytest.approx([4, 4], rel=0.01)
    assert ratio["cell__morphology__solidity"].tolist() == pytest.approx([1, 1], rel=0.01)


def test_whole_fields_agree_too():
    fields = {
        factor: in_one_row(measure_field(photographed(factor).picture, pixel_size_um=FINE * factor))
        for factor in (1.0, 2.0)
    }
    assert fields[1.0].keys() == fields[2.0].keys()
    one, other = (pd.DataFrame([fields[factor]]) for factor in (1.0, 2.0))
    assert difference(one, other).median() < 0.05


def test_pictures_near_the_common_scale_are_left_alone():
    given = photographed(2.0)
    for size in (None, COMMON_UM, COMMON_UM * 1.01):
        field = check_field(given.picture, given.cells, given.nuclei, ("a", "b", "c", "d"), size)
        assert field.at_common_scale() is field
    field = check_field(given.picture, given.cells, given.nuclei, ("a", "b", "c", "d"), COMMON_UM / 2)
    assert field.at_common_scale().cells.shape == (48, 72)


def test_a_cell_that_vanishes_at_the_common_scale_has_no_texture_but_a_size():
    cells = np.zeros((64, 64), np.int32)
    cells[8, 9], cells[20:50, 20:50] = 1, 2
    picture = np.random.default_rng(0).random((4, 64, 64)).astype(np.float32)
    table = Scene(picture, cells, cells).measured(pixel_size_um=0.08)
    assert table["cell__morphology__area"].tolist() == pytest.approx([0.0064, 900 * 0.0064])
    assert table["cell__haralick__energy_d1__protein"].isna().tolist() == [True, False]

"""What holds for every family, asked of the registry once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from scenes import CHANNELS, Scene, in_one_row, scene

from features import catalogue, cell_columns, family_versions, measure_field, parse
from features.cells import CELL_REGIONS
from features.registry import FIELD_REGIONS, INVARIANCES, REGISTRY, RINGS, UNITS

FAMILIES = sorted(family_versions())


def holds(before: pd.DataFrame, after: pd.DataFrame, invariance: str, rtol: float = 1e-5) -> None:
    """Check that every output that declares an invariance kept its value."""
    declared = {
        (feature.family, name)
        for feature in REGISTRY
        for name, output in feature.outputs.items()
        if invariance in output.invariances
    }
    kept = [column for column in before if (parse(column).family, parse(column).output) in declared]
    assert kept
    atol = 2e-6 if rtol else 0
    pd.testing.assert_frame_equal(before[kept], after[kept], rtol=rtol, atol=atol)


def changes(before: pd.DataFrame, after: pd.DataFrame, column: str) -> bool:
    """Say whether a column is different now."""
    return not np.allclose(before[column], after[column], rtol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_gives_exactly_the_columns_it_declares(family):
    table = scene().measured(families=[family])
    assert list(table.columns) == cell_columns([family])
    assert list(table.index) == [3, 7]
    assert (table.dtypes == np.float32).all()
    assert table.index.name == "label"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_asked_alone_gives_what_it_gives_with_all_others(family):
    together = scene().measured()
    alone = scene().measured(families=[family])
    pd.testing.assert_frame_equal(alone, together[alone.columns], check_exact=True)


MAY_LACK = {"spacing", "rod_length", "longest_rod", "rod_straightness", "ring_diameter"} | {
    f"protein_{what}"
    for what in (
        *("dot_contrast", "dot_width", "dot_variation", "dot_from_nucleus", "dot_nuclear_share"),
        *("dot_from_border", "clump_width", "clump_from_nucleus", "ring_radius", "rod_length"),
        *("disc_radius", "disc_variation", "disc_edge", "disc_from_nucleus"),
    )
}
"""Outputs about what a healthy cell need not have: two nucleoli, a rod, a ring, a dot, a clump, a disc."""


def test_a_healthy_cell_has_almost_no_undefined_value():
    table = scene().measured()
    undefined = {parse(column).output for column in table.columns[table.isna().any()]}
    assert {output for output in undefined if "costes" not in output} <= MAY_LACK


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_by_90_degrees_changes_nothing_that_says_so(turns):
    turned = scene().changed(lambda image: np.rot90(image, turns, axes=(-2, -1)))
    holds(scene().measured(), turned.measured(), "rotation")


@pytest.mark.parametrize("axis", [-1, -2])
def test_mirroring_changes_nothing_that_says_so(axis):
    mirrored = scene().changed(lambda image: np.flip(image, axis))
    holds(scene().measured(), mirrored.measured(), "flip")


def test_moving_cells_in_a_larger_field_changes_nothing():
    def moved(image):
        return np.pad(image, [(0, 0)] * (image.ndim - 2) + [(5, 20), (13, 4)])

    pd.testing.assert_frame_equal(scene().measured(), scene().changed(moved).measured(), check_exact=True)


def test_a_cell_alone_is_the_same_as_in_its_field():
    full = scene()
    only = full.cells == 7
    alone = Scene(full.picture * only, np.where(only, 7, 0), np.where(only, full.nuclei, 0))
    holds(full.measured().loc[[7]], alone.measured(), "neighbours", rtol=0)
    assert changes(full.measured().loc[[7]], alone.measured(), "cell__neighbours__cell_relative__protein")


def test_multiplying_intensities_changes_only_what_should_change():
    before = scene()
    half = Scene((before.picture / 512).astype(np.float32), before.cells, before.nuclei)
    whole = Scene((before.picture / 256).astype(np.float32), before.cells, before.nuclei)
    holds(whole.measured(), half.measured(), "gain")
    assert changes(whole.measured(), half.measured(), "cell__intensity__mean__protein")


def test_shifting_intensities_changes_only_what_should_change():
    before = scene()
    low = Scene((before.picture / 1024).astype(np.float32), before.cells, before.nuclei)
    high = Scene((before.picture / 1024 + 0.25).astype(np.float32), before.cells, before.nuclei)
    holds(low.measured(), high.measured(), "offset")
    assert changes(low.measured(), high.measured(), "cell__intensity__variation__protein")


def test_8_bit_16_bit_and_float_pictures_of_one_scene_agree():
    eight = scene()
    sixteen = Scene(eight.picture.astype(np.uint16) * 257, eight.cells, eight.nuclei)
    real = Scene(eight.picture.astype(np.float64) / 255, eight.cells, eight.nuclei)
    pd.testing.assert_frame_equal(eight.measured(), sixteen.measured(), check_exact=True)
    pd.testing.assert_frame_equal(eight.measured(), real.measured(), check_exact=True)
    field = in_one_row(measure_field(eight.picture))
    assert field == pytest.approx(in_one_row(measure_field(sixteen.picture)), nan_ok=True)


def test_threads_change_no_bit_and_no_order():
    scenes = [scene(seed) for seed in range(4)]
    alone = [one.measured() for one in scenes]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(Scene.measured, scenes))
    for one, other in zip(alone, together, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_cells_measured_at_the_same_time_keep_their_bits():
    pd.testing.assert_frame_equal(scene().measured(threads=3), scene().measured(), check_exact=True)


def test_inputs_are_not_changed():
    given = scene()
    copies = [array.copy() for array in (given.picture, given.cells, given.nuclei)]
    given.measured()
    measure_field(given.picture)
    for array, copy in zip((given.picture, given.cells, given.nuclei), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    "feature", REGISTRY, ids=lambda feature: f"{feature.family}-{feature.function.__name__}"
)
def test_a_feature_says_what_it_is_where_it_comes_from_and_in_which_unit(feature):
    documentation = feature.function.__doc__ or ""
    assert "Units:" in documentation
    assert len(feature.source) > 10
    assert set(feature.regions) <= {*CELL_REGIONS, *RINGS, *FIELD_REGIONS}
    for output in feature.outputs.values():
        assert output.unit in UNITS
        assert output.invariances <= INVARIANCES
        assert output.words[0].isalnum()
        assert not output.words.startswith("the ")


def test_no_two_features_share_a_column():
    columns = cell_columns(channels=CHANNELS)
    assert len(set(columns)) == len(columns)
    assert len(catalogue()) >= len(
        {tuple(row) for row in catalogue()[["family", "region", "output"]].to_numpy()}
    )

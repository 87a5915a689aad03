"""Pictures of few channels, odd sides, unknown pixel size and no cells are exported as they are."""

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr

from pipeline.data.masks import Segmentation, centres_of
from pipeline.data.pictures import Picture
from pipeline.exchange import ome_zarr_files
from pipeline.exchange.napari_folder import write_napari
from pipeline.exchange.ome_zarr_files import write_ome_zarr
from pipeline.exchange.open_in_napari import layers


@pytest.fixture
def picture():
    pixels = np.random.default_rng(0).random((2, 51, 38), np.float32)
    return Picture(pixels, None, ("protein", "nucleus"))


@pytest.fixture
def segmentation():
    cells = np.zeros((51, 38), np.uint16)
    cells[4:20, 6:30] = 3
    return Segmentation(cells, np.where(np.arange(38) < 12, cells, 0).astype(np.uint16))


NOTHING = pd.DataFrame(index=pd.Index([], dtype=int))


def test_ome_zarr_has_the_channels_that_were_recorded(tmp_path, picture, segmentation, monkeypatch):
    monkeypatch.setattr(ome_zarr_files, "SMALLEST", 16)
    write_ome_zarr(tmp_path / "a.ome.zarr", picture, segmentation, NOTHING)
    root = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    assert [one["label"] for one in root.attrs["omero"]["channels"]] == ["protein", "nucleus"]
    assert [root[str(level)].shape for level in range(3)] == [(2, 51, 38), (2, 25, 19), (2, 12, 9)]
    assert [root["labels/cells"][str(level)].shape for level in range(3)] == [(51, 38), (25, 19), (12, 9)]


def test_a_pixel_size_that_is_not_known_is_not_made_up(tmp_path, picture, segmentation):
    write_ome_zarr(tmp_path / "a.ome.zarr", picture, segmentation, NOTHING)
    (multiscale,) = zarr.open_group(tmp_path / "a.ome.zarr", mode="r").attrs["multiscales"]
    assert not any("unit" in axis for axis in multiscale["axes"])
    assert multiscale["datasets"][0]["coordinateTransformations"] == [{"type": "scale", "scale": [1, 1, 1]}]


def test_what_was_not_measured_of_a_cell_is_left_out(tmp_path, picture, segmentation):
    cells = pd.DataFrame({"Metadata_Id": ["a"], "Nuclei_x": [np.nan], "Cells_x": [np.float32(0.5)]}, [3])
    write_ome_zarr(tmp_path / "a.ome.zarr", picture, segmentation, cells)
    labels = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")["labels"]
    known = labels["cells"].attrs["image-label"]["properties"]
    assert known == [{"label-value": 3, "Metadata_Id": "a", "Cells_x": 0.5}]
    assert labels["nuclei"].attrs["image-label"]["properties"] == [{"label-value": 3, "Metadata_Id": "a"}]


def test_napari_shows_a_picture_without_measured_cells(tmp_path, picture, segmentation):
    write_napari(tmp_path / "a", picture, segmentation, NOTHING)
    shown = {options["name"]: options for _, options, _ in layers(tmp_path / "a")}
    assert list(shown) == ["protein", "nucleus", "cells", "nuclei"]
    assert shown["cells"]["scale"] == [1, 1]
    assert not len(shown["cells"]["features"])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a" / "cells.tif"), segmentation.cells)


def test_a_cell_without_a_nucleus_has_no_centre_of_it(segmentation):
    centres = centres_of(segmentation.cells, np.arange(5))
    assert centres[3].tolist() == [17.5, 11.5]
    assert np.isnan(centres[[0, 1, 2, 4]]).all()
    highest = np.where(segmentation.cells > 0, 2**32 - 1, 0).astype(np.uint32)
    np.testing.assert_array_equal(centres_of(highest, np.array([2**32 - 1, 3])), centres[[3, 4]])

"""The same scene in every kind of file gives the same planes, and so the same features."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from PIL import Image

from pipeline.commands.command_line import options_of
from pipeline.core.stage import SilentProgress, execute
from pipeline.data.layouts import CHANNELS, Layout
from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples
from pipeline.stages.extract import Extract
from pipeline.stages.extraction import Extraction
from pipeline.stages.options import ExtractOptions
from tests.acceptance.fields import COLOURS, field

STEPS = np.stack([plane // 16 for plane in field(3).values()])
"""Four planes of values from 0 to 15, which 8, 12 and 16 bits hold alike: 255, 4095 and 65535 are 15 times a
whole number."""
STEPS[:, 0, 0] = 15
EIGHT, TWELVE, DEEP = (STEPS.astype(kind) * top for kind, top in (("u1", 17), ("u2", 273), ("u2", 4369)))
SHARES = (STEPS / 15).astype(np.float32)
NAMES = ["Tubulin", "GFP", "DAPI", "ER"]
NAMED = dict(zip(CHANNELS, NAMES, strict=True))
INDEXED = {channel: number for number, channel in enumerate(CHANNELS)}


def single(values, ending, write):
    """Write a file per channel, named by colour."""

    def to(folder: Path) -> None:
        for colour, plane in zip(COLOURS, values, strict=True):
            write(folder / f"a_{colour}{ending}", plane)

    return to


def tiff(path, values, **options):
    tifffile.imwrite(path, values, **{"photometric": "minisblack"} | options)


def packed(path, values):
    tiff(path.with_suffix(""), values)
    path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
    path.with_suffix("").unlink()


def of_many(name, values, axes="CYX", metadata=None, **options):
    """Write one file with all channels; a table names it."""

    def to(folder: Path) -> None:
        tiff(folder / name, values, metadata={"axes": axes} | (metadata or {}), **options)
        table(folder, name)

    return to


def table(folder, name, more=""):
    heading = "Id,file" + (",scene" if more else "")
    (folder / "samples.csv").write_text(f"{heading}\na,{name}{more}\n")


def ome(name, values, axes="CYX", **more):
    return of_many(name, values, axes, ome=True, metadata={"Channel": {"Name": NAMES}} | more)


def imagej(values, axes="CYX"):
    labels = [f"c:{1 + k % 4}/4 - {NAMES[k % 4]}" for k in range(values[..., 0, 0].size)]
    return of_many("a.tif", values, axes, imagej=True, metadata={"Labels": labels})


def blank_around(values):
    """Return a z-stack, its axis first, of the planes between blank ones."""
    return np.stack([np.zeros_like(values), values, np.zeros_like(values)])


def micro_manager(folder):
    """Write pages in a mixed order, which Micro-Manager's tag explains."""
    with tifffile.TiffWriter(folder / "a.tif") as file:
        for k in (2, 0, 3, 1):
            said = {"ChannelIndex": k, "Channel": NAMES[k], "SliceIndex": 0, "FrameIndex": 0, "BitDepth": 12}
            tags = [(51123, 2, 0, json.dumps(said), True)]
            file.write(TWELVE[k], extratags=tags, metadata=None, photometric="minisblack")
    table(folder, "a.tif")


def metamorph_planes(folder):
    """Write a file per z plane, named in a table."""
    rows = []
    for k in range(4):
        for z, plane in enumerate(blank_around(EIGHT[k])):
            tiff(folder / f"w{k}_z{z}.tif", plane)
        rows.append("|".join(f"w{k}_z{z}.tif" for z in range(3)))
    (folder / "samples.csv").write_text(f"Id,red,green,blue,yellow\na,{','.join(rows)}\n")


def picture(group, values, version, axes="cyx"):
    """Write a picture of OME-Zarr into a group."""
    array = group.create_array(
        "0", shape=values.shape, dtype=values.dtype, chunks=(1,) * (values.ndim - 2) + (64, 64)
    )
    array[:] = values
    said = {
        "multiscales": [
            {
                "axes": [{"name": axis, "type": "space", "unit": "micrometer"} for axis in axes],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [
                            {"type": "scale", "scale": [1] * (len(axes) - 2) + [0.32] * 2}
                        ],
                    }
                ],
            }
        ],
        "omero": {"channels": [{"label": name} for name in NAMES]},
    }
    group.attrs.update(said if version == 2 else {"ome": {"version": "0.5", **said}})


def zarr_picture(version, values=EIGHT, axes="cyx"):
    def to(folder: Path) -> None:
        picture(zarr.open_group(folder / "a.ome.zarr", mode="w", zarr_format=version), values, version, axes)
        table(folder, "a.ome.zarr")

    return to


def zarr_plate(folder):
    root = zarr.open_group(folder / "plate.zarr", mode="w", zarr_format=2)
    root.attrs.update({"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}})
    for well, values in {"A/1": EIGHT[::-1], "B/2": EIGHT}.items():
        group = root.create_group(well)
        group.attrs.update({"well": {"images": [{"path": "0"}]}})
        picture(group.create_group("0"), values, 2)
    table(folder, "plate.zarr", ",b/2/0")


PNG = single(EIGHT, ".png", lambda path, plane: Image.fromarray(plane).save(path))
LAYOUT, STACK = Layout(channels=NAMED), Layout(channels=NAMED, projection="max")

SAME = {
    "8-bit PNG": (PNG, Layout()),
    "16-bit PNG": (single(DEEP, ".png", lambda path, plane: Image.fromarray(plane).save(path)), Layout()),
    "8-bit TIFF": (single(EIGHT, ".tif", tiff), Layout()),
    "12 bits of 16": (single(TWELVE, ".tif", tiff), Layout()),
    "16-bit BigTIFF": (single(DEEP, ".tif", lambda path, plane: tiff(path, plane, bigtiff=True)), Layout()),
    "floating-point numbers": (single(SHARES, ".tif", tiff), Layout()),
    "double precision up to 255": (single(SHARES.astype(np.float64) * 255, ".tif", tiff), Layout()),
    "whole numbers of 32 bits": (single(TWELVE.astype(np.uint32), ".tif", tiff), Layout()),
    "a stated range": (single(TWELVE + 100, ".tif", tiff), Layout(range=(100, 4195))),
    "packed TIFF": (single(EIGHT, ".tif.gz", packed), Layout()),
    "OME-TIFF by name": (ome("a.ome.tif", EIGHT), LAYOUT),
    "OME-TIFF by index": (ome("a.ome.tif", EIGHT), Layout(channels=INDEXED)),
    "OME-TIFF of 12 bits": (ome("a.ome.tif", TWELVE, SignificantBits=12), LAYOUT),
    "OME-TIFF, z first": (ome("a.ome.tif", blank_around(EIGHT), "ZCYX"), STACK),
    "OME-TIFF, channels first": (ome("a.ome.tif", np.moveaxis(blank_around(EIGHT), 0, 1), "CZYX"), STACK),
    "mean of equal planes": (
        ome("a.ome.tif", np.stack([DEEP] * 3), "ZCYX"), Layout(channels=NAMED, projection="mean")
    ),
    "sharpest of blank planes": (
        ome("a.ome.tif", blank_around(EIGHT), "ZCYX"), Layout(channels=NAMED, projection="focus")
    ),
    "ImageJ hyperstack": (imagej(EIGHT), LAYOUT),
    "ImageJ hyperstack in depth": (imagej(blank_around(TWELVE), "ZCYX"), STACK),
    "pages without a header": (of_many("a.tif", EIGHT, photometric="minisblack"), Layout(channels=INDEXED)),
    "Micro-Manager": (micro_manager, LAYOUT),
    "files of z planes": (metamorph_planes, Layout(projection="max")),
    "OME-Zarr 0.4": (zarr_picture(2), LAYOUT),
    "OME-Zarr 0.5": (zarr_picture(3), LAYOUT),
    "OME-Zarr in depth": (zarr_picture(3, blank_around(DEEP), "zcyx"), STACK),
    "a field of a plate": (zarr_plate, LAYOUT),
}  # fmt: skip


def samples_in(folder, layout):
    found = folder / "samples.csv"
    return find_samples(folder, found if found.exists() else None, layout)


@pytest.mark.parametrize("kind", SAME)
def test_the_same_scene_has_the_same_planes_to_the_last_bit(tmp_path, kind):
    SAME[kind][0](tmp_path)
    (sample,), problems = samples_in(tmp_path, SAME[kind][1])
    assert problems == []
    np.testing.assert_array_equal(read_picture(sample).pixels, SHARES)


def features_of(folder, layout):
    found = folder / "samples.csv"
    options = {"images": folder, "work": folder / "work", "samples": found if found.exists() else None}
    more = {"segmenter": "watershed", "families": "intensity", "jobs": 1}
    execute(Extract(), options_of(ExtractOptions, options | more | {"layout": layout}), SilentProgress())
    return pd.read_parquet(folder / "work" / "features.parquet").set_index("Id").loc["a"]


def test_other_pictures_are_read_by_the_range_of_these(tmp_path):
    SAME["12 bits of 16"][0](tmp_path)
    features_of(tmp_path, Layout())
    made = Extraction.model_validate_json((tmp_path / "work" / "extraction.json").read_bytes())
    layout = made.fitting_layout(Layout())
    assert layout.white == {"whole": 4095}
    dim = tmp_path / "dim"
    dim.mkdir()
    single(TWELVE // 273, ".tif", tiff)(dim)
    (sample,), _ = find_samples(dim, None, layout)
    np.testing.assert_array_equal(read_picture(sample).pixels, (STEPS / 4095).astype(np.float32))


@pytest.mark.parametrize("kind", ["12 bits of 16", "ImageJ hyperstack in depth", "a field of a plate"])
def test_the_same_scene_has_the_same_features(tmp_path, kind):
    values = []
    for name in ("8-bit PNG", kind):
        (tmp_path / name).mkdir()
        SAME[name][0](tmp_path / name)
        layout = SAME[name][1].model_copy(update={"pixel_size_um": 0.32})
        values.append(features_of(tmp_path / name, layout))
    np.testing.assert_array_equal(*values)


def test_the_colours_of_a_jpeg_have_the_same_planes_but_for_its_losses(tmp_path):
    for colour, plane in zip(COLOURS, EIGHT, strict=True):
        shown = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0)}[colour]
        Image.fromarray(plane[..., None] * np.array(shown, np.uint8)).save(
            tmp_path / f"a_{colour}.jpg", quality=95
        )
    (sample,), _ = find_samples(tmp_path)
    difference = np.abs(read_picture(sample).pixels - SHARES)
    assert difference.mean() < 0.02
    assert np.percentile(difference, 99) < 0.1

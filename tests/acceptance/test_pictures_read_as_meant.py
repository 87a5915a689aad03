"""Files as other programs write them: the numbers are those that were meant, or the sample says why not."""

import gzip
import math
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from tests.acceptance.conftest import Extraction, Measured, assert_skipped
from tests.acceptance.fields import COLOURS, field, ome_header, write_png, write_table, write_tiff

PLANES = field()
MICRO, GREEK = "\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m"


def assert_same_picture(found: Measured, name: str, tolerance: float = 0) -> None:
    """Check that a sample's features are those of the good picture."""
    assert found.ended.status == 0
    assert found.told(name) == ""
    numbers = found.features.to_numpy(float)[found.features.index.get_indexer(["good", name])]
    np.testing.assert_allclose(numbers[1], numbers[0], rtol=tolerance, atol=tolerance)
    assert found.samples.loc[name, "cells"] == found.samples.loc["good", "cells"] == 4


def with_pixel_size(folder: Path, name: str, pixels: str) -> None:
    write_tiff(folder, name, PLANES, description=ome_header(pixels), metadata=None)


def test_a_pixel_size_that_is_no_length_is_unknown(extract: Extraction, images):
    sizes = ["NaN", "-0.3", "0", "INF", "-INF", "", "unknown"]
    for k, size in enumerate(sizes):
        with_pixel_size(images, f"p{k}", f'PhysicalSizeX="{size}" PhysicalSizeXUnit="{MICRO}"')
    found = extract(images)
    for k, size in enumerate(sizes):
        assert_same_picture(found, f"p{k}")
        assert math.isnan(found.samples.loc[f"p{k}", "pixel_size_um"]), size


def test_a_pixel_size_that_is_no_number_in_a_header_of_imagej_is_unknown(extract: Extraction, images):
    write_tiff(images, "other", PLANES, imagej=True, resolution=(0, 0), metadata={"unit": "um"})
    found = extract(images)
    assert_same_picture(found, "other")
    assert math.isnan(found.samples.loc["other", "pixel_size_um"])


def test_dots_per_inch_of_a_screen_are_not_taken_for_a_microscopes(extract: Extraction, images):
    write_tiff(images, "other", PLANES, imagej=True, resolution=(72, 72), metadata={"unit": "inch"})
    found = extract(images)
    assert found.ended.status == 0
    if "other" in found.samples.index:
        assert math.isnan(found.samples.loc["other", "pixel_size_um"])
        assert_same_picture(found, "other")
    else:
        assert_skipped(found, "other", "352.")


def test_pixel_sizes_of_the_user_that_no_microscope_has_are_problems_of_their_samples(
    extract: Extraction, images, tmp_path
):
    sizes = ["320", "0.0003", "-1", "1e300"]
    for k in range(4):
        write_png(images, f"p{k}", field(1))
    names = ["good", *(f"p{k}" for k in range(4))]
    rows = [
        [name, *(f"{name}_{colour}.png" for colour in COLOURS), size]
        for name, size in zip(names, ["0.32", *sizes], strict=True)
    ]
    table = write_table(tmp_path / "samples.csv", ["Id", *COLOURS, "pixel_size_um"], rows)
    found = extract(images, "--samples", table)
    for name, size in zip(names[1:], sizes, strict=True):
        assert_skipped(found, name, f"{float(size):g}")


def test_endings_of_tiff_files_are_found(extract: Extraction, images):
    header = ome_header(f'PhysicalSizeX="0.3" PhysicalSizeXUnit="{MICRO}"')
    endings = ["ome.tif", "ome.tiff", "OME.TIF", "TIF", "tiff"]
    for k, ending in enumerate(endings):
        write_tiff(images, f"p{k}", PLANES, ending, description=header, metadata=None)
    found = extract(images)
    means = found.features[[f"field__intensity__mean__{channel}" for channel in ("protein", "nucleus", "er")]]
    for k, ending in enumerate(endings):
        assert found.samples.loc[f"p{k}", "pixel_size_um"] == pytest.approx(0.3), ending
        pd.testing.assert_series_equal(
            means.loc[f"p{k}"], means.loc["good"], check_names=False, check_exact=True
        )


def test_a_plane_with_the_header_of_its_whole_set_is_that_plane(extract: Extraction, images):
    """As Bio-Formats splits channels: named as in the header, renamed, and without the others' names."""
    for name, stem in (("same", "same"), ("renamed", "exported"), ("unnamed", None)):
        data = ""
        for k, colour in enumerate(COLOURS):
            file = f' FileName="{stem}_{colour}.tif"' if stem else ""
            key = f"<UUID{file}>urn:uuid:{uuid.UUID(int=k + 1)}</UUID>"
            data += f'<TiffData FirstC="{k}" FirstT="0" FirstZ="0" IFD="0" PlaneCount="1">{key}</TiffData>'
        header = ome_header("", channels=4, data=data)
        write_tiff(images, name, PLANES, description=header, metadata=None)
    found = extract(images)
    for name in ("same", "renamed", "unnamed"):
        assert_same_picture(found, name)


def test_a_file_that_holds_all_channels_is_told(extract: Extraction, images):
    stack = np.stack(list(PLANES.values()))
    for colour in COLOURS:
        tifffile.imwrite(images / f"other_{colour}.tif", stack, photometric="minisblack", ome=True)
    assert_skipped(extract(images), "other", "other_")


def test_min_is_white_is_read_as_meant(extract: Extraction, images):
    forms = [("uint8", None), ("uint16", None), ("uint16", "lzw"), ("uint8", "zlib")]
    for k, (depth, compression) in enumerate(forms):
        top = np.iinfo(depth).max
        white = {colour: (top - plane.astype(depth) * (top // 255)) for colour, plane in PLANES.items()}
        options = {"photometric": "miniswhite", "compression": compression, "metadata": None}
        write_tiff(images, f"p{k}", white, **options)
    found = extract(images)
    for k in range(len(forms)):
        assert_same_picture(found, f"p{k}")


def test_tiff_in_another_form_is_the_same(extract: Extraction, images):
    grey = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
    forms = {
        "big_endian": {"byteorder": ">"},
        "tiles": {"tile": (32, 32), "compression": "deflate", "predictor": True},
        "bigtiff": {"compression": "lzw", "bigtiff": True},
        "strips": {"rowsperstrip": 7},
        "palette": {"photometric": "palette", "colormap": grey},
        "dots_per_inch": {"resolution": (300, 300), "resolutionunit": "INCH"},
    }
    for name, options in forms.items():
        write_tiff(images, name, PLANES, metadata=None, **options)
    found = extract(images)
    for name in forms:
        assert_same_picture(found, name)


def test_twelve_bits_are_read_as_the_file_states_them(extract: Extraction, images):
    for colour, plane in PLANES.items():
        twelve = np.rint(plane * (4095 / 255)).astype(np.uint16)
        even, odd = twelve[:, ::2], twelve[:, 1::2]
        packed = np.stack([even >> 4, (even & 15) << 4 | odd >> 8, odd & 255], axis=-1).astype(np.uint8)
        path = images / f"other_{colour}.tif"
        tifffile.imwrite(path, packed.reshape(len(plane), -1), photometric="minisblack", metadata=None)
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.pages[0].tags["ImageWidth"].overwrite(plane.shape[1])
            file.pages[0].tags["BitsPerSample"].overwrite(12)
    found = extract(images)
    means = found.features[[f"field__intensity__mean__{channel}" for channel in ("protein", "nucleus", "er")]]
    np.testing.assert_allclose(means.loc["other"], means.loc["good"], rtol=0.01)


@pytest.mark.parametrize("pages", [("small", "whole"), ("whole", "small")])
def test_a_thumbnail_is_not_the_picture(extract: Extraction, images, pages):
    for colour, plane in PLANES.items():
        sizes = {"whole": plane, "small": np.ascontiguousarray(plane[::4, ::4])}
        with tifffile.TiffWriter(images / f"other_{colour}.tif") as file:
            for page in pages:
                kind = 1 if page == "small" else 0
                file.write(sizes[page], photometric="minisblack", metadata=None, subfiletype=kind)
    assert_same_picture(extract(images), "other")


def test_a_thumbnail_that_is_not_marked_as_one_is_not_measured(extract: Extraction, images):
    for colour, plane in PLANES.items():
        with tifffile.TiffWriter(images / f"other_{colour}.tif") as file:
            file.write(np.ascontiguousarray(plane[::4, ::4]), photometric="minisblack", metadata=None)
            file.write(plane, photometric="minisblack", metadata=None)
    found = extract(images)
    if "other" in found.samples.index:
        assert_same_picture(found, "other")
    else:
        assert_skipped(found, "other", "other_")


def test_a_pyramid_is_read_at_its_full_size(extract: Extraction, images):
    for colour, plane in PLANES.items():
        with tifffile.TiffWriter(images / f"other_{colour}.ome.tif", ome=True) as file:
            file.write(plane, photometric="minisblack", subifds=1)
            file.write(np.ascontiguousarray(plane[::2, ::2]), photometric="minisblack", subfiletype=1)
    assert_same_picture(extract(images), "other")


def test_several_pictures_in_one_file_are_refused(extract: Extraction, images):
    for colour, plane in PLANES.items():
        with tifffile.TiffWriter(images / f"other_{colour}.tif") as file:
            for seed in range(4):
                file.write(np.roll(plane, seed), photometric="minisblack", metadata=None)
    assert_skipped(extract(images), "other", "other_", "4")


def coloured(colour: str) -> np.ndarray:
    plane, zero = PLANES[colour], np.zeros_like(PLANES[colour])
    shown = {"red": "r", "green": "g", "blue": "b", "yellow": "rg"}[colour]
    return np.stack([plane if letter in shown else zero for letter in "rgb"], axis=-1)


def test_a_channel_in_its_own_colour_is_that_channel(extract: Extraction, images):
    for colour in COLOURS:
        Image.fromarray(coloured(colour)).save(images / f"other_{colour}.png")
    assert_same_picture(extract(images), "other")


def test_jpegs_of_the_human_protein_atlas_are_read_and_its_composites_left_alone(extract: Extraction, images):
    for colour in COLOURS:
        Image.fromarray(coloured(colour)).save(images / f"other_{colour}.jpg", quality=95)
    Image.fromarray(coloured("red") + coloured("blue")).save(images / "other_blue_red_green.jpg", quality=95)
    found = extract(images)
    assert set(found.samples.index) == {"good", "other"}
    assert found.problems == {}
    assert found.samples.loc["other", "cells"] == 4
    means = found.features["field__intensity__mean__nucleus"]
    assert means["other"] == pytest.approx(means["good"], rel=0.1)


def test_grey_in_another_form_is_grey(extract: Extraction, images):
    for colour, plane in PLANES.items():
        Image.fromarray(plane).convert("P").save(images / f"palette_{colour}.png")
        Image.fromarray(np.dstack([plane] * 3)).save(images / f"rgb_{colour}.png")
        opaque = np.dstack([plane, plane, plane, np.full_like(plane, 255)])
        Image.fromarray(opaque).save(images / f"rgba_{colour}.png")
        tifffile.imwrite(images / f"tiff_{colour}.tif", np.dstack([plane] * 3), photometric="rgb")
    found = extract(images)
    for name in ("palette", "rgb", "rgba", "tiff"):
        assert_same_picture(found, name)


def test_pictures_of_several_colours_are_refused(extract: Extraction, images):
    shown = Image.fromarray(np.dstack([PLANES["red"], PLANES["green"], PLANES["blue"]]))
    for colour in COLOURS:
        shown.save(images / f"mixed_{colour}.png")
        shown.quantize(16).save(images / f"palette_{colour}.png")
    found = extract(images)
    for name in ("mixed", "palette"):
        assert_skipped(found, name, f"{name}_", "colour")


def test_a_missing_stain_says_how_to_make_do(extract: Extraction, images):
    write_png(images, "other", {colour: PLANES[colour] for colour in COLOURS[:3]})
    assert_skipped(extract(images), "other", "other_yellow", 'optional = ["er"]')
    write_png(images, "other", {"yellow": np.zeros_like(PLANES["yellow"])})
    assert extract(images).samples.loc["other", "cells"] == 4


def test_units_of_length_are_known_in_every_spelling(extract: Extraction, images):
    spellings = [
        *(("0.32", unit) for unit in (MICRO, GREEK, "um", "UM", "micron", "micrometer")),
        *(("3.2e-7", "m"), ("3.2e-4", "mm"), ("3.2e-5", "cm"), ("320", "nm")),
        *(("3200", unit) for unit in ("\N{LATIN CAPITAL LETTER A WITH RING ABOVE}", "\N{ANGSTROM SIGN}")),
    ]
    for k, (size, unit) in enumerate(spellings):
        with_pixel_size(images, f"p{k}", f'PhysicalSizeX="{size}" PhysicalSizeXUnit="{unit}"')
    sizes = extract(images).samples["pixel_size_um"]
    for k, (_, unit) in enumerate(spellings):
        assert sizes[f"p{k}"] == pytest.approx(0.32), unit


def test_units_of_imagej_are_known_in_every_spelling(extract: Extraction, images):
    micro = [MICRO.encode("latin-1"), MICRO.encode(), GREEK.encode()]
    units = [b"microns", b"micron", b"um", b"\\u00B5m", *micro]
    for k, unit in enumerate(units):
        text = b"ImageJ=1.53t\nimages=1\nunit=" + unit + b"\nloop=false\n"
        write_tiff(images, f"p{k}", PLANES, description=text, resolution=(3.125, 3.125), metadata=None)
    sizes = extract(images).samples["pixel_size_um"]
    for k, unit in enumerate(units):
        assert sizes[f"p{k}"] == pytest.approx(0.32), unit


def test_a_comma_in_a_pixel_size_does_not_make_a_file_unreadable(extract: Extraction, images):
    with_pixel_size(images, "other", f'PhysicalSizeX="0,32" PhysicalSizeXUnit="{MICRO}"')
    found = extract(images)
    assert found.told("other") == ""
    assert found.samples.loc["other", "pixel_size_um"] in (
        pytest.approx(0.32),
        pytest.approx(math.nan, nan_ok=True),
    )


def told(found: Measured, name: str) -> str:
    return found.told(name) + found.ended.output + found.ended.errors


def test_channels_of_unlike_pixel_sizes_are_told(extract: Extraction, images):
    for colour, size in zip(COLOURS, ["0.32", "0.16", "0.32", "0.32"], strict=True):
        header = ome_header(f'PhysicalSizeX="{size}" PhysicalSizeXUnit="{MICRO}"')
        write_tiff(images, "other", {colour: PLANES[colour]}, description=header, metadata=None)
    found = extract(images)
    assert found.ended.status == 0
    assert "0.32" in told(found, "other")
    assert "0.16" in told(found, "other")


def test_pixels_that_are_not_square_are_told(extract: Extraction, images):
    sizes = (
        f'PhysicalSizeX="0.32" PhysicalSizeXUnit="{MICRO}" PhysicalSizeY="0.64" PhysicalSizeYUnit="{MICRO}"'
    )
    with_pixel_size(images, "other", sizes)
    found = extract(images)
    assert found.ended.status == 0
    assert "0.32" in told(found, "other")
    assert "0.64" in told(found, "other")


def test_files_that_are_no_pictures_are_named_for_what_they_are(extract: Extraction, images):
    contents = {
        "html": (b"<html><body>not found</body></html>", "web page"),
        "doctype": (b"\n <!DOCTYPE html>\n<html></html>", "web page"),
        "pdf": (b"%PDF-1.7\n", "pdf"),
        "empty": (b"", "empty"),
        "zip": (b"PK\x03\x04" + bytes(60), "zip"),
        "gzip": (gzip.compress(b"a picture"), "gzip"),
    }
    for name, (content, _) in contents.items():
        for ending in ("jpg", "png", "tif"):
            write_png(images, f"{name}_{ending}", PLANES)
            (images / f"{name}_{ending}_green.png").unlink()
            (images / f"{name}_{ending}_green.{ending}").write_bytes(content)
    found = extract(images)
    for name, (_, words) in contents.items():
        for ending in ("jpg", "png", "tif"):
            assert_skipped(found, f"{name}_{ending}", f"{name}_{ending}_green.{ending}")
            assert words in found.told(f"{name}_{ending}").lower()
            assert "BytesIO" not in found.told(f"{name}_{ending}")


def test_pictures_with_the_ending_of_another_kind_are_read_or_told(extract: Extraction, images):
    kinds = [("JPEG", "png"), ("PNG", "jpg"), ("PNG", "tif"), ("TIFF", "png")]
    for k, (kind, ending) in enumerate(kinds):
        for colour, plane in PLANES.items():
            Image.fromarray(plane).save(images / f"p{k}_{colour}.{ending}", format=kind)
    found = extract(images)
    assert found.ended.status == 0
    for k, (kind, ending) in enumerate(kinds):
        if f"p{k}" in found.samples.index:
            assert found.samples.loc[f"p{k}", "cells"] == 4, kind
        else:
            assert kind in found.told(f"p{k}")
            assert f".{ending}" in found.told(f"p{k}")


def test_spaces_around_the_names_of_families_are_ignored(extract: Extraction, images):
    assert extract(images, families=" intensity ").ended.status == 0

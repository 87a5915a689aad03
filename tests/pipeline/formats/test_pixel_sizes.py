"""Pixel sizes: every unit and spelling, and which of what is stated is believed."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from pipeline.core.errors import SampleError
from pipeline.core.files import UnreadableError
from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples
from pipeline.formats.pixel_sizes import agreed_size, micrometres

COLOURS = ("red", "green", "blue", "yellow")
PLANE = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        *((0.32, unit) for unit in ("µm", "\u03bcm", "\\u00B5m", "um", "UM", " micron ", "microns")),
        *((0.32, unit) for unit in ("Micrometer", "micrometres", "µ", "µm/pixel", "microns per px")),
        *((320, unit) for unit in ("nm", "nanometers", "NM")),
        *((3200, unit) for unit in ("Å", "\u212b", "angstroms")),
        ("0,32", "µm"), (" 0.32 ", "µm"), ("3.2e-7", "m"), ("3.2e-4", "mm"), (3.2e-5, "cm"),
        (0.32 / 25_400, "inch"), (0.32 / 25_400, "inches"),
    ],
)  # fmt: skip
def test_units_are_known_in_every_spelling(text, unit):
    assert micrometres(text, unit) == pytest.approx(0.32)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        *((text, "µm") for text in ("nan", "-0.3", "0", "inf", "", "0.3 or so", "1e999")),
        (1, "pixel"), (1, ""), (1, "reference frame"), (1 / 72, "inch"),
    ],
)  # fmt: skip
def test_what_is_no_size_counts_as_unknown(text, unit):
    assert micrometres(text, unit) is None


def test_the_users_size_goes_before_those_of_the_files_which_must_agree():
    assert agreed_size(0.5, {"r": (0.1, 0.3), "g": (0.2, None)}) == 0.5
    assert agreed_size(None, {"r": (None, None), "g": (0.2, 0.2005), "b": (0.2001, None)}) == 0.2
    assert agreed_size(None, {"r": (None, None)}) is None


@pytest.mark.parametrize(
    ("stated", "found", "reason"),
    [
        (
            None,
            {"r": (0.32, 0.32), "g": (0.16, 0.16)},
            "disagree: 0.32 µm in r, 0.16 µm in g; state pixel_size_um",
        ),
        (None, {"r": (0.32, 0.64)}, "pixels of r are 0.32 µm wide and 0.64 µm high"),
        (None, {"r": (352.8, 352.8)}, r"pixel size 352.8 µm, .* \(0.01 to 20 µm\); correct it"),
        (None, {"r": (0.0003, 0.0003)}, "pixel size 0.0003 µm"),
        (320.0, {}, "pixel size 320 µm"),
    ],
)
def test_sizes_that_cannot_be_are_refused_with_their_values(stated, found, reason):
    with pytest.raises(UnreadableError, match=reason):
        agreed_size(stated, found)


def ome(folder, name, attributes, colours=COLOURS):
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image><Pixels DimensionOrder="XYCZT" Type="uint8" SizeX="8" SizeY="8" SizeC="1" SizeZ="1" '
        f'SizeT="1" {attributes}><TiffData/></Pixels></Image></OME>'
    )
    for colour in colours:
        path = folder / f"{name}_{colour}.ome.tif"
        tifffile.imwrite(path, PLANE, description=text.encode(), metadata=None, photometric="minisblack")


def size_of(folder):
    return read_picture(find_samples(folder)[0][0]).pixel_size_um


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('PhysicalSizeX="0.32" PhysicalSizeXUnit="\u03bcm"', 0.32),
        ('PhysicalSizeX="0,32"', 0.32),
        ('PhysicalSizeX="3.2e-7" PhysicalSizeXUnit="m"', 0.32),
        ('PhysicalSizeX="nan" PhysicalSizeY="nan"', None),
        ('PhysicalSizeX="-0.3"', None),
        ('PhysicalSizeX="0.32" PhysicalSizeY="0.32" PhysicalSizeYUnit="lightyear"', 0.32),
        ("PhysicalSizeX = '320' PhysicalSizeXUnit=\"&#110;m\"", 0.32),
        ('PhysicalSizeY="0.32"', 0.32),
        ("", None),
    ],
)
def test_an_ome_header_in_a_file_with_its_own_ending_is_read(tmp_path, attributes, size):
    ome(tmp_path, "a", attributes)
    assert size_of(tmp_path) == (pytest.approx(size) if size else None)


def test_a_header_of_pictures_with_several_sizes_states_none(tmp_path):
    ome(tmp_path, "a", 'PhysicalSizeX="0.3"/></Image><Image><Pixels PhysicalSizeX="0.1"')
    assert size_of(tmp_path) is None


def test_a_header_of_a_picture_of_another_size_states_none(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PLANE", np.arange(16, dtype=np.uint8).reshape(4, 4))
    ome(tmp_path, "half", 'PhysicalSizeX="0.3" SignificantBits="3"')
    assert size_of(tmp_path) is None


def imagej(folder, resolution, unit):
    for colour in COLOURS:
        path = folder / f"a_{colour}.tif"
        tifffile.imwrite(path, PLANE, imagej=True, resolution=resolution, metadata={"unit": unit})


def test_imagej_states_a_resolution_and_a_unit_but_no_dots_per_inch(tmp_path):
    imagej(tmp_path, (3.125, 3.125), "microns")
    assert size_of(tmp_path) == pytest.approx(0.32)
    imagej(tmp_path, (72, 72), "inch")
    assert size_of(tmp_path) is None
    imagej(tmp_path, (28, 28), "cm")
    with pytest.raises(SampleError, match="pixel size 357"):
        size_of(tmp_path)
    imagej(tmp_path, (3.125, 1.0), "um")
    with pytest.raises(SampleError, match=r"pixels of a_red\.tif are 0\.32 µm wide and 1 µm high"):
        size_of(tmp_path)
    sample = find_samples(tmp_path)[0][0]
    assert read_picture(replace(sample, pixel_size_um=0.5)).pixel_size_um == 0.5


def test_channels_that_disagree_name_two_files_and_both_sizes(tmp_path):
    ome(tmp_path, "a", 'PhysicalSizeX="0.32"')
    ome(tmp_path, "a", 'PhysicalSizeX="0.16"', ["green"])
    with pytest.raises(SampleError, match=r"0\.32 µm in a_red\.ome\.tif, 0\.16 µm in a_green\.ome\.tif"):
        size_of(tmp_path)

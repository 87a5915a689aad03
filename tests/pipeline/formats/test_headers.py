"""What is to be chosen of a file is refused until it is chosen, with the words to write."""

import json

import numpy as np
import pytest
import tifffile

from pipeline.core.files import UnreadableError
from pipeline.core.workspace import Workspace
from pipeline.data.value_ranges import measured_ranges
from pipeline.formats.sources import Reading, Source
from tests.pipeline.planes import read_plane

SERIES = np.random.default_rng(0).integers(0, 255, (7, 5, 3, 24, 32)).astype(np.uint8)
"""Time points, depths and channels, like the sample files of the OME consortium."""
NAMES = ["DAPI", "GFP", "Cy5"]


@pytest.fixture
def series(tmp_path):
    path = tmp_path / "series.ome.tif"
    metadata = {"axes": "TZCYX", "Channel": {"Name": NAMES}, "PhysicalSizeX": 0.2, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(path, SERIES, ome=True, metadata=metadata, photometric="minisblack")
    return path


@pytest.mark.parametrize(
    ("choice", "reading", "told"),
    [
        ({"channel": "GFP"}, "max", "holds 7 time points; .*column 'time'"),
        ({"time": 1}, "max", r"holds 3 channels \(0: DAPI, 1: GFP, 2: Cy5\); .*protein = \"DAPI\""),
        ({"channel": "gfp ", "time": 1}, None, 'z-stack of 5 planes; write projection = "max"'),
        ({"channel": "GPF", "time": 1}, "max", "no channel \"GPF\": it has 3 .*did you mean 'GFP'"),
        ({"channel": 3, "time": 1}, "max", "no channel 3: it has 3"),
        ({"channel": "GFP", "time": 7}, "max", "no time point 7: it has 7"),
        ({"channel": "GFP", "time": 1, "scene": "B"}, "max", 'no scene "B": it has 1'),
    ],
)
def test_what_is_not_chosen_is_refused(series, choice, reading, told):
    with pytest.raises(UnreadableError, match=told):
        read_plane(Source((series,), **choice), "green", Reading(reading))


def test_a_projection_is_of_the_time_point_and_the_channel_that_are_chosen(series):
    for name, reduced in {"max": SERIES[2, :, 1].max(0), "mean": SERIES[2, :, 1].mean(0)}.items():
        plane, sides = read_plane(Source((series,), "gfp", None, 2), "green", Reading(name))
        np.testing.assert_array_equal(plane, (reduced / 255).astype(np.float32))
        assert sides[0] == 0.2


def test_the_sharpest_plane_is_taken_whole(tmp_path):
    stack = np.stack([np.full((24, 32), 99, np.uint8), SERIES[0, 0, 0], SERIES[0, 1, 0] // 2])
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    plane, _ = read_plane(Source((tmp_path / "a.tif",)), "green", Reading("focus"))
    np.testing.assert_array_equal(plane, (stack[1] / 255).astype(np.float32))


def test_scenes_are_chosen_by_name_or_number(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for name, values in {"left": SERIES[0, 0], "right": SERIES[1, 0]}.items():
            metadata = {"axes": "CYX", "Name": name}
            file.write(values, metadata=metadata, photometric="minisblack")
    for scene in ("right", 1, "1"):
        plane, _ = read_plane(Source((tmp_path / "a.ome.tif",), 2, scene), "green")
        np.testing.assert_array_equal(plane, (SERIES[1, 0, 2] / 255).astype(np.float32))
    with pytest.raises(UnreadableError, match=r"holds 2 scenes .*column 'scene'"):
        read_plane(Source((tmp_path / "a.ome.tif",), 2), "green")


def ome_set(folder, depth=1):
    """Write a file for each channel, each with the header of them all, like a set of the OME consortium."""
    data = "".join(
        f'<TiffData IFD="0" FirstC="{c}" PlaneCount="1"><UUID FileName="c{c}.ome.tif">urn:uuid:{c}</UUID>'
        "</TiffData>"
        for c in range(3)
    )
    channels = "".join(f'<Channel ID="Channel:0:{c}" Name="{name}"/>' for c, name in enumerate(NAMES))
    for c in range(3):
        text = (
            f'<OME UUID="urn:uuid:{c}"><Image ID="Image:0"><Pixels DimensionOrder="XYZCT" SizeX="32" '
            f'SizeY="24" SizeC="3" SizeZ="{depth}" SizeT="1">{channels}{data}</Pixels></Image></OME>'
        )
        options = {"description": text, "metadata": None, "photometric": "minisblack"}
        tifffile.imwrite(folder / f"c{c}.ome.tif", SERIES[0, 0, c], **options)
    (folder / "all.companion.ome").write_text(text)


def test_a_file_of_a_set_shows_its_own_planes(tmp_path):
    ome_set(tmp_path)
    for asked in (None, 0, "Cy5"):
        plane, _ = read_plane(Source((tmp_path / "c2.ome.tif",), asked), "green")
        np.testing.assert_array_equal(plane, (SERIES[0, 0, 2] / 255).astype(np.float32))
    with pytest.raises(UnreadableError, match='no channel "DAPI": it has 1'):
        read_plane(Source((tmp_path / "c2.ome.tif",), "DAPI"), "green")
    with pytest.raises(UnreadableError, match=r"lie in other files \(c0.ome.tif, c1.ome.tif, c2.ome.tif\)"):
        read_plane(Source((tmp_path / "all.companion.ome",)), "green")


def test_a_part_of_a_z_stack_is_not_taken_for_all_of_it(tmp_path):
    ome_set(tmp_path, depth=3)
    with pytest.raises(UnreadableError, match=r"holds 1 of the 3 planes of its z-stack; name all its files"):
        read_plane(Source((tmp_path / "c2.ome.tif",)), "green", Reading("max"))


def test_imagexpress_states_a_pixel_size(tmp_path):
    props = {"state": "on", "x": "0.65", "y": "0.65", "units": "um"}
    text = "".join(f'<prop id="spatial-calibration-{k}" type="float" value="{v}"/>' for k, v in props.items())
    tifffile.imwrite(tmp_path / "a.tif", SERIES[0, 0, 0], description=f"<MetaData>{text}</MetaData>")
    assert read_plane(Source((tmp_path / "a.tif",)), "green")[1] == (0.65, 0.65)


def test_micro_manager_states_bits_and_a_pixel_size(tmp_path):
    said = {"PixelSizeUm": 0.1, "BitDepth": 12, "Channel": "DAPI", "ChannelIndex": 0}
    values = SERIES[0, 0, 0].astype(np.uint16) * 16
    tags = [(51123, 2, 0, json.dumps(said), True)]
    tifffile.imwrite(tmp_path / "a.tif", values, extratags=tags, metadata=None)
    plane, sides = read_plane(Source((tmp_path / "a.tif",)), "green")
    assert sides == (0.1, 0.1)
    np.testing.assert_array_equal(plane, (values / 4095).astype(np.float32))


@pytest.mark.parametrize("code", range(1, 9))
def test_a_picture_is_turned_as_its_header_says(tmp_path, code):
    plane = SERIES[0, 0, 0]
    stored = {
        1: plane, 2: plane[:, ::-1], 3: plane[::-1, ::-1], 4: plane[::-1], 5: plane.T,
        6: np.rot90(plane), 7: plane[::-1, ::-1].T, 8: np.rot90(plane, -1),
    }[code]  # fmt: skip
    tags = [(274, 3, 1, code, True)]
    tifffile.imwrite(tmp_path / "a.tif", np.ascontiguousarray(stored), extratags=tags, metadata=None)
    np.testing.assert_array_equal(
        read_plane(Source((tmp_path / "a.tif",)), "green")[0], (plane / 255).astype(np.float32)
    )


def ranges(folder, given=None, **tops):
    files = {}
    for name, top in tops.items():
        files[name] = folder / f"{name}.tif"
        tifffile.imwrite(
            files[name], np.array([[0, top]], np.float32 if isinstance(top, float) else np.uint16)
        )
    return measured_ranges(files, given or {}, Workspace(folder / "work"))


@pytest.mark.parametrize(
    ("tops", "kind", "white"),
    [
        ({"a": 3, "b": 255}, "whole", 255),
        ({"a": 3, "b": 256}, "whole", 4095),
        ({"a": 4096, "b": 7}, "whole", 65535),
        ({"a": 0.5, "b": 0.7}, "real", 1),
        ({"a": 0.5, "b": 1.5}, "real", 255),
        ({"a": 0.5, "b": 70000.0}, "real", 1),
    ],
)
def test_white_is_the_smallest_step_that_holds_all_files_of_a_set(tmp_path, tops, kind, white):
    assert ranges(tmp_path, **tops).white == {kind: white}


def test_what_was_measured_is_told_and_remembered(tmp_path, monkeypatch):
    first = ranges(tmp_path, a=17, b=3980)
    (line,) = first.told
    assert line.startswith("16-bit values up to 3,980: read as 12 bit; state range = [black, white]")
    files = {name: tmp_path / f"{name}.tif" for name in "ab"}
    monkeypatch.setattr("pipeline.data.value_ranges.largest_value", None)
    assert measured_ranges(files, {}, Workspace(tmp_path / "work")) == first


def test_a_file_that_alone_decides_what_is_white_is_told(tmp_path):
    found = ranges(tmp_path, **{f"f{number:02}": 3000 for number in range(12)}, hot=65535)
    (line,) = found.told
    assert line.startswith(
        "16-bit values up to 65,535 (1 of 13 files, such as hot, beyond 4,095): read as 16 bit; state range"
    )


def test_pictures_that_need_fewer_bits_than_those_of_training_are_told(tmp_path):
    found = ranges(tmp_path, {"whole": 4095}, a=200, b=17)
    assert found.white["whole"] == 4095
    (line,) = found.told
    assert line.startswith(
        "16-bit values up to 200 in 2 files, but 12 bit in training: read as 12 bit; state"
    )


def test_other_pictures_than_those_of_training_are_read_by_its_range(tmp_path):
    found = ranges(tmp_path, {"whole": 4095}, a=200, b=5000)
    assert found.white["whole"] == 4095
    assert found.told == []
    reading = found.of(Reading(is_given=True), ["a"])
    assert read_plane(Source((tmp_path / "a.tif",)), "green", reading)[0].max() == np.float32(200 / 4095)
    with pytest.raises(UnreadableError, match="5000, but the model was trained on values up to 4095"):
        read_plane(Source((tmp_path / "b.tif",)), "green", reading)

"""Which file is which channel of which sample: HPA's names, a mapping of channels, patterns, presets."""

import pytest

from pipeline.core.errors import PipelineError
from pipeline.data.dataset_options import PictureOptions
from pipeline.data.discovery import discover
from pipeline.data.layouts import Layout

FOUR = {"nucleus": 1, "microtubules": 2, "protein": 3, "er": 4}


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def paths(found):
    return {
        sample: {channel: (one.path.name, one.channel) for channel, one in sample_found.sources.items()}
        for sample, sample_found in found.items()
    }


def test_a_composite_is_a_sample_of_its_colours_unless_single_pictures_are_there(tmp_path):
    touch(tmp_path, "a_blue_red_green.jpg", "b_blue_red_green.jpg", "b_green.jpg", "b_blue.jpg", "b_red.jpg")
    found, problems = discover(tmp_path, Layout())
    assert problems == []
    name = "a_blue_red_green.jpg"
    assert paths(found)["a"] == {
        "nucleus": (name, "blue"),
        "microtubules": (name, "red"),
        "protein": (name, "green"),
    }
    assert paths(found)["b"]["protein"] == ("b_green.jpg", None)


def test_channels_alone_name_endings_of_files(tmp_path):
    touch(tmp_path, "x_1_DAPI.tif", "x_1_gfp.tif", "readme.txt")
    found, problems = discover(tmp_path, Layout(channels={"nucleus": "dapi", "protein": "GFP"}))
    assert problems == []
    assert paths(found) == {"x_1": {"nucleus": ("x_1_DAPI.tif", None), "protein": ("x_1_gfp.tif", None)}}


def test_channels_alone_name_planes_of_files_where_no_name_ends_so(tmp_path):
    touch(tmp_path, "x.ome.tif", "y.tif")
    found, _ = discover(tmp_path, Layout(channels={"nucleus": "DAPI", "protein": 1}))
    assert paths(found) == {
        "x": {"nucleus": ("x.ome.tif", "DAPI"), "protein": ("x.ome.tif", 1)},
        "y": {"nucleus": ("y.tif", "DAPI"), "protein": ("y.tif", 1)},
    }


PLATES = {
    "opera-phenix": (
        "P1/Images/r02c11f03p0{z}-ch{channel}sk1fk1fl1.tiff",
        "P1_B11_03_1",
        {"Metadata_Plate": "P1", "Metadata_Well": "B11", "Metadata_Field": "03", "Metadata_Time": "1"},
    ),
    "imagexpress": (
        "TimePoint_1/ZStep_{z}/P1_B11_s3_w{channel}0A1B2C3D-0A1B-0A1B-0A1B-0A1B2C3D4E5F.tif",
        "1_P1_B11_3",
        {"Metadata_Plate": "P1", "Metadata_Well": "B11", "Metadata_Field": "3"},
    ),
    "yokogawa": (
        "P1_B11_T0001F003L01A01Z0{z}C0{channel}.tif",
        "P1_B11_0001_003",
        {"Metadata_Plate": "P1", "Metadata_Well": "B11", "Metadata_Field": "003"},
    ),
    "incell": (
        "P1/B - 11(fld 3 wv {channel} z {z}).tif",
        "P1_B11_3",
        {"Metadata_Plate": "P1", "Metadata_Well": "B11", "Metadata_Field": "3"},
    ),
    "micromanager": (
        "P1/img_channel00{channel}_position003_time000000000_z00{z}.tif",
        "P1_003_000000000",
        {"Metadata_Plate": "P1", "Metadata_Position": "003"},
    ),
}


@pytest.mark.parametrize("preset", PLATES)
def test_the_names_of_instruments_are_read(tmp_path, preset):
    name, sample, metadata = PLATES[preset]
    touch(tmp_path, *(name.format(channel=channel, z=z) for channel in FOUR.values() for z in (1, 2)))
    found, problems = discover(tmp_path, Layout(files=preset, channels=FOUR))
    assert problems == []
    assert list(found) == [sample]
    assert found[sample].metadata.items() >= metadata.items()
    for channel, number in FOUR.items():
        expected = tuple(tmp_path / name.format(channel=number, z=z) for z in (1, 2))
        assert found[sample].sources[channel].files == expected


def test_folders_named_by_colour_are_read(tmp_path):
    touch(tmp_path, *(f"{one}/B2AI_1_A1_1_{one}.jpg" for one in ("red", "green", "blue", "yellow")))
    found, _ = discover(tmp_path, Layout(files="cellmaps"))
    assert list(found) == ["B2AI_1_A1_1"]
    assert len(found["B2AI_1_A1_1"].sources) == 4


def test_a_pattern_of_ones_own_gives_ids_and_metadata(tmp_path):
    touch(tmp_path, "p7/B3/f1-DAPI.png", "p7/B3/f1-GFP.png", "notes.png")
    layout = Layout(
        files=r"(?P<plate>\w+)/(?P<well>\w+)/f(?P<site>\d)-(?P<channel>\w+)\.png",
        channels={"nucleus": "DAPI", "protein": "GFP"},
    )
    found, problems = discover(tmp_path, layout)
    assert found["p7_B03_1"].metadata == {
        "Metadata_Plate": "p7",
        "Metadata_Well": "B03",
        "Metadata_Site": "1",
    }
    assert [(one.file, one.sample) for one in problems] == [("notes.png", "(no sample)")]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ("(", r"files '\(': no regular expression"),
        (".*", "names no sample"),
        ("(?P<Id>x)_(?P<channel>y)", "no file matches"),
        (r"(?P<Id>.+)-(?P<channel>\w+)\.png", r"have the channels DAPI; say in the layout which is which"),
    ],
)
def test_what_is_not_understood_is_said(tmp_path, files, told):
    touch(tmp_path, "a-DAPI.png")
    with pytest.raises(PipelineError, match=told):
        discover(tmp_path, Layout(files=files))


def test_planes_twice_and_missing_are_problems(tmp_path):
    name = "r01c01f01p0{}-ch{}sk1fk1fl1.tiff"
    touch(tmp_path, *(name.format(z, channel) for z in (1, 2) for channel in (1, 3)))
    touch(tmp_path / "x", name.format(1, 1))
    (tmp_path / name.format(2, 3)).unlink()
    found, problems = discover(tmp_path, Layout(files="opera-phenix", channels=FOUR))
    assert "1 z plane of protein, 2 of nucleus" in {problem.reason for problem in problems}
    assert list(found) == ["x_A01_01_1"]


def test_options_are_put_into_the_layout(tmp_path):
    path = tmp_path / "layout.toml"
    path.write_text('projection = "mean"\npixel_size_um = 0.2\n[channels]\nprotein = "GFP"\nnucleus = 0\n')
    given = {"images": tmp_path, "layout": path, "channels": ["protein=RFP"], "pixel_size": 0.1}
    assert PictureOptions.model_validate(given).layout_in_use == Layout(
        projection="mean", pixel_size_um=0.1, channels={"protein": "RFP", "nucleus": 0}
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nothing = 1", "nothing 1: Extra inputs are not permitted; a layout has: files, channels"),
        ("channels = 3", "channels 3: Input should be a valid dictionary"),
        ("channels", "no TOML"),
    ],
)
def test_a_layout_that_says_something_else_is_refused(tmp_path, text, told):
    path = tmp_path / "layout.toml"
    path.write_text(text)
    with pytest.raises(PipelineError, match=told):
        PictureOptions.model_validate({"images": tmp_path, "layout": path})

"""Layouts that say what cannot be meant: refused in one line, not read as something else, not for ever."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pipeline.core.errors import PipelineError, SampleError
from pipeline.data import discovery
from pipeline.data.layouts import Layout, read_layout, with_given
from pipeline.data.pictures import read_picture
from pipeline.data.samples import Sample, find_samples

CHANNELS = {"protein": "G", "nucleus": "B"}


def plane(kind: type = np.uint8) -> np.ndarray:
    return np.arange(256, dtype=kind).reshape(16, 16)


def samples(folder: Path, names: list[str], pattern: str) -> list[Sample]:
    for name in names:
        tifffile.imwrite(folder / name, plane())
    found, _ = find_samples(folder, layout=Layout(files=pattern, channels=CHANNELS))
    return found


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("range = [5, 5]", r"range: \[5.0, 5.0\] is not \[black, white\]"),
        ("range = [65535, 0]", "is not"),
        ("range = [nan, 1]", "is not"),
        ("range = [0, inf]", "is not"),
        ("white = {whole = 0}", "white.whole 0: .*greater than 0"),
        ('[channels]\nprotein = "A"\nnucleus = "a"', "'a' is both protein and nucleus; give each"),
        ("[channels]\nprotein = true", "channels.protein"),
        ('[channels]\nnucleus = "A"\n[proteins]\nX = "A"', "'A' is both nucleus and X"),
    ],
)
def test_a_layout_that_would_read_nonsense_is_refused(tmp_path, said, told):
    (tmp_path / "layout.toml").write_text(said)
    with pytest.raises(PipelineError, match=f"layout.toml: .*{told}"):
        read_layout(tmp_path / "layout.toml")


def test_the_same_is_refused_of_options():
    with pytest.raises(PipelineError, match=r"^'A' is both protein and nucleus"):
        with_given(None, channels={"protein": "A", "nucleus": "A"})


@pytest.mark.parametrize(
    ("name", "pattern", "told"),
    [
        ("x_za", r"(?P<Id>x)_z(?P<z>.)", "its z is 'a', no number"),
        ("r40c1", r"r(?P<row>\d+)c(?P<column>\d+)", "its row is '40', of plates 1 to 32"),
        ("r00c1", r"r(?P<row>\d+)c(?P<column>\d+)", "its row is '00'"),
        ("r1cx", r"r(?P<row>.+)c(?P<column>.+)", "its column is 'x', no number"),
    ],
)
def test_places_that_are_no_numbers_are_told(tmp_path, name, pattern, told):
    with pytest.raises(PipelineError, match=f"{told}.*; correct files in the layout"):
        samples(tmp_path, [f"{name}_G.tif", f"{name}_B.tif"], rf"{pattern}_(?P<channel>.)\.tif")


@pytest.mark.parametrize(("row", "well"), [("A", "A02"), ("3", "C02"), ("27", "AA02"), ("32", "AF02")])
def test_rows_are_letters_up_to_the_largest_plates(tmp_path, row, well):
    names = [f"r{row}c2_G.tif", f"r{row}c2_B.tif"]
    found = samples(tmp_path, names, r"r(?P<row>.+)c(?P<column>\d+)_(?P<channel>.)\.tif")
    assert [one.metadata for one in found] == [(("Metadata_Well", well),)]


def test_names_that_would_make_one_id_are_no_sample(tmp_path):
    names = ["a b_G.tif", "a_b_B.tif"]
    with pytest.raises(PipelineError, match="'a_b' and 'a b' would be one sample"):
        samples(tmp_path, names, r"(?P<plate>.+)_(?P<channel>.)\.tif")


def test_a_group_in_names_keeps_pictures_together(tmp_path):
    names = [f"{well}_g7_{channel}.tif" for well in "xy" for channel in "GB"]
    found = samples(tmp_path, names, r"(?P<well>.)_g(?P<group>.)_(?P<channel>.)\.tif")
    assert [(one.id, one.group) for one in found] == [("x_7", "7"), ("y_7", "7")]


def test_a_pattern_that_would_run_for_ever_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(discovery, "_SECONDS", 0.3)
    with pytest.raises(PipelineError, match=r"takes for ever .*\(a\+\)\+"):
        samples(tmp_path, ["a" * 60 + "_G.tif"], r"(?P<Id>(a+)+)b_(?P<channel>.)\.tif")


def test_one_channel_of_a_file_is_not_read_as_two(tmp_path):
    metadata = {"axes": "CYX", "Channel": {"Name": ["A", "B"]}}
    tifffile.imwrite(tmp_path / "x.ome.tif", np.stack([plane(), plane()[::-1]]), ome=True, metadata=metadata)
    (sample,), _ = find_samples(tmp_path, layout=Layout(channels={"protein": "A", "nucleus": 0}))
    with pytest.raises(SampleError, match="its channel '0' is read as green and as blue"):
        read_picture(sample)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused_within_a_stated_range_too(tmp_path, value):
    for channel in "GB":
        values = plane(np.float32)
        values[0, 0] = value
        tifffile.imwrite(tmp_path / f"x_{channel}.tif", values)
    (sample,), _ = find_samples(tmp_path, layout=Layout(channels=CHANNELS, range=(0, 255)))
    with pytest.raises(SampleError, match="holds values that are no numbers; export it again"):
        read_picture(sample)


def test_a_range_that_the_header_contradicts_is_refused(tmp_path):
    """Pictures of 8 bit, read by the range that a model was given for its 12-bit ones, would be dim."""
    for channel in "GB":
        tifffile.imwrite(tmp_path / f"x_{channel}.tif", plane())
    (sample,), _ = find_samples(tmp_path, layout=Layout(channels=CHANNELS, range=(0, 4095)))
    with pytest.raises(
        SampleError, match="says that 255 is white, but the layout's range that 4095 is; state"
    ):
        read_picture(sample)


def many(path: Path, *scenes: str) -> None:
    with tifffile.TiffWriter(path, ome=True) as writer:
        for name in scenes:
            metadata = {"axes": "CYX", "Name": name, "Channel": {"Name": ["G", "B"]}}
            writer.write(np.stack([plane(), plane()[::-1]]), metadata=metadata)


def test_scenes_of_one_name_are_samples_of_their_own(tmp_path):
    many(tmp_path / "f.ome.tif", "a b", "a_b", "c")
    found, _ = find_samples(tmp_path, layout=Layout(channels=CHANNELS))
    assert [(one.id, one.source("protein").scene) for one in found] == [
        ("f_a_b_scene0", 0),
        ("f_a_b_scene1", 1),
        ("f_c", 2),
    ]


def test_a_scene_and_a_file_of_one_id_are_no_sample(tmp_path):
    many(tmp_path / "f.ome.tif", "one", "two")
    many(tmp_path / "f_one.ome.tif", "x")
    layout = Layout(channels={"protein": 0, "nucleus": 1})
    found, problems = find_samples(tmp_path, layout=layout)
    assert [one.id for one in found] == ["f_two"]
    assert [(one.sample, one.reason) for one in problems] == [
        ("f_one", "second whole picture beside f.ome.tif")
    ]


@pytest.mark.parametrize(
    ("protein", "nucleus", "told"),
    [
        ("0.tif|1.tif|2.tif", "3.tif|4.tif", "files of z planes: 3 of protein, 2 of nucleus; name as many"),
        ("0.tif|0.tif", "3.tif|4.tif", "'0.tif' is given for several channels or planes"),
        ("0.tif|1.tif", "1.tif|2.tif", "'1.tif' is given for several channels or planes"),
    ],
)
def test_planes_of_a_table_that_cannot_be_meant_are_told(tmp_path, protein, nucleus, told):
    for number in range(5):
        tifffile.imwrite(tmp_path / f"{number}.tif", plane())
    table = tmp_path / "samples.csv"
    table.write_text(f"Id,protein,nucleus\nx,{protein},{nucleus}\n")
    with pytest.raises(PipelineError, match=told.replace("|", r"\|")):
        find_samples(tmp_path, table, Layout(projection="max"))

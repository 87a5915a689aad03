"""Tables of samples as other programs write them: read as they were meant, or the sample says why not."""

import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import Extraction, assert_skipped
from tests.acceptance.fields import COLOURS, field, write_png, write_table

HEADER = ["Id", *COLOURS]


def row_of(name: str, stem: str) -> list[str]:
    return [name, *(f"{stem}_{colour}.png" for colour in COLOURS)]


@pytest.fixture
def plates(images) -> Path:
    """Return a folder with one sample more, in a folder of its own."""
    write_png(images / "plate", "b", field(1))
    return images


SIZED = [*HEADER, "pixel_size_um"]
A, B = row_of("a", "good"), row_of("b", "plate/b")


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (HEADER, [A, B]),
        (HEADER, [A, row_of("b", "plate\\b")]),
        (SIZED, [[*A, "NA"], [*B, "nan"]]),
        (SIZED, [[*A, "N/A"], [*B, ""]]),
        (HEADER, [[*A, ""], [*B, ""]]),
        ([*HEADER, ""], [[*A, ""], [*B, ""]]),
        (HEADER, [A, A, B]),
        (
            [f" {name} " for name in HEADER],
            [[f" {cell}\N{NO-BREAK SPACE}" for cell in row] for row in (A, B)],
        ),
        ([name.upper() for name in HEADER], [A, B]),
        (["", *HEADER], [["0", *A], ["1", *B]]),
    ],
    ids=[
        "plain",
        "backslashes",
        "NA",
        "N/A",
        "comma",
        "empty column",
        "twice",
        "spaces",
        "capitals",
        "index",
    ],
)
def test_samples_as_other_programs_write_them_are_read(extract: Extraction, plates, tmp_path, header, rows):
    found = extract(plates, "--samples", write_table(tmp_path / "samples.csv", header, rows))
    assert found.ended.status == 0
    assert found.problems == {}
    assert list(found.features.index) == ["a", "b"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_decimal_commas_are_read(extract: Extraction, plates, tmp_path, separator):
    rows = [[*A, "0,32"], [*B, "0,1"]]
    found = extract(plates, "--samples", write_table(tmp_path / "samples.csv", SIZED, rows, separator))
    assert found.problems == {}
    assert found.samples["pixel_size_um"].to_dict() == {"a": 0.32, "b": 0.1}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_samples_of_spreadsheets_are_read(extract: Extraction, plates, tmp_path, encoding):
    table = write_table(tmp_path / "samples.csv", HEADER, [A, B], ";")
    table.write_bytes(table.read_bytes().decode().replace("\n", "\r\n").encode(encoding))
    assert list(extract(plates, "--samples", table).features.index) == ["a", "b"]


def test_an_absolute_path_into_the_folder_of_pictures_is_accepted(extract: Extraction, plates, tmp_path):
    rows = [row_of("a", str(plates / "good")), B]
    found = extract(plates, "--samples", write_table(tmp_path / "samples.csv", HEADER, rows))
    assert list(found.features.index) == ["a", "b"]


def test_one_file_given_for_several_channels_is_told(extract: Extraction, plates, tmp_path):
    rows = [row_of("good", "good"), ["other", *["plate/b_red.png"] * 4]]
    found = extract(plates, "--samples", write_table(tmp_path / "samples.csv", HEADER, rows))
    assert_skipped(found, "other", "b_red.png")


@pytest.mark.parametrize("path", ["../secret_red.png", "..\\secret_red.png", "plate/../../secret_red.png"])
def test_paths_of_samples_stay_inside_the_folder(extract: Extraction, plates, tmp_path, path):
    shutil.copy(plates / "good_red.png", tmp_path / "secret_red.png")
    rows = [row_of("good", "good"), ["other", path, *row_of("b", "plate/b")[2:]]]
    found = extract(plates, "--samples", write_table(tmp_path / "samples.csv", HEADER, rows))
    assert_skipped(found, "other", "secret_red.png")

"""Finding samples: folders, tables, and what is refused."""

from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.data.samples import CHANNELS, find_samples, is_safe_id


def write_table(path: Path, *rows: str, header: str = "Id,red,green,blue,yellow") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_kaggle_folder_gives_sorted_samples_with_channels_in_order(tmp_path, write_sample):
    for name in ("b-2", "a_1"):
        write_sample(tmp_path, name)
    (tmp_path / "notes.txt").write_text("ignored")
    samples, problems = find_samples(tmp_path)
    assert [sample.id for sample in samples] == ["a_1", "b-2"]
    assert [path.name for path in samples[0].paths] == [
        f"a_1_{colour}.png" for colour in ("red", "green", "blue", "yellow")
    ]
    assert samples[0].path("er").name == "a_1_yellow.png"
    assert problems == []


def test_a_missing_channel_skips_only_its_sample(tmp_path, write_sample):
    write_sample(tmp_path, "good")
    write_sample(tmp_path, "bad")
    (tmp_path / "bad_yellow.png").unlink()
    samples, problems = find_samples(tmp_path)
    assert [sample.id for sample in samples] == ["good"]
    assert (problems[0].sample, problems[0].file) == ("bad", "bad_yellow.png")


def test_two_files_of_one_channel_are_ambiguous(tmp_path, write_sample):
    write_sample(tmp_path, "good")
    write_sample(tmp_path, "twice")
    (tmp_path / "twice_red.tif").write_bytes(b"")
    samples, problems = find_samples(tmp_path)
    assert [sample.id for sample in samples] == ["good"]
    assert problems[0].reason.startswith("second microtubules picture")


def test_a_table_gives_any_names_with_pixel_size_and_group(tmp_path, write_sample):
    write_sample(tmp_path / "in", "x")
    table = write_table(
        tmp_path / "samples.csv",
        "one,in/x_red.png,in/x_green.png,in/x_blue.png,in/x_yellow.png,0.08,antibody 7",
        "two,in/x_red.png,in/x_green.png,in/x_blue.png,in/x_yellow.png,,",
        header=f"Id,{','.join(CHANNELS)},pixel_size_um,group",
    )
    samples, problems = find_samples(tmp_path, table)
    assert [(s.id, s.pixel_size_um, s.group) for s in samples] == [
        ("one", 0.08, "antibody 7"),
        ("two", None, None),
    ]
    assert problems == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,../x_red.png,g.png,b.png,y.png", "leaves the folder"),
        ("a,/etc/x.png,g.png,b.png,y.png", "leaves the folder"),
        ("a,C:\\x.png,g.png,b.png,y.png", "leaves the folder"),
        ("a,r.png,in/../../g.png,b.png,y.png", "leaves the folder"),
        ("a,r.png,,b.png,y.png", "no path"),
        ("a,r.exe,g.png,b.png,y.png", "no known type"),
        ("../a,r.png,g.png,b.png,y.png", "cannot be a file name"),
        (".a,r.png,g.png,b.png,y.png", "cannot be a file name"),
        ("a/b,r.png,g.png,b.png,y.png", "cannot be a file name"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_problem_with_a_remedy(tmp_path, row, reason):
    table = write_table(tmp_path / "samples.csv", row, "good,r.png,g.png,b.png,y.png")
    samples, problems = find_samples(tmp_path, table)
    assert [sample.id for sample in samples] == ["good"]
    assert reason in problems[0].reason
    assert problems[0].remedy


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "big"])
def test_a_pixel_size_must_be_a_positive_number(tmp_path, text):
    header = "Id,red,green,blue,yellow,pixel_size_um"
    rows = (f"a,r.png,g.png,b.png,y.png,{text}", "good,r.png,g.png,b.png,y.png,0.1")
    _, problems = find_samples(tmp_path, write_table(tmp_path / "samples.csv", *rows, header=header))
    assert "not a positive number" in problems[0].reason


def test_a_repeated_id_is_skipped_in_all_its_rows(tmp_path):
    rows = ("a,r.png,g.png,b.png,y.png", "a,r2.png,g.png,b.png,y.png", "b,r.png,g.png,b.png,y.png")
    samples, problems = find_samples(tmp_path, write_table(tmp_path / "samples.csv", *rows))
    assert [sample.id for sample in samples] == ["b"]
    assert [problem.reason for problem in problems] == ["duplicate id"] * 2


def test_nothing_usable_is_one_clear_error(tmp_path):
    with pytest.raises(PipelineError, match="no such folder"):
        find_samples(tmp_path / "absent")
    with pytest.raises(PipelineError, match=r"no usable sample.*<Id>_red\.png"):
        find_samples(tmp_path)
    with pytest.raises(PipelineError, match="needs one column 'microtubules' or 'red'"):
        find_samples(tmp_path, write_table(tmp_path / "t.csv", "a,x", header="Id,path"))


def test_the_fingerprint_follows_the_files_and_the_pixel_size(tmp_path, write_sample):
    write_sample(tmp_path, "a")
    before = find_samples(tmp_path)[0][0].fingerprint()
    assert find_samples(tmp_path)[0][0].fingerprint() == before
    write_sample(tmp_path, "a", size=(25, 32))
    assert find_samples(tmp_path)[0][0].fingerprint() != before


@pytest.mark.parametrize(
    ("name", "safe"),
    [("00070df0-bbc3", True), ("1_A1_2", True), ("..", False), ("a b", False), ("", False), ("a\n", False)],
)
def test_ids_are_safe_file_names(name, safe):
    assert is_safe_id(name) is safe

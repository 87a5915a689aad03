"""Finding samples: folders, tables, and what is refused."""

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import CHANNELS, Layout
from pipeline.data.samples import find_samples, fingerprints, is_safe_id, told_channels


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
    assert samples[0].source("er").path.name == "a_1_yellow.png"
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
        ("a,r.png,,b.png,y.png", "no picture of protein, which others have"),
        ("a,r.exe,g.png,b.png,y.png", "no known type"),
        ("../a,r.png,g.png,b.png,y.png", "cannot be used: Ids are up to 200 letters a-z,"),
        (".a,r.png,g.png,b.png,y.png", "cannot be used: Ids are up to 200 letters a-z,"),
        ("a/b,r.png,g.png,b.png,y.png", "cannot be used: Ids are up to 200 letters a-z,"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_problem_with_a_remedy(tmp_path, row, reason):
    table = write_table(tmp_path / "samples.csv", row, "good,r.png,g.png,b.png,y.png")
    samples, problems = find_samples(tmp_path, table)
    assert [sample.id for sample in samples] == ["good"]
    assert reason in problems[0].reason
    assert problems[0].remedy


@pytest.mark.parametrize("text", ["0", "-1", "inf", "big", "1 2"])
def test_a_pixel_size_must_be_a_positive_number(tmp_path, text):
    header = "Id,red,green,blue,yellow,pixel_size_um"
    rows = (f"a,r.png,g.png,b.png,y.png,{text}", "good,r.png,g.png,b.png,y.png,0.1")
    _, problems = find_samples(tmp_path, write_table(tmp_path / "samples.csv", *rows, header=header))
    assert "not a positive number" in problems[0].reason


@pytest.mark.parametrize(
    ("name", "meant"),
    [("pixel_size_nm", "pixel_size_um"), ("Pixel size", "pixel_size_um"), ("groups", "group")],
)
def test_sizes_and_groups_under_another_name_are_not_passed_over(tmp_path, name, meant):
    table = write_table(
        tmp_path / "s.csv", "x,a.png,b.png,c.png,d.png,1", header=f"Id,red,green,blue,yellow,{name}"
    )
    with pytest.raises(PipelineError, match=rf"s\.csv: column '{name}' would not be read; call it '{meant}'"):
        find_samples(tmp_path, table)


def test_a_path_too_long_for_the_system_is_a_problem_of_its_sample(tmp_path, write_sample):
    write_sample(tmp_path, "good")
    rows = [",".join([one, *(f"{one}_{colour}.png" for colour in COLOURS)]) for one in ("good", "bad")]
    table = write_table(tmp_path / "s.csv", rows[0], rows[1].replace("bad_red", "a" * 300))
    samples, problems = find_samples(tmp_path, table)
    assert ([one.id for one in samples], [one.sample for one in problems]) == (["good"], ["bad"])
    assert problems[0].reason == "cannot be looked for (File name too long)"


def test_a_repeated_id_is_skipped_in_all_its_rows_and_listed_once(tmp_path):
    rows = ("a,r.png,g.png,b.png,y.png", "a,r2.png,g.png,b.png,y.png", "b,r.png,g.png,b.png,y.png")
    samples, problems = find_samples(tmp_path, write_table(tmp_path / "samples.csv", *rows))
    assert [sample.id for sample in samples] == ["b"]
    assert [(problem.sample, problem.reason) for problem in problems] == [("a", "duplicate id")]


def test_nothing_usable_is_one_clear_error(tmp_path):
    with pytest.raises(PipelineError, match="no such folder"):
        find_samples(tmp_path / "absent")
    with pytest.raises(PipelineError, match=r"no usable sample.*<Id>_red\.png"):
        find_samples(tmp_path)
    with pytest.raises(PipelineError, match="needs one column 'protein' or 'green'"):
        find_samples(tmp_path, write_table(tmp_path / "t.csv", "a,x", header="Id,path"))


def digests(images: Path, work: Path) -> dict[str, str]:
    return fingerprints(find_samples(images)[0], Workspace(work))


def test_the_first_problem_is_told_with_its_remedy_where_nothing_is_left(tmp_path):
    table = write_table(tmp_path / "t.csv", "a,r.exe,g.png,b.png,y.png")
    with pytest.raises(
        PipelineError, match=r"no usable sample in .*'r\.exe' is of no known type; use one of"
    ):
        find_samples(tmp_path, table)


def test_an_empty_cell_of_a_table_is_told_of_the_table(tmp_path):
    table = write_table(tmp_path / "t.csv", "a,r.png,g.png,b.png,y.png", "b,r2.png,g2.png,,y2.png")
    (problem,) = find_samples(tmp_path, table)[1]
    assert (problem.sample, problem.file) == ("b", "t.csv")
    assert problem.reason == "no picture of nucleus, which others have"


def test_ids_that_names_of_files_give_and_that_are_refused_are_said_with_the_remedy(tmp_path):
    layout = Layout(channels={"nucleus": "DAPI", "protein": "GFP"})
    for channel in ("DAPI", "GFP"):
        (tmp_path / f"Fä ld_{channel}.tif").write_bytes(b"")
    with pytest.raises(PipelineError) as refused:
        find_samples(tmp_path, layout=layout)
    told = str(refused.value)
    assert told.startswith(f"no usable sample in {tmp_path}; first problem: Fä ld_DAPI.tif: the Id 'Fä ld' ")
    assert "Ids are up to 200 letters a-z, digits and _ . + = -, the first a letter, digit or _; " in told
    assert told.endswith("rename the files, or give Ids of your own in a table as --samples")
    table = write_table(tmp_path / "t.csv", "a; b,r.png,g.png,b.png,y.png")
    with pytest.raises(PipelineError, match=r"t\.csv: the Id 'a; b' cannot be used: .*; give it another Id$"):
        find_samples(tmp_path, table)


def test_the_fingerprint_follows_content_and_pixel_size_but_neither_time_nor_place(tmp_path, write_sample):
    write_sample(tmp_path / "in", "a")
    before = digests(tmp_path / "in", tmp_path / "work")
    shutil.copytree(tmp_path / "in", tmp_path / "copy")
    for path in (tmp_path / "copy").iterdir():
        os.utime(path, (1, 1))
    assert digests(tmp_path / "copy", tmp_path / "work") == before
    (sample,), _ = find_samples(tmp_path / "in")
    sized = replace(sample, pixel_size_um=0.1)
    assert fingerprints([sized], Workspace(tmp_path / "work")) != before
    write_sample(tmp_path / "in", "a", seed=1)
    assert digests(tmp_path / "in", tmp_path / "work") != before


def test_other_content_of_the_old_size_and_time_is_noticed(tmp_path, write_sample):
    write_sample(tmp_path / "in", "a")
    path = tmp_path / "in" / "a_red.png"
    content, found = path.read_bytes(), path.stat()
    before = digests(tmp_path / "in", tmp_path / "work")
    path.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (found.st_size, found.st_mtime_ns)
    assert digests(tmp_path / "in", tmp_path / "work") != before


def test_unchanged_pictures_are_not_read_again_and_a_damaged_record_is_made_again(
    tmp_path, write_sample, monkeypatch
):
    write_sample(tmp_path / "in", "a")
    before = digests(tmp_path / "in", tmp_path / "work")
    with monkeypatch.context() as patched:
        patched.setattr(hashlib, "file_digest", None)
        assert digests(tmp_path / "in", tmp_path / "work") == before
    record = Workspace(tmp_path / "work").pictures_seen
    content = record.read_bytes()
    for damaged in (b"", content[:40], b"[]", content.replace(b"[[", b"[7,[", 1)):
        record.write_bytes(damaged)
        assert digests(tmp_path / "in", tmp_path / "work") == before
        assert record.read_bytes() == content


def test_what_is_no_file_or_gone_has_a_fingerprint_too(tmp_path, write_sample):
    write_sample(tmp_path / "in", "a")
    (tmp_path / "in" / "a_red.png").unlink()
    os.mkfifo(tmp_path / "in" / "a_red.png")
    before = digests(tmp_path / "in", tmp_path / "work")
    assert digests(tmp_path / "in", tmp_path / "work") == before
    (sample,), _ = find_samples(tmp_path / "in")
    (tmp_path / "in" / "a_red.png").unlink()
    assert fingerprints([sample], Workspace(tmp_path / "work")) == before


@pytest.mark.parametrize(
    ("name", "safe"),
    [("00070df0-bbc3", True), ("1_A1_2", True), ("..", False), ("a b", False), ("", False), ("a\n", False)],
)
def test_ids_are_safe_file_names(name, safe):
    assert is_safe_id(name) is safe


def test_pictures_of_several_stains_and_longer_endings_are_told_apart(tmp_path, write_sample):
    write_sample(tmp_path, "a")
    for name in ("a_blue_red_green.jpg", "a_red_green.png", "A_BLUE_RED_YELLOW.tif"):
        (tmp_path / name).write_bytes(b"")
    for colour in ("red", "green", "blue", "yellow"):
        (tmp_path / f"b_{colour}.OME.tiff").write_bytes(b"")
        (tmp_path / f"c_red_{colour}.png").write_bytes(b"")
    samples, problems = find_samples(tmp_path)
    assert [sample.id for sample in samples] == ["a", "b", "c_red"]
    assert problems == []


def test_links_that_leave_the_folder_and_what_is_no_file_are_problems(tmp_path, write_sample):
    write_sample(tmp_path / "elsewhere", "x")
    images = tmp_path / "images"
    for name in ("a", "b", "c", "linked"):
        write_sample(images, name)
    (images / "linked_red.png").unlink()
    (images / "linked_red.png").symlink_to("a_red.png")
    (images / "b_red.png").unlink()
    (images / "b_red.png").symlink_to(tmp_path / "elsewhere" / "x_red.png")
    (images / "inside").symlink_to(tmp_path / "elsewhere")
    (images / "c_red.png").unlink()
    (images / "c_red.png").mkdir()
    samples, problems = find_samples(images)
    assert [sample.id for sample in samples] == ["a", "c", "linked"]
    assert [(problem.sample, problem.file) for problem in problems] == [("b", "b_red.png")]
    assert "outside the folder of pictures" in problems[0].reason
    row = "a,inside/x_red.png,a_green.png,a_blue.png,a_yellow.png"
    nul = "b,b_\0red.png,b_green.png,b_blue.png,b_yellow.png"
    fine = "c,c_red.png,c_green.png,c_blue.png,c_yellow.png"
    samples, problems = find_samples(images, write_table(tmp_path / "samples.csv", row, nul, fine))
    assert [sample.id for sample in samples] == ["c"]
    assert {problem.sample: problem.reason.split(" ")[0] for problem in problems} == {"a": "is", "b": "path"}


def test_a_pixel_size_of_no_microscope_is_a_problem_of_its_sample(tmp_path):
    header = "Id,red,green,blue,yellow,pixel_size_um"
    rows = ("a,r.png,g.png,b.png,y.png,320", "good,r.png,g.png,b.png,y.png,0.1")
    _, problems = find_samples(tmp_path, write_table(tmp_path / "samples.csv", *rows, header=header))
    assert [problem.sample for problem in problems] == ["a"]
    assert problems[0].reason.startswith("pixel size 320 µm")


COLOURS = ("red", "green", "blue", "yellow")


def test_tables_of_other_programs_are_read(tmp_path, write_sample):
    write_sample(tmp_path, "a")
    write_sample(tmp_path / "sub", "b")
    header = f"Id,{','.join(COLOURS)},pixel_size_um,group"
    rows = (
        f"a,{','.join(f'{tmp_path}/a_{colour}.png' for colour in COLOURS)},NA,NA",
        f'b,{",".join(f"sub{chr(92)}b_{colour}.png" for colour in COLOURS)},"0,32",g',
        "twice,a_red.png,a_red.png,a_blue.png,a_yellow.png,,",
    )
    samples, problems = find_samples(tmp_path, write_table(tmp_path / "t.csv", *rows, header=header))
    assert [(one.id, one.pixel_size_um, one.group) for one in samples] == [
        ("a", None, None),
        ("b", 0.32, "g"),
    ]
    assert samples[0].source("er").path == tmp_path / "a_yellow.png"
    assert samples[1].source("er").path == tmp_path / "sub" / "b_yellow.png"
    assert [(one.sample, one.reason) for one in problems] == [
        ("twice", "'a_red.png' is given for several channels or planes")
    ]


def test_what_pictures_in_colours_show_is_told(tmp_path):
    for name in ("a", "b"):
        Image.fromarray(np.full((40, 40, 3), 9, np.uint8)).save(tmp_path / f"{name}_blue_red_green.jpg")
    samples, _ = find_samples(tmp_path)
    assert told_channels(samples) == [
        "2 samples in colours: red is microtubules, green is protein, blue is nucleus",
        "no picture of er: its columns are empty",
    ]

"""Work folders that were damaged, moved, shared or filled up: made again, or told; never other numbers."""

import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.segmentation.label_images import match
from tests.acceptance.conftest import TRAINING, Extraction, Simulated, out_of_fold, quietly, refusal
from tests.acceptance.fields import COLOURS, field, write_png, write_table, write_tiff
from tests.conftest import CommandLine

ROOT = Path(__file__).resolve().parents[2]
WATERSHED = ["--segmenter", "watershed", "--families", "intensity", "--jobs", 1]
EDGES = ["--segmenter", "watershed", "--families", "edges", "--jobs", 1]
"""A family of few columns, which is written soon."""

TABLES = ("samples.parquet", "features.parquet", "cells.parquet", "extraction.json", "problems.csv")


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    """Return a folder with pictures of two fields, and the work folder that extract made of them."""
    root = tmp_path_factory.mktemp("measured")
    for seed in range(2):
        write_png(root / "images", f"p{seed}", field(seed, side=88))
    quietly("extract", "--images", root / "images", "--work", root / "work", *EDGES)
    return root


@pytest.fixture
def folder(measured: Path, tmp_path: Path) -> Path:
    """Return a copy of the work folder."""
    return Path(shutil.copytree(measured / "work", tmp_path / "work"))


def assert_same_tables(found: Path, expected: Path) -> None:
    for name in TABLES:
        assert (found / name).read_bytes() == (expected / name).read_bytes(), name


def state(command_line: CommandLine, work: Path) -> str:
    """Return the line on extract of what status prints."""
    ended = command_line("status", "--work", work)
    assert ended.status == 0
    return next(line for line in ended.output.splitlines() if line.split()[:1] == ["extract"])


# Other programs' files


@pytest.mark.parametrize(
    "name", [".syncthing.features.parquet.tmp", ".model.tmp", ".a.b.1.tmp", "~$features.xlsx", ".DS_Store"]
)
def test_files_of_other_programs_are_left_alone(extract: Extraction, measured, tmp_path, name):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / name).write_text("not ours", encoding="utf-8")
    assert extract(measured / "images", families="edges").ended.status == 0
    again = extract(measured / "images", families="edges")
    assert again.ended.status == 0
    assert "up to date" in again.ended.output.lower()
    assert (tmp_path / "work" / name).read_text(encoding="utf-8") == "not ours"
    assert_same_tables(tmp_path / "work", measured / "work")


# Damage


def damage(path: Path, kind: str) -> None:
    """Do to a file what a power cut, a full disk or a broken copy does."""
    content = bytearray(path.read_bytes())
    if kind == "gone":
        path.unlink()
        return
    if kind == "flipped":
        content[len(content) // 2] ^= 4
    path.write_bytes({"cut": content[: min(100, len(content) // 2)], "empty": b""}.get(kind, content))


DAMAGES = ("cut", "empty", "gone", "flipped")
PARTS = ("parts/segmentation/*", "parts/pictures/*/*", "parts/cells/*/*", "parts/hash*/*")


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", [*TABLES, "records/extract.json", *PARTS])
def test_what_is_damaged_is_made_again(extract: Extraction, command_line, measured, folder, name, kind):
    path = next(path for path in sorted(folder.glob(name)) if path.is_file())
    damage(path, kind)
    if name in PARTS:  # they are read where the tables have to be made again
        (folder / "features.parquet").unlink()
        (folder / "records" / "extract.json").unlink()
    state(command_line, folder)
    assert extract(measured / "images", work=folder, families="edges").ended.status == 0
    assert_same_tables(folder, measured / "work")
    assert "done" in state(command_line, folder)


@pytest.mark.parametrize("families", ["edges", "edges,intensity"])
@pytest.mark.parametrize("kind", ["cut", "empty", "gone"])
def test_a_label_image_that_is_lost_is_made_again(
    extract: Extraction, command_line, measured, folder, kind, families
):
    mask = folder / "masks" / "p1.tif"
    content = mask.read_bytes()
    damage(mask, kind)
    assert "stale" in state(command_line, folder)
    assert extract(measured / "images", work=folder, families=families).ended.status == 0
    assert mask.read_bytes() == content
    assert "done" in state(command_line, folder)


def test_a_lost_folder_of_label_images_is_made_again(extract: Extraction, command_line, measured, folder):
    shutil.rmtree(folder / "masks")
    assert "stale" in state(command_line, folder)
    assert extract(measured / "images", work=folder, families="edges").ended.status == 0
    assert_same_tables(folder, measured / "work")
    for path in (measured / "work" / "masks").iterdir():
        assert (folder / "masks" / path.name).read_bytes() == path.read_bytes()


@pytest.fixture(scope="module")
def trained(simulated: Simulated, tmp_path_factory) -> Path:
    """Return a work folder with a model and its scores."""
    work = tmp_path_factory.mktemp("trained") / "work"
    shutil.copytree(simulated.work, work)
    quietly("train", "--labels", simulated.labels, "--work", work, *TRAINING)
    quietly("evaluate", "--work", work, "--draws", 100)
    return work


@pytest.mark.parametrize("kind", ["cut", "empty", "flipped"])
@pytest.mark.parametrize(
    "name", ["manifest.json", "model.json", "weights.npz", "card.json", "learners/*lightgbm*"]
)
def test_a_damaged_model_predicts_nothing(command_line, trained, measured, tmp_path, name, kind):
    model = Path(shutil.copytree(trained / "model", tmp_path / "model"))
    damage(sorted(model.glob(name))[0], kind)
    output = ["--output", tmp_path / "out.csv", "--work", tmp_path / "new", "--jobs", 1]
    ended = command_line("predict", "--images", measured / "images", "--model", model, *output)
    assert str(model) in refusal(ended)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("kind", ["cut", "empty", "flipped"])
def test_damaged_predictions_are_not_scored(command_line, trained, tmp_path, kind):
    work = Path(shutil.copytree(trained, tmp_path / "work"))
    damage(work / "out_of_fold.parquet", kind)
    assert "out_of_fold.parquet" in refusal(command_line("evaluate", "--work", work, "--draws", 200))


@pytest.mark.parametrize("kind", ["cut", "empty", "flipped"])
def test_damaged_features_are_not_trained_on(command_line, simulated, tmp_path, kind):
    work = Path(shutil.copytree(simulated.work, tmp_path / "work"))
    damage(work / "features.parquet", kind)
    said = refusal(command_line("train", "--labels", simulated.labels, "--work", work, *TRAINING))
    assert "features.parquet" in said
    assert "extract" in said


# Pictures that change, and folders that move


def plates(root: Path) -> None:
    """Write two plates whose files have the same names, sizes and times, and two tables of samples."""
    for seed, plate in enumerate(("A", "B")):
        planes = {colour: plane >> seed for colour, plane in field(seed, side=88).items()}
        write_tiff(root / "images" / plate, "field1", planes)
        for path in (root / "images" / plate).iterdir():
            os.utime(path, (1_700_000_000, 1_700_000_000))
    for name, order in (("before", "AB"), ("after", "BA")):
        rows = [
            [sample, *(f"{plate}/field1_{colour}.tif" for colour in COLOURS)]
            for sample, plate in zip(("treated", "control"), order, strict=True)
        ]
        write_table(root / f"{name}.csv", ["Id", *COLOURS], rows)


def test_samples_that_are_interchanged_are_measured_again(extract: Extraction, command_line, tmp_path):
    plates(tmp_path)
    first = extract(tmp_path / "images", "--samples", tmp_path / "before.csv")
    second = extract(tmp_path / "images", "--samples", tmp_path / "after.csv")
    fresh = extract(tmp_path / "images", "--samples", tmp_path / "after.csv", work=tmp_path / "fresh")
    assert not second.features.equals(first.features)
    pd.testing.assert_frame_equal(second.features, fresh.features, check_exact=True)
    assert_same_tables(tmp_path / "work", tmp_path / "fresh")
    assert "done" in state(command_line, tmp_path / "work")


def test_other_content_of_the_same_size_and_time_is_measured_again(
    extract: Extraction, command_line, tmp_path
):
    plates(tmp_path)
    images = tmp_path / "images"
    options = ["--samples", tmp_path / "before.csv"]
    extract(images, *options)
    for path in (images / "B").iterdir():
        shutil.copy2(path, images / "A" / path.name)
    assert "stale" in state(command_line, tmp_path / "work")
    extract(images, *options)
    extract(images, *options, work=tmp_path / "fresh")
    assert_same_tables(tmp_path / "work", tmp_path / "fresh")


def test_copied_pictures_are_not_measured_again(extract: Extraction, measured, folder, tmp_path):
    for path in (measured / "images").iterdir():
        (tmp_path / "copied").mkdir(exist_ok=True)
        shutil.copyfile(path, tmp_path / "copied" / path.name)
    said = extract(tmp_path / "copied", work=folder, families="edges").ended.output
    assert "2 measured now" not in said
    assert_same_tables(folder, measured / "work")


def test_status_is_of_the_folder_it_is_asked_about(command_line, measured, folder, tmp_path, monkeypatch):
    assert "done" in state(command_line, folder)
    monkeypatch.chdir(tmp_path)
    assert "done" in state(command_line, Path("work"))
    (tmp_path / "link").symlink_to(folder)
    assert "done" in state(command_line, tmp_path / "link")
    folder.rename(tmp_path / "moved")
    assert "done" in state(command_line, tmp_path / "moved")
    (tmp_path / "moved" / "features.parquet").unlink()
    assert "stale" in state(command_line, tmp_path / "moved")
    assert (measured / "work" / "features.parquet").exists()


# Folders of others


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file but those that say which sizes and times were seen last."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent.name != "seen")
    return {str(path): path.read_bytes() for path in files}


@pytest.mark.parametrize("way", ["plain", "relative", "link"])
def test_predict_keeps_out_of_the_folder_of_a_training(
    command_line, trained, measured, tmp_path, monkeypatch, way
):
    work = Path(shutil.copytree(trained, tmp_path / "work"))
    before = contents(work)
    (tmp_path / "link").symlink_to(work)
    monkeypatch.chdir(tmp_path)
    given = {"plain": work, "relative": Path("work"), "link": tmp_path / "link"}[way]
    output = ["--output", tmp_path / "out.csv", "--work", given, "--jobs", 1]
    ended = command_line("predict", "--images", measured / "images", "--model", work / "model", *output)
    assert str(given) in refusal(ended)
    assert contents(work) == before
    assert not (tmp_path / "out.csv").exists()


def test_extract_does_not_replace_what_a_model_was_trained_on(command_line, trained, simulated, tmp_path):
    work = Path(shutil.copytree(trained, tmp_path / "work"))
    before = contents(work)
    pictures = ["--images", simulated.images, "--samples", simulated.samples]
    ended = command_line(
        "extract", *pictures, "--work", work, "--segmenter", "watershed", "--families", "radial", "--jobs", 1
    )
    assert "--overwrite" in refusal(ended)
    assert contents(work) == before


def test_train_does_not_replace_another_model(command_line, trained, simulated, tmp_path):
    work = Path(shutil.copytree(trained, tmp_path / "work"))
    before = contents(work)
    ended = command_line("train", "--labels", simulated.labels, "--work", work, *TRAINING, "--seed", 1)
    assert "--overwrite" in refusal(ended)
    assert contents(work) == before


def child(*words: object) -> subprocess.Popen[str]:
    """Start a command as a shell does, which Ctrl-C stops."""
    command = [sys.executable, ROOT / "run.py", *map(str, words)]
    return subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


def wait_for(process: subprocess.Popen[str], words: str) -> str:
    """Read what a command says until it says these words."""
    said = ""
    assert process.stderr is not None
    while words not in said:
        line = process.stderr.readline()
        assert line, f"ended without saying {words!r}: {said}"
        said += line
    return said


def test_two_commands_in_one_folder_do_not_meet(command_line, trained, simulated, tmp_path):
    work = Path(shutil.copytree(simulated.work, tmp_path / "work"))
    (tmp_path / "link").symlink_to(work)
    training = ["train", "--labels", simulated.labels, *TRAINING]
    first = child(*training, "--work", work)
    try:
        wait_for(first, "Fitting")
        first.send_signal(signal.SIGSTOP)
        for path in (work, tmp_path / "link"):
            said = refusal(command_line(*training, "--work", path))
            assert "train" in said
            assert str(first.pid) in said
        assert str(first.pid) in refusal(
            command_line("extract", "--images", simulated.images, "--work", work, *WATERSHED)
        )
    finally:
        first.kill()
        first.communicate()
    assert command_line(*training, "--work", work).status == 0  # the lock of a killed run holds nobody up
    pd.testing.assert_frame_equal(out_of_fold(work), out_of_fold(trained), check_exact=True)


# Full disks


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Mount a file system of so many bytes, where the tests may."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    options = ["-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", str(disk)]
    if mount is None or subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield disk
    finally:
        subprocess.run([str(umount), "-l", str(disk)], check=True)


@pytest.mark.parametrize("small_disk", ["24k", "60k", "120k", "200k"], indirect=True)
def test_a_full_disk_is_one_line_and_no_loss(command_line, measured, small_disk, tmp_path):
    work = small_disk / "work"
    call = ["extract", "--images", measured / "images", "--work", work, *EDGES]
    ended = command_line(*call)
    assert ended.status == 2
    last = ended.errors.splitlines()[-1]
    assert last.startswith("error: ")
    assert "Traceback" not in ended.errors
    assert str(small_disk) in last
    assert not list(small_disk.rglob("*.tmp"))
    moved = Path(shutil.copytree(work, tmp_path / "larger"))  # room was made
    assert command_line(*call[:4], moved, *EDGES).status == 0
    assert_same_tables(moved, measured / "work")


# Many cells


def crowded(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return side × side square cells of 4 × 4 pixels with a nucleus of four pixels each."""
    cells = np.kron(np.arange(1, side**2 + 1, dtype=np.int32).reshape(side, side), np.ones((4, 4), np.int32))
    nucleus = np.zeros((4, 4), np.int32)
    nucleus[1:3, 1:3] = 1
    return cells, cells * np.tile(nucleus, (side, side))


def peak_of_matching(side: int) -> int:
    cells, nuclei = crowded(side)
    tracemalloc.start()
    try:
        match(cells, nuclei)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_matching_grows_with_the_number_of_cells():
    assert peak_of_matching(80) < 5 * peak_of_matching(40)


def test_cell_65536_keeps_its_number():
    cells, nuclei = crowded(257)
    found = match(cells, nuclei)
    assert len(np.unique(found.cells)) == 257**2
    assert len(np.unique(found.nuclei)) == 257**2 + 1
    np.testing.assert_array_equal(found.cells[found.nuclei > 0], found.nuclei[found.nuclei > 0])


# Ctrl-C


@pytest.mark.parametrize("moment", ["importing", "measuring"])
def test_ctrl_c_is_one_line_and_loses_nothing(command_line, simulated, tmp_path, moment):
    pictures = ["--images", simulated.images, "--samples", simulated.samples]
    options = [*pictures, "--work", tmp_path / "work", *WATERSHED]
    process = child("extract", *options)
    if moment == "measuring":
        wait_for(process, "measuring")
    time.sleep(0.6)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "stopped; run again to go on"
    assert command_line("extract", *options).status == 0
    assert_same_tables(tmp_path / "work", simulated.work)

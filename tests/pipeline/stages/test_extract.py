"""Extraction: what it writes, what it skips, what a kill costs, and that processes leave no trace."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest

import features
from pipeline.core.errors import RUN_AGAIN, PipelineError, Problem, SampleError, read_problems
from pipeline.core.workspace import Workspace
from pipeline.data.masks import read_mask
from pipeline.stages import measuring
from pipeline.stages.extract import Extract
from pipeline.stages.measuring import hash_parts
from pipeline.stages.options import ExtractOptions
from tests.pipeline.workfolder import FAMILIES, simulate, tables
from tests.pipeline.workfolder import extract as run

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Six small simulated pictures."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder, pictures=6, seed=3, size=192)
    return folder


@pytest.fixture(scope="module")
def undisturbed(pictures, tmp_path_factory) -> Path:
    """Extract in one go with one process."""
    work = tmp_path_factory.mktemp("undisturbed")
    run(pictures, work)
    return work


def test_every_picture_and_cell_has_its_row_with_the_declared_columns(undisturbed):
    work = Workspace(undisturbed)
    pictures, cells = pd.read_parquet(work.features), pd.read_parquet(work.cells)
    assert list(pictures.columns) == ["Id", *features.picture_columns(FAMILIES)]
    assert list(cells.columns) == ["Id", "label", "touches_border", *features.cell_columns(FAMILIES)]
    assert pictures["Id"].is_monotonic_increasing
    for sample, rows in cells.groupby("Id"):
        mask = read_mask(work.mask(sample))
        assert rows["label"].tolist() == list(range(1, mask.count + 1))
        assert np.array_equal(np.unique(mask.nuclei), np.unique(mask.cells))
    assert pd.read_parquet(work.samples).set_index("Id")["cells"].sum() == len(cells)


def test_a_second_run_does_nothing(pictures, undisturbed):
    before = {file: file.stat().st_mtime_ns for file in undisturbed.rglob("*") if file.is_file()}
    assert run(pictures, undisturbed).measured == 0
    assert {file: file.stat().st_mtime_ns for file in undisturbed.rglob("*") if file.is_file()} == before


def test_a_copied_work_folder_is_up_to_date(pictures, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "copy", copy_function=shutil.copy)
    assert not run(pictures, tmp_path / "copy").fresh


def test_a_label_image_that_was_removed_is_made_again(pictures, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "work")
    masks = sorted(Workspace(tmp_path / "work").masks.iterdir())
    masks[0].unlink()
    assert run(pictures, tmp_path / "work").measured == 1
    assert tables(tmp_path / "work") == tables(undisturbed)
    assert not run(pictures, tmp_path / "work").fresh


def test_results_do_not_depend_on_the_number_of_processes(pictures, undisturbed, tmp_path):
    run(pictures, tmp_path, jobs=2)
    assert tables(tmp_path) == tables(undisturbed)


def test_networks_find_the_same_cells_whatever_the_number_of_processes(pictures, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    run(pictures, one, segmenter="cellpose", families=FAMILIES[:1])
    run(pictures, two, segmenter="cellpose", families=FAMILIES[:1], jobs=2)
    assert tables(one) == tables(two)


def test_a_killed_run_goes_on_and_ends_with_the_same_bits(pictures, undisturbed, tmp_path):
    options = ["--images", pictures / "images", "--work", tmp_path, "--jobs", "2"]
    options += ["--segmenter", "watershed", "--families", ",".join(FAMILIES)]
    command = [sys.executable, "run.py", "extract", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None and not list(Workspace(tmp_path).parts.glob("segmentation/*.parquet")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not Workspace(tmp_path).features.exists()
    finished = len(list(Workspace(tmp_path).parts.glob("segmentation/*.parquet")))
    again = run(pictures, tmp_path)
    assert 0 < finished <= 6 - again.measured
    assert not list(tmp_path.rglob(".*.tmp"))
    assert tables(tmp_path) == tables(undisturbed)


def test_a_new_family_adds_its_file_and_nothing_else_is_measured_again(pictures, undisturbed, tmp_path):
    run(pictures, tmp_path, families=FAMILIES[:1])
    parts = Workspace(tmp_path).parts
    old = {file: file.stat().st_mtime_ns for file in parts.rglob("*.parquet")}
    assert run(pictures, tmp_path).measured == 6
    assert {file: file.stat().st_mtime_ns for file in old} == old
    new = {file.relative_to(parts).parts[:2] for file in parts.rglob("*.parquet") if file not in old}
    assert {family.split("-")[0] for _, family in new} == {"morphology"}
    assert tables(tmp_path) == tables(undisturbed)


def test_only_a_changed_picture_is_measured_again(tmp_path, write_sample):
    for name in ("a", "b"):
        write_sample(tmp_path / "images", name, size=(40, 40))
    run(tmp_path, tmp_path / "work")
    write_sample(tmp_path / "images", "b", size=(48, 40))
    assert run(tmp_path, tmp_path / "work").measured == 1


def test_copied_pictures_are_not_measured_again(pictures, undisturbed, tmp_path):
    shutil.copytree(pictures / "images", tmp_path / "images", copy_function=shutil.copyfile)
    shutil.copytree(undisturbed, tmp_path / "work")
    assert not run(tmp_path, tmp_path / "work").fresh


def test_interchanged_rows_of_samples_are_measured_again(tmp_path, write_sample):
    for folder, seed in (("A", 1), ("B", 2)):
        write_sample(tmp_path / "images" / folder, "x", size=(40, 40), seed=seed)
    colours = ("red", "green", "blue", "yellow")
    for name, folders in (("before", "AB"), ("after", "BA")):
        rows = [
            ",".join([sample, *(f"{folder}/x_{colour}.png" for colour in colours)])
            for sample, folder in zip(("one", "two"), folders, strict=True)
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(["Id," + ",".join(colours), *rows]))
    run(tmp_path, tmp_path / "work", samples=tmp_path / "before.csv")
    assert run(tmp_path, tmp_path / "work", samples=tmp_path / "after.csv").measured == 2
    run(tmp_path, tmp_path / "fresh", samples=tmp_path / "after.csv")
    assert tables(tmp_path / "work") == tables(tmp_path / "fresh")


def test_a_sample_of_which_a_file_has_not_arrived_yet_is_listed_each_time(tmp_path, write_sample):
    images, work = tmp_path / "images", tmp_path / "work"
    write_sample(images, "a", size=(40, 40))
    run(tmp_path, work)
    write_sample(images, "b", size=(40, 40))
    late = (images / "b_yellow.png").rename(tmp_path / "late.png")
    for _ in range(2):
        summary = run(tmp_path, work)
        assert [problem.file for problem in summary.problems] == ["b_yellow.png"]
        assert [one.file for _, one in read_problems(Workspace(work).problems)] == ["b_yellow.png"]
        assert (summary.pictures, summary.measured) == (1, 0)
    late.rename(images / "b_yellow.png")
    summary = run(tmp_path, work)
    assert (summary.pictures, summary.measured, summary.problems) == (2, 1, [])


def test_bad_samples_are_skipped_and_listed_with_file_and_remedy(tmp_path, write_sample):
    images = tmp_path / "images"
    for name in ("cut", "good", "lacking", "rgb", "size"):
        write_sample(images, name, size=(40, 40))
    (images / "cut_red.png").write_bytes((images / "cut_red.png").read_bytes()[:-300])
    (images / "lacking_blue.png").unlink()
    (images / "rgb_green.png").write_bytes(
        imagecodecs.png_encode(np.random.default_rng(0).integers(0, 99, (40, 40, 3), np.uint8))
    )
    (images / "size_yellow.png").write_bytes(imagecodecs.png_encode(np.zeros((40, 41), np.uint8)))
    summary = run(tmp_path, tmp_path / "work")
    assert (summary.pictures, summary.measured) == (1, 1)
    assert [(problem.sample, problem.file) for problem in summary.problems] == [
        ("cut", "cut_red.png"),
        ("lacking", "lacking_blue.png"),
        ("rgb", "rgb_green.png"),
        ("size", "size_yellow.png"),
    ]
    assert all(problem.remedy for problem in summary.problems)
    assert run(tmp_path, tmp_path / "work").measured == 0


def test_a_passing_trouble_is_told_and_tried_again(tmp_path, write_sample, monkeypatch):
    images = tmp_path / "images"
    for name in ("denied", "good", "large", "odd"):
        write_sample(images, name, size=(40, 40))
    errors = {
        "denied": SampleError(
            Problem("denied", "denied_red.png", "cannot be read now", f"{RUN_AGAIN} later")
        ),
        "large": MemoryError("Unable to allocate 116 GiB"),
        "odd": ValueError("pixel size nan"),
    }
    read = measuring.read_picture

    def troubled(sample):
        if sample.id in errors:
            raise errors[sample.id]
        return read(sample)

    monkeypatch.setattr(measuring, "read_picture", troubled)
    summary = run(tmp_path, tmp_path / "work")
    assert summary.pictures == 1
    assert [(problem.sample, problem.reason) for problem in summary.problems] == [
        ("denied", "cannot be read now"),
        ("large", "cannot be measured (MemoryError: Unable to allocate 116 GiB)"),
        ("odd", "cannot be measured (ValueError: pixel size nan)"),
    ]
    errors.clear()
    summary = run(tmp_path, tmp_path / "work")
    assert (summary.pictures, summary.measured, summary.problems) == (4, 3, [])
    assert not run(tmp_path, tmp_path / "work").fresh


def test_a_picture_without_cells_has_a_row_of_whole_field_features(tmp_path):
    noise = np.random.default_rng(0).integers(0, 3, (64, 64)).astype(np.uint8)
    for colour in ("red", "green", "blue", "yellow"):
        plane = np.zeros_like(noise) if colour == "blue" else noise
        (tmp_path / f"a_{colour}.png").write_bytes(imagecodecs.png_encode(plane))
    summary = run(tmp_path, tmp_path / "work", images=tmp_path)
    assert (summary.pictures, summary.cells) == (1, 0)
    row = pd.read_parquet(Workspace(tmp_path / "work").features).iloc[0]
    assert row["field__intensity__mean__protein"] == pytest.approx(noise.mean() / 255, rel=0.05)
    assert np.isnan(row["cell__morphology__area__mean"])
    cells = pd.read_parquet(Workspace(tmp_path / "work").cells)
    assert list(cells.columns[3:]) == features.cell_columns(FAMILIES)


def test_pictures_that_predict_would_not_answer_are_named_in_the_end(tmp_path, pictures, command_line):
    shutil.copytree(pictures / "images", tmp_path / "images")
    black = sorted((tmp_path / "images").glob("*_green.png"))[0]
    black.write_bytes(imagecodecs.png_encode(np.zeros((192, 192), np.uint8)))
    why = "protein is black or flat; export the channel again"
    sample = black.name.removesuffix("_green.png")
    assert run(tmp_path, tmp_path / "work").doubtful == {sample: why}
    asked = ("--segmenter", "watershed", "--families", ",".join(FAMILIES))
    ended = command_line("extract", "--images", tmp_path / "images", "--work", tmp_path / "work", *asked)
    assert "1 picture is doubtful, left out by train and without an answer of predict: " in ended.output
    assert f"  {sample}: {why}" in ended.output.splitlines()


def test_nothing_readable_is_one_clear_error_after_listing_the_problems(tmp_path, write_sample):
    write_sample(tmp_path / "images", "a")
    (tmp_path / "images" / "a_red.png").write_bytes(b"")
    with pytest.raises(PipelineError, match=r"no picture could be read; see .*problems\.csv"):
        run(tmp_path, tmp_path / "work")
    assert [problem.file for _, problem in read_problems(Workspace(tmp_path / "work").problems)] == [
        "a_red.png"
    ]


def test_an_unknown_family_or_segmenter_lists_the_known_ones(pictures, tmp_path):
    with pytest.raises(PipelineError, match=r"unknown family 'shape'; known: .*morphology"):
        run(pictures, tmp_path, families=("shape",))
    with pytest.raises(PipelineError, match=r"unknown segmenter 'magic'; known: watershed, cellpose"):
        run(pictures, tmp_path, segmenter="magic")


def test_inputs_name_what_a_user_can_change(pictures, tmp_path):
    images = pictures / "images"
    options = ExtractOptions(images=images, work=tmp_path, segmenter="watershed", families=FAMILIES)
    families = [f"family {family}" for family in FAMILIES]
    names = [
        "pictures",
        "samples that are left out",
        "edited label images",
        "groups of the samples",
        "segmenter",
        "scale of the training",
        "perceptual hash",
        "quality control",
        *families,
    ]
    assert list(Extract().inputs(options)) == names
    corrected = options.model_copy(update={"flat_field": True})
    assert list(Extract().inputs(corrected)) == [*names, "flat-field correction"]


def test_hashes_that_an_older_version_did_not_make_are_added_without_measuring_cells(
    pictures, undisturbed, tmp_path
):
    run(pictures, tmp_path)
    parts = Workspace(tmp_path).parts
    shutil.rmtree(hash_parts(Workspace(tmp_path)).folder)
    Workspace(tmp_path).record("extract").unlink()
    old = {file: file.stat().st_mtime_ns for file in parts.rglob("*.parquet")}
    assert run(pictures, tmp_path).measured == 6
    assert {file: file.stat().st_mtime_ns for file in old} == old
    assert tables(tmp_path) == tables(undisturbed)
    hashes = pd.read_parquet(Workspace(tmp_path).samples)["hash"]
    assert hashes.str.fullmatch("[0-9a-f]{128}").all()
    assert hashes.is_unique


def test_thousands_of_cells_in_one_field_have_their_rows(tmp_path):
    side, step = 50, 16
    rng = np.random.default_rng(0)
    radius = np.hypot(*(np.indices((step, step)) - (step - 1) / 2))
    for colour in ("red", "green", "blue", "yellow"):
        one = 180 * (radius < 3.2) if colour == "blue" else 120 * np.clip(1.2 - radius / 7.5, 0, 1)
        plane = np.tile(one, (side, side)) + rng.normal(4, 1, (side * step, side * step))
        content = imagecodecs.png_encode(np.clip(plane, 0, 255).astype(np.uint8))
        (tmp_path / f"a_{colour}.png").write_bytes(content)
    summary = run(tmp_path, tmp_path / "work", images=tmp_path, families=("neighbours",))
    assert summary.cells == side**2
    labels = pd.read_parquet(Workspace(tmp_path / "work").cells)["label"]
    assert labels.tolist() == list(range(1, side**2 + 1))

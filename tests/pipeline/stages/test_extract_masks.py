"""Label images in `extract`: which are taken, which are kept, and which are made again."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from pipeline.core.errors import PipelineError
from pipeline.core.workspace import Workspace
from pipeline.segmentation.label_images import match
from pipeline.segmentation.watershed import WatershedSegmenter
from pipeline.stages import measuring, warming
from pipeline.stages.measuring import family_parts, measure_chunk
from pipeline.stages.status import status
from tests.pipeline.workfolder import FAMILIES, simulate, tables
from tests.pipeline.workfolder import extract as run


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Four small simulated pictures."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder, pictures=4, seed=3, size=192)
    return folder


@pytest.fixture(scope="module")
def undisturbed(pictures, tmp_path_factory) -> Path:
    """Extract in one go."""
    work = tmp_path_factory.mktemp("undisturbed")
    run(pictures, work)
    return work


class Shifted(WatershedSegmenter):
    """Finds the cells of the watershed a pixel further up."""

    def settings(self):
        return super().settings() | {"shifted": 1}

    def segment(self, picture):
        found = super().segment(picture)
        return match(np.roll(found.cells, -1, axis=0), np.roll(found.nuclei, -1, axis=0))


@pytest.fixture
def _quick_cellpose(monkeypatch):
    """Let `cellpose` stand for a quick segmenter that finds other cells than `watershed`."""
    makers = {"watershed": WatershedSegmenter, "cellpose": Shifted}
    monkeypatch.setattr(measuring, "make_segmenter", lambda name: makers[name]())


@pytest.mark.usefixtures("_quick_cellpose")
def test_a_label_image_that_another_segmenter_made_is_not_taken(pictures, undisturbed, tmp_path):
    run(pictures, tmp_path, families=FAMILIES[:1])
    assert run(pictures, tmp_path, families=FAMILIES[:1], segmenter="cellpose").measured == 4
    assert tables(tmp_path) != tables(undisturbed)
    assert run(pictures, tmp_path).measured == 4
    assert tables(tmp_path) == tables(undisturbed)


@pytest.mark.usefixtures("_quick_cellpose")
def test_a_switched_segmenter_that_was_interrupted_leaves_no_label_image_behind(
    pictures, undisturbed, tmp_path, monkeypatch
):
    run(pictures, tmp_path, families=FAMILIES[:1])
    measured = []

    def interrupted(chunk):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(measure_chunk(chunk))
        return measured[-1]

    with monkeypatch.context() as patched:
        patched.setattr(warming, "measure_chunk", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(pictures, tmp_path, families=FAMILIES[:1], segmenter="cellpose")
    run(pictures, tmp_path)
    assert tables(tmp_path) == tables(undisturbed)


def test_label_images_of_other_pictures_are_not_taken(pictures, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "work")
    first, second = sorted(Workspace(tmp_path / "work").masks.iterdir())[:2]
    shutil.copyfile(first, second)
    assert run(pictures, tmp_path / "work").measured == 1
    assert tables(tmp_path / "work") == tables(undisturbed)


def edit(work: Path, change: Callable, name: str = "") -> str:
    """Change a label image as an editor does, which keeps none of our tags; return its sample."""
    path = Workspace(work).mask(name) if name else sorted(Workspace(work).masks.iterdir())[0]
    tifffile.imwrite(path, change(tifffile.imread(path)))
    return path.stem


def without_cell_2(pages):
    return np.where(pages == 2, 0, pages).astype(np.int32)


@pytest.mark.usefixtures("_quick_cellpose")
def test_an_edited_label_image_is_measured_marked_and_kept(pictures, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "work")
    work = Workspace(tmp_path / "work")
    name = edit(work.root, without_cell_2)
    content = work.mask(name).read_bytes()
    assert "edited label images changed" in status(work.root)[0].reasons
    summary = run(pictures, work.root)
    assert (summary.measured, summary.edited, summary.problems) == (1, 1, [])
    assert not run(pictures, work.root).fresh
    assert run(pictures, work.root, families=(*FAMILIES, "radial")).edited == 1
    assert run(pictures, work.root, segmenter="cellpose").edited == 1
    run(pictures, work.root)
    assert work.mask(name).read_bytes() == content
    cells, before = (pd.read_parquet(Workspace(one).cells) for one in (work.root, undisturbed))
    gone = (before["Id"] == name) & (before["label"] == 2)
    assert gone.sum() == 1
    assert cells.equals(before[~gone].reset_index(drop=True))
    samples = pd.read_parquet(work.samples).set_index("Id")
    assert samples["mask"].to_dict() == {one: "edited" if one == name else "made" for one in samples.index}
    assert samples["cells"].sum() == len(cells)
    work.mask(name).unlink()
    assert run(pictures, work.root).edited == 0
    assert tables(work.root) == tables(undisturbed)


def test_a_copied_folder_with_an_edited_label_image_is_up_to_date(pictures, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "work")
    edit(tmp_path / "work", without_cell_2)
    run(pictures, tmp_path / "work")
    shutil.copytree(tmp_path / "work", tmp_path / "copy", copy_function=shutil.copyfile)
    assert not run(pictures, tmp_path / "copy").fresh


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda pages: pages[:, 1:], "is 192×191, its picture 192×192"),
        (lambda pages: pages[:1], "not two grey pages"),
        (lambda pages: pages.astype(np.float32), "labels are float32"),
        (lambda pages: pages.astype(np.int32) - 1, "labels run from -1"),
        (lambda pages: np.stack([pages[0], without_cell_2(pages)[1]]), r"1 labels are not a cell .*: 2"),
        (lambda pages: np.stack([pages[0], np.roll(pages[1], 90)]), "labels are not a cell"),
    ],
)
def test_an_edited_label_image_that_cannot_be_used_is_its_samples_problem(
    pictures, undisturbed, tmp_path, change, reason
):
    shutil.copytree(undisturbed, tmp_path / "work")
    work = Workspace(tmp_path / "work")
    name = edit(work.root, change)
    content = work.mask(name).read_bytes()
    summary = run(pictures, work.root)
    assert summary.pictures == 3
    (problem,) = summary.problems
    assert (problem.sample, problem.file) == (name, f"masks/{name}.tif")
    assert re.search(reason, problem.reason)
    assert "delete it to have it made again" in problem.remedy
    assert not run(pictures, work.root).fresh
    assert work.mask(name).read_bytes() == content
    work.mask(name).unlink()
    run(pictures, work.root)
    assert tables(work.root) == tables(undisturbed)


def test_a_label_image_that_was_edited_for_other_pictures_is_neither_taken_nor_made_again(
    tmp_path, write_sample
):
    images, work = tmp_path / "images", Workspace(tmp_path / "work")
    for name in ("a", "b"):
        write_sample(images, name, size=(40, 40))
    run(tmp_path, work.root)
    edit(work.root, lambda pages: pages + 1, "a")
    content = work.mask("a").read_bytes()
    write_sample(images, "a", size=(40, 40), seed=1)
    for _ in range(2):
        (problem,) = run(tmp_path, work.root).problems
        assert problem.reason == "was edited for other pictures than these"
    assert work.mask("a").read_bytes() == content
    write_sample(images, "a", size=(40, 40))
    assert run(tmp_path, work.root).edited == 1


def test_damaged_label_images_are_made_again_unless_they_were_edited(pictures, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "work")
    work = Workspace(tmp_path / "work")
    edit(work.root, without_cell_2)
    run(pictures, work.root)
    first, second, third = sorted(work.masks.iterdir())[:3]
    first.write_bytes(first.read_bytes()[:100])
    second.write_bytes(second.read_bytes()[:-700])
    third.write_bytes(b"")
    assert run(pictures, work.root).measured == 2
    for _ in range(2):
        (problem,) = run(pictures, work.root).problems
        assert (problem.file, problem.reason) == (f"masks/{first.name}", "was edited, and is damaged now")
    first.unlink()
    run(pictures, work.root)
    assert tables(work.root) == tables(undisturbed)


def test_a_label_image_of_a_version_before_keys_is_made_again(pictures, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "work")
    path = sorted(Workspace(tmp_path / "work").masks.iterdir())[0]
    cells, nuclei = np.zeros_like(tifffile.imread(path))
    with tifffile.TiffWriter(path) as file:
        for page, name in ((cells, "cells"), (nuclei, "nuclei")):
            file.write(page, photometric="minisblack", description=name, metadata=None)
    assert run(pictures, tmp_path / "work").measured == 1
    assert tables(tmp_path / "work") == tables(undisturbed)


def test_families_that_measured_other_cells_are_refused(pictures, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "work")
    work = Workspace(tmp_path / "work")
    part = family_parts(work, "cells", "morphology")
    (name, key), path = min(part.index().items())
    rows = part.read({name: key}, [path])
    path.unlink()
    part.write(rows[rows["label"] != 1])
    work.record("extract").unlink()
    with pytest.raises(PipelineError, match="rows are of different cells; remove it, and run extract again"):
        run(pictures, work.root)

"""`extract` with masks that were made elsewhere."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from pipeline.core.errors import PipelineError
from pipeline.core.workspace import Workspace
from pipeline.data.masks import read_mask
from pipeline.stages.options import ExtractOptions, PredictOptions
from pipeline.stages.status import status
from pipeline.stages.trained_models import extract_options
from tests.pipeline.workfolder import extract as run
from tests.pipeline.workfolder import simulate, tables

HUGE = 4_000_000_000


def extract(pictures, work, **options):
    return run(pictures, work, **{"families": ("morphology",)} | options)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Two small simulated pictures."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder, pictures=2, seed=3, size=192)
    return folder


@pytest.fixture(scope="module")
def segmented(pictures, tmp_path_factory) -> Workspace:
    """Extract without given masks."""
    work = Workspace(tmp_path_factory.mktemp("segmented"))
    extract(pictures, work.root)
    return work


@pytest.fixture
def masks(segmented, tmp_path) -> Path:
    """Write what was segmented as a file of cells, and one of nuclei that are numbered otherwise."""
    folder = tmp_path / "masks"
    folder.mkdir()
    for path in segmented.masks.iterdir():
        cells, nuclei = tifffile.imread(path)
        tifffile.imwrite(folder / f"{path.stem}_cells.tif", cells)
        tifffile.imwrite(
            folder / f"{path.stem}_nuclei.tif", np.where(nuclei, 1000 - nuclei, 0).astype(np.uint16)
        )
    return folder


def names(work: Workspace) -> list[str]:
    return sorted(path.stem for path in work.masks.iterdir())


def cells_of(work: Workspace) -> pd.DataFrame:
    return pd.read_parquet(work.cells).set_index(["Id", "label"])


def keep(folder: Path, what: str) -> None:
    """Remove all masks but those of cells, or of nuclei."""
    for path in folder.iterdir():
        if not path.stem.endswith(what):
            path.unlink()


def change(path: Path, how) -> None:
    tifffile.imwrite(path, how(tifffile.imread(path)))


def test_masks_like_ours_give_what_ours_give(pictures, segmented, masks, tmp_path):
    work = Workspace(tmp_path / "work")
    summary = extract(pictures, work.root, masks=masks)
    assert summary.given == f"Masks in {masks} for 2 of 2 pictures: 2 of cells and nuclei"
    assert (summary.measured, summary.left_out, summary.problems) == (2, {}, [])
    pd.testing.assert_frame_equal(pd.read_parquet(work.cells), pd.read_parquet(segmented.cells))
    pd.testing.assert_frame_equal(pd.read_parquet(work.features), pd.read_parquet(segmented.features))
    assert set(pd.read_parquet(work.samples)["mask"]) == {"given"}
    card = json.loads(work.extraction.read_bytes())
    assert card["segmenter"] == ""
    assert card["masks"] == {"lack": "segment", "show": ["cells and nuclei"]}
    assert card["scale"]["nuclei_diameter"] > 10
    assert not extract(pictures, work.root, masks=masks).fresh
    more = extract(pictures, work.root, masks=masks, families=("morphology", "radial"))
    assert more.measured == 2
    assert status(work.root)[0].state == "done"


def test_a_changed_mask_is_noticed_and_measured_again(pictures, masks, tmp_path):
    work = Workspace(tmp_path / "work")
    extract(pictures, work.root, masks=masks)
    name = names(work)[0]
    before = cells_of(work).loc[name]
    change(
        masks / f"{name}_cells.tif",
        lambda labels: np.where(labels == before.index[0], np.uint32(HUGE), labels),
    )
    assert status(work.root)[0].reasons == ["given masks changed"]
    assert extract(pictures, work.root, masks=masks).measured == 1
    after = cells_of(work).loc[name]
    assert after.index.to_list() == [*before.index[1:], HUGE]
    assert after.loc[HUGE].equals(before.iloc[0])
    assert read_mask(work.mask(name)).count == len(before)


def test_a_picture_without_a_mask_is_a_problem_until_it_has_one(pictures, masks, tmp_path):
    work = Workspace(tmp_path / "work")
    name = sorted(masks.iterdir())[0].stem.removesuffix("_cells")
    (masks / f"{name}_cells.tif").rename(tmp_path / "c.tif")
    (masks / f"{name}_nuclei.tif").rename(tmp_path / "n.tif")
    summary = extract(pictures, work.root, masks=masks)
    assert summary.pictures == 1
    assert summary.given.startswith(f"Masks in {masks} for 1 of 2 pictures: ")
    assert [(one.sample, one.reason) for one in summary.problems] == [(name, f"no mask in {masks}")]
    (tmp_path / "c.tif").rename(masks / f"{name}_cells.tif")
    (tmp_path / "n.tif").rename(masks / f"{name}_nuclei.tif")
    assert extract(pictures, work.root, masks=masks).measured == 1


def test_a_mask_that_cannot_be_taken_is_a_problem_until_it_is_corrected(pictures, masks, tmp_path):
    work = Workspace(tmp_path / "work")
    path = sorted(masks.iterdir())[0]
    content = path.read_bytes()
    change(path, lambda labels: labels[1:])
    (problem,) = extract(pictures, work.root, masks=masks).problems
    assert (problem.file, problem.reason) == (path.name, "is 192×191, its picture 192×192")
    path.write_bytes(content)
    summary = extract(pictures, work.root, masks=masks)
    assert (summary.measured, summary.problems) == (1, [])


def test_what_is_left_out_is_counted_whenever_it_is_asked_for(pictures, masks, tmp_path):
    def corner(labels):
        return np.where(np.add.outer(range(192), range(192)) < 6, 5000, labels).astype(np.uint16)

    def without_first(labels):
        return np.where(labels == labels[labels > 0].min(), 0, labels)

    name = sorted(masks.iterdir())[0].stem.removesuffix("_cells")
    change(masks / f"{name}_cells.tif", lambda labels: np.where(corner(labels) == 5000, 0, labels))
    change(masks / f"{name}_nuclei.tif", lambda labels: corner(without_first(labels)))
    work = tmp_path / "work"
    for _ in range(2):
        summary = extract(pictures, work, masks=masks)
        assert summary.left_out == {"cells without a nucleus": 1, "nuclei in no cell": 1}
    table = pd.read_parquet(Workspace(work).samples).set_index("Id")
    assert table["left_out"].to_list() == ["cells without a nucleus: 1; nuclei in no cell: 1", ""]


def test_an_edited_label_image_goes_before_the_given_mask(pictures, masks, tmp_path):
    work = Workspace(tmp_path / "work")
    extract(pictures, work.root, masks=masks)
    name = names(work)[0]
    first = cells_of(work).loc[name].index[0]
    change(work.mask(name), lambda pages: np.where(pages == first, 0, pages))
    for path in masks.glob(f"{name}_*"):
        path.unlink()
    summary = extract(pictures, work.root, masks=masks)
    assert (summary.edited, summary.problems) == (1, [])
    assert first not in cells_of(work).loc[name].index


def test_without_masks_the_pictures_are_segmented_again(pictures, segmented, masks, tmp_path):
    extract(pictures, tmp_path / "work", masks=masks)
    assert extract(pictures, tmp_path / "work").measured == 2
    assert tables(tmp_path / "work") == tables(segmented.root)


def test_nuclei_are_found_in_given_cells(pictures, segmented, masks, tmp_path):
    keep(masks, "_cells")
    work = Workspace(tmp_path / "work")
    summary = extract(pictures, work.root, masks=masks)
    assert summary.given.endswith("2 of cells alone, nuclei found by watershed")
    pd.testing.assert_frame_equal(cells_of(work), cells_of(segmented))


def test_cells_without_nuclei_have_no_numbers_of_nuclei(pictures, segmented, masks, tmp_path):
    keep(masks, "_cells")
    work = Workspace(tmp_path / "work")
    summary = extract(pictures, work.root, masks=masks, masks_lack="none")
    assert summary.given.endswith("2 of cells alone, which have no nucleus")
    found, ours = cells_of(work), cells_of(segmented)
    of_nucleus = [
        name for name in ours if name.startswith(("nucleus__", "cytoplasm__")) or "__nucleus_" in name
    ]
    assert found[of_nucleus].isna().all(axis=None)
    assert len(of_nucleus) > 40
    pd.testing.assert_frame_equal(found.drop(columns=of_nucleus), ours.drop(columns=of_nucleus))
    assert extract(pictures, work.root, masks=masks, masks_lack="none", families=("radial",)).measured == 2
    assert not pd.read_parquet(work.samples)["doubt"].any()


def test_cells_are_found_around_or_grown_from_given_nuclei(pictures, segmented, masks, tmp_path):
    keep(masks, "_nuclei")
    work = Workspace(tmp_path / "work")
    summary = extract(pictures, work.root, masks=masks)
    assert summary.given.endswith("2 of nuclei alone, cells found by watershed")
    assert len(cells_of(work)) == len(cells_of(segmented))
    area = "cell__morphology__area"
    found = cells_of(work)[area].sum()
    assert abs(found / cells_of(segmented)[area].sum() - 1) < 0.02
    summary = extract(pictures, work.root, masks=masks, masks_lack="4px")
    assert summary.given.endswith("2 of nuclei alone, grown by 4px to cells")
    assert (summary.measured, len(cells_of(work))) == (2, len(cells_of(segmented)))
    assert cells_of(work)[area].sum() < 0.9 * found
    extract(pictures, work.root, masks=masks, masks_lack="none")
    assert cells_of(work)["cytoplasm__morphology__area"].isna().all()


def test_micrometres_need_a_pixel_size_and_nuclei(pictures, masks, tmp_path):
    only_cells = shutil.copytree(masks, tmp_path / "cells")
    keep(only_cells, "_cells")
    with pytest.raises(
        PipelineError, match=r"--masks-lack 2um: .*_cells.tif shows cells alone; give segment"
    ):
        extract(pictures, tmp_path / "work", masks=only_cells, masks_lack="2um")
    keep(masks, "_nuclei")
    with pytest.raises(PipelineError, match="no picture could be read"):
        extract(pictures, tmp_path / "work", masks=masks, masks_lack="2um")
    problems = pd.read_csv(tmp_path / "work" / "problems.csv")
    assert problems["remedy"].unique().tolist() == ["give --masks-lack in px, or state pixel_size_um"]
    with pytest.raises(PipelineError, match="--masks-hold: needs --masks; give that too"):
        extract(pictures, tmp_path / "work", masks_hold="pieces")
    with pytest.raises(PipelineError, match="--masks-lack 5: give segment, none, or a distance such as 5um"):
        ExtractOptions(images=pictures, work=tmp_path, masks_lack="5")


def asked(options: PredictOptions, work: Workspace) -> ExtractOptions:
    """Return how `predict` measures pictures for a model that was trained on a work folder."""
    found = extract_options(options, {"extraction": json.loads(work.extraction.read_bytes())})
    assert found is not None
    return found


def test_a_model_of_given_masks_wants_masks_of_the_same_kind(pictures, masks, tmp_path):
    trained = Workspace(tmp_path / "trained")
    extract(pictures, trained.root, masks=masks, masks_lack="none")
    new = {"model": tmp_path, "output": tmp_path / "p.csv", "images": pictures / "images", "jobs": 1}
    with pytest.raises(
        PipelineError, match=r"was trained on masks of cells and nuclei that were given; give"
    ):
        asked(PredictOptions(**new), trained)
    options = asked(PredictOptions(masks=masks, **new), trained)
    assert options.masks_lack == "none"
    known = options.model_dump(exclude={"images", "work"})
    assert extract(pictures, tmp_path / "a", **known).problems == []
    keep(masks, "_cells")
    with pytest.raises(PipelineError, match=r"no picture could be read|no usable"):
        extract(pictures, tmp_path / "b", **known)


def test_masks_for_a_model_that_segments_are_taken_and_told(pictures, segmented, masks, tmp_path):
    new = {"model": tmp_path, "output": tmp_path / "p.csv", "images": pictures / "images", "jobs": 1}
    known = asked(PredictOptions(masks=masks, **new), segmented).model_dump(exclude={"images", "work"})
    told = extract(pictures, tmp_path / "work", **known).told
    assert told == "masks were given, but the model was trained on cells found by watershed"

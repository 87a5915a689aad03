"""Stains that were not made, from the files to the tables: empty columns, never a black plane."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import features
from pipeline.core.errors import PipelineError, read_problems
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import CHANNELS, COLOURS, Layout
from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples, told_channels
from pipeline.segmentation import make_segmenter
from pipeline.stages.extract import Extract
from pipeline.stages.options import ExtractOptions
from tests.pipeline.workfolder import extract, simulate

SETS = [("er",), ("microtubules",), ("microtubules", "er")]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Three small simulated pictures."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder, pictures=3, seed=5, size=192)
    return folder


@pytest.fixture
def without(pictures, tmp_path):
    """Copy the pictures but for some channels, of all samples or of one."""

    def copy(*channels: str, of: str = "*") -> Path:
        shutil.copytree(pictures, tmp_path / "pictures")
        for channel in channels:
            for path in (tmp_path / "pictures" / "images").glob(f"{of}_{COLOURS[channel]}.png"):
                path.unlink()
        return tmp_path / "pictures"

    return copy


class Told(SilentProgress):
    """Keep what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)


@pytest.mark.parametrize("absent", SETS)
def test_columns_of_absent_channels_are_there_and_empty(without, tmp_path, absent):
    told = Told()
    images = without(*absent) / "images"
    options = {"images": images, "segmenter": "watershed", "families": ("intensity", "colocalization")}
    execute(Extract(), ExtractOptions(work=tmp_path / "work", jobs=1, **options), told)
    work = Workspace(tmp_path / "work")
    for path, columns in (
        (work.features, features.picture_columns(options["families"])),
        (work.cells, features.cell_columns(options["families"])),
    ):
        table = pd.read_parquet(path)
        assert [name for name in table if "__" in name] == columns
        assert (table[columns].dtypes == np.float32).all()
        lacks = [name for name in columns if {*features.parse(name).channels} & {*absent}]
        assert lacks
        assert table[lacks].isna().all(axis=None)
        assert table[[name for name in columns if name not in lacks]].notna().any().mean() > 0.9
    left = [name for name in CHANNELS if name not in absent]
    assert set(pd.read_parquet(work.samples)["channels"]) == {" ".join(left)}
    assert json.loads(work.extraction.read_bytes())["channels"] == left
    shown = {("er",): "microtubules", ("microtubules",): "er"}.get(absent, "protein")
    assert [f"no picture of {name}: its columns are empty" in told.lines for name in absent]
    assert f"no {' and no '.join(absent)}: cells are outlined in {shown}" in told.lines


def test_what_the_present_channels_show_of_given_cells_does_not_change(pictures, without, tmp_path):
    extract(pictures, tmp_path / "whole")
    few = without("er")
    shutil.copytree(tmp_path / "whole" / "masks", tmp_path / "few" / "masks")
    for path in (tmp_path / "few" / "masks").iterdir():  # as if a person had edited them
        import tifffile

        tifffile.imwrite(path, tifffile.imread(path), photometric="minisblack")
    extract(few, tmp_path / "few")
    whole, part = (pd.read_parquet(tmp_path / name / "cells.parquet") for name in ("whole", "few"))
    kept = [name for name in part if part[name].notna().any()]
    assert len(kept) < len(part.columns)
    pd.testing.assert_frame_equal(part[kept], whole[kept], check_exact=True)


def test_a_sample_that_lacks_what_others_have_is_a_problem_unless_the_layout_allows_it(without, tmp_path):
    folder = without()
    first = find_samples(folder / "images")[0][0]
    first.source("er").path.unlink()
    images = folder / "images"
    extract(images.parent, tmp_path / "work")
    problems = [one for _, one in read_problems(Workspace(tmp_path / "work").problems)]
    assert [one.reason for one in problems] == ["no picture of er, which others have"]
    assert 'optional = ["er"]' in problems[0].remedy
    samples, problems = find_samples(images, layout=Layout(optional=("er",)))
    assert (len(samples), problems) == (3, [])
    assert told_channels(samples) == ["1 of 3 samples have no picture of er: its columns are empty there"]
    extract(images.parent, tmp_path / "mixed", layout=Layout(optional=("er",)))
    table = pd.read_parquet(tmp_path / "mixed" / "features.parquet").filter(like="__er__")
    assert table.isna().all(axis=1).sum() == 1


def test_the_layout_says_what_is_not_used(pictures):
    for layout in (
        Layout(absent=("er",)),
        Layout(channels={"microtubules": "red", "protein": "green", "nucleus": "blue"}),
    ):
        samples, problems = find_samples(pictures / "images", layout=layout)
        assert {one.channels for one in samples} == {("microtubules", "protein", "nucleus")}
        assert not problems
    with pytest.raises(ValueError, match="'tubulin' is none of microtubules, protein, nucleus, er"):
        Layout(channels={"tubulin": 1})


def test_another_set_of_channels_is_another_picture(pictures, tmp_path):
    extract(pictures, tmp_path)
    assert extract(pictures, tmp_path, layout=Layout(absent=("er",))).measured == 3
    assert extract(pictures, tmp_path).measured == 3


def test_cells_need_a_picture_of_nuclei(without, tmp_path):
    with pytest.raises(PipelineError, match=r"images: no picture of nucleus, around which cells are found"):
        extract(without("nucleus"), tmp_path / "work")


def test_no_sample_is_usable_without_a_protein(without):
    with pytest.raises(PipelineError, match=r"no usable sample.*_green\.png: no picture of protein; add"):
        find_samples(without("protein") / "images")


def test_several_proteins_are_a_sample_each(pictures, tmp_path):
    names = ("GFP", "RFP")
    layout = Layout(channels={"nucleus": "blue"}, proteins={"GFP": "green", "RFP": "red"})
    samples, problems = find_samples(pictures / "images", layout=layout)
    ids = sorted({one.id.rpartition("_")[0] for one in samples})
    assert [one.id for one in samples] == [f"{one}_{name}" for one in ids for name in names]
    assert [dict(one.metadata)["Metadata_Protein"] for one in samples[:2]] == ["GFP", "RFP"]
    assert {one.channels for one in samples} == {("protein", "nucleus")}
    planes = [read_picture(one).plane("protein") for one in samples[:2]]
    assert not np.array_equal(*planes)
    table = tmp_path / "samples.csv"
    table.write_text(f"Id,DNA,nucleus,second,GFP\nx,,{ids[0]}_blue.png,{ids[0]}_red.png,{ids[0]}_green.png\n")
    listed, _ = find_samples(pictures / "images", table, Layout(proteins={"GFP": "GFP", "RFP": "second"}))
    assert [one.id for one in listed] == ["x_GFP", "x_RFP"]
    for one, plane in zip(listed, planes, strict=True):
        np.testing.assert_array_equal(read_picture(one).plane("protein"), plane)
    assert not problems


@pytest.mark.parametrize("name", ["watershed", "cellpose"])
@pytest.mark.parametrize("absent", SETS)
def test_cells_are_found_without_markers(pictures, name, absent):
    sample = find_samples(pictures / "images")[0][0]
    left = [channel for channel in CHANNELS if channel not in absent]
    segmenter = make_segmenter(name)
    whole, part = read_picture(sample), read_picture(sample.with_channels(left))
    assert part.channels == tuple(left)
    assert segmenter.segment(part).count == segmenter.segment(whole).count

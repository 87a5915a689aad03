"""Pictures without a group go with their near-duplicates; groups that are given stay as they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data.groups import read_groups
from pipeline.data.tables import unsaid
from pipeline.stages.options import TrainOptions
from pipeline.stages.train import Train
from tests.pipeline.workfolder import make_workfolder

IDS = pd.Index(["a", "b", "c", "d"], name="Id")


def samples(work: Workspace, groups: list[str | None], hashes: list[str]) -> None:
    work.root.mkdir(exist_ok=True)
    pd.DataFrame({"Id": IDS, "group": pd.array(groups, dtype="string"), "hash": hashes}).to_parquet(
        work.samples
    )


def of_bits(seed: int) -> str:
    return np.random.default_rng(seed).bytes(64).hex()


COPIES = [of_bits(0), of_bits(1), of_bits(0), of_bits(2)]


def test_copies_are_one_group_where_none_is_given(tmp_path: Path) -> None:
    samples(Workspace(tmp_path), [None] * 4, COPIES)
    grouping = read_groups(Workspace(tmp_path), None, IDS, unsaid)
    assert grouping.groups.tolist() == ["picture a", "picture b", "picture a", "picture d"]
    assert (grouping.found.tolist(), grouping.copies) == ([], 2)


def test_a_copy_joins_the_group_of_its_original(tmp_path: Path) -> None:
    samples(Workspace(tmp_path), [None, "x", "y", None], COPIES)
    grouping = read_groups(Workspace(tmp_path), None, IDS, unsaid)
    assert grouping.groups.tolist() == ["y", "x", "y", "picture d"]
    assert (grouping.found.tolist(), grouping.copies) == (["b", "c"], 1)


def test_groups_that_are_given_are_not_joined(tmp_path: Path) -> None:
    samples(Workspace(tmp_path), ["x", "x", "y", "z"], COPIES)
    assert read_groups(Workspace(tmp_path), None, IDS, unsaid).groups.tolist() == ["x", "x", "y", "z"]


def test_samples_of_an_older_version_have_no_copies(tmp_path: Path) -> None:
    work = Workspace(tmp_path)
    pd.DataFrame({"Id": IDS, "group": ["x", "", None, None]}).to_parquet(work.samples)
    assert read_groups(work, None, IDS, unsaid).groups.tolist() == [
        "x",
        "picture b",
        "picture c",
        "picture d",
    ]


def test_pictures_that_a_table_of_groups_lacks_are_told(tmp_path: Path) -> None:
    table = tmp_path / "g.csv"
    table.write_text("Id,group\na,x \nb,x\nb, x\nc.png,x\nd,\n")
    said: list[str] = []
    grouping = read_groups(Workspace(tmp_path), table, IDS, said.append)
    assert grouping.groups.tolist() == ["x", "x", "picture c", "picture d"]
    assert grouping.found.tolist() == ["a", "b"]
    assert said == ["Warning: 2 of 4 pictures found in g.csv; it has 'c.png', where the picture is 'c'"]
    table.write_text("Id,group\na,x\nb,nan\nc,NA\nd,None\n")  # how programs write that there is none
    assert read_groups(Workspace(tmp_path), table, IDS, unsaid).found.tolist() == ["a"]
    table.write_text("Id,group\na.png,x\nb.png,y\n")
    with pytest.raises(PipelineError, match=r"none of its 2 ids is among the 4 pictures: it has 'a\.png'"):
        read_groups(Workspace(tmp_path), table, IDS, unsaid)
    table.write_text("Id,group\na,x\na,y\n")
    with pytest.raises(PipelineError, match="Id 'a' occurs twice with other values"):
        read_groups(Workspace(tmp_path), table, IDS, unsaid)


def test_training_keeps_copies_in_one_fold_and_says_so(tmp_path: Path) -> None:
    work = make_workfolder(tmp_path)
    table = pd.read_parquet(work.samples).drop(columns="group")
    table["hash"] = [of_bits(number // 2) for number in range(60)]
    table.to_parquet(work.samples)
    options = TrainOptions(
        work=work.root, labels=tmp_path / "labels.csv", trials=0, folds=3, jobs=1, boosters=("linear",)
    )
    summary = execute(Train(), options, SilentProgress())
    assert (summary.groups, summary.copies) == (30, 60)
    fold = pd.read_parquet(work.folds)["fold"].to_numpy()
    assert np.array_equal(fold[::2], fold[1::2])

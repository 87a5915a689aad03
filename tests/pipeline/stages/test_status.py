"""States of stages: done, stale and why, missing."""

from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.stage import Options, Record, SilentProgress, Stage, Summary, execute
from pipeline.core.workspace import Workspace
from pipeline.stages import status as module
from pipeline.stages.exchange_options import ExportOptions
from pipeline.stages.options import TrainOptions
from pipeline.stages.status import status


class NumberOptions(Options):
    work: Path
    number: int = 1


class Train(Stage[NumberOptions, Summary]):
    """A stage whose inputs a test can change."""

    name = "train"
    options = NumberOptions
    summary = Summary

    def __init__(self) -> None:
        self.read = {"labels.csv": "1"}

    def inputs(self, options):
        return dict(self.read) if options.number else {}

    def outputs(self, options):
        return (Workspace(options.work).model,)

    def run(self, options, progress):
        progress.note("training")
        Workspace(options.work).model.mkdir(parents=True)
        return Summary()


@pytest.fixture
def one_stage(monkeypatch):
    stage = Train()
    monkeypatch.setattr(module, "STAGES", (stage,))
    return stage


def run(stage, folder):
    execute(stage, NumberOptions(work=folder), SilentProgress())


def test_a_stage_is_missing_then_done_then_stale_with_its_reason(tmp_path, one_stage):
    assert [(s.stage, s.state) for s in status(tmp_path)] == [("train", "missing")]
    run(one_stage, tmp_path)
    assert status(tmp_path)[0].state == "done"
    one_stage.read = {"labels.csv": "2", "family spots": "1"}
    assert status(tmp_path)[0].state == "stale"
    assert status(tmp_path)[0].reasons == ["family spots is new", "labels.csv changed"]


def test_a_stage_whose_output_was_removed_is_stale(tmp_path, one_stage):
    run(one_stage, tmp_path)
    Workspace(tmp_path).model.rmdir()
    assert status(tmp_path)[0].reasons == ["model is gone"]


def test_a_folder_that_moved_is_looked_at_where_it_is(tmp_path, one_stage):
    run(one_stage, tmp_path / "before")
    (tmp_path / "before").rename(tmp_path / "after")
    assert status(tmp_path / "after")[0].state == "done"


def test_a_folder_that_does_not_exist_is_one_clear_error(tmp_path):
    with pytest.raises(PipelineError, match="no such folder"):
        status(tmp_path / "absent")


def test_what_comes_next_is_the_recorded_command_of_each_training_and_export(
    tmp_path, monkeypatch, command_line
):
    work = Workspace(tmp_path / "work")
    work.record("").parent.mkdir(parents=True)
    labels, out = work.root / "labels.csv", work.root / "cells.h5ad"
    recorded = {
        "train-m_dup": ("train", TrainOptions(work=work.root, labels=labels, name="m_dup")),
        "export-cells_h5ad": ("export", ExportOptions(work=work.root, out=out, format="anndata")),
        "export-old_h5ad": ("export", NumberOptions(work=work.root)),
    }
    for name, (stage, options) in recorded.items():
        record = Record(stage=stage, options=options.model_dump(mode="json"), inputs={})
        work.record(name).write_text(record.model_dump_json())
    monkeypatch.setattr(module, "EXPECTED", ())
    spaced = tmp_path / "my work"
    spaced.mkdir()
    assert (
        f"Next: python run.py explore --work '{spaced}'\n" in command_line("status", "--work", spaced).output
    )
    lines = command_line("status", "--work", work.root).output.splitlines()
    assert [line for line in lines if line.startswith("Next")] == [
        f"Next: python run.py train --labels {labels} --work {work.root} --name m_dup",
        f"Next: python run.py export anndata --work {work.root} --out {out}",
    ]

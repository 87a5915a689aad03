"""States of stages: done, stale and why, missing."""

import pytest
from pydantic import BaseModel

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.core.stage import changes, read_record, write_record
from pipeline.core.workspace import Workspace
from pipeline.stages import status as module
from pipeline.stages.status import Stage, status


class Options(BaseModel):
    number: int = 1


@pytest.fixture
def one_stage(monkeypatch):
    """Replace the stages by one whose input is a table the test can change."""
    inputs = {"labels.csv": "1"}

    def look(options: Options) -> dict[str, str]:
        return inputs if options.number else {}

    monkeypatch.setattr(module, "stages", lambda work: {"train": Stage(Options, look, (work.model,))})
    return inputs


def test_a_stage_is_missing_then_done_then_stale_with_its_reason(tmp_path, one_stage):
    work = Workspace(tmp_path)
    assert [(s.stage, s.state) for s in status(tmp_path)] == [("train", "missing")]
    work.model.mkdir()
    write_record(work.record("train"), "train", Options(), one_stage)
    assert status(tmp_path)[0].state == "done"
    one_stage["labels.csv"] = "2"
    one_stage["family spots"] = "1"
    assert status(tmp_path)[0].state == "stale"
    assert status(tmp_path)[0].reasons == ["family spots is new", "labels.csv changed"]


def test_a_stage_whose_output_was_removed_is_stale(tmp_path, one_stage):
    work = Workspace(tmp_path)
    write_record(work.record("train"), "train", Options(), one_stage)
    assert status(tmp_path)[0].reasons == ["model is gone"]


def test_a_folder_that_does_not_exist_is_one_clear_error(tmp_path):
    with pytest.raises(PipelineError, match="no such folder"):
        status(tmp_path / "absent")


def write_half(path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("power cut")


def test_an_interrupted_replacement_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="power cut"):
        write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_comes_back_and_names_what_changed(tmp_path):
    path = tmp_path / "record.json"
    assert read_record(path) is None
    write_record(path, "extract", Options(number=3), {"a": "1", "b": "2"})
    record = read_record(path)
    assert record.options == {"number": 3}
    assert changes(record, {"a": "1", "b": "2"}) == []
    assert changes(record, {"a": "0", "c": "1"}) == ["b is no longer an input", "c is new", "a changed"]

"""Stages run once, again when something changed, and say why."""

import math
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError, Problem, read_problems, write_problems
from pipeline.core.files import machine, read_signed, write_signed
from pipeline.core.stage import (
    Options,
    SilentProgress,
    Stage,
    Summary,
    changes,
    execute,
    file_inputs,
    read_made,
    read_record,
    stale,
)
from pipeline.core.workspace import Workspace


class CountOptions(Options):
    work: Path
    table: Path
    times: int = 1


class CountSummary(Summary):
    letters: int
    share: float = math.nan


class Count(Stage[CountOptions, CountSummary]):
    """Counts the letters of a file into another."""

    name = "count"
    options = CountOptions
    summary = CountSummary

    def inputs(self, options):
        return {"table": options.table.read_text(), "option times": str(options.times)}

    def outputs(self, options):
        return (options.work / "count.txt",)

    def run(self, options, progress):
        if options.times > 2:
            raise RuntimeError("power cut")
        progress.note("counting")
        letters = len(options.table.read_text()) * options.times
        options.work.mkdir(exist_ok=True)
        self.outputs(options)[0].write_text(str(letters))
        return CountSummary(letters=letters)


@pytest.fixture
def options(tmp_path):
    (tmp_path / "table").write_text("abc")
    return CountOptions(work=tmp_path / "work", table=tmp_path / "table")


def run(options):
    return execute(Count(), options, SilentProgress())


def test_a_second_run_does_nothing_and_says_the_same(options):
    assert run(options).fresh
    before = (options.work / "count.txt").stat().st_mtime_ns
    again = run(options)
    assert not again.fresh
    assert again.letters == 3
    assert math.isnan(again.share)
    assert (options.work / "count.txt").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["input", "option", "output"])
def test_whatever_changes_makes_it_run_again(options, change):
    run(options)
    if change == "input":
        options.table.write_text("abcd")
    elif change == "output":
        (options.work / "count.txt").unlink()
    else:
        options = options.model_copy(update={"times": 2})
    assert run(options).fresh
    assert not run(options).fresh


def test_a_run_that_was_cut_off_leaves_no_record(options):
    run(options)
    with pytest.raises(RuntimeError, match="power cut"):
        run(options.model_copy(update={"times": 3}))
    assert read_record(Workspace(options.work).record("count")) is None
    assert run(options).fresh


def test_a_copied_folder_is_up_to_date(options, tmp_path):
    run(options)
    options.work.rename(tmp_path / "moved")
    assert not run(options.model_copy(update={"work": tmp_path / "moved"})).fresh


def test_a_record_holds_the_options_and_names_what_changed(options):
    run(options)
    record = read_record(Workspace(options.work).record("count"))
    assert CountOptions.model_validate(record.options) == options
    assert changes(record, record.inputs) == []
    now = {"table": "abd", "other": "1"}
    assert changes(record, now) == ["option times is no longer an input", "other is new", "table changed"]


def test_a_record_of_another_version_is_stale(options):
    run(options)
    record = read_record(Workspace(options.work).record("count")).model_copy(update={"summary": None})
    assert stale(Count(), options, record, record.inputs) == ["was recorded by another version"]


@pytest.mark.parametrize("content", ["", "power cut", "{}"])
def test_a_record_that_cannot_be_read_counts_as_none(options, content):
    run(options)
    Workspace(options.work).record("count").write_text(content)
    assert run(options).fresh
    assert not run(options).fresh


@pytest.mark.parametrize("content", ["", "4", "33"])
def test_an_output_that_was_damaged_is_made_again_and_refused_as_an_input(options, content):
    run(options)
    path = options.work / "count.txt"
    path.write_text(content)
    with pytest.raises(PipelineError, match=r"count.txt: damaged, or changed since count made it; run count"):
        file_inputs({"letters": path})
    record = read_record(Workspace(options.work).record("count"))
    assert stale(Count(), options, record, record.inputs) == ["count.txt was damaged or changed"]
    assert run(options).fresh
    assert path.read_text() == "3"
    assert not run(options).fresh
    assert file_inputs({"letters": path})


def test_a_table_without_a_record_that_cannot_be_read_is_told_in_one_line(tmp_path):
    (tmp_path / "table.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(PipelineError, match=r"table.parquet: damaged; remove it"):
        read_made(tmp_path / "table.parquet")


@pytest.mark.parametrize(
    "content", [None, "", "stage,sample\ncount", "stage,sample,file,reason,remedy\ncount,x"]
)
def test_the_list_of_problems_is_restored(options, content, monkeypatch):
    work, problem = Workspace(options.work), Problem("a", "a.png", "cut short", "copy it again")

    def run_with_problems(*_):
        write_problems(work.problems, "count", [problem])
        write_problems(work.problems, "train", [problem])
        return CountSummary(letters=1)

    monkeypatch.setattr(Count, "run", run_with_problems)
    monkeypatch.setattr(Count, "outputs", lambda _stage, _options: ())
    run(options)
    work.problems.unlink() if content is None else work.problems.write_text(content)
    assert not run(options).fresh
    assert read_problems(work.problems) == [("count", problem)]


def test_one_process_at_a_time_runs_in_a_folder(options, monkeypatch):
    started, ended = threading.Event(), threading.Event()

    def slow(_stage, options, _progress):
        started.set()
        ended.wait(30)
        (options.work / "count.txt").write_text("3")
        return CountSummary(letters=3)

    monkeypatch.setattr(Count, "run", slow)
    other = threading.Thread(target=run, args=(options,))
    other.start()
    started.wait(30)
    with pytest.raises(
        PipelineError, match=r"count is running in .*work \(process \d+ on .+ since .+\); wait"
    ):
        run(options)
    ended.set()
    other.join()
    assert not run(options).fresh
    assert not (options.work / "records" / ".running.json").exists()


def test_a_stage_runs_another_in_its_own_folder(options):
    class Outer(Count):
        name = "outer"

        def run(self, options, progress):
            return execute(Count(), options, progress)

    assert execute(Outer(), options, SilentProgress()).letters == 3


def test_a_copied_lock_holds_nobody_up(options):
    folder = options.work / "records"
    folder.mkdir(parents=True)
    (folder / ".lock").touch()
    (folder / ".running.json").write_text('{"stage": "train", "process": 1, "host": "x", "since": "now"}')
    assert run(options).fresh


def test_signed_values_that_were_changed_count_as_none(tmp_path):
    path = tmp_path / "values.json"
    assert read_signed(path) == {}
    write_signed(path, {"diameter": 30.5, "weights": {"nuclei": "a"}})
    assert read_signed(path) == {"diameter": 30.5, "weights": {"nuclei": "a"}}
    path.write_text(path.read_text().replace("30.5", "20.5"))
    assert read_signed(path) == {}


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("database or disk is full")]
)
def test_a_full_disk_is_one_line_whichever_library_says_so(options, monkeypatch, error):
    def full(*_):
        raise error

    monkeypatch.setattr(Count, "run", full)
    with pytest.raises(PipelineError, match="work: no space left on the disk; make room and run again"):
        run(options)


def test_what_a_killed_run_left_is_gone_after_the_next_one(options):
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    options.work.mkdir()
    left = options.work / f".count.txt.{machine()}-{gone.pid}-0.tmp"
    left.touch()
    run(options)
    assert not left.exists()


def test_what_a_killed_run_left_beside_an_output_elsewhere_is_gone_too(options, tmp_path, monkeypatch):
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    monkeypatch.setattr(Count, "outputs", lambda _stage, options: (options.table.with_name("count.txt"),))
    names = [f".{name}.txt.{machine()}-{gone.pid}-0.tmp" for name in ("count", "other")]
    for name in names:
        (tmp_path / name).touch()
    run(options)
    assert [(tmp_path / name).exists() for name in names] == [False, True]

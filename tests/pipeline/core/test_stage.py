"""Stages run once, again when something changed, and say why."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.stage import Options, SilentProgress, Stage, Summary, changes, execute, read_record, stale
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


def test_what_a_killed_run_left_is_gone_after_the_next_one(options):
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    options.work.mkdir()
    left = options.work / f".count.txt.{gone.pid}.tmp"
    left.touch()
    run(options)
    assert not left.exists()

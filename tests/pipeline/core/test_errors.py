"""The list of skipped samples."""

import csv
import io

import pytest

from pipeline.core.errors import Problem, read_problems, write_problems

CUT = Problem("b", "b_red.png", "truncated", "copy the file again")
ODD = Problem("a, or b", 'say "c".png', "unreadable", "rename it")
UNKNOWN = Problem("z", "labels.csv", "no features", "extract its picture")


def test_each_stage_replaces_its_own_problems_only(tmp_path):
    path = tmp_path / "problems.csv"
    assert read_problems(path) == []
    write_problems(path, "train", [UNKNOWN])
    write_problems(path, "extract", [CUT, ODD, CUT])
    assert read_problems(path) == [("extract", ODD), ("extract", CUT), ("train", UNKNOWN)]
    write_problems(path, "extract", [])
    assert read_problems(path) == [("train", UNKNOWN)]
    assert path.read_text().splitlines()[0] == "stage,sample,file,reason,remedy"


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@a", "\tx", "'=x", "'a'", "''@"])
def test_what_a_spreadsheet_would_run_is_written_behind_an_apostrophe(tmp_path, text):
    problem = Problem(text, "f", "r", "m")
    write_problems(tmp_path / "p.csv", "train", [problem])
    written = list(csv.reader(io.StringIO((tmp_path / "p.csv").read_bytes().decode())))[1][1]
    assert written[0] not in "=+-@\t"
    assert read_problems(tmp_path / "p.csv") == [("train", problem)]

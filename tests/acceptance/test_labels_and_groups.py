"""Labels and groups: read as they were meant, or one line that says what does not match."""

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from pipeline.data.locations import LOCATIONS
from tests.acceptance.conftest import Simulated, out_of_fold, refusal, targets
from tests.acceptance.fields import read_table, write_table
from tests.conftest import CommandLine


@pytest.mark.parametrize("ending", [".png", ".tif", "_green.png", "_green"])
def test_groups_of_no_picture_are_refused(train, work, tmp_path, groups, ending):
    table = write_table(tmp_path / "g.csv", ["Id", "group"], [[i + ending, g] for i, g in groups.items()])
    said = refusal(train("--groups", table))
    assert "g.csv" in said
    assert any(repr(i + ending) in said for i in groups)
    assert any(repr(i) in said for i in groups)
    assert not (work / "model").exists()


def test_pictures_without_a_group_are_told_and_no_score_is_called_grouped(
    train, command_line, work, tmp_path, groups
):
    rows = [[i if k < 10 else f"{i}.png", group] for k, (i, group) in enumerate(groups.items())]
    ended = train("--groups", write_table(tmp_path / "g.csv", ["Id", "group"], rows))
    assert ended.status == 0
    assert "10 of 48" in ended.output + ended.errors
    listed = {row["sample"] for row in read_table(work / "problems.csv") if "group" in row["reason"]}
    assert listed == set(list(groups)[10:])
    scored = command_line("evaluate", "--work", work, "--draws", 100)
    assert scored.status == 0
    assert not re.search(r"^\(B\).*\d\.\d{3}", scored.output, flags=re.MULTILINE)
    assert "Protocol: 3-fold cross-validation of 48 pictures, (B)" not in scored.output


def test_groups_of_all_pictures_are_called_so(train, command_line, simulated, work):
    assert "27 groups" in train("--groups", simulated.groups).output
    assert re.search(
        r"^\(B\) 27 groups .*0\.\d{3}", command_line("evaluate", "--work", work).output, flags=re.MULTILINE
    )


@pytest.mark.parametrize("space", [" ", "\t", "\N{NO-BREAK SPACE}"])
def test_spaces_around_groups_and_ids_change_nothing(train, simulated, work, tmp_path, groups, space):
    train("--groups", simulated.groups)
    expected = out_of_fold(work)
    shutil.rmtree(work)
    shutil.copytree(simulated.work, work)
    rows = [[i + space * (k % 2), g + space * (k // 2 % 2)] for k, (i, g) in enumerate(groups.items())]
    assert "27 groups" in train("--groups", write_table(tmp_path / "g.csv", ["Id", "group"], rows)).output
    pd.testing.assert_frame_equal(out_of_fold(work), expected, check_exact=True)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_groups_of_a_spreadsheet_are_read(train, tmp_path, groups, encoding):
    table = write_table(tmp_path / "g.csv", ["ID", "Group"], groups.items(), ";")
    table.write_bytes(table.read_bytes().decode().replace("\n", "\r\n").encode(encoding))
    assert "27 groups" in train("--groups", table).output


def test_two_groups_of_one_picture_are_told(train, tmp_path, groups, ids):
    rows = [*groups.items(), (ids[5], "another")]
    ended = train("--groups", write_table(tmp_path / "g.csv", ["Id", "group"], rows))
    assert ids[5] in ended.errors + ended.output


def spelt(simulated: Simulated, spell: Callable[[Sequence[int]], str]) -> list[list[str]]:
    return [[name, spell(known)] for name, known in targets(simulated).items()]


@pytest.fixture
def score(command_line: CommandLine, simulated: Simulated) -> Callable[[Path], str]:
    """Score one annotator's answers, the truth but for the first picture, against labels."""

    def call(labels: Path) -> str:
        answers = spelt(simulated, lambda known: " ".join(map(str, known)))
        answers[0][1] = "7"
        table = write_table(labels.parent / "answers.csv", ["Id", "Guess"], answers)
        ended = command_line("baseline", "--labels", labels, "--answers", table, "--draws", 100)
        assert (ended.status, ended.errors) == (0, "")
        return ended.output.replace(str(labels), "LABELS")

    return call


SPELLINGS: dict[str, Callable[[Sequence[int]], str]] = {
    "bars": lambda known: "|".join(map(str, known)),
    "commas": lambda known: ", ".join(map(str, known)),
    "semicolons": lambda known: ";".join(map(str, known)),
    "floats": lambda known: " ".join(f"{k}.0" for k in known),
    "names": lambda known: "|".join(LOCATIONS[k] for k in known),
    "many spaces": lambda known: "  ".join(["", *map(str, known), "\N{NO-BREAK SPACE}"]),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_labels_in_another_spelling_are_the_same(score, simulated, tmp_path, spelling):
    table = write_table(tmp_path / "l.csv", ["Id", "Target"], spelt(simulated, SPELLINGS[spelling]))
    assert score(table) == score(simulated.labels)


@pytest.mark.parametrize(
    "form", ["twice", "comma", "index", "bom", "utf-16", "semicolons", "tabs", "reversed", "capitals"]
)
def test_labels_in_another_table_are_the_same(score, simulated, tmp_path, form):
    rows = spelt(simulated, lambda known: " ".join(map(str, known)))
    header, separator = ["Id", "Target"], {"semicolons": ";", "tabs": "\t"}.get(form, ",")
    if form == "twice":
        rows = [*rows, *rows[:6]]
    elif form == "comma":
        rows = [[*row, ""] for row in rows]
    elif form == "index":
        header, rows = ["", *header], [[str(k), *row] for k, row in enumerate(rows)]
    elif form == "reversed":
        rows = rows[::-1]
    elif form == "capitals":
        header = ["ID ", " TARGET"]
    table = write_table(tmp_path / "l.csv", header, rows, separator)
    encoding = {"bom": "utf-8-sig", "utf-16": "utf-16"}.get(form, "utf-8")
    table.write_bytes(table.read_bytes().decode().encode(encoding))
    assert score(table) == score(simulated.labels)


@pytest.mark.parametrize("spelling", ["bars", "floats"])
def test_a_model_does_not_depend_on_how_labels_are_spelt(train, simulated, work, tmp_path, spelling):
    train()
    expected = out_of_fold(work)
    shutil.rmtree(work)
    shutil.copytree(simulated.work, work)
    table = write_table(tmp_path / "l.csv", ["Id", "Target"], spelt(simulated, SPELLINGS[spelling]))
    assert train(labels=table).status == 0
    pd.testing.assert_frame_equal(out_of_fold(work), expected, check_exact=True)


def test_labels_that_fail_wherever_there_are_several_are_refused(train, simulated, tmp_path):
    several = sum(len(known) > 1 for known in targets(simulated).values())
    rows = spelt(simulated, lambda known: "/".join(map(str, known)))
    said = refusal(train(labels=write_table(tmp_path / "l.csv", ["Id", "Target"], rows)))
    assert "l.csv" in said
    assert f"{several} of 48" in said


def test_classes_of_the_competition_of_2021_are_not_taken_for_these(train, simulated, tmp_path):
    rows = spelt(simulated, lambda known: "|".join(str(k % 19) for k in known))
    said = refusal(train(labels=write_table(tmp_path / "l.csv", ["ID", "Label"], rows)))
    assert "l.csv" in said
    assert "2021" in said


@pytest.mark.parametrize("ending", [".png", "_green.png"])
def test_labels_of_other_pictures_quote_both_sides(train, simulated, tmp_path, ids, ending):
    rows = [[name + ending, target] for name, target in spelt(simulated, SPELLINGS["bars"])]
    said = refusal(train(labels=write_table(tmp_path / "l.csv", ["Id", "Target"], rows)))
    assert "l.csv" in said
    assert any(repr(name + ending) in said for name in ids)
    assert any(repr(name) in said for name in ids)


@pytest.mark.parametrize("ending", [".png", "_green.png"])
def test_annotations_of_other_pictures_quote_both_sides(command_line, simulated, tmp_path, ids, ending):
    rows = [[name + ending, target] for name, target in spelt(simulated, SPELLINGS["bars"])]
    table = write_table(tmp_path / "answers.csv", ["Id", "Guess"], rows)
    said = refusal(command_line("baseline", "--labels", simulated.labels, "--answers", table))
    assert "answers.csv" in said
    assert any(repr(name + ending) in said for name in ids)
    assert any(repr(name) in said for name in ids)


def test_genes_of_other_pictures_quote_both_sides(train, tmp_path, ids):
    columns = ["Gene", "Gene name", "Enhanced", "Supported", "Approved", "Uncertain"]
    tsv = write_table(tmp_path / "s.tsv", columns, [["ENSG1", "A", "", "Cytosol", "", ""]], "\t")
    genes = write_table(tmp_path / "genes.csv", ["Id", "Gene"], [[f"{name}.png", "ENSG1"] for name in ids])
    said = refusal(train("--select-reliability", tsv, "--genes", genes))
    assert "genes.csv" in said
    assert any(repr(f"{name}.png") in said for name in ids)
    assert any(repr(name) in said for name in ids)

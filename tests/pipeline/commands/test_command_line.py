"""A field of a model is all that an option needs."""

import json
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
import pandas as pd
import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from models.hyperparameters import KINDS
from models.stacking import MINIMUM_FOLDS
from models.thresholds import RULES
from models.tuning import Metric
from pipeline.commands import console
from pipeline.commands.command_line import Command, command, options_of
from pipeline.commands.console import RichProgress, address, made, printing, say, show_table
from pipeline.core.errors import PipelineError
from pipeline.core.stage import Options, Shown, SilentProgress, Stage, Summary, execute, read_record
from pipeline.core.workspace import Workspace
from pipeline.stages.options import FoldOptions, PredictOptions, TrainOptions, parse_weights
from run import app as whole


class PaintOptions(Options):
    out: Annotated[Path, Shown(argument="OUT")] = Field(description="Where <Id>.png goes.")
    work: Path = Field(description="Folder.")
    colour: Literal["red", "green"] = Field("red", description="A new field.")
    coats: int = Field(1, ge=1, le=3, description="How often.")
    tints: tuple[Literal["light", "dark"], ...] = Field(("light",), description="Several.")
    origin: Annotated[str | None, Shown(flag="--from", panel="Rarely")] = Field(None, description="Before.")
    dry: Annotated[bool, Shown(flag="--dry/--no-dry")] = Field(False, description="Dry it.")


class Paint(Stage[PaintOptions, Summary]):
    name = "paint"
    options = PaintOptions
    summary = Summary

    def inputs(self, options):
        return {"colour": options.colour}

    def outputs(self, options):
        return (options.out,)

    def run(self, options, progress):
        progress.note("painting")
        options.out.touch()
        return Summary()


@pytest.fixture
def painted():
    """Call the command that the model makes; give its result and what it was asked."""
    asked: list[PaintOptions] = []

    @command(PaintOptions)
    def paint(options: PaintOptions) -> None:
        """Paint `<Id>`, and <Id>."""
        asked.append(options)
        execute(Paint(), options, SilentProgress())

    app = typer.Typer(rich_markup_mode="markdown")
    app.command("paint", cls=Command)(paint)

    def call(*words: object):
        return CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "120"}), asked

    return call


def test_a_field_is_an_option_in_the_help_the_call_and_the_record(painted, tmp_path):
    result, asked = painted(tmp_path / "o", "--work", tmp_path, "--colour", "green", "--from", "x", "--dry")
    assert result.exit_code == 0
    assert asked == [PaintOptions(out=tmp_path / "o", work=tmp_path, colour="green", origin="x", dry=True)]
    record = read_record(Workspace(tmp_path).record("paint"))
    assert record is not None
    assert (record.options["colour"], record.options["tints"]) == ("green", ["light"])


def test_a_switch_can_be_taken_back(painted, tmp_path):
    result, asked = painted(tmp_path / "o", "--work", tmp_path, "--dry", "--no-dry")
    assert result.exit_code == 0
    assert not asked[0].dry


def test_the_help_shows_choices_ranges_defaults_and_headings(painted):
    text = " ".join(painted("--help")[0].output.split())
    assert "[OPTIONS] OUT" in text
    for part in ("red|green", "A new field.", "1<=x<=3", "light|dark", "Rarely", "--from", "default: red"):
        assert part in text
    assert text.count("<Id>") == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"colour": "gren"}, "unknown --colour 'gren'; known: red, green; did you mean green?"),
        ({"tints": ["dusky"]}, "unknown --tints 'dusky'; known: light, dark"),
        ({"coats": 4}, "--coats 4: give at most 3"),
        ({"coats": 0}, "--coats 0: give at least 1"),
    ],
)
def test_a_wrong_value_is_quoted_with_what_is_allowed(given, message):
    with pytest.raises(PipelineError) as raised:
        options_of(PaintOptions, {"out": "o", "work": "w"} | given)
    assert str(raised.value) == message


def test_choices_are_those_that_the_models_know():
    fields = TrainOptions.model_fields
    assert get_args(get_args(fields["boosters"].annotation)[0]) == KINDS
    assert set(get_args(fields["rule"].annotation)) == {*RULES, "nested"}
    assert get_args(fields["tune_by"].annotation) == get_args(Metric)
    assert FoldOptions(labels=Path(), work=Path(), folds=MINIMUM_FOLDS).folds == MINIMUM_FOLDS
    with pytest.raises(PipelineError, match="--folds 2"):
        options_of(FoldOptions, {"labels": "l", "work": "w", "folds": MINIMUM_FOLDS - 1})


def test_weights_are_given_by_name_and_file() -> None:
    given = {"images": "i", "model": "m", "output": "o.csv", "weights": ["net=a=b.pth"]}
    assert options_of(PredictOptions, given).weights == {"net": Path("a=b.pth")}
    with pytest.raises(PipelineError, match="--weights net: give NAME=FILE"):
        parse_weights(["net"])


COMMANDS = sorted(str(one.name) for one in whole.registered_commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_print_json_or_nothing(name):
    shown = typer.main.get_command(whole).commands[name]  # type: ignore[attr-defined]
    assert {"--json", "--quiet"} <= {flag for parameter in shown.params for flag in parameter.opts}


def test_json_is_one_object_of_the_result_and_of_what_was_said(command_line):
    column = "cell__morphology__area__mean"
    plain = command_line("features", "--column", column)
    content = json.loads(command_line("features", "--column", column, "--json").output)
    assert content["command"] == "features"
    assert content["result"]["column"] == column
    assert content["said"] == [plain.output.strip()]


def test_quiet_prints_errors_alone(command_line):
    ended = command_line("features", "--column", "cell__morphology__area__mean", "--quiet")
    assert (ended.status, ended.output, ended.errors) == (0, "", "")
    refused = command_line("features", "--column", "nonsense", "--quiet")
    assert refused.status == 2
    assert refused.errors.startswith("error: ")
    assert command_line("features", "--column", "nonsense", "--json").output == ""
    assert command_line("features", "--column", "cell__morphology__area__mean").output, "quiet is over then"


def test_a_lasting_command_prints_an_object_for_every_line_at_once(capsys):
    with printing("watch", as_json=True, quiet=False, lasting=True):
        say("first")
        assert json.loads(capsys.readouterr().out) == {"said": "first"}


def test_tables_and_numbers_that_json_does_not_know_are_told(capsys):
    table = pd.DataFrame({"f1": [0.5, np.nan]}, index=["a", "b"])
    with printing("compare", as_json=True, quiet=False, lasting=False):
        made({"table": table, "path": Path("x"), "number": np.int64(3)})
    assert json.loads(capsys.readouterr().out)["result"] == {
        "table": {"a": {"f1": 0.5}, "b": {"f1": None}},
        "path": "x",
        "number": 3,
    }


def test_no_table_is_wrapped_where_there_is_no_terminal(capsys):
    path = "/a/long/" + "path" * 60
    show_table(("what", "where"), [("model", path)], words=2)
    assert path in capsys.readouterr().out


def test_long_work_tells_how_far_it_is_in_whole_lines(capsys, monkeypatch):
    monkeypatch.setattr(console, "LOGGED", 0.0)
    with RichProgress().track("Counting", 4) as advance:
        advance(1)
        advance(3)
    lines = ["Counting: 4", "Counting: 1 of 4 (25%)", "Counting: 4 of 4 (100%)"]
    assert capsys.readouterr().err.splitlines() == lines


def test_an_address_has_numbers_of_ipv6_in_brackets() -> None:
    assert [address(host, 80) for host in ("127.0.0.1", "::1")] == ["http://127.0.0.1:80", "http://[::1]:80"]

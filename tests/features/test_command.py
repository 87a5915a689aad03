"""The command `features` says what is measured."""

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pipeline.commands.features import features
from pipeline.core.errors import PipelineError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"

app = typer.Typer()
app.command()(features)


def said(*arguments: str) -> str:
    """Run the command and return what it prints, its lines joined."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0
    return " ".join(result.output.split())


def test_without_options_the_families_are_listed():
    assert "intensity" in said()
    assert "haralick" in said()


def test_a_family_is_listed_by_output_with_unit_and_words():
    text = said("--family", "morphology", "--markdown")
    assert "| area | µm² (px² where the pixel size is unknown) | area | cell, nucleus, cytoplasm |" in text


def test_a_column_is_explained_in_words():
    text = said("--column", "nucleus__lbp__r2_mixed__er__median")
    assert text.startswith(
        "share of pixels in the nucleus whose local binary pattern of the ER at radius 2 px is not uniform, "
        "median over cells"
    )


def test_the_documented_table_is_what_the_command_prints():
    found = re.search(r"<!-- features:begin -->(.*)<!-- features:end -->", PAGE.read_text(), re.DOTALL)
    assert found is not None
    assert " ".join(found.group(1).split()) == said("--markdown")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--family", "nonsense"], "unknown feature family 'nonsense'; known: adjacency, colocalization"),
        (["--column", "nonsense"], "column 'nonsense' does not read region__family"),
    ],
)
def test_unknown_names_are_told_in_one_line(arguments, message):
    with pytest.raises(PipelineError, match=message):
        said(*arguments)

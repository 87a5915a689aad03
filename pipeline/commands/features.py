"""The command `features`: what is measured, in words."""

from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from pipeline.commands.console import console
from pipeline.core.errors import PipelineError

Row = tuple[str, ...]


def features(
    family: Annotated[str | None, typer.Option(help="Only this family, one line per output.")] = None,
    column: Annotated[str | None, typer.Option(help="Explain this one column in words.")] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a Markdown table, as in the README.")
    ] = False,
) -> None:
    """List the features that `extract` measures, or explain one column.

    Every column reads `region__family__output[__channel[__channel]][__statistic]`.

    Example: `python run.py features --family radial`

    Example: `python run.py features --column nucleus__haralick__contrast_d2__protein__p90`
    """
    import features as library

    try:
        if column is not None:
            console.print(library.describe(column), markup=False)
            return
        header, rows = _outputs(family) if family else _families()
    except ValueError as error:
        raise PipelineError(str(error)) from error
    if markdown:
        for row in (header, ("---",) * len(header), *rows):
            console.print(f"| {' | '.join(row)} |", markup=False, soft_wrap=True)
        return
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for number, name in enumerate(header):
        table.add_column(name, no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _families() -> tuple[Row, list[Row]]:
    """Summarise the families: what, where, and how many numbers."""
    import features as library

    header = ("family", "numbers per cell", "what it is", "regions")
    table = library.summary()[["family", "per_cell", "description", "regions"]]
    return header, [tuple(str(value) for value in row) for row in table.itertuples(index=False)]


def _outputs(family: str) -> tuple[Row, list[Row]]:
    """List one family's outputs with unit and words, and its sources."""
    import features as library

    table = library.catalogue([family])
    rows: list[Row] = []
    for (output, unit, words), regions in table.groupby(["output", "unit", "description"], sort=False)[
        "region"
    ]:
        rows.append((str(output), str(unit), str(words), ", ".join(regions)))
    rows += [("source", "", str(source), "") for source in table["source"].unique()]
    return ("output", "unit", "what it is", "regions"), rows

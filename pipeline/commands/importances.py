"""The command `importances`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import Work

if TYPE_CHECKING:
    import pandas as pd


class By(StrEnum):
    """What shares are summed over."""

    feature = "feature"
    family = "family"
    block = "block"
    region = "region"
    channel = "channel"
    statistic = "statistic"


def importances(
    work: Work,
    location: Annotated[
        str | None, typer.Argument(help="A location by name or class index; all of them unless given.")
    ] = None,
    by: Annotated[
        By | None,
        typer.Option(
            help="What to sum over; feature for one location, family for all. block: handcrafted features "
            "against each network."
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 15,
    plot: Annotated[Path | None, typer.Option(help="Also draw them into this PNG file.")] = None,
    embeddings: Annotated[
        list[Path] | None, typer.Option(help="Table of embeddings the model was trained with; repeatable.")
    ] = None,
    outputs: Annotated[
        list[Path] | None,
        typer.Option(help="Another network's answers the model was trained with; repeatable."),
    ] = None,
) -> None:
    """Tell what the stack looks at: the mean absolute share of each feature in a location's log-odds.

    A prediction's log-odds split exactly into contributions of the features (TreeSHAP of every booster
    times its weight); shares are averaged over training pictures and sum to 100 % per location.

    Example: python run.py importances Nucleoplasm --work demo/work --plot nucleoplasm.png
    """
    from pipeline.commands.console import RichProgress, console
    from pipeline.stages.importances import ImportancesOptions, grouped, of_location
    from pipeline.stages.importances import importances as run

    options = ImportancesOptions(work=work, embeddings=tuple(embeddings or ()), outputs=tuple(outputs or ()))
    shares = run(options, RichProgress())
    if location is None:
        table = grouped(shares, (by or By.family).value).head(top)
        _print_table(table)
    else:
        wanted = by or By.feature
        values = of_location(shares, location, wanted.value, top)
        _print_location(values, explained=wanted is By.feature)
    if plot is not None:
        from pipeline.stages.plots import plot_shares

        plot_shares(table if location is None else values, plot)
        console.print(f"Drawn: {plot}", soft_wrap=True)


def _print_table(table: "pd.DataFrame") -> None:
    from rich.table import Table

    from pipeline.commands.console import console

    shown = Table(box=None, padding=(0, 1, 0, 0))
    shown.add_column("location", no_wrap=True)
    for name in table.index:
        shown.add_column(str(name).replace("_", " "), justify="right", overflow="fold")
    for location, row in table.T.iterrows():
        shown.add_row(str(location), *(f"{value:.0%}" for value in row))
    console.print(shown)


def _print_location(values: "pd.Series[float]", *, explained: bool) -> None:
    from rich.table import Table

    from pipeline.commands.console import console

    shown = Table("share", str(values.index.name), box=None)
    for name, value in values.items():
        shown.add_row(f"{value:.1%}", _words(str(name)) if explained else str(name))
    console.print(f"{values.name}: mean absolute share of the log-odds", markup=False)
    console.print(shown)


def _words(column: str) -> str:
    from pipeline.stages.importances import in_words

    return f"{column}\n[dim]{in_words(column)}[/dim]"

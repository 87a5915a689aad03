"""The command `importances`."""

from typing import TYPE_CHECKING

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, console, say, show_table, written
from pipeline.core.workspace import Workspace
from pipeline.stages.explain_options import ImportancesOptions

if TYPE_CHECKING:
    import pandas as pd

MOST = 6
"""Columns that a table of all locations has side by side: what is readable at 80 characters."""


@command(ImportancesOptions)
def importances(options: ImportancesOptions) -> None:
    """Show what decides a location: the mean absolute share of each feature in its log-odds.

    A prediction's log-odds split exactly into contributions of the features (TreeSHAP of every base learner
    times its weight); shares are averaged over training pictures and sum to 100 % per location.

    Example: python run.py importances Nucleoplasm --work demo/work --plot nucleoplasm.png
    """
    from pipeline.core.stage import execute
    from pipeline.data.locations import of_card
    from pipeline.stages.importances import Importances, grouped, of_location, plot_shares, read_shares
    from pipeline.stages.trained_models import read_card

    work = Workspace(options.work, options.name)
    if options.location is not None and work.model.is_dir():
        of_card(read_card(work.model)).find(options.location)  # before work that may take minutes
    execute(Importances(), options, RichProgress())
    shares = read_shares(work)
    if options.location is None:
        table = grouped(shares, options.by or "family").head(options.top)
        shown: pd.DataFrame | pd.Series[float] = table
        _print_table(table)
    else:
        by = options.by or "feature"
        card = read_card(work.model)
        shown = values = of_location(
            shares, options.location, by, options.top, card["left_out"], of_card(card)
        )
        _print_location(values, explained=by == "feature")
    if options.plot is not None:
        plot_shares(shown, options.plot)
        written(options.plot)


def _print_table(table: "pd.DataFrame") -> None:
    """Print locations by names, as many names side by side as can be read."""
    side_by_side = max(1, MOST * console.width // 80)
    for start in range(0, len(table), side_by_side):
        part = table.iloc[start : start + side_by_side]
        titles = [str(name).replace("_", "\n") for name in part.index]
        rows = [(str(name), *(f"{value:.0%}" for value in row)) for name, row in part.T.iterrows()]
        show_table(("location", *titles), rows)
        say()


def _print_location(values: "pd.Series[float]", *, explained: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from pipeline.stages.column_meanings import in_words

    shown = Table("share", str(values.index.name), box=None)
    for name, value in values.items():
        words = f"{name}\n[dim]{escape(in_words(str(name)))}[/dim]" if explained else str(name)
        shown.add_row(f"{value:.1%}", words)
    say(f"What decides {values.name}: mean absolute share of its log-odds")
    console.print(shown)

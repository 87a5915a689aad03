"""The commands that say why: `importances` of all pictures, `explain` of one."""

from typing import TYPE_CHECKING

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, console, made, print_table, say, show_table, written
from pipeline.core.stage import AnyOptions
from pipeline.core.workspace import Workspace
from pipeline.stages.explain_options import ExplainOptions, ImportancesOptions

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.stages.importances import Cause

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
    from pipeline.stages import figures
    from pipeline.stages.importances import Importances, grouped, read_shares
    from pipeline.stages.trained_models import read_card

    options = _with_tables(options)
    work = Workspace(options.work, options.name)
    if options.location is not None and work.model.is_dir():
        of_card(read_card(work.model)).find(options.location)  # before work that may take minutes
    execute(Importances(), options, RichProgress())
    by = options.by or ("column" if options.detail else "")
    if options.location is None:
        table = grouped(read_shares(work), by or "family").head(options.top)
        made({"by": by or "family", "shares": table.T})
        _print_table(table)
        figure = figures.heat_map(table) if options.plot else None
    else:
        by = by or "meaning"
        location, shown = _causes(options, work, by)
        causes = [{**one.model_dump(), "says": one.says} for one in shown]
        made({"location": location, "by": by, "causes": causes})
        _print_location(location, shown, by)
        figure = figures.bars(shown, location, named=by != "feature") if options.plot else None
    if options.plot is not None and figure is not None:
        figures.save(figure, options.plot)
        written(options.plot)


def _with_tables(options: AnyOptions) -> AnyOptions:
    """Return the options with the tables that the model was trained with, where none are given."""
    from pipeline.stages.status import trained_tables

    if options.embeddings or options.outputs:  # type: ignore[attr-defined]
        return options
    return options.model_copy(update=trained_tables(Workspace(options.work, options.name)))  # type: ignore[attr-defined]


def _causes(options: ImportancesOptions, work: Workspace, by: str) -> "tuple[str, list[Cause]]":
    """Return the location that is asked for, and what decides it."""
    from pipeline.data.locations import of_card
    from pipeline.stages.importances import causes, of_location, read_directions, read_shares
    from pipeline.stages.trained_models import read_card

    card, shares = read_card(work.model), read_shares(work)
    values = of_location(shares, str(options.location), by, options.top, card["left_out"], of_card(card))
    return str(values.name), causes(shares, read_directions(work), values, by)


def _print_table(table: "pd.DataFrame") -> None:
    """Print locations by names, as many names side by side as can be read."""
    side_by_side = max(1, MOST * console.width // 80)
    for start in range(0, len(table), side_by_side):
        part = table.iloc[start : start + side_by_side]
        titles = [str(name).replace("_", "\n") for name in part.index]
        rows = [(str(name), *(f"{value:.0%}" for value in row)) for name, row in part.T.iterrows()]
        show_table(("location", *titles), rows)
        say()


def _print_location(location: str, shown: "list[Cause]", by: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("share", by, box=None)
    for cause in shown:
        words = cause.words if by in {"feature", "column"} or not cause.column else f"mostly {cause.words}"
        told = f": {cause.says}" if cause.says else ""
        table.add_row(f"{cause.share:.1%}", f"{escape(cause.name)}\n[dim]{escape(words + told)}[/dim]")
    say(f"What decides {location}: mean absolute share of its log-odds")
    print_table(table)


@command(ExplainOptions)
def explain(options: ExplainOptions) -> None:
    """Explain the answer for one picture: what speaks for a location, and what against it.

    The log-odds of a location are the exact sum of contributions of all features (TreeSHAP of every base
    learner times its weight); they are added up by what they mean: what, of which
    channel, where, in which cells. Training pictures that are
    most alike in the features that decide are named with their locations. With --plot it becomes a picture.

    Example: python run.py explain --work demo/work --id protein_00003_1 --location Nucleoli
    --images demo/data/images --plot why.png
    """
    from pipeline.stages.explain import explain as run
    from pipeline.stages.explain import shown

    found = run(options if options.model else _with_tables(options))
    made(found)
    if found.doubt:
        say(f"{found.id}: predict gives no answer: {found.doubt}; had it one, this would be its reason:")
    verb = "reaches" if found.probability >= found.threshold else "is below"
    say(
        f"{found.id}, {found.location}: probability {found.probability:.3f}, which {verb} the threshold of "
        f"{found.threshold:.3f}; log-odds {found.log_odds:+.2f}, the sum of:"
    )
    words = {part.title: f"most by: {part.words}" for part in found.parts}
    rows = [(f"{value:+.2f}", name, words.get(name, "")) for name, value in shown(found, options.top)]
    show_table(("log-odds", "what", ""), rows, words=3)
    if found.nearest:
        say("Training pictures that are most alike in what decides (cosine):")
        for one in found.nearest:
            say(f"  {one.id} ({one.similarity:.2f}): {', '.join(one.locations) or 'no trained location'}")
    if found.cells:
        say("Cells that count most in what the network of single cells says:")
    for cell in found.cells:
        where = "" if cell.x is None else f", at x {cell.x:.0f}, y {cell.y:.0f}"
        say(f"  cell {cell.label}: {cell.share:.0%}{where}")
    for path in (options.output, options.plot):
        if path is not None:
            written(path)

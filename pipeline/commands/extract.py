"""The command `extract`."""

import typer

from pipeline.commands.console import RichProgress, following, say, some
from pipeline.commands.options import command
from pipeline.core.names import counted
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.stages.options import ExtractOptions


@command(ExtractOptions)
def extract(options: ExtractOptions) -> None:
    """Find cells and nuclei in every picture and measure them.

    Writes `masks/<Id>.tif` (page 1 cells, page 2 nuclei), cells.parquet, features.parquet, and problems.csv
    with every sample that was skipped and what would mend it. Killed and run again, it goes on where
    it was; run again without changes, it does nothing.

    Example: python run.py extract --images demo/data/images --work demo/work
    """
    say(f"Looking at the pictures in {options.images}")  # at once: loading what measures takes seconds
    from pipeline.stages.extract import Extract

    work = Workspace(options.work)
    summary = execute(Extract(), options, RichProgress())
    done = f"{summary.measured:,} measured now" if summary.fresh else "up to date"
    pictures, cells = counted(summary.pictures, "picture"), counted(summary.cells, "cell")
    say(f"{pictures}, {cells} ({done}): {work.features}")
    if summary.problems:
        say(f"{len(summary.problems):,} skipped, with reason and remedy: {work.problems}")
        some([f"{one.sample}: {one.file}: {one.reason}; {one.remedy}" for one in summary.problems])
    following(f"train --labels LABELS --work {options.work}")
    if summary.problems and options.strict:
        raise typer.Exit(1)

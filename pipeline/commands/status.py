"""The command `status`."""

from pipeline.commands.console import console
from pipeline.commands.options import command
from pipeline.stages.options import StatusOptions

COLOURS = {"done": "green", "stale": "yellow", "missing": "red"}


@command(StatusOptions)
def status(options: StatusOptions) -> None:
    """Say of each stage whether it is done, stale (and why) or missing.

    A stage is stale when something it was made from has changed since: pictures, labels, options, or
    the version of a feature family. Run it again: only what changed is computed.

    Example: python run.py status --work demo/work
    """
    from rich.table import Table

    from pipeline.stages.status import status as look

    table = Table("stage", "state", "why", box=None)
    for stage in look(options.work):
        state = f"[{COLOURS[stage.state]}]{stage.state}[/]"
        table.add_row(stage.stage, state, "\n".join(stage.reasons))
    console.print(table)

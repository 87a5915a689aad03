"""The command `status`."""

from pipeline.commands.options import Work


def status(work: Work) -> None:
    """Say of each stage whether it is done, stale (and why) or missing.

    A stage is stale when something it was made from has changed since: pictures, labels, options, or
    the version of a feature family. Run it again: only what changed is computed.

    Example: python run.py status --work demo/work
    """
    from rich.table import Table

    from pipeline.commands.console import console
    from pipeline.stages.status import status as look

    colours = {"done": "green", "stale": "yellow", "missing": "red"}
    table = Table("stage", "state", "why", box=None)
    for stage in look(work):
        state = f"[{colours[stage.state]}]{stage.state}[/]"
        table.add_row(stage.stage, state, "\n".join(stage.reasons))
    console.print(table)

"""The commands that make pages to look at in a browser: `report`."""

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, say, written
from pipeline.stages.report_options import ReportOptions


@command(ReportOptions)
def report(options: ReportOptions) -> None:
    """Make one HTML page of a training, to look at offline: how good it is, what decides, what fails and why.

    Example: python run.py report --work demo/work
    """
    from pipeline.core.stage import execute
    from pipeline.pages.report import Report

    done = execute(Report(), options, RichProgress())
    path = Report().outputs(options)[0]
    if done.fresh:
        written(path, f"{done.megabytes:.1f} MB; open it in a browser")
    else:
        say(f"Up to date: {path}")

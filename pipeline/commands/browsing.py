"""The commands that make pages to look at in a browser: `report`, `explore`."""

import socket

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, address, following, made, say, written
from pipeline.core.errors import PipelineError
from pipeline.core.names import counted
from pipeline.stages.explore_options import ExploreOptions
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
    made({"page": path, **done.model_dump()})
    if done.fresh:
        written(path, f"{done.megabytes:.1f} MB, {counted(done.pictures, 'picture')}; open it in a browser")
    else:
        say(f"Up to date: {path}")
    if done.without:
        say(f"Without pictures: {done.without}")
    following("explore", "--work", options.work)


@command(ExploreOptions, lasting=True)
def explore(options: ExploreOptions) -> None:
    """Look through the pictures of a work folder in a browser, see why they were answered, correct labels.

    A gallery of the pictures with their outlines, filtered and sorted by location, probability, errors,
    disagreement of labels or experts, group, plate and quality; every picture with its channels, cells,
    reasons and pictures alike; a map to draw around pictures. Corrected labels are written to
    WORK/corrections/labels.csv, which `train --labels` takes; your own table stays as it is. Listens to this
    machine alone; with another --host, the printed address has a token. Needs
    `pip install -r requirements_serve.txt`.

    Example: python run.py explore --work demo/work
    """
    from pipeline.core.required import required

    (uvicorn,) = required("uvicorn", "fastapi", "python_multipart", listed="requirements_serve.txt")[:1]
    from pipeline.explorer.explorer_app import make_app
    from pipeline.explorer.starting import opened
    from pipeline.serving.admission import hosts_of, token_of

    token = token_of(options)
    with _socket(options) as listening, opened(options, RichProgress()) as explorer:
        app = make_app(explorer, token, hosts_of(options))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, limit_concurrency=64)
        )
        where = f"{address(options.host, listening.getsockname()[1])}/" + (f"?token={token}" if token else "")
        say(f"{counted(len(explorer.index.ids), 'picture')} at {where} until Ctrl-C")
        try:
            server.run(sockets=[listening])
        finally:
            if len(explorer.corrections):
                written(
                    explorer.corrections.labels, f"{counted(len(explorer.corrections), 'picture')} looked at"
                )
                say(f"Next: {explorer.again}")


def _socket(options: ExploreOptions) -> socket.socket:
    """Take the port, before anything is read."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        raise PipelineError(
            f"--host {options.host} --port {options.port}: cannot listen there ({error.strerror}); "
            "give another --port"
        ) from error

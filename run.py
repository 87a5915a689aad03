"""The command line: `python run.py --help`."""

import io
import os
import sys
from typing import NoReturn

from pipeline.core.stopping import stop_at_once, stopping

if __name__ == "__main__":
    stop_at_once()  # what is imported next takes a second

import typer
from typer.exceptions import TyperException

from pipeline.commands.batches import compare, normalise
from pipeline.commands.browsing import explore, report
from pipeline.commands.command_line import Command
from pipeline.commands.console import errors
from pipeline.commands.demo import demo, simulate
from pipeline.commands.download import download
from pipeline.commands.evaluate import evaluate
from pipeline.commands.exports import export
from pipeline.commands.features import features
from pipeline.commands.import_samples import import_
from pipeline.commands.importances import explain, importances
from pipeline.commands.inspect import inspect
from pipeline.commands.live import serve, watch
from pipeline.commands.looking import baseline, nearest, overlay, status
from pipeline.commands.main_job import extract, predict, train
from pipeline.commands.own_networks import embed, train_cnn, train_segmenter
from pipeline.core.errors import PipelineError
from pipeline.core.remote import shown

app = typer.Typer(
    name="run.py",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="""Find where in a human cell a protein is, from microscope pictures.

    The usual order: **extract** (pictures to features), **train** (features and labels to a model),
    **evaluate** and **importances** (how good it is, and what decides its predictions), **predict** (new
    pictures).
    With your own pictures, begin with `inspect`. `simulate` makes pictures to try it on; `status` says
    what is done, stale or missing, and what comes next; `report` and `explore` show it in a browser. Every
    command takes `--json` (its result for other programs) and `--quiet`.

    Example: `python run.py simulate demo/data --pictures 60 --seed 1`
    """,
)

PANELS = {
    "Getting started": (demo, inspect, simulate, download, import_),
    "The main job": (extract, embed, train, evaluate, predict),
    "Looking at it": (report, explore, baseline, importances, explain, features, nearest, overlay, status),
    "In the microscope's loop": (serve, watch),
    "Plates and conditions": (normalise, compare),
    "For other programs": (export,),
    "Your own networks": (train_cnn, train_segmenter),
}
for panel, commands in PANELS.items():
    for command in commands:
        app.command(command.__name__.strip("_").replace("_", "-"), cls=Command, rich_help_panel=panel)(
            command
        )


def main() -> None:
    """Run the command line; what the user can correct is reported in one line, with exit status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of few letters, or a file name of no letters
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except PipelineError as error:
        _fail(str(error))
    except TyperException as error:  # an option that there is not, or that lacks its value
        _fail(error.format_message().replace("\n", " "))
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        _fail(
            f"{error.filename}: {error.strerror}; check the path, its permissions and the space on the disk"
        )


def _fail(message: str) -> NoReturn:
    errors.print(f"error: {shown(message)}", style="red", markup=False, soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    with stopping():
        main()

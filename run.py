"""The command line: `python run.py --help`."""

import sys
from typing import NoReturn

import typer

from pipeline.commands import (
    baseline,
    demo,
    embed,
    evaluate,
    extract,
    importances,
    nearest,
    overlay,
    predict,
    simulate,
    status,
    train,
    train_cnn,
    train_segmenter,
)
from pipeline.commands import features as feature_catalogue
from pipeline.commands.console import errors
from pipeline.core.errors import PipelineError

app = typer.Typer(
    name="run.py",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="""Find where in a human cell a protein is, from microscope pictures.

    The usual order: **extract** (pictures to features), **train** (features and labels to a model),
    **evaluate** and **importances** (how good it is, and why it answers as it does), **predict** (new
    pictures).
    `simulate` makes pictures to try it on; `status` says what is done, stale or missing.

    Example: `python run.py simulate demo/data --pictures 60 --seed 1`
    """,
)

STARTING = "Getting started"
MAIN = "The main job"
LOOKING = "Looking at it"
NETWORKS = "Your own networks"

app.command("demo", rich_help_panel=STARTING)(demo.demo)
app.command("simulate", rich_help_panel=STARTING)(simulate.simulate)
app.command("extract", rich_help_panel=MAIN)(extract.extract)
app.command("embed", rich_help_panel=MAIN)(embed.embed)
app.command("train", rich_help_panel=MAIN)(train.train)
app.command("evaluate", rich_help_panel=MAIN)(evaluate.evaluate)
app.command("baseline", rich_help_panel=LOOKING)(baseline.baseline)
app.command("predict", rich_help_panel=MAIN)(predict.predict)
app.command("importances", rich_help_panel=LOOKING)(importances.importances)
app.command("features", rich_help_panel=LOOKING)(feature_catalogue.features)
app.command("nearest", rich_help_panel=LOOKING)(nearest.nearest)
app.command("overlay", rich_help_panel=LOOKING)(overlay.overlay)
app.command("status", rich_help_panel=LOOKING)(status.status)
app.command("train-cnn", rich_help_panel=NETWORKS)(train_cnn.train_cnn)
app.command("train-segmenter", rich_help_panel=NETWORKS)(train_segmenter.train_segmenter)


def main() -> None:
    """Run the command line; what the user can mend is told in one line, with exit status 2."""
    try:
        app()
    except PipelineError as error:
        _fail(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        _fail(
            f"{error.filename}: {error.strerror}; check the path, its permissions and the space on the disk"
        )


def _fail(message: str) -> NoReturn:
    errors.print(f"error: {message}", style="red", markup=False, soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()

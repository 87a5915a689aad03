"""The commands that know of plates and conditions: `normalise`, `compare`."""

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, following, say, written
from pipeline.core.names import counted
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.stages.plate_options import NormaliseOptions


@command(NormaliseOptions)
def normalise(options: NormaliseOptions) -> None:
    """Bring features into units of their plate, which takes out what plates differ in.

    Every feature becomes its distance from the median of the plate's pictures, or of its controls, in robust
    standard deviations (1.4826 times the median absolute deviation). Sphering also removes the correlations
    that the reference pictures of all plates show. Writes features_normalised.parquet, to look at and to
    export. No model reads it: `train --normalise-by` does the same within its folds, and `predict` with new
    plates.

    Example: python run.py normalise --work work --by Metadata_Plate --controls Metadata_Treatment=DMSO
    """
    from pipeline.stages.normalise import Normalise

    done = execute(Normalise(), options, RichProgress())
    work = Workspace(options.work)
    what = f"{counted(done.pictures, 'picture')} by {done.reference:,} of them"
    if done.shrinkage is not None:
        what += f", correlations shrunk by {done.shrinkage:.2f}"
    path = work.features_normalised
    written(path, what) if done.fresh else say(f"Up to date: {path} ({what})")
    if done.left_out:
        say(f"{counted(done.left_out, 'picture')} left out, with reason and remedy: {work.problems}")
    how = f" --controls {options.controls}" if options.controls else ""
    method = "" if options.method == "robust-z" else f" --normalise-method {options.method}"
    following(f"train --labels LABELS --work {options.work} --normalise-by {options.by}{method}{how}")

"""The commands that know of plates and conditions: `normalise`, `compare`."""

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, following, made, say, show_table, written
from pipeline.core.names import counted
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.stages.plate_options import CompareOptions, NormaliseOptions

SHOWN = 20
"""Changes that are printed."""


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
    made(done)
    work = Workspace(options.work)
    what = f"{counted(done.pictures, 'picture')} by {done.reference:,} of them"
    if done.shrinkage is not None:
        what += f", correlations shrunk by {done.shrinkage:.2f}"
    path = work.features_normalised
    written(path, what) if done.fresh else say(f"Up to date: {path} ({what})")
    if done.left_out:
        say(f"{counted(done.left_out, 'picture')} left out, with reason and remedy: {work.problems}")
    how = [] if options.method == "robust-z" else ["--normalise-method", options.method]
    how += ["--controls", options.controls] if options.controls else []
    following("train", "--labels", "LABELS", "--work", options.work, "--normalise-by", options.by, *how)


@command(CompareOptions)
def compare(options: CompareOptions) -> None:
    """Say which proteins changed location between conditions.

    The probabilities of the pictures of a well are averaged, because wells are what was treated. For every
    protein and location, every condition is compared with the control within plates: the difference of mean
    probabilities with its interval over wells, Hedges' g, p and, for all tests together, q (Benjamini and
    Hochberg). Writes a csv with all of them, those that were not tested with the reason, and a figure beside
    it. Reads what predict wrote, or the out-of-fold predictions of a training.

    Example: python run.py compare --predictions predictions.csv --by Metadata_Treatment --control DMSO
    --wells Metadata_Well --proteins Metadata_Antibody --output changes.csv
    """
    from pipeline.stages.compare import Compare

    done = execute(Compare(), options, RichProgress())
    made(done)
    say(
        f"{counted(done.pictures, 'picture')} in {counted(done.wells, 'well')} ({done.unit}) of "
        f"{counted(done.proteins, 'protein')}; control: {done.control}"
    )
    proteins = len({one.protein for one in done.changes})
    say(
        f"{counted(len(done.changes), 'change')} of {counted(proteins, 'protein')} among "
        f"{counted(done.tests, 'test')}, of which at most {options.rate:.0%} are expected to be false; "
        f"{done.untested:,} not tested, with the reason in the table"
    )
    rows = [
        (*one[:3], f"{one.difference:+.3f}", f"{one.low:+.3f} to {one.high:+.3f}", f"{one.q:.2g}")
        for one in done.changes[:SHOWN]
    ]
    if rows:
        show_table(("protein", "condition", "location", "difference", "95 %", "q"), rows, words=3)
    if len(done.changes) > SHOWN:
        say(f"  … and {len(done.changes) - SHOWN:,} more")
    if done.hint:
        say(f"Warning: {done.hint}")
    figure = options.output.with_suffix(".png")
    written(options.output, f"figure: {figure}") if done.fresh else say(f"Up to date: {options.output}")

"""The command `predict`."""

from pipeline.commands.console import RichProgress, say, some, written
from pipeline.commands.options import command
from pipeline.core.names import counted
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.stages.options import PredictOptions


@command(PredictOptions)
def predict(options: PredictOptions) -> None:
    """Name the locations of the protein in new pictures.

    The pictures are segmented, measured and embedded exactly as the model's training pictures were. A model
    of other networks' predictions alone needs their tables, --outputs, and no pictures. The csv holds the
    chosen locations and every location's probability. A sample that cannot be read is left out and listed in
    problems.csv of the work folder.

    Example: python run.py predict --images new/images --model demo/work/model --output predictions.csv
    """
    from pipeline.stages.predict import Predict

    done = execute(Predict(), options, RichProgress())
    if done.fresh:
        written(options.output, f"{counted(done.rows, 'picture')} predicted")
    else:
        say(f"Up to date: {options.output} ({counted(done.rows, 'picture')})")
    if done.problems:
        say(f"{len(done.problems):,} skipped, with reason and remedy: {Workspace(options.work).problems}")
        some([f"{one.sample}: {one.file}: {one.reason}; {one.remedy}" for one in done.problems])

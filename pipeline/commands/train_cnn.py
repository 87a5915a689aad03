"""The command `train-cnn`."""

from pipeline.commands.console import RichProgress, following, say, written
from pipeline.commands.options import command
from pipeline.core.names import counted
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.stages.options import TrainCnnOptions


@command(TrainCnnOptions)
def train_cnn(options: TrainCnnOptions) -> None:
    """Train networks on your pictures: one without each fold of the stack, and one on everything.

    Run extract first, and train afterwards with the same labels, groups, folds and seed. Each picture's
    log-odds in `embeddings/<name>.parquet` come from the network that did not see its fold, so train
    accepts them; predict uses the network of everything. Killed and run again, it goes on at the last
    finished epoch.

    Example: python run.py train-cnn --images demo/data/images --labels demo/data/labels.csv --work demo/work
    --network compact
    """
    from pipeline.stages.train_cnn import WHOLE, TrainCnn

    done = execute(TrainCnn(), options, RichProgress())
    work = Workspace(options.work)
    table = work.embedding(done.name)
    shown = ", ".join(f"{value:.3f}" for value in done.losses)
    locations = counted(len(done.locations), "location")
    state = "" if done.fresh else " (up to date)"
    say(f"{counted(done.pictures, 'picture')}, {done.folds} folds, {locations}{state}")
    say(f"Validation log-loss of each fold's network: {shown}")
    written(table, "out-of-fold log-odds")
    written(work.embedding(done.name + WHOLE), "embeddings by the network of everything, for nearest")
    following(f"train --labels {options.labels} --work {options.work} --embeddings {table}")

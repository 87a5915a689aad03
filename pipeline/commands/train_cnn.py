"""The command `train-cnn`."""

from pipeline.commands.console import RichProgress, following, say, written
from pipeline.commands.options import command
from pipeline.core.names import counted
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
    from pipeline.stages.train_cnn import train_cnn as run

    done = run(options, RichProgress())
    shown = ", ".join(f"{value:.3f}" for value in done.losses)
    locations = counted(len(done.locations), "location")
    say(f"{counted(done.pictures, 'picture')}, {done.folds} folds, {locations}")
    say(f"Validation log-loss of each fold's network: {shown}")
    written(done.table, "out-of-fold log-odds")
    written(done.whole, "embeddings by the network of everything, for nearest")
    following(f"train --labels {options.labels} --work {options.work} --embeddings {done.table}")

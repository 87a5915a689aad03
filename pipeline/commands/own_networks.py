"""The commands of networks: `embed`, and `train-cnn` and `train-segmenter` for your own."""

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, following, made, say, written
from pipeline.core.names import counted
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.data.dataset_options import READY_LISTS
from pipeline.stages.options import EmbedOptions, TrainCnnOptions, TrainSegmenterOptions


@command(EmbedOptions)
def embed(options: EmbedOptions) -> None:
    """Embed pictures by a network, or check and import a ready table of embeddings.

    Writes `embeddings/<name>.parquet` (Id, `cnn__<name>__e0000` … and, where the network predicts
    locations, `cnn__<name>__logit_<location>`), and `embeddings/<name>.json`, the card: network, sha256
    of its weights, preprocessing, and the pictures it was trained on. Killed and run again, it goes
    on where it was. Give the table to `train --embeddings`.

    Example: python run.py embed --images demo/data/images --work demo/work --network builtin
    """
    from pipeline.stages.embed import Embed

    done = execute(Embed(), options, RichProgress())
    made(done)
    path = Workspace(options.work).embedding(done.name)
    state = "" if done.fresh else " (up to date)"
    say(f"{counted(done.pictures, 'picture')}, {counted(done.columns, 'column')}{state}: {path}")
    say(f"Its network was trained on: {done.training}")
    if done.constant:
        names = ", ".join(done.constant[:5]) + (", …" if len(done.constant) > 5 else "")
        say(f"Left out as constant: {counted(len(done.constant), 'column')} ({names})")
    if done.problems:
        problems = Workspace(options.work).problems
        say(f"{counted(len(done.problems), 'picture')} skipped or without a row: {problems}")
    following("train", "--labels", "LABELS", "--work", options.work, "--embeddings", path)


@command(TrainCnnOptions)
def train_cnn(options: TrainCnnOptions) -> None:
    """Train networks on your pictures: one without each fold of the stack, and one on all pictures.

    Run extract first, and train afterwards with the same labels, groups, folds and seed. Each picture's
    log-odds in `embeddings/<name>.parquet` come from the network that did not see its fold, so train
    accepts them; predict uses the network trained on all. Killed and run again, it goes on at the last
    finished epoch.

    Example: python run.py train-cnn --images demo/data/images --labels demo/data/labels.csv --work demo/work
    --network compact
    """
    from pipeline.stages.train_cnn import WHOLE, TrainCnn

    done = execute(TrainCnn(), options, RichProgress())
    made(done)
    work = Workspace(options.work)
    table = work.embedding(done.name)
    shown = ", ".join(f"{value:.3f}" for value in done.losses)
    locations = counted(len(done.locations), "location")
    state = "" if done.fresh else " (up to date)"
    say(f"{counted(done.pictures, 'picture')}, {done.folds} folds, {locations}{state}")
    say(f"Validation log-loss of each fold's network: {shown}")
    written(table, "out-of-fold log-odds")
    written(work.embedding(done.name + WHOLE), "embeddings by the network of all pictures, for nearest")
    given = [] if options.locations == READY_LISTS[0] else ["--locations", options.locations]
    given += [] if options.labels_as is None else ["--labels-as", options.labels_as]
    following("train", "--labels", options.labels, "--work", options.work, *given, "--embeddings", table)


@command(TrainSegmenterOptions)
def train_segmenter(options: TrainSegmenterOptions) -> None:
    """Train a Cellpose network on annotated fields, or fine-tune one to your own microscope.

    With ten fields or more, every fifth of each type is kept for testing and scored in the end. Killed
    and run again, training goes on at its last checkpoint.

    To fine-tune: correct some of the masks that `extract` wrote (any editor of TIFFs), put them in a
    folder, and give the weights that made them with --from; shipped:nuclei and shipped:cells come with the
    project. Then extract with --nuclei-weights (or --cell-weights) my.safetensors.

    Example: python run.py train-segmenter nuclei --images fields --labels fields --output my.safetensors
    --from shipped:nuclei --steps 200
    """
    from pipeline.stages.train_segmenter import train_segmenter as run

    card = run(options, RichProgress())
    made(card)
    scores = ", ".join(f"{name} {value:.3f}" for name, value in card.scores.items())
    scored = f"on the fields kept for testing: {scores}" if scores else "too few fields to test"
    say(f"{options.output}: {card.objects}, {card.steps:,} steps; {scored}")
    weights = "nuclei" if card.objects == "nuclei" else "cell"
    following("extract", "--images", "IMAGES", "--work", "WORK", f"--{weights}-weights", options.output)

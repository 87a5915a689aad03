"""The command `embed`."""

from pipeline.commands.console import RichProgress, following, say
from pipeline.commands.options import command
from pipeline.core.names import counted
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.stages.options import EmbedOptions


@command(EmbedOptions)
def embed(options: EmbedOptions) -> None:
    """Turn pictures into numbers by a network; or check and take a ready table of embeddings.

    Writes `embeddings/<name>.parquet` (Id, `cnn__<name>__e0000` … and, where the network predicts
    locations, `cnn__<name>__logit_<location>`), and `embeddings/<name>.json`, the card: network, sha256
    of its weights, preprocessing, and the pictures it was trained on. Killed and run again, it goes
    on where it was. Give the table to `train --embeddings`.

    Example: python run.py embed --images demo/data/images --work demo/work --network builtin
    """
    from pipeline.stages.embed import Embed

    done = execute(Embed(), options, RichProgress())
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
    following(f"train --labels LABELS --work {options.work} --embeddings {path}")

"""The command `train`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.console import RichProgress, following, say
from pipeline.commands.options import command
from pipeline.core.errors import read_problems
from pipeline.core.names import counted
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.stages.options import TrainOptions

if TYPE_CHECKING:
    from pipeline.stages.train import TrainSummary


@command(TrainOptions)
def train(options: TrainOptions) -> None:
    """Train the stack: a model per location, the two-location model, and all locations together.

    Base learners (gradient boosting by LightGBM and XGBoost, and a linear model) of every location stand on
    the features and on each table of embeddings; learners of all locations at once stand on other networks'
    predictions. Linear models join them. Pictures are not needed where tables are given: --outputs will do.
    Everything that is later scored is predicted out of fold. Labels that --select-… doubts are not learned
    from, but always scored. Locations that cannot be cross-validated are named and get no model. Killed and
    run again, it goes on where it was; run again without changes, it does nothing.

    Example: python run.py train --labels demo/data/labels.csv --work demo/work
    """
    from pipeline.stages.train import Train

    summary = execute(Train(), options, RichProgress())
    files = Workspace(options.work)
    _print_summary(summary, files)
    following(f"evaluate --work {options.work}")


def _print_summary(summary: "TrainSummary", files: Workspace) -> None:
    """Say what was trained, and what was not and why."""
    if not summary.fresh:
        say(f"Up to date: {files.model}")
    groups = f"in {counted(summary.groups, 'group')}" if summary.grouped else "(no groups given)"
    say(
        f"{counted(len(summary.trained), 'location')} from {counted(summary.pictures, 'picture')} {groups}, "
        f"{summary.folds} folds: {files.model}"
    )
    say(f"Trained: {', '.join(summary.trained)}.")
    if summary.copies:
        say(f"{counted(summary.copies, 'near-duplicate')} of other pictures; no fold splits them.")
    if summary.left_out:
        say(f"No model for {counted(len(summary.left_out), 'location')}:")
        for reason in dict.fromkeys(summary.left_out.values()):
            names = [name for name, why in summary.left_out.items() if why == reason]
            say(f"  {reason}: {', '.join(names)}")
    if summary.problems:
        say(f"Not used in full: {_reasons(files.problems)}; which ones: {files.problems}")
    if files.selection.is_file():
        _print_selection(files.selection)


def _reasons(problems: Path) -> str:
    """Count the reasons for which pictures and labels could not be used in full."""
    found = Counter(problem.reason for stage, problem in read_problems(problems) if stage == "train")
    return ", ".join(f"{number:,} ({reason})" for reason, number in found.most_common(5))


def _print_selection(path: Path) -> None:
    """Print what filters took from every location's training."""
    import pandas as pd

    table = pd.read_csv(path, index_col=0)
    filters = [name.removesuffix("_positives") for name in table.columns if name.endswith("_positives")]
    say("Labels that base learners do not learn (scores count them all):")
    for name in filters:
        taken = table[[f"{name}_positives", f"{name}_negatives"]]
        for location, (positives, negatives) in zip(table.index, taken.to_numpy(), strict=True):
            if positives or negatives:
                whole = table.loc[location, "positives"]
                say(f"  {name}, {location}: {positives:,} of {whole:,} positives, {negatives:,} negatives")

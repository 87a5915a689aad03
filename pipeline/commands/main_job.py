"""The commands of the main job that do the work: `extract`, `train`, `predict`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, following, made, say, skipped, some, written
from pipeline.core.errors import read_problems
from pipeline.core.names import counted
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.stages.options import ExtractOptions, PredictOptions, TrainOptions

if TYPE_CHECKING:
    from pipeline.stages.extract import ExtractSummary
    from pipeline.stages.train import TrainSummary


@command(ExtractOptions)
def extract(options: ExtractOptions) -> None:
    """Find cells and nuclei in every picture and measure them.

    Writes `masks/<Id>.tif` (page 1 cells, page 2 nuclei), cells.parquet, features.parquet, quality.parquet
    (which pictures to look at), and problems.csv with every sample that was skipped, its reason and remedy.
    Killed and run again, it goes on where it was; run again without changes, it does nothing.

    Example: python run.py extract --images demo/data/images --work demo/work
    """
    say(f"Looking at the pictures in {options.images}")  # at once: loading what measures takes seconds
    from pipeline.core.agreement import own_machine_code

    if options.shard is not None:
        own_machine_code()  # before what measures is loaded: other parts run on other machines
    from pipeline.stages.extract import Extract, measure_shard

    work = Workspace(options.work)
    if options.shard is not None:
        count = measure_shard(options, options.shard, RichProgress())
        pictures = counted(count, "picture")
        say(f"Part {options.shard}: {pictures} measured now, no tables written: {work.parts}")
        say("When all parts are done, run extract once more without --shard.")
        return
    summary = execute(Extract(), options, RichProgress())
    made(summary)
    done = f"{summary.measured:,} measured now" if summary.fresh else "up to date"
    pictures, cells = counted(summary.pictures, "picture"), counted(summary.cells, "cell")
    say(f"{pictures}, {cells} ({done}): {work.features}")
    if summary.given:
        say(summary.given)
    if summary.left_out:
        say("Left out of the masks: " + "; ".join(f"{why}: {one:,}" for why, one in summary.left_out.items()))
    if summary.edited:
        say(f"{counted(summary.edited, 'edited label image')} kept and measured: {work.masks}")
    skipped(summary.problems, work.problems)
    _print_doubtful(summary, work)
    following("train", "--labels", "LABELS", "--work", options.work)
    if summary.problems and options.strict:
        raise typer.Exit(1)


def _print_doubtful(summary: "ExtractSummary", work: Workspace) -> None:
    """Name the pictures that show nothing to answer, and those to be looked at."""
    from pipeline.data.quality_flags import OF_PLATE

    if summary.doubtful:
        verb = "is" if len(summary.doubtful) == 1 else "are"
        say(
            f"{counted(len(summary.doubtful), 'picture')} {verb} doubtful, left out by train and without an "
            f"answer of predict: {work.samples} (doubt)"
        )
        some([f"{sample}: {why}" for sample, why in summary.doubtful.items()])
    if summary.flagged:
        say(
            f"{len(summary.flagged):,} of {counted(summary.pictures, 'picture')} flagged, to be looked at "
            f"(overlay --flagged draws them): {work.quality}"
        )
        some([f"{sample}: {flags}" for sample, flags in summary.flagged.items()])
        if any(OF_PLATE in flags for flags in summary.flagged.values()):
            say(f"  {OF_PLATE}: extract with --flat-field removes it")


@command(TrainOptions)
def train(options: TrainOptions) -> None:
    """Train stacking ensembles: one per location, the two-location model, and one of all locations.

    Base learners (gradient boosting by LightGBM and XGBoost, and logistic regression) are trained per
    location on the features and on each table of embeddings; base learners of all locations at once, on
    other networks' predictions. A linear meta-learner combines them. With --outputs alone, no pictures are
    needed. All scores are out of fold. Labels that a filter (--select-…) leaves out are not trained on, but
    always scored. Locations that cannot be cross-validated are named and get no model. Killed and
    run again, it goes on where it was; run again without changes, it does nothing.

    Example: python run.py train --labels demo/data/labels.csv --work demo/work
    """
    from pipeline.stages.train import Train

    summary = execute(Train(), options, RichProgress())
    made(summary)
    files = Workspace(options.work, options.name)
    _print_summary(summary, files)
    here = ["--work", options.work, *(["--name", options.name] if options.name else [])]
    following("evaluate", *here)
    following("report", *here, why="Look at it in a browser: ")


def _print_summary(summary: "TrainSummary", files: Workspace) -> None:
    """Say what was trained, and what was not and why."""
    from pipeline.stages.trained_models import read_card

    if not summary.fresh:
        say(f"Up to date: {files.model}")
    groups = f"in {counted(summary.groups, 'group')}" if summary.grouped else "(no groups given)"
    say(
        f"{counted(len(summary.trained), 'location')} from {counted(summary.pictures, 'picture')} {groups}, "
        f"{summary.folds} folds: {files.model}"
    )
    say(f"Trained: {', '.join(summary.trained)}.")
    scored = read_card(files.model).get("channels", {}).get("all")
    if scored is not None:
        say(f"Out of fold, macro-F1 is {scored:.3f}; evaluate gives intervals and every location.")
    if files.thresholds.is_file():
        inside = ", ".join(path.name for path in (files.out_of_fold_csv, files.thresholds, files.settings))
        say(f"To look inside, beside the model: {inside}")
    if summary.copies:
        say(f"{counted(summary.copies, 'near-duplicate')} of other pictures; no fold splits them.")
    if summary.left_out:
        alone = ", the shipped network answers alone" if summary.started else ""
        say(f"No model for {counted(len(summary.left_out), 'location')}{alone}:")
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
    say("Labels that base learners are not trained on (all are scored):")
    for name in filters:
        taken = table[[f"{name}_positives", f"{name}_negatives"]]
        for location, (positives, negatives) in zip(table.index, taken.to_numpy(), strict=True):
            if positives or negatives:
                whole = table.loc[location, "positives"]
                say(f"  {name}, {location}: {positives:,} of {whole:,} positives, {negatives:,} negatives")


@command(PredictOptions)
def predict(options: PredictOptions) -> None:
    """Predict the locations of the protein in new pictures.

    Without --model, the shipped network answers by itself: it was trained on simulated pictures, needs no
    labels, and says how it does on real pictures. With your --model, the pictures are segmented, measured and
    embedded exactly as its training pictures were. A model of other networks' predictions alone needs their
    tables, --outputs, and no pictures. The csv has a row for every picture: its locations, number of cells,
    status (answered, not_sure, unlike_training, no_answer, skipped), the reason, and every location's
    probability. With --format kaggle, pictures without an answer have an empty prediction, and the exit
    status is 1.

    Example: python run.py predict --images new/images --output predictions.csv
    Example: python run.py predict --images new/images --model demo/work/model --output predictions.csv
    """
    from pipeline.core.weights import SHIPPED
    from pipeline.stages.predict import Predict
    from pipeline.stages.shipped_model import PredictShipped

    stage = PredictShipped() if options.model == SHIPPED else Predict()
    done = execute(stage, options, RichProgress())
    made({**done.model_dump(), "output": options.output})
    words = {"not_sure": "not sure", "no_answer": "without an answer"}
    words |= {"unlike_training": "unlike the training pictures"}
    became = [f"{number:,} {words.get(status, status)}" for status, number in done.statuses.items()]
    counts = f"{counted(done.rows, 'picture')}: {', '.join(became)}"
    if done.fresh:
        written(options.output, counts)
    else:
        say(f"Up to date: {options.output} ({counts})")
    listed = {one.sample for one in done.problems}
    some([f"{sample}: {why}" for sample, why in done.unanswered.items() if sample not in listed])
    lost = [one for one in done.problems if done.unanswered.get(one.sample) == one.told]
    skipped(lost, Workspace(options.work).problems)
    lacking = [one for one in done.problems if one not in lost]
    skipped(lacking, Workspace(options.work).problems, "lacking in part")
    if done.unanswered and options.format == "kaggle":
        first = ", ".join(list(done.unanswered)[:10]) + (", …" if len(done.unanswered) > 10 else "")
        say(f"Rows without a prediction, which the competition scores as wrong: {first}")
        raise typer.Exit(1)

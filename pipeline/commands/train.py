"""The command `train`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import Jobs, Work

if TYPE_CHECKING:
    from pipeline.core.workspace import Workspace
    from pipeline.stages.train import TrainSummary


class Rule(StrEnum):
    """Rules that turn out-of-fold probabilities into thresholds."""

    f1 = "f1"
    f1_shrunk = "f1_shrunk"
    half_f1 = "half_f1"
    proportion = "proportion"
    nested = "nested"


class Booster(StrEnum):
    """Kinds of base learners on every block."""

    lightgbm = "lightgbm"
    xgboost = "xgboost"
    linear = "linear"


class TuneBy(StrEnum):
    """What settings are chosen by."""

    log_loss = "log_loss"
    average_precision = "average_precision"


class Always(StrEnum):
    """Whether every picture gets its likeliest location."""

    auto = "auto"
    yes = "yes"
    no = "no"


class AgreeWith(StrEnum):
    """What experts have to agree with."""

    label = "label"
    annotators = "annotators"


class Reliability(StrEnum):
    """HPA's levels, the best first."""

    Enhanced = "Enhanced"
    Supported = "Supported"
    Approved = "Approved"
    Uncertain = "Uncertain"


def train(
    labels: Annotated[
        Path,
        typer.Option(help="csv table Id,Target: class indices 0-27 separated by spaces.", show_default=False),
    ],
    work: Work,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="csv table Id,group: pictures of one antibody (protein, plate) that no fold may split. "
            "Unless given: the groups of the samples. Pictures without one are grouped with their copies."
        ),
    ] = None,
    embeddings: Annotated[
        list[Path] | None,
        typer.Option(help="Table of numbers per picture (parquet, csv or npz keyed by Id); repeatable."),
    ] = None,
    outputs: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another network's answers (csv or parquet): Id and a probability, or 0 and 1, per "
            "location, or Id,Target with class indices; repeatable, one table per network."
        ),
    ] = None,
    boosters: Annotated[
        list[Booster] | None,
        typer.Option(
            help="Base learners on every block but --outputs, one per location; repeatable. Unless given: "
            "lightgbm, xgboost and linear."
        ),
    ] = None,
    rule: Annotated[
        Rule, typer.Option(help="How thresholds are chosen; nested: by cross-validation per stratum.")
    ] = Rule.half_f1,
    always: Annotated[
        Always,
        typer.Option(
            help="Whether every picture gets its likeliest location, however unlikely; auto: where 99 % of "
            "the training pictures have a location with a model."
        ),
    ] = Always.auto,
    trials: Annotated[
        int,
        typer.Option(
            min=0,
            help="Settings to try per kind, block and stratum of locations, beside the defaults; what is "
            "worse than the median is given up. `optuna-dashboard sqlite:///WORK/tuning.db` shows them.",
        ),
    ] = 8,
    tune_by: Annotated[
        TuneBy, typer.Option(help="What settings are chosen by, out of fold.")
    ] = TuneBy.log_loss,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=1, help="Seconds for trying settings; the model then depends on the machine's speed."
        ),
    ] = None,
    folds: Annotated[int, typer.Option(min=3, help="Folds; fewer are made where groups are too few.")] = 5,
    random_split: Annotated[
        bool,
        typer.Option(
            "--random-split",
            help="Cross-validate once more in folds that ignore groups, which shows how much that flatters.",
        ),
    ] = False,
    select_agreement: Annotated[
        Path | None,
        typer.Option(help="csv of expert answers (as for baseline): learn only labels experts agree on."),
    ] = None,
    agree_with: Annotated[
        AgreeWith, typer.Option(help="Experts agree with the label, or annotators with each other.")
    ] = AgreeWith.label,
    select_reliability: Annotated[
        Path | None,
        typer.Option(
            help="HPA's subcellular_location.tsv: learn only labels that it supports; needs --genes."
        ),
    ] = None,
    reliability: Annotated[
        Reliability, typer.Option(help="The lowest level that counts as support.")
    ] = Reliability.Approved,
    genes: Annotated[
        Path | None, typer.Option(help="csv table Id,Gene: Ensembl ids or names of genes.")
    ] = None,
    select_confident: Annotated[
        bool,
        typer.Option(
            "--select-confident", help="Learn only labels that confident learning (cleanlab) does not doubt."
        ),
    ] = False,
    accept_leak: Annotated[
        bool,
        typer.Option(
            "--accept-leak",
            help="Stack embeddings although their networks know these pictures; scores are then marked.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model, bit for bit.")] = 0,
    jobs: Jobs = None,
) -> None:
    """Train the stack: a model per location, the two-location model, and all locations together.

    Boosters (LightGBM and XGBoost) and a linear model of every location stand on the features, on each
    table of embeddings and on the outputs of other networks; linear models join them. Everything that is
    later scored is answered out of fold. Labels that --select-… doubts are not learned from, but always
    scored. Locations that cannot be cross-validated are named and get no model. Killed and run again, it goes
    on where it was; run again without changes, it does nothing.

    Example: python run.py train --labels demo/data/labels.csv --work demo/work
    """
    from pipeline.commands.console import RichProgress, console
    from pipeline.core.workspace import Workspace
    from pipeline.stages.train import train as run
    from pipeline.stages.train_options import TrainOptions

    given = {
        "work": work,
        "labels": labels,
        "groups": groups,
        "embeddings": embeddings,
        "outputs": outputs,
        "boosters": boosters,
        "rule": rule,
        "always": always,
        "trials": trials,
        "tune_by": tune_by,
        "timeout": timeout,
        "folds": folds,
        "seed": seed,
        "random_split": random_split,
        "select_agreement": select_agreement,
        "agree_with": agree_with,
        "select_reliability": select_reliability,
        "reliability": reliability,
        "genes": genes,
        "select_confident": select_confident,
        "accept_leak": accept_leak,
        "jobs": jobs,
    }
    options = TrainOptions.model_validate({name: value for name, value in given.items() if value is not None})
    summary = run(options, RichProgress())
    files = Workspace(work)
    _print_summary(summary, files)
    console.print(f"Next: python run.py evaluate --work {work}", soft_wrap=True)


def _print_summary(summary: "TrainSummary", files: "Workspace") -> None:
    """Say what was trained, and what was not and why."""
    from pipeline.commands.console import console

    if not summary.fresh:
        console.print(f"Nothing to do: {files.model} is of these inputs already.", soft_wrap=True)
    console.print(
        f"{len(summary.trained)} locations from {summary.pictures} pictures in {summary.groups} groups, "
        f"{summary.folds} folds: {files.model}",
        soft_wrap=True,
    )
    console.print(f"Trained: {', '.join(summary.trained)}.", markup=False)
    if summary.copies:
        console.print(f"{summary.copies} pictures are near-duplicates of others; no fold splits them.")
    if summary.left_out:
        console.print(f"No model for {len(summary.left_out)} locations:")
        for reason in dict.fromkeys(summary.left_out.values()):
            names = [name for name, why in summary.left_out.items() if why == reason]
            console.print(f"  {reason}: {', '.join(names)}", markup=False)
    if summary.problems:
        console.print(
            f"{summary.problems} pictures or labels not used in full: {files.problems}",
            soft_wrap=True,
        )
    if files.selection.is_file():
        _print_selection(files.selection)


def _print_selection(path: Path) -> None:
    """Print what filters took from every location's training."""
    import pandas as pd

    from pipeline.commands.console import console

    table = pd.read_csv(path, index_col=0)
    filters = [name.removesuffix("_positives") for name in table.columns if name.endswith("_positives")]
    console.print("Labels that boosters do not learn (scores count them all):")
    for name in filters:
        taken = table[[f"{name}_positives", f"{name}_negatives"]]
        for location, (positives, negatives) in zip(table.index, taken.to_numpy(), strict=True):
            if positives or negatives:
                everything = table.loc[location, "positives"]
                console.print(
                    f"  {name}, {location}: {positives} of {everything} positives, {negatives} negatives",
                    markup=False,
                )

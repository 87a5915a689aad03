"""The command `train`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Jobs, Work


class Rule(StrEnum):
    """Rules that turn out-of-fold probabilities into thresholds."""

    f1 = "f1"
    f1_shrunk = "f1_shrunk"
    half_f1 = "half_f1"
    proportion = "proportion"
    nested = "nested"


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
            "Unless given: the groups of the samples, and each picture alone where there are none."
        ),
    ] = None,
    embeddings: Annotated[
        list[Path] | None,
        typer.Option(help="Table of numbers per picture (parquet, csv or npz keyed by Id); repeatable."),
    ] = None,
    rule: Annotated[
        Rule, typer.Option(help="How thresholds are chosen; nested: by cross-validation per stratum.")
    ] = Rule.f1_shrunk,
    trials: Annotated[
        int, typer.Option(min=0, help="Settings to try per library, block and stratum, beside the defaults.")
    ] = 8,
    folds: Annotated[int, typer.Option(min=3, help="Folds; fewer are made where groups are too few.")] = 5,
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

    Boosters (LightGBM and XGBoost) of every location stand on the features and on each table of
    embeddings; linear models join them. Everything that is later scored is answered out of fold.
    Locations that cannot be cross-validated are named and get no model. Killed and run again, it goes
    on where it was; run again without changes, it does nothing.

    Example: python run.py train --labels demo/data/labels.csv --work demo/work
    """
    from pipeline.console import RichProgress, console
    from pipeline.layout import Workspace
    from pipeline.train import TrainOptions
    from pipeline.train import train as run

    options = TrainOptions(
        work=work,
        labels=labels,
        groups=groups,
        embeddings=tuple(embeddings or ()),
        rule=rule.value,
        trials=trials,
        folds=folds,
        seed=seed,
        accept_leak=accept_leak,
        **({} if jobs is None else {"jobs": jobs}),
    )
    summary = run(options, RichProgress())
    files = Workspace(work)
    if not summary.fresh:
        console.print(f"Nothing to do: {files.model} is of these inputs already.", soft_wrap=True)
    console.print(
        f"{len(summary.trained)} locations from {summary.pictures} pictures in {summary.groups} groups, "
        f"{summary.folds} folds: {files.model}",
        soft_wrap=True,
    )
    console.print(f"Trained: {', '.join(summary.trained)}.", markup=False)
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
    console.print(f"Next: python run.py evaluate --work {work}", soft_wrap=True)

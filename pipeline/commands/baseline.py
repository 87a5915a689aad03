"""The command `baseline`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd


def baseline(
    labels: Annotated[Path, typer.Option(help="csv table Id,Target: the truth.", show_default=False)],
    answers: Annotated[
        Path,
        typer.Option(help="csv table Id,Annotator,Target, or Id,Guess of one annotator.", show_default=False),
    ],
    work: Annotated[
        Path | None, typer.Option(help="Folder of a trained model to compare with on the same pictures.")
    ] = None,
    draws: Annotated[int, typer.Option(min=100, help="Bootstrap samples of pictures.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Score people as if they were a model: each annotator, their majority vote, and all pooled.

    Prints macro-F1 in both conventions, and per location F1 and Krippendorff's alpha; with --work also how
    much better the trained model's out-of-fold answers are on the same pictures.

    Example: python run.py baseline --labels labels.csv --answers expert_guesses.csv
    """
    from pipeline.commands.console import console
    from pipeline.stages.baseline import BaselineOptions
    from pipeline.stages.baseline import baseline as run

    found = run(BaselineOptions(labels=labels, answers=answers, work=work, draws=draws, seed=seed))
    for name, row in found.annotators.iterrows():
        console.print(
            f"{name}: {row['pictures']:.0f} pictures, macro-F1 {row['macro_f1']:.3f} over {row['over']:.0f} "
            f"locations (undefined skipped), {row['macro_f1_all']:.3f} over all 28 (undefined 0), "
            f"micro-F1 {row['micro_f1']:.3f}, exactly right {row['exact']:.0%}",
            markup=False,
        )
    _print(found.locations)
    if found.comparison is not None:
        better = found.comparison.difference
        console.print(
            f"The trained model on the same {found.comparison.pictures} pictures, "
            f"{found.comparison.locations} locations: {better.value:+.3f} macro-F1 against the majority "
            f"vote ({better.low:+.3f} to {better.high:+.3f}, paired bootstrap)"
        )
    if found.problems:
        console.print(f"{len(found.problems)} answers not used; the first: {found.problems[0].reason}")


def _print(table: "pd.DataFrame") -> None:
    from rich.table import Table

    from pipeline.commands.console import console

    shown = Table(box=None, padding=(0, 1, 0, 0))
    shown.add_column("location", no_wrap=True)
    for title in ("F1", "alpha with labels", "alpha among annotators"):
        shown.add_column(title, justify="right")
    for name, row in table.iterrows():
        shown.add_row(str(name), *("-" if value != value else f"{value:.3f}" for value in row))
    console.print(shown)

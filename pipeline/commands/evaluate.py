"""The command `evaluate`."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import Work

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.stages.ablation import Ablation
    from pipeline.stages.protocols import Protocol, Selection


def evaluate(
    work: Work,
    draws: Annotated[
        int, typer.Option(min=100, help="Bootstrap samples of groups for the intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    kaggle_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Private score of your Kaggle submission, to be shown beside."),
    ] = None,
    ablation: Annotated[
        bool,
        typer.Option(
            "--ablation", help="Also score the stack without some part: one block, level 1, another rule …"
        ),
    ] = False,
) -> None:
    """Score the trained model on pictures that each answer saw nothing of.

    Prints and writes metrics.json: per location F1 with a 95 % interval, precision, recall, average
    precision and support; macro-F1 and micro-F1; the two-location and the binary models; what answering
    every location would score; and the four protocols side by side, because a score means nothing without
    its protocol.

    Example: python run.py evaluate --work demo/work
    """
    from pipeline.commands.console import RichProgress, console
    from pipeline.core.workspace import Workspace
    from pipeline.stages.evaluate import EvaluateOptions
    from pipeline.stages.evaluate import evaluate as run

    options = EvaluateOptions(work=work, draws=draws, seed=seed, kaggle_score=kaggle_score, ablation=ablation)
    scores = run(options, RichProgress())
    console.print(f"Protocol: {scores.protocol}\n", markup=False)
    _print(
        scores.table,
        {
            "f1": "F1",
            "interval": "95 %",
            "precision": "prec.",
            "recall": "recall",
            "average_precision": "AP",
            "support": "n",
            "binary_f1": "binary",
        },
    )
    console.print("AP: average precision; n: pictures; binary: F1 of the location's own model.\n")
    if scores.top_two is not None:
        console.print("The two-location model")
        columns = {"f1": "F1", "precision": "prec.", "recall": "recall", "always_f1": "F1 of always yes"}
        _print(scores.top_two, columns)
    console.print()
    for name, score in scores.totals.items():
        console.print(f"{name}: {score.value:.3f} ({score.low:.3f} to {score.high:.3f})")
    for name, value in scores.baselines.items():
        console.print(f"macro-F1 of {name}: {value:.3f}")
    console.print("\nThe four protocols, macro-F1")
    for protocol in scores.protocols:
        console.print(f"({protocol.letter}) {_with_score(protocol)}", markup=False)
    if scores.selection is not None:
        _print_selection(scores.selection)
    if scores.ablation:
        _print_ablation(scores.ablation)
    console.print()
    if scores.left_out:
        console.print(f"No model, so F1 0 among all: {len(scores.left_out)} locations (train names them)")
    console.print(f"Written: {Workspace(work).metrics}", soft_wrap=True)


def _with_score(protocol: "Protocol") -> str:
    if protocol.score is None:
        return protocol.about
    low, high = protocol.score.low, protocol.score.high
    spread = f" ({low:.3f} to {high:.3f})" if low < high else ""
    beside = "" if protocol.beside is None else f"; always yes {protocol.beside:.3f}"
    return f"{protocol.about}: {protocol.score.value:.3f}{spread}{beside}"


def _print_selection(selection: "Selection") -> None:
    from pipeline.commands.console import console

    change = selection.difference
    console.print(
        f"\nLearning from selected labels: {selection.chosen.value:.3f}, from all labels: "
        f"{selection.everything.value:.3f}; difference {change.value:+.3f} ({change.low:+.3f} to "
        f"{change.high:+.3f}). All labels are scored; selection.csv says what was left out."
    )


def _print_ablation(variants: "list[Ablation]") -> None:
    from rich.table import Table

    from pipeline.commands.console import console

    shown = Table(box=None, padding=(0, 1, 0, 0))
    shown.add_column("\nAblation")  # wraps where the window is narrow, so that no number is cut
    for title in ("\nmacro-F1", "\n95 %", "against\nthe stack", "\n95 %"):
        shown.add_column(title, justify="right", no_wrap=True)
    for row in variants:
        shown.add_row(
            row.name,
            f"{row.macro_f1:.3f}",
            f"{row.low:.3f}-{row.high:.3f}",
            f"{row.difference:+.3f}",
            f"{row.worst:+.3f} to {row.most:+.3f}",
        )
    console.print(shown)


def _print(table: "pd.DataFrame", columns: dict[str, str]) -> None:
    from rich.table import Table

    from pipeline.commands.console import console

    shown = Table(box=None, padding=(0, 1, 0, 0))
    shown.add_column("location", no_wrap=True)
    for title in columns.values():
        shown.add_column(title, justify="right", no_wrap=True)
    for name, row in table.iterrows():
        shown.add_row(str(name), *(_cell(row, key) for key in columns))
    console.print(shown)


def _cell(row: "pd.Series[float]", key: str) -> str:
    if key == "interval":
        return f"{row['low']:.2f}-{row['high']:.2f}"
    if key == "support":
        return f"{row[key]:.0f}"
    return "-" if row[key] != row[key] else f"{row[key]:.3f}"

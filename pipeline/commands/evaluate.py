"""The command `evaluate`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.command_line import command
from pipeline.commands.console import RichProgress, following, made, say, show_table, written
from pipeline.core.names import counted
from pipeline.core.workspace import Workspace
from pipeline.stages.options import EvaluateOptions

if TYPE_CHECKING:
    import pandas as pd

    from models.risk import Realised
    from pipeline.stages.against import Against, Difference
    from pipeline.stages.answered_groups import GroupScores
    from pipeline.stages.cell_scores import CellScores
    from pipeline.stages.comparisons import Ablation, Protocol, Score, Selection
    from pipeline.stages.evaluate import Scores

LOCATIONS = {
    "f1": "F1",
    "interval": "95 %",
    "precision": "prec.",
    "recall": "recall",
    "average_precision": "AP",
    "support": "n",
    "binary_f1": "binary",
}
PARENTS = {name: title for name, title in LOCATIONS.items() if name != "binary_f1"}
TOP_TWO = {"f1": "F1", "precision": "prec.", "recall": "recall", "always_f1": "F1 of always yes"}
"""Columns of the tables, and their titles."""


@command(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> None:
    """Score the trained model by its out-of-fold predictions.

    Prints and writes metrics.json: per location F1 with a 95 % interval, precision, recall, average
    precision and support; macro-F1 and micro-F1; the two-location and the binary models; what predicting
    every location would score; and the four protocols side by side, because a score means nothing without
    its protocol.

    Example: python run.py evaluate --work demo/work
    Example: python run.py evaluate --work demo/work --against demo/work/models/fast
    """
    from pipeline.core.stage import execute
    from pipeline.stages.evaluate import Evaluate

    scores = execute(Evaluate(), options, RichProgress())
    made(scores)
    say(f"Protocol: {scores.protocol}\n")
    _print(scores.table, LOCATIONS)
    say("AP: average precision; n: pictures; binary: F1 of the location's own model.\n")
    if scores.top_two is not None:
        say("The two-location model")
        _print(scores.top_two, TOP_TWO)
    if scores.of_parents is not None:
        say("\nParents, shown where any of their trained locations is")
        _print(scores.of_parents, PARENTS)
    if scores.plates is not None:
        _print_plates(scores.plates)
    say()
    for name, score in scores.totals.items():
        say(f"{name}: {score.value:.3f} ({score.low:.3f} to {score.high:.3f})")
    _print_groups(scores.groups)
    _print_heads(scores.heads)
    _print_channels(scores.channels)
    for name, value in scores.baselines.items():
        say(f"macro-F1 of {name}: {value:.3f}")
    say("\nThe four protocols, macro-F1")
    for protocol in scores.protocols:
        say(f"({protocol.letter}) {_with_score(protocol)}")
    _print_risks(scores.risks)
    _print_cells(scores.cells)
    if scores.selection is not None:
        _print_selection(scores.selection)
    _print_ablation(scores.ablation)
    _print_against(scores.against)
    say()
    if scores.left_out:
        say(f"No model, so F1 0 among all: {counted(len(scores.left_out), 'location')} (train names them)")
    _print_end(options, scores)


def _print_end(options: EvaluateOptions, scores: "Scores") -> None:
    """Say what was written, and what comes next."""
    work = Workspace(options.work, options.name)
    written(work.metrics) if scores.fresh else say(f"Up to date: {work.metrics}")
    if options.plot is not None:
        _draw(scores, options.plot)
        written(options.plot)
    following("report", "--work", options.work, *(["--name", options.name] if options.name else []))


def _draw(scores: "Scores", path: Path) -> None:
    from pipeline.pages.plots import differences_figure, scores_figure
    from pipeline.stages.figures import save

    if scores.against is None:
        return save(scores_figure(scores.locations), path)
    rows = {f"macro-F1 ({head})": one for head, one in scores.against.heads.items()}
    rows |= {
        f"{name} ({scores.against.support[name]:,})": one for name, one in scores.against.locations.items()
    }
    differences = {name: (one.difference, one.low, one.high) for name, one in rows.items()}
    words = f"F1 minus that of {scores.against.other}, 95 % interval; in brackets, labelled pictures"
    return save(differences_figure(differences, words), path)


def _print_plates(plates: "Mapping[str, Mapping[str, float]]") -> None:
    say("\nEvery plate, predicted by models that saw nothing of it")
    rows = [
        (name, f"{row['pictures']:,.0f}", f"{row['macro_f1']:.3f}", f"{row['micro_f1']:.3f}")
        for name, row in plates.items()
    ]
    show_table(("plate", "n", "macro-F1", "micro-F1"), rows)


def _print_groups(groups: "GroupScores | None") -> None:
    if groups is None:
        return
    gain, several = groups.gain, f"{groups.of_several:,} of {counted(groups.groups, 'group')}"
    say(
        f"({several} have several pictures; that is {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) "
        "over the pictures' own answers)"
    )


def _print_heads(heads: "Mapping[str, Score]") -> None:
    for head, score in heads.items():
        if head != "stack":
            say(f"macro-F1 of predict --head {head}: {score.value:.3f} ({score.low:.3f} to {score.high:.3f})")


def _print_against(against: "Against | None") -> None:
    if against is None:
        return
    more = [(against.only_here, "here"), (against.only_there, "there")]
    only = "".join(f", {number:,} more only {where}" for number, where in more if number)
    say(f"\nAgainst {against.other}: {counted(against.pictures, 'picture')} of both{only}")
    rows = [
        (name, *_differs(one), f"{against.support[name]:,}", "*" if one.beyond_chance else "")
        for name, one in against.locations.items()
    ]
    show_table(("location", "F1", "there", "difference", "95 %", "n", ""), rows)
    for head, one in against.heads.items():
        f1, other, difference, spread = _differs(one)
        verdict = "beyond chance" if one.beyond_chance else "no more than chance"
        say(f"macro-F1 ({head}): {f1}, there {other}; difference {difference} ({spread}): {verdict}")
    say("Paired intervals over groups, 95 %; *: excludes 0, as one interval in twenty does by chance alone")
    for name, where in against.left_out.items():
        say(f"Trained only {where}, and left out: {name}")
    if against.folds:
        say(against.folds)


def _differs(one: "Difference") -> tuple[str, ...]:
    spread = f"{one.low:+.3f} to {one.high:+.3f}"
    return f"{one.f1:.3f}", f"{one.other:.3f}", f"{one.difference:+.3f}", spread


def _print_cells(cells: "CellScores | None") -> None:
    if cells is None:
        return
    say(f"\nPer cell: {cells.found:,} of {counted(cells.cells, 'true cell')} found; F1 and average precision")
    titles = ("location", "F1", "picture's\nanswer", "AP", "picture's\nanswer", "n")
    keys = ("f1", "picture_f1", "average_precision", "picture_average_precision")
    rows = [
        (name, *(f"{row[key]:.3f}" for key in keys), f"{row['support']:,.0f}")
        for name, row in cells.locations.items()
    ]
    show_table(titles, rows)
    gain = cells.gain
    say(
        f"macro-F1 per cell: {cells.macro_f1.value:.3f}; the picture's answer for every cell "
        f"{cells.picture_macro_f1.value:.3f}; difference {gain.value:+.3f} ({gain.low:+.3f} to "
        f"{gain.high:+.3f})"
    )
    say(
        f"mean average precision per cell: {cells.average_precision:.3f}; the picture's answer "
        f"{cells.picture_average_precision:.3f}"
    )


def _print_channels(channels: "Mapping[str, Score]") -> None:
    for name, score in channels.items():
        say(f"macro-F1 {name}: {score.value:.3f} ({score.low:.3f} to {score.high:.3f})")
    if channels:
        say("(without the columns that need these markers; cells were found with all)")


def _print_risks(risks: "tuple[Realised, ...]") -> None:
    from models.risk import SHIFT

    if not risks:
        return say("\nRisk of wrong names: not calibrated; the model is of an older version")
    say("\nRisk: of all locations that are named, the share that is wrong (cuts come from the other folds)")
    titles = ("--risk", "wrong", "pictures\nnamed", "true pairs\nfound", "wrong where\nshares shift")
    show_table(titles, map(_risk, risks))
    say(
        "Pictures without a name are not_sure. Shares shift: every location becomes up to "
        f"{SHIFT:g} times as frequent or as rare, at random; 95 % of such shifts stay below."
    )
    return None


def _risk(one: "Realised") -> tuple[str, ...]:
    """Return a row of the table of risks; where nothing is named, no share of it is wrong."""
    wrong, shifted = (f"{value:.1%}" if one.coverage else "–" for value in (one.wrong, one.shifted))
    return f"{one.risk:g}", wrong, f"{one.coverage:.1%}", f"{one.found:.1%}", shifted


def _with_score(protocol: "Protocol") -> str:
    if protocol.score is None:
        return protocol.about
    low, high = protocol.score.low, protocol.score.high
    spread = f" ({low:.3f} to {high:.3f})" if low < high else ""
    beside = "" if protocol.beside is None else f"; always yes {protocol.beside:.3f}"
    return f"{protocol.about}: {protocol.score.value:.3f}{spread}{beside}"


def _print_selection(selection: "Selection") -> None:
    change = selection.difference
    say(
        f"\nTrained on filtered labels: {selection.chosen.value:.3f}, on all labels: "
        f"{selection.everything.value:.3f}; difference {change.value:+.3f} ({change.low:+.3f} to "
        f"{change.high:+.3f}). All labels are scored; selection.csv says what was left out."
    )


def _print_ablation(variants: "tuple[Ablation, ...]") -> None:
    if not variants:
        return
    titles = ("\nAblation", "\nmacro-F1", "\n95 %", "against\nthe stack", "\n95 %")
    rows = [
        (
            row.name,
            f"{row.macro_f1:.3f}",
            f"{row.low:.3f}-{row.high:.3f}",
            f"{row.difference:+.3f}",
            f"{row.worst:+.3f} to {row.most:+.3f}",
        )
        for row in variants
    ]
    show_table(titles, rows)


def _print(table: "pd.DataFrame", columns: Mapping[str, str]) -> None:
    rows = [(str(name), *(_cell(row, key) for key in columns)) for name, row in table.iterrows()]
    show_table(("location", *columns.values()), rows)


def _cell(row: "pd.Series[float]", key: str) -> str:
    if key == "interval":
        return f"{row['low']:.2f}-{row['high']:.2f}"
    if key == "support":
        return f"{row[key]:,.0f}"
    return "-" if row[key] != row[key] else f"{row[key]:.3f}"

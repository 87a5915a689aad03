"""Figures: the colours and axes that they share, and importances as bars and as a table of colour."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from features.catalogue import FAMILY_WORDS
from pipeline.core.files import replacing
from pipeline.stages.importances import CLEAR, Cause

FOR, AGAINST, EITHER = "#2f6f9f", "#b3541e", "#8a949e"
"""Colours of what speaks for a location, against it, and of what works both ways or has no direction."""
INK, GRID = "#222222", "#dddddd"
_WIDTH = 44
"""Letters in a line of a label."""


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    FigureCanvasAgg(figure)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png", facecolor="white")


def plain(axes: Axes) -> None:
    """Leave of the frame the line below, and no marks beside the names of rows."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def rule(axes: Axes, width: float = 0.8) -> None:
    """Draw `plain` axes with lines behind the rows, so many points wide, to read values by."""
    plain(axes)
    axes.grid(axis="x", color=GRID, linewidth=width)
    axes.set_axisbelow(True)


def two_lines(text: str) -> str:
    """Return a label in at most two lines."""
    return "\n".join(textwrap.wrap(text, _WIDTH, max_lines=2, placeholder=" …"))


def bars(shown: Sequence[Cause], location: str, *, named: bool) -> Figure:
    """Draw causes as bars, the largest at the top; labels are their names, or (not `named`) their words."""
    labels = [two_lines(cause.name if named else cause.words) for cause in shown]
    figure = Figure(figsize=(9, 1.5 + 0.42 * len(labels)), layout="constrained")
    axes = figure.subplots()
    values = [cause.share for cause in shown]
    axes.barh(range(len(values)), values, color=[_colour(cause.direction) for cause in shown], height=0.62)
    for row, value in enumerate(values):
        axes.text(value, row, f" {value:.1%}", va="center", fontsize=8, color=INK)
    axes.set_xlim(0, 1.12 * max(values))
    axes.set_yticks(range(len(values)), labels, fontsize=8.5, color=INK)
    axes.invert_yaxis()
    axes.set_title(f"What decides {location}", loc="left", fontsize=12, color=INK)
    axes.set_xlabel("mean absolute share of the log-odds", fontsize=9, color=INK)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1 if max(values) < 0.05 else 0))
    rule(axes)
    words = {
        FOR: "more of it speaks for",
        AGAINST: "more of it speaks against",
        EITHER: "no single direction",
    }
    used = {_colour(cause.direction) for cause in shown}
    keys = [Patch(color=colour, label=text) for colour, text in words.items() if colour in used]
    axes.legend(handles=keys, fontsize=8.5, frameon=False, loc="lower right")
    return figure


def _colour(direction: float | None) -> str:
    if direction is None or abs(direction) < CLEAR:
        return EITHER
    return FOR if direction > 0 else AGAINST


def heat_map(shares: pd.DataFrame) -> Figure:
    """Draw shares of names (rows) in locations (columns) as colours with numbers, a location a row."""
    names = [_short(str(name)) for name in shares.index]
    size = (max(6.5, 3 + 0.55 * len(names)), 2.4 + 0.32 * shares.shape[1])
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    values = shares.T.to_numpy()
    top = max(float(values.max()), 1e-9)
    axes.imshow(values, cmap="Blues", aspect="auto", norm=PowerNorm(0.5, vmin=0, vmax=top))
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor", fontsize=8.5)
    axes.set_yticks(range(shares.shape[1]), list(shares.columns), fontsize=8.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            ink = "white" if value > 0.4 * top else INK
            said = axes.text(column, row, f"{100 * value:.0f}", fontsize=7.5, color=ink)
            said.set(ha="center", va="center")
    title = f"Share of each location's log-odds by {shares.index.name}, in %"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=INK)
    return figure


def _short(name: str) -> str:
    return textwrap.shorten(FAMILY_WORDS.get(name, name.replace("_", " ")), 40, placeholder=" …")

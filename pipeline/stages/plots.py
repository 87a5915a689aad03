"""Bar plots and tables of colour, as PNG files, without a display."""

import textwrap
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pipeline.core.files import replacing
from pipeline.stages.importances import NOT_MEASURED, in_words

_BAR = "#2f6f9f"
_INK = "#222222"


def plot_shares(shares: pd.Series | pd.DataFrame, path: Path) -> None:
    """Draw the shares of one location as bars, or those of all locations as a table of colour.

    Parameters
    ----------
    shares : Series or DataFrame
        Series: name to share, largest first, named by its location. DataFrame: names x locations.
    path : Path
        The PNG file to write.
    """
    figure = _bars(shares) if isinstance(shares, pd.Series) else _table(shares)
    FigureCanvasAgg(figure)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png", facecolor="white")


def _bars(shares: "pd.Series[float]") -> Figure:
    words = [_label(str(name), str(shares.index.name)) for name in shares.index]
    lines = sum(label.count("\n") + 1 for label in words)
    figure = Figure(figsize=(9, 1.2 + 0.19 * lines + 0.12 * len(words)), layout="constrained")
    axes = figure.subplots()
    places = range(len(words))
    axes.barh(places, shares.to_numpy(), color=_BAR, height=0.72)
    axes.set_yticks(places, words, fontsize=8.5, color=_INK)
    axes.invert_yaxis()
    axes.set_title(f"{shares.name}: what moves the stack's log-odds", loc="left", fontsize=12, color=_INK)
    axes.set_xlabel("mean absolute share of the log-odds", fontsize=9, color=_INK)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1 if shares.max() < 0.05 else 0))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure


def _table(shares: pd.DataFrame) -> Figure:
    names = [_label(str(name), str(shares.index.name)) for name in shares.index]
    figure = Figure(
        figsize=(max(6.5, 3 + 0.55 * len(names)), 1.8 + 0.32 * shares.shape[1]), layout="constrained"
    )
    axes = figure.subplots()
    values = shares.T.to_numpy()
    axes.imshow(values, cmap="Blues", aspect="auto", vmin=0)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8.5)
    axes.set_yticks(range(shares.shape[1]), list(shares.columns), fontsize=8.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            dark = value > 0.6 * values.max()
            axes.text(
                column,
                row,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                fontsize=7.5,
                color="white" if dark else _INK,
            )
    title = f"Share of each location's log-odds by {shares.index.name}, in %"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=_INK)
    return figure


def _label(name: str, by: str) -> str:
    text = in_words(name) if by == "feature" else name.replace("_", " ")
    if text == NOT_MEASURED:
        text = f"{name} ({text})"
    return textwrap.fill(text, 62)

"""Plots of pages as inline SVG: the same bytes whenever they are drawn of the same numbers."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from features.catalogue import FAMILY_WORDS
from pipeline.pages.verdicts import calibration
from pipeline.stages.comparisons import Ablation, OutOfFold
from pipeline.stages.figures import AGAINST, FOR, GRID, rule

INK, SOFT = "#1d2329", "#4d5964"
"""Those of the style sheet."""
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "pages", "font.family": "sans-serif", "font.size": 9}
POINTS = 120
"""Points of a curve at most."""
ACROSS = 4
"""Panels side by side."""


def svg(figure: Figure, words: str) -> Markup:
    """Return a figure as SVG to put into a page; `words` say what it shows to those who do not see it."""
    FigureCanvasSVG(figure)
    stream = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<svg ", f'<svg role="img" aria-label="{escape(words)}" ', text, count=1)
    prefix = re.sub(r"\W+", "-", words.lower())[:40]  # several figures stand in one page: names of their own
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}-", text)
    return Markup(text)  # noqa: S704 - drawn here


def _panels(names: Sequence[str]) -> tuple[Figure, dict[str, Axes]]:
    rows = -(-len(names) // ACROSS)
    figure = Figure(figsize=(9.6, 2.1 * rows), layout="constrained")
    grid = np.atleast_1d(figure.subplots(rows, min(ACROSS, len(names)), squeeze=False)).ravel()
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(grid, names, strict=False):
        axes.set_title(name, fontsize=9, loc="left", color=INK)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7.5, color=SOFT)
        axes.grid(color=GRID, linewidth=0.6)
    return figure, dict(zip(names, grid, strict=False))


def precision_recall(predicted: OutOfFold, scores: Mapping[str, Mapping[str, float]]) -> Markup:
    """Draw every location's precision-recall curve, out of fold, with the point of its thresholds."""
    with mpl.rc_context(STYLE):
        figure, panels = _panels(list(predicted.truth.columns))
        for name, axes in panels.items():
            truth, chance = predicted.truth[name].to_numpy(bool), predicted.probability[name].to_numpy()
            precision, recall, _ = precision_recall_curve(truth, chance)
            some = np.unique(np.linspace(0, len(recall) - 1, min(POINTS, len(recall))).astype(int))
            axes.step(recall[some], precision[some], color=FOR, linewidth=1.4, where="post")
            axes.axhline(truth.mean(), color=SOFT, linewidth=0.8, linestyle=":")
            axes.plot(scores[name]["recall"], scores[name]["precision"], "o", color=AGAINST, markersize=5)
        figure.supxlabel("recall: share of its pictures that are found", fontsize=9, color=SOFT)
        figure.supylabel("precision: share of its names that are right", fontsize=9, color=SOFT)
        return svg(figure, "Precision-recall curve of every location")


def reliability(predicted: OutOfFold) -> Markup:
    """Draw how often what is given a probability comes true: of all locations together, and of each."""
    whole = "all locations"
    with mpl.rc_context(STYLE):
        figure, panels = _panels([whole, *predicted.truth.columns])
        for name, axes in panels.items():
            one = predicted if name == whole else predicted.of(predicted.truth.index, [name])
            table = calibration(one, 10 if name == whole else 5)
            axes.plot((0, 1), (0, 1), color=SOFT, linewidth=0.8, linestyle=":")
            axes.plot(table["probability"], table["share"], color=FOR, linewidth=1)
            axes.scatter(table["probability"], table["share"], 6 + 10 * np.log10(table["number"]), color=FOR)
        figure.supxlabel("probability that was given", fontsize=9, color=SOFT)
        figure.supylabel("share that came true", fontsize=9, color=SOFT)
        return svg(figure, "Reliability curve of all locations together and of each")


def table_of_colour(values: pd.DataFrame, words: str, across: str, down: str, *, shares: bool) -> Markup:
    """Draw a table as colours with numbers: shares in per cent, or counts."""
    numbers = values.to_numpy(float)
    rows, columns = numbers.shape
    top = max(float(numbers.max()), 1e-9)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(min(3.2 + 0.42 * columns, 15), 2.4 + 0.28 * rows), layout="constrained")
        axes = figure.subplots()
        norm = PowerNorm(0.5, vmin=0, vmax=top)
        axes.pcolormesh(numbers, cmap="Blues", norm=norm, edgecolors="white", linewidth=0.5)
        axes.invert_yaxis()
        axes.set_xticks(np.arange(columns) + 0.5, list(values.columns), rotation=45, ha="right", fontsize=8)
        for label in axes.get_xticklabels():
            label.set_rotation_mode("anchor")
        axes.set_yticks(np.arange(rows) + 0.5, list(values.index), fontsize=8)
        axes.set_xlabel(across, fontsize=9, color=SOFT)
        axes.set_ylabel(down, fontsize=9, color=SOFT)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for row, column, value in _shown(numbers):
            text = f"{100 * value:.0f}" if shares else f"{value:.0f}"
            ink = "white" if value > 0.4 * top else INK
            axes.text(column + 0.5, row + 0.5, text, fontsize=7, color=ink, ha="center", va="center")
        return svg(figure, words)


def _shown(numbers: "np.typing.NDArray[np.float64]") -> Iterable[tuple[int, int, float]]:
    for row, line in enumerate(numbers):
        for column, value in enumerate(line):
            if value >= 0.005:
                yield row, column, float(value)


def ablation(variants: Sequence[Ablation]) -> Markup:
    """Draw the difference that leaving parts out makes, with its interval."""
    rows = {one.name: (one.difference, one.worst, one.most) for one in variants}
    with mpl.rc_context(STYLE):
        figure = differences_figure(rows, "macro-F1 against the whole stack, 95 % interval")
        return svg(figure, "What each part of the model adds")


def differences_figure(rows: Mapping[str, tuple[float, float, float]], across: str) -> Figure:
    """Return the figure of differences, each with the ends of its interval, by name."""
    figure = Figure(figsize=(8.4, 0.9 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for row, (difference, low, high) in enumerate(rows.values()):
        axes.plot((low, high), (row, row), color=SOFT, linewidth=1.2)
        axes.plot(difference, row, "o", color=FOR, markersize=5)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), list(rows), fontsize=8.5)
    axes.invert_yaxis()
    axes.set_xlabel(across, fontsize=9, color=SOFT)
    rule(axes, 0.6)
    return figure


def location_scores(scores: Mapping[str, Mapping[str, float]]) -> Markup:
    """Draw every location's F1 with its interval, the best at the top."""
    with mpl.rc_context(STYLE):
        return svg(scores_figure(scores), "F1 of every location with its interval")


def scores_figure(scores: Mapping[str, Mapping[str, float]]) -> Figure:
    """Return the figure of every location's F1 with its interval."""
    order = sorted(scores, key=lambda name: -scores[name]["f1"])
    figure = Figure(figsize=(8.4, 0.9 + 0.28 * len(order)), layout="constrained")
    axes = figure.subplots()
    for row, name in enumerate(order):
        axes.plot((scores[name]["low"], scores[name]["high"]), (row, row), color=SOFT, linewidth=1.4)
        axes.plot(scores[name]["f1"], row, "o", color=FOR, markersize=5)
    axes.set_yticks(
        range(len(order)), [f"{name} ({scores[name]['support']:,.0f})" for name in order], fontsize=8.5
    )
    axes.invert_yaxis()
    axes.set(xlim=(-0.02, 1.02))
    axes.set_xlabel("F1 with its 95 % interval; in brackets, labelled pictures", fontsize=9, color=SOFT)
    rule(axes, 0.6)
    return figure


def families(shares: pd.DataFrame) -> Markup:
    """Draw the shares of families (rows) in every location's log-odds, a location a row."""
    named = shares.T.rename(columns=lambda name: FAMILY_WORDS.get(name, f"network {name}"))
    return table_of_colour(named, "Share of every location's log-odds by family", "", "", shares=True)

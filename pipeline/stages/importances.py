"""The stage `importances`: each feature's share of each location's log-odds."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from models.bundle import Model
from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing, write_table
from pipeline.core.names import unknown
from pipeline.core.stage import Progress, Stage, Summary, file_inputs, option_inputs, read_made, table_inputs
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import read_features
from pipeline.data.locations import KAGGLE2018, LocationList
from pipeline.data.plates import as_trained
from pipeline.data.tables import unsaid
from pipeline.networks.leak_guard import read_given
from pipeline.stages.column_meanings import BY, NOT_MEASURED, in_words, key_of
from pipeline.stages.explain_options import ImportancesOptions
from pipeline.stages.trained_models import open_model

_BAR = "#2f6f9f"
_INK = "#222222"


class ImportancesSummary(Summary):
    """How many columns of how many locations are explained, from so many pictures."""

    columns: int
    locations: int
    pictures: int


class Importances(Stage[ImportancesOptions, ImportancesSummary]):
    """Write each column's mean absolute share of each location's log-odds in the stack."""

    name = "importances"
    options = ImportancesOptions
    summary = ImportancesSummary

    def inputs(self, options: ImportancesOptions) -> dict[str, str]:
        """Return fingerprints of the model and of the tables it was trained with."""
        work = Workspace(options.work, options.name)
        manifest = work.model / "manifest.json"
        if not manifest.is_file() or not work.folds.is_file():
            raise PipelineError(f"{manifest}: missing; run train with --work {work.root} first")
        features = {"features": work.features} if work.features.is_file() else {}
        return {
            **file_inputs({"model": manifest, **features}),
            **table_inputs(options.embeddings, options.outputs),
            **option_inputs(options, "pictures"),
        }

    def outputs(self, options: ImportancesOptions) -> tuple[Path, ...]:
        """Return the table of shares."""
        return (Workspace(options.work, options.name).importances,)

    def run(self, options: ImportancesOptions, progress: Progress) -> ImportancesSummary:
        """Explain training pictures.

        Raises
        ------
        PipelineError
            If the model's tables are not given.
        """
        work = Workspace(options.work, options.name)
        model = open_model(work.model)
        ids = read_made(work.folds, ["Id"])["Id"].to_numpy()
        some = ids[np.unique(np.linspace(0, len(ids) - 1, min(options.pictures, len(ids))).astype(int))]
        table = model_table(work, model, work.model, options.embeddings, options.outputs).reindex(some)
        with progress.track("Explaining pictures", len(table)) as advance:
            shares = model.stack.mean_shares(table, finished=advance)
        write_table(work.importances, shares.rename_axis("column").reset_index())
        return ImportancesSummary(columns=len(shares), locations=shares.shape[1], pictures=len(table))


def read_shares(work: Workspace) -> pd.DataFrame:
    """Return the shares that `Importances` wrote: columns of the model x trained locations."""
    return read_made(work.importances).set_index("column")


def grouped(shares: pd.DataFrame, by: str) -> pd.DataFrame:
    """Sum shares over columns alike in one of `BY`, the largest mean first; refuse anything else."""
    if by not in BY:
        raise PipelineError(unknown("grouping", by, BY))
    keys = [key_of(column, by) for column in shares.index]
    sums = shares.groupby(pd.Index(keys, name=by)).sum()
    return sums.loc[sums.mean(axis=1).sort_values(ascending=False, kind="stable").index]


def of_location(
    shares: pd.DataFrame,
    location: str,
    by: str,
    top: int,
    left_out: Mapping[str, str] | None = None,
    locations: LocationList = KAGGLE2018,
) -> pd.Series:
    """Return the `top` largest shares, as `grouped`, of one location, given by name or class index.

    One that has no model is refused, saying why where `left_out` does.
    """
    name = locations.find(location)
    if name not in shares.columns:
        reason = (left_out or {}).get(name, "train says why")
        raise PipelineError(f"no model for {name} ({reason}); there is one for: {', '.join(shares.columns)}")
    return grouped(shares, by)[name].sort_values(ascending=False, kind="stable").head(top)


def model_table(
    work: Workspace, model: Model, folder: Path, embeddings: Sequence[Path], outputs: Sequence[Path]
) -> pd.DataFrame:
    """Return the model's columns of all pictures of a work folder, as they are predicted from.

    Raises
    ------
    PipelineError
        If a column is neither among the features nor in the given tables.
    """
    given = list(read_given(folder, model, embeddings, outputs).values())
    if work.features.is_file():
        table = read_features(work)
    else:
        table = pd.DataFrame(index=sorted({sample for one in given for sample in one.index}))
    for one in given:
        table = table.join(one)
    missing = [column for column in model.columns if column not in table.columns]
    if missing:
        raise PipelineError(
            f"{folder}: {len(missing)} of its columns are not in {work.features.name} ({missing[0]}, …); "
            "run extract and train again"
        )
    return as_trained(table[model.columns], model, work, unsaid, folder)[0]


def plot_shares(shares: pd.Series | pd.DataFrame, path: Path) -> None:
    """Draw the shares of one location as bars, or those of all, names x locations, as a table of colour.

    Those of one, a Series, have its name and come largest first. The file is a PNG.
    """
    figure = _bars(shares) if isinstance(shares, pd.Series) else _heat_map(shares)
    FigureCanvasAgg(figure)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png", facecolor="white")


def _bars(shares: "pd.Series[float]") -> Figure:
    words = [_label(str(name), str(shares.index.name)) for name in shares.index]
    lines = sum(label.count("\n") + 1 for label in words)
    figure = Figure(figsize=(9, 1.2 + 0.19 * lines + 0.12 * len(words)), layout="constrained")
    axes = figure.subplots()
    rows = range(len(words))
    axes.barh(rows, shares.to_numpy(), color=_BAR, height=0.72)
    axes.set_yticks(rows, words, fontsize=8.5, color=_INK)
    axes.invert_yaxis()
    axes.set_title(f"What decides {shares.name}", loc="left", fontsize=12, color=_INK)
    axes.set_xlabel("mean absolute share of the log-odds", fontsize=9, color=_INK)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1 if shares.max() < 0.05 else 0))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure


def _heat_map(shares: pd.DataFrame) -> Figure:
    names = [_label(str(name), str(shares.index.name)) for name in shares.index]
    size = (max(6.5, 3 + 0.55 * len(names)), 1.8 + 0.32 * shares.shape[1])
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    values = shares.T.to_numpy()
    axes.imshow(values, cmap="Blues", aspect="auto", vmin=0)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8.5)
    axes.set_yticks(range(shares.shape[1]), list(shares.columns), fontsize=8.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            ink = "white" if value > 0.6 * values.max() else _INK
            said = axes.text(column, row, f"{100 * value:.0f}", fontsize=7.5, color=ink)
            said.set(ha="center", va="center")
    title = f"Share of each location's log-odds by {shares.index.name}, in %"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=_INK)
    return figure


def _label(name: str, by: str) -> str:
    text = in_words(name) if by == "feature" else name.replace("_", " ")
    if text == NOT_MEASURED:
        text = f"{name} ({text})"
    return textwrap.fill(text, 62)

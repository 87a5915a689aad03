"""The stage `explain`: why one picture got its answer, exactly, grouped by meaning, and what it is like."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.bundle import Model
from models.hyperparameters import CELLS
from models.stack_model import BIAS, STACK
from pipeline.core.errors import PipelineError, SampleError
from pipeline.core.files import write_text
from pipeline.core.names import unknown
from pipeline.core.stage import read_made
from pipeline.core.workspace import Workspace, untrained
from pipeline.data.cell_tables import read_cells
from pipeline.data.flat_fields import even_samples
from pipeline.data.groups import samples_column
from pipeline.data.locations import of_card
from pipeline.data.masks import read_mask
from pipeline.data.pictures import read_picture
from pipeline.stages.column_meanings import grouped_by_meaning, in_words, key_of
from pipeline.stages.explain_options import ExplainOptions
from pipeline.stages.figures import AGAINST, FOR, INK, plain, save
from pipeline.stages.importances import model_table
from pipeline.stages.nearest import similarities
from pipeline.stages.overlay import RGB, composite, draw_outlines
from pipeline.stages.speaking_cells import SpeakingCell, speaking_cells
from pipeline.stages.trained_models import open_model

DECIDING = 200
"""Features by which pictures are alike, at most: of every part the one that adds or takes most."""


class Part(BaseModel):
    """What columns of one meaning add to the log-odds of a location: see `Meaning`.

    `column` is the one of them that adds or takes most, and `words` says what it is.
    """

    model_config = ConfigDict(frozen=True)

    family: str
    region: str
    channel: str
    cells: str
    title: str
    contribution: float
    column: str
    words: str


class Alike(BaseModel):
    """A labelled training picture, its similarity (a cosine) and the locations that it shows."""

    model_config = ConfigDict(frozen=True)

    id: str
    similarity: float
    locations: list[str]


class Explanation(BaseModel):
    """Why a picture got its probability of a location.

    The log-odds are the sum of `bias` and of all contributions, exactly; `parts` come with the largest first,
    whatever its sign. The location is chosen from `threshold` on. `cells` are those that speak most for it,
    where the model was trained on single cells. `doubt` says why `predict` gives no answer for the picture,
    whatever its probability; empty where it gives one.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    location: str
    probability: float
    threshold: float
    log_odds: float
    bias: float
    parts: list[Part]
    nearest: list[Alike] = []
    cells: list[SpeakingCell] = []
    doubt: str = ""


def explained(model: Model, row: pd.DataFrame, location: str) -> Explanation:
    """Explain the probability that a model gives one picture for one location.

    Parameters
    ----------
    row : DataFrame
        One row: index the picture's Id, columns those of the model.
    location : str
        A trained one, or ValueError.
    """
    shares = model.stack.contributions(row, location).iloc[0]
    bias, shares = float(shares[BIAS]), shares.drop(BIAS)
    position = model.locations.index(location)
    return Explanation(
        id=str(row.index[0]),
        location=location,
        probability=float(model.predict(row).probability[location].iloc[0]),
        threshold=float(model.stack.meta_learners[STACK].thresholds[position]),
        log_odds=bias + float(shares.sum()),
        bias=bias,
        parts=parts_of(tuple(model.stack.contributors), shares.to_numpy(np.float64)),
    )


def parts_of(columns: tuple[str, ...], values: NDArray[np.float64], top: int | None = None) -> list[Part]:
    """Add up what columns contribute by their meaning; the `top` largest, whatever their sign."""
    meanings, of = grouped_by_meaning(columns)
    sums = np.bincount(of, values, len(meanings))
    order = np.lexsort((np.abs(values), of))
    leading = order[np.searchsorted(of[order], np.arange(len(meanings)), side="right") - 1]
    parts = []
    for one in np.argsort(-np.abs(sums), kind="stable")[:top]:
        meaning, column = meanings[one], columns[leading[one]]
        words = in_words(key_of(column, "feature"))  # a dimension of a network means nothing by itself
        said = {"title": meaning.title, "column": column, "words": words}
        parts.append(Part(**asdict(meaning), contribution=float(sums[one]), **said))
    return parts


def explain(options: ExplainOptions) -> Explanation:
    """Explain one picture of a work folder; write what was asked for.

    Raises
    ------
    PipelineError
        If the picture has no row, the location no model, or there is nothing to draw.
    """
    work = Workspace(options.work, options.name)
    folder = options.model or work.model
    if options.model is None and not folder.is_dir():
        raise untrained(work)
    model = open_model(folder)
    table = model_table(work, model, folder, options.embeddings, options.outputs)
    if options.id not in table.index:
        some = ", ".join(table.index[:3])
        raise PipelineError(f"{work.root}: no picture '{options.id}'; it holds {len(table)}, such as {some}")
    row = table.loc[[options.id]]
    made = explained(model, row, _location(options, model, row))
    trained = work if options.model is None else Workspace(folder.parent)
    alike = _nearest(options, made, trained)
    cells = _speaking(model, row, made.location, work, options.id)
    doubt = str(samples_column(work, "doubt").get(options.id, ""))
    made = made.model_copy(update={"nearest": alike, "cells": cells, "doubt": doubt})
    if options.output is not None:
        write_text(options.output, made.model_dump_json(indent=1))
    if options.plot is not None:
        draw(made, _picture(options, work), options.plot, options.top)
    return made


def _speaking(
    model: Model, row: pd.DataFrame, location: str, work: Workspace, sample: str
) -> list[SpeakingCell]:
    """Return the cells of a picture of a work folder that speak for a location."""
    if CELLS not in model.stack.blocks:
        return []
    known = read_cells(work, ())
    labels = known.loc[known.index == sample, "label"].to_numpy(np.int64)
    mask = work.mask(sample)
    cells = read_mask(mask).cells if mask.is_file() else None
    return speaking_cells(model, row, location, labels, cells)


def _location(options: ExplainOptions, model: Model, row: pd.DataFrame) -> str:
    """Return the location that is asked for, or the most probable one."""
    if options.location is None:
        return str(model.predict(row).probability.iloc[0].idxmax())
    name = of_card(model.card).find(options.location)
    if name not in model.locations:
        raise PipelineError(f"no model for {unknown('location', name, model.locations)}")
    return name


def _nearest(options: ExplainOptions, made: Explanation, trained: Workspace) -> list[Alike]:
    """Return the training pictures of other groups that are most alike in what decides the location.

    Nothing where the tables of the training are not beside the model, or it measures no features.
    """
    if not (trained.features.is_file() and trained.out_of_fold.is_file() and trained.folds.is_file()):
        return []
    deciding = [part.column for part in made.parts if part.region != "cnn"][:DECIDING]
    if not deciding:
        return []
    groups = read_made(trained.folds, ["Id", "group"]).set_index("Id")["group"]
    known = read_made(trained.features, ["Id", *deciding]).set_index("Id").reindex(groups.index)
    own = groups.get(options.id)
    measured_here = read_made(Workspace(options.work).features, ["Id", *deciding]).set_index("Id")
    picture = pd.Series(measured_here.loc[options.id])
    best = most_alike(known[known.index != options.id], picture, groups, own, options.alike)
    truth = read_made(trained.out_of_fold, ["Id", "model", "location", "truth"])
    truth = truth[truth["model"].eq(STACK) & truth["truth"].astype(bool)]
    shown = truth.groupby("Id")["location"].agg(lambda names: [str(name) for name in names])
    return [
        Alike(id=str(one), similarity=float(value), locations=shown.get(one, []))
        for one, value in best.items()
    ]


def most_alike(
    known: pd.DataFrame, picture: "pd.Series[float]", groups: "pd.Series[str]", own: str | None, number: int
) -> "pd.Series[float]":
    """Return the similarities of the pictures of other groups than the `own` one that are most alike."""
    others = known[(groups.reindex(known.index) != own).to_numpy()]
    usual = others.median()
    best = similarities(others.fillna(usual).fillna(0), picture.fillna(usual).fillna(0))
    return best.sort_values(ascending=False, kind="stable").head(number)


def _picture(options: ExplainOptions, work: Workspace) -> RGB | None:
    """Return the picture with the outlines of its cells, where its folder is given."""
    if options.images is None:
        return None
    sample = next((one for one in even_samples(options, work)[0] if one.id == options.id), None)
    if sample is None:
        raise PipelineError(
            f"{options.images}: no picture '{options.id}'; give its folder, or leave --images"
        )
    try:
        drawn = composite(read_picture(sample))
    except SampleError as error:
        raise PipelineError(str(error)) from error
    mask = work.mask(options.id)
    return draw_outlines(drawn, read_mask(mask)) if mask.is_file() else drawn


def draw(made: Explanation, picture: RGB | None, path: Path, top: int) -> None:
    """Draw the parts as bars, beside the picture where there is one, into a PNG."""
    figure = Figure(figsize=(13 if picture is not None else 8, 1.6 + 0.32 * (top + 2)), layout="constrained")
    if picture is None:
        axes = figure.subplots()
    else:
        left, axes = figure.subplots(1, 2, width_ratios=(1, 1.3))
        left.imshow(picture)
        left.set_axis_off()
        for cell in made.cells:
            if cell.x is not None and cell.y is not None:
                left.text(cell.x, cell.y, f"{cell.share:.0%}", color="white", ha="center", fontsize=8)
        left.set_title(f"{made.id}: microtubules red, protein green, DNA blue", loc="left", fontsize=9)
    rows = shown(made, top)
    values = np.array([value for _, value in rows])
    axes.barh(range(len(rows)), values, color=np.where(values > 0, FOR, AGAINST), height=0.72)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8.5)
    axes.invert_yaxis()
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("contribution to the log-odds: right speaks for it, left against", fontsize=9)
    plain(axes)
    title = f"{made.location}: probability {made.probability:.2f}, chosen from {made.threshold:.2f} on"
    axes.set_title(title, loc="left", fontsize=11)
    save(figure, path)


def shown(made: Explanation, top: int) -> list[tuple[str, float]]:
    """Return the largest parts by name, all others together, and the bias: they sum to the log-odds."""
    rows = [(part.title, part.contribution) for part in made.parts[:top]]
    others = made.parts[top:]
    if others:
        rows.append((f"{len(others)} others", sum(part.contribution for part in others)))
    return [*rows, ("where it starts, before anything is measured", made.bias)]

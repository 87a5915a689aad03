"""Answers per cell as tables: what every cell shows, and the share of cells by location."""

import base64
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.bags import cell_columns
from models.base_learners.cell_network import CellNetwork
from models.bundle import Model
from models.cell_answers import CellAnswers, ShownByCells, answers_of_cells, cell_network
from models.hyperparameters import CELLS
from models.stack_model import Prediction
from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.core.required import required
from pipeline.core.stage import Progress
from pipeline.core.workspace import Workspace
from pipeline.data.cell_tables import read_cells
from pipeline.data.locations import LocationList, of_card, open_list
from pipeline.data.masks import read_mask
from pipeline.data.plates import normalisation_of
from pipeline.stages.answered_pictures import HPA2021_FORMAT, NO_ANSWER, SKIPPED, beside
from pipeline.stages.options import PredictOptions

COLUMNS = ["Id", "label", "locations", "probabilities", "status"]
"""Columns of a table of cells before the probability of every location."""

UNTRAINED = "was trained without --cells, and knows nothing of single cells; train it again with --cells"

SINGLE_CELLS = "single_cells"
"""Where a model's card says how cells that show a location differ from others."""

HPA2021 = "hpa2021"
"""List of the classes of the competition of 2021."""


def network_of(model: Model, folder: Path) -> CellNetwork:
    """Return what a model knows of single cells, or refuse it."""
    found = cell_network(model.stack)
    if found is None:
        raise PipelineError(f"{folder}: {UNTRAINED}")
    return found


def shown_of(model: Model) -> ShownByCells:
    """Return how the cells that show a location differ from others, of a model that learned from cells."""
    return ShownByCells.of_card(model.card[SINGLE_CELLS], model.locations)


def answer_cells(
    network: CellNetwork,
    shown: ShownByCells,
    cells: NDArray[np.float32],
    picture: tuple[NDArray[np.float64], NDArray[np.bool_]],
) -> CellAnswers:
    """Answer the cells of one picture, shape (cells, columns), given `answers_of_cells`' last two.

    Locations that the picture has beyond those of the network, all its cells have.
    """
    of_cells = network.of_cells(cells)
    log_odds = of_cells.mean(axis=0)
    share = network.shares(of_cells) if len(cells) else log_odds
    beyond = (0, 0), (0, len(picture[0]) - log_odds.shape[1])
    given = np.pad(shown.given(log_odds), beyond, constant_values=1.0)
    return answers_of_cells(given, np.pad(share, beyond, constant_values=1 / max(1, len(cells))), *picture)


def cell_table(
    model: Model,
    folder: Path,
    work: Workspace,
    prediction: Prediction,
    status: "pd.Series[str]",
    progress: Progress,
) -> pd.DataFrame:
    """Answer all cells of pictures.

    Parameters
    ----------
    prediction : Prediction
        Of the pictures; what is chosen is what is answered of them.
    status : Series of str
        Of every picture, by Id; cells have that of their picture.

    Returns
    -------
    DataFrame
        `COLUMNS`, and the probability of every location.
    """
    network = network_of(model, folder)
    names = [*model.locations, *prediction.probability.columns.difference(list(model.locations), sort=False)]
    cells = read_cells(work, cell_columns(model.stack.blocks[CELLS]), normalisation_of(model.card))
    known = prediction.probability.index
    probability, chosen = (one[names].to_numpy() for one in (prediction.probability, prediction.chosen))
    positions = {str(name): number for number, name in enumerate(known)}
    shown, parts = shown_of(model), []
    with progress.track("Answering cells", len(known)) as advance:
        for key, own in cells.groupby(level=0, sort=False):
            advance(1)
            one = str(key)
            if one not in positions or status[one] in (NO_ANSWER, SKIPPED):
                continue
            row = positions[one]
            numbers = own.drop(columns="label").to_numpy(np.float32)
            found = answer_cells(network, shown, numbers, (probability[row], chosen[row].astype(bool)))
            parts.append(_rows(one, own["label"].to_numpy(), found, names, status[one]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*COLUMNS, *names])


def _rows(
    sample: str, labels: NDArray[np.int64], found: CellAnswers, names: list[str], status: str
) -> pd.DataFrame:
    """Return the rows of one picture's cells."""
    numbers = found.probability.round(6)
    shown = [np.flatnonzero(row) for row in found.chosen]
    table = pd.DataFrame(
        {
            "Id": sample,
            "label": labels,
            "locations": ["; ".join(names[k] for k in some) for some in shown],
            "probabilities": [
                "; ".join(f"{row[k]:.4g}" for k in some) for some, row in zip(shown, numbers, strict=True)
            ],
            "status": status,
        }
    )
    return table.join(pd.DataFrame(numbers, columns=names))


def shares_of(cells: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the share of each picture's cells that show every location: Id, cells and a column for each."""
    shown = pd.DataFrame(
        {name: [name in text.split("; ") for text in cells["locations"]] for name in names}, dtype=float
    )
    by_picture = shown.groupby(cells["Id"], sort=False)
    shares = by_picture.mean().round(4)
    shares.insert(0, "cells", by_picture.size())
    return shares.reset_index()


def write_cells(
    options: PredictOptions, cells: pd.DataFrame, model: Model, pictures: pd.Index, work: Workspace
) -> None:
    """Write the table of cells in its format, and the shares beside it."""
    if options.format == HPA2021_FORMAT:
        table = _kaggle2021(pictures, cells, of_card(model.card), work)
    else:
        table = cells
    shares = shares_of(cells, list(cells.columns[len(COLUMNS) :]))
    for path, one in ((options.output, table), (beside(options.output, "shares"), shares)):
        with replacing(path) as temporary:
            one.to_csv(temporary, index=False, lineterminator="\n")


def _kaggle2021(
    pictures: pd.Index, cells: pd.DataFrame, known: LocationList, work: Workspace
) -> pd.DataFrame:
    """Return what the competition of 2021 takes: ``ID,ImageWidth,ImageHeight,PredictionString``.

    The string has, for every cell and class that it shows, the class, its probability and the run-length
    encoded mask. Locations count as the class that they are merged into there; a cell without any
    location is Negative.
    """
    (coding,) = required("pycocotools.mask")
    there, rows = open_list(HPA2021), []
    classes = _classes(known, there)
    own = dict(iter(cells.groupby("Id", sort=False)))
    for one in pictures.astype(str):
        path = work.mask(one)
        labels = read_mask(path).cells if path.is_file() else np.zeros((0, 0), np.uint16)
        said = " ".join(_strings(own[one], labels, classes, there, coding)) if one in own else ""
        rows.append((one, labels.shape[1], labels.shape[0], said))
    return pd.DataFrame(rows, columns=["ID", "ImageWidth", "ImageHeight", "PredictionString"])


def _classes(known: LocationList, there: LocationList) -> dict[str, int]:
    """Return the class of 2021 that each location counts as, of those that have one."""
    found = {}
    for name in known.names:
        row = known.row(name)
        became = None if row is None else there.trained_as(row)
        if became:
            found[name] = there.indices[min(became)]
    return found


def _strings(
    cells: pd.DataFrame,
    labels: NDArray[Any],
    classes: Mapping[str, int],
    there: LocationList,
    coding: Any,
) -> list[str]:
    """Return the parts of one picture's prediction string."""
    negative = there.indices.get("Negative")
    parts = []
    for row in cells.to_dict("records"):
        mask = np.asfortranarray((labels == row["label"]).astype(np.uint8))
        counts = coding.encode(mask)["counts"]
        code = base64.b64encode(zlib.compress(counts, zlib.Z_BEST_COMPRESSION)).decode()
        best: dict[int, float] = {}
        for name in filter(None, row["locations"].split("; ")):
            if name in classes:
                best[classes[name]] = max(best.get(classes[name], 0.0), row[name])
        if not row["locations"] and negative is not None:
            known = {name: row[name] for name in classes if name in row}
            own = [known.pop(name) for name in list(known) if classes[name] == negative]
            best[negative] = max(own, default=1 - max(known.values(), default=0.0))
        parts += [f"{number} {probability:.6f} {code}" for number, probability in sorted(best.items())]
    return parts

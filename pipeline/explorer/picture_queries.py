"""Which pictures a page shows, and in which order: a query as the address of a page has it."""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.core.errors import PipelineError
from pipeline.core.names import unknown
from pipeline.explorer.picture_index import Marks, PictureIndex
from pipeline.explorer.picture_space import PictureSpace

PAGE = 48
"""Pictures of a page."""

MOST_CORNERS = 200
"""Of a lasso."""

Order = Literal["teaches", "disagreement", "uncertainty", "wrong", "probability", "cells", "id"]
ORDERS: Mapping[Order, str] = {
    "teaches": "what a look at the labels teaches most",
    "disagreement": "distance of the label from the probability",
    "uncertainty": "uncertainty of the model",
    "wrong": "wrong locations",
    "probability": "probability of the location",
    "cells": "number of cells",
    "id": "Id",
}

Show = Literal["", "named", "labelled", "missed", "extra", "right"]
SHOWS: Mapping[Show, str] = {
    "": "all pictures",
    "named": "the model names it",
    "labelled": "the label has it",
    "missed": "the label has it, the model does not name it",
    "extra": "the model names it, the label has it not",
    "right": "both the model and the label have it",
}


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


Number = Annotated[float | None, BeforeValidator(_none_if_empty), Field(ge=0, le=1, allow_inf_nan=False)]


class Query(BaseModel):
    """What is asked for; what is empty does not matter.

    Attributes
    ----------
    location : str
        Of which `show`, `least`, `most` and the order by probability are said; any where it is empty.
    show : str
        One of `SHOWS`.
    least, most : float
        Bounds of the probability.
    group, plate, text : str
        The group, the plate, and a part of the Id.
    quality : str
        ``flagged`` or ``clean``.
    experts : str
        ``differ``: experts and the label say otherwise.
    checked : str
        ``yes`` or ``no``: whether the labels were looked at here.
    lasso : str
        Corners of a polygon on the map: ``x,y,x,y,…``.
    order : str
        One of `ORDERS`.
    reverse : str
        ``yes``: the other end first.
    page : int
        From 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_max_length=4000)

    location: str = ""
    show: Show = ""
    least: Number = None
    most: Number = None
    group: str = ""
    plate: str = ""
    text: str = ""
    quality: Literal["", "flagged", "clean"] = ""
    experts: Literal["", "differ"] = ""
    checked: Literal["", "yes", "no"] = ""
    lasso: str = ""
    order: Order = "teaches"
    reverse: Literal["", "yes"] = ""
    page: int = Field(1, ge=1, le=10**6)

    def asked(self) -> dict[str, str]:
        """Return what differs from a query of nothing, but for the page: as an address has it."""
        plain = Query()
        return {
            name: str(value)
            for name, value in self
            if name != "page" and value != getattr(plain, name) and value is not None
        }


def found(index: PictureIndex, query: Query, space: PictureSpace | None) -> NDArray[np.int64]:
    """Return the rows of the pictures that a query asks for, in its order.

    Raises
    ------
    PipelineError
        If the location is unknown, or the lasso is no polygon.
    """
    columns = _columns(index, query)
    kept = _kept(index, query, columns)
    if query.lasso:
        kept &= inside(space, query.lasso)
    rows = np.flatnonzero(kept)
    keys = _keys(index, query, columns)[rows]
    ordered = rows[np.argsort(keys, kind="stable")]
    return ordered[::-1] if query.reverse else ordered


def _columns(index: PictureIndex, query: Query) -> slice | list[int]:
    """Return the columns that are asked about."""
    if not query.location:
        return slice(None)
    if query.location not in index.locations.columns:
        raise PipelineError(unknown("location", query.location, index.names))
    return [index.locations.columns[query.location]]


def _kept(index: PictureIndex, query: Query, columns: slice | list[int]) -> Marks:
    """Return which pictures are asked for, apart from the lasso."""
    about = index.about
    kept = np.ones(len(index.ids), bool)
    if query.show:
        kept &= _shown(index, query.show, columns)
    if query.least is not None or query.most is not None:
        probability = index.probability[:, columns]
        low = 0.0 if query.least is None else query.least
        high = 1.0 if query.most is None else query.most
        kept &= ((probability >= low) & (probability <= high)).any(axis=1)
    for name in ("group", "plate"):
        if asked := getattr(query, name):
            kept &= about[name].to_numpy() == asked
    if query.text:
        part = query.text.casefold()
        kept &= np.array([part in sample.casefold() for sample in index.ids])
    if query.quality:
        kept &= (about["flags"].to_numpy() != "") == (query.quality == "flagged")
    if query.experts:
        kept &= index.experts_differ > 0
    if query.checked:
        kept &= index.checked == (query.checked == "yes")
    return kept


def _shown(index: PictureIndex, show: Show, columns: slice | list[int]) -> Marks:
    chosen, given = index.chosen[:, columns], index.given[:, columns]
    judged = index.labelled[:, None] & np.isfinite(index.probability[:, columns])
    marks: dict[Show, Marks] = {
        "named": chosen,
        "labelled": given,
        "missed": given & ~chosen & judged,
        "extra": chosen & ~given & judged,
        "right": chosen & given,
    }
    return np.asarray(marks[show].any(axis=1))


def _keys(index: PictureIndex, query: Query, columns: slice | list[int]) -> NDArray[np.float64]:
    """Return what is sorted by, the first smallest."""
    by: dict[Order, Callable[[], NDArray[np.generic]]] = {
        "teaches": lambda: index.rank,
        "disagreement": lambda: -_of_columns(index, columns, query),
        "uncertainty": lambda: -index.uncertainty,
        "wrong": lambda: -index.wrong,
        "probability": lambda: -np.nan_to_num(index.probability[:, columns], nan=-1.0).max(axis=1),
        "cells": lambda: -index.about["cells"].to_numpy(),
        "id": lambda: np.arange(len(index.ids)),
    }
    return by[query.order]().astype(np.float64)


def _of_columns(index: PictureIndex, columns: slice | list[int], query: Query) -> NDArray[np.floating[Any]]:
    """Return the distance of labels from probabilities: of one location where it is asked about."""
    if not query.location:
        return index.disagreement
    away = np.abs(index.given[:, columns] - index.probability[:, columns])[:, 0]
    return np.nan_to_num(np.where(index.labelled, away, np.nan), nan=-1.0)


def inside(space: PictureSpace | None, lasso: str) -> Marks:
    """Return which pictures lie inside a polygon on the map.

    Raises
    ------
    PipelineError
        If there is no map, or these are no corners.
    """
    if space is None:
        raise PipelineError("lasso: there is no map; embed the pictures first (python run.py embed)")
    try:
        values = [float(one) for one in lasso.split(",")]
    except ValueError:
        values = []
    if not (
        6 <= len(values) <= 2 * MOST_CORNERS and len(values) % 2 == 0 and all(map(math.isfinite, values))
    ):
        raise PipelineError(
            f"lasso '{lasso[:60]}': give 3 to {MOST_CORNERS} corners as x,y,x,y,… in units of the map"
        )
    corners = np.array(values).reshape(-1, 2)
    return np.asarray(Polygon(corners).contains_points(space.places))

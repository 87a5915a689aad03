"""What the explorer's pages say: a gallery, one picture, a map."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.workspace import Workspace
from pipeline.explorer.cell_shapes import is_edited_here, shapes_of
from pipeline.explorer.corrections import Corrections
from pipeline.explorer.picture_index import PictureIndex
from pipeline.explorer.picture_queries import ORDERS, PAGE, SHOWS, Query, found
from pipeline.explorer.picture_space import PictureSpace
from pipeline.explorer.reasons import MEASURED, Reasons, rows_of
from pipeline.explorer.thumbnail_cache import LARGE, SMALL, ThumbnailCache
from pipeline.pages.templating import render

ALIKE = 6
"""Pictures alike that are shown beside one."""

SHOWN = 8
"""Parts of a reason that are shown; the others are added up."""

WORTH_A_ROW = 0.05
"""Probability from which on a location has a row of its own in the answers of a picture."""

KINDS = ("right", "missed", "extra", "none", "unlabelled")
"""Colours of the map: label and model have it, the label alone, the model alone, neither, no label."""


class View(NamedTuple):
    """Which channels pictures are drawn with, and whether outlines are."""

    channels: tuple[str, ...]
    outlines: bool

    @classmethod
    def of_cookie(cls, text: str, known: tuple[str, ...]) -> "View":
        """Read what a browser remembers: names joined by dots; what is unknown is left out."""
        words = text.split(".")
        some = tuple(name for name in known if name in words)
        usual = tuple(name for name in known if name != "er")
        return cls(some or usual, "plain" not in words)

    def address(self, sample: str, side: int) -> str:
        """Return the address of a drawing."""
        asked = {"side": side, "channels": ".".join(self.channels), "outlines": int(self.outlines)}
        return f"/image/{sample}.webp?{urlencode(asked)}"


@dataclass(frozen=True)
class Explorer:
    """All that pages are made of.

    Attributes
    ----------
    channels : tuple of str
        That some of the pictures have.
    again : str
        The command that trains on the corrected labels.
    """

    work: Workspace
    index: PictureIndex
    corrections: Corrections
    space: PictureSpace | None
    thumbnails: ThumbnailCache
    reasons: Reasons
    channels: tuple[str, ...]
    again: str

    def page(self, template: str, view: View, **values: Any) -> str:
        """Return a page with what all of them show."""
        shared = {
            "channels": self.channels,
            "view": view,
            "corrections": self.corrections,
            "work": self.work,
            "again": self.again,
        }
        return render(template, **shared, **values)

    def gallery(self, query: Query, view: View) -> str:
        """Return the page of the pictures that a query asks for."""
        rows = found(self.index, query, self.space)
        pages = max(1, -(-len(rows) // PAGE))
        number = min(query.page, pages)
        some = rows[(number - 1) * PAGE : number * PAGE]
        link = address("/", query)
        return self.page(
            "gallery.html",
            view,
            query=query,
            cards=[self.card(int(row), view, query) for row in some],
            number=len(rows),
            page=number,
            pages=pages,
            page_link=lambda one: link + ("&" if "?" in link else "?") + f"page={one}",
            names=self.index.names,
            trained=[bool(one) for one in np.isfinite(self.index.probability).any(axis=0)],
            plates=sorted(set(self.index.about["plate"]) - {""}),
            orders=ORDERS,
            shows=SHOWS,
            has_experts=bool(self.index.seen_by_experts.any()),
            has_map=self.space is not None,
        )

    def card(self, row: int, view: View, query: Query) -> dict[str, Any]:
        """Return what a gallery says of one picture."""
        index, sample = self.index, str(self.index.ids[row])
        about, known = index.about.iloc[row], np.isfinite(index.probability[row])
        away = np.where(known, np.abs(index.given[row] - index.probability[row]), -1)
        k = int(away.argmax())
        return {
            "id": sample,
            "image": view.address(sample, SMALL) if self.thumbnails.channels(sample) else "",
            "link": address(f"/picture/{sample}", query),
            "named": self._named(row),
            "label": index.named(index.given[row]) if index.labelled[row] else None,
            "gap": float(index.disagreement[row]) if index.labelled[row] else None,
            "farthest": index.names[k],
            "farthest_given": bool(index.given[row, k]),
            "farthest_probability": float(index.probability[row, k]),
            "answered": bool(known.any()),
            "uncertainty": float(index.uncertainty[row]),
            "flags": about["flags"],
            "wrong": int(index.wrong[row]),
            "checked": bool(index.checked[row]),
        }

    def _named(self, row: int) -> list[tuple[str, float]]:
        """Return the locations that the model names, with their probabilities."""
        index = self.index
        places = np.flatnonzero(index.chosen[row])
        return [(index.names[k], float(index.probability[row, k])) for k in places]

    def picture(self, row: int, query: Query, view: View) -> str:
        """Return the page of one picture."""
        index, sample = self.index, str(self.index.ids[row])
        before, after, place, number = self._neighbours(row, query)
        mask = self.work.mask(sample)
        shapes, size = shapes_of(mask) if mask.is_file() else ([], (1, 1))
        alike = [] if self.space is None else self.space.nearest(row, index.about["group"].to_numpy(), ALIKE)
        answers = self._answers(row)
        return self.page(
            "picture.html",
            view,
            card=self.card(row, view, query),
            about=index.about.iloc[row].to_dict(),
            has_channels=self.thumbnails.channels(sample),
            image=View(view.channels, outlines=False).address(sample, LARGE),
            shapes=shapes,
            size=size,
            answers=[one for one in answers if one["shown"]],
            others=[one for one in answers if not one["shown"]],
            names=index.names,
            given=set(index.named(index.given[row])) if index.labelled[row] else None,
            named={name for name, _ in self._named(row)},
            was=self.corrections.before(row),
            has_experts=bool(index.seen_by_experts[row]),
            has_model=self.reasons.there,
            alike=[(self.card(one, view, query), similarity) for one, similarity in alike],
            space=self.space,
            query=query,
            back=address("/", query),
            previous=before and address(f"/picture/{before}", query),
            following=after and address(f"/picture/{after}", query),
            post=urlencode(query.asked()),
            place=place,
            number=number,
            edited=is_edited_here(self.work, sample),
        )

    def following(self, row: int, query: Query) -> str | None:
        """Return the Id of the picture after one in the order of a query."""
        return self._neighbours(row, query)[1]

    def _neighbours(self, row: int, query: Query) -> tuple[str | None, str | None, int | None, int]:
        """Return the Ids before and after, the place from 1 (None: not among them) and how many there are."""
        rows = found(self.index, query, self.space)
        places = np.flatnonzero(rows == row)
        if not len(places):
            return None, str(self.index.ids[rows[0]]) if len(rows) else None, None, len(rows)
        place = int(places[0])
        before = str(self.index.ids[rows[place - 1]]) if place else None
        after = str(self.index.ids[rows[place + 1]]) if place + 1 < len(rows) else None
        return before, after, place + 1, len(rows)

    def _answers(self, row: int) -> list[dict[str, Any]]:
        """Return what is said of every location of a picture, the most probable first."""
        index, rows = self.index, []
        for k, name in enumerate(index.names):
            probability = float(index.probability[row, k])
            known = probability == probability
            said = bool(index.given[row, k] or index.chosen[row, k] or index.experts[row, k])
            rows.append(
                {
                    "name": name,
                    "probability": probability if known else None,
                    "chosen": bool(index.chosen[row, k]),
                    "given": bool(index.given[row, k]) if index.labelled[row] else None,
                    "experts": bool(index.experts[row, k]),
                    "shown": said or (known and probability >= WORTH_A_ROW),
                }
            )
        return sorted(rows, key=lambda one: -(one["probability"] if one["probability"] is not None else -1))

    def why(self, row: int, location: str) -> str:
        """Return the reasons for one location of a picture: a part of its page."""
        made = self.reasons.of(str(self.index.ids[row]), location)
        out_of_fold = float(self.index.probability[row, self.index.locations.columns[location]])
        rest = sum(part.contribution for part in made.parts[SHOWN:])
        return render(
            "why.html",
            made=made,
            parts=made.parts[:SHOWN],
            rest=rest,
            others=len(made.parts[SHOWN:]),
            largest=max([abs(part.contribution) for part in made.parts] or [1.0]) or 1.0,
            out_of_fold=None if out_of_fold != out_of_fold else out_of_fold,
        )

    def cells(self, row: int) -> str:
        """Return the table of a picture's cells: a part of its page."""
        sample = str(self.index.ids[row])
        columns = ["label", "touches_border", *MEASURED]
        table = rows_of(self.work.cells, sample, columns) if self.work.cells.exists() else None
        if table is None:
            return render("cells.html", rows=[], measured={}, answered=[])
        shown = {name: words for name, words in MEASURED.items() if name in table.columns}
        answered = self._told_of_cells(row)
        if answered is not None:
            table = table.join(answered, on="label")
            shown = {name: f"{name}: probability" for name in answered.columns} | shown
        said = [] if answered is None else list(answered.columns)
        return render("cells.html", rows=table.to_dict("records"), measured=shown, answered=said)

    def _told_of_cells(self, row: int) -> pd.DataFrame | None:
        """Return the cells' probabilities of those locations that the model or the label names, if any."""
        answered = self.reasons.cells(str(self.index.ids[row]))
        if answered is None:
            return None
        named = {*self.index.named(self.index.chosen[row]), *self.index.named(self.index.given[row])}
        best = answered.max().sort_values(ascending=False, kind="stable").index
        return answered[[name for name in best if name in named] or list(best[:1])]

    def map(self, location: str, view: View) -> str:
        """Return the page of the map."""
        return self.page(
            "map.html",
            view,
            space=self.space,
            location=location,
            names=self.index.names,
            counts=None if self.space is None else self._counts(location),
        )

    def _counts(self, location: str) -> Mapping[str, int]:
        kinds = np.bincount(self.kinds(location), minlength=len(KINDS))
        return dict(zip(KINDS, kinds.tolist(), strict=True))

    def kinds(self, location: str) -> NDArray[np.int64]:
        """Return the position in `KINDS` of every picture: of one location, or of all where it is empty."""
        index = self.index
        if location:
            k = index.locations.columns[location]
            chosen, given = index.chosen[:, k], index.given[:, k]
            kind = np.select([chosen & given, given, chosen], [0, 1, 2], 3)
        else:
            judged = np.isfinite(index.probability)
            missed = (index.given & ~index.chosen & judged).any(axis=1)
            extra = (index.chosen & ~index.given & judged).any(axis=1)
            kind = np.select([missed, extra], [1, 2], 0)
        return np.where(index.labelled, kind, 4)


def address(path: str, query: Query) -> str:
    """Return the address of a page within a query."""
    asked = query.asked()
    return f"{path}?{urlencode(asked)}" if asked else path

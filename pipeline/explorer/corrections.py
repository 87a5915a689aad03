"""Labels that were looked at: kept beside what was given, and written as a table that `train` takes."""

import csv
import io
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.core.names import unknown
from pipeline.data.labels import parse_target
from pipeline.data.tables import read_table
from pipeline.explorer.picture_index import Marks, PictureIndex

COLUMNS = ("Id", "Before", "After")
MARK = "|"
"""Between the names of a picture's locations."""

NO_LABEL = "?"
"""What was before where a picture had no label."""


class Corrections:
    """What was decided of pictures; every change is on the disk when it returns.

    Two files lie in a folder of the work folder: ``changes.csv``, the pictures that were looked at with their
    labels before and after, and ``labels.csv``, all labels with these changes, for `train`. The table that
    was given is never written to.

    Parameters
    ----------
    folder : Path
    index : PictureIndex
        Changes are made in its labels too.

    Raises
    ------
    PipelineError
        If changes of before cannot be read.
    """

    def __init__(self, folder: Path, index: PictureIndex) -> None:
        self.labels, self.changes = folder / "labels.csv", folder / "changes.csv"
        self._index, self._lock = index, threading.Lock()
        self._before: dict[int, str] = {}
        if self.changes.is_file():
            self._read()
        self._lines = [self._line(row) for row in range(len(index.ids))]

    def __len__(self) -> int:
        """Return how many pictures were looked at."""
        return len(self._before)

    @property
    def changed(self) -> int:
        """How many of them have other labels than before."""
        return sum(self._said(row) != before for row, before in self._before.items())

    def save(self, row: int, names: Iterable[str]) -> None:
        """Take the named locations for a picture's labels; none of them is an answer too.

        Raises
        ------
        PipelineError
            If a location is unknown, or the disk does not take it.
        """
        marks = self._marks(names)
        with self._lock:
            self._before.setdefault(row, self._said(row))
            index = self._index
            index.given[row], index.labelled[row], index.checked[row] = marks, True, True
            self._written(row)

    def undo(self, row: int) -> None:
        """Give a picture back the labels it had before it was looked at."""
        with self._lock:
            before = self._before.pop(row, None)
            if before is None:
                return
            self._restore(row, before)
            self._written(row)

    def before(self, row: int) -> list[str] | None:
        """Return the labels of a picture before it was looked at; None where it was not, or had none."""
        said = self._before.get(row)
        return None if said is None or said == NO_LABEL else [one for one in said.split(MARK) if one]

    def _restore(self, row: int, before: str) -> None:
        index = self._index
        index.checked[row], index.labelled[row] = False, before != NO_LABEL
        index.given[row] = self._marks([] if before == NO_LABEL else filter(None, before.split(MARK)))

    def _marks(self, names: Iterable[str]) -> Marks:
        marks = np.zeros(len(self._index.names), bool)
        for name in names:
            if name not in self._index.locations.columns:
                raise PipelineError(unknown("location", name, self._index.names))
            marks[self._index.locations.columns[name]] = True
        return marks

    def _said(self, row: int) -> str:
        index = self._index
        return MARK.join(index.named(index.given[row])) if index.labelled[row] else NO_LABEL

    def _read(self) -> None:
        """Take over what was decided before; pictures that are gone are kept out."""
        for sample, before, after in read_table(self.changes, COLUMNS).itertuples(index=False):
            row = self._index.position(sample)
            if row is None:
                continue
            try:
                marks = [
                    parse_target("" if text == NO_LABEL else text, self._index.locations)
                    for text in (after, before)
                ]
            except ValueError as error:
                raise PipelineError(
                    f"{self.changes}: {sample}: {error}; remove the row, or give the --locations of before"
                ) from error
            self._before[row] = before
            self._index.given[row] = np.isin(np.arange(len(self._index.names)), list(marks[0].columns))
            self._index.labelled[row] = self._index.checked[row] = True
        self._index.compare()

    def _written(self, row: int) -> None:
        """Compare a picture again whose label changed, and write both tables."""
        self._index.compare(slice(row, row + 1))
        ids = self._index.ids
        self._lines[row] = self._line(row)
        kept = [(str(ids[one]), before, self._said(one)) for one, before in sorted(self._before.items())]
        write_text(self.changes, _csv([COLUMNS, *kept]))
        write_text(self.labels, _csv([("Id", "Target")]) + "".join(self._lines))

    def _line(self, row: int) -> str:
        """Return the line of a picture in the table of labels; "" where it has no label."""
        if not self._index.labelled[row]:
            return ""
        return _csv([(str(self._index.ids[row]), self._said(row))])


def _csv(rows: Iterable[tuple[str, ...]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()

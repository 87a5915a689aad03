"""The 28 locations of the Human Protein Atlas' Kaggle competition, in its order."""

import csv
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.names import unknown

_TABLE = Path(__file__).resolve().parents[2] / "data" / "locations.csv"


def _read() -> tuple[str, ...]:
    with _TABLE.open(newline="") as stream:
        return tuple(row["name"] for row in csv.DictReader(stream))


LOCATIONS = _read()
"""Names by class index."""

TOP_TWO = ("Nucleoplasm", "Cytosol")
"""The two most frequent locations, which have a model of their own."""


def find_location(name: str, known: tuple[str, ...] = LOCATIONS) -> str:
    """Return the known location that a user means.

    Parameters
    ----------
    name : str
        A name in any case, or a class index.
    known : tuple of str
        The locations to choose from.

    Raises
    ------
    PipelineError
        If no known location has that name; the message lists the known ones.
    """
    if name.isdecimal() and int(name) < len(LOCATIONS):
        name = LOCATIONS[int(name)]
    for location in known:
        if location.casefold() == name.casefold():
            return location
    raise PipelineError(unknown("location", name, known))

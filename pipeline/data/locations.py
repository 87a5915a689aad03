"""The 28 locations of the Human Protein Atlas' Kaggle competition, in its order."""

import csv
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.names import unknown

_TABLE = Path(__file__).resolve().parents[2] / "data" / "locations.csv"


LOCATIONS = tuple(row["name"] for row in csv.DictReader(_TABLE.read_text(encoding="utf-8").splitlines()))
"""Names by class index."""

TOP_TWO = ("Nucleoplasm", "Cytosol")
"""The two most frequent locations, which have a model of their own."""


def find_location(name: str, known: tuple[str, ...] = LOCATIONS) -> str:
    """Return the known location that a user means by a name, in any case, or a class index.

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

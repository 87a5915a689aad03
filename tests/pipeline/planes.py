"""Single planes of files, read as samples are."""

import numpy as np
from numpy.typing import NDArray

from pipeline.formats.pixel_sizes import Sides
from pipeline.formats.plane_reader import PlaneReader
from pipeline.formats.sources import AS_STORED, Reading, Source


def read_plane(
    source: Source, colour: str, reading: Reading = AS_STORED
) -> tuple[NDArray[np.float32], Sides]:
    """Return a grey plane, and the sides of a pixel where the file states them."""
    with PlaneReader(reading) as reader:
        reader.weigh(source)
        plane = reader.plane(source, colour)
    return plane.values, plane.sides

"""Compile the loops that features are made of before the first picture, shared out between processes."""

import numpy as np

import features

SIDE = 96
"""Side in pixels of the picture that loops are compiled with."""


def rehearse(family: str) -> None:
    """Measure two made-up cells by one family, so that its loops are compiled and on disk.

    Numba compiles at the first call: processes that began with a picture each would all compile everything.
    """
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 2**16, (len(features.CHANNELS), SIDE, SIDE), dtype=np.uint16)
    cells, nuclei = np.zeros((2, SIDE, SIDE), np.int32)
    for label, left in enumerate((8, 48), start=1):
        cells[8:88, left : left + 40] = label
        nuclei[30:60, left + 10 : left + 30] = label
    measured = features.measure(pixels, cells, nuclei, families=[family])
    features.aggregate(measured, touches_border=features.touches_border(cells))
    features.measure_field(pixels, families=[family])

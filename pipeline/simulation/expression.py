"""Which cells of a field show which locations: how cells differ, and what is true of each of them."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.simulation.drawing import Plane
from pipeline.simulation.scene import Scene

Shown = NDArray[np.bool_]
"""Whether a cell shows a location, shape (locations, cells of the population)."""

BRIGHT = 0.4
"""Brightness, of 1 in a structure, from which on a cell is said to show it."""


def drawn(locations: int, seen: NDArray[np.bool_], variation: float, rng: Generator) -> Shown:
    """Draw which cells express a protein at which of its locations.

    Half of the variation are cells without the protein, half those that lack one of its locations; of every
    location at least one cell is left, among those of the population that are `seen`, shape (cells,).
    """
    silent = rng.random(len(seen)) < variation / 2
    shown = (rng.random((locations, len(seen))) >= variation / 2) & ~silent
    kept = rng.integers(max(1, seen.sum()), size=locations)
    for row, position in zip(shown, kept, strict=True):
        if seen.any() and not (row & seen).any():
            row[np.flatnonzero(seen)[position]] = True
    return shown


def showing(scene: Scene, plane: Plane) -> NDArray[np.bool_]:
    """Say of every cell whether a structure is painted in it, shape (cells,): a few pixels are bright."""
    bright = scene.cells[plane >= BRIGHT]
    return np.bincount(bright.ravel(), minlength=len(scene.population) + 1)[1:] > 1

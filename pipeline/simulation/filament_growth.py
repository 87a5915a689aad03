"""Filaments that grow through cells: they keep their direction, wander, and slide along borders."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.simulation.drawing import Floats, Plane, Points, directions, lines
from pipeline.simulation.scene import Labels, Scene


@dataclass(frozen=True)
class Growth:
    """How filaments grow.

    Attributes
    ----------
    length_um : float
        Mean length; lengths vary by a third.
    wander : float
        Change of direction per micrometre, in radians (standard deviation).
    steer : float
        How strongly borders and nuclei turn a filament aside; 0 lets it cross nuclei.
    """

    length_um: float
    wander: float
    steer: float = 1.0


STEP = 1.4
"""Pixels between the points of a filament: close enough for a blurred line to look continuous."""


def grow(
    scene: Scene, starts: Points, headings: Floats, growth: Growth, rng: Generator
) -> tuple[Points, Floats, NDArray[np.int64]]:
    """Grow filaments inside the cells in which they start, in first directions given in radians.

    Returns the points of all filaments and, for each of them, its position along the filament, from 0 to 1,
    and the filament's row in `starts`.
    """
    labels = np.pad(scene.cells, 1)  # beyond the picture is no cell
    push = np.pad(scene.push, ((1, 1), (1, 1), (0, 0)))
    steps = scene.px(growth.length_um) / STEP * np.maximum(rng.normal(1, 0.33, len(starts)), 0.2)
    jitter = np.float32(growth.wander * np.sqrt(STEP * scene.pixel_um))
    alive = np.arange(len(starts))
    position, heading = starts.copy(), headings.astype(np.float32)
    owner = labels[_pixel(position, labels)]
    found = [(position[:0], heading[:0], alive[:0])]
    for step in range(int(steps.max(initial=0)) + 1):
        here = labels[_pixel(position, labels)]
        going = (here == owner) & (here > 0) & (step <= steps[alive])
        alive, position, heading, owner = alive[going], position[going], heading[going], owner[going]
        if not len(alive):
            break
        found.append((position, (step / (steps[alive] + 1)).astype(np.float32), alive))
        heading = heading + jitter * rng.standard_normal(len(alive), dtype=np.float32)
        force = push[_pixel(position, labels)] * np.float32(2 * growth.steer)
        sine, cosine = (directions(heading) + force).T
        heading = np.arctan2(sine, cosine)
        position = position + np.float32(STEP) * directions(heading)
    points, age, filament = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return points, age, filament


def _pixel(position: Points, padded: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Index of the pixels nearest to points in a plane padded by one; points beyond it fall on the pad."""
    row, column = np.clip(np.rint(position).astype(np.int64) + 1, 0, np.array(padded.shape) - 1).T
    return row, column


def strands(
    scene: Scene, starts: Points, headings: Floats, growth: Growth, sigma: float, rng: Generator
) -> Plane:
    """Grow filaments and draw them with lines of `sigma` pixels; one alone is about 1, crossings are more.

    Their brightness varies from one to the next.
    """
    points, _, filament = grow(scene, starts, headings, growth, rng)
    brightness = rng.gamma(2.5, 0.4, len(starts)).astype(np.float32)
    return lines(scene.shape, points, STEP, sigma, brightness[filament])


def outwards(scene: Scene, origin: Points, starts: Points, spread: float, rng: Generator) -> Floats:
    """Return headings (radians, standard deviation `spread`) away from a point of the cell of each start.

    `origin` has the point of each cell, for example its centrosome, shape (cells, 2).
    """
    rows, columns = (scene.at(plane, starts) for plane in scene.offset(origin))
    return (np.arctan2(rows, columns) + rng.normal(0, spread, len(starts))).astype(np.float32)

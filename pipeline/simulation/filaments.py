"""Filaments that grow through cells: they keep their direction, wander, and slide along borders."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.drawing import Plane, lines
from pipeline.simulation.scene import Scene


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
    scene: Scene,
    starts: NDArray[np.float32],
    headings: NDArray[np.float32],
    growth: Growth,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Grow filaments inside the cells in which they start.

    Parameters
    ----------
    scene : Scene
        The cells.
    starts : ndarray, shape (n, 2), float32
        Row and column of each filament's first point.
    headings : ndarray, shape (n,), float32
        First directions in radians.
    growth : Growth
        Length and stiffness.
    rng : numpy.random.Generator
        Source of the wandering.

    Returns
    -------
    points : ndarray, shape (m, 2), float32
        Points of all filaments.
    age : ndarray, shape (m,), float32
        Position along the filament of each point, from 0 to 1.
    filament : ndarray, shape (m,), int64
        Row of `starts` of each point.
    """
    height, width = scene.shape
    label_of, push = scene.cells.ravel(), scene.push.reshape(-1, 2)
    steps = scene.px(growth.length_um) / STEP * np.maximum(rng.normal(1, 0.33, len(starts)), 0.2)
    jitter = np.float32(growth.wander * np.sqrt(STEP * scene.pixel_um))
    alive = np.arange(len(starts))
    position, heading = starts.copy(), headings.astype(np.float32)
    owner = np.zeros(len(starts), np.int32)
    found: list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]] = []
    for step in range(int(steps.max(initial=0)) + 1):
        pixel = np.rint(position).astype(np.int64)
        inside = ((pixel >= 0) & (pixel < (height, width))).all(axis=1)
        index = np.where(inside, pixel[:, 0] * width + pixel[:, 1], 0)
        here = np.where(inside, label_of[index], 0)
        if step == 0:
            owner = here
        going = (here == owner) & (here > 0) & (step <= steps[alive])
        alive, position, heading, owner = alive[going], position[going], heading[going], owner[going]
        if not len(alive):
            break
        found.append((position, (step / (steps[alive] + 1)).astype(np.float32), alive))
        force = push[index[going]] * np.float32(2 * growth.steer)
        heading = heading + jitter * rng.standard_normal(len(alive), dtype=np.float32)
        direction = np.stack([np.sin(heading), np.cos(heading)], axis=1) + force
        heading = np.arctan2(direction[:, 0], direction[:, 1])
        position = position + np.float32(STEP) * np.stack([np.sin(heading), np.cos(heading)], axis=1)
    if not found:
        return np.empty((0, 2), np.float32), np.empty(0, np.float32), np.empty(0, np.int64)
    points, age, filament = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return points, age, filament


def strands(
    scene: Scene,
    starts: NDArray[np.float32],
    headings: NDArray[np.float32],
    growth: Growth,
    sigma: float,
    rng: np.random.Generator,
) -> Plane:
    """Grow filaments and draw them with lines of `sigma` pixels; one alone is about 1, crossings are more.

    Their brightness varies from one to the next.
    """
    points, _, filament = grow(scene, starts, headings, growth, rng)
    brightness = rng.gamma(2.5, 0.4, len(starts)).astype(np.float32)
    return lines(scene.shape, points, STEP, sigma, brightness[filament])


def outwards(
    scene: Scene,
    origin: NDArray[np.float32],
    starts: NDArray[np.float32],
    spread: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Head away from a point of the cell in which each filament starts.

    Parameters
    ----------
    scene : Scene
        The cells.
    origin : ndarray, shape (cells, 2), float32
        The point of each cell, for example its centrosome.
    starts : ndarray, shape (n, 2), float32
        Where the filaments start.
    spread : float
        Standard deviation of the headings in radians.
    rng : numpy.random.Generator
        Source of the spread.

    Returns
    -------
    ndarray, shape (n,), float32
        Headings in radians.
    """
    rows, columns = (scene.at(plane, starts) for plane in scene.offset(origin))
    return (np.arctan2(rows, columns) + rng.normal(0, spread, len(starts))).astype(np.float32)

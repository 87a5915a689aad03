"""Uneven illumination: the smooth surface of brightness that pictures of a microscope share, and its removal.

The surface is estimated from the pictures themselves. Where cells lie is chance, so only what is brighter
than the mean of its picture counts, on a logarithmic scale on which illumination adds to what the cells are;
what the pictures share is the illumination. It is shrunk towards an even one by as much as they disagree.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

VERSION = "1"
"""Raise it when the same pictures give another surface than before."""

SIDE = 64
"""Squares of a picture's side whose mean brightness is looked at."""

_TERMS = ((0, 1), (1, 0), (0, 2), (1, 1), (2, 0))
"""Degrees in height and width of the polynomials: light that falls off as a Gaussian, about any centre."""

_ROUNDS = 4
"""How often bright squares are chosen anew in pictures without the illumination found so far."""

_FEWEST_SQUARES = 30
"""Bright squares below which a picture says nothing of its illumination."""

_SHRINKAGE = 1.5
"""Times the disagreement that chance explains, up to which a surface counts as even."""

_RIDGE = 0.01
"""Weight of an even surface beside the squares of a single picture."""


class Illumination(NamedTuple):
    """The brightness of a field of view relative to its mean, as the exponential of a polynomial.

    Attributes
    ----------
    dark : float
        Smallest value of any picture: what a camera adds, which no light makes.
    coefficients : tuple of float
        Of products of Legendre polynomials over a field from -1 to 1: down, across, and of second degree.
    """

    dark: float = 0.0
    coefficients: tuple[float, ...] = (0.0,) * len(_TERMS)

    def surface(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return the relative brightness, mean 1, of every pixel of a picture."""
        height, width = (_legendre(side).astype(np.float32) for side in shape)
        down = np.stack(
            [weight * height[degree] for weight, (degree, _) in zip(self.coefficients, _TERMS, strict=True)]
        )
        across = np.stack([width[degree] for _, degree in _TERMS])
        surface: NDArray[np.float32] = np.einsum("th,tw->hw", down.astype(np.float32), across)
        np.exp(surface, out=surface)
        surface /= surface.mean(dtype=np.float64)
        return surface

    @property
    def darkest(self) -> float:
        """Brightness of the darkest place over that of the brightest, from 0 to 1."""
        surface = self.surface((SIDE, SIDE))
        return float(surface.min() / surface.max())

    def removed(self, plane: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a plane as under even illumination; what was at the largest value, 1, stays there."""
        if not any(self.coefficients):
            return plane
        light = plane - np.float32(self.dark)
        light /= self.surface((plane.shape[0], plane.shape[1]))
        light += np.float32(self.dark)
        np.clip(light, 0, 1, out=light)
        light[plane >= 1] = 1
        return light


def squares(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean brightness of the squares of a plane, shape (SIDE, SIDE)."""
    return np.asarray(cv2.resize(plane, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)


def shared_illumination(shrunk: Sequence[NDArray[np.float32]], dark: float) -> Illumination:
    """Estimate the illumination that pictures share.

    Parameters
    ----------
    shrunk : sequence of ndarray, shape (SIDE, SIDE)
        One channel of each picture, as `squares` returns it.
    dark : float
        Smallest value of any picture.
    """
    light = np.array([one.ravel() for one in shrunk], np.float64) - dark
    found = np.zeros(len(_TERMS))
    for _ in range(_ROUNDS):
        curvature, slope = _pictures(light, found)
        if len(slope) <= len(found) + 2:
            return Illumination(dark)
        inverse = np.linalg.pinv(curvature.mean(axis=0))
        found = inverse @ slope.mean(axis=0)
    disagreement = (slope - curvature @ found) @ inverse
    return Illumination(dark, tuple(_shrunk(found, disagreement).tolist()))


def evenness(shrunk: NDArray[np.float32]) -> tuple[float, float]:
    """Return the brightness of a picture's corners over its centre, and of its dark side over the bright one.

    NaN where it shows too little. Where its cells lie counts too: a single picture is a weak witness.
    """
    light = np.float64(shrunk.ravel()[None])
    light -= light.min()
    found = np.zeros(len(_TERMS))
    for _ in range(_ROUNDS):
        curvature, slope = _pictures(light, found)
        if not len(slope):
            return float("nan"), float("nan")
        found = np.linalg.solve(curvature[0] + _RIDGE * np.eye(len(found)), slope[0])
    surface = Illumination(0.0, tuple(found)).surface((SIDE, SIDE))
    corners = surface[[0, 0, -1, -1], [0, -1, 0, -1]].mean() / surface[SIDE // 2, SIDE // 2]
    return float(corners), float(np.exp(-2 * np.hypot(*found[:2])))


def _pictures(light: Numbers, found: Numbers) -> tuple[Numbers, Numbers]:
    """Return each picture's normal equations: of its bright squares, as deviations from their mean."""
    terms = _basis()
    even = light / np.exp(terms @ found)
    bright = (even > even.mean(axis=1, keepdims=True)) & (light > 0)
    rows = np.flatnonzero(bright.sum(axis=1) >= _FEWEST_SQUARES)
    curvature = np.empty((len(rows), len(found), len(found)))
    slope = np.empty((len(rows), len(found)))
    for place, row in enumerate(rows):
        chosen, logarithm = terms[bright[row]], np.log(light[row, bright[row]])
        chosen = chosen - chosen.mean(axis=0)
        curvature[place] = chosen.T @ chosen / len(chosen)
        slope[place] = chosen.T @ (logarithm - logarithm.mean()) / len(chosen)
    return curvature, slope


def _shrunk(found: Numbers, disagreement: Numbers) -> Numbers:
    """Shrink a surface by what chance explains of it (positive-part James-Stein).

    The variance of a mean of few pictures is itself uncertain: Hotelling's factor makes up for it.
    """
    pictures, terms = disagreement.shape
    variance = np.cov(disagreement, rowvar=False) / pictures
    distance = float(found @ np.linalg.pinv(variance) @ found)
    chance = _SHRINKAGE * terms * (pictures - 1) / (pictures - terms - 2)
    return found * max(0.0, 1 - chance / distance) if distance else found


def _legendre(side: int) -> Numbers:
    """Return the Legendre polynomials over a side in pixels, shape (degrees, side)."""
    place = (np.arange(side) + 0.5) / side * 2 - 1
    return np.stack([np.ones(side), place, (3 * place**2 - 1) / 2])


@cache
def _basis() -> Numbers:
    """Return the polynomials over the squares, shape (SIDE², terms)."""
    one = _legendre(SIDE)
    return np.stack([np.outer(one[down], one[across]).ravel() for down, across in _TERMS], axis=1)

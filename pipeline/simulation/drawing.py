"""Textures and marks on planes: correlated noise, webs, dots, rings and strokes."""

from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

Plane = NDArray[np.float32]
"""One channel's plane, shape (height, width)."""

Points = NDArray[np.float32]
"""Rows and columns, in pixels, shape (n, 2); they may lie outside the plane."""

Floats = NDArray[np.float32]
"""One number each, shape (n,)."""

FINEST = 0.4
"""Smallest standard deviation in pixels with which anything is drawn: a detail never falls between pixels."""


def as_plane(values: ArrayLike) -> Plane:
    """Give values as a plane: in single precision, whatever they were computed in."""
    return np.asarray(values, np.float32)


def directions(angles: NDArray[Any]) -> NDArray[Any]:
    """Return unit vectors (row, column) of angles in radians, shape (n, 2)."""
    return np.stack([np.sin(angles), np.cos(angles)], axis=1)


def blur(plane: Plane, sigma: float) -> Plane:
    """Convolve with a Gaussian of `sigma` pixels, mirrored at the border."""
    return as_plane(cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.01), borderType=cv2.BORDER_REFLECT))


def smooth_noise(shape: tuple[int, int], sigma: float, rng: Generator) -> Plane:
    """Draw Gaussian noise of mean 0 and variance 1, correlated over about `sigma` pixels.

    Slow variations are drawn on a coarser grid and enlarged: the result is as smooth, for a
    fraction of the time.
    """
    step = max(1, int(sigma / 2))
    coarse = (shape[0] // step + 4, shape[1] // step + 4)
    noise = blur(rng.standard_normal(coarse, dtype=np.float32), sigma / step)
    # The standard deviation of blurred white noise is known; measuring it would tie coarse patches together.
    noise *= np.float32(2 * np.sqrt(np.pi) * sigma / step)
    if step > 1:
        size = (coarse[1] * step, coarse[0] * step)
        noise = cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    return noise[: shape[0], : shape[1]]


def speckle(shape: tuple[int, int], contrast: float, rng: Generator) -> Plane:
    """Draw the graininess of an antibody stain, mean 1: bound molecules are few and lie in small clumps."""
    noise = smooth_noise(shape, 0.6, rng)
    return as_plane(np.exp(np.float32(contrast) * noise - np.float32(contrast**2 / 2)))


def web(shape: tuple[int, int], mesh: float, thickness: float, rng: Generator) -> Plane:
    """Draw a net of curved threads, 1 where correlated noise is close to zero, falling to 0 between them.

    Meshes are typically `mesh` pixels wide, threads `thickness` of that, about 0.2 to 0.6.
    """
    noise = smooth_noise(shape, mesh / 2, rng)
    return as_plane(np.exp(-np.square(noise / np.float32(thickness))))


def splat(shape: tuple[int, int], points: Points, weights: Floats) -> Plane:
    """Add up point masses, each shared bilinearly by the four pixels around it."""
    height, width = shape
    floor = np.floor(points).astype(np.int64)
    inside = ((floor >= 0) & (floor < (height - 1, width - 1))).all(axis=1)
    floor, weights = floor[inside], weights[inside]
    down, right = (points[inside] - floor).T
    index = floor[:, 0] * width + floor[:, 1]
    plane = np.zeros(height * width)
    up, left = 1 - down, 1 - right
    corners = ((0, up, left), (1, up, right), (width, down, left), (width + 1, down, right))
    for offset, high, wide in corners:
        plane += np.bincount(index + offset, high * wide * weights, height * width)
    return plane.reshape(shape).astype(np.float32)


def dots(shape: tuple[int, int], points: Points, sigma: float, weights: Floats | float = 1.0) -> Plane:
    """Draw round Gaussian spots of `sigma` pixels whose peaks are `weights`."""
    sigma = max(sigma, FINEST)
    mass = np.broadcast_to(np.float32(weights), len(points)) * np.float32(2 * np.pi * sigma**2)
    return blur(splat(shape, points, mass), sigma)


def lines(
    shape: tuple[int, int],
    points: Points,
    spacing: Floats | float,
    sigma: float,
    weights: Floats | float = 1.0,
) -> Plane:
    """Draw lines through points that lie `spacing` pixels apart, of Gaussian profile with peak `weights`.

    Lines that cross or run together add up.
    """
    sigma = max(sigma, FINEST)
    mass = np.float32(np.sqrt(2 * np.pi) * sigma) * np.float32(spacing) * np.float32(weights)
    return blur(splat(shape, points, np.broadcast_to(mass, len(points))), sigma)


def rings(shape: tuple[int, int], centres: Points, radii: Floats, sigma: float) -> Plane:
    """Draw circles of the given radii (pixels) with lines of `sigma` pixels and peak 1."""
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False, dtype=np.float32)
    path = centres[:, None] + radii[:, None, None] * directions(turns)
    spacing = np.repeat(2 * np.pi * radii / len(turns), len(turns)).astype(np.float32)
    return lines(shape, path.reshape(-1, 2), spacing, sigma)

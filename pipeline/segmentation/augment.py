"""Training tiles: annotated fields turned, scaled, relit cell by cell, blurred, made noisy; their targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.segmentation.dynamics import flows_of
from pipeline.segmentation.fields import Field
from pipeline.segmentation.shapes import median_diameter

FloatArray = NDArray[np.float32]
Labels = NDArray[np.int32]

MARGIN = 24
"""Pixels around a tile in which labels are also drawn, so that flows point to centres outside it."""

FINEST = 2.0
"""Fields are kept at most this much finer than the network's scale: finer detail is never seen."""


@dataclass(frozen=True)
class Tile:
    """One training example.

    Attributes
    ----------
    planes : ndarray, shape (channels, side, side), float32
    target : ndarray, shape (3, side, side), float32
        Flow down, flow right (unit vectors inside objects), and 1 inside objects.
    """

    planes: FloatArray
    target: FloatArray


class TileSampler:
    """Draws training tiles from fields; the same generator state gives the same tile.

    Parameters
    ----------
    fields : sequence of Field
        At least one must hold an object.
    diameter : float
        Median object diameter, in pixels, at which the network works.
    side : int
        Side of a tile in pixels.
    """

    def __init__(self, fields: Sequence[Field], diameter: float, side: int) -> None:
        self.side = side
        self._diameter = diameter
        self._fields = [shrink(field, diameter) for field in fields if field.labels.any()]
        self._diameters = [median_diameter(field.labels) for field in self._fields]
        self._inside = [np.flatnonzero(field.labels) for field in self._fields]

    def draw(self, rng: np.random.Generator) -> Tile:
        """Draw one tile: any field with equal chance, around one of its objects, freely augmented."""
        which = int(rng.integers(len(self._fields)))
        field = self._fields[which]
        scale = self._diameter / self._diameters[which] * float(np.clip(np.exp(rng.normal(0, 0.3)), 0.5, 2.0))
        pixel = int(rng.choice(self._inside[which]))
        centre = self._near(pixel, field.labels.shape, scale, rng)
        matrix = _affine(
            centre, scale, float(rng.uniform(0, 2 * np.pi)), bool(rng.random() < 0.5), self._outer
        )
        size = (self._outer, self._outer)
        labels = cv2.warpAffine(field.labels.astype(np.float32), matrix, size, flags=cv2.INTER_NEAREST)
        planes = [cv2.warpAffine(plane, matrix, size, flags=cv2.INTER_LINEAR) for plane in field.planes]
        inner = slice(MARGIN, MARGIN + self.side)
        drawn = labels.astype(np.int32)
        target = flow_target(drawn)[:, inner, inner]
        seen = two_planes(np.stack(planes)[:, inner, inner], drawn[inner, inner], self._diameter, rng)
        return Tile(relight(seen, self._diameter, rng), np.ascontiguousarray(target))

    def _near(
        self, pixel: int, shape: tuple[int, ...], scale: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return a tile's centre (row, column) near a pixel, with the tile inside the field where it fits."""
        half = self.side / scale / 2
        size = np.array(shape)
        centre = np.array(divmod(pixel, shape[1])) + rng.uniform(-1, 1, 2) * half
        return np.asarray(np.clip(centre, np.minimum(half, size / 2), np.maximum(size - half, size / 2)))

    @property
    def _outer(self) -> int:
        return self.side + 2 * MARGIN


def shrink(field: Field, diameter: float) -> Field:
    """Normalise a field's planes and bring it near the network's scale.

    Planes are scaled so that their 1st and 99th percentiles are 0 and 1, as Cellpose does on whole pictures.
    """
    planes = np.stack([normalise(plane) for plane in field.planes])
    factor = FINEST * diameter / max(1.0, median_diameter(field.labels))
    if factor >= 1.0:
        return Field(field.name, planes, field.labels)
    size = (max(1, round(planes.shape[2] * factor)), max(1, round(planes.shape[1] * factor)))
    smaller = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes])
    labels = cv2.resize(field.labels.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    return Field(field.name, smaller, labels.astype(np.int32))


def normalise(plane: FloatArray) -> FloatArray:
    """Scale a plane so that its 1st percentile is 0 and its 99th is 1; a flat plane becomes 0."""
    low, high = np.percentile(plane, (1, 99))
    if high - low <= 1e-6 * max(1.0, abs(float(high))):
        return np.zeros_like(plane, dtype=np.float32)
    return np.asarray((plane - low) / (high - low), np.float32)


def flow_target(labels: NDArray[np.int32]) -> FloatArray:
    """Return Cellpose's training target of a label image: two flow planes and the inside of objects."""
    return np.concatenate([flows_of(labels), (labels[None] > 0).astype(np.float32)])


def two_planes(planes: FloatArray, labels: Labels, diameter: float, rng: np.random.Generator) -> FloatArray:
    """Mix what is seen of the objects into one plane, as bright in each object as chance has it.

    Parameters
    ----------
    planes : ndarray, shape (2 or 3, side, side), float32
        As in `Field`. One of two stains is missing or dim at times, and each object has its own mixture.
    labels : ndarray, shape (side, side), int32
    diameter : float
        Median object diameter in pixels.

    Returns
    -------
    ndarray, shape (2, side, side), float32
    """
    count = int(labels.max(initial=0)) + 1
    if len(planes) == 2:
        body = planes[0]
    else:
        whole = rng.choice((0.0, 1.0, rng.uniform(0.2, 0.8)), p=(0.1, 0.1, 0.8))
        share = np.clip(whole + rng.normal(0, 0.2, count), 0, 1).astype(np.float32)[labels]
        body = share * planes[0] + (1 - share) * planes[1]
    if rng.random() < 0.6:
        gains = np.exp(rng.normal(0, 0.35, count)).astype(np.float32)
        gains[0] = 1
        body = body * cv2.GaussianBlur(gains[labels], (0, 0), float(rng.uniform(0.03, 0.15)) * diameter)
    return np.asarray(np.stack([body, planes[-1]]), np.float32)


def relight(planes: FloatArray, diameter: float, rng: np.random.Generator) -> FloatArray:
    """Change brightness, contrast, gamma, evenness of light, sharpness and noise, each plane by itself.

    A plane that is zero (there is no such channel) stays zero. Half of the tiles have the objects' plane
    normalised by themselves, as whole pictures are that show no glass between the cells.
    """
    own = normalise(planes[0]) if rng.random() < 0.5 else planes[0]
    return np.stack(
        [_relight_plane(plane, diameter, rng) if plane.any() else plane for plane in (own, planes[1])]
    )


def _relight_plane(plane: FloatArray, diameter: float, rng: np.random.Generator) -> FloatArray:
    # exponents mostly below 1: dim objects beside bright ones must stay visible where they are labelled
    lit = np.clip(plane, 0, None) ** np.exp(rng.normal(-0.1, 0.25)) * np.exp(rng.normal(0, 0.2))
    if rng.random() < 0.5:
        lit = lit * _uneven_light(plane.shape[0], rng)
    if rng.random() < 0.3:
        lit = cv2.GaussianBlur(lit, (0, 0), float(rng.uniform(0.02, 0.09)) * diameter)
    if rng.random() < 0.3:
        haze = cv2.GaussianBlur(lit, (0, 0), 0.4 * diameter)
        lit = lit + float(rng.uniform(0, 0.6)) * (haze - lit)
    lit = lit + rng.normal(0, 0.05)
    if rng.random() < 0.4:
        lit = lit + rng.normal(0, rng.uniform(0, 0.06), plane.shape)
    return np.asarray(lit, dtype=np.float32)


def _uneven_light(side: int, rng: np.random.Generator) -> FloatArray:
    """Return a smooth field of gains around 1."""
    knots = np.exp(rng.normal(0, 0.3, (3, 3))).astype(np.float32)
    return np.asarray(cv2.resize(knots, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _affine(centre: NDArray[np.float64], scale: float, angle: float, flip: bool, side: int) -> FloatArray:
    """Return the 2×3 matrix from (x, y) of a field to a tile: centred, turned, scaled, maybe mirrored."""
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    mirror = -1.0 if flip else 1.0
    linear = np.array([[mirror * cosine, -mirror * sine], [sine, cosine]])
    shift = side / 2 - linear @ centre[::-1]
    return np.asarray(np.concatenate([linear, shift[:, None]], axis=1), np.float32)

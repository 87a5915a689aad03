"""Training a Cellpose 3.1 network on tiles of annotated fields, augmented in angle, scale and intensity."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.core.training_loop import Schedule, State, TrainingLoop
from pipeline.core.workers import autocast
from pipeline.segmentation.dynamics import flows_of
from pipeline.segmentation.fields import Field
from pipeline.segmentation.inference import normalise
from pipeline.segmentation.label_images import median_diameter
from pipeline.segmentation.network import build_network, fill_network

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Plane = NDArray[np.float32]
Labels = NDArray[np.int32]

MARGIN = 24
"""Pixels around a tile in which labels are also drawn, so that flows point to centres outside it."""

FINEST = 2.0
"""Fields are kept at most this much finer than the network's scale: finer detail is never seen."""

WARM_UP = 100
"""Steps over which the learning rate rises from 0; a tenth of all where that is fewer."""

DECAY = 0.3
"""Share of the steps, at the end, over which the learning rate falls to 0."""

FROM_SCRATCH, FINE_TUNING = 2e-3, 5e-4
"""Highest learning rates; that of training from scratch would first undo what given weights know."""


class Tile(NamedTuple):
    """One training example: planes, shape (channels, side, side), and their `flow_target`."""

    planes: Plane
    target: Plane


class TileSampler:
    """Draws tiles of `side` pixels from fields; the same generator state gives the same tile.

    At least one field must hold an object. The network works at the median object diameter, in pixels.
    """

    def __init__(self, fields: Sequence[Field], diameter: float, side: int) -> None:
        self._side, self._outer, self._diameter = side, side + 2 * MARGIN, diameter
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
        matrix = _affine(centre, scale, rng.uniform(0, 2 * np.pi), rng.random() < 0.5, self._outer)
        size = (self._outer, self._outer)
        labels = cv2.warpAffine(field.labels.astype(np.float32), matrix, size, flags=cv2.INTER_NEAREST)
        planes = [cv2.warpAffine(plane, matrix, size, flags=cv2.INTER_LINEAR) for plane in field.planes]
        inner = slice(MARGIN, MARGIN + self._side)
        drawn = labels.astype(np.int32)
        target = flow_target(drawn)[:, inner, inner]
        seen = two_planes(np.stack(planes)[:, inner, inner], drawn[inner, inner], self._diameter, rng)
        return Tile(relight(seen, self._diameter, rng), np.ascontiguousarray(target))

    def _near(
        self, pixel: int, shape: tuple[int, ...], scale: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return a tile's centre (row, column) near a pixel, with the tile inside the field where it fits."""
        half = self._side / scale / 2
        size = np.array(shape)
        centre = np.array(divmod(pixel, shape[1])) + rng.uniform(-1, 1, 2) * half
        return np.asarray(np.clip(centre, np.minimum(half, size / 2), np.maximum(size - half, size / 2)))


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


def flow_target(labels: NDArray[np.int32]) -> Plane:
    """Return Cellpose's training target of a label image, shape (3, height, width).

    Flow down, flow right (unit vectors inside objects), and 1 inside objects.
    """
    return np.concatenate([flows_of(labels), (labels[None] > 0).astype(np.float32)])


def two_planes(planes: Plane, labels: Labels, diameter: float, rng: np.random.Generator) -> Plane:
    """Mix what is seen of the objects (planes as in `Field`) into one plane, each as bright as chance has it.

    One of two stains is missing or dim at times, and each object has its own mixture.
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


def relight(planes: Plane, diameter: float, rng: np.random.Generator) -> Plane:
    """Change brightness, contrast, gamma, evenness of light, sharpness and noise, each plane by itself.

    A plane that is zero (there is no such channel) stays zero. Half of the tiles have the objects' plane
    normalised by themselves, as whole pictures are that show no glass between the cells.
    """
    own = normalise(planes[0]) if rng.random() < 0.5 else planes[0]
    both = (own, planes[1])
    return np.stack([_relight_plane(plane, diameter, rng) if plane.any() else plane for plane in both])


def _relight_plane(plane: Plane, diameter: float, rng: np.random.Generator) -> Plane:
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


def _uneven_light(side: int, rng: np.random.Generator) -> Plane:
    """Return a smooth field of gains around 1."""
    knots = np.exp(rng.normal(0, 0.3, (3, 3))).astype(np.float32)
    return np.asarray(cv2.resize(knots, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _affine(centre: NDArray[np.float64], scale: float, angle: float, flip: bool, side: int) -> Plane:
    """Return the 2×3 matrix from (x, y) of a field to a tile: centred, turned, scaled, maybe mirrored."""
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    mirror = -1.0 if flip else 1.0
    linear = np.array([[mirror * cosine, -mirror * sine], [sine, cosine]])
    shift = side / 2 - linear @ centre[::-1]
    return np.asarray(np.concatenate([linear, shift[:, None]], axis=1), np.float32)


class SegmenterHyperparameters(BaseModel):
    """What decides the trained weights, apart from the fields.

    Attributes
    ----------
    diameter : float
        Median object diameter, in pixels, at which the network works.
    steps, batch, side : int
        Number of updates, tiles in each, and a tile's side in pixels.
    learning_rate : float
        At its highest.
    averaging : float
        Share of the moving average of weights that a step keeps.
    save_every : int
        Steps between checkpoints; decides no weight.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    diameter: float
    steps: int = 6000
    batch: int = 8
    side: int = 112
    learning_rate: float = FROM_SCRATCH
    weight_decay: float = 1e-4
    averaging: float = 0.998
    seed: int = 0
    save_every: int = 25

    def schedule(self) -> Schedule:
        """Return the schedule; more or fewer steps only move its end, so that a checkpoint stays of use."""
        return Schedule(
            steps=self.steps,
            round=self.save_every,
            learning_rate=self.learning_rate,
            warm_up=min(WARM_UP, max(1, self.steps // 10)),
            decay_from=self.steps * (1 - DECAY),
            weight_decay=self.weight_decay,
            averaging=self.averaging,
            seed=self.seed,
            identity=self.model_dump(exclude={"steps", "save_every"}),
        )


def segmenter_training(
    sampler: TileSampler, hyperparameters: SegmenterHyperparameters, start: State | None = None
) -> TrainingLoop:
    """Return the training of a network on tiles, from scratch or from given weights."""
    import torch

    torch.manual_seed(hyperparameters.seed)
    network = build_network(hyperparameters.diameter)
    if start is not None:
        fill_network(network, {**start, "diam_mean": torch.full((1,), hyperparameters.diameter)})
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batch_loss(network: "Module", rng: np.random.Generator, _step: int) -> "Tensor":
        tiles = [sampler.draw(rng) for _ in range(hyperparameters.batch)]
        planes, target = (torch.from_numpy(np.stack(part)) for part in zip(*tiles, strict=True))
        with autocast("cpu"):
            output = network(planes.contiguous(memory_format=torch.channels_last))[0]
        return flow_loss(output.float(), target)

    return TrainingLoop(network, batch_loss, hyperparameters.schedule())


def flow_loss(output: "Tensor", target: "Tensor") -> "Tensor":
    """Return Cellpose's loss: squared error of 5 × flows, halved, plus cross-entropy of being inside."""
    from torch.nn import functional

    flows = functional.mse_loss(output[:, :2], 5.0 * target[:, :2])
    return flows / 2 + functional.binary_cross_entropy_with_logits(output[:, 2], target[:, 2])

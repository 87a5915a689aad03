"""Training a Cellpose 3.1 network on annotated fields: on a CPU in an hour or two."""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.core.training_loop import Schedule, State, TrainingLoop
from pipeline.core.workers import autocast
from pipeline.segmentation.augment import TileSampler
from pipeline.segmentation.network import build_network, fill_network

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

WARM_UP = 100
"""Steps over which the learning rate rises from 0; a tenth of all where that is fewer."""

DECAY = 0.3
"""Share of the steps, at the end, over which the learning rate falls to 0."""

FROM_SCRATCH, FINE_TUNING = 2e-3, 5e-4
"""Highest learning rates; that of training from scratch would first undo what given weights know."""


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
        planes = torch.from_numpy(np.stack([tile.planes for tile in tiles]))
        target = torch.from_numpy(np.stack([tile.target for tile in tiles]))
        with autocast("cpu"):
            output = network(planes.contiguous(memory_format=torch.channels_last))[0]
        return flow_loss(output.float(), target)

    return TrainingLoop(network, batch_loss, hyperparameters.schedule())


def flow_loss(output: "Tensor", target: "Tensor") -> "Tensor":
    """Return Cellpose's loss: squared error of 5 × flows, halved, plus cross-entropy of being inside.

    Parameters
    ----------
    output, target : Tensor, shape (batch, 3, side, side)
    """
    from torch.nn import functional

    flows = functional.mse_loss(output[:, :2], 5.0 * target[:, :2])
    return flows / 2 + functional.binary_cross_entropy_with_logits(output[:, 2], target[:, 2])

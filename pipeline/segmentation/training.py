"""Training a Cellpose 3.1 network: seeded, resumable after any kill, on a CPU in an hour or two."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.core.progress import Progress
from pipeline.core.torch_runtime import fast_arithmetic
from pipeline.segmentation.augment import TileSampler
from pipeline.segmentation.network import build_network, load_state

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import Optimizer

WARM_UP = 100
"""Steps over which the learning rate rises from 0; a tenth of all where that is fewer."""

DECAY = 0.3
"""Share of the steps, at the end, over which the learning rate falls to 0."""


GENTLE = 5e-4
"""Learning rate at which weights are adapted; that from chance would first undo what they know."""


@dataclass(frozen=True)
class TrainingSettings:
    """What decides the trained weights, apart from the fields.

    Attributes
    ----------
    diameter : float
        Median object diameter, in pixels, at which the network works.
    steps, batch, side : int
        Number of updates, tiles in each, and a tile's side in pixels.
    learning_rate : float
        At its highest; `GENTLE` where training begins with given weights.
    """

    diameter: float
    steps: int = 6000
    batch: int = 8
    side: int = 112
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    averaging: float = 0.998
    seed: int = 0
    save_every: int = 25


State = dict[str, "Tensor"]


class Trainer:
    """A network in training, its running average (what is kept) and its optimiser.

    The tiles of a step depend on the seed and the step's number alone, so that a run that was killed
    and resumed draws what an undisturbed one draws.
    """

    def __init__(self, sampler: TileSampler, settings: TrainingSettings, start: State | None = None) -> None:
        import torch

        torch.manual_seed(settings.seed)
        self.settings = settings
        self.step = 0
        self._sampler = sampler
        network = build_network(settings.diameter)
        if start is not None:
            load_state(network, {**start, "diam_mean": torch.full((1,), settings.diameter)})
        self.network: Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: State = {name: value.clone() for name, value in self.network.state_dict().items()}
        weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        self._optimizer: Optimizer = torch.optim.AdamW(
            weights, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )

    def run(self, progress: Progress, checkpoint: Path | None = None) -> State:
        """Train to the last step; return the running average of the weights.

        A checkpoint is written, and the mean loss told, every `save_every` steps.
        """
        losses: list[float] = []
        with progress.track("train", self.settings.steps) as advance:
            advance(self.step)
            while self.step < self.settings.steps:
                losses.append(self.update())
                advance(1)
                if self.step % self.settings.save_every == 0:
                    if checkpoint is not None:
                        self.save(checkpoint)
                    progress.note(f"step {self.step}: loss {np.mean(losses):.3f}")
                    losses.clear()
        return self.average

    def update(self) -> float:
        """Make one step; return its loss."""
        import torch

        rng = np.random.default_rng((self.settings.seed, self.step))
        tiles = [self._sampler.draw(rng) for _ in range(self.settings.batch)]
        planes = torch.from_numpy(np.stack([tile.planes for tile in tiles]))
        target = torch.from_numpy(np.stack([tile.target for tile in tiles]))
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.settings)
        self.network.train()
        with fast_arithmetic("cpu"):
            output = self.network(planes.contiguous(memory_format=torch.channels_last))[0]
        loss = flow_loss(output.float(), target)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._follow()
        self.step += 1
        return float(loss.detach())

    def _follow(self) -> None:
        """Move the running average towards the weights; faster in the beginning."""
        share = 1 - min(self.settings.averaging, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, share)
            else:
                self.average[name].copy_(value)

    def save(self, path: Path) -> None:
        """Write everything that a resumed run needs."""
        import torch

        content = {
            "settings": asdict(self.settings),
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self._optimizer.state_dict(),
        }
        with replacing(path) as temporary:
            torch.save(content, temporary)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint.

        Raises
        ------
        PipelineError
            Where the checkpoint is unreadable or was made with other settings.
        """
        content = read_checkpoint(path)
        # more or fewer steps only move the end of the schedule
        free = {"steps", "save_every"}
        ours = asdict(self.settings)
        changed = sorted(k for k, v in content["settings"].items() if k not in free and ours.get(k) != v)
        if changed:
            raise PipelineError(f"{path}: made with other {', '.join(changed)}; remove it to start again")
        self.step = int(content["step"])
        self.network.load_state_dict(content["network"])
        self.average = content["average"]
        self._optimizer.load_state_dict(content["optimizer"])


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running any code from it."""
    import pickle

    import torch

    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        raise PipelineError(f"{path}: not a readable checkpoint; remove it to start again") from error
    return content


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Return the learning rate of a step: a linear rise, a plateau, a cosine fall."""
    rise = min(1.0, (step + 1) / min(WARM_UP, max(1, settings.steps // 10)))
    begin = settings.steps * (1 - DECAY)
    progress = max(0.0, (step - begin) / max(1.0, settings.steps - begin))
    return settings.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * progress))


def flow_loss(output: "Tensor", target: "Tensor") -> "Tensor":
    """Return Cellpose's loss: squared error of 5 × flows, halved, plus cross-entropy of being inside.

    Parameters
    ----------
    output, target : Tensor, shape (batch, 3, side, side)
    """
    from torch.nn import functional

    flows = functional.mse_loss(output[:, :2], 5.0 * target[:, :2])
    return flows / 2 + functional.binary_cross_entropy_with_logits(output[:, 2], target[:, 2])

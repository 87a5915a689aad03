"""The training of a network: seeded, resumable after any kill, with a moving average of its weights.

A module that trains gives the network, the loss of a batch, and, where an early stop is wanted, a validation.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.core.stage import Progress
from pipeline.core.weights import read_tensors

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

State = dict[str, "Tensor"]
BatchLoss = Callable[["Module", np.random.Generator, int], "Tensor"]
"""The network, a generator and the number of the step, which alone decide the batch, to its mean loss."""

Validation = Callable[["Module"], float]
"""A network, in evaluation mode, to its validation loss."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a network learns.

    Attributes
    ----------
    steps : int
        Updates of the weights.
    round : int
        Steps after which a checkpoint is written, and the network validated.
    learning_rate : float
        At its highest.
    warm_up : float
        Steps over which the learning rate rises from 0.
    decay_from : float
        Step from which it falls to 0 along a cosine.
    averaging : float
        Decay of the exponential moving average of weights, per step.
    identity : mapping
        What decides the weights, by name; a checkpoint with another one is refused.
    patience : int, optional
        Rounds without a lower validation loss before it stops.
    """

    steps: int
    round: int
    learning_rate: float
    warm_up: float
    decay_from: float
    weight_decay: float
    averaging: float
    seed: int
    identity: Mapping[str, Any]
    patience: int | None = None

    def factor(self, step: int) -> float:
        """Return a step's share of the highest learning rate: linear rise, plateau, cosine fall to 0."""
        rise = min(1.0, (step + 1) / (self.warm_up + 1))
        fall = max(0.0, (step - self.decay_from) / max(1.0, self.steps - self.decay_from))
        return rise * 0.5 * (1 + math.cos(math.pi * fall))

    def ema_decay(self, step: int) -> float:
        """Return the decay of the exponential moving average at a step: little in the beginning."""
        return min(self.averaging, (1 + step) / (10 + step))


class TrainingLoop:
    """A network in training, the moving average of its weights, and its optimizer.

    A batch and the network's dropout depend on the seed and the step alone, so that a run that was killed and
    resumed makes the steps of an undisturbed one.

    With a validation, the averaged weights of the round with the lowest validation loss are kept; else those
    of the last step.
    """

    def __init__(
        self,
        network: "Module",
        batch_loss: BatchLoss,
        schedule: Schedule,
        validation: Validation | None = None,
    ) -> None:
        from torch.optim import AdamW
        from torch.optim.lr_scheduler import LambdaLR
        from torch.optim.swa_utils import AveragedModel

        self.network, self.schedule = network, schedule
        self.step, self.best, self.best_step = 0, math.inf, 0
        self.chosen: State | None = None
        self._batch_loss, self._validation = batch_loss, validation
        self.average = AveragedModel(network, multi_avg_fn=self._blend, use_buffers=True)
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        self._optimizer = AdamW(weights, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
        self._rate = LambdaLR(self._optimizer, schedule.factor)

    def _blend(self, average: Any, weights: Any, _count: object) -> None:
        from torch.optim.swa_utils import get_ema_multi_avg_fn

        blend = get_ema_multi_avg_fn(self.schedule.ema_decay(self.step))  # type: ignore[no-untyped-call]
        blend(average, weights, self.step)

    @property
    def finished(self) -> bool:
        """Whether the steps or the patience are used up."""
        waited = (self.step - self.best_step) // self.schedule.round
        patience = self.schedule.patience if self._validation is not None else None
        return self.step >= self.schedule.steps or (patience is not None and waited >= patience)

    @property
    def state(self) -> State:
        """The averaged weights, of the best round where there is a validation."""
        return dict(self.average.module.state_dict()) if self.chosen is None else self.chosen

    def run(
        self,
        progress: Progress,
        title: str,
        checkpoint: Path | None = None,
        report: Callable[[str], None] = lambda _text: None,
    ) -> State:
        """Train until `finished`; return `state`.

        The checkpoint is written after every round; where it is there, training goes on from it. `report` is
        called after every round with its losses in words.
        """
        if checkpoint is not None and checkpoint.is_file():
            self.resume(checkpoint)
            report(f"going on at step {self.step} of {checkpoint}")
        with progress.track(title, self.schedule.steps) as advance:
            advance(self.step)
            while not self.finished:
                losses = []
                left = self.schedule.round - self.step % self.schedule.round
                for _ in range(min(left, self.schedule.steps - self.step)):
                    losses.append(self.update())
                    advance(1)
                found = self._end_round(checkpoint)
                mean = float(np.mean([float(loss) for loss in losses]))
                report(f"step {self.step}: loss {mean:.3f}{found}")
            advance(self.schedule.steps - self.step)
        return self.state

    def update(self) -> "Tensor":
        """Make one step; return its loss."""
        import torch

        seed, step = self.schedule.seed, self.step
        torch.manual_seed(seed * 1_000_003 + step)
        self.network.train()
        loss = self._batch_loss(self.network, np.random.default_rng((seed, step)), step)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._rate.step()
        self.average.update_parameters(self.network)
        self.step += 1
        return loss.detach()

    def _end_round(self, checkpoint: Path | None) -> str:
        """Validate, remember the best weights and write a checkpoint; return the validation in words."""
        said = ""
        if self._validation is not None:
            loss = self._validation(self.average.module.eval())
            said = f", validation loss {loss:.4f}"
            if loss < self.best:
                self.best, self.best_step = loss, self.step
                average = self.average.module.state_dict()
                self.chosen = {name: value.clone() for name, value in average.items()}
        if checkpoint is not None:
            self.save(checkpoint)
        return said

    def save(self, path: Path) -> None:
        """Write everything that a resumed run needs."""
        import torch

        content = {
            "identity": dict(self.schedule.identity),
            "progress": (self.step, self.best, self.best_step),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "chosen": self.chosen,
            "optimizer": self._optimizer.state_dict(),
        }
        with replacing(path) as temporary:
            torch.save(content, temporary)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint; refuse one that is unreadable or of other hyperparameters."""
        from torch.optim.lr_scheduler import LambdaLR

        content = read_tensors(path, str(next(self.network.parameters()).device))
        if not isinstance(content, dict) or "identity" not in content:
            raise PipelineError(f"{path}: not a checkpoint of this version; remove it to start again")
        ours, theirs = dict(self.schedule.identity), content["identity"]
        changed = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        if changed:
            raise PipelineError(f"{path}: made with other {', '.join(changed)}; remove it to start again")
        self.step, self.best, self.best_step = content["progress"]
        self.network.load_state_dict(content["network"])
        self.average.load_state_dict(content["average"])
        self.chosen = content["chosen"]
        self._optimizer.load_state_dict(content["optimizer"])
        # the end of the schedule may have moved since
        self._rate = LambdaLR(self._optimizer, self.schedule.factor, last_epoch=self.step - 1)

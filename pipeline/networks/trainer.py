"""Training one network: seeded, resumable after any kill, on a CPU or a CUDA device."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.core.torch_runtime import autocast
from pipeline.networks.architectures import build_network, forward
from pipeline.networks.augment import augmented, plain
from pipeline.networks.losses import Loss, log_loss, loss_of, positive_weights, unweighted

if TYPE_CHECKING:
    from torch import Tensor

Bytes = NDArray[np.uint8]
Rows = NDArray[np.intp]
State = dict[str, "Tensor"]
Report = Callable[[int, float], None]
"""Called after every epoch with its number and the validation log-loss of the averaged weights."""

WARM_UP = 0.05
"""Share of the steps over which the learning rate rises from 0."""


class CnnSettings(BaseModel):
    """What decides the trained weights, apart from the pictures.

    Attributes
    ----------
    network : str
        Name of an architecture.
    side, crop : int
        Side in pixels of pictures, and of the random views it is trained on.
    epochs, patience : int
        Passes over the pictures at most, and without a better validation log-loss before it stops.
    averaging : float
        Share of the running average of weights that a step keeps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str = "densenet121"
    side: int = Field(default=384, ge=32)
    crop: int = Field(default=288, ge=32)
    epochs: int = Field(default=30, ge=1)
    patience: int = Field(default=8, ge=1)
    batch: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    averaging: float = Field(default=0.995, ge=0, lt=1)
    loss: Loss = "bce"
    seed: int = Field(default=0, ge=0)


class Trainer:
    """A network in training, the running average of its weights, and its optimiser.

    Views, their order and dropout depend on the seed and the epoch alone, so that a run that was killed
    and resumed makes the steps of an undisturbed one.

    Parameters
    ----------
    pixels : ndarray, shape (pictures, channels, side, side), uint8
        May lie on disk.
    targets : ndarray of bool, shape (pictures, locations)
    rows, validation : ndarray of int
        Pictures to train on, and to choose the epoch by; without the latter, the last epoch is kept.
    settings : CnnSettings
    device : str
        "cpu" or a CUDA device.
    """

    def __init__(
        self,
        pixels: Bytes,
        targets: NDArray[np.bool_],
        rows: Rows,
        validation: Rows,
        settings: CnnSettings,
        device: str = "cpu",
    ) -> None:
        import torch

        self.settings, self.epoch, self.best, self.waited = settings, 0, math.inf, 0
        self.best_epoch = 0
        self._pixels, self._targets, self._rows, self._validation = pixels, targets, rows, validation
        self._device = device
        torch.backends.cudnn.deterministic = True
        torch.manual_seed(settings.seed)
        network = build_network(settings.network, targets.shape[1], pixels.shape[1])
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: State = {name: value.clone() for name, value in network.state_dict().items()}
        self.chosen: State = dict(self.average)
        self._weights = torch.from_numpy(positive_weights(targets[rows])).to(device)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return max(1, len(self._rows) // self.settings.batch)

    def run(self, checkpoint: Path, report: Report) -> State:
        """Train until the epochs or the patience are used up; return the best averaged weights."""
        while self.epoch < self.settings.epochs and self.waited < self.settings.patience:
            loss = self.pass_over()
            self.save(checkpoint)
            report(self.epoch, loss)
        return self.chosen

    def pass_over(self) -> float:
        """Make one epoch; return the validation log-loss of the averaged weights."""
        import torch

        torch.manual_seed(self.settings.seed * 100_003 + self.epoch)
        rng = np.random.default_rng((self.settings.seed, self.epoch))
        order = rng.permutation(self._rows)
        size = min(self.settings.batch, len(order))
        self.network.train()
        for step in range(self.steps):
            self._step(order[step * size : (step + 1) * size], self.epoch * self.steps + step, rng)
        self.epoch += 1
        loss = self._validate()
        if loss < self.best or not len(self._validation):
            self.best, self.best_epoch, self.waited = loss, self.epoch, 0
            self.chosen = {name: value.clone() for name, value in self.average.items()}
        else:
            self.waited += 1
        return loss

    def _validate(self) -> float:
        """Return the log-loss of the averaged weights on the validation pictures; NaN without any."""
        if not len(self._validation):
            return math.nan
        logits = unweighted(self.answers(self.average, self._validation), self._weights.cpu().numpy())
        return log_loss(logits, self._targets[self._validation])

    def _step(self, rows: Rows, step: int, rng: np.random.Generator) -> None:
        import torch

        views = np.stack([augmented(self._pixels[row], self.settings.crop, rng) for row in rows])
        pictures = torch.from_numpy(views).to(self._device, memory_format=torch.channels_last)
        targets = torch.from_numpy(self._targets[rows].astype(np.float32)).to(self._device)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(step, self.steps * self.settings.epochs, self.settings.learning_rate)
        with autocast(self._device):
            logits = forward(self.network, pictures)[1]
        loss = loss_of(logits.float(), targets, self._weights, self.settings.loss)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        share = 1 - min(self.settings.averaging, (1 + step) / (10 + step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, share)
            else:
                self.average[name].copy_(value)

    def answers(self, state: State, rows: Rows) -> NDArray[np.float32]:
        """Return log-odds of whole pictures, shape (rows, locations), under some weights."""
        import torch

        own = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(state)
        self.network.eval()
        found = []
        with torch.inference_mode(), autocast(self._device):
            for row in rows:
                picture = torch.from_numpy(plain(self._pixels[row])[None])
                picture = picture.to(self._device, memory_format=torch.channels_last)
                found.append(forward(self.network, picture)[1].float().cpu().numpy())
        self.network.load_state_dict(own)
        return np.concatenate(found)

    def save(self, path: Path) -> None:
        """Write everything that a resumed run needs."""
        import torch

        content = {
            "settings": self.settings.model_dump(),
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "network": self.network.state_dict(),
            "average": self.average,
            "chosen": self.chosen,
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
        content = read_checkpoint(path, self._device)
        ours = self.settings.model_dump()
        changed = sorted(name for name, value in content["settings"].items() if ours.get(name) != value)
        if changed:
            raise PipelineError(f"{path}: made with other {', '.join(changed)}; remove it to start again")
        self.epoch, self.best, self.waited = content["epoch"], content["best"], content["waited"]
        self.best_epoch = content["best_epoch"]
        self.network.load_state_dict(content["network"])
        self.average, self.chosen = content["average"], content["chosen"]
        self._optimizer.load_state_dict(content["optimizer"])


def read_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Read a file of torch without running any code from it.

    Raises
    ------
    PipelineError
        If it is unreadable, or holds more than numbers, text and containers of them.
    """
    import pickle

    import torch

    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise PipelineError(f"{path}: not a readable checkpoint of weights; restore or remove it") from error
    if not isinstance(content, dict):
        raise PipelineError(f"{path}: holds no table of weights; give a checkpoint with a state_dict")
    return content


def learning_rate(step: int, steps: int, highest: float) -> float:
    """Return the learning rate of a step: a linear rise, then a cosine fall to 0."""
    rise = max(1.0, WARM_UP * steps)
    if step < rise:
        return highest * (step + 1) / (rise + 1)
    return highest * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))

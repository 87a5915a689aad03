"""Training a CNN to tell a protein's locations, on a CPU or a CUDA device."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.training_loop import Schedule, TrainingLoop
from pipeline.core.workers import autocast
from pipeline.networks.architectures import CnnHyperparameters, Loss, build_network, forward
from pipeline.networks.training_pictures import Bytes, augmented, plain

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import ModuleDict

Rows = NDArray[np.intp]

WARM_UP = 0.05
"""Share of the steps over which the learning rate rises from 0."""

HEAVIEST = 8.0
"""Largest weight of a rare location's positives: heavier ones are learned by heart."""

FOCUS = 2.0
"""Exponent of the focal loss."""


def schedule_of(hyperparameters: CnnHyperparameters, pictures: int) -> Schedule:
    """Return the schedule of a training on so many pictures; a round is an epoch."""
    epoch = max(1, pictures // hyperparameters.batch)
    steps = epoch * hyperparameters.epochs
    return Schedule(
        steps=steps,
        round=epoch,
        learning_rate=hyperparameters.learning_rate,
        warm_up=max(1.0, WARM_UP * steps),
        decay_from=max(1.0, WARM_UP * steps),
        weight_decay=hyperparameters.weight_decay,
        averaging=hyperparameters.averaging,
        patience=hyperparameters.patience,
        seed=hyperparameters.seed,
        identity=hyperparameters.model_dump(),
    )


def cnn_training(
    pixels: Bytes,
    targets: NDArray[np.bool_],
    rows: Rows,
    validation: Rows,
    hyperparameters: CnnHyperparameters,
    device: str = "cpu",
) -> TrainingLoop:
    """Return the training of a network.

    Parameters
    ----------
    pixels : ndarray, shape (pictures, channels, side, side), uint8
        May lie on disk.
    targets : ndarray of bool, shape (pictures, locations)
    rows, validation : ndarray of int
        Pictures to train on, and to choose the epoch by; without the latter, the last epoch is kept.
    hyperparameters : CnnHyperparameters
    device : str
        "cpu" or a CUDA device.
    """
    import torch

    torch.backends.cudnn.deterministic = True
    torch.manual_seed(hyperparameters.seed)
    network = build_network(hyperparameters.network, targets.shape[1])
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = positive_weights(targets[rows])
    on_device = torch.from_numpy(weights).to(device)
    schedule = schedule_of(hyperparameters, len(rows))
    size = min(hyperparameters.batch, len(rows))

    def batch_loss(network: Any, rng: np.random.Generator, step: int) -> "Tensor":
        epoch, position = divmod(step, schedule.round)
        order = np.random.default_rng((hyperparameters.seed, epoch, 1)).permutation(rows)
        batch = order[position * size : (position + 1) * size]
        views = np.stack([augmented(pixels[row], hyperparameters.crop, rng) for row in batch])
        pictures = torch.from_numpy(views).to(device, memory_format=torch.channels_last)
        truth = torch.from_numpy(targets[batch].astype(np.float32)).to(device)
        with autocast(device):
            logits = forward(network, pictures)[1]
        return loss_of(logits.float(), truth, on_device, hyperparameters.loss)

    def validation_loss(network: Any) -> float:
        logits = log_odds(network, pixels, validation, device)
        return log_loss(unweighted(logits, weights), targets[validation])

    return TrainingLoop(network, batch_loss, schedule, validation_loss if len(validation) else None)


def log_odds(network: "ModuleDict", pixels: Bytes, rows: Rows, device: str = "cpu") -> NDArray[np.float32]:
    """Return a network's log-odds of whole pictures, shape (rows, locations)."""
    import torch

    found = []
    with torch.inference_mode(), autocast(device):
        for row in rows:
            picture = torch.from_numpy(plain(pixels[row])[None])
            picture = picture.to(device, memory_format=torch.channels_last)
            found.append(forward(network, picture)[1].float().cpu().numpy())
    return np.concatenate(found)


def positive_weights(targets: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Weigh positives by the square root of how rare they are, at most `HEAVIEST`.

    Parameters
    ----------
    targets : ndarray of bool, shape (pictures, locations)

    Returns
    -------
    ndarray of float32, shape (locations,)
    """
    share = np.maximum(targets.mean(axis=0), 1e-6)
    weights: NDArray[np.float32] = np.clip(np.sqrt((1 - share) / share), 1, HEAVIEST).astype(np.float32)
    return weights


def loss_of(logits: "Tensor", targets: "Tensor", weights: "Tensor", kind: Loss) -> "Tensor":
    """Return the mean loss.

    Parameters
    ----------
    logits, targets : Tensor, shape (batch, locations)
    weights : Tensor, shape (locations,)
        Of positives.
    kind : str
        "bce": weighted binary cross-entropy; "focal": the same, times (1 - p)² where p is the probability
        given to the truth (Lin et al. 2017, doi 10.1109/ICCV.2017.324).
    """
    import torch

    if kind == "bce":
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights)
    from monai.losses.focal_loss import FocalLoss

    each: Tensor = FocalLoss(gamma=FOCUS, reduction="none")(logits, targets)
    return (each * torch.where(targets > 0.5, weights, torch.ones_like(weights))).mean()


def log_loss(logits: NDArray[np.float32], targets: NDArray[np.bool_]) -> float:
    """Return the mean log-loss of log-odds over pictures and locations."""
    signed = np.where(targets, -logits, logits).astype(np.float64)
    return float(np.logaddexp(0, signed).mean())


def unweighted(logits: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take out of log-odds what weighing positives put in: a weight of w multiplies the odds by w.

    Without it, log-loss would prefer epochs that are unsure to epochs that tell locations apart.

    Parameters
    ----------
    logits : ndarray, shape (pictures, locations)
    weights : ndarray, shape (locations,)
        Of positives in the training.
    """
    true: NDArray[np.float32] = logits - np.log(weights)
    return true

"""Losses of a network that answers several locations at once, and the log-loss that chooses its weights."""

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Loss = Literal["bce", "focal"]

HEAVIEST = 8.0
"""Largest weight of a rare location's positives: heavier ones are learned by heart."""

FOCUS = 2.0
"""Exponent of the focal loss."""


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
    from torch.nn import functional

    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if kind == "focal":
        each = each * (1 - torch.exp(-each)) ** FOCUS
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

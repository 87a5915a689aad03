"""The network that comes with the project, by itself: its log-odds, and the locations that it names."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from models.stack_model import Prediction
from pipeline.core.errors import PipelineError
from pipeline.core.weights import SHIPPED, read_card
from pipeline.networks.checkpoints import CnnCard, Deciding
from pipeline.networks.preprocessing import Embedder

WEIGHTS = SHIPPED / "builtin.safetensors"

SHIPPED_BLOCK = "shipped"
"""Name of the block of its log-odds."""


def shipped_card() -> tuple[CnnCard, Deciding]:
    """Return the card of the shipped network, and how it names locations."""
    card = read_card(WEIGHTS, CnnCard)
    if card is None or card.deciding is None:
        raise PipelineError(
            f"{WEIGHTS.with_suffix('.json')}: does not say how to name locations; give a --model"
        )
    return card, card.deciding


def shipped_embedder(name: str = SHIPPED_BLOCK) -> Embedder:
    """Return the shipped network as it is used by itself: its log-odds alone, with test-time averaging."""
    card, deciding = shipped_card()
    update = {"sides": deciding.sides, "keep": "outputs"}
    return card.embedder(name, WEIGHTS).model_copy(update=update)


def decided(
    log_odds: NDArray[np.float32], ids: pd.Index, locations: tuple[str, ...], deciding: Deciding
) -> Prediction:
    """Return probabilities and choices of log-odds, shape (pictures, locations)."""
    probability = pd.DataFrame(expit(log_odds.astype(np.float64)), ids, list(locations))
    return Prediction(probability, probability >= deciding.threshold)

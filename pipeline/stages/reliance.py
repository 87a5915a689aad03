"""How far an answer can be relied on: the risk of a wrong name, kept in the card of a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from models.meta_learner import Predictions
from models.risk import LEVELS, Level, as_card, calibrate_levels, level_of
from models.stacking import STACK, StackedLocations
from pipeline.core.errors import PipelineError
from pipeline.data.dataset import Dataset

RISK = "risk"
"""What a card calls its calibrated levels."""

NOTHING_REACHES = "no probability reaches its threshold"


def risk_card(stack: StackedLocations, data: Dataset, risk: float | None) -> dict[str, Any]:
    """Calibrate the levels of risk on a training's out-of-fold predictions, for the card."""
    predicted: Predictions = stack.out_of_fold_[STACK]
    units = (data.groups if data.plates is None else data.plates).to_numpy(dtype=str)
    truth = data.targets[data.trained].to_numpy(dtype=bool)
    risks = LEVELS if risk is None else (*LEVELS, risk)
    return as_card(calibrate_levels(predicted.probability, predicted.chosen, truth, units, risks), risk)


def level_in_use(card: Mapping[str, Any], risk: float | None, folder: Path) -> Level | None:
    """Return the level that a model names locations by: the one asked for, or that of its training.

    Raises
    ------
    PipelineError
        If the one asked for was not calibrated.
    """
    if RISK not in card and risk is None:
        return None
    if RISK not in card:
        raise PipelineError(
            f"--risk {risk:g}: {folder} was trained by a version that calibrated no risk; leave it away, or "
            "train again"
        )
    try:
        return level_of(card[RISK], risk)
    except ValueError as error:
        raise PipelineError(
            f"{folder}: {error}; give one of them as --risk, or train with another"
        ) from error


def named(probability: pd.DataFrame, chosen: pd.DataFrame, level: Level | None) -> pd.DataFrame:
    """Return what is named of the chosen locations at a level of risk; all of it without one."""
    if level is None:
        return chosen
    kept = level.named(probability.to_numpy(), chosen.to_numpy())
    return pd.DataFrame(kept, chosen.index, chosen.columns)


def why_unnamed(level: Level | None) -> str:
    """Say why nothing is named for a picture."""
    if level is None:
        return NOTHING_REACHES
    if level.cut is None:
        return (
            f"no probability was sure enough in cross-validation to name anything at a risk of {level.risk:g}"
        )
    return f"no probability reaches its threshold and {level.cut:.2f}, as a risk of {level.risk:g} needs"

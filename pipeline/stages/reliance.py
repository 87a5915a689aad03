"""How far an answer can be relied on: the risk of a wrong name, and how unlike its training a picture is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from features.naming import parse
from models.bundle import Model
from models.hyperparameters import CELLS
from models.meta_learner import Predictions
from models.risk import LEVELS, Level, as_card, calibrate_levels, level_of
from models.stack_model import STACK
from models.stacking import StackedLocations
from models.unlikeness import RATE, Unlikeness, drifts, fit_unlikeness, overall
from pipeline.core.errors import PipelineError
from pipeline.core.names import counted
from pipeline.core.stage import Progress
from pipeline.data.dataset import FEATURES, Dataset
from pipeline.data.prediction_tables import OUTPUTS
from pipeline.stages.column_meanings import in_words
from pipeline.stages.trained_models import start_thresholds

RISK = "risk"
"""What a card calls its calibrated levels."""

_OLDER = "the model is of an older version: train again to be told of pictures unlike its training pictures"

NOTHING_REACHES = "no probability reaches its threshold"


def risk_card(stack: StackedLocations, data: Dataset, risk: float | None) -> dict[str, Any]:
    """Calibrate the levels of risk on a training's out-of-fold predictions, for the card."""
    predicted: Predictions = stack.out_of_fold_[STACK]
    truth = data.targets[data.trained].to_numpy(dtype=bool)
    risks = LEVELS if risk is None else (*LEVELS, risk)
    return as_card(calibrate_levels(predicted.probability, predicted.chosen, truth, data.units, risks), risk)


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


def needed(model: Model, level: Level | None) -> dict[str, float]:
    """Return the probability from which each location is named; 1 where none is, at the risk in use."""
    fitted = model.stack.meta_learners[STACK]
    names = [model.locations[position] for position in fitted.meta.locations]
    limits = dict(zip(names, fitted.thresholds.tolist(), strict=True))
    limits |= start_thresholds(model.card)
    cut = 0.0 if level is None else 1.0 if level.cut is None else level.cut
    return {name: max(threshold, cut) for name, threshold in limits.items()}


def why_unnamed(level: Level | None) -> str:
    """Say why nothing is named for a picture."""
    if level is None:
        return NOTHING_REACHES
    if level.cut is None:
        return (
            f"no probability was sure enough in cross-validation to name anything at a risk of {level.risk:g}"
        )
    return f"no probability reaches its threshold and {level.cut:.2f}, as a risk of {level.risk:g} needs"


def parts_of(tables: Mapping[str, pd.DataFrame]) -> dict[str, tuple[str, list[str]]]:
    """Return columns of a model's tables by part: families of features, and embeddings."""
    parts: dict[str, tuple[str, list[str]]] = {}
    for name, table in tables.items():
        for column in table.columns:
            part = parse(column).family if name == FEATURES else name
            parts.setdefault(part, (name, []))[1].append(column)
    return parts


def learn_unlikeness(data: Dataset, progress: Progress) -> Unlikeness | None:
    """Learn where the training pictures lie, by families of features and by embeddings.

    None where a model knows nothing but other networks' predictions.
    """
    tables = {name: table for name, table in data.blocks.items() if name not in (OUTPUTS, CELLS)}
    if not tables:
        return None
    with progress.track("Learning where the training pictures lie", 1) as advance:
        learned = fit_unlikeness(tables, parts_of(tables), data.fold, data.units)
        advance(1)
    if learned.rate > RATE:
        progress.note(
            f"Pictures unlike these will be told with {learned.rate:.1%} false alarms: for {RATE:.0%}, the "
            "groups are too few"
        )
    return learned


@dataclass(frozen=True)
class Judged:
    """Which pictures are unlike those of the training.

    `scores` are of all pictures, `reasons` of the unlike ones, both by Id; `told` are lines about all.
    """

    scores: "pd.Series[float]"
    reasons: Mapping[str, str]
    told: list[str]


def judged(model: Model, table: pd.DataFrame, groups: "pd.Series[str]", batches: "pd.Series[str]") -> Judged:
    """Compare pictures with those of a model's training.

    Parameters
    ----------
    table : DataFrame
        Index ``Id``, the model's columns, as they are predicted from.
    groups, batches : Series
        Group, and plate or the like, of pictures by Id: whether a batch drifts is told. Pictures without a
        group are groups of their own.
    """
    known = model.unlikeness
    if known is None:
        return Judged(pd.Series(dtype=float), {}, [_OLDER] if RISK not in model.card else [])
    surprises = known.surprises(table)
    scores = overall(surprises)
    far = scores.index[(scores > known.limit).to_numpy()]
    reasons = {str(one): _reason(known, table.loc[one], surprises.loc[one], scores[one]) for one in far}
    alone = pd.Series(scores.index.astype(str), scores.index)
    groups, batches = groups.reindex(scores.index).fillna(alone), batches.reindex(scores.index)
    told = []
    for one in drifts(scores, batches, known.known, groups):
        if one.drifts:
            part = str(surprises[batches.eq(one.batch)].mean().idxmax())
            told.append(
                f"{one.batch}: {counted(one.pictures, 'picture')} together are less like the training "
                f"pictures than those are themselves (p = {one.p:.1g}), most by {part}; look at focus, light "
                "and stain"
            )
    return Judged(scores, reasons, told)


def _reason(known: Unlikeness, row: "pd.Series[float]", surprises: "pd.Series[float]", score: float) -> str:
    """Say which part of a picture is farthest from the training, and which of its columns."""
    part = str(surprises.idxmax())
    column, far = known.farthest(row, part)
    side = "above" if far > 0 else "below"
    return (
        f"unlike the training pictures (score {score:.1f}, limit {known.limit:.1f}), most by {part}: "
        f"{in_words(column)} is {abs(far):.1f} standard deviations {side} their median"
    )

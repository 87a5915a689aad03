"""What a training leaves to look at: folds, out-of-fold predictions, thresholds and settings, as tables."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from models.cross_fitting import Choice
from models.meta_learner import Predictions
from models.metrics import Labels
from models.stack_model import STACK
from models.stacking import RANDOM_SPLIT, StackedLocations
from pipeline.core.files import replacing, write_table, write_text
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import Dataset
from pipeline.stages.options import TrainOptions


def write_tables(stack: StackedLocations, data: Dataset, options: TrainOptions, work: Workspace) -> None:
    """Write what later stages read, and what a person looks at: see data/README.md."""
    write_table(work.folds, _folds(data))
    write_table(work.out_of_fold, _predictions(stack, data))
    write_table(work.groups_out_of_fold, _groups(stack, data))
    with replacing(work.base_log_odds) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **_base_log_odds(stack, data))
    tables = {work.out_of_fold_csv: _of_stack(stack, data), work.thresholds: _thresholds(stack, data)}
    for path, table in tables.items():
        with replacing(path) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
    write_text(work.settings, json.dumps(_settings(stack, data, options), indent=1))


def _folds(data: Dataset) -> pd.DataFrame:
    """Return every picture's group and fold, and the plate, where folds are made of plates."""
    table = pd.DataFrame({"Id": data.targets.index, "group": data.groups.to_numpy(), "fold": data.fold})
    return table if data.plates is None else table.assign(plate=data.plates.to_numpy())


def _predictions(stack: StackedLocations, data: Dataset) -> pd.DataFrame:
    """Return outer out-of-fold predictions, one row per model, location and picture.

    Columns: ``Id, group, fold, model, location, truth, probability, chosen``. The model is ``stack``,
    ``top two``, or a location's name for its binary model; where asked for also the stack ``without
    selection`` and in a ``random split``.
    """
    base = _folds(data)
    tables: list[pd.DataFrame] = []
    for name, predicted in stack.out_of_fold_.items():
        fold = data.random_fold if name == RANDOM_SPLIT else data.fold
        fitted = stack.model_.meta_learners.get(name, stack.model_.meta_learners[STACK])
        locations = [data.trained[position] for position in fitted.meta.locations]
        truth = data.targets[locations].to_numpy()
        tables += _by_location(base.assign(fold=fold, model=name), locations, truth, predicted)
    return pd.concat(tables, ignore_index=True).astype({"model": "category", "location": "category"})


def _groups(stack: StackedLocations, data: Dataset) -> pd.DataFrame:
    """Return the out-of-fold answers of groups: ``group, fold, location, truth, probability, chosen``."""
    known = stack.group_answers_
    base = pd.DataFrame({"group": known.names, "fold": known.fold})
    tables = _by_location(base, data.trained, known.truth, known.predicted)
    return pd.concat(tables, ignore_index=True).astype({"location": "category"})


def _by_location(
    base: pd.DataFrame, locations: Sequence[str], truth: Labels, predicted: Predictions
) -> Iterator[pd.DataFrame]:
    """Yield, for each location, the rows of `base` with what is known and predicted of it."""
    for column, location in enumerate(locations):
        yield base.assign(
            location=location,
            truth=truth[:, column],
            probability=predicted.probability[:, column],
            chosen=predicted.chosen[:, column],
        )


def _base_log_odds(stack: StackedLocations, data: Dataset) -> dict[str, Any]:
    """Return what meta-learner and thresholds can be fitted on again, for ablations."""
    blocks = list(stack.model_.blocks)
    return {
        "inner": np.stack(stack.nested_.inner),
        "outer": stack.nested_.outer,
        "targets": data.targets[data.trained].to_numpy(),
        "fold": data.fold,
        "groups": data.groups.to_numpy(dtype=str),
        "units": data.units,
        "blocks": np.array([blocks[block] for block, _ in stack.model_.sources]),
        "kinds": np.array([kind for _, kind in stack.model_.sources]),
        "always": np.array(stack.model_.meta_learners[STACK].meta.always),
    }


def _of_stack(stack: StackedLocations, data: Dataset) -> pd.DataFrame:
    """Return the stack's answers like those of `predict`: a row per picture, a column per location."""
    predicted, names = stack.out_of_fold_[STACK], np.array(data.trained)
    truth = data.targets[data.trained].to_numpy(bool)
    said = {
        "labels": ["; ".join(names[row]) for row in truth],
        "locations": ["; ".join(names[row]) for row in predicted.chosen],
    }
    probability = pd.DataFrame(predicted.probability.round(6), columns=data.trained)
    return pd.concat([_folds(data).assign(**said), probability], axis=1)


def _thresholds(stack: StackedLocations, data: Dataset) -> pd.DataFrame:
    """Return every model's thresholds: the final one, and that which decided the pictures of each fold."""
    return pd.DataFrame(
        {"model": name, "location": data.trained[position], "threshold": fitted.thresholds[column]}
        | {f"fold_{number}": own[column] for number, own in enumerate(folds)}
        for name, fitted in stack.model_.meta_learners.items()
        if (folds := stack.out_of_fold_[name].thresholds) is not None
        for column, position in enumerate(fitted.meta.locations)
    )


def _settings(stack: StackedLocations, data: Dataset, options: TrainOptions) -> dict[str, Any]:
    """Return all options but where and how fast it ran, and the hyperparameters that were chosen by them."""
    chosen = list(_chosen(stack.choices_, data))
    asked = options.model_dump(mode="json", exclude={"work", "jobs", "cluster", "overwrite"})
    return {"options": asked, "hyperparameters": chosen}


def _chosen(choices: list[Choice], data: Dataset) -> Iterator[dict[str, Any]]:
    for choice in choices:
        positions = [one for one in choice.positions if one is not None]
        yield {
            "block": list(data.blocks)[choice.source[0]],
            "base_learner": choice.source[1],
            "locations": [data.trained[one] for one in positions] or data.trained,
            "final": asdict(choice.final),
            "folds": {number: asdict(one) for number, one in choice.per_fold.items()},
        }

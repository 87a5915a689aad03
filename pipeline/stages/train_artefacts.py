"""What `train` leaves: folds, out-of-fold predictions, base learners' log-odds, the model and its card."""

import json
import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from models.bundle import save_model
from models.stacking import RANDOM_SPLIT, STACK, StackedLocations
from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, replacing
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import FEATURES, Dataset
from pipeline.stages.options import TrainOptions

CARD_VERSIONS = ("lightgbm", "xgboost-cpu", "scikit-learn", "numpy", "pandas")


def write_tables(stack: StackedLocations, data: Dataset, work: Workspace) -> None:
    """Write folds, out-of-fold predictions and the base learners' log-odds."""
    with replacing(work.folds) as temporary:
        folds_table(data).to_parquet(temporary, index=False)
    with replacing(work.out_of_fold) as temporary:
        predictions_table(stack, data).to_parquet(temporary, index=False)
    with replacing(work.level0) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **_base_log_odds(stack, data))


def folds_table(data: Dataset) -> pd.DataFrame:
    """Return every picture's group and fold."""
    return pd.DataFrame({"Id": data.targets.index, "group": data.groups.to_numpy(), "fold": data.fold})


def predictions_table(stack: StackedLocations, data: Dataset) -> pd.DataFrame:
    """Return outer out-of-fold predictions, one row per model, location and picture.

    Columns: ``Id, group, fold, model, location, truth, probability, chosen``. The model is ``stack``,
    ``top two``, or a location's name for its binary model; where asked for also the stack ``without
    selection`` and in a ``random split``.
    """
    base = folds_table(data)
    tables = []
    for name, predicted in stack.out_of_fold_.items():
        fold = data.random_fold if name == RANDOM_SPLIT else data.fold
        fitted = stack.model_.meta_learners.get(name, stack.model_.meta_learners[STACK])
        for column, position in enumerate(fitted.meta.locations):
            location = data.trained[position]
            tables.append(
                base.assign(
                    fold=fold,
                    model=name,
                    location=location,
                    truth=data.targets[location].to_numpy(),
                    probability=predicted.probability[:, column],
                    chosen=predicted.chosen[:, column],
                )
            )
    return pd.concat(tables, ignore_index=True).astype({"model": "category", "location": "category"})


def _base_log_odds(stack: StackedLocations, data: Dataset) -> dict[str, Any]:
    """Return what meta-learner and thresholds can be fitted on again, for ablations."""
    blocks = list(stack.model_.blocks)
    meta = stack.model_.meta_learners[STACK].meta
    return {
        "inner": np.stack(stack.nested_.inner),
        "outer": stack.nested_.outer,
        "targets": data.targets[data.trained].to_numpy(),
        "fold": data.fold,
        "groups": data.groups.to_numpy(dtype=str),
        "blocks": np.array([blocks[block] for block, _ in stack.model_.sources]),
        "kinds": np.array([kind for _, kind in stack.model_.sources]),
        "always": np.array(meta.always),
    }


def save(stack: StackedLocations, work: Workspace, card: Mapping[str, Any]) -> None:
    """Write the model beside its place and swap it in: a kill leaves the old one or the new one."""
    temporary = work.model.with_name(f".{work.model.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    save_model(stack.model_, temporary, card)
    shutil.rmtree(work.model, ignore_errors=True)
    temporary.rename(work.model)


def make_card(options: TrainOptions, data: Dataset, work: Workspace) -> dict[str, Any]:
    """Say what the model is trained on."""
    positives = data.targets[data.trained].sum()
    groups = data.targets.groupby(data.groups).any()[data.trained].sum()
    return {
        "pictures": len(data.targets),
        "groups": int(data.groups.nunique()),
        "grouped": data.grouped,
        "folds": data.folds,
        "locations": {
            name: {"pictures": int(positives[name]), "groups": int(groups[name])} for name in data.trained
        },
        "positives": {name: int(number) for name, number in data.targets.sum().items()},
        "left_out": dict(data.left_out),
        "blocks": {name: table.shape[1] for name, table in data.blocks.items()},
        "options": options.settings,
        "labels": {"file": options.labels.name, "sha256": file_digest(options.labels)},
        "extraction": _extraction(work) if FEATURES in data.blocks else None,
        "versions": {name: version(name) for name in CARD_VERSIONS} | {"python": platform.python_version()},
    }


def _extraction(work: Workspace) -> Any:
    """Read how the pictures were measured, which `predict` has to repeat."""
    if not work.extraction.is_file():
        raise PipelineError(f"{work.extraction}: missing; run extract again with --work {work.root}")
    return json.loads(work.extraction.read_text())

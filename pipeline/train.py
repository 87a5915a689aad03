"""The stage `train`: features and labels in; folds, out-of-fold answers and a model out."""

import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import optuna
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import URL

from models.bundle import save_model
from models.training import MINIMUM_FOLDS, StackedLocations
from pipeline.embedding.card import card_path
from pipeline.errors import PipelineError
from pipeline.layout import Workspace
from pipeline.leak_guard import card_of, check_leaks, described
from pipeline.locations import TOP_TWO
from pipeline.problems import write_problems
from pipeline.progress import Progress
from pipeline.records import changes, file_digest, read_record, replacing, write_record
from pipeline.training.dataset import Dataset, read_dataset
from pipeline.training.store import FileStore

CARD_VERSIONS = ("lightgbm", "xgboost-cpu", "scikit-learn", "numpy", "pandas")

Rule = Literal["f1", "f1_shrunk", "half_f1", "proportion", "nested"]


class TrainOptions(BaseModel):
    """What `train` is asked to do.

    Attributes
    ----------
    work : Path
        Folder with the features; the model goes there.
    labels : Path
        csv ``Id,Target``.
    groups : Path, optional
        csv ``Id,group``; None for the groups of the samples, and each picture alone where there are none.
    embeddings : tuple of Path
        Tables keyed by Id; each is one more block of the stack.
    rule : str
        How thresholds are chosen, see `models.thresholds`.
    trials : int
        Settings tried per library, block and stratum of locations, beside the defaults.
    folds : int
        Fewer are made where there are too few groups.
    seed : int
    accept_leak : bool
        Stack embeddings of networks that were trained on these pictures; scores are then marked.
    jobs : int
        Boosters fitted at the same time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    work: Path
    labels: Path
    groups: Path | None = None
    embeddings: tuple[Path, ...] = ()
    rule: Rule = "f1_shrunk"
    trials: int = Field(default=8, ge=0)
    folds: int = Field(default=5, ge=MINIMUM_FOLDS)
    seed: int = Field(default=0, ge=0)
    accept_leak: bool = False
    jobs: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)


@dataclass(frozen=True)
class TrainSummary:
    """What `train` did.

    Attributes
    ----------
    fresh : bool
        False where a model from the same inputs was there already.
    pictures, groups, folds : int
    trained : list of str
        Locations with a model.
    left_out : dict
        Locations without one, with the reason.
    problems : int
        Pictures that could not be used, or only in part.
    """

    fresh: bool
    pictures: int
    groups: int
    folds: int
    trained: list[str]
    left_out: Mapping[str, str]
    problems: int


def inputs(options: TrainOptions) -> dict[str, str]:
    """Return the fingerprints of what `train` would read now, by name.

    Raises
    ------
    PipelineError
        If a file is missing.
    """
    work = Workspace(options.work)
    files = {
        "features": work.features,
        f"labels {options.labels.name}": options.labels,
        **{f"embeddings {path.name}": path for path in options.embeddings},
    }
    if options.groups is not None:
        files[f"groups {options.groups.name}"] = options.groups
    elif work.samples.is_file():
        files["groups of the samples"] = work.samples
    for path in files.values():
        if not path.is_file():
            raise PipelineError(f"{path}: no such file; run extract first, or give the right path")
    for path in options.embeddings:
        if card_path(path).is_file():
            files[f"card of embeddings {path.name}"] = card_path(path)
    named = ("rule", "trials", "folds", "seed", "accept_leak")
    settings = {f"option {name}": str(getattr(options, name)) for name in named}
    return {name: file_digest(path) for name, path in files.items()} | settings


def train(options: TrainOptions, progress: Progress) -> TrainSummary:
    """Cross-validate, tune and train, unless a model from the same inputs is there.

    Raises
    ------
    PipelineError
        If there are no features or labels, they allow no model, or an embedding leaks.
    """
    work = Workspace(options.work)
    now = inputs(options)
    record = read_record(work.record("train"))
    data = read_dataset(work, options.labels, options.groups, options.embeddings, options.folds, options.seed)
    cards = {path: card_of(path) for path in options.embeddings}
    fold = pd.Series(data.fold, index=data.targets.index)
    marks = check_leaks(cards, fold, accept=options.accept_leak)
    for mark in marks:
        progress.note(f"Marked: {mark}")
    if record and not changes(record, now) and work.model.exists() and work.out_of_fold.exists():
        return _summary(data, fresh=False)
    write_problems(work.problems, "train", data.problems)
    work.record("train").unlink(missing_ok=True)
    card = _card(options, data, work) | {"leaks": marks, "embeddings": described(cards)}
    store = FileStore(work.boosters)
    stack = _fit(options, data, work, store, progress)
    with replacing(work.folds) as temporary:
        _folds_table(data).to_parquet(temporary, index=False)
    with replacing(work.out_of_fold) as temporary:
        answers_table(stack, data).to_parquet(temporary, index=False)
    _save(stack, work, card)
    write_record(work.record("train"), "train", options, now)
    store.clear()
    return _summary(data, fresh=True)


def _fit(
    options: TrainOptions, data: Dataset, work: Workspace, store: FileStore, progress: Progress
) -> StackedLocations:
    stack = StackedLocations(options.trials, options.seed, options.jobs, options.rule, TOP_TWO)
    total = stack.fits_needed(len(data.trained), len(data.blocks), data.folds)
    done = 0

    def finished(units: int) -> None:
        nonlocal done
        done += units
        advance(units)

    with progress.track("Fitting boosters", total) as advance:
        stack.fit(
            data.blocks,
            data.targets[data.trained],
            data.fold,
            store=store,
            storage=_storage(work) if options.trials else None,
            finished=finished,
            note=progress.note,
        )
        advance(total - done)  # folds that chose the same settings shared their boosters
    return stack


def _storage(work: Workspace) -> optuna.storages.RDBStorage:
    url = URL.create("sqlite", database=str(work.tuning.resolve()))
    return optuna.storages.RDBStorage(url.render_as_string())


def _folds_table(data: Dataset) -> pd.DataFrame:
    return pd.DataFrame({"Id": data.targets.index, "group": data.groups.to_numpy(), "fold": data.fold})


def answers_table(stack: StackedLocations, data: Dataset) -> pd.DataFrame:
    """Return outer out-of-fold answers, one row per model, location and picture.

    Columns: ``Id, group, fold, model, location, truth, probability, chosen``. The model is ``stack``,
    ``top two``, or a location's name for its binary model.
    """
    base = _folds_table(data)
    tables = []
    for name, answers in stack.out_of_fold_.items():
        for place, position in enumerate(stack.model_.heads[name].head.locations):
            location = data.trained[position]
            tables.append(
                base.assign(
                    model=name,
                    location=location,
                    truth=data.targets[location].to_numpy(),
                    probability=answers.probability[:, place],
                    chosen=answers.chosen[:, place],
                )
            )
    return pd.concat(tables, ignore_index=True).astype({"model": "category", "location": "category"})


def _save(stack: StackedLocations, work: Workspace, card: Mapping[str, Any]) -> None:
    """Write the model beside its place and swap it in: a kill leaves the old one or the new one."""
    temporary = work.model.with_name(f".{work.model.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    save_model(stack.model_, temporary, card)
    shutil.rmtree(work.model, ignore_errors=True)
    temporary.rename(work.model)


def _card(options: TrainOptions, data: Dataset, work: Workspace) -> dict[str, Any]:
    positives = data.targets[data.trained].sum()
    groups = data.targets.groupby(data.groups).any()[data.trained].sum()
    return {
        "pictures": len(data.targets),
        "groups": int(data.groups.nunique()),
        "folds": data.folds,
        "locations": {
            name: {"pictures": int(positives[name]), "groups": int(groups[name])} for name in data.trained
        },
        "left_out": dict(data.left_out),
        "blocks": {name: table.shape[1] for name, table in data.blocks.items()},
        "options": {"trials": options.trials, "folds": options.folds, "seed": options.seed},
        "labels": {"file": options.labels.name, "sha256": file_digest(options.labels)},
        "extraction": _extraction(work),
        "versions": {name: version(name) for name in CARD_VERSIONS} | {"python": platform.python_version()},
    }


def _extraction(work: Workspace) -> Any:
    """Read how the pictures were measured, which `predict` has to repeat."""
    if not work.extraction.is_file():
        raise PipelineError(f"{work.extraction}: missing; run extract again with --work {work.root}")
    return json.loads(work.extraction.read_text())


def _summary(data: Dataset, *, fresh: bool) -> TrainSummary:
    groups = int(data.groups.nunique())
    return TrainSummary(
        fresh, len(data.targets), groups, data.folds, data.trained, data.left_out, len(data.problems)
    )

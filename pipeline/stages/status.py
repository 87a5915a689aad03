"""What is done, stale (and why) or missing in a work folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.core.stage import AnyOptions, AnySummary, Record, Stage, read_record, stale
from pipeline.core.workspace import Workspace
from pipeline.data.dataset_options import PictureOptions
from pipeline.stages.compare import Compare
from pipeline.stages.embed import Embed
from pipeline.stages.evaluate import Evaluate
from pipeline.stages.export import Export
from pipeline.stages.extract import Extract
from pipeline.stages.importances import Importances
from pipeline.stages.normalise import Normalise
from pipeline.stages.predict import Predict
from pipeline.stages.train import Train
from pipeline.stages.train_cnn import TrainCnn

State = Literal["done", "stale", "missing"]

STAGES: tuple[Stage[Any, Any], ...] = (
    Extract(),
    Normalise(),
    TrainCnn(),
    Embed(),
    Train(),
    Evaluate(),
    Importances(),
    Predict(),
    Compare(),
    Export(),
)
"""The stages whose results others are made from or read, in the order in which they run; pages are not."""

EXPECTED = ("extract", "train", "evaluate", "importances")
"""Those of the main job, which are missing where they have not run; the others need not run at all."""


@dataclass(frozen=True)
class StageStatus:
    """State of one stage, and why it is stale, or what is missing."""

    stage: str
    state: State
    reasons: list[str]


def status(root: Path) -> list[StageStatus]:
    """Look at every stage of a work folder; refuse one that is not there."""
    if not root.is_dir():
        raise PipelineError(f"{root}: no such folder; extract makes it")
    work = Workspace(root)
    return [state for stage in STAGES for state in _states(stage, work)]


def _states(stage: Stage[Any, Any], work: Workspace) -> Iterator[StageStatus]:
    """Look at every record that a stage left: one, or one for each network or table."""
    found = sorted(work.record("").parent.glob(f"{stage.name}*.json"))
    records = [(path, record) for path in found if (record := read_record(path)) is not None]
    records = [(path, record) for path, record in records if record.stage == stage.name]
    if not records and stage.name in EXPECTED:
        damaged = "its record is damaged: run it again"
        reason = (
            damaged if work.record(stage.name).is_file() else "has not run, or was stopped before its end"
        )
        yield StageStatus(stage.name, "missing", [reason])
    for path, record in records:
        reasons = _reasons(stage, work, record)
        yield StageStatus(path.stem, "stale" if reasons else "done", reasons)


def _reasons(stage: Stage[Any, Any], work: Workspace, record: Record) -> list[str]:
    """Say why a stage is not up to date."""
    try:
        options = stage.options.model_validate(moved(record.options, work.root))
    except ValidationError:
        return ["was made with other options than this version knows"]
    gone = [f"{path.name} is gone" for path in stage.outputs(options) if not path.exists()]
    try:
        return stale(stage, options, record, stage.inputs(options))
    except PipelineError as error:
        return [*gone, str(error)]


def recorded_options(stage: Stage[AnyOptions, AnySummary], work: Workspace) -> AnyOptions | None:
    """Return the options that a stage was last run with, its paths where they are now; None if it was not."""
    record = read_record(work.own_record(stage.name))
    if record is None:
        return None
    try:
        return stage.options.model_validate(moved(record.options, work.root))
    except ValidationError:
        return None


def recorded_pictures(work: Workspace) -> PictureOptions | None:
    """Return which pictures `extract` measured or, where it never ran, a network saw; None if none did."""
    measured = recorded_options(Extract(), Workspace(work.root))
    if measured is not None:
        return measured
    for path in sorted(work.record("").parent.glob(f"{Embed.name}-*.json")):
        record = read_record(path)
        if record is not None and record.options.get("images"):
            options = moved(record.options, work.root)
            return PictureOptions.model_validate(
                {name: options[name] for name in PictureOptions.model_fields}
            )
    return None


def trained_tables(work: Workspace) -> dict[str, tuple[Path, ...]]:
    """Return the tables that a model was trained with, by option; none where that is not recorded."""
    trained = recorded_options(Train(), work)
    return {} if trained is None else {"embeddings": trained.embedded, "outputs": trained.outputs}


def moved(options: dict[str, JsonValue], root: Path) -> dict[str, JsonValue]:
    """Point paths inside a work folder to where it is now; others too, where they moved with it."""
    before = str(options.get("work", root))

    def here(value: JsonValue) -> JsonValue:
        if isinstance(value, list):
            return [here(one) for one in value]
        if not isinstance(value, str) or not Path(value).is_absolute():
            return value
        below = os.path.relpath(value, before)
        inside = not below.startswith(os.pardir)
        return str(root / below) if inside or not Path(value).exists() else value

    return {name: here(value) for name, value in options.items()}

"""How a work folder was made, from the records of its stages: commands to repeat it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from pipeline.core.stage import Options, Shown, Stage, read_record
from pipeline.core.workspace import Workspace
from pipeline.stages.status import STAGES, moved

WHERE = ("jobs", "cluster")
"""Options that say where work runs: what is made does not depend on them."""

SHOWN = ("extract", "normalise", "train-cnn", "embed", "train", "evaluate")
"""Stages that a training consists of."""


@dataclass(frozen=True)
class Step:
    """One stage as it was last run: its command, the options as recorded, and fingerprints of its inputs.

    `record` is the name of its record: of a stage that may run several times, one for each.
    """

    stage: str
    record: str
    command: str
    options: Mapping[str, Any]
    inputs: Mapping[str, str]


def history(work: Workspace) -> list[Step]:
    """Return the steps that made a training, in the order in which they run."""
    steps = []
    for stage in STAGES:
        own = work.own_record(stage.name).stem
        for path in sorted(work.record("").parent.glob(f"{stage.name}*.json")):
            record = read_record(path)
            shared = stage.name in {"extract", "normalise", "train-cnn", "embed"}
            if record is None or record.stage != stage.name or stage.name not in SHOWN:
                continue
            if not shared and path.stem != own:
                continue
            options = moved(record.options, work.root)
            command = _command(stage, options)
            command = command or f"{stage.name}: run with options that this version does not know"
            steps.append(Step(stage.name, path.stem, command, options, record.inputs))
    return steps


def recorded_command(work: Workspace, name: str) -> str:
    """Return the command that left a record; empty if there is none, or this version does not know it."""
    record = read_record(work.record(name))
    stage = None if record is None else next((one for one in STAGES if one.name == record.stage), None)
    return "" if record is None or stage is None else _command(stage, moved(record.options, work.root))


def _command(stage: Stage[Any, Any], options: Mapping[str, Any]) -> str:
    try:
        return command_of(stage.name, stage.options.model_validate(options))
    except ValidationError:
        return ""


def command_of(name: str, options: Options) -> str:
    """Return the command that asks for these options; those at their default are left out."""
    words = []
    for field, about in type(options).model_fields.items():
        value = getattr(options, field)
        shown = next((one for one in about.metadata if isinstance(one, Shown)), Shown())
        if shown.hidden or value == about.get_default(call_default_factory=True) or field in WHERE:
            continue
        flag = "" if shown.argument else shown.flag or f"--{field.replace('_', '-')}"
        for one in _values(value):
            words += [flag, *([one] if one else [])] if flag else [one]
    return shlex.join(["python", "run.py", name, *words])


def _values(value: Any) -> list[str]:
    """Return what is typed for an option: a word for each value, none for a switch."""
    if value is True:
        return [""]
    if value is None or value is False or value is PydanticUndefined:
        return []
    if isinstance(value, BaseModel):
        return ["layout.toml"]  # what it holds is recorded, not where it lay
    if isinstance(value, Mapping):
        return [f"{key}={one}" for key, one in value.items()]
    if isinstance(value, tuple | list):
        return [str(one) for one in value]
    return [str(value)]

"""Records of what each artefact was made from: done, stale and why, or missing."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue


class Record(BaseModel):
    """What a finished stage was made from.

    Attributes
    ----------
    options : dict
        The options the stage ran with, so that its inputs can be looked at again.
    inputs : dict
        Name of an input (a file, an option, a family) to its fingerprint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    options: dict[str, JsonValue]
    inputs: dict[str, str]


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's content as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def text_digest(value: object) -> str:
    """Return the sha256 of a value's JSON form (keys sorted) as hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, moved over it when the block succeeds.

    A reader sees the old file or the new one, never half of it; a kill leaves the old one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files below `folder` of runs that were killed."""
    for path in folder.rglob(".*.tmp"):
        if not _is_running(int(path.name.split(".")[-2])):
            path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, and alive
        return True
    return True


def write_record(path: Path, stage: str, options: BaseModel, inputs: Mapping[str, str]) -> None:
    """Write what `stage` was made from; call it last, when its outputs are in place."""
    record = Record(stage=stage, options=options.model_dump(mode="json"), inputs=dict(inputs))
    with replacing(path) as temporary:
        temporary.write_text(record.model_dump_json(indent=1))


def read_record(path: Path) -> Record | None:
    """Read a record; None where the stage never finished."""
    return Record.model_validate_json(path.read_text()) if path.exists() else None


def changes(record: Record, inputs: Mapping[str, str]) -> list[str]:
    """Say in words how today's inputs differ from those of a record; empty when nothing changed."""
    gone = [f"{name} is no longer an input" for name in sorted(record.inputs.keys() - inputs.keys())]
    new = [f"{name} is new" for name in sorted(inputs.keys() - record.inputs.keys())]
    both = sorted(record.inputs.keys() & inputs.keys())
    changed = [f"{name} changed" for name in both if record.inputs[name] != inputs[name]]
    return gone + new + changed

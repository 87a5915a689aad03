"""Stages: what turns artefacts into artefacts, is skipped when nothing changed, and leaves a record.

How to make a command a stage
-----------------------------
1. Its options are a subclass of `Options` in a module that imports nothing heavy
   (`pipeline.stages.options`): the command line, the Python call and the record come from it.
2. What it says in the end is a subclass of `Summary`. It is kept in the record as JSON and given back
   when nothing had to be done, so it holds numbers, texts and paths, no tables.
3. A subclass of `Stage` has `name`, `options`, `summary` and three methods. `inputs` is cheap and refuses
   what cannot be used; a fingerprint is a digest of content, never a time of change, so that a copied
   folder stays valid. `run` only works: it neither asks whether it has to nor writes a record.
4. Call it by ``execute(TheStage(), options, progress)``; add it to `pipeline.stages.status.STAGES`.

A stage that may run several times in a work folder (once per network) overrides `record` with
``Workspace(options.work).record(f"{self.name}-{name}")``.
"""

import errno
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass
from datetime import datetime
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from pipeline.core.clusters import on_cluster
from pipeline.core.errors import PipelineError, Problem, read_problems, write_problems
from pipeline.core.files import content_digest, files_of, remove_leftovers, write_text
from pipeline.core.remote import placed
from pipeline.core.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

Advance = Callable[[int], None]
"""Called with the number of units just finished."""


_FULL = ("No space left on device", "disk is full", "Disk quota exceeded", " requested and ")
"""What errors of a full disk say; the last is numpy's."""


class Progress(Protocol):
    """What a stage may tell whoever runs it."""

    def track(self, description: str, total: int) -> AbstractContextManager[Advance]:
        """Open a progress bar of `total` units; the value of the context advances it."""
        ...

    def note(self, text: str) -> None:
        """Say one line that stays on the screen (a result, a decision, a warning)."""
        ...


class SilentProgress:
    """Progress that nobody watches: for tests and for use as a library."""

    @contextmanager
    def track(self, description: str, total: int) -> Iterator[Advance]:  # noqa: ARG002 - the protocol's names
        """Open a bar that shows nothing."""
        yield lambda units: None  # noqa: ARG005 - the protocol's name

    def note(self, text: str) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Shown:
    """How the command line shows a field of `Options`, where not as an option of its name: in ``Annotated``.

    Attributes
    ----------
    flag : str
        Another name of the option: "--from".
    argument : str
        Metavar of a positional argument: "OUT".
    panel : str
        Heading in the help under which it stands.
    default : str
        Words for a default that is worked out: "all processors".
    text : bool
        Given as one text, which the model takes apart.
    hidden : bool
        Not an option of the command line: one stage gives it to another.
    """

    flag: str = ""
    argument: str = ""
    panel: str = ""
    default: str = ""
    text: bool = False
    hidden: bool = False


class Options(BaseModel):
    """Options of a command; each field's description is its help text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def refuse_without(self, main: str, *names: str) -> None:
        """Refuse options that mean nothing without a main one, "--masks" or "--per cell", that is absent."""
        fields, key = type(self).model_fields, main.split()[0].strip("-").replace("-", "_")
        given = [name for name in names if getattr(self, name) != fields[name].default]
        if given and getattr(self, key) == fields[key].default:
            raise PipelineError(
                f"--{given[0].replace('_', '-')}: needs {main}; give that too, or leave it out"
            )


class Summary(BaseModel):
    """What a stage did or found; not fresh where it was found in the record, as all was up to date."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    fresh: bool = True

    def again(self) -> Self:
        """Return what is said when nothing had to be done."""
        return self.model_copy(update={"fresh": False})


AnyOptions = TypeVar("AnyOptions", bound=Options)
AnySummary = TypeVar("AnySummary", bound=Summary)


class Stage(Protocol[AnyOptions, AnySummary]):
    """One stage, by the name of its command and record; see the module's text for how to write one."""

    name: str
    options: type[AnyOptions]
    summary: type[AnySummary]
    at_once: bool = False
    """Whether outputs change only at the end of `run`: where it is refused, those of before stay true."""

    def inputs(self, options: AnyOptions) -> dict[str, str]:
        """Return fingerprints of all that decides the outputs, by names that the user knows, or refuse it."""
        ...

    def outputs(self, options: AnyOptions) -> tuple[Path, ...]:
        """Return what has to be there for the stage to be up to date."""
        ...

    def flaws(self, options: AnyOptions) -> list[str]:  # noqa: ARG002 - the protocol's names
        """Say in words what is wrong with files beside inputs and outputs: nothing, in most stages."""
        return []

    def run(self, options: AnyOptions, progress: Progress) -> AnySummary:
        """Make the outputs, whatever was there before; killed and called again, go on where it was."""
        ...

    def record(self, options: AnyOptions) -> Path:
        """Return where it is recorded what the outputs were made from."""
        work, name = options.work, getattr(options, "name", "")  # type: ignore[attr-defined]  # nearly all have it
        return Workspace(work, name).own_record(self.name)

    def check_replaced(self, options: AnyOptions, record: "Record | None", now: Mapping[str, str]) -> None:  # noqa: ARG002
        """Refuse to replace what the user may still want: nothing, unless a stage says so.

        Raises
        ------
        PipelineError
            Naming what would be lost, and how to keep it or to agree.
        """
        return


class Record(BaseModel):
    """What a finished stage was made from.

    Attributes
    ----------
    options : dict
        Options of the stage, so that its inputs can be looked at again.
    inputs : dict
        Name of an input (a file, an option, a family) to its fingerprint.
    outputs : dict
        Path of an output, seen from the folder that the record is of, to the digest of its content.
    problems : list
        What the stage listed in problems.csv, if there was one.
    summary : dict or None
        What it said in the end; None in records of older versions, which do not count as up to date.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    stage: str
    options: dict[str, JsonValue]
    inputs: dict[str, str]
    outputs: dict[str, str] = {}
    problems: list[tuple[str, str, str, str]] | None = None
    summary: dict[str, JsonValue] | None = None


def execute(stage: Stage[AnyOptions, AnySummary], options: AnyOptions, progress: Progress) -> AnySummary:
    """Run a stage unless its outputs are there and were made from the same inputs; then record it.

    The record is removed before the outputs change and written last: one that is there is true. Meanwhile no
    other process runs a stage in the folder.
    """
    now = stage.inputs(options)
    path = stage.record(options)
    record = read_record(path)
    if record is not None and not stale(stage, options, record, now):
        _list_problems(path, record)
        return stage.summary.model_validate(record.summary).again()
    stage.check_replaced(options, record, now)
    with alone(path.parent, stage.name), _told_if_full(folder_of(path)):
        for name in (broken := damaged(path, record)):
            progress.note(f"{name} was damaged or changed since {stage.name} made it: it is made again")
            if (folder_of(path) / name).is_file():
                (folder_of(path) / name).unlink()
        path.unlink(missing_ok=True)
        try:
            with on_cluster(getattr(options, "cluster", None)):
                done = stage.run(options, progress)
        except PipelineError:
            if stage.at_once and record is not None and not broken:
                write_text(path, record.model_dump_json(indent=1))
            raise
        # only now: processes of a run that was killed may live a moment longer
        for folder in (getattr(options, "work", None), getattr(options, "out", None)):
            if isinstance(folder, Path):
                remove_leftovers(folder.rglob(".*.tmp"))
        for output in stage.outputs(options):  # also beside what lies elsewhere
            remove_leftovers(output.parent.glob(f".{escape(output.name)}.*.tmp"))
        write_text(path, _recorded(stage, options, now, done).model_dump_json(indent=1))
    return done


def _recorded(
    stage: Stage[AnyOptions, AnySummary], options: AnyOptions, inputs: dict[str, str], done: AnySummary
) -> Record:
    path = stage.record(options)
    outputs = {os.path.relpath(one, folder_of(path)): content_digest(one) for one in stage.outputs(options)}
    listed = [astuple(problem) for name, problem in read_problems(_problems(path)) if name == stage.name]
    there = _problems(path).exists()
    return Record(
        stage=stage.name,
        options={name: _absolute(value) for name, value in options.model_dump().items()},
        inputs=inputs,
        outputs=outputs,
        problems=listed if there else None,
        summary=done.model_dump(mode="json", exclude={"fresh"}),
    )


def _absolute(value: Any) -> JsonValue:
    """Return an option as JSON; a path says where it lies from wherever one looks."""
    if isinstance(value, Path):
        return placed(value).encode("utf-8", "backslashreplace").decode()  # JSON holds nothing else
    if isinstance(value, Mapping):
        return {str(name): _absolute(one) for name, one in value.items()}
    return [_absolute(one) for one in value] if isinstance(value, tuple | list) else value


def folder_of(record: Path) -> Path:
    """Return the folder whose outputs a record tells of."""
    return record.parent.parent if record.parent.name == "records" else record.parent


def _problems(record: Path) -> Path:
    return Workspace(folder_of(record)).problems


def _list_problems(path: Path, record: Record) -> None:
    """List again what a stage skipped, where the list was lost or damaged."""
    if record.problems is not None:
        write_problems(_problems(path), record.stage, [Problem(*one) for one in record.problems])


@contextmanager
def alone(folder: Path, stage: str) -> Iterator[None]:
    """Keep other processes from running a stage in a folder; the lock ends with this process, killed or not.

    Raises
    ------
    PipelineError
        If another process runs one there, or the file system knows no locks.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / ".lock", timeout=0, is_singleton=True), folder / ".running.json"
    try:
        lock.acquire()
    except Timeout as error:
        raise PipelineError(f"{_running(holder)}; wait for it or give another folder as --work") from error
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        raise PipelineError(f"{folder}: its disk knows no locks; give a folder on another disk") from error
    try:
        if lock.lock_counter == 1:  # a stage that runs within another finds the lock taken by its own process
            since = f"{datetime.now():%Y-%m-%d %H:%M}"
            said = {"stage": stage, "process": os.getpid(), "host": platform.node(), "since": since}
            write_text(holder, json.dumps(said))
        yield
    finally:
        if lock.lock_counter == 1:
            holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def _told_if_full(folder: Path) -> Iterator[None]:
    """Say in one line that the disk is full: of the libraries that write, each has an error of its own."""
    try:
        yield
    except Exception as error:
        chain = (str(one) for one in (error, error.__cause__, error.__context__))
        if not any(words in text for text in chain for words in _FULL):
            raise
        message = f"{folder}: no space left on the disk; make room and run again: finished work is kept"
        raise PipelineError(message) from error


def _running(holder: Path) -> str:
    """Say what runs in a folder, as far as it is known already."""
    where = folder_of(holder)
    try:
        said = json.loads(holder.read_bytes())
        which = f"process {said['process']} on {said['host']} since {said['since']}"
        return f"{said['stage']} is running in {where} ({which})"
    except (OSError, ValueError, KeyError, TypeError):
        return f"another command is running in {where}"


def stale(
    stage: Stage[AnyOptions, AnySummary], options: AnyOptions, record: Record, now: Mapping[str, str]
) -> list[str]:
    """Say in words why what a record tells of is not up to date; empty where it is."""
    reasons = [f"{path.name} is gone" for path in stage.outputs(options) if not path.exists()]
    reasons += [f"{name} was damaged or changed" for name in damaged(stage.record(options), record)]
    try:
        summary = stage.summary.model_validate(record.summary)
        told = getattr(summary, "problems", ())  # some stages only count them
        passing = [problem for problem in told if problem.is_passing] if isinstance(told, list) else []
        reasons += [f"{problem.file}: {problem.reason}" for problem in passing[:1]]
    except ValidationError:
        reasons.append("was recorded by another version")
    reasons += changes(record, now)
    return reasons or stage.flaws(options)


def damaged(path: Path, record: Record | None) -> list[str]:
    """Return which outputs of a record are there, but not as the stage left them."""
    known = {} if record is None else record.outputs
    there = [(name, digest) for name, digest in known.items() if (folder_of(path) / name).exists()]
    return [name for name, digest in there if content_digest(folder_of(path) / name) != digest]


def check_intact(path: Path) -> None:
    """Refuse a file of a work folder that is not as the stage left it that made it.

    Raises
    ------
    PipelineError
        Naming the stage that makes it again.
    """
    for folder in path.absolute().parents[:2]:
        for one in sorted(Workspace(folder).record("").parent.glob("[!.]*.json")):
            record, name = read_record(one), path.absolute().relative_to(folder)
            made = {} if record is None else record.outputs
            own = [output for output in (name.as_posix(), name.parts[0]) if output in made]
            if record and own and content_digest(folder / own[0]) != made[own[0]]:
                raise PipelineError(
                    f"{folder / own[0]}: damaged, or changed since {record.stage} made it; "
                    f"run {record.stage} again"
                )


def read_made(path: Path, columns: list[str] | None = None) -> "pd.DataFrame":
    """Read a table (parquet, or a folder of such files) of a work folder.

    Raises
    ------
    PipelineError
        If it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_intact(path)
    try:
        parts = []
        for one in files_of(path):
            with pq.ParquetFile(one) as file:  # a quarter of pandas' time for thousands of columns
                parts.append(file.read(columns=columns))
        table: pd.DataFrame = pa.concat_tables(parts).to_pandas()
        return table if columns is None else table[columns]
    except (pa.ArrowException, OSError, KeyError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise PipelineError(f"{path}: damaged; remove it, and run the command again that made it") from error


def read_record(path: Path) -> Record | None:
    """Read a record; None where the stage never finished, or what is there cannot be read."""
    try:
        return Record.model_validate_json(path.read_bytes()) if path.is_file() else None
    except ValidationError:
        return None


def changes(record: Record, inputs: Mapping[str, str]) -> list[str]:
    """Say in words how today's inputs differ from those of a record; empty when nothing changed."""
    gone = [f"{name} is no longer an input" for name in sorted(record.inputs.keys() - inputs.keys())]
    new = [f"{name} is new" for name in sorted(inputs.keys() - record.inputs.keys())]
    both = sorted(record.inputs.keys() & inputs.keys())
    changed = [f"{name} changed" for name in both if record.inputs[name] != inputs[name]]
    return gone + new + changed


def file_inputs(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the digests of files that a stage reads.

    Raises
    ------
    PipelineError
        If one is not there, or not as the stage left it that made it.
    """
    for path in files.values():
        if not (path.is_file() or (path.suffix == ".parquet" and path.is_dir())):  # not a pipe, either
            raise PipelineError(f"{path}: no such file; check the path")
        check_intact(path)
    return {name: content_digest(path) for name, path in files.items()}


def table_inputs(embeddings: Iterable[Path], outputs: Iterable[Path]) -> dict[str, str]:
    """Return the digests of tables of embeddings and of other networks' predictions; see `file_inputs`."""
    named = {f"embeddings {path.name}": path for path in embeddings}
    return file_inputs(named | {f"outputs {path.name}": path for path in outputs})


def option_inputs(options: Options, *names: str) -> dict[str, str]:
    """Return options that change a result as inputs of a stage."""
    return {f"option {name}": str(getattr(options, name)) for name in names}

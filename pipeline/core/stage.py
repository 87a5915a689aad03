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

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, remove_leftovers, write_text
from pipeline.core.workspace import Workspace

Advance = Callable[[int], None]
"""Called with the number of units just finished."""


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
    """

    flag: str = ""
    argument: str = ""
    panel: str = ""
    default: str = ""
    text: bool = False


class Options(BaseModel):
    """Options of a command; each field's description is its help text."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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

    def inputs(self, options: AnyOptions) -> dict[str, str]:
        """Return fingerprints of all that decides the outputs, by names that the user knows, or refuse it."""
        ...

    def outputs(self, options: AnyOptions) -> tuple[Path, ...]:
        """Return what has to be there for the stage to be up to date."""
        ...

    def run(self, options: AnyOptions, progress: Progress) -> AnySummary:
        """Make the outputs, whatever was there before; killed and called again, go on where it was."""
        ...

    def record(self, options: AnyOptions) -> Path:
        """Return where it is recorded what the outputs were made from."""
        return Workspace(options.work).record(self.name)  # type: ignore[attr-defined]  # nearly all have it


class Record(BaseModel):
    """What a finished stage was made from.

    Attributes
    ----------
    options : dict
        Options of the stage, so that its inputs can be looked at again.
    inputs : dict
        Name of an input (a file, an option, a family) to its fingerprint.
    summary : dict or None
        What it said in the end; None in records of older versions, which do not count as up to date.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    stage: str
    options: dict[str, JsonValue]
    inputs: dict[str, str]
    summary: dict[str, JsonValue] | None = None


def execute(stage: Stage[AnyOptions, AnySummary], options: AnyOptions, progress: Progress) -> AnySummary:
    """Run a stage unless its outputs are there and were made from the same inputs; then record it.

    The record is removed before the outputs change and written last: one that is there is true.
    """
    now = stage.inputs(options)
    path = stage.record(options)
    record = read_record(path)
    if record is not None and not stale(stage, options, record, now):
        return stage.summary.model_validate(record.summary).again()
    path.unlink(missing_ok=True)
    done = stage.run(options, progress)
    for folder in (getattr(options, "work", None), getattr(options, "out", None)):
        if isinstance(folder, Path):  # only now: a process of a run that was killed may live a moment longer
            remove_leftovers(folder)
    written = Record(
        stage=stage.name,
        options=options.model_dump(mode="json"),
        inputs=now,
        summary=done.model_dump(mode="json", exclude={"fresh"}),
    )
    write_text(path, written.model_dump_json(indent=1))
    return done


def stale(
    stage: Stage[AnyOptions, AnySummary], options: AnyOptions, record: Record, now: Mapping[str, str]
) -> list[str]:
    """Say in words why what a record tells of is not up to date; empty where it is."""
    reasons = [f"{path.name} is gone" for path in stage.outputs(options) if not path.exists()]
    try:
        summary = stage.summary.model_validate(record.summary)
        passing = [problem for problem in getattr(summary, "problems", ()) if problem.is_passing]
        reasons += [f"{problem.file}: {problem.reason}" for problem in passing[:1]]
    except ValidationError:
        reasons.append("was recorded by another version")
    return reasons + changes(record, now)


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
        If one is not there.
    """
    for path in files.values():
        if not path.is_file():
            raise PipelineError(f"{path}: no such file; check the path")
    return {name: file_digest(path) for name, path in files.items()}


def table_inputs(embeddings: Iterable[Path], outputs: Iterable[Path]) -> dict[str, str]:
    """Return the digests of tables of embeddings and of other networks' predictions; see `file_inputs`."""
    named = {f"embeddings {path.name}": path for path in embeddings}
    return file_inputs(named | {f"outputs {path.name}": path for path in outputs})


def option_inputs(options: Options, *names: str) -> dict[str, str]:
    """Return options that change a result as inputs of a stage."""
    return {f"option {name}": str(getattr(options, name)) for name in names}

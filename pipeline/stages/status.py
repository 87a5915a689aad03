"""What is done, stale (and why) or missing in a work folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.core.stage import changes, read_record
from pipeline.core.workspace import Workspace
from pipeline.stages import embed, evaluate, extract, importances, train, train_cnn
from pipeline.stages.train_options import TrainOptions

State = Literal["done", "stale", "missing"]


class Stage(NamedTuple):
    """How one stage is looked at: its options, what it reads, and what it leaves."""

    options: type[BaseModel]
    inputs: Callable[[Any], Mapping[str, str]]
    outputs: tuple[Path, ...]


@dataclass(frozen=True)
class StageStatus:
    """State of one stage.

    Attributes
    ----------
    stage : str
    state : str
        "done", "stale" or "missing".
    reasons : list of str
        Why it is stale, or what is missing.
    """

    stage: str
    state: State
    reasons: list[str]


def stages(work: Workspace) -> dict[str, Stage]:
    """Return the stages in the order in which they run; networks are there where they have run."""
    return {
        "extract": Stage(extract.ExtractOptions, extract.inputs, (work.features, work.cells)),
        **{
            name: Stage(train_cnn.TrainCnnOptions, train_cnn.inputs, (_embedding(work, name, "train-cnn-"),))
            for name in _named(work, "train-cnn-")
        },
        **{
            name: Stage(embed.EmbedOptions, embed.inputs, (_embedding(work, name, "embed-"),))
            for name in _named(work, "embed-")
        },
        "train": Stage(TrainOptions, train.inputs, (work.model, work.out_of_fold, work.level0)),
        "evaluate": Stage(evaluate.EvaluateOptions, evaluate.inputs, (work.metrics,)),
        "importances": Stage(importances.ImportancesOptions, importances.inputs, (work.importances,)),
    }


def _named(work: Workspace, start: str) -> list[str]:
    """Name the records of a stage that may have run several times, once for each network."""
    return sorted(path.stem for path in work.record("").parent.glob(f"{start}*.json"))


def _embedding(work: Workspace, stage: str, start: str) -> Path:
    return work.embeddings / f"{stage.removeprefix(start)}.parquet"


def status(root: Path) -> list[StageStatus]:
    """Look at every stage of a work folder.

    Raises
    ------
    PipelineError
        If there is no such folder.
    """
    if not root.is_dir():
        raise PipelineError(f"{root}: no such folder; extract makes it")
    work = Workspace(root)
    return [_look(work, name, stage) for name, stage in stages(work).items()]


def _look(work: Workspace, name: str, stage: Stage) -> StageStatus:
    record = read_record(work.record(name))
    if record is None:
        return StageStatus(name, "missing", ["has not run, or was stopped before its end"])
    gone = [f"{path.name} is gone" for path in stage.outputs if not path.exists()]
    try:
        now = stage.inputs(stage.options.model_validate(record.options))
    except PipelineError as error:
        return StageStatus(name, "stale", [*gone, str(error)])
    except ValidationError:
        return StageStatus(name, "stale", [*gone, "was made with other options than this version knows"])
    reasons = gone + changes(record, now)
    return StageStatus(name, "stale" if reasons else "done", reasons)

"""Explain pictures here or, with a cluster, on its workers, which open the model where it lies."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

from models.stack_model import StackModel
from pipeline.core.clusters import ClusterWorkers, client_in_use
from pipeline.core.files import file_digest
from pipeline.stages.trained_models import open_model

Block = TypeVar("Block")
Result = TypeVar("Result")


def over_blocks(
    folder: Path, stack: StackModel, function: Callable[[StackModel, Block], Result]
) -> Callable[[Sequence[Block]], Iterator[Result]]:
    """Return what does a function of the model of a folder, and of each block; results keep their order."""
    client = client_in_use()
    if client is None:
        return partial(map, partial(function, stack))
    explain = partial(_explain, folder.absolute(), file_digest(folder / "manifest.json"), function)
    return partial(_in_order, ClusterWorkers(client), explain)


def _in_order(
    pool: ClusterWorkers, function: Callable[[tuple[int, Block]], Result], blocks: Sequence[Block]
) -> Iterator[Result]:
    waiting, number = dict[int, Result](), 0
    for (found, _), result in pool.map(function, list(enumerate(blocks))):
        waiting[found] = result
        while number in waiting:
            yield waiting.pop(number)
            number += 1


def _explain(
    folder: Path, digest: str, function: Callable[[StackModel, Block], Result], numbered: tuple[int, Block]
) -> Result:
    return function(_opened(folder, digest), numbered[1])


@lru_cache(1)
def _opened(folder: Path, _digest: str) -> StackModel:
    """Open a model once in a process that stays for many tasks, unless it has been trained again."""
    return open_model(folder).stack

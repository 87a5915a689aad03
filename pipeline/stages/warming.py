"""Compile feature loops before they are needed: once for each machine, whoever needs them first."""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial

import numpy as np
from filelock import FileLock

import features
from features.jit import machine_code, sources
from pipeline.core.clusters import ClusterWorkers
from pipeline.core.errors import Problem
from pipeline.core.files import text_digest
from pipeline.core.stage import Progress
from pipeline.core.workers import Workers
from pipeline.stages.measuring import Chunk, measure_chunk

_SIDE = 96
"""Side in pixels of the picture that loops are compiled with."""


def warmed(
    pool: Workers | ClusterWorkers, families: tuple[str, ...], progress: Progress
) -> Callable[[Chunk], list[Problem]]:
    """Return what measures chunks: on a cluster, whose workers come and go, it compiles what it lacks first.

    Processes of this machine share out beforehand what has to be compiled.
    """
    if isinstance(pool, ClusterWorkers):
        return partial(_measure_there, families)
    if pool.shared:
        with progress.track("Loading or compiling feature loops", len(families)) as advance:
            for _ in pool.map(warm_up, families):
                advance(1)
    return measure_chunk


def _measure_there(families: tuple[str, ...], chunk: Chunk) -> list[Problem]:
    warm_machine(families)
    return measure_chunk(chunk)


@lru_cache
def warm_machine(families: tuple[str, ...]) -> None:
    """Compile loops unless a process of this machine has; those that come meanwhile wait for it."""
    folder = machine_code()
    mark = folder / f"warmed-{text_digest([sources(), families])[:16]}"
    if mark.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".warming")
    with suppress(NotImplementedError, OSError):  # a disk without locks: each process compiles for itself
        lock.acquire()
    try:
        for family in () if mark.exists() else families:
            warm_up(family)
        mark.touch()
    finally:
        lock.release()


def warm_up(family: str) -> None:
    """Measure two made-up cells by one family, so that its loops are compiled and on disk.

    Numba compiles at the first call: processes that began with a picture each would all compile everything.
    """
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 2**16, (len(features.CHANNELS), _SIDE, _SIDE), dtype=np.uint16)
    cells, nuclei = np.zeros((2, _SIDE, _SIDE), np.int32)
    for label, left in enumerate((8, 48), start=1):
        cells[8:88, left : left + 40] = label
        nuclei[30:60, left + 10 : left + 30] = label
    measured = features.measure(pixels, cells, nuclei, families=[family])
    features.aggregate(measured, touches_border=features.touches_border(cells))
    features.measure_field(pixels, families=[family])

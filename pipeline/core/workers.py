"""Where work runs: in processes that end with their parent, on a device, by so many threads of torch."""

import math
import multiprocessing
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import Any, Literal, TypeVar

from threadpoolctl import threadpool_limits

from pipeline.core.agreement import PRECISION
from pipeline.core.clusters import ONE_THREAD, ClusterWorkers, Losses, client_in_use
from pipeline.core.errors import PipelineError
from pipeline.core.stopping import keyboard_held

Task = TypeVar("Task")
Result = TypeVar("Result")

LARGEST_CHUNK = 16
"""Items in a chunk at most: what a process that is killed loses."""


def blocks_of(items: Sequence[Task], size: int) -> list[Sequence[Task]]:
    """Cut a sequence into blocks of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def share_out(items: Sequence[Task], jobs: int) -> list[Sequence[Task]]:
    """Cut items into chunks: about four for each process, so that none waits long for the last one."""
    return blocks_of(items, max(1, min(LARGEST_CHUNK, math.ceil(len(items) / (4 * jobs)))))


def evenly(items: Sequence[Task], most: int) -> list[Task]:
    """Return some of a sequence, at most so many, evenly over it from the first to the last."""
    number = min(most, len(items))
    step = (len(items) - 1) / max(1, number - 1)
    return [items[round(place * step)] for place in range(number)]


class Workers:
    """Processes that stay for several rounds of work; see `workers`."""

    def __init__(self, pool: ProcessPoolExecutor | None, jobs: int) -> None:
        self._pool, self._jobs = pool, jobs

    @property
    def shared(self) -> bool:
        """Whether there is more than this process."""
        return self._pool is not None

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        losses: Losses[Task, Result] | None = None,  # noqa: ARG002 - here the run ends, and is run again
    ) -> Iterator[tuple[Task, Result]]:
        """Run `function` over `tasks`, yielding each task with its result as it finishes.

        In other processes, one thread each: `function` is importable by name, tasks are picklable.

        Raises
        ------
        PipelineError
            If the system killed a process (most often for want of memory).
        """
        if self._pool is None:
            yield from ((task, function(task)) for task in tasks)
            return
        try:
            with keyboard_held():
                futures = {self._pool.submit(function, task): task for task in tasks}
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        except BrokenProcessPool as error:
            message = f"a process was killed (out of memory?); run again with fewer --jobs than {self._jobs}"
            raise PipelineError(f"{message}: finished chunks are kept") from error


@contextmanager
def workers(jobs: int) -> Iterator[Workers | ClusterWorkers]:
    """Keep so many processes for the time of the block; with 1, everything runs in this process.

    Where the command works on a cluster, its workers are taken, however many there are.

    Raises
    ------
    PipelineError
        If the system lets no processes work together.
    """
    if (client := client_in_use()) is not None:
        yield ClusterWorkers(client)
        return
    if jobs == 1:
        yield Workers(None, jobs)
        return
    # spawn, not fork: a forked process inherits locks of the threads of numba and torch
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    try:
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(reader,))
    except (OSError, ImportError) as error:  # a container without /dev/shm, or with a full one
        raise PipelineError(
            f"--jobs {jobs}: no shared memory for processes ({error}); give --jobs 1"
        ) from error
    try:
        yield Workers(pool, jobs)
    except BaseException:
        writer.close()  # nobody waits for what the processes are at
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def map_chunks(
    function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int
) -> Iterator[tuple[Task, Result]]:
    """Do one round of `Workers.map` in at most so many processes, and no more than there are tasks."""
    with workers(min(jobs, max(1, len(tasks)))) as pool:
        yield from pool.map(function, tasks)


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch use so many threads; with one, sums keep their order and processes share the processor."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Counted:
    """Limits the threads of linear algebra while any of several threads is inside.

    The limit is of the process: each thread that set it back for itself would set it back for the others.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._limits = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._limits.enter_context(threadpool_limits(limits=1))
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._limits.close()


one_thread = _Counted()
"""Context in which libraries use one thread each: more could change the last bits of sums."""


Precision = Literal["bfloat16", "float32"]


def precision(device: str) -> Precision:
    """Return what networks multiply on a device: bfloat16 where it is native, unless `PRECISION` says else.

    CUDA devices and processors with AVX-512 BF16 or AMX multiply bfloat16 in half the time of single
    precision. Others imitate it, six (forwards) to twenty times (training) more slowly.

    Raises
    ------
    PipelineError
        If the variable says what is no precision, or bfloat16 where that is not native.
    """
    import torch

    asked = os.environ.get(PRECISION, "")
    kind = torch.device(device).type
    native = kind == "cuda" or (kind == "cpu" and multiplies_bfloat16(torch.cpu.get_capabilities()))
    if asked not in ("", "bfloat16", "float32"):
        raise PipelineError(f"{PRECISION}={asked}: no precision; give float32 or bfloat16")
    if asked == "bfloat16" and not native:
        raise PipelineError(
            f"{platform.node()}: its processor does not multiply bfloat16, as this run does; leave it out, "
            f"or give everything {PRECISION}=float32"
        )
    return "bfloat16" if native and asked != "float32" else "float32"


@contextmanager
def precision_kept(here: Precision | None) -> Iterator[None]:
    """Hold every process that works for the block, wherever it is, to a precision, unless it is None."""
    before = os.environ.get(PRECISION)
    os.environ.update({} if here is None else {PRECISION: here})
    try:
        yield
    finally:
        os.environ.pop(PRECISION, None)
        os.environ.update({} if before is None else {PRECISION: before})


def autocast(device: str) -> AbstractContextManager[object]:
    """Return a context of the `precision` of a device; weights stay float32."""
    import torch

    native = precision(device) == "bfloat16"
    return torch.autocast(torch.device(device).type, torch.bfloat16) if native else nullcontext()


def multiplies_bfloat16(capabilities: Mapping[str, Any]) -> bool:
    """Return whether a processor has instructions for bfloat16."""
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16"))


def check_device(device: str) -> str:
    """Return a device's name where networks can run on it.

    Raises
    ------
    PipelineError
        Where torch does not know the name, or the device is not there.
    """
    import torch

    try:
        torch.empty(1, device=torch.device(device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        found = ", ".join(["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))])
        raise PipelineError(f"device '{device}': cannot be used here; found: {found}") from error
    return device


def _start(parent_works: Connection) -> None:
    """Prepare a new process: one thread per library (set before they load), and no life after the parent."""
    os.environ.update(ONE_THREAD)
    threading.Thread(target=_end_with_parent, args=(parent_works,), daemon=True).start()


def _end_with_parent(parent_works: Connection) -> None:
    """End this process when the parent has closed its end of the pipe, or is gone, even by `kill -9`."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel, parent_works])
        os._exit(1)

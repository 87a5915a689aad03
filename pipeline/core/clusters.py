"""Work on a Dask cluster: processes of this machine, a scheduler that runs, or the queue of a SLURM cluster.

Tasks are what processes of one machine get, too: functions that are imported by name, and what they are
called with. They run in the folder that the command was started in, which all machines must see under the
same path, and by what `pipeline.core.agreement` says.
"""

import os
import platform
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pipeline.core.agreement import ROOT, Agreement
from pipeline.core.errors import PipelineError
from pipeline.core.required import required

if TYPE_CHECKING:
    from distributed import Client

Task = TypeVar("Task")
Result = TypeVar("Result")

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
"""What a process of one thread per library starts with."""

QUIET: dict[str, Any] = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
}
"""Dask looks at itself a hundred times a second, at the cost of what is measured; here nobody reads it."""

_LISTED = "requirements_cluster.txt"

FORMS = "local:4, tcp://HOST:8786 or slurm:QUEUE.toml"

WAIT = 60
"""Seconds within which a running scheduler must answer, or be back, and have a worker."""

_ONE = threading.Lock()
"""Held by the task that a process is at: a worker of several threads has one folder all the same."""

_CLIENT: ContextVar["Client | None"] = ContextVar("client", default=None)


def client_in_use() -> "Client | None":
    """Return the cluster that this command works on; None where it works on this machine alone."""
    return _CLIENT.get()


@contextmanager
def on_cluster(where: str | None) -> Iterator[None]:
    """Let the work of the block run on a cluster.

    Parameters
    ----------
    where : str, optional
        ``local:N``, the address of a scheduler, or ``slurm:FILE`` with the settings of a queue; processes of
        this machine unless given.

    Raises
    ------
    PipelineError
        If it is none of these, nothing answers, or workers do not find this project.
    """
    if where is None:
        yield
        return
    (distributed,) = required("distributed", listed=_LISTED, asked=f"--cluster {where}")
    with _client(where, distributed) as client:
        token = _CLIENT.set(client)
        try:
            yield
        finally:
            _CLIENT.reset(token)


@contextmanager
def _client(where: str, distributed: Any) -> Iterator["Client"]:
    kind, _, rest = where.partition(":")
    if kind == "local" and rest.isdecimal() and int(rest):
        cluster = _local(int(rest), distributed)
    elif kind == "slurm" and rest:
        cluster = _slurm(Path(rest))
    elif kind in {"tcp", "tls"}:
        cluster = None
    else:
        raise PipelineError(f"--cluster {where}: no cluster; give {FORMS}")
    try:
        with distributed.Client(cluster or where, timeout=WAIT) as client:
            if kind != "slurm":  # jobs may wait for hours in the queue, and come as there is work
                _wait(client, where)
            check(client, where)
            yield client
    except OSError as error:
        raise PipelineError(f"--cluster {where}: no scheduler answers there; start one") from error
    finally:
        if cluster is not None:
            cluster.close()


def _local(number: int, distributed: Any) -> Any:
    """Start so many processes on this machine; again, where one of them is killed while it starts."""
    with suppress(OSError, RuntimeError):
        return _processes(number, distributed)
    try:
        return _processes(number, distributed)
    except (OSError, RuntimeError) as error:  # a container without /dev/shm, or with a full one
        raise PipelineError(
            f"--cluster local:{number}: no shared memory for processes ({error}); give --jobs 1, "
            "or start workers with --no-nanny"
        ) from error


def _processes(number: int, distributed: Any) -> Any:
    import dask

    with dask.config.set(QUIET | {"distributed.nanny.pre-spawn-environ": ONE_THREAD}):
        return distributed.LocalCluster(
            n_workers=number,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        )


def _slurm(path: Path) -> Any:
    """Return a cluster whose workers are jobs of a SLURM queue, as many as there is work for."""
    workers, queue = queue_settings(path)
    (slurm,) = required("dask_jobqueue.slurm", listed=_LISTED, asked=f"--cluster slurm:{path}")
    try:
        cluster = slurm.SLURMCluster(**queue)
    except (TypeError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise PipelineError(f"{path}: {why}; see dask_jobqueue.SLURMCluster") from error
    cluster.adapt(minimum=0, maximum=workers)
    return cluster


def queue_settings(path: Path) -> tuple[int, dict[str, Any]]:
    """Read how many workers there are at most, and how one is asked of a queue.

    The file (TOML) has ``workers``, and a table ``queue`` of what `dask_jobqueue.SLURMCluster` takes, such as
    queue, cores, memory and walltime. Jobs find this project, and use one thread per library.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
        workers, queue = int(settings["workers"]), dict(settings["queue"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{path}: no settings of a queue ({error}); write workers = 10 and, under [queue], what "
            "dask_jobqueue.SLURMCluster takes"
        ) from error
    quiet = {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": one for key, one in QUIET.items()}
    lines = [f"export {name}={value}" for name, value in (ONE_THREAD | quiet).items()]
    lines.append(f"export PYTHONPATH={ROOT}")
    queue["job_script_prologue"] = [*lines, *queue.get("job_script_prologue", ())]
    return workers, queue


def _wait(client: "Client", where: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WAIT)
    except TimeoutError as error:
        raise PipelineError(
            f"--cluster {where}: no worker within {WAIT} s; start one: dask worker {where}"
        ) from error


def check(client: "Client", where: str) -> None:
    """Refuse a cluster with a worker that does not find this project, or cannot give the bits of this run.

    A worker that is gone before it answers is none: tasks ask those that come later (`at`).

    Raises
    ------
    PipelineError
        Naming the worker, and why.
    """
    found: dict[str, Any] = client.run(told, Agreement.here(), on_error="return")
    for address, answer in sorted(found.items()):
        if isinstance(answer, ImportError):
            raise PipelineError(f"--cluster {where}: {_not_found(answer)}") from answer
        if isinstance(answer, OSError):
            found[address] = ""  # gone
        elif isinstance(answer, BaseException):
            raise answer
    refused = [f"worker {address} on {why}" for address, why in sorted(found.items()) if why]
    if refused:
        raise PipelineError(f"--cluster {where}: {refused[0]}")


def _not_found(error: ImportError) -> str:
    return f"workers do not find the project ({error}); start them with PYTHONPATH={ROOT}"


def told(agreement: Agreement) -> str:
    """Take the terms of a run; say which machine cannot, and why, or nothing."""
    why = agreement.adopt()
    return f"{platform.node()} {why}" if why else ""


def at(folder: str, agreement: Agreement, packed: bytes) -> Any:
    """Do a task in a folder, on the terms of its run: relative paths mean there what they mean here.

    The task is unpacked only then, as that imports what the terms are about.

    Raises
    ------
    PipelineError
        If this machine cannot give the bits of the run.
    """
    import cloudpickle  # as Dask itself

    with _ONE:
        if why := told(agreement):
            raise PipelineError(f"a worker on {why}")
        os.chdir(folder)
        function, task = cloudpickle.loads(packed)
        return function(task)


@dataclass(frozen=True)
class Losses(Generic[Task, Result]):
    """What is done about a task that kills its workers: the parts it is cut into, the result of none."""

    divide: Callable[[Task], Sequence[Task]]
    give_up: Callable[[Task], Result]


class ClusterWorkers:
    """The workers of a cluster; see `pipeline.core.workers.Workers`, of which it is one."""

    shared = True

    def __init__(self, client: "Client") -> None:
        self._client, self._folder = client, str(Path.cwd())

    @property
    def number(self) -> int:
        """How many workers there are now, at least 1: they may come with the work."""
        return max(1, len(self._client.nthreads()))  # type: ignore[no-untyped-call]

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        losses: Losses[Task, Result] | None = None,
    ) -> Iterator[tuple[Task, Result]]:
        """Run `function` over `tasks` wherever there is room; a task whose worker dies is tried elsewhere.

        Where the scheduler is started again under its address, what was not finished is asked of the new one.

        Raises
        ------
        PipelineError
            If a task has killed several workers, and nothing is known to do about it, if the scheduler does
            not come back, or a worker cannot give the bits of this run.
        """
        from distributed import KilledWorker, as_completed

        waiting = {self._submit(function, task): task for task in tasks}
        finished: Any = as_completed(waiting)  # type: ignore[no-untyped-call]
        suspects: list[Task] = []
        try:
            for future in finished:
                task = waiting.pop(future)
                try:
                    yield task, self._result(future)
                    continue
                except CancelledError:
                    self._wait_for_scheduler()
                    parts: Sequence[Task] = [task]
                except KilledWorker as error:
                    if losses is None:
                        message = f"a task killed {error.last_worker}; give workers more memory"
                        raise PipelineError(message) from error
                    parts = losses.divide(task)
                    suspects += [] if parts else [task]
                for part in parts:
                    waiting[again := self._submit(function, part)] = part
                    finished.add(again)
        finally:
            with suppress(CancelledError):
                self._client.cancel(list(waiting))  # type: ignore[no-untyped-call]
        if losses is not None:
            yield from self._alone(function, suspects, losses)

    def _alone(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], losses: Losses[Task, Result]
    ) -> Iterator[tuple[Task, Result]]:
        """Do one task at a time: it may have waited at a worker that another one killed."""
        from distributed import KilledWorker

        for task in tasks:
            try:
                yield task, self._result(self._submit(function, task))
            except KilledWorker:
                yield task, losses.give_up(task)

    def _submit(self, function: Callable[[Task], Result], task: Task) -> Any:
        import cloudpickle

        packed = cloudpickle.dumps((function, task))
        return self._client.submit(at, self._folder, Agreement.here(), packed, pure=False)

    @staticmethod
    def _result(future: Any) -> Any:
        try:
            return future.result()
        except ImportError as error:
            raise PipelineError(_not_found(error)) from error

    def _wait_for_scheduler(self) -> None:
        """Wait until the client has found a scheduler again that was gone; it gives up after `WAIT`."""
        while self._client.status == "connecting":
            time.sleep(0.1)
        if self._client.status != "running":
            raise PipelineError(
                f"the scheduler is gone, and was not back within {WAIT} s; start it, and run again: "
                "finished work is kept"
            )

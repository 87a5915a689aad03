"""Results in object stores: a command works on a copy on this machine, and what it changed is sent back.

Every path that is given as an address is such a copy, but for folders of pictures, which are read where they
lie. Finished pieces of unfinished work are sent every minute; the rest, records last, when the command ends,
so that a record in the store tells of tables that are there. Of two that change a file, the last one counts;
pieces are named by their content, so that commands of several machines add to one another.
"""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing, text_digest, write_text
from pipeline.core.names import counted
from pipeline.core.remote import (
    Object,
    address,
    cache_folder,
    fetch,
    is_remote,
    looked_up,
    objects_below,
    remove,
    send,
    shown,
    shown_as,
    told,
)
from pipeline.core.stage import Progress

PICTURES = {"images", "query_images"}
"""Options that name folders of pictures."""

PIECES = ("parts", "masks", "seen", "learners", "networks", "corrections")
"""Folders of what is complete as soon as it is there."""

EVERY = 60.0
"""Seconds after which finished pieces are sent."""

_THREADS = 8
_NOT_SENT = ("thumbnails/", "learners/tables/")


@contextmanager
def working_copies(given: Mapping[str, Any], progress: Progress) -> Iterator[dict[str, Any]]:
    """Give the options of a command with copies in place of addresses, for as long as it runs.

    Raises
    ------
    PipelineError
        If a store cannot be read or written, or workers of a cluster would not see the copies.
    """
    named = sorted({path for name, value in given.items() if name not in PICTURES for path in _remote(value)})
    copies: dict[Path, WorkingCopy] = {}
    for path in named:
        if not any(path.is_relative_to(other) for other in copies):
            copies[path] = WorkingCopy(path)
    if copies and not str(given.get("cluster") or "local:").startswith("local:"):
        raise PipelineError(
            f"--cluster {given['cluster']}: its workers do not see the copy of {named[0]} that this machine "
            "works on; give a folder that all machines share"
        )

    def here(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [here(one) for one in value]
        for path, copy in copies.items():
            if isinstance(value, str | Path) and Path(value).is_relative_to(path):
                return type(value)(copy.root / Path(value).relative_to(path))
        return value

    with ExitStack() as stack, shown_as({str(copy.root): address(path) for path, copy in copies.items()}):
        for copy in copies.values():
            stack.enter_context(copy.kept(progress))
        try:
            yield {name: value if name in PICTURES else here(value) for name, value in given.items()}
        except PipelineError as error:
            raise PipelineError(shown(str(error))) from error


def _remote(value: Any) -> Iterable[Path]:
    values = value if isinstance(value, list | tuple) else [value]
    return [Path(one) for one in values if isinstance(one, str | Path) and is_remote(Path(one))]


class WorkingCopy:
    """The copy of one address, a file or a folder, and what is known of both sides."""

    def __init__(self, path: Path) -> None:
        self._path = path
        folder = cache_folder() / "results" / text_digest(address(path))[:16]
        self.root, self._record = folder / path.name, folder / "copied.json"
        is_there = self.root.exists() and self._record.is_file()
        self._known: dict[str, list[list[int]]] = json.loads(self._record.read_bytes()) if is_there else {}

    @contextmanager
    def kept(self, progress: Progress) -> Iterator[None]:
        """Fetch what is there, send pieces while the block runs, and all that changed in the end."""
        self.pull(progress)
        done = threading.Event()
        sending = threading.Thread(target=self._send_pieces, args=(done,), daemon=True)
        sending.start()
        try:
            yield
        finally:
            done.set()
            sending.join()
            if count := self.push():
                progress.note(f"{counted(count, 'file')} sent to {self._path}")

    def pull(self, progress: Progress) -> None:
        """Fetch what is new in the store; what is the same there and was changed here stays as it is."""
        with told(self._path):
            there = {name: one for name, one in self._there().items() if _is_sent(name)}
        for name in self._known.keys() - there.keys():
            if self._known[name][1] == _state(self.root / name):
                (self.root / name).unlink()
            del self._known[name]
        new = [name for name, one in there.items() if self._known.get(name, [[]])[0] != [*one]]
        if new:
            what = f"Fetching {address(self._path)}"
            with told(self._path), progress.track(what, len(new)) as advance, _pool() as pool:
                for name, state in pool.map(self._fetch, new):
                    self._known[name] = [[*there[name]], state]
                    advance(1)
        self._keep()

    def push(self, folders: Iterable[str] = ("",)) -> int:
        """Send the files that changed, records last, and remove those that are gone; return how many."""
        everything = tuple(folders) == ("",)
        files = {name: path for folder in folders for name, path in self._files(folder).items()}
        states = {name: _state(path) for name, path in files.items()}
        changed = [name for name, state in states.items() if self._known.get(name, [[], []])[1] != state]
        records = [name for name in changed if name.startswith("records/") or name == "record.json"]
        gone = [name for name in self._known if name not in files] if everything else []
        for name in [*gone, *records]:
            known = self._known.pop(name, None)
            if known is not None:
                self._remove(name, known[0])
        with _pool() as pool:
            for block in ([name for name in changed if name not in records], records):
                for name, one in pool.map(self._send, block):
                    self._known[name] = [[*one], states[name]]
        if changed or gone:
            self._keep()
        return len(changed)

    def _send_pieces(self, done: threading.Event) -> None:
        while not done.wait(EVERY):
            with suppress(PipelineError):  # said when all is sent in the end
                self.push(PIECES)

    def _there(self) -> dict[str, Object]:
        if found := objects_below(self._path):
            return found
        try:
            return {"": looked_up(self._path)}
        except FileNotFoundError:
            return {}

    def _files(self, folder: str) -> dict[str, Path]:
        if self.root.is_file():
            return {"": self.root}
        found = (path for path in (self.root / folder).rglob("*") if path.is_file())
        names = {path.relative_to(self.root).as_posix(): path for path in found}
        return {name: path for name, path in names.items() if _is_sent(name)}

    def _fetch(self, name: str) -> tuple[str, list[int]]:
        with replacing(self.root / name, synced=False) as temporary:
            fetch(self._path / name, temporary)
        return name, _state(self.root / name)

    def _send(self, name: str) -> tuple[str, Object]:
        return name, send(self.root / name, self._path / name)

    def _remove(self, name: str, known: list[int]) -> None:
        """Remove a file of the store, unless another machine sent it since."""
        with told(self._path), suppress(FileNotFoundError):
            if [*looked_up(self._path / name)] == known:
                remove(self._path / name)

    def _keep(self) -> None:
        if self._known:
            write_text(self._record, json.dumps(self._known))


def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS)


def _is_sent(name: str) -> bool:
    return not name.startswith(_NOT_SENT) and not any(part.startswith(".") for part in name.split("/"))


def _state(path: Path) -> list[int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return []
    return [found.st_size, found.st_mtime_ns]

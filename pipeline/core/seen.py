"""What was seen in files, kept so that a file is read again only where it has changed."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pipeline.core.files import UnreadableError, write_text
from pipeline.core.remote import is_remote, local, signed

_Sign = tuple[int, int, int, int]
_RECORD = TypeAdapter(dict[str, tuple[_Sign, str]])
_THREADS = 8
"""Files that are waited for at a time: disks on a network answer slowly."""


def see(files: Mapping[str, Path], record: Path | None, look: Callable[[Path], str]) -> dict[str, str]:
    """Return what `look` says of every file, by name; "" of one that is not there or cannot be read now.

    A file that has the size, times and inode that it had is not read: `record` (JSON) knows what was said,
    if there is one.
    Of a folder, all that lies in it counts.
    The time at which an inode changed cannot be set, so that other content under the name, size and time
    of the old one is noticed.
    """
    known, unknown = {} if record is None else _read(record), (None, "")
    signs = {name: sign_of(path) for name, path in files.items()}
    new = [name for name, sign in signs.items() if known.get(name, unknown)[0] != sign]
    with ThreadPoolExecutor(_THREADS) as pool:
        said = dict(zip(new, pool.map(lambda name: _look(files[name], look), new), strict=True))
    known |= {name: (sign, said[name]) for name in new if (sign := signs[name]) and said[name]}
    if record is not None and any(said.values()):
        with suppress(PermissionError):  # who may only look at a folder reads its files each time
            write_text(record, _RECORD.dump_json(known).decode())
    return {name: said.get(name, known.get(name, unknown)[1]) for name in files}


def seen(record: Path) -> dict[str, str]:
    """Return what was said when the files of a record were last looked at."""
    return {name: text for name, (_, text) in _read(record).items()}


def _read(record: Path) -> dict[str, tuple[_Sign, str]]:
    """Read what is known; nothing where the record is damaged."""
    try:
        return _RECORD.validate_json(record.read_bytes())
    except (FileNotFoundError, ValidationError):
        return {}


def sign_of(path: Path) -> _Sign | None:
    """Return numbers that change when a file, or what lies in a folder, does; None where it is not there."""
    if is_remote(path):
        return signed(path)
    try:
        states = [one.stat() for one in ([path, *path.rglob("*")] if path.is_dir() else [path])]
    except (OSError, ValueError):
        return None
    return (
        sum(one.st_size for one in states),
        max(one.st_mtime_ns for one in states),
        max(one.st_ctime_ns for one in states),
        sum(one.st_ino for one in states),
    )


def _look(path: Path, look: Callable[[Path], str]) -> str:
    try:
        with local(path) as near:
            return look(near)
    except (OSError, UnreadableError):
        return ""

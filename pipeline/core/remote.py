"""Files in object stores (S3, Google Cloud), by fsspec: listed, and copied here while they are read.

``s3://bucket/plate`` is a `Path` like any other, ``s3:/bucket/plate``: `listed` says which files are below,
`signed` whether one is still the same, and `local` copies one for as long as it is read. Copies are kept on
this machine while there is room, under what tells their content, so that a file is fetched once as a rule.
Credentials are those of the environment. Whoever reads copies for itself: workers of other machines do, too.
"""

import errno
import functools
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from pipeline.core.errors import PipelineError
from pipeline.core.files import limit_of, remove_leftovers, temporary_of, text_digest
from pipeline.core.required import required

PACKAGES = {"s3": "s3fs", "gs": "gcsfs"}
"""What addresses begin with, and the package that knows what is behind them."""

CACHE = "HPA_CACHE"
"""Environment variable: the folder of copies; ``~/.cache/protein-locations`` unless set."""

CACHE_BYTES = "HPA_CACHE_BYTES"
"""Environment variable: the bytes of copies of pictures that are kept; 10 GiB unless set."""

_SHELVES = 16
"""Folders of copies by the first digit of their names; each has its share of the room."""
_TAGS = ("ETag", "etag")
"""What stores call that which changes with the content of a file."""
_IN_ZARR = re.compile(r"(?i)(\.zarr)/.*")
_WRITTEN = re.compile(rf"\b({'|'.join(PACKAGES)}):/(?=[^/\s])")


class Object(NamedTuple):
    """A file of a store: its size in bytes, and a number that stands for its content."""

    size: int
    tag: int


def is_remote(path: Path) -> bool:
    """Say whether a path is an address in an object store."""
    first, *_ = *path.parts, ""
    return first.endswith(":") and first[:-1] in PACKAGES


def address(path: Path) -> str:
    """Return the address that a path stands for, as stores want it."""
    return f"{path.parts[0]}//{'/'.join(path.parts[1:])}"


def placed(path: Path) -> str:
    """Say from wherever one looks where a path lies; links are kept as given."""
    return address(path) if is_remote(path) else os.path.abspath(path)  # noqa: PTH100 - resolves no links


_SHOWN_AS: ContextVar[Mapping[str, str]] = ContextVar("shown_as")


@contextmanager
def shown_as(addresses: Mapping[str, str]) -> Iterator[None]:
    """Show paths of this machine as the addresses that they stand for, in the block."""
    token = _SHOWN_AS.set(addresses)
    try:
        yield
    finally:
        _SHOWN_AS.reset(token)


def shown(text: str) -> str:
    """Return a text in which addresses are as people write them: with two slashes, in place of copies."""
    for path, meant in _SHOWN_AS.get({}).items():
        text = text.replace(path, meant)
    return _WRITTEN.sub(r"\1://", text)


def look_at(folder: Path) -> None:
    """List all files below a folder of a store: what `listed` and `signed` know of them from now on.

    Raises
    ------
    PipelineError
        If there are none, or the store does not let one look.
    """
    with told(folder):
        found = objects_below(folder)
    if not found:
        raise PipelineError(f"{folder}: no such bucket, or no files below this address; check it")
    _store(folder).known[folder.as_posix()] = found


def listed(folder: Path) -> list[str]:
    """Return the names of the files below a folder that was looked at, and of OME-Zarrs; not of hidden ones.

    They are in the order of a folder of this machine: those in it, then those of the folders in it.
    """
    names = {_IN_ZARR.sub(r"\1", name) for name in _store(folder).known[folder.as_posix()]}
    return sorted(
        (name for name in names if name[0] != "." and "/." not in name),
        key=lambda name: [(not folders, part) for part, folders in _steps(name)],
    )


def _steps(name: str) -> list[tuple[str, bool]]:
    """Return the parts of a name, each with whether it is the file."""
    *folders, file = name.split("/")
    return [*((part, False) for part in folders), (file, True)]


def objects_below(folder: Path) -> dict[str, Object]:
    """Return the files below an address by their names there, those that a path can name."""
    if len(folder.parts) < 2:
        raise PipelineError(f"{address(folder)}: names no bucket; give {address(folder)}BUCKET/FOLDER")
    files = _store(folder).files
    root = files._strip_protocol(address(folder)).rstrip("/") + "/"
    found = {
        name.removeprefix(root): _object(about)
        for name, about in files.find(address(folder), detail=True).items()
        if name.startswith(root)
    }
    return {name: one for name, one in found.items() if not {"", ".", ".."} & {*name.split("/")}}


def signed(path: Path) -> tuple[int, int, int, int] | None:
    """Return numbers that change when a file of a store, or an OME-Zarr, does; None where there is none."""
    try:
        found = _objects(path).values()
    except OSError:
        return None
    return sum(one.size for one in found), sum(one.tag for one in found), len(found), 0


@contextmanager
def local(path: Path) -> Iterator[Path]:
    """Give a file, or the folder of an OME-Zarr, of this machine: of what lies in a store, a copy meanwhile.

    Raises
    ------
    OSError
        If it is not there, the store does not give it, or it changes while it is read.
    PipelineError
        If the package for this kind of store is not installed.
    """
    if not is_remote(path):
        yield path
        return
    private = temporary_of(cache_folder() / uuid4().hex)
    copy = private / path.name
    try:
        found = _objects(path)
        if (size := sum(one.size for one in found.values())) > limit_of(CACHE_BYTES, _ROOM):
            raise OSError(errno.EFBIG, f"{size:,} bytes; set {CACHE_BYTES} to allow more")
        for name, one in found.items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            _put(path / name, one, copy / name)
        yield copy
    finally:
        shutil.rmtree(private, ignore_errors=True)


_ROOM = 10 * 2**30


def cache_folder() -> Path:
    """Return the folder of copies, made on first use for nobody else to read."""
    folder = Path(os.environ.get(CACHE) or Path.home() / ".cache/protein-locations")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _put(path: Path, one: Object, copy: Path) -> None:
    """Link the copy of a file to `copy`; it is fetched where there is none, and kept while there is room."""
    name = text_digest([address(path), *one])
    kept = cache_folder() / "pictures" / name[0] / name[1:]
    try:
        copy.hardlink_to(kept)
        os.utime(kept)  # the last use
    except FileNotFoundError:
        fetch(path, copy)
        if copy.stat().st_size != one.size or looked_up(path) != one:
            raise OSError(errno.EIO, "changed while it was read") from None
        kept.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process was as fast
            kept.hardlink_to(copy)
        _make_room(kept.parent)


def _make_room(folder: Path) -> None:
    """Remove the copies that were not used for longest; who reads one has a link of its own."""
    states = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            state = path.stat()
            states.append((state.st_mtime_ns, state.st_size, path))
    excess = sum(size for _, size, _ in states) - limit_of(CACHE_BYTES, _ROOM) // _SHELVES
    for _, size, path in sorted(states):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= size


def fetch(path: Path, copy: Path) -> None:
    """Write what lies at an address into a file."""
    with _as_os_errors():
        _store(path).files.get_file(address(path), str(copy))


def send(file: Path, path: Path) -> Object:
    """Write a file to an address, where it appears whole or not at all; return it as it is there."""
    with told(path):
        _store(path).files.put_file(str(file), address(path))
        return looked_up(path)


def remove(path: Path) -> None:
    """Remove what lies at an address, if it is there."""
    with told(path), suppress(FileNotFoundError):
        _store(path).files.rm_file(address(path))


def _objects(path: Path) -> dict[str, Object]:
    """Return the files of a picture by their names in its folder, of one file by no name."""
    known = _store(path).known
    for folder in path.parents:
        if (name := path.relative_to(folder).as_posix()) in known.get(folder.as_posix(), ()):
            return {"": known[folder.as_posix()][name]}
    with _as_os_errors():
        if any(part.lower().endswith(".zarr") for part in path.parts) and (found := objects_below(path)):
            return found
        return {"": looked_up(path)}


def looked_up(path: Path) -> Object:
    """Ask the store what lies at an address, one file."""
    with _as_os_errors():
        about = _store(path).files.info(address(path))
    if about["type"] == "directory":
        raise FileNotFoundError(errno.ENOENT, "is a folder", address(path))
    return _object(about)


def _object(about: dict[str, Any]) -> Object:
    tag = next(str(about[name]).strip('"') for name in _TAGS if name in about)
    return Object(int(about["size"]), int(text_digest(tag)[:12], 16))


class _Store:
    """What speaks with stores of one kind, and the files of folders as they were listed last."""

    def __init__(self, protocol: str) -> None:
        packages = "fsspec", PACKAGES[protocol]
        fsspec, _ = required(*packages, listed="requirements_remote.txt", asked=f"{protocol}://")
        self.files: Any = fsspec.filesystem(protocol, use_listings_cache=False)
        self.known: dict[str, dict[str, Object]] = {}


def _store(path: Path) -> _Store:
    return _opened(path.parts[0][:-1])


@functools.cache
def _opened(protocol: str) -> _Store:
    remove_leftovers(cache_folder().glob(".*.tmp"))
    return _Store(protocol)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Turn the errors of the packages behind a store, a family for each, into those of a disk."""
    try:
        yield
    except (OSError, PipelineError):
        raise
    except Exception as error:
        raise OSError(errno.EIO, _line(error)) from error


def _line(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}".partition("\n")[0]
    return " ".join(text.split())[:200]


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say in one line what is wrong with an address."""
    try:
        with _as_os_errors():
            yield
    except FileNotFoundError as error:
        raise PipelineError(f"{path}: no such bucket or file ({error}); check the address") from error
    except PermissionError as error:
        raise PipelineError(
            f"{path}: no permission ({error}); set credentials in the environment, as docs/cluster.md says"
        ) from error
    except OSError as error:
        raise PipelineError(
            f"{path}: the store cannot be reached ({error.strerror or error}); set credentials and "
            "endpoint in the environment, as docs/cluster.md says"
        ) from error

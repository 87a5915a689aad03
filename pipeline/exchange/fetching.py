"""Fetch files over HTTP: politely, checked against the digest of the first time, never half a file."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import PipelineError
from pipeline.core.files import UnreadableError, check_bytes, file_digest, sync

if TYPE_CHECKING:
    import requests

REGISTRY = "registry.txt"
"""File of the names and sha256 of what was fetched, as pooch writes them."""

AGENT = "protein-locations/1.0 (research; one request at a time)"

_BUSY = (429, 500, 502, 503, 504)
_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
_LINE = re.compile(r"(\S+) ([0-9a-f]{64})")


class NotServedError(Exception):
    """The server answers, but does not give the file: why, and whether a later run may get it."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


class Fetcher:
    """Fetch files into a folder, and remember their digests in its `REGISTRY`.

    A file that is there is not fetched again; one that was put there by hand counts. One that differs from
    its digest is replaced.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    pause : float
        Seconds between two requests.

    Raises
    ------
    PipelineError
        If pooch is not installed.
    """

    def __init__(self, folder: Path, pause: float) -> None:
        self.folder, self.pause = folder, pause
        self._session = _session()
        self._known = _read_registry(folder / REGISTRY)
        self._last = -pause
        for name in ("images", "tables"):
            for left in (folder / name).glob("tmp????????"):  # as pooch names what a kill leaves
                left.unlink()

    def get(self, url: str, name: str, begins: bytes) -> Path:
        """Return the path of a file, fetched if need be.

        Parameters
        ----------
        url : str
        name : str
            Its path in the folder.
        begins : bytes
            First bytes of every file of its type, so that no page of a portal takes its place.

        Raises
        ------
        NotServedError
            If the server does not give it.
        PipelineError
            If the server cannot be reached, or gives another file than the first time.
        """
        import pooch
        from requests import RequestException

        pooch.get_logger().setLevel("ERROR")
        one = pooch.create(
            self.folder, "", registry={name: self._known.get(name)}, urls={name: url}, retry_if_failed=2
        )
        try:
            path = Path(one.fetch(name, downloader=lambda _, file, __: self._download(url, file, begins)))
        except RequestException as error:
            raise NotServedError(f"the connection broke ({_why(error)})", passing=True) from error
        except ValueError as error:
            raise PipelineError(
                f"{url}: is another file than when it was first fetched; to take it, remove the line of "
                f"{name} from {self.folder / REGISTRY}"
            ) from error
        self._remember(name, path)
        return path

    def size(self, url: str) -> int | None:
        """Return how many bytes a file has, as its server says; None where it does not."""
        from requests import RequestException

        self._wait()
        try:
            answer = self._session.head(url, timeout=_TIMEOUT, allow_redirects=True)
        except RequestException:
            return None
        length = answer.headers.get("Content-Length", "")
        return int(length) if answer.ok and length.isdecimal() else None

    def _download(self, url: str, file: str, begins: bytes) -> None:
        """Write a file; what goes wrong on the way is tried again by pooch, what a server says is not."""
        from requests import ConnectionError, Timeout  # noqa: A004 - as the library calls it

        self._wait()
        try:
            with self._session.get(url, stream=True, timeout=_TIMEOUT) as answer:
                if not answer.ok:
                    raise NotServedError(
                        f"the server says {answer.status_code} {answer.reason}",
                        passing=answer.status_code in _BUSY,
                    )
                _write(answer, Path(file))
        except (ConnectionError, Timeout) as error:
            raise PipelineError(unreachable(url, self.folder, _why(error))) from error
        except UnreadableError as error:
            raise NotServedError(error.reason) from error
        with Path(file).open("rb") as stream:
            found = stream.read(len(begins))
        if found != begins:
            raise NotServedError(f"the server gives something else (it begins with {found!r})")

    def _wait(self) -> None:
        time.sleep(max(0.0, self._last + self.pause - time.monotonic()))
        self._last = time.monotonic()

    def _remember(self, name: str, path: Path) -> None:
        if name not in self._known:
            self._known[name] = file_digest(path)
            with (self.folder / REGISTRY).open("a", encoding="utf-8") as stream:
                stream.write(f"{name} {self._known[name]}\n")

    def finish(self) -> None:
        """Wait until the registry is on the disk."""
        if (self.folder / REGISTRY).is_file():
            sync(self.folder / REGISTRY)


def unreachable(url: str, folder: Path, why: str) -> str:
    """Say that a server cannot be reached, and what to do without it."""
    return (
        f"{url}: cannot be reached ({why}); check the connection and run again, what was fetched is kept; "
        f"where there is no internet, fetch {folder} on another machine by the same command, and copy it here"
    )


def _session() -> "requests.Session":
    try:
        import pooch  # noqa: F401 - brings requests
        import requests
        from urllib3.util import Retry
    except ImportError as error:
        raise PipelineError(
            f"download needs the package {error.name}; run: pip install -r requirements_download.txt"
        ) from error
    session = requests.Session()
    session.headers["User-Agent"] = AGENT
    tries = Retry(
        connect=1, read=2, status=5, other=1, redirect=5, status_forcelist=_BUSY, backoff_factor=1,
        allowed_methods={"GET", "HEAD"}, raise_on_status=False,
    )  # fmt: skip
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=tries))
    return session


def _write(answer: "requests.Response", file: Path) -> None:
    """Write an answer piece by piece; refuse more bytes than a file may have."""
    written = 0
    with file.open("wb") as stream:
        for piece in answer.iter_content(2**16):
            written += len(piece)
            check_bytes(written, "what the server sends")
            stream.write(piece)


def _read_registry(path: Path) -> dict[str, str | None]:
    """Read the digests by name; a line that a kill cut off does not count, and ends before the next one."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8", errors="replace")
    if text and not text.endswith("\n"):
        with path.open("a", encoding="utf-8") as stream:
            stream.write("\n")
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return {match[1]: match[2] for match in found if match}


def _why(error: BaseException) -> str:
    """Return the innermost words of an error of the network."""
    text = str(error.args[0] if error.args else error)
    inner = re.findall(r"(?:Errno -?\d+\] |: )([A-Z][\w ]+)", text)
    return inner[-1].strip() if inner else type(error).__name__

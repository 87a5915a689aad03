"""Fetch files over HTTP: politely, checked against the digest of the first time, never half a file."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import PipelineError
from pipeline.core.files import UnreadableError, check_bytes, file_digest
from pipeline.core.required import required

if TYPE_CHECKING:
    import requests

REGISTRY = "registry.txt"
"""File of the names and sha256 of what was fetched, as pooch writes them."""

AGENT = "protein-locations/1.0 (research; one request at a time)"

_BUSY = (429, 500, 502, 503, 504)
_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
_LINE = re.compile(r"^(\S+) ([0-9a-f]{64})$", re.MULTILINE)


class NotServedError(Exception):
    """The server answers, but does not give the file: why, and whether a later run may get it."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


class Fetcher:
    """Fetch files into a folder, and keep their digests in its `REGISTRY`.

    A file that is there is not fetched again; one that was put there by hand counts. One that is not what its
    digest says is replaced.

    Raises
    ------
    PipelineError
        If pooch is not installed.
    """

    def __init__(self, folder: Path, pause: float) -> None:
        self._folder, self._pause, self._last = folder, pause, -pause
        self._session = _session()
        registry = folder / REGISTRY
        text = registry.read_text(encoding="utf-8", errors="replace") if registry.is_file() else ""
        self._known = {match[1]: match[2] for match in _LINE.finditer(text)}
        for left in folder.glob("*/tmp????????"):  # as pooch names what a kill leaves
            left.unlink()

    def get(self, url: str, name: str, *begins: bytes) -> Path:
        """Return the path of a file, fetched if need be.

        Parameters
        ----------
        url : str
        name : str
            Its path in the folder.
        *begins : bytes
            How files of its type begin, so that no page of a portal takes its place.

        Raises
        ------
        NotServedError
            If the server does not give it.
        PipelineError
            If the server cannot be reached, or gives another file than the first time.
        """
        import pooch
        from requests import ConnectionError, RequestException, Timeout  # noqa: A004 - the library's name

        pooch.get_logger().setLevel("ERROR")
        known = {name: self._known.get(name)}
        files = pooch.create(self._folder, "", registry=known, urls={name: url}, retry_if_failed=1)
        try:
            path = Path(files.fetch(name, downloader=lambda _, file, __: self._download(url, file, begins)))
        except RequestException as error:
            if not isinstance(error, ConnectionError | Timeout):
                raise NotServedError(f"the connection broke ({_why(error)})", passing=True) from error
            raise PipelineError(
                f"{url}: cannot be reached ({_why(error)}); run again when it can: what was fetched is kept; "
                f"or fetch it on another machine and save it as {self._folder / name}"
            ) from error
        except ValueError as error:
            raise PipelineError(
                f"{url}: is another file than when it was first fetched; to take it, remove the line of "
                f"{name} from {self._folder / REGISTRY}"
            ) from error
        if name not in self._known:
            self._known[name] = file_digest(path)
            with (self._folder / REGISTRY).open("a", encoding="utf-8") as stream:
                stream.write(
                    f"\n{name} {self._known[name]}"
                )  # the line before may have been cut off by a kill
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

    def _download(self, url: str, file: str, begins: tuple[bytes, ...]) -> None:
        """Write a file; a connection that breaks is tried again by pooch, what a server says is not."""
        self._wait()
        Path(file).unlink()  # pooch makes it for this user only
        with (
            self._session.get(url, stream=True, timeout=_TIMEOUT) as answer,
            Path(file).open("w+b") as stream,
        ):
            if not answer.ok:
                reason = f"the server says {answer.status_code} {answer.reason}"
                raise NotServedError(reason, passing=answer.status_code in _BUSY)
            for piece in answer.iter_content(2**16):
                stream.write(piece)
                try:
                    check_bytes(stream.tell(), "what the server sends")
                except UnreadableError as error:
                    raise NotServedError(str(error)) from error
            stream.seek(0)
            start = stream.read(8)
        if not start.startswith(begins):
            raise NotServedError(f"the server gives something else (it begins with {start!r})")

    def _wait(self) -> None:
        time.sleep(max(0.0, self._last + self._pause - time.monotonic()))
        self._last = time.monotonic()


def _session() -> "requests.Session":
    _, http, util = required("pooch", "requests", "urllib3.util", listed="requirements_download.txt")
    session: requests.Session = http.Session()
    session.headers["User-Agent"] = AGENT
    tries = util.Retry(
        connect=1, read=2, status=5, status_forcelist=_BUSY, backoff_factor=1, raise_on_status=False
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, http.adapters.HTTPAdapter(max_retries=tries))
    return session


def _why(error: BaseException) -> str:
    """Return the innermost words of an error of the network."""
    inner = re.findall(r"(?:Errno -?\d+\] |: )([A-Z][\w ]+)", str(error))
    return inner[-1].strip() if inner else type(error).__name__

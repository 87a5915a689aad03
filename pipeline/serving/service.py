"""The HTTP service: requests are checked, wait in a bounded queue, and are answered by a predictor."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.types import Message

from pipeline.data.layouts import Layout
from pipeline.serving.admission import is_own
from pipeline.serving.answers import ModelInfo
from pipeline.serving.counters import Counters
from pipeline.serving.predictor import Predictor
from pipeline.serving.uploads import MOST_FILES, RefusedError, Upload, picture_of_array, picture_of_files
from pipeline.serving.wishes import WISHES, Served, served
from pipeline.stages.serve_options import LOOPBACK

PAGE = Path(__file__).with_name("page.html")

RETRY_AFTER = 2
"""Seconds after which a client that found the queue full is told to come back."""

_MOST_FIELDS = 8
_RAW, _FORM = "application/octet-stream", "multipart/form-data"
_SAID = ("x-shape", "x-dtype", "x-channels", "x-pixel-size-um")

_ACCEPTED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            _FORM: {
                "schema": {
                    "type": "object",
                    "properties": {
                        **{
                            name: {"type": "string", "format": "binary"}
                            for name in ("protein", "nucleus", "microtubules", "er", "file")
                        },
                        "channels": {"type": "string", "example": "protein=GFP, nucleus=DAPI"},
                        "pixel_size_um": {"type": "number"},
                        "projection": {"type": "string", "enum": ["max", "mean", "focus"]},
                        **{wish: {"type": "boolean"} for wish in WISHES},
                    },
                }
            },
            _RAW: {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "parameters": [
        {"name": name, "in": "header", "required": name == "x-shape", "schema": {"type": "string"}}
        for name in _SAID
    ],
}
"""What /predict takes, for the documentation: bodies are read here, by bytes, so that they can be bounded."""


class Desk:
    """Where requests wait, a bounded number of them, for a bounded number of threads."""

    def __init__(self, jobs: int, queue: int, timeout: float) -> None:
        self.places, self.timeout = jobs + queue, timeout
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="predict")
        self.taken = 0

    def take(self) -> None:
        """Take a place, or tell the client to come back."""
        if self.taken >= self.places:
            raise RefusedError(503, f"{self.taken} requests are waiting; come back in {RETRY_AFTER} s")
        self.taken += 1

    def leave(self) -> None:
        """Give a place back."""
        self.taken -= 1

    async def read(self, request: Request, most: int) -> bytes:
        """Read a request's body; refuse one that is too large, or too slow."""
        try:
            return await asyncio.wait_for(_body(request, most), self.timeout)
        except TimeoutError as error:
            raise RefusedError(408, f"not sent within {self.timeout:g} s; send it again") from error

    async def run(self, work: Callable[[], Served]) -> Served:
        """Do the work in a thread; until it ends it takes a place, whether anybody waits for it or not."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self.timeout)
        except TimeoutError as error:
            raise RefusedError(504, f"no answer within {self.timeout:g} s; send a smaller picture") from error
        finally:
            if not future.done():
                self.taken += 1
                future.add_done_callback(self._ended)

    def _ended(self, future: "asyncio.Future[Served]") -> None:
        self.leave()
        future.cancelled() or future.exception()

    def close(self) -> None:
        """End the threads when they have done what they are at."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _body(request: Request, most: int) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise RefusedError(413, _too_large(most))
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > most:
            raise RefusedError(413, _too_large(most))
    return bytes(content)


def _too_large(most: int) -> str:
    return f"more than {most / 2**20:g} MB; send a smaller picture, or start serve with --max-megabytes"


@dataclass(frozen=True)
class Terms:
    """Under which the service answers.

    Attributes
    ----------
    layout : Layout or None
        How uploaded files are read.
    token : str
        What clients have to send as ``Authorization: Bearer``; nothing where it is empty.
    jobs, queue : int
        Requests that are answered at once, and that wait.
    max_bytes : int
        Of a request.
    timeout : float
        Seconds for sending a request, and for its answer.
    hosts : tuple of str
        Names under which the service may be asked (so that no web page reaches it under another); empty: any.
    """

    layout: Layout | None = None
    token: str = ""
    jobs: int = 1
    queue: int = 16
    max_bytes: int = 64 * 2**20
    timeout: float = 60.0
    hosts: tuple[str, ...] = LOOPBACK


class Service:
    """What is done with requests; see `make_app`."""

    def __init__(self, predictor: Predictor, terms: Terms) -> None:
        self._predictor, self._terms = predictor, terms
        self._desk, self._counters = Desk(terms.jobs, terms.queue, terms.timeout), Counters()
        self._stream = predictor.stream()

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """End the threads with the service."""
        yield
        self._desk.close()

    async def authorised(self, request: Request) -> None:
        """Refuse requests without the token, where there is one."""
        given, token = request.headers.get("authorization", ""), self._terms.token
        if token and not secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise RefusedError(401, "the token is missing or another; send Authorization: Bearer TOKEN")

    async def guard(self, request: Request, following: Callable[[Request], Awaitable[Response]]) -> Response:
        """Refuse web pages of others, and count."""
        host = request.headers.get("host", "")
        page = request.headers.get("origin")
        if self._terms.hosts and not is_own(host, page, self._terms.hosts):
            response: Response = _refused(RefusedError(403, f"not served under '{(page or host)[:80]}'"))
        else:
            response = await following(request)
        self._counters.count(request.url.path, response.status_code)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    async def predict(self, request: Request) -> Served:
        """Name the locations of the protein in one picture: its files, or an array."""
        self._desk.take()
        try:
            content = await self._desk.read(request, self._terms.max_bytes)
            work = await _work(request, content, self._predictor, self._terms.layout)
            answer = await self._desk.run(work)
        finally:
            self._desk.leave()
        self._counters.observe(answer)
        return answer.model_copy(update={"drift": self._stream.take(answer)})

    async def info(self) -> ModelInfo:
        """Say which model answers."""
        return self._predictor.info

    async def healthz(self) -> dict[str, str | int]:
        """Say that the service runs, and how many requests it is at."""
        return {"status": "ok", "requests": self._desk.taken}

    async def metrics(self) -> Response:
        """Return counts and times for Prometheus."""
        self._counters.waiting.set(self._desk.taken)
        self._counters.drift.set(self._stream.evidence)
        return Response(self._counters.text(), media_type=self._counters.media_type)

    async def page(self) -> HTMLResponse:
        """Return the page to drop pictures on."""
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))


def make_app(predictor: Predictor, terms: Terms = Terms()) -> FastAPI:
    """Return the service of a model that is in memory."""
    service = Service(predictor, terms)
    app = FastAPIOffline(
        title="Where in the cell is the protein?",
        version=predictor.info.digest[:12],
        lifespan=service.lifespan,
    )
    _handle_errors(app)
    app.middleware("http")(service.guard)
    protected = [Depends(service.authorised)]
    app.add_api_route(
        "/predict", service.predict, methods=["POST"], dependencies=protected, openapi_extra=_ACCEPTED
    )
    app.add_api_route("/info", service.info, dependencies=protected)
    app.add_api_route("/healthz", service.healthz)
    app.add_api_route("/metrics", service.metrics, dependencies=protected)
    app.add_api_route("/", service.page, include_in_schema=False)
    return app


def _handle_errors(app: FastAPI) -> None:
    """Answer every error in one line of JSON; the service goes on."""

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> JSONResponse:
        return _refused(error)

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> JSONResponse:
        return _refused(RefusedError(error.status_code, f"{error.detail}; see /docs"))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return _refused(RefusedError(422, str(error).partition("\n")[0]))


def _refused(error: RefusedError) -> JSONResponse:
    headers = {"Retry-After": str(RETRY_AFTER)} if error.status == 503 else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"detail": " ".join(error.reason.split())}, error.status, headers)


async def _work(
    request: Request, content: bytes, predictor: Predictor, layout: Layout | None
) -> Callable[[], Served]:
    """Return what is to be done for a request, after what can be refused at once was."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _RAW:
        said = {name: request.headers[name] for name in _SAID if name in request.headers}
        asked = {name for name in WISHES if _is_yes(request.query_params.get(name, ""))}
        return partial(served, predictor, partial(picture_of_array, predictor, content, said), asked)
    if kind != _FORM:
        raise RefusedError(415, f"content type '{kind[:60]}'; send {_FORM}, or {_RAW} with X-Shape")
    uploads, fields = await _form(request, content)
    said = {**request.query_params, **fields}
    asked = {name for name in WISHES if _is_yes(said.get(name, ""))}
    return partial(served, predictor, partial(picture_of_files, predictor, layout, uploads, fields), asked)


async def _form(request: Request, content: bytes) -> tuple[list[Upload], Mapping[str, str]]:
    """Part a form into files and what is said beside them."""

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    try:
        form = await Request(request.scope, receive).form(max_files=MOST_FILES, max_fields=_MOST_FIELDS)
    except (HTTPException, MultiPartException, ValueError, KeyError) as error:
        reason = str(getattr(error, "detail", "") or getattr(error, "message", "") or error)
        raise RefusedError(400, f"not a form of files ({reason[:120]}); send {_FORM}") from error
    uploads, fields = [], {}
    async with _closing(form):
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                uploads.append(Upload(name, value.filename or "", await value.read()))
            else:
                fields[name] = str(value)
    return uploads, fields


@asynccontextmanager
async def _closing(form: Any) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await form.close()


def _is_yes(text: str) -> bool:
    return text.strip().lower() in {"1", "true", "yes", "on"}

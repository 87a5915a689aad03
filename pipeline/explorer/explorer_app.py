"""The explorer as a web application: requests are checked, and answered by pages."""

import json
import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import parse_qs, urlencode

import numpy as np
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi import Query as Asked
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException

from pipeline.core.errors import PipelineError
from pipeline.core.names import unknown
from pipeline.explorer.cell_shapes import put_back, take_out
from pipeline.explorer.explorer_pages import Explorer, View, address
from pipeline.explorer.picture_queries import Query
from pipeline.explorer.thumbnail_cache import LARGE, SMALL
from pipeline.pages.templating import FOLDER, render
from pipeline.serving.admission import is_own

COOKIE, VIEW = "explore", "view"
"""Cookies: of the token, and of how pictures are drawn."""

MOST_BYTES = 2**16
"""Of what is posted."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; script-src 'self'; "
    "connect-src 'self'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
}

GalleryQuery = Annotated[Query, Asked()]


def make_app(explorer: Explorer, token: str = "", hosts: tuple[str, ...] = ()) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    explorer : Explorer
    token : str
        What a browser has to bring as ``?token=`` once, or nothing where it is empty.
    hosts : tuple of str
        Names under which it may be asked; empty: any.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=explorer.reasons.load, daemon=True).start()
        yield

    app = FastAPI(title="Explorer", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    routes = Routes(explorer)

    @app.middleware("http")
    async def guard(request: Request, following: Callable[[Request], Awaitable[Response]]) -> Response:
        response = refused(request, token, hosts) or await following(request)
        response.headers.update(HEADERS)
        return response

    _handle_errors(app)
    for path in ("", "/why", "/cells"):
        app.add_api_route(f"/picture/{{sample}}{path}", getattr(routes, path.strip("/") or "picture"))
    for path in ("labels", "undo", "cells", "back"):
        app.add_api_route(f"/picture/{{sample}}/{path}", getattr(routes, f"post_{path}"), methods=["POST"])
    app.add_api_route("/", routes.gallery)
    app.add_api_route("/image/{sample}.webp", routes.image)
    app.add_api_route("/map", routes.map)
    app.add_api_route("/map.json", routes.places)
    app.add_api_route("/at", routes.at)
    app.add_api_route("/box", routes.box)
    app.add_api_route("/explore.js", routes.script)
    return app


def refused(request: Request, token: str, hosts: tuple[str, ...]) -> Response | None:
    """Refuse pages of others, changes that no page of ours asks for, and who has no token."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if not is_own(host, origin, hosts) or (request.method == "POST" and origin is None):
        return _told(403, f"not served to '{(origin or host)[:80]}'")
    if not token:
        return None
    given = request.query_params.get("token", "")
    if given and secrets.compare_digest(given.encode(), token.encode()):
        rest = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
        response = RedirectResponse(request.url.path + (f"?{urlencode(rest)}" if rest else ""), 303)
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict")
        return response
    if secrets.compare_digest(request.cookies.get(COOKIE, "").encode(), token.encode()):
        return None
    return _told(401, "the token is missing or another; open the address that explore printed")


def _told(status: int, reason: str) -> HTMLResponse:
    return HTMLResponse(render("refusal.html", status=status, reason=" ".join(reason.split())), status)


def _handle_errors(app: FastAPI) -> None:
    """Answer every error by a page of one line."""

    @app.exception_handler(PipelineError)
    async def wrong(_: Request, error: PipelineError) -> Response:
        return _told(422, str(error))

    @app.exception_handler(StarletteHTTPException)
    async def other(_: Request, error: StarletteHTTPException) -> Response:
        return _told(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return _told(422, f"{first['loc'][-1]} '{str(first.get('input'))[:80]}': {first['msg']}")


async def _form(request: Request) -> dict[str, list[str]]:
    """Read what a form of ours posts: fields of text."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST_BYTES:
            raise HTTPException(413, f"more than {MOST_BYTES:,} bytes; nothing was saved")
    try:
        return parse_qs(content.decode(), keep_blank_values=True, max_num_fields=20_000)
    except ValueError as error:
        raise HTTPException(400, "not a form; nothing was saved") from error


class Routes:
    """What is done with requests; those that read run in threads."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer

    def _row(self, sample: str) -> int:
        row = self._explorer.index.position(sample)
        if row is None:
            raise HTTPException(404, f"no picture '{sample[:80]}' in {self._explorer.work.root}")
        return row

    def _view(self, request: Request) -> View:
        return View.of_cookie(request.cookies.get(VIEW, ""), self._explorer.channels)

    def gallery(self, request: Request, query: GalleryQuery) -> HTMLResponse:
        """Show pictures."""
        return HTMLResponse(self._explorer.gallery(query, self._view(request)))

    def picture(self, request: Request, sample: str, query: GalleryQuery) -> HTMLResponse:
        """Show one picture."""
        return HTMLResponse(self._explorer.picture(self._row(sample), query, self._view(request)))

    def why(self, sample: str, location: str) -> HTMLResponse:
        """Say why a picture got its answer."""
        return HTMLResponse(self._explorer.why(self._row(sample), location))

    def cells(self, sample: str) -> HTMLResponse:
        """Return the table of a picture's cells."""
        return HTMLResponse(self._explorer.cells(self._row(sample)))

    def image(self, request: Request, sample: str, side: int, channels: str, outlines: bool) -> Response:
        """Return a drawing of a picture."""
        self._row(sample)
        if side not in (SMALL, LARGE):
            raise HTTPException(422, f"side '{side}': {SMALL} or {LARGE}")
        some = View.of_cookie(channels, self._explorer.channels).channels
        path = self._explorer.thumbnails.file(sample, side, some, outlines=outlines)
        headers = {"ETag": f'"{path.stem}"', "Cache-Control": "private, no-cache"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return FileResponse(path, media_type="image/webp", headers=headers)

    def map(self, request: Request, location: str = "") -> HTMLResponse:
        """Show the map."""
        return HTMLResponse(self._explorer.map(self._known(location), self._view(request)))

    def _known(self, location: str) -> str:
        names = self._explorer.index.names
        if location and location not in names:
            raise PipelineError(unknown("location", location, names))
        return location

    def places(self, location: str = "") -> Response:
        """Return the places of all pictures on the map."""
        space = self._explorer.space
        if space is None:
            raise HTTPException(404, "there is no map")
        kinds = self._explorer.kinds(self._known(location)).tolist()
        x, y = space.places.T.tolist()
        content = json.dumps({"x": x, "y": y, "kind": kinds}, separators=(",", ":"))
        return Response(content, media_type="application/json")

    def at(self, x: float, y: float) -> RedirectResponse:
        """Go to the picture that is nearest to a place on the map."""
        space = self._explorer.space
        if space is None:
            raise HTTPException(404, "there is no map")
        row = int(np.hypot(space.places[:, 0] - x, space.places[:, 1] - y).argmin())
        return RedirectResponse(f"/picture/{self._explorer.index.ids[row]}", 303)

    def box(self, left: float, right: float, low: float, high: float) -> RedirectResponse:
        """Go to the pictures in a part of the map: the lasso of who uses no mouse."""
        corners = (left, low, right, low, right, high, left, high)
        lasso = ",".join(f"{one:g}" for one in corners)
        return RedirectResponse(address("/", Query(lasso=lasso)), 303)

    def script(self) -> FileResponse:
        """Return the script of the pages."""
        return FileResponse(FOLDER / "explore.js", media_type="text/javascript")

    async def post_labels(self, request: Request, sample: str, query: GalleryQuery) -> RedirectResponse:
        """Save the labels of a picture and go to the next."""
        row, form = self._row(sample), await _form(request)
        following = await run_in_threadpool(self._explorer.following, row, query)
        await run_in_threadpool(self._explorer.corrections.save, row, form.get("location", []))
        return _to(following or sample, query)

    async def post_undo(self, sample: str, query: GalleryQuery) -> RedirectResponse:
        """Give a picture its labels back."""
        await run_in_threadpool(self._explorer.corrections.undo, self._row(sample))
        return _to(sample, query)

    async def post_cells(self, request: Request, sample: str, query: GalleryQuery) -> RedirectResponse:
        """Take cells out of a picture."""
        self._row(sample)
        form = await _form(request)
        labels = {int(one) for one in form.get("cell", []) if one.isdecimal() and len(one) < 10}
        if not labels:
            raise HTTPException(422, "no cell was ticked; nothing was changed")
        await run_in_threadpool(take_out, self._explorer.work, sample, labels)
        return _to(sample, query)

    async def post_back(self, sample: str, query: GalleryQuery) -> RedirectResponse:
        """Put the cells of a picture back."""
        self._row(sample)
        await run_in_threadpool(put_back, self._explorer.work, sample)
        return _to(sample, query)


def _to(sample: str, query: Query) -> RedirectResponse:
    return RedirectResponse(address(f"/picture/{sample}", query), 303)

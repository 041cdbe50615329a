"""HTTP interface of the viewer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wetread.errors import NotFoundError, UsageError, WetreadError
from wetread.viewer.annotation_routes import STROKES, AnnotationRoutes
from wetread.viewer.guard import Guard
from wetread.viewer.mask_routes import MaskRoutes
from wetread.viewer.parameters import (
    check_id,
    read_group,
    read_id,
    read_image,
    read_integer,
    read_names,
    read_row_query,
    read_window,
)
from wetread.viewer.responses import to_binary as _binary
from wetread.viewer.responses import to_jpeg as _jpeg
from wetread.viewer.responses import to_json as _json
from wetread.viewer.responses import until_disconnect
from wetread.viewer.series_routes import SeriesRoutes
from wetread.viewer.state import State, describe, to_rows
from wetread.viewer.worker import ProblemError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

T = TypeVar("T")
STATIC = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
MAX_ROWS, MAX_MISSES = 500, 10_000


def make_app(
    state: State,
    token: str,
    allow_hosts: Iterable[str] = (),
    frame_ancestors: Iterable[str] = (),
) -> ASGIApp:
    """Build the ASGI application; `Guard` rejects unauthorised requests."""
    names = {"index.html", *(path.name for path in STATIC.glob("*"))}
    static = {name: STATIC / name for name in names if Path(name).suffix in TYPES}
    server = _Server(state, static)
    routes = [
        Route("/", server.page),
        Route("/static/{name}", server.file),
        Route("/report", server.report),
        Route("/api/about", server.about),
        Route("/api/rows", server.rows),
        Route("/api/position", server.position),
        Route("/api/facets", server.facets),
        Route("/api/misses", server.misses),
        Route("/api/images/{id}", server.image),
        Route("/api/images/{id}/header", server.header),
        Route("/api/images/{id}/document", server.document),
        Route("/api/images/{id}/thumb", server.thumb),
        Route("/api/images/{id}/preview", server.preview),
        Route("/api/images/{id}/pixels", server.pixels),
        Route("/api/images/{id}/table", server.table),
        Route("/api/images/{id}/modality", server.modality),
        Route("/api/images/{id}/boxes", server.boxes),
        *(AnnotationRoutes(state, state.annotations).routes if state.annotations else ()),
        *SeriesRoutes(state).routes,
        *MaskRoutes(state).routes,
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(state.close)

    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=_HANDLERS)
    app.router.redirect_slashes = False
    posts = [STROKES] if state.annotations else []
    return Guard(app, token, state.report_key, allow_hosts, frame_ancestors, posts)


class _Server:
    """Handlers of the routes."""

    def __init__(self, state: State, static: dict[str, Path]) -> None:
        self._state, self._static = state, static

    async def page(self, request: Request) -> Response:
        """Serve the page."""
        return await self._file("index.html")

    async def file(self, request: Request) -> Response:
        """Serve a static file of the page."""
        return await self._file(request.path_params["name"])

    async def _file(self, name: str) -> Response:
        path = self._static.get(name)
        if path is None:
            raise HTTPException(404, "no such file")
        data = await self._run(path.read_bytes)
        return Response(data, headers={"Content-Type": TYPES[path.suffix]})

    async def about(self, request: Request) -> Response:
        """Describe the data set; the decoders start meanwhile."""
        self._state.images.warm()
        return _json(await self._run(describe, self._state))

    async def rows(self, request: Request) -> Response:
        """Return a page of rows."""
        offset = read_integer(request, "offset", 0, 0, 2**40)
        limit = read_integer(request, "limit", 100, 0, MAX_ROWS)
        extra = read_names(request)
        outlined = read_integer(request, "outlines", 0, 0, 1)
        row_query, state = read_row_query(request), self._state

        def find() -> dict[str, Any]:
            page = state.catalogue.page(row_query, offset, limit, extra)
            page["rows"] = to_rows(state, page["rows"])
            if outlined:
                outlines = state.catalogue.outlines(row_query, offset, limit)
                for row, boxes in zip(page["rows"], outlines, strict=True):
                    row["outlines"] = boxes
            return page

        return _json(await self._run(find))

    async def position(self, request: Request) -> Response:
        """Return the position of an image in the order, and its neighbours."""
        id_ = check_id(request.query_params.get("id", ""))
        row_query, state = read_row_query(request), self._state
        if kind := read_group(request):
            return _json(await self._run(state.series.position, kind, row_query, id_))
        return _json(await self._run(state.catalogue.position, row_query, id_))

    async def facets(self, request: Request) -> Response:
        """Return the distributions of columns."""
        state, row_query = self._state, read_row_query(request)

        def find() -> dict[str, Any]:
            facets = {}
            for name in read_names(request):
                if not state.is_masked(name):
                    facets[name] = state.catalogue.facet(name, row_query)
            return facets

        return _json(await self._run(find))

    async def misses(self, request: Request) -> Response:
        """Return the images with false positives or negatives, in order."""
        state, row_query = self._state, read_row_query(request)
        if not state.marks.judging:
            raise HTTPException(404, "misses require boxes and predictions")

        def find() -> dict[str, Any]:
            counts = state.misses(row_query.iou, row_query.score)
            matches = state.catalogue.positions(row_query, counts)
            images = [{"id": id_, "offset": at, **counts[id_]} for id_, at in matches[:MAX_MISSES]]
            return {"total": len(matches), "images": images}

        return _json(await self._run(find))

    async def image(self, request: Request) -> Response:
        """Describe an image."""
        return _json(await self._state.images.describe(*read_image(request)))

    async def header(self, request: Request) -> Response:
        """Return the elements of its header."""
        search = request.query_params.get("search", "")
        return _json(await self._state.images.header(read_id(request), self._state.masked, search))

    async def document(self, request: Request) -> Response:
        """Return a report or another file without an image as text."""
        return _json(await self._state.images.document(read_id(request), self._state.masked))

    async def thumb(self, request: Request) -> Response:
        """Return a thumbnail."""
        size = read_integer(request, "size", 256, 1, 512)
        size = next(bucket for bucket in (128, 256, 512) if size <= bucket)
        thumbnail = self._state.images.thumb(*read_image(request), size, read_window(request))
        return _jpeg(await until_disconnect(request, thumbnail))

    async def preview(self, request: Request) -> Response:
        """Return a preview of the whole image."""
        size = read_integer(request, "size", 1024, 16, 2048)
        preview = self._state.images.preview(*read_image(request), size, read_window(request))
        return _jpeg(await until_disconnect(request, preview))

    async def pixels(self, request: Request) -> Response:
        """Return stored values."""
        scale = read_integer(request, "scale", 1, 1, 8)
        if scale not in (1, 2, 4, 8):
            raise UsageError("scale must be 1, 2, 4 or 8")
        accepted = request.headers.get("accept-encoding", "")
        window = read_window(request)
        pixels = self._state.images.pixels(*read_image(request), scale, window, accepted)
        data, headers = await until_disconnect(request, pixels)
        return _binary(data, {"Vary": "Accept-Encoding", **headers})

    async def table(self, request: Request) -> Response:
        """Return the look-up table from stored values to grey levels."""
        return _binary(await self._state.images.table(*read_image(request), read_window(request)))

    async def modality(self, request: Request) -> Response:
        """Return the modality value of every stored value."""
        return _binary(await self._state.images.modality(*read_image(request)))

    async def boxes(self, request: Request) -> Response:
        """Return the boxes of readers, consensus and predictions."""
        marks, (id_, frame) = self._state.marks, read_image(request)
        truth = marks.truth

        def find() -> dict[str, Any]:
            return {
                "truth": truth.on(id_, frame),
                "nothing": truth.negative_readers(id_),
                "consensus": truth.consensus(id_, frame, marks.method),
                "predictions": marks.predictions.on(id_, frame),
            }

        return _json(await self._run(find))

    async def report(self, request: Request) -> Response:
        """Return the report of the index."""
        text = await self._run(self._state.report)
        return Response(text, headers={"Content-Type": TYPES[".html"]})

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._state.executor, function, *args)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return _json({"error": str(error), "code": error.code}, 422)


def _error(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def respond(request: Request, error: Exception) -> Response:
        return _json({"error": str(error)}, status)

    return respond


async def _bug(request: Request, error: Exception) -> Response:
    return _json({"error": f"internal error of the viewer: {type(error).__name__}"}, 500)


_HANDLERS: dict[Any, Any] = {
    UsageError: _error(400),
    NotFoundError: _error(404),
    WetreadError: _error(422),
    HTTPException: _http,
    ProblemError: _problem,
    Exception: _bug,
}

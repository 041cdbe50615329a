"""The viewer's HTTP interface."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wetread.common.text import to_plain
from wetread.errors import NotFoundError, UsageError, WetreadError
from wetread.viewer.guard import Guard
from wetread.viewer.parameters import (
    check_id,
    read_id,
    read_image,
    read_integer,
    read_names,
    read_number,
    read_window,
    read_wish,
)
from wetread.viewer.state import Viewer, about, to_rows
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
MOST_ROWS, MOST_MISSES = 500, 10_000


def make_app(
    viewer: Viewer,
    token: str,
    allow_hosts: Iterable[str] = (),
    frame_ancestors: Iterable[str] = (),
) -> ASGIApp:
    """The ASGI application; see `Guard` for what it refuses."""
    names = {"index.html", *(path.name for path in STATIC.glob("*"))}
    static = {name: STATIC / name for name in names if Path(name).suffix in TYPES}
    server = _Server(viewer, static)
    routes = [
        Route("/", server.page),
        Route("/static/{name}", server.file),
        Route("/report", server.report),
        Route("/api/about", server.about),
        Route("/api/rows", server.rows),
        Route("/api/place", server.place),
        Route("/api/facets", server.facets),
        Route("/api/misses", server.misses),
        Route("/api/images/{id}", server.image),
        Route("/api/images/{id}/header", server.header),
        Route("/api/images/{id}/thumb", server.thumb),
        Route("/api/images/{id}/preview", server.preview),
        Route("/api/images/{id}/pixels", server.pixels),
        Route("/api/images/{id}/table", server.table),
        Route("/api/images/{id}/modality", server.modality),
        Route("/api/images/{id}/boxes", server.boxes),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(viewer.close)

    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=_HANDLERS)
    app.router.redirect_slashes = False
    return Guard(app, token, viewer.report_key, allow_hosts, frame_ancestors)


class _Server:
    """The routes."""

    def __init__(self, viewer: Viewer, static: dict[str, Path]) -> None:
        self._viewer, self._static = viewer, static

    async def page(self, request: Request) -> Response:
        """The page."""
        return await self._file("index.html")

    async def file(self, request: Request) -> Response:
        """One of the files that make the page."""
        return await self._file(request.path_params["name"])

    async def _file(self, name: str) -> Response:
        path = self._static.get(name)
        if path is None:
            raise HTTPException(404, "no such file")
        data = await self._run(path.read_bytes)
        return Response(data, headers={"Content-Type": TYPES[path.suffix]})

    async def about(self, request: Request) -> Response:
        """What there is to see."""
        viewer = self._viewer
        viewer.images.warm()
        return _json(await self._run(about, viewer))

    async def rows(self, request: Request) -> Response:
        """A page of rows."""
        offset = read_integer(request, "offset", 0, 0, 2**40)
        limit = read_integer(request, "limit", 100, 0, MOST_ROWS)
        extra = read_names(request)
        wish, viewer = read_wish(request), self._viewer

        def find() -> dict[str, Any]:
            page = viewer.catalogue.page(wish, offset, limit, extra)
            page["rows"] = to_rows(viewer, page["rows"])
            return page

        return _json(await self._run(find))

    async def place(self, request: Request) -> Response:
        """Where an image stands in the order."""
        id_ = check_id(request.query_params.get("id", ""))
        return _json(await self._run(self._viewer.catalogue.place, read_wish(request), id_))

    async def facets(self, request: Request) -> Response:
        """How values are distributed."""
        viewer, wish = self._viewer, read_wish(request)

        def find() -> dict[str, Any]:
            found = {}
            for name in read_names(request):
                viewer.catalogue.check(name)
                if not viewer.is_masked(name):
                    found[name] = viewer.catalogue.facet(name, wish.where, wish.search)
            return found

        return _json(await self._run(find))

    async def misses(self, request: Request) -> Response:
        """The images where model and readers disagree, in order."""
        viewer, wish = self._viewer, read_wish(request)
        iou = read_number(request, "iou", 0.4, 0.0, 1.0)
        score = read_number(request, "score", 0.0, 0.0, 1e9)
        if not (viewer.truth.given and viewer.found.given):
            raise HTTPException(404, "misses need boxes and predictions")

        def find() -> dict[str, Any]:
            counts = viewer.misses(iou, score)
            found = viewer.catalogue.among(wish, counts)
            shown = [{"id": i, "offset": at, **counts[i]} for i, at in found[:MOST_MISSES]]
            return {"total": len(found), "images": shown}

        return _json(await self._run(find))

    async def image(self, request: Request) -> Response:
        """What an image is."""
        return _json(await self._viewer.images.describe(*read_image(request)))

    async def header(self, request: Request) -> Response:
        """Its elements."""
        search = request.query_params.get("search", "")
        return _json(
            await self._viewer.images.header(read_id(request), self._viewer.masked, search)
        )

    async def thumb(self, request: Request) -> Response:
        """A small picture."""
        size = read_integer(request, "size", 256, 1, 512)
        size = next(bucket for bucket in (128, 256, 512) if size <= bucket)
        made = self._viewer.images.thumb(*read_image(request), size, read_window(request))
        return _jpeg(await unless_gone(request, made))

    async def preview(self, request: Request) -> Response:
        """A picture of the whole image."""
        size = read_integer(request, "size", 1024, 16, 2048)
        made = self._viewer.images.preview(*read_image(request), size, read_window(request))
        return _jpeg(await unless_gone(request, made))

    async def pixels(self, request: Request) -> Response:
        """Stored values."""
        scale = read_integer(request, "scale", 1, 1, 8)
        if scale not in (1, 2, 4, 8):
            raise UsageError("scale is 1, 2, 4 or 8")
        accepted = request.headers.get("accept-encoding", "")
        window = read_window(request)
        made = self._viewer.images.pixels(*read_image(request), scale, window, accepted)
        data, said = await unless_gone(request, made)
        said = {"Content-Type": "application/octet-stream", "Vary": "Accept-Encoding", **said}
        return Response(data, headers=said)

    async def table(self, request: Request) -> Response:
        """The grey of every stored value."""
        made = await self._viewer.images.table(*read_image(request), read_window(request))
        return Response(made, headers={"Content-Type": "application/octet-stream"})

    async def modality(self, request: Request) -> Response:
        """The modality value of every stored value."""
        made = await self._viewer.images.modality(*read_image(request))
        return Response(made, headers={"Content-Type": "application/octet-stream"})

    async def boxes(self, request: Request) -> Response:
        """What readers and the model drew on it."""
        viewer, (id_, frame) = self._viewer, read_image(request)

        def find() -> dict[str, Any]:
            return {
                "truth": viewer.truth.on(id_, frame),
                "nothing": viewer.truth.found_nothing(id_),
                "consensus": viewer.truth.merged(id_, frame, viewer.method),
                "predictions": viewer.found.on(id_, frame),
            }

        return _json(await self._run(find))

    async def report(self, request: Request) -> Response:
        """The report of this index."""
        text = await self._run(self._viewer.report)
        return Response(text, headers={"Content-Type": TYPES[".html"]})

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._viewer.executor, function, *args)


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """What the work gives; it is given up when the browser has gone away."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())
    try:
        while not task.done():
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not task.done():
                if gone.result()["type"] == "http.disconnect":
                    raise HTTPException(499, "the browser has gone")
                gone = asyncio.ensure_future(request.receive())
        return await task
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


def _jpeg(data: bytes) -> Response:
    return Response(data, headers={"Content-Type": "image/jpeg"})


def _json(value: Any, status: int = 200) -> Response:
    text = json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    data = text.encode("utf-8", "backslashreplace")  # of a name that is not UTF-8
    return Response(data, status, headers={"Content-Type": "application/json"})


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return _json({"error": str(error), "code": error.code}, 422)


def _says(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        return _json({"error": str(error)}, status)

    return answer


async def _bug(request: Request, error: Exception) -> Response:
    return _json({"error": f"the viewer failed: {type(error).__name__}"}, 500)


_HANDLERS: dict[Any, Any] = {
    UsageError: _says(400),
    NotFoundError: _says(404),
    WetreadError: _says(422),
    HTTPException: _http,
    ProblemError: _problem,
    Exception: _bug,
}

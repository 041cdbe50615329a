"""The viewer's HTTP interface."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wetread import __version__
from wetread.boxes import Boxes
from wetread.boxes.consensus import Method
from wetread.display import PRESETS
from wetread.errors import FINDINGS, UsageError, WetreadError
from wetread.settings import Settings
from wetread.table.store import Content
from wetread.viewer.answers import ProblemError
from wetread.viewer.catalogue import Catalogue, Wish
from wetread.viewer.facets import kind_of
from wetread.viewer.guard import Guard
from wetread.viewer.images import Images, parse_window
from wetread.viewer.kept import Kept
from wetread.viewer.marks import Marks, count_misses
from wetread.viewer.privacy import MASK, is_personal
from wetread.viewer.thumbs import Thumbs

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
PRESET_KEYS = {"soft": "3", "lung": "4", "mediastinum": "5", "bone": "6", "brain": "7"}
PRESET_KEYS |= {"stroke": "8", "liver": "9"}
_ID = re.compile(r"[0-9a-f]{16}")
_THREADS = 4


class Viewer:
    """What the routes answer from: the rows, the images, the boxes of one index."""

    def __init__(
        self,
        content: Content,
        boxes: Boxes | None = None,
        predictions: Boxes | None = None,
        *,
        consensus: Method = "wbf",
        title: str = "",
        show_phi: bool = False,
        thumbs: Path | None = None,
        settings: Settings = Settings(),  # noqa: B008
    ) -> None:
        self.report_key = secrets.token_urlsafe(32)
        self.title = title or Path(content.root).name
        self.masked = not show_phi
        self.method = consensus
        self.truth, self.found = Marks(boxes), Marks(predictions)
        self.catalogue = Catalogue(content)
        self._kept = Kept(16)
        self.executor = ThreadPoolExecutor(_THREADS, "wetread-viewer")
        kept = Thumbs(thumbs, content.root, settings.thumb_bytes)
        self.images = Images(self.catalogue, kept, self.executor, settings)

    def close(self) -> None:
        """End processes and threads."""
        self.images.close()
        self.executor.shutdown(wait=True, cancel_futures=True)

    def is_masked(self, column: str) -> bool:
        """Whether the values of a column are not said."""
        said = self.catalogue.content.schema.field(column).metadata or {}
        tag = int(said[b"tag"].replace(b",", b""), 16) if b"tag" in said else None
        return self.masked and is_personal(column, said.get(b"vr", b"").decode(), tag)

    def misses(self, iou: float, score: float) -> dict[str, dict[str, int]]:
        """The images where model and readers disagree; see `count_misses`."""

        def count() -> dict[str, dict[str, int]]:
            truth = self._kept.get("truth", lambda: self.truth.opinion(self.method))
            return count_misses(truth, self.found.boxes, iou, score)

        return self._kept.get((iou, score), count)

    def report(self) -> str | None:
        """The report of this index as HTML; None where there is none."""

        def build() -> str | None:
            sides = [marks.boxes if marks.given else None for marks in (self.truth, self.found)]
            return _build_report(self.catalogue.content, *sides)

        return self._kept.get("report", build)


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
        return _json(await self._run(_about, viewer))

    async def rows(self, request: Request) -> Response:
        """A page of rows."""
        offset = _integer(request, "offset", 0, 0, 2**40)
        limit = _integer(request, "limit", 100, 0, MOST_ROWS)
        extra = _names(request)
        wish, viewer = _wish(request), self._viewer

        def find() -> dict[str, Any]:
            page = viewer.catalogue.page(wish, offset, limit, extra)
            page["rows"] = _to_rows(viewer, page["rows"])
            return page

        return _json(await self._run(find))

    async def place(self, request: Request) -> Response:
        """Where an image stands in the order."""
        id_ = _checked_id(request.query_params.get("id", ""))
        return _json(await self._run(self._viewer.catalogue.place, _wish(request), id_))

    async def facets(self, request: Request) -> Response:
        """How values are distributed."""
        viewer, wish = self._viewer, _wish(request)

        def find() -> dict[str, Any]:
            found = {}
            for name in _names(request):
                viewer.catalogue.check(name)
                if not viewer.is_masked(name):
                    found[name] = viewer.catalogue.facet(name, wish.where, wish.search)
            return found

        return _json(await self._run(find))

    async def misses(self, request: Request) -> Response:
        """The images where model and readers disagree, in order."""
        viewer, wish = self._viewer, _wish(request)
        iou = _number(request, "iou", 0.4, 0.0, 1.0)
        score = _number(request, "score", 0.0, 0.0, 1e9)
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
        return _json(await self._viewer.images.describe(_id(request), _frame(request)))

    async def header(self, request: Request) -> Response:
        """Its elements."""
        search = request.query_params.get("search", "")
        return _json(await self._viewer.images.header(_id(request), self._viewer.masked, search))

    async def thumb(self, request: Request) -> Response:
        """A small picture."""
        size = _integer(request, "size", 256, 1, 512)
        size = next(bucket for bucket in (128, 256, 512) if size <= bucket)
        made = self._viewer.images.thumb(_id(request), _frame(request), size, _window(request))
        return _jpeg(await _unless_gone(request, made))

    async def preview(self, request: Request) -> Response:
        """A picture of the whole image."""
        size = _integer(request, "size", 1024, 16, 2048)
        made = self._viewer.images.preview(_id(request), _frame(request), size, _window(request))
        return _jpeg(await _unless_gone(request, made))

    async def pixels(self, request: Request) -> Response:
        """Stored values."""
        scale = _integer(request, "scale", 1, 1, 8)
        if scale not in (1, 2, 4, 8):
            raise UsageError("scale is 1, 2, 4 or 8")
        accepted = request.headers.get("accept-encoding", "")
        window = _window(request)
        made = self._viewer.images.pixels(_id(request), _frame(request), scale, window, accepted)
        data, said = await _unless_gone(request, made)
        said = {"Content-Type": "application/octet-stream", "Vary": "Accept-Encoding", **said}
        return Response(data, headers=said)

    async def table(self, request: Request) -> Response:
        """The grey of every stored value."""
        made = await self._viewer.images.table(_id(request), _frame(request), _window(request))
        return Response(made, headers={"Content-Type": "application/octet-stream"})

    async def modality(self, request: Request) -> Response:
        """The modality value of every stored value."""
        made = await self._viewer.images.modality(_id(request), _frame(request))
        return Response(made, headers={"Content-Type": "application/octet-stream"})

    async def boxes(self, request: Request) -> Response:
        """What readers and the model drew on it."""
        viewer, id_, frame = self._viewer, _id(request), _frame(request)

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
        if text is None:
            raise HTTPException(404, "no report of this index")
        return Response(text, headers={"Content-Type": TYPES[".html"]})

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._viewer.executor, function, *args)


def _about(viewer: Viewer) -> dict[str, Any]:
    viewer.catalogue.warm()
    columns = [
        {"name": field.name, "type": kind_of(field.type), "phi": viewer.is_masked(field.name)}
        for field in viewer.catalogue.content.schema
        if field.name != "path_bytes"
    ]
    sides = (viewer.truth.boxes, viewer.found.boxes)
    labels = list(dict.fromkeys(label for boxes in sides for label in boxes.labels))
    readers = list(viewer.truth.boxes.readers)
    presets = [
        {"key": key, "name": name, "center": PRESETS[name][0], "width": PRESETS[name][1]}
        for name, key in PRESET_KEYS.items()
    ]
    return {
        "title": viewer.title,
        "version": __version__,
        "rows": len(viewer.catalogue),
        "images": viewer.catalogue.count_images(),
        "columns": columns,
        "readers": readers,
        "labels": labels,
        "boxes": viewer.truth.given,
        "predictions": viewer.found.given,
        "consensus": len(readers) > 1,
        "report": f"report?key={viewer.report_key}" if _has_report() else None,
        "presets": presets,
        "masked": viewer.masked,
    }


def _to_rows(viewer: Viewer, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as the page wants them."""
    counts = viewer.truth.count([row["id"] for row in rows])
    made = []
    for row, boxes in zip(rows, counts, strict=True):
        pixels = row.pop("pixel_length") is not None
        extra = row.pop("columns", {})
        made.append(
            {
                **row,
                "frames": row.pop("NumberOfFrames", None) or (1 if pixels else 0),
                "findings": row["findings"] or [],
                "worst": _worst(row["findings"] or []),
                "boxes": boxes,
                "part": row.get("part"),
                "has_pixels": pixels,
                "columns": {
                    name: MASK if viewer.is_masked(name) and value is not None else value
                    for name, value in extra.items()
                },
            }
        )
    return made


def _worst(codes: list[str]) -> str | None:
    """The severity of the worst finding."""
    found = {FINDINGS[code].severity for code in codes if code in FINDINGS}
    return next((severity for severity in ("error", "warning", "info") if severity in found), None)


def _has_report() -> bool:
    from importlib.util import find_spec

    return find_spec("wetread.reports") is not None


def _build_report(content: Content, boxes: Boxes | None, predictions: Boxes | None) -> str | None:
    if not _has_report():
        return None
    from importlib import import_module

    build = getattr(import_module("wetread.reports"), "build_report", None)
    return None if build is None else str(build(content, boxes, predictions, links="viewer"))


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
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


def _wish(request: Request) -> Wish:
    ask = request.query_params
    desc = ask.get("desc", "0")
    if desc not in ("0", "1", ""):
        raise UsageError("desc is 0 or 1")
    where, search, order = (ask.get(name, "") for name in ("where", "search", "order"))
    if "\0" in where + search + order:
        raise UsageError("a zero byte in the query")
    return Wish(where, search, order, desc == "1")


def _names(request: Request) -> list[str]:
    return [name for name in request.query_params.get("columns", "").split(",") if name]


def _integer(request: Request, name: str, default: int, low: int, high: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) or not low <= int(text) <= high:
        raise UsageError(f"{name} is a whole number from {low} to {high}")
    return int(text)


def _number(request: Request, name: str, default: float, low: float, high: float) -> float:
    text = request.query_params.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise UsageError(f"{name} is a number from {low:g} to {high:g}")
    return value


def _frame(request: Request) -> int:
    return _integer(request, "frame", 0, 0, 10**9)


def _window(request: Request) -> str | tuple[float, float] | None:
    return parse_window(request.query_params.get("window", ""))


def _id(request: Request) -> str:
    return _checked_id(request.path_params["id"])


def _checked_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise HTTPException(404, "an id is 16 hex digits")
    return text


def _jpeg(data: bytes) -> Response:
    return Response(data, headers={"Content-Type": "image/jpeg"})


def _json(value: Any, status: int = 200) -> Response:
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    data = text.encode("utf-8", "backslashreplace")  # of a name that is not UTF-8
    return Response(data, status, headers={"Content-Type": "application/json"})


def _plain(value: Any) -> Any:
    """What JSON can say: NaN and infinity as null, dates in ISO 8601, bytes in hex."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str | int | None) else str(value)


async def _usage(request: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 400)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return _json({"error": str(error), "code": error.code}, 422)


async def _lookup(request: Request, error: Exception) -> Response:
    return _json({"error": str(error.args[0])}, 404)


async def _bug(request: Request, error: Exception) -> Response:
    return _json({"error": f"the viewer failed: {type(error).__name__}"}, 500)


_HANDLERS: dict[Any, Any] = {
    UsageError: _usage,
    WetreadError: _usage,
    HTTPException: _http,
    ProblemError: _problem,
    LookupError: _lookup,
    Exception: _bug,
}

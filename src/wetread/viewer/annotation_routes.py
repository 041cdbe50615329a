"""Routes of annotations: the only ones that write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wetread.boxes.strokes import SAVED, parse_stroke
from wetread.errors import StorageError, UsageError
from wetread.viewer.parameters import check_id, read_id, read_row_query
from wetread.viewer.responses import to_json

if TYPE_CHECKING:
    from wetread.viewer.annotations import Annotations
    from wetread.viewer.state import State

T = TypeVar("T")
STROKES = "/api/strokes"
MAX_BODY = 16 * 1024
"""Maximum size of a stroke in bytes."""


class AnnotationRoutes:
    """Handlers of the routes of annotations."""

    def __init__(self, state: State, annotations: Annotations) -> None:
        self._state, self._annotations = state, annotations
        self.routes = [
            Route(STROKES, self.save, methods=["POST"]),
            Route("/api/images/{id}/annotations", self.items),
            Route("/api/unread", self.unread),
        ]

    async def save(self, request: Request) -> Response:
        """Write one stroke: 200 once it is on the disk, 409 if it is kept as a conflict."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415, "a stroke is sent as application/json")
        body = await _read_body(request)
        try:
            data = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"not JSON: {type(error).__name__}") from error
        stroke = parse_stroke(data)
        try:
            outcome, state = await self._run(self._annotations.save, stroke)
        except StorageError as error:
            return to_json({"error": str(error)}, 507)
        return to_json(state, 200 if outcome.status == SAVED else 409)

    async def items(self, request: Request) -> Response:
        """Return the annotations of an image."""
        return to_json(await self._run(self._annotations.on, read_id(request)))

    async def unread(self, request: Request) -> Response:
        """Return the next image that is not read, and the number of images that are."""
        id_ = check_id(request.query_params.get("id", ""))
        next_ = await self._run(self._annotations.next_unread, read_row_query(request), id_)
        return to_json({"id": next_, "read": await self._run(self._annotations.count_read)})

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._state.executor, function, *args)


async def _read_body(request: Request) -> bytes:
    """Read the body, at most `MAX_BODY` bytes of it."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"a stroke has at most {MAX_BODY} bytes")
    return bytes(body)

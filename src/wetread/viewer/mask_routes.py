"""Routes of masks: SEG and RTSTRUCT over their images, and by themselves."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wetread.viewer.encoding import compress
from wetread.viewer.masks import mask
from wetread.viewer.parameters import check_id, read_id, read_image, read_integer
from wetread.viewer.responses import to_binary, to_json, until_disconnect

if TYPE_CHECKING:
    from wetread.viewer.state import State

MAX_AXIS = 10**6


class MaskRoutes:
    """Handlers of the routes of masks."""

    def __init__(self, state: State) -> None:
        self._state, self._masks = state, state.masks
        self.routes = [
            Route("/api/series/{id}/{stack:int}/masks", self.over),
            Route("/api/series/{id}/{stack:int}/masks/{file}", self.segments),
            Route("/api/series/{id}/{stack:int}/masks/{file}/runs", self.on_plane),
            Route("/api/images/{id}/masks", self.alone),
            Route("/api/images/{id}/masks/{file}/runs", self.on_image),
        ]

    async def over(self, request: Request) -> Response:
        """List the label files of a series."""
        return to_json(await self._masks.over(read_id(request), request.path_params["stack"]))

    async def segments(self, request: Request) -> Response:
        """Return the segments of a label file on a stack."""
        id_, stack = read_id(request), request.path_params["stack"]
        return self._to_json(await self._masks.segments(id_, stack, _read_file(request)))

    async def alone(self, request: Request) -> Response:
        """Return the segments of a label file, and its place on images."""
        return self._to_json(await self._masks.alone(read_id(request)))

    async def on_image(self, request: Request) -> Response:
        """Return the masks on an image; on a frame of the file itself if it is the image."""
        (id_, frame), file = read_image(request), _read_file(request)
        if file == id_:
            return await self._to_binary(request, self._masks.on_frame(id_, frame))
        return await self._to_binary(request, self._masks.on_image(file, id_, frame))

    async def on_plane(self, request: Request) -> Response:
        """Return the masks on a plane of a volume."""
        place = read_id(request), request.path_params["stack"]
        name = request.query_params.get("plane", "")
        at = read_integer(request, "at", 0, 0, MAX_AXIS)
        data = self._masks.on_plane(_read_file(request), *place, name, at)
        return await self._to_binary(request, data)

    def _to_json(self, found: dict[str, Any]) -> Response:
        return to_json(mask(found) if self._state.masked else found)

    async def _to_binary(self, request: Request, work: Awaitable[bytes]) -> Response:
        data = await until_disconnect(request, work)
        data, encoding = compress(data, request.headers.get("accept-encoding", ""))
        headers = {"Content-Encoding": encoding} if encoding else {}
        return to_binary(data, {"Vary": "Accept-Encoding", **headers})


def _read_file(request: Request) -> str:
    return check_id(request.path_params["file"])

"""Routes of series, stacks and volumes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import md5
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wetread.viewer.header import MASK
from wetread.viewer.memo import memoize
from wetread.viewer.parameters import (
    check_id,
    read_group,
    read_image,
    read_integer,
    read_row_query,
)
from wetread.viewer.responses import to_binary, to_json, until_disconnect
from wetread.viewer.state import to_rows

if TYPE_CHECKING:
    from wetread.viewer.state import State

T = TypeVar("T")
MAX_GROUPS, MAX_AXIS = 500, 10**6


class SeriesRoutes:
    """Handlers of the routes of series."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._collect = memoize(self._start_collecting)
        self.routes = [
            Route("/api/series", self.groups),
            Route("/api/series/{id}/{stack:int}", self.volume),
            Route("/api/series/{id}/{stack:int}/plane", self.plane),
            Route("/api/images/{id}/stack", self.stack),
        ]

    async def groups(self, request: Request) -> Response:
        """Return a page of series or studies."""
        offset = read_integer(request, "offset", 0, 0, 2**40)
        limit = read_integer(request, "limit", 100, 0, MAX_GROUPS)
        kind = read_group(request) or "series"
        row_query, state = read_row_query(request), self._state

        def find() -> dict[str, Any]:
            page = state.series.page(kind, row_query, offset, limit)
            groups = [_select_study(row.pop("group"), state) for row in page["rows"]]
            page["rows"] = [
                {**row, "group": self._mask(group)}
                for row, group in zip(to_rows(state, page["rows"]), groups, strict=True)
            ]
            return page

        return to_json(await self._run(find))

    async def stack(self, request: Request) -> Response:
        """Return the slices around an image."""
        id_, frame = read_image(request)
        found = await self._run(self._state.series.stack, id_, frame)
        self._collect()
        for group in (found["series"] or {}, *found["stacks"]):
            self._mask(group)
        return to_json(found)

    def _start_collecting(self) -> None:
        """Compute the series of the whole index in the background, for what follows."""
        self._state.executor.submit(lambda: self._state.series.collection)

    async def volume(self, request: Request) -> Response:
        """Describe a volume."""
        found = await self._state.volumes.describe(*self._read_volume(request))
        for other in found["others"]:
            self._mask(other)
        return to_json(found)

    async def plane(self, request: Request) -> Response:
        """Return the values of a plane of a volume."""
        name = request.query_params.get("plane", "")
        at = read_integer(request, "at", 0, 0, MAX_AXIS)
        accepted = request.headers.get("accept-encoding", "")
        plane = self._state.volumes.plane(*self._read_volume(request), name, at, accepted)
        data, headers = await until_disconnect(request, plane)
        return to_binary(data, {"Vary": "Accept-Encoding", **headers})

    def _read_volume(self, request: Request) -> tuple[str, int]:
        return check_id(request.path_params["id"]), request.path_params["stack"]

    def _mask(self, group: dict[str, Any]) -> dict[str, Any]:
        """Mask the values of a group or stack that may identify a patient."""
        for values in (group.get("description", {}), group.get("divided_by", {})):
            for name, value in values.items():
                known = name in self._state.catalogue.columns
                masked = value is not None and known and self._state.is_masked(name)
                values[name] = MASK if masked else value
        return group

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._state.executor, function, *args)


def _select_study(group: dict[str, Any], state: State) -> dict[str, Any]:
    """Replace the UID of a study by the condition that selects it; masked UIDs are hashed."""
    uid = group.pop("study", "")
    if not uid:
        return group
    if state.is_masked("StudyInstanceUID"):
        digest = md5(uid.encode(), usedforsecurity=False).hexdigest()
        return {**group, "where": f"md5(StudyInstanceUID) = '{digest}'"}
    literal = uid.replace("'", "''")
    return {**group, "where": f"StudyInstanceUID = '{literal}'"}

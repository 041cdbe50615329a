"""Responses of the server, and requests that the browser gave up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from wetread.common.text import to_plain

T = TypeVar("T")


async def until_disconnect(request: Request, work: Awaitable[T]) -> T:
    """Await `work`; cancel it if the browser disconnects."""
    task = asyncio.ensure_future(work)
    message = asyncio.ensure_future(request.receive())
    try:
        while not task.done():
            await asyncio.wait({task, message}, return_when=asyncio.FIRST_COMPLETED)
            if message.done() and not task.done():
                if message.result()["type"] == "http.disconnect":
                    raise HTTPException(499, "the browser has disconnected")
                message = asyncio.ensure_future(request.receive())
        return await task
    finally:
        for pending in (task, message):
            pending.cancel()
        await asyncio.gather(task, message, return_exceptions=True)


def to_binary(data: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """Response of binary data."""
    return Response(data, headers=headers, media_type="application/octet-stream")


def to_jpeg(data: bytes) -> Response:
    """Response of a JPEG image."""
    return Response(data, headers={"Content-Type": "image/jpeg"})


def to_json(value: Any, status: int = 200) -> Response:
    """Response of JSON without NaN."""
    text = json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    data = text.encode("utf-8", "backslashreplace")  # a name may not be UTF-8
    return Response(data, status, headers={"Content-Type": "application/json"})

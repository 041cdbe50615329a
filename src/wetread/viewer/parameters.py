"""What a request asks for, checked: a wrong value is a UsageError, an unknown id a 404."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request

from wetread.errors import UsageError
from wetread.viewer.catalogue import Wish
from wetread.viewer.images import parse_window

_ID = re.compile(r"[0-9a-f]{16}")


def read_wish(request: Request) -> Wish:
    """Which rows, in which order."""
    ask = request.query_params
    desc = ask.get("desc", "0")
    if desc not in ("0", "1", ""):
        raise UsageError("desc is 0 or 1")
    where, search, order = (ask.get(name, "") for name in ("where", "search", "order"))
    if "\0" in where + search + order:
        raise UsageError("a zero byte in the query")
    return Wish(where, search, order, desc == "1")


def read_names(request: Request) -> list[str]:
    """The columns that are asked for."""
    return [name for name in request.query_params.get("columns", "").split(",") if name]


def read_integer(request: Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) or not low <= int(text) <= high:
        raise UsageError(f"{name} is a whole number from {low} to {high}")
    return int(text)


def read_number(request: Request, name: str, default: float, low: float, high: float) -> float:
    """A number."""
    text = request.query_params.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise UsageError(f"{name} is a number from {low:g} to {high:g}")
    return value


def read_image(request: Request) -> tuple[str, int]:
    """An image by its id, and a frame of it, from 0."""
    return read_id(request), read_integer(request, "frame", 0, 0, 10**9)


def read_window(request: Request) -> str | tuple[float, float] | None:
    """A window, as `Image.display` takes it."""
    return parse_window(request.query_params.get("window", ""))


def read_id(request: Request) -> str:
    """The id in the path."""
    return check_id(request.path_params["id"])


def check_id(text: str) -> str:
    """An id, if it is one."""
    if not _ID.fullmatch(text):
        raise HTTPException(404, "an id is 16 hex digits")
    return text

"""Request parameters; an invalid value raises UsageError, an invalid id HTTP 404."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request

from wetread.errors import UsageError
from wetread.viewer.catalogue import RowQuery
from wetread.viewer.images import parse_window
from wetread.viewer.series import Kind, check_kind

MAX_COLUMNS = 32
_ID = re.compile(r"[0-9a-f]{16}")


def read_row_query(request: Request) -> RowQuery:
    """Filter, search text and order of rows."""
    parameters = request.query_params
    desc = parameters.get("desc", "0")
    if desc not in ("0", "1", ""):
        raise UsageError("desc must be 0 or 1")
    where, search, order = (parameters.get(name, "") for name in ("where", "search", "order"))
    if "\0" in where + search + order:
        raise UsageError("the query contains a zero byte")
    iou = read_number(request, "iou", 0.5, 0.0, 1.0)
    score = read_number(request, "score", 0.0, 0.0, 1e9)
    return RowQuery(where, search, order, desc == "1", iou, score)


def read_names(request: Request) -> list[str]:
    """Requested columns, at most `MAX_COLUMNS`."""
    names = [name for name in request.query_params.get("columns", "").split(",") if name]
    if len(names) > MAX_COLUMNS:
        raise UsageError(f"at most {MAX_COLUMNS} columns per request")
    return names


def read_integer(request: Request, name: str, default: int, low: int, high: int) -> int:
    """Integer parameter from `low` to `high`."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) or not low <= int(text) <= high:
        raise UsageError(f"{name} must be an integer from {low} to {high}")
    return int(text)


def read_number(request: Request, name: str, default: float, low: float, high: float) -> float:
    """Number from `low` to `high`."""
    text = request.query_params.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise UsageError(f"{name} must be a number from {low:g} to {high:g}")
    return value


def read_group(request: Request) -> Kind | None:
    """Kind of groups of rows; None without `group`."""
    text = request.query_params.get("group", "")
    return check_kind(text) if text else None


def read_image(request: Request) -> tuple[str, int]:
    """Image id and frame number, from 0."""
    return read_id(request), read_integer(request, "frame", 0, 0, 10**9)


def read_window(request: Request) -> str | tuple[float, float] | None:
    """Window, as accepted by `Image.display`."""
    return parse_window(request.query_params.get("window", ""))


def read_id(request: Request) -> str:
    """Image id in the path."""
    return check_id(request.path_params["id"])


def check_id(text: str) -> str:
    """Validate an image id."""
    if not _ID.fullmatch(text):
        raise HTTPException(404, "an image id has 16 hexadecimal digits")
    return text

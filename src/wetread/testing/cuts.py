"""Real files truncated by case number, and the problems that a reader can detect in each."""

from __future__ import annotations

import bisect
import io
import random
import struct
import tempfile
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wetread.errors import PROBLEMS
from wetread.testing.mutate import seed_files

FLAGS: Mapping[str, Collection[str]] = {
    "before the data set": PROBLEMS.keys(),
    "inside an element": {"TRUNCATED"},
    "inside a deflated stream": {"DEFLATE_DAMAGED", "TRUNCATED"},
    "between the header and its pixels": {"PIXELS_ABSENT"},
    "after the pixels": {"TRUNCATED"},
    "unknowable": PROBLEMS.keys(),
}
"""Kind of truncation, and the problem codes of which a reader must report at least one."""
MAY_BE_MISSED = frozenset({"unknowable", "after the pixels"})
"""Between two elements without signs of pixels; after the part of a file that a scan reads."""

_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_FORM = (0x00280010, 0x00280011, 0x00280100)
"""Rows, Columns, Bits Allocated: elements that imply pixels."""


@dataclass(frozen=True)
class Whole:
    """A valid file, with the offsets of its elements according to pydicom."""

    name: str
    data: bytes
    starts: dict[int, int]
    """Offset by tag, ascending; empty if the data set is deflated."""


def whole_files() -> list[Whole]:
    """Files of `seed_files` without problems and with a File Meta group.

    Raises:
        MissingExtraError: pydicom-data is not installed.
    """
    import wetread

    files = seed_files()
    with tempfile.TemporaryDirectory() as folder:
        for n, path in enumerate(files):
            Path(folder, f"{n:06}.dcm").symlink_to(path)
        rows = wetread.scan(folder, workers=0, progress=False).table.to_pylist()
    ok = (files[int(row["path"][:6])] for row in rows if row["read_status"] == "ok")
    datas = ((path.name, path.read_bytes()) for path in ok)
    return [Whole(name, d, _starts(d)) for name, d in datas if d[128:132] == b"DICM"]


def _starts(data: bytes) -> dict[int, int]:
    import pydicom

    starts = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = pydicom.dcmread(io.BytesIO(data))
        if data_set.file_meta.TransferSyntaxUID.is_deflated:
            return {}
        order = "<" if data_set.original_encoding[1] else ">"
        for tag in data_set.keys():  # noqa: SIM118  (a data set iterates over values)
            item = data_set.get_item(tag)
            value = getattr(item, "value_tell", None) or item.file_tell or 0
            head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
            starts[int(tag)] = data.rindex(head, value - 12, value)
    return dict(sorted(starts.items(), key=lambda start: start[1]))


def cut_case(number: int, wholes: Sequence[Whole]) -> tuple[Whole, int]:
    """File and offset of a truncation, deterministic in `number`.

    Half of the offsets are anywhere, half in the header, and a tenth between two elements.
    """
    rng = random.Random(number)  # noqa: S311  (damage, not secrets)
    whole = rng.choice(wholes)
    offsets = list(whole.starts.values())
    at = rng.randrange(rng.choice((len(whole.data), offsets[-1] if offsets else 1)))
    return whole, rng.choice(offsets) if offsets and number % 10 == 0 else at


def knowable(whole: Whole, at: int) -> str:
    """Kind of a truncation at this offset, as a key of `FLAGS`."""
    offsets = list(whole.starts.values())
    if not offsets:
        return "inside a deflated stream" if 1000 < at < len(whole.data) - 8 else "unknowable"
    if at <= offsets[0]:
        return "before the data set"
    pixels = min((whole.starts[t] for t in _PIXELS if t in whole.starts), default=len(whole.data))
    if offsets[bisect.bisect_right(offsets, at) - 1] > pixels:
        return "after the pixels"
    if at not in offsets:
        return "inside an element"
    implied = all(whole.starts.get(tag, at) < at for tag in _FORM)
    return "between the header and its pixels" if implied and at <= pixels else "unknowable"


def is_flagged(row: Mapping[str, Any], kind: str) -> bool:
    """Return True if a row reports a truncation of this kind."""
    if kind == "before the data set":
        return bool(row["read_status"] != "ok")
    codes = {problem["code"] for problem in row["problems"] or ()}
    return row["read_status"] == "partial" and not codes.isdisjoint(FLAGS[kind])

"""Real files cut short, and what a reader can know of each cut: one integer is one case."""

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
"""What a cut destroys, and the problems of which one must say so."""
MAY_BE_MISSED = frozenset({"unknowable", "after the pixels"})
"""Between two elements of which none announces pixels; behind what a scan reads."""

_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_FORM = (0x00280010, 0x00280011, 0x00280100)
"""Rows, Columns, Bits Allocated: they announce pixels."""


@dataclass(frozen=True)
class Whole:
    """A file with nothing wrong, and where pydicom finds its elements to start."""

    name: str
    data: bytes
    starts: dict[int, int]
    """By tag, in order of position; empty where the data set is deflated."""


def whole_files() -> list[Whole]:
    """Those of `seed_files` in which a scan finds nothing wrong, with a File Meta group.

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
    """A file and the byte to cut it at, the same for the same number.

    Half of the cuts fall anywhere, half in the header, and a tenth between two elements.
    """
    rng = random.Random(number)  # noqa: S311  (damage, not secrets)
    whole = rng.choice(wholes)
    places = list(whole.starts.values())
    at = rng.randrange(rng.choice((len(whole.data), places[-1] if places else 1)))
    return whole, rng.choice(places) if places and number % 10 == 0 else at


def knowable(whole: Whole, at: int) -> str:
    """What a cut at this byte destroys, as a key of `FLAGS`."""
    places = list(whole.starts.values())
    if not places:
        return "inside a deflated stream" if 1000 < at < len(whole.data) - 8 else "unknowable"
    if at <= places[0]:
        return "before the data set"
    pixels = min((whole.starts[t] for t in _PIXELS if t in whole.starts), default=len(whole.data))
    if places[bisect.bisect_right(places, at) - 1] > pixels:
        return "after the pixels"
    if at not in places:
        return "inside an element"
    announced = all(whole.starts.get(tag, at) < at for tag in _FORM)
    return "between the header and its pixels" if announced and at <= pixels else "unknowable"


def is_flagged(row: Mapping[str, Any], kind: str) -> bool:
    """Whether a row says what a cut of this kind has destroyed."""
    if kind == "before the data set":
        return bool(row["read_status"] != "ok")
    codes = {problem["code"] for problem in row["problems"] or ()}
    return row["read_status"] == "partial" and not codes.isdisjoint(FLAGS[kind])

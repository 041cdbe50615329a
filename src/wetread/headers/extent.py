"""Completeness of the pixel bytes that a header announces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array, filled
from wetread.common.text import counted

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Found = tuple[int, str, str]
"""Row, problem code, text."""
_HALVED = array(["YBR_FULL_422", "YBR_PARTIAL_422"], pa.string())


@dataclass(frozen=True, slots=True)
class Stated:
    """Pixels announced by n headers."""

    rows: Int64s
    columns: Int64s
    samples: Int64s
    frames: Int64s
    allocated: Int64s
    stored: Int64s
    halved: Bools
    """Two of three samples stand for two pixels (4:2:2)."""

    @classmethod
    def of(cls, columns: dict[str, pa.Array], count: int) -> Stated:
        """Create from the columns of a block, by keyword; absent elements have default values."""

        def number(keyword: str, default: int = 0) -> Int64s:
            column = columns.get(keyword, pa.nulls(count)).cast(pa.int64())
            return filled(column, default)

        photometric = columns.get("PhotometricInterpretation", pa.nulls(count, pa.string()))
        return cls(
            number("Rows"),
            number("Columns"),
            number("SamplesPerPixel", 1),
            number("NumberOfFrames", 1),
            number("BitsAllocated"),
            number("BitsStored"),
            filled(pc.is_in(photometric, _HALVED), False),
        )


def check_extent(
    stated: Stated, size: Int64s, offset: Int64s, length: Int64s, native: Int64s
) -> Iterator[Found]:
    """Problems about Pixel Data of n rows.

    `offset` and `length` are -1 without pixels and for an undefined length; `native` is 1 where the
    pixels are not encapsulated, 0 where they are, -1 where that is not known.
    """
    known, expected, frame = _expected(stated)
    absent = known & (offset < 0)
    for row in np.flatnonzero(absent):
        yield int(row), "PIXELS_ABSENT", f"need {expected[row]} bytes, have none"
    here = (offset >= 0) & (size >= 0)
    cut = here & (length >= 0) & (offset + length > size)
    for row in np.flatnonzero(cut):
        have = max(int(size[row] - offset[row]), 0)
        yield int(row), "TRUNCATED", f"have {have} of {length[row]} bytes of pixels"
    for row in np.flatnonzero(here & (length < 0) & (native == 1)):
        yield int(row), "TSUID_WRONG", "pixels of undefined length in an uncompressed syntax"
    raw = known & (expected > 0) & np.isin(length - expected, (0, 1))
    for row in np.flatnonzero(here & (length >= 0) & (native == 0)):
        if raw[row]:
            yield int(row), "TSUID_WRONG", f"{length[row]} bytes of pixels are uncompressed"
        else:
            yield int(row), "DELIMITER", "encapsulated pixels with a length"
    compared = here & ~cut & known & (length >= 0) & (native == 1) & (expected > 0)
    for row in np.flatnonzero(compared & (length != expected)):
        yield from _compare(int(row), int(length[row]), int(expected[row]), int(frame[row]))


def is_cut(stated: Stated, have: Int64s) -> Bools:
    """Rows whose `have` bytes of uncompressed pixels are fewer than one frame takes."""
    pixels = (
        stated.rows * stated.columns * np.where(stated.halved, 2, np.maximum(stated.samples, 1))
    )
    known = (stated.allocated > 0) & (stated.allocated <= 64)
    need: Bools = known & (have < (pixels * np.where(known, stated.allocated, 0) + 7) // 8)
    return need


def _compare(row: int, length: int, expected: int, frame: int) -> Iterator[Found]:
    text = f"have {length} bytes, the header announces {expected}"
    if expected >= 1 << 32 and (expected - length) % (1 << 32) in (0, (1 << 32) - 1):
        yield row, "LENGTH_WRAP", text
    elif length < expected:
        yield row, "PIXELS_SHORT", text
    elif (
        frame
        and length >= expected + frame
        and (length - length % 2) // frame * frame + 1 >= length
    ):
        yield row, "FRAMES_UNDECLARED", f"{text}: room for {counted(length // frame, 'frame')}"
    elif length > expected + 1:
        yield row, "PIXELS_LONG", text


def _expected(stated: Stated) -> tuple[Bools, Int64s, Int64s]:
    """Rows whose header gives the size of the pixels, their bytes, and those of one frame."""
    height, width, bits = stated.rows, stated.columns, stated.allocated
    known = (height > 0) & (width > 0) & (bits > 0)
    frames = np.clip(stated.frames, 1, 1 << 31)
    pixels = height * width * np.where(stated.halved, 2, np.maximum(stated.samples, 1))
    # 1-bit frames are packed without gaps (PS3.5 8.1.1)
    total = (pixels.astype(np.float64) * frames * bits) / 8
    exact = np.where(total < 2**60, (pixels * frames * bits + 7) // 8, 0)
    frame = np.where(bits >= 8, pixels * bits // 8, 0)
    return known & (total < 2**60), exact, frame

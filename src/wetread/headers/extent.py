"""Whether all the pixel bytes that a header announces are in its file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s = npt.NDArray[np.int64]
Found = tuple[int, str, str]
"""Row, finding code, text."""


def check_extent(
    columns: dict[str, pa.Array], size: Int64s, offset: Int64s, length: Int64s, native: Int64s
) -> Iterator[Found]:
    """Findings about Pixel Data of n rows.

    `offset` and `length` are -1 without pixels and for an undefined length; `native` is 1 where the
    pixels are not encapsulated, 0 where they are, -1 where that is not known.
    """
    known, expected, frame = _expected(columns, len(size))
    absent = known & (offset < 0)
    for row in np.flatnonzero(absent):
        yield int(row), "PIXELS_ABSENT", f"need {expected[row]} bytes, have none"
    here = (offset >= 0) & (size >= 0)
    cut = here & (length >= 0) & (offset + length > size)
    for row in np.flatnonzero(cut):
        have = max(int(size[row] - offset[row]), 0)
        yield int(row), "TRUNCATED", f"have {have} of {length[row]} bytes of pixels"
    for row in np.flatnonzero(here & (length < 0) & (native == 1)):
        yield int(row), "DELIMITER", "pixels of undefined length in an uncompressed syntax"
    for row in np.flatnonzero(here & (length >= 0) & (native == 0)):
        yield int(row), "DELIMITER", "encapsulated pixels with a length"
    compared = here & ~cut & known & (length >= 0) & (native == 1) & (expected > 0)
    for row in np.flatnonzero(compared & (length != expected)):
        yield from _compare(int(row), int(length[row]), int(expected[row]), int(frame[row]))


def _compare(row: int, length: int, expected: int, frame: int) -> Iterator[Found]:
    said = f"have {length} bytes, the header announces {expected}"
    if expected >= 1 << 32 and (expected - length) % (1 << 32) in (0, (1 << 32) - 1):
        yield row, "LENGTH_WRAP", said
    elif length < expected:
        yield row, "PIXELS_SHORT", said
    elif (
        frame
        and length >= expected + frame
        and (length - length % 2) // frame * frame + 1 >= length
    ):
        yield row, "FRAMES_UNDECLARED", f"{said}: room for {length // frame} frames"
    elif length > expected + 1:
        yield row, "PIXELS_LONG", said


def numbers(columns: dict[str, pa.Array], name: str, default: int, rows: int) -> Int64s:
    """An integer column, or what stands for one that is not there."""
    array = columns.get(name)
    if array is None:
        return np.full(rows, default, np.int64)
    values: Int64s = array.cast(pa.int64()).fill_null(default).to_numpy(zero_copy_only=False)
    return values


def _expected(
    columns: dict[str, pa.Array], rows: int
) -> tuple[npt.NDArray[np.bool_], Int64s, Int64s]:
    """Where the header says how large the pixels are, their bytes, and those of one frame."""

    def number(name: str, default: int) -> Int64s:
        return numbers(columns, name, default, rows)

    height, width, bits = (number(k, 0) for k in ("Rows", "Columns", "BitsAllocated"))
    known = (height > 0) & (width > 0) & (bits > 0)
    samples = np.maximum(number("SamplesPerPixel", 1), 1)
    frames = np.clip(number("NumberOfFrames", 1), 1, 1 << 31)
    pixels = height * width * samples
    half = columns.get("PhotometricInterpretation")
    if half is not None:
        is_422 = np.isin(
            half.to_numpy(zero_copy_only=False).astype(str), ["YBR_FULL_422", "YBR_PARTIAL_422"]
        )
        pixels = np.where(is_422, height * width * 2, pixels)
    # 1-bit frames are packed without gaps (PS3.5 8.1.1)
    total = (pixels.astype(np.float64) * frames * bits) / 8
    exact = np.where(total < 2**60, (pixels * frames * bits + 7) // 8, 0)
    frame = np.where(bits >= 8, pixels * bits // 8, 0)
    return known & (total < 2**60), exact, frame

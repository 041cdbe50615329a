"""Frames of an instance: location and bytes, one frame at a time."""

from __future__ import annotations

import os
import zlib
from functools import cached_property
from io import BytesIO
from struct import unpack
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wetread.common.text import counted
from wetread.errors import DecodeError, LimitError, UsageError
from wetread.headers.deflated import inflate
from wetread.headers.encodings import DEFLATED_LE, EXPLICIT_BE, NATIVE, UNDEFINED
from wetread.pixels.bits import Note
from wetread.pixels.codecs import check_growth
from wetread.pixels.form import Form, read_form, transfer_syntax
from wetread.pixels.structure import (
    HEAD,
    Layout,
    count_native,
    detect_layout,
    item_order,
    starts_frame,
)
from wetread.settings import Settings

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

ELEMENTS = {
    0x7FE00010: "PixelData",
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
}
Fragment = tuple[int, int]
"""Offset of a fragment in the file, and its length."""
_DELIMITER = 8
"""Size in bytes of the delimiter after pixels of undefined length."""


class Frames:
    """Frames of one instance, read one at a time; `len(frames)` is their number.

    Args:
        file: the whole file, seekable; the caller closes it, unless `open_frames` opened it.
        header: the data set without pixels, File Meta in `header.file_meta`.
        offset: offset in bytes of the value of the pixel element.

    Raises:
        DecodeError: the header describes no image, or there is no pixel element at the offset.
    """

    owned = False
    """True if `close` closes the file."""

    def __init__(self, file: BinaryIO, header: Dataset, offset: int) -> None:
        self.file, self.header, self.offset = file, header, offset
        self.size = file.seek(0, os.SEEK_END)
        keyword, self.vr, stated = _parse_head(file, offset)
        self.form: Form = read_form(header, keyword)
        """Description of the pixels, with the actual transfer syntax, stated or not."""
        rest = max(0, self.size - offset)
        self.length = rest if stated == UNDEFINED else min(self._unwrapped(stated), rest)
        self.layout: Layout
        self.layout, self.form, self._notes = detect_layout(
            self.form, self._read_at, self.length, stated == UNDEFINED
        )
        if stated == UNDEFINED and self.is_native:
            self.length -= _DELIMITER
        if self.form.subsampled and self.is_native and self._holds(self.form.values):
            self.form = self.form.without_subsampling()

    @property
    def is_native(self) -> bool:
        """True for uncompressed pixels, frame after frame."""
        return self.layout == "native"

    @property
    def notes(self) -> tuple[Note, ...]:
        """Problems in the structure of the pixel data, common to all frames."""
        announced = self.form.frames or 1
        if (count := len(self)) == announced:
            return self._notes
        text = f"{counted(count, 'frame', 'are')} present, the header states {announced:,}"
        return (*self._notes, ("FRAMES_UNDECLARED", text))

    def _read_at(self, at: int, count: int) -> bytes:
        """Read up to `count` bytes of the pixel element, from its byte `at`."""
        self.file.seek(self.offset + at)
        return self.file.read(max(0, min(count, self.length - at)))

    def _unwrapped(self, stated: int) -> int:
        """Return the length, corrected for 32-bit overflow beyond 4 GiB."""
        need = -(-self.form.frame_bits * (self.form.frames or 1) // 8)
        wrapped = need > stated and abs(need % 2**32 - stated) < 2
        return need if wrapped and need <= self.size - self.offset else stated

    def _holds(self, values: int) -> bool:
        """Return True if there are bytes for that many values in every stated frame."""
        return self.length >= values * self.form.allocated // 8 * (self.form.frames or 1)

    def __len__(self) -> int:
        """Number of frames: as stated in the header, or as present if there are more."""
        announced = self.form.frames or 1
        if self.is_native:
            return count_native(self.form, self.length) or announced
        return max(announced, len(self._groups))

    @property
    def present(self) -> int:
        """Number of frames with at least one byte; a header may state any number."""
        if not self.is_native:
            return min(len(self), len(self._groups))
        return min(len(self), -(-8 * self.length // self.form.frame_bits))

    def read(self, frame: int = 0, *, short: bool = False) -> bytes:
        """Read the bytes of a frame: uncompressed values, or one code-stream.

        With `short=True`, missing bytes of an uncompressed frame are zero.

        Raises:
            UsageError: the frame number is out of range.
            DecodeError: the frame is truncated or missing.
        """
        return bytes(self.load(frame, short=short))

    def load(self, frame: int = 0, *, short: bool = False) -> bytes | memoryview:
        """Read a frame as `read` does; an uncompressed one into writable memory."""
        if not 0 <= frame < len(self):
            raise UsageError(
                f"frame {frame} does not exist: {counted(len(self), 'frame')}, numbered from 0"
            )
        if not self.is_native:
            return self._read_fragments(frame)
        bits, need = self.form.frame_bits, -(-self.form.frame_bits // 8)
        first, spare = divmod(frame * bits, 8)
        last = -(-(frame * bits + bits) // 8)
        data = self._read_bytes(first, min(last, self.length))
        if not len(data):
            raise DecodeError(f"frame {frame} is missing: bytes for {self.present:,} only")
        if len(data) < last - first and not short:
            raise DecodeError(
                f"frame {frame} is truncated: {len(data):,} of {need:,} bytes; "
                "short=True fills the rest with zeros"
            )
        data = np.pad(data, (0, last - first - len(data))) if len(data) < last - first else data
        if spare:  # 1-bit frames may not start at a byte boundary (PS3.5 8.1.1)
            flags = np.unpackbits(data, bitorder="little")
            data = np.packbits(flags[spare : spare + bits], bitorder="little")
        return data.data

    def _read_bytes(self, first: int, last: int) -> NDArray[np.uint8]:
        """Read bytes of the pixel element; for 8 or fewer bits in big endian, swap its words."""
        if last <= first:
            return np.empty(0, "u1")
        swapped = self.form.syntax == EXPLICIT_BE and self.vr == "OW" and self.form.allocated <= 8
        start = first & ~1 if swapped else first
        end = min(last + 1 & ~1, self.length) if swapped else last
        self.file.seek(self.offset + start)
        data = np.empty(end - start, "u1")
        data = data[: self.file.readinto(data.data)]  # type: ignore[attr-defined]
        if swapped:
            data = data[: len(data) & ~1].view("u2").byteswap().view("u1")
        return data[first - start : last - start]

    def _read_fragments(self, frame: int) -> bytes:
        if self.form.syntax in NATIVE or not self.form.syntax:
            stated = "of an uncompressed" if self.form.syntax else "without a"
            raise DecodeError(f"encapsulated pixels {stated} transfer syntax, in no known encoding")
        if frame >= len(self._groups):
            raise DecodeError(f"frame {frame} is missing: fragments for {len(self._groups)} only")
        parts = []
        for start, length in self._groups[frame]:
            self.file.seek(start)
            parts.append(self.file.read(length))
        return b"".join(parts)

    @cached_property
    def _groups(self) -> list[list[Fragment]]:
        """Fragments by frame (PS3.5 A.4)."""
        if self.layout == "stream":
            return [[(self.offset, self.length)]]
        table, fragments, starts = self._walk_items()
        announced = self.form.frames or 1
        if not fragments:
            raise DecodeError("encapsulated pixels without a fragment")
        frames = _split(fragments, starts) if starts[:1] == [0] else []
        if len(frames) > announced:
            return frames
        if len(fragments) == announced:
            return [[one] for one in fragments]
        for offsets in (table, self._extended_offsets()):
            if announced > 1 and (groups := _group_by_offset(fragments, offsets, announced)):
                return groups
        if announced == 1:
            return [fragments]
        if not frames:
            raise DecodeError(
                f"{counted(len(fragments), 'fragment')} for {counted(announced, 'frame')}, no "
                f"offsets"
            )
        return frames

    def _walk_items(self) -> tuple[list[int], list[Fragment], list[int]]:
        """Return the Basic Offset Table, the fragments, and the indices that start a frame.

        Stops at a delimiter, at the end of the data, or at invalid data.
        """
        at, items, starts = 0, list[Fragment](), list[int]()
        table: list[int] = []
        while order := item_order(head := self._read_at(at, 8 + HEAD)):
            (length,) = unpack(f"{order}I", head[4:8])
            length = min(length, self.length - at - 8)
            if at == 0:
                table = np.frombuffer(self._read_at(8, length & ~3), f"{order}u4").tolist()
            elif length:
                if starts_frame(head[8:], length, self.form):
                    starts.append(len(items))
                items.append((self.offset + at + 8, length))
            at += 8 + length
        if not at:
            raise DecodeError("encapsulated pixels do not start with an item")
        return table, items, starts

    def _extended_offsets(self) -> list[int]:
        value = self.header.get("ExtendedOffsetTable")
        if not isinstance(value, bytes):
            return []
        return [int(n) for n in np.frombuffer(value[: len(value) & ~7], "<u8")]

    def close(self) -> None:
        """Close the file if `open_frames` opened it."""
        if self.owned:
            self.file.close()

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_frames(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    header: Dataset | None = None,
    offset: int | None = None,
    settings: Settings = Settings(),
) -> Frames:
    """Open the frames of a file, or of its bytes.

    `header` and `offset` come from a row of the index; by default they are read from the file. A
    deflated file is inflated first (limited to settings.header_bytes plus the stated pixels), and
    its offset is read from the result.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _open(
            BytesIO(source) if isinstance(source, bytes) else source, header, offset, settings
        )
    file = open(source, "rb")  # noqa: SIM115 - Frames closes it
    try:
        frames = _open(file, header, offset, settings)
    except BaseException:
        file.close()
        raise
    frames.owned = True
    if frames.file is not file:
        file.close()
    return frames


def _open(file: BinaryIO, header: Dataset | None, offset: int | None, settings: Settings) -> Frames:
    if header is None:
        from wetread.headers.dataset import read_header

        header, offset = read_header(file, settings), None
    if transfer_syntax(header) == DEFLATED_LE:
        file, offset = _inflated(file, header, settings), None
    return Frames(file, header, _find_pixels(file, header, settings) if offset is None else offset)


def _find_pixels(file: BinaryIO, header: Dataset, settings: Settings) -> int:
    """Find the offset of the value of the pixel element by walking the header."""
    from wetread.headers.dataset import find_pixels

    offset = find_pixels(file, settings)
    if offset is not None:
        return offset
    form = read_form(header)  # the error names the kind of file
    raise DecodeError(f"no pixels: the header states {form.rows} x {form.columns}")


def _tag(head: bytes, order: str) -> int:
    group, element = unpack(f"{order}HH", head[:4])
    return int(group) << 16 | int(element)


def _parse_head(file: BinaryIO, offset: int) -> tuple[str, str, int]:
    """Parse keyword, VR ("" if implicit) and length of the element whose value is at `offset`."""
    file.seek(max(0, offset - 12))
    head = file.read(12)
    if offset >= 12 and len(head) == 12:
        for order in "<>":
            if (tag := _tag(head, order)) in ELEMENTS and head[4:6].isalpha():
                return ELEMENTS[tag], head[4:6].decode(), int(unpack(f"{order}I", head[8:])[0])
        if (tag := _tag(head[4:], "<")) in ELEMENTS:
            return ELEMENTS[tag], "", int(unpack("<I", head[8:])[0])
    raise DecodeError(f"no pixel element has its value at byte {offset}")


def _inflated(file: BinaryIO, header: Dataset, settings: Settings) -> BinaryIO:
    """Inflate a file, limited to the maximum size of header and pixels."""
    form = read_form(header)
    need = form.frame_bits * (form.frames or 1) // 8
    check_growth(need, file.seek(0, os.SEEK_END), settings)
    limit = settings.header_bytes + need * 11 // 10
    try:
        plain, complete = inflate(file, limit)
    except zlib.error as error:
        raise DecodeError(f"the deflated data set is damaged: {error}") from error
    if not complete:
        raise LimitError(f"refused: the deflated data set grows beyond {limit:,} bytes")
    return plain


def _group_by_offset(
    fragments: list[Fragment], offsets: list[int], announced: int
) -> list[list[Fragment]]:
    """Group fragments by frame; empty if an offset is not the start of a fragment."""
    base = fragments[0][0] - 8
    index = {at - 8 - base: i for i, (at, _) in enumerate(fragments)}
    if len(offsets) != announced or offsets[0] != 0 or any(o not in index for o in offsets):
        return []
    starts = [index[o] for o in offsets]
    if sorted(set(starts)) != starts:
        return []
    return _split(fragments, starts)


def _split(fragments: list[Fragment], starts: list[int]) -> list[list[Fragment]]:
    """Split fragments into groups that begin at the indices `starts`, the first of which is 0."""
    ends = [*starts[1:], len(fragments)]
    return [fragments[i:j] for i, j in zip(starts, ends, strict=True)]

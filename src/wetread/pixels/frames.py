"""Where the frames of an instance lie, and their bytes, one frame at a time."""

from __future__ import annotations

import os
import zlib
from functools import cached_property
from io import BytesIO
from struct import unpack
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from wetread.errors import DecodeError, LimitError, UsageError
from wetread.headers.deflated import inflate
from wetread.headers.encodings import DEFLATED_LE, EXPLICIT_BE, NATIVE, UNDEFINED
from wetread.pixels.codecs import check_growth
from wetread.pixels.form import Form, read_form, transfer_syntax
from wetread.pixels.streams import STARTS
from wetread.settings import Settings

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

ELEMENTS = {
    0x7FE00010: "PixelData",
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
}
Fragment = tuple[int, int]
"""Where a fragment lies in the file, and its length."""


class Frames:
    """The frames of one instance: `len(frames)` of them, read one at a time, from 0.

    Args:
        file: the whole file, seekable; stays the caller's to close unless `open_frames` opened it.
        header: the data set without its pixels, File Meta in `header.file_meta`.
        offset: where the value of the pixel element starts.

    Raises DecodeError where the header announces no image or the offset is no pixel element.
    """

    owned = False
    """Whether `close` closes the file."""

    def __init__(self, file: BinaryIO, header: Dataset, offset: int) -> None:
        self.file, self.header, self.offset = file, header, offset
        self.size = file.seek(0, os.SEEK_END)
        keyword, self.vr, stated = _parse_head(file, offset)
        self.form: Form = read_form(header, keyword)
        self.undefined = stated == UNDEFINED
        rest = max(0, self.size - offset)
        self.length = rest if self.undefined else min(self._unwrapped(stated), rest)
        if self.form.subsampled and self.is_native and self._holds(self.form.values):
            self.form = _without_subsampling(self.form)

    @property
    def is_native(self) -> bool:
        """Whether the pixels lie uncompressed, frame after frame."""
        return (self.form.syntax in NATIVE or not self.form.syntax) and not self.undefined

    def _unwrapped(self, stated: int) -> int:
        """The length, also of more than 4 GiB, which its 32 bits cannot say."""
        need = -(-self.form.frame_bits * (self.form.frames or 1) // 8)
        wrapped = need > stated and abs(need % 2**32 - stated) < 2
        return need if wrapped and need <= self.size - self.offset else stated

    def _holds(self, values: int) -> bool:
        """Whether there are bytes for that many values in every frame announced."""
        return self.length >= values * self.form.allocated // 8 * (self.form.frames or 1)

    def __len__(self) -> int:
        """Frames that can be reached: those announced, or those present where there are more."""
        announced = self.form.frames or 1
        if not self.is_native:
            return max(announced, len(self._groups)) if self.form.frames else announced
        present, left = divmod(8 * self.length, self.form.frame_bits)
        whole = left <= 8  # at most the one byte that makes the length even
        return present if present > announced and whole else announced

    @property
    def present(self) -> int:
        """Frames of which there are bytes; a header may announce any number."""
        if not self.is_native:
            return min(len(self), len(self._groups))
        return min(len(self), -(-8 * self.length // self.form.frame_bits))

    def read(self, frame: int = 0, *, short: bool = False) -> bytes:
        """The bytes of a frame: values as they lie in the file, or one code-stream.

        With `short=True`, what the file lacks of an uncompressed frame is filled with zeros.
        Raises UsageError for a frame out of range, DecodeError for one that is not all there.
        """
        if not 0 <= frame < len(self):
            raise UsageError(f"frame {frame} does not exist: {len(self)} frames, counted from 0")
        if not self.is_native:
            return self._read_fragments(frame)
        bits, need = self.form.frame_bits, -(-self.form.frame_bits // 8)
        first, spare = divmod(frame * bits, 8)
        last = -(-(frame * bits + bits) // 8)
        data = self._read_bytes(first, min(last, self.length))
        if len(data) < last - first and not short:
            raise DecodeError(
                f"frame {frame} is cut: {len(data):,} bytes of {need:,}; "
                "short=True or --short fills the rest with zeros"
            )
        data = data.ljust(last - first, b"\0")
        if spare:  # frames of single bits do not start at a byte (PS3.5 8.1.1)
            flags = np.unpackbits(np.frombuffer(data, "u1"), bitorder="little")
            data = np.packbits(flags[spare : spare + bits], bitorder="little").tobytes()
        return data

    def _read_bytes(self, first: int, last: int) -> bytes:
        """Bytes of the pixel element; those of 8 or fewer bits come out of swapped words."""
        if last <= first:
            return b""
        swapped = self.form.syntax == EXPLICIT_BE and self.vr == "OW" and self.form.allocated <= 8
        start = first & ~1 if swapped else first
        end = min(last + 1 & ~1, self.length) if swapped else last
        self.file.seek(self.offset + start)
        data = self.file.read(end - start)
        if swapped:
            data = np.frombuffer(data[: len(data) & ~1], "u2").byteswap().tobytes()
        return data[first - start : last - start]

    def _read_fragments(self, frame: int) -> bytes:
        if frame >= len(self._groups):
            raise DecodeError(f"frame {frame} is missing: fragments for {len(self._groups)} only")
        parts = []
        for start, length in self._groups[frame]:
            self.file.seek(start)
            parts.append(self.file.read(length))
        return b"".join(parts)

    @cached_property
    def _groups(self) -> list[list[Fragment]]:
        """The fragments of every frame (PS3.5 A.4)."""
        table, fragments = self._walk_items()
        announced = self.form.frames or 1
        if not fragments:
            raise DecodeError("encapsulated pixels without a fragment")
        if announced == 1:
            return [fragments]
        if len(fragments) == announced:
            return [[one] for one in fragments]
        for offsets in (table, self._extended_offsets()):
            if groups := _group_by_offset(fragments, offsets, announced):
                return groups
        starts = [i for i, (at, _) in enumerate(fragments) if self._starts_frame(at)]
        if not starts or starts[0] != 0:
            raise DecodeError(f"{len(fragments)} fragments for {announced} frames, no offsets")
        ends = [*starts[1:], len(fragments)]
        return [fragments[i:j] for i, j in zip(starts, ends, strict=True)]

    def _walk_items(self) -> tuple[list[int], list[Fragment]]:
        """The Basic Offset Table and the fragments, up to a delimiter, a cut or nonsense."""
        at, end = self.offset, self.offset + self.length
        items: list[Fragment] = []
        while at + 8 <= end:
            self.file.seek(at)
            group, element, length = unpack("<HHI", self.file.read(8))
            if (group, element) != (0xFFFE, 0xE000):
                break
            items.append((at + 8, min(length, end - at - 8)))
            at += 8 + length
        if not items:
            raise DecodeError("encapsulated pixels do not start with an item")
        start, length = items[0]
        self.file.seek(start)
        table = np.frombuffer(self.file.read(length & ~3), "<u4").tolist()
        return table, [(at, length) for at, length in items[1:] if length]

    def _extended_offsets(self) -> list[int]:
        value = self.header.get("ExtendedOffsetTable")
        if not isinstance(value, bytes):
            return []
        return [int(n) for n in np.frombuffer(value[: len(value) & ~7], "<u8")]

    def _starts_frame(self, at: int) -> bool:
        self.file.seek(at)
        return self.file.read(12).startswith(STARTS)

    def close(self) -> None:
        """Close the file, unless it is the caller's."""
        if self.owned:
            self.file.close()

    def __enter__(self) -> Frames:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_frames(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    header: Dataset | None = None,
    offset: int | None = None,
    settings: Settings = Settings(),
) -> Frames:
    """The frames of a file, or of its bytes.

    `header` and `offset` are those of the index's row; without them they are read here. The
    offset of a deflated file is always found here, once it is inflated (settings.header_bytes and
    the pixels announced, at most).
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
    """Where the value of the pixel element starts, by a walk through the header."""
    from wetread.headers.dataset import find_pixels

    offset = find_pixels(file, settings)
    if offset is not None:
        return offset
    form = read_form(header)  # says what the file is, where it is no image
    raise DecodeError(f"no pixels: the header announces {form.rows} x {form.columns} of them")


def _tag(head: bytes, order: str) -> int:
    group, element = unpack(f"{order}HH", head[:4])
    return int(group) << 16 | int(element)


def _parse_head(file: BinaryIO, offset: int) -> tuple[str, str, int]:
    """Keyword, VR ("" if implicit) and stated length of the pixel element that ends at `offset`."""
    file.seek(max(0, offset - 12))
    head = file.read(12)
    if offset >= 12 and len(head) == 12:
        for order in "<>":
            if (tag := _tag(head, order)) in ELEMENTS and head[4:6].isalpha():
                return ELEMENTS[tag], head[4:6].decode(), int(unpack(f"{order}I", head[8:])[0])
        if (tag := _tag(head[4:], "<")) in ELEMENTS:
            return ELEMENTS[tag], "", int(unpack("<I", head[8:])[0])
    raise DecodeError(f"no pixel element ends its header at byte {offset}")


def _inflated(file: BinaryIO, header: Dataset, settings: Settings) -> BinaryIO:
    """A deflated file as an uncompressed one, no larger than header and pixels may be."""
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
    """Fragments by frame, where every offset is the start of a fragment; else nothing."""
    base = fragments[0][0] - 8
    index = {at - 8 - base: i for i, (at, _) in enumerate(fragments)}
    if len(offsets) != announced or offsets[0] != 0 or any(o not in index for o in offsets):
        return []
    starts = [index[o] for o in offsets]
    if sorted(set(starts)) != starts:
        return []
    ends = [*starts[1:], len(fragments)]
    return [fragments[i:j] for i, j in zip(starts, ends, strict=True)]


def _without_subsampling(form: Form) -> Form:
    """YBR_FULL_422 in name, with three samples a pixel in fact."""
    from dataclasses import replace

    return replace(form, photometric=form.photometric.replace("_422", ""))

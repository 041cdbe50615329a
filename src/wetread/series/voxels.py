"""Voxels of a volume: its slices, decoded one by one or by threads.

The calling thread opens and reads the images; for objects of a bucket, many threads do. Compressed
frames are decoded by a thread per core, as codecs release the GIL. Of uncompressed files that have
not changed since the scan and whose pixels are described alike, only the first is opened as an
`Image`: the others differ in rescale and position, which the index has.
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wetread.common.text import counted
from wetread.display.pipeline import Pipeline, read_pipeline
from wetread.errors import DecodeError
from wetread.headers.encodings import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from wetread.images.image import Image
from wetread.pixels import decode
from wetread.pixels.codecs import check_size
from wetread.pixels.form import Form
from wetread.pixels.structure import HEAD, may_be_encoded
from wetread.settings import Settings
from wetread.sources.buckets import is_url
from wetread.sources.find import open_source, path_and_member
from wetread.workers.heartbeat import heartbeat
from wetread.workers.local import count_cores

Array = NDArray[Any]
_SAME = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
    "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "transfer_syntax", "pixel_length", "Modality", "SOPClassUID",
)  # fmt: skip
"""Columns that describe the pixels; files in which they are equal are read alike."""
COLUMNS = (
    "id", "path", "path_bytes", "member", "member_bytes", "file_size", "mtime_ns", "etag",
    "read_status", "pixel_offset", "RescaleSlope", "RescaleIntercept", "DoseGridScaling", "invalid",
    *_SAME,
)  # fmt: skip
"""Columns of the index with which slices are read."""
_PLAIN = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)
_TAGS = ((0x0028, 0x3000), (0x5200, 0x9229), (0x5200, 0x9230))
"""Modality LUT Sequence and functional groups: elements that change values and have no column."""
_MARKS = tuple(
    group.to_bytes(2, order) + number.to_bytes(2, order)
    for group, number in _TAGS
    for order in ("little", "big")
)
_EXACT = 1 << 23
"""Integers whose sum with 16 bits is exact in float32."""


class Part(NamedTuple):
    """Slice to read: row of the index, frame number, place in the array."""

    row: dict[str, Any]
    frame: int
    place: int


@dataclass(frozen=True)
class Encoded:
    """Frame as it is stored in its file, and the description of its values."""

    place: int
    name: str
    data: bytes | memoryview
    form: Form
    pipeline: Pipeline
    native: bool


class Scale(NamedTuple):
    """Conversion of stored to modality values: value = slope x stored + intercept."""

    slope: float
    intercept: float


@dataclass
class Voxels:
    """Decoded slices."""

    values: Array
    """Modality values as float32, or stored values; (slices, rows, columns), or with colours."""
    scale: Scale | None
    """Rescale of all slices; None if it differs or is a look-up table."""


def read_voxels(
    root: str,
    parts: Sequence[Part],
    shape: tuple[int, int],
    settings: Settings,
    *,
    stored: bool = False,
    short: bool = False,
) -> Voxels:
    """Decode slices into one array.

    Args:
        root: folder or URL of the index.
        parts: the slices; their places are 0, 1, ...
        shape: rows and columns of each.
        settings: limits of decoding.
        stored: return stored values, not modality values.
        short: accept a truncated frame: missing values are zero, in JPEG grey.

    Raises:
        DecodeError: a slice cannot be read; the message begins with its name.
    """
    target = _Target((len(parts), *shape), stored)
    with closing(_read_all(root, parts, settings, short)) as encoded:
        workers = count_cores()
        pool = None
        waiting: deque[tuple[Encoded, Future[Array]]] = deque()
        try:
            for one in encoded:
                heartbeat(settings.decode_seconds + one.form.frame_bytes / settings.decode_rate)
                if one.native or workers < 2:
                    target.put(one, _decode(one, settings, short))
                    continue
                pool = pool or ThreadPoolExecutor(workers, thread_name_prefix="wetread")
                waiting.append((one, pool.submit(_decode, one, settings, short)))
                if len(waiting) > 2 * workers:
                    first, future = waiting.popleft()
                    target.put(first, future.result())
            for first, future in waiting:
                target.put(first, future.result())
        finally:
            if pool is not None:
                pool.shutdown(cancel_futures=True)
    assert target.values is not None
    return Voxels(target.values, target.scale)


def _decode(encoded: Encoded, settings: Settings, short: bool) -> Array:
    with _named(encoded.name):
        frame = decode(encoded.data, encoded.form, settings)
        cut = [text for code, text in frame.notes if code == "STREAM_CUT"]
        if cut and not short:  # decoders of JPEG fill the rest with grey
            raise DecodeError(f"the frame is truncated: {cut[0]}; short=True accepts it")
        return frame.values


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Put the name of a slice before an error."""
    try:
        yield
    except DecodeError as error:
        if not str(error).startswith(name):
            error.args = (f"{name}: {error}",)
        raise


class _Target:
    """Array that slices are put into."""

    def __init__(self, shape: tuple[int, int, int], stored: bool) -> None:
        self._shape, self._stored = shape, stored
        self.values: Array | None = None
        self._scales: set[Scale | None] = set()

    @property
    def scale(self) -> Scale | None:
        """Rescale of all slices; None if it differs or is a look-up table."""
        (one, *others) = self._scales
        return None if others else one

    def put(self, encoded: Encoded, stored: Array) -> None:
        """Enter the stored values of one slice."""
        pipeline = encoded.pipeline
        plain = _is_linear(pipeline) and pipeline.palette is None
        self._scales.add(Scale(pipeline.slope, pipeline.intercept) if plain else None)
        with _named(encoded.name):
            if not self._stored and (stored.ndim == 3 or pipeline.palette is not None):
                raise DecodeError("a colour image has no modality values; use stored")
            kind = stored.dtype if self._stored else np.dtype(np.float32)
            if stored.shape[:2] != self._shape[1:]:
                have, need = (" x ".join(map(str, s)) for s in (stored.shape[:2], self._shape[1:]))
                raise DecodeError(f"{have} pixels, the index states {need}; scan the files again")
            if self.values is None:
                self.values = np.empty((*self._shape, *stored.shape[2:]), kind)
            if not self._stored:
                _rescale(stored, pipeline, self.values[encoded.place])
                return
        if kind != self.values.dtype:
            self.values = self.values.astype(np.promote_types(kind, self.values.dtype))
        self.values[encoded.place] = stored


def _is_linear(pipeline: Pipeline) -> bool:
    """True if slope and intercept give the modality values."""
    return pipeline.modality_lut is None and not pipeline.scale_error


def _rescale(stored: Array, pipeline: Pipeline, out: Array) -> None:
    """Convert stored to modality values, each rounded to float32 once."""
    small = stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2
    whole = pipeline.intercept.is_integer() and abs(pipeline.intercept) < _EXACT
    if _is_linear(pipeline) and pipeline.slope == 1 and small and whole:
        np.add(stored, np.float32(pipeline.intercept), out=out)
    else:
        out[...] = pipeline.to_modality(stored)


def _read_all(
    root: str, parts: Sequence[Part], settings: Settings, short: bool
) -> Generator[Encoded, None, None]:
    """Read the frames, those of one file together."""
    by_file: dict[str, list[Part]] = {}
    for part in parts:
        by_file.setdefault(part.row["id"], []).append(part)
    if is_url(root):
        yield from _read_objects(root, list(by_file.values()), settings, short)
        return
    known: dict[tuple[Any, ...], Encoded] = {}
    buffer = _Buffer()
    for of_file in by_file.values():
        row = of_file[0].row
        key = tuple(row[name] for name in _SAME)
        if key in known and len(of_file) == 1:
            again = buffer.read(root, of_file[0], known[key], settings)
            if again is not None:
                yield again
                continue
        for encoded in _read_file(root, row, of_file, settings, short):
            if _is_plain(row, encoded):
                known[key] = encoded
            yield encoded


def _read_objects(
    root: str, files: list[list[Part]], settings: Settings, short: bool
) -> Generator[Encoded, None, None]:
    """Read objects of a bucket, many at a time."""

    def read(part: Part) -> list[Encoded]:
        return list(_read_file(root, part.row, [part], settings, short))

    pool = ThreadPoolExecutor(settings.io_threads, thread_name_prefix="wetread-object")
    waiting: deque[Future[list[Encoded]]] = deque()
    # Images change the filters of warnings and put them back, which threads do in no order.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for of_file in files:
                if len(of_file) > 1:
                    yield from _read_file(root, of_file[0].row, of_file, settings, short)
                    continue
                waiting.append(pool.submit(read, of_file[0]))
                if len(waiting) > settings.io_threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _read_file(
    root: str, row: dict[str, Any], parts: list[Part], settings: Settings, short: bool
) -> Iterator[Encoded]:
    """Read frames of one file."""
    image = Image(root, {"problems": None, **row}, settings)
    with image.open_frames() as frames:
        stated = frames.form.frames or 1
        if len(frames) > stated == 1:  # only one of them is at the position
            raise DecodeError(f"{counted(len(frames), 'frame')}, the header states 1")
        for part in parts:
            check_size(frames.form, frames.length, settings)  # before reading
            data = frames.load(part.frame, short=short)
            pipeline = read_pipeline(frames.header, part.frame)
            name = f"{image.name} frame {part.frame}" if len(frames) > 1 else image.name
            yield Encoded(part.place, name, data, frames.form, pipeline, frames.is_native)


def _is_plain(row: dict[str, Any], encoded: Encoded) -> bool:
    """True if files described alike can be read by the description of this one."""
    form, pipeline = encoded.form, encoded.pipeline
    size = -(-form.frame_bits // 8)
    return (
        encoded.native
        and row["transfer_syntax"] in _PLAIN
        and form.syntax == row["transfer_syntax"]
        and row["pixel_length"] in (size, size + 1)
        and (form.frames or 1) == 1
        and form.allocated % 8 == 0
        and pipeline.modality_lut is None
        and pipeline.palette is None
    )


class _Buffer:
    """Memory for one file at a time."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def read(self, root: str, part: Part, like: Encoded, settings: Settings) -> Encoded | None:
        """Read a file by the description of another; None if it must be opened as an image."""
        row, form = part.row, like.form
        slope, intercept = row["RescaleSlope"], row["RescaleIntercept"]
        if (
            row["member"]
            or row["read_status"] != "ok"
            or row["invalid"]
            or row["DoseGridScaling"] is not None
            or slope == 0
            or not row["mtime_ns"]
        ):
            return None
        start, size = row["pixel_offset"], -(-form.frame_bits // 8)
        if len(self._bytes) < start + size:
            self._bytes = bytearray(start + size)
        view = memoryview(self._bytes)[: start + size]
        path, member = path_and_member(row)
        try:
            with open_source(root, path, member, settings) as file:
                now = os.fstat(file.fileno())
                if (now.st_size, now.st_mtime_ns) != (row["file_size"], row["mtime_ns"]):
                    return None
                if file.readinto(view) != len(view):  # type: ignore[attr-defined]
                    return None
        except OSError:  # the image names the reason
            return None
        if may_be_encoded(bytes(view[start : start + HEAD])):
            return None
        if any(self._bytes.find(mark, 0, start) >= 0 for mark in _MARKS):
            return None
        pipeline = replace(
            like.pipeline,
            slope=1.0 if slope is None else slope,
            intercept=0.0 if intercept is None else intercept,
            scale_error="",
        )
        return Encoded(part.place, row["path"], view[start:], form, pipeline, True)

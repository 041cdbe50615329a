"""Single images for the browser: description, previews, stored values, look-up tables."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from wetread.display.pipeline import Lut, Pipeline, Window, read_pipeline
from wetread.display.render import (
    SAMPLE,
    Picture,
    auto_window,
    choose_view,
    full_window,
    make_table,
    render,
)
from wetread.display.spacing import read_aspect, read_spacing
from wetread.errors import PROBLEMS, NotFoundError, UsageError
from wetread.images.batch import explain
from wetread.images.image import Image
from wetread.imaging import all_values
from wetread.settings import Settings
from wetread.viewer import header
from wetread.viewer.catalogue import Catalogue
from wetread.viewer.decoder import NOW, SOON, DecodedFrame, Decoder
from wetread.viewer.documents import read_document
from wetread.viewer.encoding import compress, pack, reduce, to_jpeg
from wetread.viewer.masks import LABELS
from wetread.viewer.thumbnails import ThumbnailCache
from wetread.viewer.worker import ProblemError

T = TypeVar("T")
SCALES = (1, 2, 4, 8)
SMALLEST = 64
"""Minimum longest side of a reduced resolution, in pixels."""
PREVIEW = 700
"""A preview is made from the smallest resolution of at least this longest side, in pixels."""
NO_PIXELS = "no pixels: this is "
"""Start of the error of a file of a class without pixels, such as a report."""
_OPEN = 64
"""Headers in the cache."""
_COLUMNS = (
    "SOPClassUID",
    "Modality",
    "Rows",
    "Columns",
    "PhotometricInterpretation",
    "NumberOfFrames",
)


@dataclass(frozen=True, slots=True, eq=False)
class OpenImage:
    """An image of the index with its header."""

    image: Image
    row: dict[str, Any]


class ImageServer:
    """Data of single images for the browser; use from one event loop only."""

    def __init__(
        self,
        catalogue: Catalogue,
        thumbnails: ThumbnailCache,
        executor: Executor,
        settings: Settings,
    ) -> None:
        self._catalogue, self._thumbnails = catalogue, thumbnails
        self._executor, self._settings = executor, settings
        self.decoder = self._decoder = Decoder(catalogue.index.root, settings)
        self._opened = LRUCache[str, OpenImage](_OPEN)

    def warm(self) -> None:
        """Start the decoders."""
        self._decoder.warm()

    def close(self) -> None:
        """Stop the decoders."""
        self._decoder.close()

    async def describe(self, id_: str, frame: int = 0) -> dict[str, Any]:
        """Description of an image for the page; with `error` if it cannot be displayed."""
        opened = await self._open(id_)
        series = await self._run(self._catalogue.series, id_)
        description: dict[str, Any] = {
            "id": id_,
            "path": opened.image.name,
            "error": None,
            "label": LABELS.get(opened.row.get("SOPClassUID") or ""),
            "problems": [_problem(p["code"], p["text"]) for p in opened.row["problems"] or ()],
            "series": series,
        }
        try:
            decoded = await self._sample(opened, frame)
            details = await self._run(_describe, opened.image, decoded, frame)
        except ProblemError as problem:
            if absent := _explain_absence(opened.row, str(problem)):
                return {**_undecoded(opened.row), **description, **absent}
            description["problems"].append(_problem(problem.code, str(problem)))
            return {**_undecoded(opened.row), **description, "error": str(problem)}
        except UsageError:  # a frame that does not exist
            raise
        except Exception as error:  # noqa: BLE001 - bad data
            return {**_undecoded(opened.row), **description, "error": explain(error).text}
        description["problems"] += [_problem(*note) for note in details.pop("notes")]
        return {**description, **details}

    async def header(self, id_: str, masked: bool, search: str) -> list[dict[str, Any]]:
        """Elements of the header."""
        opened = await self._open(id_)

        def find() -> list[dict[str, Any]]:
            return header.list_elements(opened.image.header, masked, search)

        return await self._run(find)

    async def document(self, id_: str, masked: bool) -> dict[str, Any]:
        """Contents of a file without an image, as lines of text."""
        opened = await self._open(id_)
        return await self._run(lambda: read_document(opened.image.header, masked))

    async def thumb(self, id_: str, frame: int, size: int, window: Any) -> bytes:
        """Thumbnail as JPEG, with square pixels."""
        row = await self._row(id_)
        key = self._thumbnails.key(row, frame, size, window)
        if cached := await self._run(self._thumbnails.get, key):
            return cached
        thumbnail = await self._decoder.thumb(row, frame, size, window)
        await self._run(self._thumbnails.put, key, thumbnail)
        return thumbnail

    async def preview(self, id_: str, frame: int, size: int, window: Any) -> bytes:
        """Preview as JPEG in stored pixels, its longest side at most `size`."""
        opened = await self._open(id_)
        sample = await self._sample(opened, frame)
        decoded = await self._decoder.frame(opened.row, frame, min(size, PREVIEW), NOW)

        def encode() -> bytes:
            return to_jpeg(_render(opened.image, decoded, frame, window, sample, size).pixels)

        return await self._run(encode)

    async def pixels(
        self, id_: str, frame: int, scale: int, window: Any, accepted: str
    ) -> tuple[bytes, dict[str, str]]:
        """Stored values at 1/`scale`, packed, and the HTTP headers that describe them."""
        opened = await self._open(id_)
        decoded = await self._at_scale(opened, frame, scale)
        needs_window = _kind(decoded) == "display8"
        sample = await self._sample(opened, frame) if needs_window else None

        def encode() -> tuple[bytes, dict[str, str]]:
            pipeline = read_pipeline(opened.image.header, frame)
            values = reduce(decoded.frame, pipeline, scale // decoded.frame.scale)
            small = DecodedFrame(values, decoded.levels, decoded.count, decoded.form)
            dtype = _kind(decoded)
            if dtype in ("rgb8", "display8"):
                pixels = _render(opened.image, small, frame, window, sample).pixels
                if dtype == "rgb8" and pixels.ndim == 2:  # the palette is unusable
                    pixels = np.repeat(pixels[..., None], 3, axis=2)
                data = pixels.tobytes()
            else:
                data = pack(values.values)
            data, encoding = compress(data, accepted)
            rows, columns = values.values.shape[:2]
            headers = {
                "X-Wetread-Rows": str(rows),
                "X-Wetread-Columns": str(columns),
                "X-Wetread-Dtype": dtype,
                "X-Wetread-Scale": str(values.scale),
                "X-Wetread-Shift": f"{values.shift:g}",
            }
            return data, headers | ({"Content-Encoding": encoding} if encoding else {})

        return await self._run(encode)

    async def table(self, id_: str, frame: int, window: Any) -> bytes:
        """Look-up table: the grey level of every stored value, ordered by bit pattern."""
        opened = await self._open(id_)
        sample = await self._sample(opened, frame)
        if window == "full":  # needs every pixel
            sample = await self._at_scale(opened, frame, 1)

        def compute() -> bytes:
            values = _indexable(sample)
            pipeline = read_pipeline(opened.image.header, frame)
            view = choose_view(window, pipeline, values, sample.frame.bits)
            return make_table(values.dtype, pipeline, view).tobytes()

        return await self._run(compute)

    async def modality(self, id_: str, frame: int) -> bytes:
        """Modality value (float32) of every stored value, ordered by bit pattern."""
        opened = await self._open(id_)
        sample = await self._sample(opened, frame)

        def compute() -> bytes:
            pipeline = read_pipeline(opened.image.header, frame).for_display
            return (
                pipeline.to_modality(all_values(_indexable(sample).dtype)).astype("<f4").tobytes()
            )

        return await self._run(compute)

    async def _sample(self, opened: OpenImage, frame: int) -> DecodedFrame:
        """Frame at the resolution from which automatic windows are computed."""
        return await self._decoder.frame(opened.row, frame, SAMPLE, NOW)

    async def _at_scale(self, opened: OpenImage, frame: int, scale: int) -> DecodedFrame:
        """Frame at the resolution in the file of that scale, or the next higher one."""
        form = (await self._sample(opened, frame)).form
        longest = max(form["rows"], form["columns"])
        priority = NOW if scale > 2 else SOON
        size = None if scale == 1 else -(-longest // scale)
        return await self._decoder.frame(opened.row, frame, size, priority)

    async def _row(self, id_: str) -> dict[str, Any]:
        return (await self._open(id_)).row

    async def _open(self, id_: str) -> OpenImage:
        if cached := self._opened.get(id_):
            return cached
        row = await self._run(self._catalogue.row, id_, _COLUMNS)
        if row is None:
            raise NotFoundError("no such image in this index")
        image = Image(self._catalogue.index.root, row, self._settings)
        opened = self._opened[id_] = OpenImage(image, row)
        return opened

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)


def _render(
    image: Image,
    decoded: DecodedFrame,
    frame: int,
    window: Any,
    sample: DecodedFrame | None,
    size: int | None = None,
) -> Picture:
    """Render a decoded frame as `Image.render` does."""
    pipeline = read_pipeline(image.header, frame)
    values = None if sample is None else sample.frame.values
    shape = decoded.form["rows"], decoded.form["columns"]
    return render(decoded.frame, pipeline, window, values, size, shape)


def _indexable(decoded: DecodedFrame) -> NDArray[Any]:
    """Stored values of at most 16 bits; raises UsageError for others."""
    if _kind(decoded) in ("rgb8", "display8"):
        raise UsageError("only grey-scale images of up to 16 bits have a look-up table")
    return decoded.frame.values


def _kind(decoded: DecodedFrame) -> str:
    """Type of the values sent to the browser: a NumPy type of stored values, rgb8 or display8."""
    values = decoded.frame.values
    if values.ndim == 3 or decoded.frame.photometric == "PALETTE COLOR":
        return "rgb8"
    small = values.dtype.kind in "iu" and values.dtype.itemsize <= 2
    return values.dtype.name if small else "display8"


def _describe(image: Image, decoded: DecodedFrame, number: int) -> dict[str, Any]:
    frame, form = decoded.frame, decoded.form
    whole = read_pipeline(image.header, number)
    pipeline = whole.for_display  # used by the page for rendering
    spacing = read_spacing(image.header, number)
    picture = render(frame, whole, None)
    colour = _kind(decoded) == "rgb8"
    rows, columns = form["rows"], form["columns"]
    return {
        "rows": rows,
        "columns": columns,
        "frames": decoded.count,
        "varies": "frame" in pipeline.sources.values(),
        "aspect": read_aspect(image.header, number),
        "spacing": spacing
        and {"row": spacing.row, "column": spacing.column, "source": spacing.source},
        "photometric": pipeline.photometric,
        "modality": pipeline.modality,
        "units": pipeline.units,
        "colour": colour,
        "bits": frame.bits,
        "dtype": _kind(decoded),
        "levels": [
            {"scale": scale, "rows": -(-rows // scale), "columns": -(-columns // scale)}
            for scale in SCALES
            if scale == 1 or max(rows, columns) // scale >= SMALLEST
        ],
        "views": [_view(view) for view in pipeline.views],
        "function": pipeline.function,
        "invert": pipeline.invert,
        "slope": pipeline.slope,
        "intercept": pipeline.intercept,
        "modality_lut": pipeline.modality_lut is not None,
        "padding": pipeline.padding and list(pipeline.padding),
        **_windows(frame.values, frame.bits, pipeline, colour),
        "sampled": frame.scale,
        "steps": list(picture.steps),
        "notes": picture.notes,
    }


def _windows(values: NDArray[Any], bits: int, pipeline: Pipeline, colour: bool) -> dict[str, Any]:
    if colour:
        return {"auto": None, "full": None, "range": None}
    auto, full = auto_window(values, pipeline, bits), full_window(values, pipeline)
    half = full.width / 2
    return {
        "auto": {"center": auto.center, "width": auto.width},
        "full": {"center": full.center, "width": full.width},
        "range": [full.center - half, full.center + half],
    }


def _view(view: Window | Lut) -> dict[str, Any]:
    if isinstance(view, Lut):
        none = dict.fromkeys(("center", "width", "function"))
        return {"name": view.name, "kind": "lut", **none}
    window = {name: getattr(view, name) for name in ("name", "center", "width", "function")}
    return {"kind": "window", **window}


def _undecoded(row: dict[str, Any]) -> dict[str, Any]:
    """Description of an image that cannot be decoded, from its row."""
    return {
        "rows": row.get("Rows"),
        "columns": row.get("Columns"),
        "frames": row.get("NumberOfFrames") or 0,  # others of the file may be there
        "varies": False,
        "aspect": 1.0,
        "spacing": None,
        "photometric": row.get("PhotometricInterpretation") or "",
        "modality": row.get("Modality") or "",
        "units": "",
        "colour": False,
        "bits": None,
        "dtype": None,
        "levels": [],
        "views": [],
        "function": "LINEAR",
        "invert": False,
        "slope": 1.0,
        "intercept": 0.0,
        "modality_lut": False,
        "padding": None,
        "auto": None,
        "full": None,
        "range": None,
        "sampled": 1,
        "steps": [],
    }


def _explain_absence(row: dict[str, Any], text: str) -> dict[str, Any]:
    """Title and text for a file that is no image by design: a document, or no DICOM at all."""
    if row["read_status"] == "not_dicom":
        kind = next((p["text"] for p in row["problems"] or () if p["code"] == "NOT_DICOM"), "")
        return {"absent": "Not a DICOM file", "error": kind[:1].upper() + kind[1:]}
    if text.startswith(NO_PIXELS) and row["read_status"] == "ok":
        what = text.removeprefix(NO_PIXELS)
        return {"absent": "No image in this file", "error": what, "document": True}
    return {}


def _problem(code: str, text: str) -> dict[str, str]:
    known = PROBLEMS.get(code)
    return {"code": code, "severity": known.severity if known else "info", "text": text}


def parse_window(text: str) -> str | tuple[float, float] | None:
    """Parse the parameter `window`: a name, or "center,width".

    >>> parse_window("lung"), parse_window("-600,1500"), parse_window("")
    ('lung', (-600.0, 1500.0), None)
    """
    if not text:
        return None
    center, comma, width = text.partition(",")
    if not comma:
        return text
    try:
        pair = float(center), float(width)
    except ValueError as error:
        raise UsageError(f"window {text!r} is neither a name nor center,width") from error
    if not all(map(math.isfinite, pair)):
        raise UsageError(f"window {text!r}: center and width must be finite")
    return pair

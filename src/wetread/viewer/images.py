"""One image for the browser: what it is, its pictures, its stored values, its tables."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
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
from wetread.viewer.decoder import NOW, SOON, Decoded, Decoder
from wetread.viewer.encoding import compress, pack, reduce, to_jpeg
from wetread.viewer.thumbnails import Thumbs
from wetread.viewer.worker import ProblemError

T = TypeVar("T")
SCALES = (1, 2, 4, 8)
SMALLEST = 64
"""No scale makes the longest side shorter than this."""
PREVIEW = 700
"""A preview is made of the smallest resolution with a longest side of so many pixels or more."""
_OPEN = 64
"""Headers that are kept."""
_MORE = ("Modality", "Rows", "Columns", "PhotometricInterpretation")


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """An image of the index with its header."""

    image: Image
    row: dict[str, Any]


class Images:
    """Answers about single images; call it from one event loop."""

    def __init__(
        self, catalogue: Catalogue, thumbs: Thumbs, executor: Executor, settings: Settings
    ) -> None:
        self._catalogue, self._thumbs, self._executor = catalogue, thumbs, executor
        self._settings = settings
        self._decoder = Decoder(catalogue.content.root, settings)
        self._opened: OrderedDict[str, Opened] = OrderedDict()

    def warm(self) -> None:
        """Have decoders ready."""
        self._decoder.warm()

    def close(self) -> None:
        """End the decoders."""
        self._decoder.close()

    async def describe(self, id_: str, frame: int = 0) -> dict[str, Any]:
        """Everything a page must know of an image; with `error` where it cannot be shown."""
        opened = await self._open(id_)
        series = await self._run(self._catalogue.series, id_)
        said: dict[str, Any] = {
            "id": id_,
            "path": opened.image.name,
            "error": None,
            "problems": [_problem(f["code"], f["text"]) for f in opened.row["problems"] or ()],
            "series": series,
        }
        try:
            decoded = await self._sample(opened, frame)
            more = await self._run(_describe, opened.image, decoded, frame)
        except ProblemError as problem:
            said["problems"].append(_problem(problem.code, str(problem)))
            return {**_unknown(opened.row), **said, "error": str(problem)}
        except UsageError:  # a frame that does not exist
            raise
        except Exception as error:  # noqa: BLE001 - bad data is an answer
            text = explain(error).text
            return {**_unknown(opened.row), **said, "error": text}
        said["problems"] += [_problem(*note) for note in more.pop("notes")]
        return {**said, **more}

    async def header(self, id_: str, masked: bool, search: str) -> list[dict[str, Any]]:
        """The elements of its header."""
        opened = await self._open(id_)

        def find() -> list[dict[str, Any]]:
            return header.list_elements(opened.image.header, masked, search)

        return await self._run(find)

    async def thumb(self, id_: str, frame: int, size: int, window: Any) -> bytes:
        """A small JPEG with square pixels."""
        row = await self._row(id_)
        key = self._thumbs.key(row, frame, size, window)
        if found := await self._run(self._thumbs.get, key):
            return found
        made = await self._decoder.thumb(row, frame, size, window)
        await self._run(self._thumbs.put, key, made)
        return made

    async def preview(self, id_: str, frame: int, size: int, window: Any) -> bytes:
        """A JPEG in stored pixels, its longest side at most `size`."""
        opened = await self._open(id_)
        sample = await self._sample(opened, frame)
        decoded = await self._decoder.frame(opened.row, frame, min(size, PREVIEW), NOW)

        def make() -> bytes:
            return to_jpeg(_render(opened.image, decoded, frame, window, sample, size).pixels)

        return await self._run(make)

    async def pixels(
        self, id_: str, frame: int, scale: int, window: Any, accepted: str
    ) -> tuple[bytes, dict[str, str]]:
        """Stored values at 1/`scale`, packed, and the headers that say what came."""
        opened = await self._open(id_)
        decoded = await self._at_scale(opened, frame, scale)
        needs_window = _kind(decoded) == "display8"
        sample = await self._sample(opened, frame) if needs_window else None

        def make() -> tuple[bytes, dict[str, str]]:
            chain = read_pipeline(opened.image.header, frame)
            values = reduce(decoded.frame, chain, scale // decoded.frame.scale)
            small = Decoded(values, decoded.levels, decoded.count, decoded.form)
            dtype = _kind(decoded)
            if dtype in ("rgb8", "display8"):
                shown = _render(opened.image, small, frame, window, sample).pixels
                if dtype == "rgb8" and shown.ndim == 2:  # of a palette that cannot be used
                    shown = np.repeat(shown[..., None], 3, axis=2)
                data = shown.tobytes()
            else:
                data = pack(values.values)
            data, encoding = compress(data, accepted)
            rows, columns = values.values.shape[:2]
            said = {
                "X-Wetread-Rows": str(rows),
                "X-Wetread-Columns": str(columns),
                "X-Wetread-Dtype": dtype,
                "X-Wetread-Scale": str(values.scale),
                "X-Wetread-Shift": f"{values.shift:g}",
            }
            return data, {**said, **({"Content-Encoding": encoding} if encoding else {})}

        return await self._run(make)

    async def table(self, id_: str, frame: int, window: Any) -> bytes:
        """The grey of every stored value, in the order of the bit patterns."""
        opened = await self._open(id_)
        sample = await self._sample(opened, frame)
        if window == "full":  # the only one that wants every pixel
            sample = await self._at_scale(opened, frame, 1)

        def make() -> bytes:
            values = _tabled(sample)
            chain = read_pipeline(opened.image.header, frame)
            view = choose_view(window, chain, values, sample.frame.bits)
            return make_table(values.dtype, chain, view).tobytes()

        return await self._run(make)

    async def modality(self, id_: str, frame: int) -> bytes:
        """The modality value of every stored value as float32, in the order of bit patterns."""
        opened = await self._open(id_)
        sample = await self._sample(opened, frame)

        def make() -> bytes:
            chain = read_pipeline(opened.image.header, frame).for_display
            return chain.to_modality(all_values(_tabled(sample).dtype)).astype("<f4").tobytes()

        return await self._run(make)

    async def _sample(self, opened: Opened, frame: int) -> Decoded:
        """The level from which windows are made; always the same one."""
        return await self._decoder.frame(opened.row, frame, SAMPLE, NOW)

    async def _at_scale(self, opened: Opened, frame: int, scale: int) -> Decoded:
        """The frame at the file's own level of that scale, or the next larger one."""
        form = (await self._sample(opened, frame)).form
        longest = max(form["rows"], form["columns"])
        urgency = NOW if scale > 2 else SOON
        size = None if scale == 1 else -(-longest // scale)
        return await self._decoder.frame(opened.row, frame, size, urgency)

    async def _row(self, id_: str) -> dict[str, Any]:
        return (await self._open(id_)).row

    async def _open(self, id_: str) -> Opened:
        if found := self._opened.get(id_):
            self._opened.move_to_end(id_)
            return found
        row = await self._run(self._catalogue.row, id_, _MORE)
        if row is None:
            raise NotFoundError("no such image in this index")
        opened = Opened(Image(self._catalogue.content.root, row, self._settings), row)
        self._opened[id_] = opened
        while len(self._opened) > _OPEN:
            self._opened.popitem(last=False)
        return opened

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)


def _render(
    image: Image,
    decoded: Decoded,
    frame: int,
    window: Any,
    sample: Decoded | None,
    size: int | None = None,
) -> Picture:
    """Render a decoded frame; see `render`."""
    chain, shape = (
        read_pipeline(image.header, frame),
        (decoded.form["rows"], decoded.form["columns"]),
    )
    values = None if sample is None else sample.frame.values
    return render(decoded.frame, chain, window, values, size, shape)


def _tabled(decoded: Decoded) -> NDArray[Any]:
    """The stored values, if there are few enough different ones for a table."""
    if _kind(decoded) in ("rgb8", "display8"):
        raise UsageError("only grey images of up to 16 bits have a table")
    return decoded.frame.values


def _kind(decoded: Decoded) -> str:
    """What goes to the browser: a type of stored values, rgb8 or display8."""
    values = decoded.frame.values
    if values.ndim == 3 or decoded.frame.photometric == "PALETTE COLOR":
        return "rgb8"
    whole = values.dtype.kind in "iu" and values.dtype.itemsize <= 2
    return values.dtype.name if whole else "display8"


def _describe(image: Image, decoded: Decoded, number: int) -> dict[str, Any]:
    frame, form = decoded.frame, decoded.form
    whole = read_pipeline(image.header, number)
    chain = whole.for_display  # the page draws with it
    spacing = read_spacing(image.header, number)
    picture = render(frame, whole, None)
    colour = _kind(decoded) == "rgb8"
    rows, columns = form["rows"], form["columns"]
    return {
        "rows": rows,
        "columns": columns,
        "frames": decoded.count,
        "varies": "frame" in chain.sources.values(),
        "aspect": read_aspect(image.header, number),
        "spacing": spacing
        and {"row": spacing.row, "column": spacing.column, "source": spacing.source},
        "photometric": chain.photometric,
        "modality": chain.modality,
        "units": chain.units,
        "colour": colour,
        "bits": frame.bits,
        "dtype": _kind(decoded),
        "levels": [
            {"scale": scale, "rows": -(-rows // scale), "columns": -(-columns // scale)}
            for scale in SCALES
            if scale == 1 or max(rows, columns) // scale >= SMALLEST
        ],
        "views": [_view(view) for view in chain.views],
        "function": chain.function,
        "invert": chain.invert,
        "slope": chain.slope,
        "intercept": chain.intercept,
        "modality_lut": chain.modality_lut is not None,
        "padding": chain.padding and list(chain.padding),
        **_windows(frame.values, frame.bits, chain, colour),
        "sampled": frame.scale,
        "steps": list(picture.steps),
        "notes": picture.notes,
    }


def _windows(values: NDArray[Any], bits: int, chain: Pipeline, colour: bool) -> dict[str, Any]:
    if colour:
        return {"auto": None, "full": None, "range": None}
    auto, full = auto_window(values, chain, bits), full_window(values, chain)
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


def _unknown(row: dict[str, Any]) -> dict[str, Any]:
    """What is said of an image that has no picture."""
    return {
        "rows": row.get("Rows"),
        "columns": row.get("Columns"),
        "frames": 0,
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


def _problem(code: str, text: str) -> dict[str, str]:
    known = PROBLEMS.get(code)
    return {"code": code, "severity": known.severity if known else "info", "text": text}


def parse_window(text: str) -> str | tuple[float, float] | None:
    """A window in a query: a name, or "center,width".

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
        raise UsageError(f"window {text!r}: a name, or center,width") from error
    if not all(map(math.isfinite, pair)):
        raise UsageError(f"window {text!r}: two finite numbers, please")
    return pair

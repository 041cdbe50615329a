"""What the viewer's worker processes do: one image, one question, one answer.

A file of unknown origin is decoded there only, so that one that crashes a decoder, hangs or wants
all memory is an answer too.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import imagecodecs  # noqa: F401 - this and the next two: loaded before the first question comes
import numpy as np
import PIL.Jpeg2KImagePlugin  # noqa: F401
import pyarrow as pa
import pydicom  # noqa: F401

from wetread.display.plot import square_pixels
from wetread.errors import UsageError
from wetread.images import batch
from wetread.images.image import Image
from wetread.pixels import Frame, Frames, read_frame
from wetread.pixels.reduced import count_levels
from wetread.settings import Settings
from wetread.viewer.encoding import to_jpeg
from wetread.workers.heartbeat import heartbeat

FUNCTION = "wetread.viewer.worker:answer"


def make_task(row: dict[str, Any], ask: dict[str, Any]) -> pa.Table:
    """A question about the image of a row of the index."""
    columns = {name: [row[name]] for name in batch.COLUMNS}
    return pa.table({**columns, "ask": [json.dumps(ask)]})


def answer(task: pa.Table, options: dict[str, Any]) -> pa.Table:
    """The engine's function: `said` as JSON and `data` as bytes, or the problem in `said`."""
    settings = Settings.from_json(options["settings"])
    (row,) = task.to_pylist()
    ask = json.loads(row["ask"])
    try:
        with batch.open_image(options["root"], row, settings) as (image, frames):
            heartbeat(settings.decode_seconds + frames.form.frame_bytes / settings.decode_rate)
            try:
                said, data = _KINDS[ask["kind"]](image, frames, ask, settings)
            except UsageError as error:  # a window or frame that does not exist
                said, data = {"wrong": _own_words(row, str(error))}, b""
    except BaseException as error:  # noqa: BLE001 - sorted out there
        status, code, text = batch.explain(error)
        said, data = {"problem": (status, code, _own_words(row, text))}, b""
    return pa.table({"said": [json.dumps(said)], "data": pa.array([data], pa.large_binary())})


def _own_words(row: dict[str, Any], text: str) -> str:
    """What is wrong without the file's name, which the page shows anyway."""
    return text.removeprefix(f"{row['path']} {row['member'] or ''}".strip() + ": ")


def _frame(
    image: Image, frames: Frames, ask: dict[str, Any], settings: Settings
) -> tuple[dict[str, Any], Any]:
    """A decoded frame, at the smallest resolution it holds of at least `size` pixels."""
    form, number = frames.form, ask["frame"]
    frame = read_frame(frames, number, size=ask["size"], short=True, settings=settings)
    said = {name: value for name, value in asdict(frame).items() if name != "values"}
    said |= {
        "shape": frame.values.shape,
        "dtype": frame.values.dtype.str,
        "count": len(frames),
        "form": asdict(form),
        "levels": count_levels(frames.read(number, short=True), form),
    }
    return said, np.ascontiguousarray(frame.values).data.cast("B")


def _thumb(
    image: Image, frames: Frames, ask: dict[str, Any], settings: Settings
) -> tuple[dict[str, Any], bytes]:
    """A small JPEG with square pixels."""
    window = tuple(ask["window"]) if isinstance(ask["window"], list) else ask["window"]
    picture = image.render(window, ask["size"], ask["frame"], short=True)
    return {}, to_jpeg(square_pixels(picture.pixels, image.aspect), 80)


_KINDS = {"frame": _frame, "thumb": _thumb}


def read_answer(table: pa.Table) -> tuple[dict[str, Any], memoryview]:
    """What `answer` said, on the other side of the pipe.

    Raises:
        UsageError: a window or frame that does not exist.
        ProblemError: the image has no picture.
    """
    said = json.loads(table["said"][0].as_py())
    if "wrong" in said:
        raise UsageError(said["wrong"])
    if "problem" in said:
        raise ProblemError(*said["problem"])
    data: pa.Buffer = table["data"][0].as_buffer()
    return said, memoryview(data)


def to_frame(said: dict[str, Any], data: memoryview) -> Frame:
    """The decoded frame of an answer."""
    values = np.frombuffer(data, said["dtype"]).reshape(said["shape"])
    notes = tuple((code, text) for code, text in said["notes"])
    names = ("bits", "photometric", "conversion", "scale", "shift")
    return Frame(values, **{name: said[name] for name in names}, notes=notes)


class ProblemError(Exception):
    """Why an image has no picture: a problem."""

    def __init__(self, status: str, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code

"""Worker side of the viewer: decode one frame, or render one thumbnail, per task.

Untrusted files are decoded here only: one that crashes the decoder, hangs or exhausts the memory
becomes a problem of that image.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import imagecodecs  # noqa: F401 - this and the next two: imported before the first task
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
from wetread.viewer import slabs
from wetread.viewer.encoding import to_jpeg
from wetread.workers.heartbeat import heartbeat

FUNCTION = "wetread.viewer.worker:run_task"
LABELS = "labels"
"""Kind of the requests of `label_tasks`."""


def make_task(row: dict[str, Any], request: dict[str, Any]) -> pa.Table:
    """Task for the image of a row of the index."""
    columns = {name: [row[name]] for name in batch.COLUMNS}
    return pa.table({**columns, "request": [json.dumps(request)]})


def run_task(task: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Run a task; returns `metadata` as JSON, which may hold an error, and `data` as bytes."""
    settings = Settings.from_json(options["settings"])
    (row,) = task.to_pylist()
    request = json.loads(row["request"])
    if request["kind"] == slabs.KIND:
        return _to_table(*slabs.run(task, options["root"], request, settings))
    if request["kind"] == LABELS:
        from wetread.viewer import label_tasks  # only then: the first image waits for imports

        return _to_table(*label_tasks.run(options["root"], row, request, settings))
    try:
        with batch.open_image(options["root"], row, settings) as (image, frames):
            heartbeat(settings.decode_seconds + frames.form.frame_bytes / settings.decode_rate)
            try:
                metadata, data = _KINDS[request["kind"]](image, frames, request, settings)
            except UsageError as error:  # a window or frame that does not exist
                metadata, data = {"invalid": _strip_name(row, str(error))}, b""
    except BaseException as error:  # noqa: BLE001 - classified by `explain`
        status, code, text = batch.explain(error)
        metadata, data = {"problem": (status, code, _strip_name(row, text))}, b""
    return _to_table(metadata, data)


def _to_table(metadata: dict[str, Any], data: Any) -> pa.Table:
    columns = {"metadata": [json.dumps(metadata)], "data": pa.array([data], pa.large_binary())}
    return pa.table(columns)


def _strip_name(row: dict[str, Any], text: str) -> str:
    """Message without the file name, which the page shows elsewhere."""
    return text.removeprefix(f"{row['path']} {row['member'] or ''}".strip() + ": ")


def _frame(
    image: Image, frames: Frames, request: dict[str, Any], settings: Settings
) -> tuple[dict[str, Any], Any]:
    """Decode a frame at the smallest resolution in the file of at least `size` pixels."""
    form, number = frames.form, request["frame"]
    frame = read_frame(frames, number, size=request["size"], short=True, settings=settings)
    metadata = {name: value for name, value in asdict(frame).items() if name != "values"}
    metadata |= {
        "shape": frame.values.shape,
        "dtype": frame.values.dtype.str,
        "count": len(frames),
        "form": asdict(form),
        "levels": count_levels(frames.read(number, short=True), form),
    }
    return metadata, np.ascontiguousarray(frame.values).data.cast("B")


def _thumb(
    image: Image, frames: Frames, request: dict[str, Any], settings: Settings
) -> tuple[dict[str, Any], bytes]:
    """Thumbnail as JPEG, with square pixels."""
    window = request["window"]
    window = tuple(window) if isinstance(window, list) else window
    picture = image.render(window, request["size"], request["frame"], short=True)
    return {}, to_jpeg(square_pixels(picture.pixels, image.aspect), 80)


_KINDS = {"frame": _frame, "thumb": _thumb}


def read_result(table: pa.Table) -> tuple[dict[str, Any], memoryview]:
    """Metadata and data of a result of `run_task`.

    Raises:
        UsageError: a window or frame that does not exist.
        ProblemError: the image cannot be displayed.
    """
    metadata = json.loads(table["metadata"][0].as_py())
    if "invalid" in metadata:
        raise UsageError(metadata["invalid"])
    if "problem" in metadata:
        raise ProblemError(*metadata["problem"])
    data: pa.Buffer = table["data"][0].as_buffer()
    return metadata, memoryview(data)


def to_frame(metadata: dict[str, Any], data: memoryview) -> Frame:
    """Decoded frame of a result."""
    values = np.frombuffer(data, metadata["dtype"]).reshape(metadata["shape"])
    notes = tuple((code, text) for code, text in metadata["notes"])
    names = ("bits", "photometric", "conversion", "scale", "shift")
    return Frame(values, **{name: metadata[name] for name in names}, notes=notes)


class ProblemError(Exception):
    """An image that cannot be displayed, with status and code of the problem."""

    def __init__(self, status: str, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code

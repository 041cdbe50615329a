"""Export of images as PNG, JPEG, TIFF or NumPy files, with a manifest.

Files are named by id and frame, never by header values. Preamble, header and unused high bits are
not exported; text burned into the pixels is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.common.files import TEMPORARY, storage_errors
from wetread.common.text import guard_cell
from wetread.display.pipeline import Pipeline, read_pipeline
from wetread.display.render import WindowLike, fit_frame, render
from wetread.errors import UnknownNameError, UsageError
from wetread.images import batch
from wetread.images.image import Image
from wetread.pixels import Frame, Frames, read_frame
from wetread.settings import Settings
from wetread.table.rows import IndexRows, check_files

Array = NDArray[Any]
Format = Literal["png16", "png8", "jpg", "tiff", "npy"]
MANIFEST = "manifest.csv"
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("path", pa.string()),
        ("member", pa.string()),
        ("frame", pa.int64()),
        ("file", pa.string()),
        ("status", pa.string()),
        ("text", pa.string()),
        ("format", pa.string()),
        ("rows", pa.int64()),
        ("columns", pa.int64()),
        ("scale_x", pa.float64()),
        ("scale_y", pa.float64()),
        ("photometric", pa.string()),
        ("window", pa.string()),
        ("slope", pa.float64()),
        ("intercept", pa.float64()),
        ("exact", pa.bool_()),
    ]
)
_SUFFIXES = {"png16": "png", "png8": "png", "jpg": "jpg", "tiff": "tif", "npy": "npy"}
_DISPLAY = ("png8", "jpg")


@dataclass(frozen=True, slots=True)
class _Exported:
    """Array to write, and its values in the manifest."""

    pixels: Array
    photometric: str
    window: str | None = None
    slope: float | None = None
    intercept: float | None = None
    exact: bool = False


def export_images(
    index: IndexRows,
    to: str | os.PathLike[str],
    size: int | None = None,
    format: Format = "png16",
    window: WindowLike = None,
    workers: int | None = None,
    progress: bool = True,
    settings: Settings = Settings(),
) -> pa.Table:
    """Write the files and the manifest, and return the manifest; see `Index.export`."""
    if format not in get_args(Format):
        raise UnknownNameError("format", format, get_args(Format))
    if window is not None and format not in _DISPLAY:
        raise UsageError(f"{format} keeps all values and takes no window; use png8 or jpg")
    if size is not None and size < 1:
        raise UsageError(f"size must be at least 1, not {size}")
    if not isinstance(window, str | tuple | None):
        raise UsageError("window must be a name or (center, width)")
    check_files(index)
    folder = Path(os.path.abspath(to))
    options: dict[str, Any] = {"root": index.root, "to": str(folder), "size": size}
    options |= {"format": format, "window": window}
    images = batch.list_images(index)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        function = "wetread.images.export:export_part"
        tables = batch.run(function, images, options, _failed(folder), workers, progress, settings)
        manifest = pa.concat_tables([SCHEMA.empty_table(), *tables])
        manifest = batch.sort_rows(manifest, images)
        _write(folder / MANIFEST, _to_csv(manifest))
    return manifest


def _to_csv(manifest: pa.Table) -> bytes:
    import pyarrow.csv

    for at, field in enumerate(manifest.schema):
        if field.type == pa.string():
            cells = [text and guard_cell(text) for text in manifest[at].to_pylist()]
            manifest = manifest.set_column(at, field, pa.array(cells, field.type))
    sink = BytesIO()
    pyarrow.csv.write_csv(manifest, sink)
    return sink.getvalue()


def export_part(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Export images (worker function)."""
    return batch.make_rows(images, options, _export, SCHEMA)


def _export(image: Image, frames: Frames, options: dict[str, Any], number: int) -> dict[str, Any]:
    """Export one frame; return its row of the manifest."""
    size = options["size"]
    shape = frames.form.shape
    if options["format"] in _DISPLAY:
        result = _render(image, number, size, options["window"])
    else:
        frame = read_frame(frames, number, size=size, settings=options["settings"])
        result = _convert(
            frame, read_pipeline(frames.header, number), shape, size, options["format"]
        )
    name = image.id if len(frames) == 1 else f"{image.id}_{number:04}"
    return _save(result, name, shape, options)


def _failed(folder: Path) -> Callable[[pa.Table, str, str], pa.Table]:
    """Return the function for images that crashed a worker: it deletes their files."""
    fail = batch.failed_rows(SCHEMA)

    def rows(image: pa.Table, status: str, text: str) -> pa.Table:
        for path in folder.glob(f"{image['id'][0].as_py()}*"):
            path.unlink()
        return fail(image, status, text)

    return rows


def _render(image: Image, number: int, size: int | None, window: WindowLike) -> _Exported:
    """Render for display, 8 bits."""
    window = tuple(window) if isinstance(window, list) else window  # decoded from JSON
    picture = image.render(window, size, number)
    colour = "RGB" if picture.pixels.ndim == 3 else "MONOCHROME2"
    return _Exported(picture.pixels, colour, picture.view.label if picture.view else None)


def _convert(
    frame: Frame, pipeline: Pipeline, shape: tuple[int, ...], size: int | None, format: str
) -> _Exported:
    """Convert all values to a type of the format: modality = slope * pixel + intercept."""

    def fit(pixels: Array) -> Array:
        return pixels if size is None else fit_frame(pixels, frame, shape, size)

    whole = frame.scale == 1 and (size is None or max(frame.values.shape[:2]) <= size)
    if frame.values.ndim == 3 or pipeline.palette is not None:
        colour = render(frame, pipeline, size=size, shape=shape).pixels
        return _Exported(colour, "RGB", exact=whole and frame.bits <= 8)
    stored = frame.values
    if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
        pixels, slope, intercept = _as_words(stored, pipeline)
        return _Exported(fit(pixels), frame.photometric, None, slope, intercept, whole)
    values = fit(pipeline.to_modality(stored))
    floats = values.astype(np.float32)
    if format != "png16":
        exact = whole and np.array_equal(floats, values, equal_nan=True)
        return _Exported(floats, frame.photometric, None, 1.0, 0.0, exact)
    finite = floats[np.isfinite(floats)].astype(np.float64)
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    slope = (high - low) / 65535 or 1.0
    pixels = np.nan_to_num(np.rint((floats - low) / slope), nan=0, posinf=65535, neginf=0)
    return _Exported(pixels.astype(np.uint16), frame.photometric, None, slope, low)


def _as_words(stored: Array, pipeline: Pipeline) -> tuple[NDArray[np.uint16], float, float]:
    """Convert stored values of up to 16 bits to uint16 without loss; add slope and intercept."""
    pipeline.check_scale()
    if pipeline.modality_lut is not None:
        return pipeline.to_modality(stored).astype(np.uint16), 1.0, 0.0
    low = int(np.iinfo(stored.dtype).min)
    words = (stored.astype(np.int32) - low).astype(np.uint16)
    return words, pipeline.slope, pipeline.intercept + pipeline.slope * low


def _save(
    result: _Exported, name: str, shape: tuple[int, ...], options: dict[str, Any]
) -> dict[str, Any]:
    """Write a file; return its values in the manifest."""
    kind: str = options["format"]
    folder, file = Path(options["to"]), f"{name}.{_SUFFIXES[kind]}"
    pixels = np.ascontiguousarray(result.pixels)
    data = _encode(pixels, kind)
    with storage_errors(folder):
        _write(folder / file, data)
    rows, columns = pixels.shape[:2]
    return {
        "file": file,
        "format": kind,
        "rows": rows,
        "columns": columns,
        "scale_x": columns / shape[1],
        "scale_y": rows / shape[0],
        "photometric": result.photometric,
        "window": result.window,
        "slope": result.slope,
        "intercept": result.intercept,
        "exact": result.exact,
    }


def _encode(pixels: Array, kind: str) -> bytes:
    if kind.startswith("png"):
        from imagecodecs import png_encode

        return bytes(png_encode(pixels, level=3))
    sink = BytesIO()
    if kind == "npy":
        np.save(sink, pixels, allow_pickle=False)
    else:
        from PIL import Image as Pillow

        if kind == "tiff":
            Pillow.fromarray(pixels).save(sink, "TIFF")
        else:
            Pillow.fromarray(pixels).save(sink, "JPEG", quality=95, subsampling=0)
    return sink.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Write a file atomically, without fsync: a lost file can be exported again."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    temporary.write_bytes(data)
    os.replace(temporary, path)

"""Export of images as PNG, JPEG, TIFF or NumPy files, with a manifest.

Files are named by id and frame unless names are given, never by header values. Preamble, header and
unused high bits are not exported; text burned into the pixels is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import escape
from io import BytesIO
from math import ceil, floor
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.common.exports import replace_export
from wetread.common.files import MANIFEST, TEMPORARY, storage_errors
from wetread.common.store import is_store
from wetread.common.text import guard_cell
from wetread.display.pipeline import Pipeline, read_pipeline
from wetread.display.render import WindowLike, fit_frame, render
from wetread.errors import UnknownNameError, UsageError
from wetread.images import batch
from wetread.images.image import Image
from wetread.imaging import shrink
from wetread.pixels import Frame, Frames, read_frame
from wetread.settings import Settings
from wetread.table.rows import IndexRows, check_files

Array = NDArray[Any]
Format = Literal["png16", "png8", "jpg", "tiff", "npy"]
Area = tuple[int, int, int, int]
"""Stored pixels x0, y0, x1, y1 (edges)."""
Crop = tuple[float, float, float, float] | Mapping[str, tuple[float, float, float, float]] | None
"""Edges in stored pixels, of all images or by id."""
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
        ("left", pa.int64()),
        ("top", pa.int64()),
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


@dataclass(frozen=True, slots=True)
class Form:
    """Size and values of the files; see `Index.export`."""

    size: int | None = None
    format: Format = "png16"
    window: WindowLike = None
    crop: Crop = None

    def check(self) -> None:
        """Raise UsageError for options that do not fit."""
        if self.format not in get_args(Format):
            raise UnknownNameError("format", self.format, get_args(Format))
        if self.window is not None and self.format not in _DISPLAY:
            text = f"{self.format} keeps all values and takes no window; use png8 or jpg"
            raise UsageError(text)
        if self.size is not None and self.size < 1:
            raise UsageError(f"size must be at least 1, not {self.size}")
        if not isinstance(self.window, str | tuple | None):
            raise UsageError("window must be a name or (center, width)")
        crops = self.crop.values() if isinstance(self.crop, Mapping) else [self.crop]
        for box in crops:
            if box is not None and not (len(box) == 4 and box[0] < box[2] and box[1] < box[3]):
                raise UsageError(f"crop {box!r}: give edges in stored pixels, (x0, y0, x1, y1)")


class Target(NamedTuple):
    """Files of one image."""

    name: str
    """Path below the output folder, without frame number and suffix."""
    frames: Sequence[int] | None = None
    """Frames to write (default: all)."""


def export_images(
    index: IndexRows,
    to: str | os.PathLike[str],
    form: Form = Form(),
    workers: int | None = None,
    progress: bool = True,
) -> pa.Table:
    """Write the files and the manifest, and return the manifest; see `Index.export`."""
    with replace_export(Path(to)):
        manifest = write_images(index, to, form, None, workers, progress)
        write_manifest(manifest, to)
    return manifest


def write_images(
    index: IndexRows,
    to: str | os.PathLike[str],
    form: Form,
    targets: Mapping[str, Target] | None = None,
    workers: int | None = None,
    progress: bool = True,
    settings: Settings = Settings(),
) -> pa.Table:
    """Write the files and return the manifest.

    Args:
        index: rows with the images.
        to: output folder.
        form: size and values of the files.
        targets: files by id of the image; other images are not written (default: all, named by id).
        workers: number of worker processes, at least 1 (default: one per core).
        progress: show a progress bar on stderr.
        settings: limits.
    """
    form.check()
    check_files(index)
    folder = Path(os.path.abspath(to))
    if is_store(folder):
        raise UsageError(f"{to} is an index or a cache: choose another folder for the images")
    options: dict[str, Any] = {"root": index.root, "to": str(folder), "size": form.size}
    options |= {"format": form.format, "window": form.window}
    images = _add_targets(batch.list_images(index), targets, form.crop)
    with storage_errors(folder):
        for name in {os.path.dirname(name) for name in images["name"].to_pylist()} | {""}:
            (folder / name).mkdir(parents=True, exist_ok=True)
        function = "wetread.images.export:export_part"
        failed = _failed(folder, form.format)
        tables = batch.run(function, images, options, failed, workers, progress, settings)
        manifest = pa.concat_tables([SCHEMA.empty_table(), *tables])
    return batch.sort_rows(manifest, images)


def _add_targets(images: pa.Table, targets: Mapping[str, Target] | None, crop: Crop) -> pa.Table:
    """Images to write, with the columns `name`, `frames` and `crop`."""
    ids = images["id"].to_pylist()
    if targets is None:
        targets = {id_: Target(id_) for id_ in ids}
    images = images.filter(pa.array([id_ in targets for id_ in ids], pa.bool_()))
    ids = images["id"].to_pylist()
    crops = [crop.get(id_) if isinstance(crop, Mapping) else crop for id_ in ids]
    added = {
        "name": pa.array([targets[id_].name for id_ in ids], pa.string()),
        "frames": pa.array([targets[id_].frames for id_ in ids], pa.list_(pa.int64())),
        "crop": pa.array([c and list(map(float, c)) for c in crops], pa.list_(pa.float64())),
    }
    for name, values in added.items():
        images = images.append_column(name, values)
    return images


def write_manifest(manifest: pa.Table, to: str | os.PathLike[str]) -> None:
    """Write `manifest.csv`; cells that a spreadsheet would take for a formula are guarded."""
    import pyarrow.csv

    for at, field in enumerate(manifest.schema):
        if field.type == pa.string():
            cells = [text and guard_cell(text) for text in manifest[at].to_pylist()]
            manifest = manifest.set_column(at, field, pa.array(cells, field.type))
    sink = BytesIO()
    pyarrow.csv.write_csv(manifest, sink)
    with storage_errors(Path(to)):
        _write(Path(to) / MANIFEST, sink.getvalue())


def export_part(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Export images (worker function)."""
    return batch.make_rows(images, options, _export, SCHEMA)


def _export(image: Image, frames: Frames, options: dict[str, Any], number: int) -> dict[str, Any]:
    """Export one frame; return its row of the manifest."""
    wanted = image.row["frames"]
    if wanted is not None and number not in wanted:
        return {"status": "no_label", "text": "NO_LABEL: no row in the label file"}
    shape = frames.form.shape
    area = _area(image.row["crop"], shape)
    size = options["size"] if area is None else None  # a crop is shrunk once it is cut out
    if options["format"] in _DISPLAY:
        result = _render(image, number, size, options["window"])
    else:
        frame = read_frame(frames, number, size=size, settings=options["settings"])
        pipeline = read_pipeline(frames.header, number)
        result = _convert(frame, pipeline, shape, size, options["format"])
    if area is not None:
        result = _cut(result, area, options["size"])
    name: str = image.row["name"]
    if len(frames) > 1:
        name = f"{name}_{number:04}"
    return _save(result, name, area or (0, 0, shape[1], shape[0]), options)


def _area(crop: Sequence[float] | None, shape: Sequence[int]) -> Area | None:
    """Whole stored pixels that a crop touches, within the image.

    >>> _area([10.5, -3, 20.2, 900], (100, 50))
    (10, 0, 21, 100)
    """
    if crop is None:
        return None
    x0, y0, x1, y1 = crop
    area = max(0, floor(x0)), max(0, floor(y0)), min(shape[1], ceil(x1)), min(shape[0], ceil(y1))
    if area[0] >= area[2] or area[1] >= area[3]:
        size = f"{shape[1]} x {shape[0]} pixels"
        raise UsageError(f"crop {x0:g}, {y0:g}, {x1:g}, {y1:g} is outside the image of {size}")
    return area


def _cut(result: _Exported, area: Area, size: int | None) -> _Exported:
    x0, y0, x1, y1 = area
    pixels = result.pixels[y0:y1, x0:x1]
    small = pixels if size is None else shrink(pixels, size)
    return replace(result, pixels=small, exact=result.exact and small is pixels)


def _failed(folder: Path, format: Format) -> Callable[[pa.Table, str, str], pa.Table]:
    """Return the function for images that crashed a worker: it deletes their files."""
    fail = batch.failed_rows(SCHEMA)

    def rows(image: pa.Table, status: str, text: str) -> pa.Table:
        name, suffix = escape(image["name"][0].as_py()), _SUFFIXES[format]
        for pattern in (f"{name}.{suffix}", f"{name}_[0-9]*.{suffix}"):
            for path in folder.glob(pattern):
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


def _save(result: _Exported, name: str, area: Area, options: dict[str, Any]) -> dict[str, Any]:
    """Write a file that shows an area of stored pixels; return its values in the manifest."""
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
        "scale_x": columns / (area[2] - area[0]),
        "scale_y": rows / (area[3] - area[1]),
        "left": area[0],
        "top": area[1],
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

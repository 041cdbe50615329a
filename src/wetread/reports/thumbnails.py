"""Decode all thumbnails of a report in worker processes, within a size budget."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.display.plot import square_pixels
from wetread.images import batch
from wetread.reports.blocks import Request, Thumbnail
from wetread.reports.markup import cut
from wetread.settings import Settings
from wetread.table.query import open_queries
from wetread.table.rows import IndexRows

MAX_COUNT = 60
"""Maximum number of thumbnails."""
MAX_BYTES = 450_000
"""Maximum total size of the JPEGs; base64 adds a third."""
_MARKUP = 200
"""Upper bound of the markup around a thumbnail, in bytes before base64."""
SIDE, CROP_SIDE = 160, 224
"""Longest side of a whole image and of a crop, in pixels."""
QUALITY = 72
FUNCTION = "wetread.reports.thumbnails:draw_part"
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("number", pa.int32()),
        ("jpeg", pa.binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("reason", pa.string()),
    ]
)


def draw(
    index: IndexRows,
    requests: Iterable[Request],
    room: int,
    workers: int | None = None,
    progress: bool = False,
    settings: Settings = Settings(),
    most: int = MAX_COUNT,
) -> dict[Request, Thumbnail]:
    """Thumbnails by request, in order, at most `most`, until the budget is used.

    `room` is the number of bytes by which the file may grow. An image that cannot be decoded, or
    that crashes its worker, gets the reason instead.
    """
    times = Counter(requests)  # a repeated thumbnail is stored repeatedly
    unique = list(times)[:most]
    if not unique:
        return {}
    images = _rows(index, unique)
    options: dict[str, Any] = {"root": index.root}
    results = batch.run(FUNCTION, images, options, _failed, workers, progress, settings)
    rows = sorted((r for table in results for r in table.to_pylist()), key=lambda r: r["number"])
    pictures, used = {}, 0
    limit = min(MAX_BYTES, room * 3 // 4)
    for row in rows:
        request = unique[row["number"]]
        used += times[request] * (len(row["jpeg"] or b"") + _MARKUP)
        if used <= limit:
            pictures[request] = _thumbnail(row)
    return pictures


def _rows(index: IndexRows, requests: list[Request]) -> pa.Table:
    """Rows for the workers: one per request whose image exists."""
    columns = ", ".join(f"index.{name}" for name in batch.COLUMNS)
    table = pa.table(
        {
            "image": pa.array([one.id for one in requests], pa.string()),
            "number": pa.array(range(len(requests)), pa.int32()),
            "frame": pa.array([one.frame for one in requests], pa.int32()),
            "crop": pa.array([one.crop for one in requests], pa.list_(pa.float64())),
        }
    )
    sql = (
        f"SELECT {columns}, number, frame, crop FROM requests "
        "JOIN index ON index.id = requests.image WHERE pixel_length IS NOT NULL ORDER BY number"
    )
    with open_queries(index) as run_query:
        return run_query(sql, requests=table)


def _thumbnail(row: dict[str, Any]) -> Thumbnail:
    if row["jpeg"] is None:
        return Thumbnail(reason=cut(row["reason"] or "no thumbnail", 90))
    source = f"data:image/jpeg;base64,{b64encode(row['jpeg']).decode()}"
    return Thumbnail(source, row["width"], row["height"])


def draw_part(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Draw a chunk of requests; called by the workers."""
    settings = Settings.from_json(options["settings"])
    rows = [_draw(row, options["root"], settings) for row in images.to_pylist()]
    return pa.Table.from_pylist(rows, _SCHEMA)


def _draw(row: dict[str, Any], root: str, settings: Settings) -> dict[str, Any]:
    """Thumbnail of one request, or the reason why there is none; never raises."""
    result: dict[str, Any] = {"id": row["id"], "number": row["number"]}
    try:
        with batch.open_image(root, row, settings) as (image, frames):
            shape = frames.form.shape[:2]
            side = _side(shape, row["crop"])
            pixels = image.render(size=side, frame=row["frame"]).pixels
            pixels = square_pixels(_cropped(pixels, shape, row["crop"]), image.aspect)
            return {**result, **_encode(pixels, SIDE if row["crop"] is None else CROP_SIDE)}
    except BaseException as error:  # noqa: BLE001 - sorted out there
        problem = batch.explain(error)
        return {**result, "reason": f"no thumbnail: {_without_names(problem.text, row, root)}"}


def _without_names(text: str, row: dict[str, Any], root: str) -> str:
    """Reason without file names, which the report may not show."""
    name = f"{row['path']} {row['member'] or ''}".strip()
    text = text.removeprefix(f"{name}: ").replace(f"{root}/", "")
    for part in (name, row["path"], row["member"]):
        text = text.replace(part, "the file") if part else text
    return text


def _side(shape: tuple[int, ...], crop: list[float] | None) -> int:
    """Longest side to decode at, so that the crop has the pixels of its thumbnail."""
    longest = max(shape)
    if crop is None:
        return SIDE
    part = max(crop[2] - crop[0], crop[3] - crop[1], 1.0)
    return min(longest, max(SIDE, round(longest * CROP_SIDE / part)))


def _cropped(
    pixels: NDArray[np.uint8], shape: tuple[int, ...], crop: list[float] | None
) -> NDArray[np.uint8]:
    """Crop a rendered image; `crop` is in stored pixels."""
    if crop is None:
        return pixels
    down, across = pixels.shape[0] / shape[0], pixels.shape[1] / shape[1]
    left, right = _span(crop[0] * across, crop[2] * across, pixels.shape[1])
    top, bottom = _span(crop[1] * down, crop[3] * down, pixels.shape[0])
    return pixels[top:bottom, left:right]


def _span(low: float, high: float, most: int) -> tuple[int, int]:
    """Rounded range of at least one pixel."""
    start = min(max(round(low), 0), most - 1)
    return start, max(min(round(high), most), start + 1)


def _encode(pixels: NDArray[np.uint8], side: int) -> dict[str, Any]:
    """Encode as JPEG without metadata."""
    from PIL import Image as Pillow

    picture = Pillow.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((side, side), Pillow.Resampling.BOX)
    file = BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, optimize=True)
    return {"jpeg": file.getvalue(), "width": picture.width, "height": picture.height}


def _failed(image: pa.Table, status: str, text: str) -> pa.Table:
    """Result of a request that crashed its worker."""
    row = image.to_pylist()[0]
    reason = f"no thumbnail: {batch.explain_exit(status, text).text}"
    result = {"id": row["id"], "number": row["number"], "reason": reason}
    return pa.Table.from_pylist([result], _SCHEMA)

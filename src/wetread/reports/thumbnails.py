"""All pictures of a report at once, within one budget, decoded in processes that may die."""

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
from wetread.reports.blocks import Drawn, Request
from wetread.reports.markup import cut
from wetread.settings import Settings
from wetread.table.query import questions
from wetread.table.rows import IndexRows, check_files

MOST = 60
"""Pictures in a report."""
MOST_BYTES = 450_000
"""All of them together, as JPEG; base64 makes a third more of it."""
_MARKUP = 200
"""Bytes of the tag around a picture, before base64; an upper bound."""
SIDE, CROP_SIDE = 160, 224
"""The longest side of a whole image, and of a part of one."""
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
    content: IndexRows,
    requests: Iterable[Request],
    room: int,
    workers: int | None = None,
    progress: bool = False,
    settings: Settings = Settings(),
) -> dict[Request, Drawn]:
    """What became of each request; those beyond the budget are left out, the first come first.

    `room` is what the file may grow by, in bytes. An image that cannot be decoded, or ends its
    worker, gives the reason.
    """
    times = Counter(requests)  # a picture that is shown twice is in the file twice
    wanted = list(times)[:MOST]
    if not wanted:
        return {}
    check_files(content)
    images = _rows(content, wanted)
    options: dict[str, Any] = {"root": content.root}
    results = batch.run(FUNCTION, images, options, _failed, workers, progress, settings)
    rows = sorted((r for table in results for r in table.to_pylist()), key=lambda r: r["number"])
    pictures, used = {}, 0
    most = min(MOST_BYTES, room * 3 // 4)
    for row in rows:
        request = wanted[row["number"]]
        used += times[request] * (len(row["jpeg"] or b"") + _MARKUP)
        if used <= most:
            pictures[request] = _drawn(row)
    return pictures


def _rows(content: IndexRows, wanted: list[Request]) -> pa.Table:
    """What a worker needs to know of each request whose image exists."""
    columns = ", ".join(f"index.{name}" for name in batch.COLUMNS)
    asked = pa.table(
        {
            "wanted": pa.array([one.id for one in wanted], pa.string()),
            "number": pa.array(range(len(wanted)), pa.int32()),
            "frame": pa.array([one.frame for one in wanted], pa.int32()),
            "crop": pa.array([one.crop for one in wanted], pa.list_(pa.float64())),
        }
    )
    sql = (
        f"SELECT {columns}, number, frame, crop FROM asked JOIN index ON index.id = wanted "
        "WHERE pixel_length IS NOT NULL ORDER BY number"
    )
    with questions(content) as ask:
        return ask(sql, asked=asked)


def _drawn(row: dict[str, Any]) -> Drawn:
    if row["jpeg"] is None:
        return Drawn(reason=cut(row["reason"] or "no picture", 90))
    source = f"data:image/jpeg;base64,{b64encode(row['jpeg']).decode()}"
    return Drawn(source, row["width"], row["height"])


def draw_part(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Draws some requests: the engine's function."""
    settings = Settings.from_json(options["settings"])
    rows = [_draw(row, options["root"], settings) for row in images.to_pylist()]
    return pa.Table.from_pylist(rows, _SCHEMA)


def _draw(row: dict[str, Any], root: str, settings: Settings) -> dict[str, Any]:
    """The picture of one request, or why there is none, whatever happens."""
    made: dict[str, Any] = {"id": row["id"], "number": row["number"]}
    try:
        with batch.opened(root, row, settings) as (image, frames):
            shape = frames.form.shape[:2]
            side = _side(shape, row["crop"])
            pixels = image.render(size=side, frame=row["frame"]).pixels
            pixels = square_pixels(_cropped(pixels, shape, row["crop"]), image.aspect)
            return {**made, **_encode(pixels, SIDE if row["crop"] is None else CROP_SIDE)}
    except BaseException as error:  # noqa: BLE001 - sorted out there
        problem = batch.explain(error)
        return {**made, "reason": f"no picture: {_without_names(problem.text, row, root)}"}


def _without_names(text: str, row: dict[str, Any], root: str) -> str:
    """A reason that names no file: the report may not be allowed to."""
    name = f"{row['path']} {row['member'] or ''}".strip()
    text = text.removeprefix(f"{name}: ").replace(f"{root}/", "")
    for said in (name, row["path"], row["member"]):
        text = text.replace(said, "the file") if said else text
    return text


def _side(shape: tuple[int, ...], crop: list[float] | None) -> int:
    """At which size to decode, so that the part has as many pixels as it is shown with."""
    longest = max(shape)
    if crop is None:
        return SIDE
    part = max(crop[2] - crop[0], crop[3] - crop[1], 1.0)
    return min(longest, max(SIDE, round(longest * CROP_SIDE / part)))


def _cropped(
    pixels: NDArray[np.uint8], shape: tuple[int, ...], crop: list[float] | None
) -> NDArray[np.uint8]:
    """The part of a picture that `crop` says in stored pixels."""
    if crop is None:
        return pixels
    down, across = pixels.shape[0] / shape[0], pixels.shape[1] / shape[1]
    left, right = _span(crop[0] * across, crop[2] * across, pixels.shape[1])
    top, bottom = _span(crop[1] * down, crop[3] * down, pixels.shape[0])
    return pixels[top:bottom, left:right]


def _span(low: float, high: float, most: int) -> tuple[int, int]:
    """At least one pixel."""
    start = min(max(round(low), 0), most - 1)
    return start, max(min(round(high), most), start + 1)


def _encode(pixels: NDArray[np.uint8], side: int) -> dict[str, Any]:
    """A JPEG with nothing in it but pixels."""
    from PIL import Image as Pillow

    picture = Pillow.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((side, side), Pillow.Resampling.BOX)
    file = BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, optimize=True)
    return {"jpeg": file.getvalue(), "width": picture.width, "height": picture.height}


def _failed(image: pa.Table, status: str, text: str) -> pa.Table:
    """What becomes of a request that ended its worker."""
    row = image.to_pylist()[0]
    reason = f"no picture: {batch.explain_end(status, text).text}"
    made = {"id": row["id"], "number": row["number"], "reason": reason}
    return pa.Table.from_pylist([made], _SCHEMA)

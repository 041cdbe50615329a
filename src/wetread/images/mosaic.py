"""Contact sheet of many images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from wetread.common.html import to_text
from wetread.display.plot import square_pixels
from wetread.errors import UnknownNameError, UsageError
from wetread.images.image import Image
from wetread.table.query import query, where
from wetread.table.rows import IndexRows, all_rows, check_files
from wetread.table.summary import say_without_pixels

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageFont import FreeTypeFont

    from wetread.display.render import WindowLike

TILE = 160
"""Longest side of an image in the mosaic, in pixels."""
GAP = 8
LINE = 15
"""Height of a line of text, in pixels."""
MOST = 400
"""Maximum number of images."""
PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (235, 235, 235)


@dataclass(frozen=True, slots=True)
class _Tile:
    picture: Picture | str
    """Picture, or the reason why there is none."""
    captions: tuple[str, ...]


def mosaic(
    index: IndexRows, n: int, columns: str | Sequence[str], window: WindowLike = None
) -> Picture:
    """Draw `n` captioned images, spread evenly over the rows with pixels; see `Index.mosaic`."""
    names = [columns] if isinstance(columns, str) else list(columns)
    for name in names:
        if name not in index.schema.names:
            raise UnknownNameError("column", name, index.schema.names)
    if not 1 <= n <= MOST:
        raise UsageError(f"n must be between 1 and {MOST}, not {n}")
    images = _choose(index, n)
    if not images:
        reason = "none of these rows has pixels" if len(index) else "no row meets the condition"
        raise UsageError("; ".join([reason, *say_without_pixels(index)]))
    check_files(index)
    return _compose([_make_tile(image, names, window) for image in images])


def _choose(index: IndexRows, n: int) -> list[Image]:
    """Select images spread evenly over the rows with pixels."""
    ids = query(index, "SELECT id FROM index WHERE pixel_length IS NOT NULL")["id"]
    numbers = np.unique(np.linspace(0, len(ids) - 1, min(n, len(ids))).round().astype(int))
    chosen = ", ".join(f"'{id_}'" for id_ in ids.take(numbers).to_pylist())
    if not chosen:
        return []
    rows = all_rows(where(index, f"id IN ({chosen})"))
    return [Image(index.root, row) for row in rows.to_pylist()]


def _make_tile(image: Image, names: list[str], window: WindowLike) -> _Tile:
    from PIL import Image as Pillow

    captions = tuple(_caption(image, name) or "–" for name in names)
    try:
        pixels = square_pixels(image.display(window, TILE), image.aspect)
        picture = Pillow.fromarray(pixels)
        picture.thumbnail((TILE, TILE), Pillow.Resampling.BOX)
        return _Tile(picture, captions)
    except Exception as error:  # noqa: BLE001 - the error is shown in the tile
        reason = str(error).removeprefix(f"{image.name}: ").partition(";")[0]
        return _Tile(f"{Path(image.path).name}: {reason}", captions)


def _caption(image: Image, name: str) -> str:
    """Value as text; for the path, the whole one, of the member if it is in an archive."""
    if name == "path":
        return image.row["member"] or image.path
    return to_text(image.row[name])


def _compose(tiles: list[_Tile]) -> Picture:
    """Arrange tiles in rows, with a ratio of about 3 columns to 2 rows."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    across = min(len(tiles), max(1, round(math.sqrt(1.5 * len(tiles)))))
    down = -(-len(tiles) // across)
    step_x, step_y = TILE + GAP, TILE + GAP + LINE * len(tiles[0].captions)
    sheet = Pillow.new("RGB", (across * step_x + GAP, down * step_y + GAP), PAPER)
    draw, font, glyphs = ImageDraw.Draw(sheet), _load_font(), _list_glyphs()
    for number, tile in enumerate(tiles):
        x, y = GAP + number % across * step_x, GAP + number // across * step_y
        if isinstance(tile.picture, str):
            draw.rectangle((x, y, x + TILE - 1, y + TILE - 1), FAINT)
            lines = wrap(_drawable(tile.picture, glyphs), 24)[: TILE // LINE]
            draw.multiline_text((x + 4, y + 4), "\n".join(lines), INK, font, spacing=2)
        else:
            width, height = tile.picture.size
            sheet.paste(tile.picture, (x + (TILE - width) // 2, y + (TILE - height) // 2))
        for line, caption in enumerate(tile.captions):
            at = (x, y + TILE + 1 + line * LINE)
            draw.text(at, _fitted(_drawable(caption, glyphs), font), INK, font)
    return sheet


def _load_font() -> FreeTypeFont:
    """Load DejaVu Sans, which is part of matplotlib and includes Greek and Cyrillic."""
    from PIL import ImageFont

    return ImageFont.truetype(_font_path(), 11)


def _font_path() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")


def _list_glyphs() -> set[int]:
    """Code points of the characters that the font has."""
    from matplotlib.ft2font import FT2Font

    return set(FT2Font(str(_font_path())).get_charmap())


def _drawable(text: str, glyphs: set[int]) -> str:
    """Text with spaces for control characters, and escapes for what the font lacks."""
    known = "".join(c if ord(c) in glyphs or c.isspace() else ascii(c)[1:-1] for c in text)
    return "".join(c if c.isprintable() else " " for c in known)


def _fitted(text: str, font: FreeTypeFont) -> str:
    """Shorten text to the width of a tile; a path is shortened at the start."""
    if font.getlength(text) <= TILE:
        return text
    while text and font.getlength(f"{text}…") > TILE:
        text = text[1:] if "/" in text else text[:-1]
    return f"…{text}" if "/" in text else f"{text}…"

"""Pictures: write to a file, or print to the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wetread.cli.options import OutputFile, number_option
from wetread.errors import StorageError, UnknownNameError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_F = TypeVar("_F", bound=Callable[..., Any])
TERMINAL = 320
"""Longest side in pixels of a picture in a terminal."""


def window_option(command: _F) -> _F:
    """Option `--window`: a name, or a tuple (center, width)."""
    return click.option(
        "--window",
        callback=lambda ctx, param, text: text and parse_window(text),
        metavar="NAME|CENTER/WIDTH",
        help="auto, full, 1 (the file's first), 40/400, or for CT lung, bone, brain ...",
    )(command)


def output_option(command: _F) -> _F:
    """Option `-o`, passed as `to`."""
    return click.option(
        "-o",
        "--output",
        "to",
        type=OutputFile(),
        metavar="PICTURE",
        help="Output file: .png, .jpg or .tif (default: print to the terminal).",
    )(command)


def size_option(command: _F) -> _F:
    """Option `--size`."""
    return number_option("--size", "Longest side in pixels (never enlarged).", least=1)(command)


def parse_window(text: str) -> str | tuple[float, float]:
    """Parse a window of the command line.

    >>> parse_window("lung"), parse_window("-600/1500")
    ('lung', (-600.0, 1500.0))
    """
    center, slash, width = text.partition("/")
    if not slash:
        return text
    try:
        return float(center), float(width)
    except ValueError as error:
        raise UsageError(f"window {text!r}: give a name or CENTER/WIDTH, such as 40/400") from error


def check_output(to: str | None) -> None:
    """Check that there is a file or a terminal for the picture."""
    if to is None and not sys.stdout.isatty():
        raise UsageError("stdout is not a terminal: write the picture with -o picture.png")


def put_picture(pixels: NDArray[np.uint8], to: str | None) -> None:
    """Write a picture, or print it to the terminal."""
    if to is None:
        print_picture(pixels)
    else:
        save_picture(pixels, to)


def save_picture(pixels: NDArray[np.uint8], to: str) -> None:
    """Write a picture in the format of the suffix."""
    try:
        Path(to).write_bytes(to_bytes(pixels, Path(to).suffix))
    except OSError as error:
        raise StorageError(f"{to} cannot be written: {error.strerror}") from error


def to_bytes(pixels: NDArray[np.uint8], suffix: str) -> bytes:
    """Encode a picture, without metadata."""
    from PIL import Image

    formats = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
    if suffix.lower() not in formats:
        raise UnknownNameError("suffix of a picture", suffix, formats)
    file = BytesIO()
    Image.fromarray(pixels).save(file, formats[suffix.lower()])
    return file.getvalue()


def print_picture(pixels: NDArray[np.uint8]) -> None:
    """Print a picture as half-block characters, two pixels per character."""
    import numpy as np
    from rich.color import Color
    from rich.console import Console
    from rich.segment import Segment, Segments
    from rich.style import Style

    from wetread.imaging import shrink

    terminal = shutil.get_terminal_size()
    most = min(terminal.columns, TERMINAL), 2 * max(10, terminal.lines - 2)
    rows, columns = pixels.shape[:2]
    scale = min(most[0] / columns, most[1] / rows, 1)
    small = shrink(pixels, max(1, int(max(rows, columns) * scale)))
    if small.ndim == 2:
        small = np.repeat(small[..., None], 3, axis=-1)
    if len(small) % 2:
        small = np.concatenate([small, np.zeros_like(small[:1])])
    parts = []
    for upper, lower in zip(small[::2].tolist(), small[1::2].tolist(), strict=True):
        parts += [
            Segment("▀", Style(color=Color.from_rgb(*a), bgcolor=Color.from_rgb(*b)))
            for a, b in zip(upper, lower, strict=True)
        ]
        parts.append(Segment.line())
    Console().print(Segments(parts), end="")

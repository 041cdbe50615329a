"""Pixels: frames found, decoded, or decoded at a fraction of their resolution."""

from __future__ import annotations

from dataclasses import replace

from wetread.pixels.codecs import Frame, check_size, decode
from wetread.pixels.frames import Frames, open_frames
from wetread.pixels.reduced import decode_reduced
from wetread.settings import Settings


def read_frame(
    frames: Frames,
    frame: int = 0,
    *,
    size: int | None = None,
    short: bool = False,
    settings: Settings = Settings(),
) -> Frame:
    """One decoded frame.

    With `size`, at the smallest resolution of the code-stream whose longest side is at least
    `size` pixels; `Frame.scale` says which. With `short`, what an uncompressed frame lacks is zero.
    Raises DecodeError, and UsageError for a frame that does not exist.
    """
    check_size(frames.form, frames.length, settings)  # before anything is read
    data = frames.read(frame, short=short)
    if size is None:
        found = decode(data, frames.form, settings)
    else:
        found = decode_reduced(data, frames.form, size, settings)
    return replace(found, notes=(*frames.notes, *found.notes))


__all__ = [
    "Frame",
    "Frames",
    "decode",
    "decode_reduced",
    "open_frames",
    "read_frame",
]

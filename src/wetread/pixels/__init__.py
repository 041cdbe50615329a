"""Pixel decoding: locate frames, decode them in full or at reduced resolution."""

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
    """Decode one frame.

    Args:
        frames: frames of an instance.
        frame: frame number, from 0.
        size: decode the smallest resolution of the code-stream whose longest side is at least
            `size` pixels; `Frame.scale` tells which. Default: full resolution.
        short: accept a truncated uncompressed frame; missing values are zero.
        settings: limits of decoding.

    Raises:
        DecodeError: the frame cannot be decoded.
        UsageError: the frame does not exist.
    """
    check_size(frames.form, frames.length, settings)  # before reading
    data = frames.load(frame, short=short)
    if size is None:
        decoded = decode(data, frames.form, settings)
    else:
        decoded = decode_reduced(data, frames.form, size, settings)
    return replace(decoded, notes=(*frames.notes, *decoded.notes))


__all__ = [
    "Frame",
    "Frames",
    "decode",
    "decode_reduced",
    "open_frames",
    "read_frame",
]

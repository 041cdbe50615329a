"""The pixels of a pydicom data set in memory, through wetread's decoders and chain."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetread.chain import Chain, read_chain
from wetread.display import SAMPLE, Picture, render
from wetread.errors import DecodeError
from wetread.headers.encodings import UNDEFINED
from wetread.pixels import Frames, read_frame
from wetread.pixels.form import describe
from wetread.pixels.frames import ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset


def open_dataset(dataset: Dataset) -> Frames:
    """The frames of a data set whose pixels are in memory.

    Raises:
        DecodeError: it has no pixels, or its header announces an impossible image.
    """
    for tag in ELEMENTS:
        if tag in dataset and dataset[tag].value:
            element = dataset[tag]
            break
    else:
        raise DecodeError(f"no pixels: {describe(dataset)}")
    # Frames reads from a file and wants the head of the pixel element in front of its value.
    length = UNDEFINED if element.is_undefined_length else len(element.value)
    vr = str(element.VR)[:2].encode()
    head = struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, length)
    return Frames(BytesIO(head + element.value), dataset, len(head))


def stored_values(dataset: Dataset) -> NDArray[Any]:
    """The stored values of all frames: (rows, columns), with frames in front and RGB at the end."""
    return _join(values for values, _ in _frames(open_dataset(dataset)))


def scaled_values(dataset: Dataset) -> NDArray[np.float32]:
    """The modality values of all frames, in HU for most CT; shape as `stored_values`."""
    frames = open_dataset(dataset)
    return _join(_scale(values, chain) for values, chain in _frames(frames))


def scaled_frame(frames: Frames, number: int) -> NDArray[np.float32]:
    """The modality values of one frame."""
    return _scale(read_frame(frames, number).values, read_chain(frames.header, number))


def draw_frame(frames: Frames, number: int = 0) -> Picture:
    """One frame as a radiologist sees it: the file's own window, else the automatic one."""
    chain = read_chain(frames.header, number)
    frame = read_frame(frames, number)
    sample = None if chain.views else read_frame(frames, number, size=SAMPLE).values
    return render(frame, chain, None, sample)


def inverts(dataset: Dataset) -> bool:
    """Whether the largest value is black: MONOCHROME1, or Presentation LUT Shape INVERSE."""
    return read_chain(dataset).invert


def _frames(frames: Frames) -> Iterator[tuple[NDArray[Any], Chain]]:
    for number in range(len(frames)):
        yield read_frame(frames, number).values, read_chain(frames.header, number)


def _scale(stored: NDArray[Any], chain: Chain) -> NDArray[np.float32]:
    return (stored if stored.ndim == 3 else chain.to_modality(stored)).astype(np.float32)


def _join(frames: Iterator[NDArray[Any]]) -> NDArray[Any]:
    found = list(frames)
    return found[0] if len(found) == 1 else np.stack(found)

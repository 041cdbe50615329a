"""Pixels of a pydicom data set in memory."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetread.display.pipeline import Pipeline, read_pipeline
from wetread.errors import DecodeError
from wetread.headers.encodings import UNDEFINED
from wetread.pixels import Frames, read_frame
from wetread.pixels.form import describe
from wetread.pixels.frames import ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset


def open_dataset(dataset: Dataset) -> Frames:
    """Open the frames of a data set whose pixels are in memory.

    Raises:
        DecodeError: there are no pixels, or the header describes an invalid image.
    """
    for tag in ELEMENTS:
        if tag in dataset and dataset[tag].value:
            element = dataset[tag]
            break
    else:
        raise DecodeError(f"no pixels: {describe(dataset)}")
    # Frames reads a file with the head of the pixel element before its value.
    length = UNDEFINED if element.is_undefined_length else len(element.value)
    vr = str(element.VR)[:2].encode()
    head = struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, length)
    return Frames(BytesIO(head + element.value), dataset, len(head))


def stored_values(dataset: Dataset) -> NDArray[Any]:
    """Stored values of all frames: (rows, columns), frames first and RGB last."""
    return _join(values for values, _ in _frames(open_dataset(dataset)))


def scaled_values(dataset: Dataset) -> NDArray[np.float32]:
    """Modality values of all frames, in HU for most CT; shape as `stored_values`."""
    frames = open_dataset(dataset)
    return _join(_scale(values, pipeline) for values, pipeline in _frames(frames))


def scaled_frame(frames: Frames, number: int) -> NDArray[np.float32]:
    """Modality values of one frame."""
    return _scale(read_frame(frames, number).values, read_pipeline(frames.header, number))


def inverts(dataset: Dataset) -> bool:
    """Return True if the largest value is black: MONOCHROME1 or Presentation LUT INVERSE."""
    return read_pipeline(dataset).invert


def _frames(frames: Frames) -> Iterator[tuple[NDArray[Any], Pipeline]]:
    for number in range(len(frames)):
        yield read_frame(frames, number).values, read_pipeline(frames.header, number)


def _scale(stored: NDArray[Any], pipeline: Pipeline) -> NDArray[np.float32]:
    return (stored if stored.ndim == 3 else pipeline.to_modality(stored)).astype(np.float32)


def _join(frames: Iterator[NDArray[Any]]) -> NDArray[Any]:
    arrays = list(frames)
    return arrays[0] if len(arrays) == 1 else np.stack(arrays)

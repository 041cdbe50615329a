"""Shards: files of pictures, uint16 one after the other, that grow and are then mapped."""

from __future__ import annotations

import hashlib
import os
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.errors import CacheError
from wetread.table.files import storage_errors
from wetread.table.parts import new_name

HEADER = 128
"""Bytes before the pixels of a shard."""
PIXEL = np.dtype("<u2")
SHARD_PICTURES = 1024
"""Pictures in a shard."""


def shard_path(folder: Path, name: str) -> Path:
    """Where a shard is."""
    return folder / "shards" / f"{name}.npy"


def ends(lines: pa.Table) -> dict[str, int]:
    """The bytes that each shard must have for its pictures to be there."""
    pixels = np.asarray(lines["height"], np.int64) * np.asarray(lines["width"], np.int64)
    last = pa.table({"shard": lines["shard"], "end": np.asarray(lines["place"]) + pixels})
    found = last.group_by("shard").aggregate([("end", "max")]).to_pydict()
    both = zip(found["shard"], found["end_max"], strict=True)
    return {shard: HEADER + PIXEL.itemsize * end for shard, end in both}


def hash_picture(pixels: NDArray[np.uint16]) -> str:
    """16 hex digits of BLAKE2b over the shape and the pixels."""
    digest = hashlib.blake2b(f"{pixels.shape}".encode(), digest_size=8)
    digest.update(np.ascontiguousarray(pixels, PIXEL).data)
    return digest.hexdigest()


def map_shard(path: Path) -> NDArray[np.uint16]:
    """All pixels of a shard, mapped, not to be written to."""
    try:
        return np.asarray(np.memmap(path, PIXEL, "r", HEADER))
    except (OSError, ValueError) as error:
        raise CacheError(f"{path} cannot be read: {error}") from error


class Shelf:
    """Where a worker puts its pictures: shards of its own, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self._name = ""
        self._pixels = self._pictures = 0

    def put(self, pixels: np.ndarray[Any, Any]) -> dict[str, Any]:
        """Writes a picture; what the table says of where it is."""
        with storage_errors(self._folder):
            if self._file is None or self._pictures >= SHARD_PICTURES:
                self._begin()
            assert self._file is not None
            place = self._pixels
            self._file.write(np.ascontiguousarray(pixels, PIXEL).data)
            self._file.flush()
        self._pixels += pixels.size
        self._pictures += 1
        return {"shard": self._name, "place": place}

    def _begin(self) -> None:
        if self._file is not None:
            self._file.close()
        self._name, self._pixels, self._pictures = new_name(), 0, 0
        self._file = open(shard_path(self._folder, self._name), "xb")  # noqa: SIM115
        self._file.write(_head(0))


def sync_shard(path: Path) -> None:
    """Has what was written of a shard on the disk."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def close_shard(path: Path, end: int) -> None:
    """Cuts off what no line names, and says in the file's head how much there is."""
    with open(path, "r+b") as file:
        file.truncate(end)
        file.write(_head((end - HEADER) // PIXEL.itemsize))
        file.flush()
        os.fsync(file.fileno())


def _head(pixels: int) -> bytes:
    """What makes a shard a .npy file of one dimension."""
    head = BytesIO()
    shape = {"descr": PIXEL.str, "fortran_order": False, "shape": (pixels,)}
    np.lib.format.write_array_header_1_0(head, shape)
    assert len(head.getvalue()) == HEADER
    return head.getvalue()

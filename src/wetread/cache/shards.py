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

from wetread.common.files import storage_errors
from wetread.errors import CacheError
from wetread.table.parts import new_name

HEADER = 128
"""Bytes before the pixels of a shard."""
PIXEL = np.dtype("<u2")
SHARD_PICTURES = 1024
"""Pictures in a shard."""
_OPEN = 128
"""Shards that a process has open at once."""


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


class Pictures:
    """Pictures in shards, which are mapped when they are first read, anew in every process."""

    def __init__(self, folder: Path, rows: pa.Table) -> None:
        shards = rows["shard"].combine_chunks().dictionary_encode()
        self._paths = [shard_path(folder, name) for name in shards.dictionary.to_pylist()]
        self._shards = shards.indices.to_numpy(zero_copy_only=False)
        self._places = rows["place"].to_numpy()
        self._sizes = np.stack([rows["height"].to_numpy(), rows["width"].to_numpy()], axis=1)
        self._maps: dict[int, NDArray[np.uint16]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def size(self, i: int) -> tuple[int, int]:
        """Height and width."""
        return int(self._sizes[i, 0]), int(self._sizes[i, 1])

    def read(self, i: int) -> NDArray[np.uint16]:
        """(height, width), mapped, not to be written to.

        Raises CacheError where its shard cannot be read.
        """
        (height, width), place = self.size(i), int(self._places[i])
        pixels = self._map(int(self._shards[i]))[place : place + height * width]
        if pixels.size != height * width:
            path = self._paths[int(self._shards[i])]
            raise CacheError(f"{path} is damaged: it ends before a picture does")
        return pixels.reshape(height, width)

    def _map(self, shard: int) -> NDArray[np.uint16]:
        pixels = self._maps.get(shard)
        if pixels is None:
            if len(self._maps) >= _OPEN:
                self._maps.pop(next(iter(self._maps)))
            try:
                mapped = np.lib.format.open_memmap(self._paths[shard], "r")
            except (OSError, ValueError) as error:
                raise CacheError(f"{self._paths[shard]} cannot be read: {error}") from error
            if mapped.dtype != PIXEL or mapped.ndim != 1:
                raise CacheError(f"{self._paths[shard]} is damaged: not uint16 in one dimension")
            pixels = self._maps[shard] = np.asarray(mapped)
        return pixels

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}}


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

    def close(self) -> None:
        """Ends the shard that is open; the next picture begins another."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _begin(self) -> None:
        self.close()
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

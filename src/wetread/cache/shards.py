"""Shards: append-only .npy files of concatenated uint16 frames, read by memory-mapping."""

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
"""Size of the .npy header, in bytes."""
PIXEL = np.dtype("<u2")
SHARD_FRAMES = 1024
"""Maximum number of frames in a shard."""
_OPEN = 128
"""Maximum number of shards that a process maps at once."""


def shard_path(folder: Path, name: str) -> Path:
    """Path of a shard."""
    return folder / "shards" / f"{name}.npy"


def shard_sizes(rows: pa.Table) -> dict[str, int]:
    """Minimum size of each shard in bytes, from the rows of its frames."""
    pixels = np.asarray(rows["height"], np.int64) * np.asarray(rows["width"], np.int64)
    last = pa.table({"shard": rows["shard"], "end": np.asarray(rows["place"]) + pixels})
    ends = last.group_by("shard").aggregate([("end", "max")]).to_pydict()
    pairs = zip(ends["shard"], ends["end_max"], strict=True)
    return {shard: HEADER + PIXEL.itemsize * end for shard, end in pairs}


def hash_pixels(pixels: NDArray[np.uint16]) -> str:
    """BLAKE2b of the shape and the pixels: 16 hex digits."""
    digest = hashlib.blake2b(f"{pixels.shape}".encode(), digest_size=8)
    digest.update(np.ascontiguousarray(pixels, PIXEL).data)
    return digest.hexdigest()


class ShardReader:
    """Random access to frames in shards; each process maps a shard on first use."""

    def __init__(self, folder: Path, rows: pa.Table) -> None:
        shards = rows["shard"].combine_chunks().dictionary_encode()
        self._paths = [shard_path(folder, name) for name in shards.dictionary.to_pylist()]
        self._shards = shards.indices.to_numpy(zero_copy_only=False)
        self._offsets = rows["place"].to_numpy()
        self._sizes = np.stack([rows["height"].to_numpy(), rows["width"].to_numpy()], axis=1)
        self._maps: dict[int, NDArray[np.uint16]] = {}

    def __len__(self) -> int:
        return len(self._offsets)

    def size(self, i: int) -> tuple[int, int]:
        """Height and width of frame `i`."""
        return int(self._sizes[i, 0]), int(self._sizes[i, 1])

    def read(self, i: int) -> NDArray[np.uint16]:
        """Pixels of frame `i`, (height, width), memory-mapped and read-only.

        Raises:
            CacheError: its shard cannot be read.
        """
        (height, width), start = self.size(i), int(self._offsets[i])
        pixels = self._map(int(self._shards[i]))[start : start + height * width]
        if pixels.size != height * width:
            path = self._paths[int(self._shards[i])]
            raise CacheError(f"{path} is damaged: it ends within a frame")
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


class ShardWriter:
    """Append frames to shards of its own, `frames` to each; one writer per worker process."""

    def __init__(self, folder: Path, frames: int = SHARD_FRAMES) -> None:
        self._folder = folder
        self._most = frames
        self._file: BinaryIO | None = None
        self._name = ""
        self._pixels = self._frames = 0

    def write(self, pixels: np.ndarray[Any, Any]) -> dict[str, Any]:
        """Append a frame; its shard and offset, as the table has them."""
        with storage_errors(self._folder):
            if self._file is None or self._frames >= self._most:
                self._begin()
            assert self._file is not None
            start = self._pixels
            self._file.write(np.ascontiguousarray(pixels, PIXEL).data)
            self._file.flush()
        self._pixels += pixels.size
        self._frames += 1
        return {"shard": self._name, "place": start}

    def close(self) -> None:
        """Close the current shard; the next frame begins another."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _begin(self) -> None:
        self.close()
        self._name, self._pixels, self._frames = new_name(), 0, 0
        self._file = open(shard_path(self._folder, self._name), "xb")  # noqa: SIM115
        self._file.write(_header(0))


def sync_shard(path: Path) -> None:
    """Flush a shard to disk (fsync)."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def close_shard(path: Path, end: int) -> None:
    """Truncate a shard to `end` bytes and write its final .npy header."""
    with open(path, "r+b") as file:
        file.truncate(end)
        file.write(_header((end - HEADER) // PIXEL.itemsize))
        file.flush()
        os.fsync(file.fileno())


def _header(pixels: int) -> bytes:
    """The .npy header of a one-dimensional array."""
    header = BytesIO()
    fields = {"descr": PIXEL.str, "fortran_order": False, "shape": (pixels,)}
    np.lib.format.write_array_header_1_0(header, fields)
    assert len(header.getvalue()) == HEADER
    return header.getvalue()

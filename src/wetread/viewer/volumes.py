"""Volumes in memory, and the axial, coronal and sagittal planes cut from them."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from wetread.errors import DecodeError, LimitError, NotFoundError, UsageError
from wetread.series.affine import find_axes
from wetread.series.table import Series
from wetread.series.volume import Volume
from wetread.settings import MIB
from wetread.viewer import slabs
from wetread.viewer.decoder import Decoder
from wetread.viewer.encoding import compress, pack
from wetread.viewer.series import SeriesCatalogue, name_plane
from wetread.workers.local import count_cores

T = TypeVar("T")
Array = NDArray[Any]
Key = tuple[str, int]
"""Id of a series and number of a stack."""
PLANES = ("axial", "coronal", "sagittal")
_TIE = 1e-9
"""Rounding error of distances, in voxels or pixels, up to which they are equal."""
_ACROSS = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
"""Axes of each plane among those along z, y and x: through it, down and to the right."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """Voxels of a volume."""

    values: Array
    """Stored values of at most 16 bits or RGB; else modality values as float32."""
    scale: tuple[float, float] | None
    """Slope and intercept of stored values; None for modality values and colours."""

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.values.nbytes


class Sized(Protocol):
    """Value in the cache of volumes."""

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        ...


class VolumeCache(LRUCache[Any, Sized]):
    """Cache of the volumes and masks of one index, the last used ones within a size in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit, lambda one: one.nbytes)

    def make_room(self, need: int) -> None:
        """Remove what was not used for longest until there is room for so many bytes."""
        while self and self.currsize + need > self.maxsize:
            self.popitem()


class Cut(NamedTuple):
    """Axes of a plane: an axis of the array, and True if it runs from the last voxel."""

    through: tuple[int, bool]
    down: tuple[int, bool]
    right: tuple[int, bool]


class VolumeServer:
    """Planes of the volumes of one index; use from one event loop only.

    Volumes are decoded by the worker processes, one volume at a time, and kept in memory, the
    last used ones within `Settings.volume_cache_bytes`.
    """

    def __init__(
        self,
        series: SeriesCatalogue,
        decoder: Decoder,
        executor: Executor,
        cache: VolumeCache,
    ) -> None:
        self._series, self._decoder, self._executor = series, decoder, executor
        self._loaded, self._limit = cache, int(cache.maxsize)
        self._pending: dict[Key, asyncio.Task[Loaded]] = {}
        self._waiters: dict[Key, int] = {}
        self._one = asyncio.Lock()

    async def describe(self, series_id: str, stack: int) -> dict[str, Any]:
        """Shape, affine matrix and planes of a volume; `limit` says why it has no planes."""
        return await self._run(self._describe, series_id, stack)

    async def plane(
        self, series_id: str, stack: int, name: str, at: int, accepted: str
    ) -> tuple[bytes, dict[str, str]]:
        """Values of a plane through the voxels `at`, packed, and the HTTP headers for them.

        Raises:
            UsageError: no such plane.
            ProblemError: a slice cannot be decoded.
            LimitError: the volume is larger than `Settings.volume_cache_bytes`.
        """
        volume = await self._run(self._find, series_id, stack)
        loaded = await self._load((series_id, stack), volume)
        values = cut_plane(loaded.values, volume.affine, name, at)  # a copy

        def encode() -> tuple[bytes, dict[str, str]]:
            small = values.dtype.kind in "iu" and values.ndim == 2
            data, encoding = compress(pack(values) if small else values.tobytes(), accepted)
            dtype = values.dtype.name if values.ndim == 2 else "rgb8"
            headers = {
                "X-Wetread-Rows": str(values.shape[0]),
                "X-Wetread-Columns": str(values.shape[1]),
                "X-Wetread-Dtype": dtype,
                "X-Wetread-Scale": "1",
                "X-Wetread-Shift": "0",
            }
            if loaded.scale is not None:
                slope, intercept = loaded.scale
                headers |= {"X-Wetread-Slope": repr(slope), "X-Wetread-Intercept": repr(intercept)}
            return data, headers | ({"Content-Encoding": encoding} if encoding else {})

        return await self._run(encode)

    def _find(self, series_id: str, stack: int) -> Volume:
        stacks = self._series.series(series_id).stacks
        if not (0 <= stack < len(stacks) and stacks[stack].is_volume):
            raise NotFoundError("no such volume in this index")
        return stacks[stack].volume

    def _describe(self, series_id: str, stack: int) -> dict[str, Any]:
        volume = self._find(series_id, stack)
        series = self._series.series(series_id)
        middle = volume.slices[len(volume.slices) // 2]
        planes = [
            {"name": name, **_describe_plane(volume, cut)}
            for name, cut in zip(PLANES, _cuts(volume.affine), strict=True)
        ]
        return {
            "series": series_id,
            "stack": stack,
            "image": {"id": middle.id, "frame": middle.frame},
            "shape": volume.shape,
            "affine": volume.affine.tolist(),
            "spacing": volume.spacing,
            "pixel": _pixel(volume),
            "planes": planes,
            "oblique": _obliquity(volume.affine),
            "acquired": name_plane(series.stacks[stack].orientation),
            "slices": [(one.id, one.frame) for one in volume.slices],
            "limit": _refuse(volume, self._limit),
            "others": [_label(one) for one in self._others(series)],
        }

    def _others(self, series: Series) -> list[tuple[Series, int]]:
        """Volumes in the frame of reference of a series, its own included."""
        return [
            (one, number)
            for one in self._series.in_frame_of_reference(series)
            for number, stack in enumerate(one.stacks)
            if stack.is_volume
        ]

    async def _load(self, key: Key, volume: Volume) -> Loaded:
        """Voxels of a volume; concurrent requests share one load, cancelled if all have left."""
        if isinstance(cached := self._loaded.get(key), Loaded):
            return cached
        task = self._pending.get(key)
        if task is None:
            task = self._pending[key] = asyncio.ensure_future(self._read(key, volume))
            task.add_done_callback(lambda _: self._pending.pop(key, None))
        self._waiters[key] = self._waiters.get(key, 0) + 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiters[key] -= 1
            if not self._waiters[key]:
                del self._waiters[key]
                task.cancel()  # no effect on a finished task

    async def _read(self, key: Key, volume: Volume) -> Loaded:
        async with self._one:
            loaded = await self._decode(volume, stored=True)
            if loaded is None:  # values differ in type or rescale between slices
                loaded = await self._decode(volume, stored=False)
            assert loaded is not None
            self._loaded[key] = loaded
            return loaded

    async def _decode(self, volume: Volume, stored: bool) -> Loaded | None:
        """Decode a volume by slabs; None if its stored values cannot be one array."""
        values: Array | None = None
        scales: set[tuple[float, float] | None] = set()
        colour = volume.grid.samples > 1
        async with aclosing(self._read_slabs(volume, stored)) as parts:
            async for first, part, scale in parts:
                if colour and part.dtype != np.uint8:
                    raise DecodeError("colours of more than 8 bits have no planes")
                scales.add(scale)
                if stored and not colour and not (_is_small(part) and scale and len(scales) == 1):
                    return None
                if values is None:
                    values = self._allocate((len(volume.slices), *part.shape[1:]), part.dtype)
                if part.dtype != values.dtype or part.shape[1:] != values.shape[1:]:
                    return None
                values[first : first + len(part)] = part
        assert values is not None
        return Loaded(values, scales.pop() if stored and not colour else None)

    async def _read_slabs(
        self, volume: Volume, stored: bool
    ) -> AsyncGenerator[tuple[int, Array, tuple[float, float] | None], None]:
        """Yield the first slice of each slab, its values and rescale; some are decoded ahead."""
        waiting: deque[tuple[int, asyncio.Future[tuple[dict[str, Any], memoryview]]]] = deque()
        cuts = slabs.cut(volume, stored)
        try:
            while True:
                while len(waiting) <= count_cores() and (slab := next(cuts, None)):
                    first, task = slab
                    waiting.append((first, asyncio.ensure_future(self._decoder.slab(task))))
                if not waiting:
                    return
                first, future = waiting.popleft()
                metadata, data = await future
                part = np.frombuffer(data, metadata["dtype"]).reshape(metadata["shape"])
                scale = metadata["scale"]
                yield first, part, scale and (scale[0], scale[1])
        finally:
            for _, future in waiting:
                future.cancel()

    def _allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Array within the limit, for which others in the cache make room."""
        need = math.prod(shape) * dtype.itemsize
        if need > self._limit:
            raise LimitError(_explain(need, self._limit))
        self._loaded.make_room(need)
        return np.empty(shape, dtype)

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)


def cut_plane(values: Array, affine: NDArray[np.float64], name: str, at: int) -> Array:
    """Cut a plane along two axes of a volume, with square pixels, by nearest neighbour.

    The pixels have the smaller in-plane spacing of the slices, and lie on the grid that has the
    centre of voxel 0; of two voxels at equal distances the later one is taken, as ITK does.

    Args:
        values: (slices, rows, columns), or with colours.
        affine: (slice, row, column, 1) to LPS mm, 4 x 4.
        name: "axial", "coronal" or "sagittal": the plane that is nearest.
        at: voxel on the axis through the plane.

    Returns:
        (height, width), or with colours: head or front at the top, right side at the left.

    Raises:
        UsageError: no such plane.

    >>> cut_plane(np.arange(4).reshape(2, 1, 2), np.diag([2, 1.0, 1, 1]), "coronal", 0)
    array([[1, 3, 3],
           [0, 2, 2]])
    """
    cut = find_cut(affine, values.shape, name, at)
    axis = cut.through[0]
    return square_pixels(np.take(values, at, axis), affine, cut)


def find_cut(affine: NDArray[np.float64], shape: tuple[int, ...], name: str, at: int) -> Cut:
    """Axes of a plane of a volume; raises UsageError if there is no such plane."""
    if name not in PLANES:
        raise UsageError(f"plane must be one of {', '.join(PLANES)}")
    cut = _cuts(affine)[PLANES.index(name)]
    if not 0 <= at < shape[cut.through[0]]:
        raise UsageError(f"at must be from 0 to {shape[cut.through[0]] - 1}")
    return cut


def square_pixels(plane: Array, affine: NDArray[np.float64], cut: Cut) -> Array:
    """Plane with square pixels, by nearest neighbour; see `cut_plane`.

    Args:
        plane: voxels along the two other axes of the array, in their order.
        affine: (slice, row, column, 1) to LPS mm, 4 x 4.
        cut: axes of the plane.
    """
    if cut.down[0] > cut.right[0]:
        plane = np.swapaxes(plane, 0, 1)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    pixel = min(spacing[1:])
    down, right = (
        _nearest(size, spacing[axis] / pixel, flipped)
        for size, (axis, flipped) in zip(plane.shape, cut[1:], strict=False)
    )
    pixels: Array = plane[down[:, None], right]
    return pixels


def _nearest(size: int, step: float, flipped: bool) -> NDArray[np.intp]:
    """Voxel of each pixel, with voxels of `step` pixels."""
    index = np.floor(np.arange(count_pixels(size, step)) / step + 0.5 + _TIE).astype(np.intp)
    index = np.minimum(index, size - 1)
    return index[::-1] if flipped else index


def count_pixels(size: int, step: float) -> int:
    """Number of pixels from the centre of the first voxel to the end of the last one.

    >>> count_pixels(5, 1.0), count_pixels(2, 2.0)
    (5, 3)
    """
    return max(1, math.ceil((size - 0.5) * step - _TIE))


def _cuts(affine: NDArray[np.float64]) -> list[Cut]:
    """Axes of the axial, coronal and sagittal plane; see `wetread.series.planes`."""
    axes, against = find_axes(affine)
    flips = (not against[0], against[1], against[2])  # from the head, the front, the right
    return [Cut(*((axes[n], flips[n]) for n in order)) for order in _ACROSS]


def _describe_plane(volume: Volume, cut: Cut) -> dict[str, Any]:
    """Size of a plane in pixels and its axes in the array."""
    pixel, spacing, shape = _pixel(volume), volume.spacing, volume.shape
    rows, columns = (count_pixels(shape[axis], spacing[axis] / pixel) for axis, _ in cut[1:])
    axes = {
        name: {"axis": axis, "flipped": flipped, "step": spacing[axis] / pixel}
        for name, (axis, flipped) in cut._asdict().items()
    }
    return {"rows": rows, "columns": columns, **axes}


def _pixel(volume: Volume) -> float:
    """Side of the pixels of planes in mm."""
    return min(volume.spacing[1:])


def _obliquity(affine: NDArray[np.float64]) -> float:
    """Largest angle between an axis of the array and the nearest one of the patient, degrees."""
    cosines = np.abs(affine[:3, :3]) / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.clip(cosines.max(axis=0).min(), 0, 1))))


def _is_small(values: Array) -> bool:
    return values.dtype.kind in "iu" and values.dtype.itemsize <= 2


def _count_bytes(volume: Volume) -> int:
    """Size of the stored values, from the header of the first slice."""
    bits = volume.table["BitsAllocated"][0].as_py() or 16
    item = -(-bits // 8)
    return math.prod(volume.shape) * volume.grid.samples * (item if item <= 2 else 4)


def _refuse(volume: Volume, limit: int) -> str:
    """Reason why a volume has no planes; "" if it has."""
    if "PALETTE COLOR" in volume.table["PhotometricInterpretation"].to_pylist():
        return "Indices into a colour palette have no planes: only the slices are shown."
    need = _count_bytes(volume)
    return _explain(need, limit) if need > limit else ""


def _explain(need: int, limit: int) -> str:
    return (
        f"The volume needs {need / MIB:,.0f} MiB, more than Settings.volume_cache_bytes, "
        f"{limit / MIB:,.0f} MiB: only its slices are shown."
    )


def _label(volume: tuple[Series, int]) -> dict[str, Any]:
    """Entry of the list of volumes."""
    series, number = volume
    stack = series.stacks[number]
    return {
        "series": series.series_id,
        "stack": number,
        "modality": series.modality,
        "description": {"SeriesDescription": series.row["SeriesDescription"]},
        "number": series.row["SeriesNumber"],
        "plane": name_plane(stack.orientation),
        "slices": len(stack.slices),
        "divided_by": {name: str(value) for name, value in stack.divided_by.items()},
    }

"""Volume: a regularly spaced stack of slices, decoded on first use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.common.text import counted
from wetread.errors import DecodeError, LimitError, UsageError
from wetread.images.image import Image
from wetread.series.affine import read_spacing
from wetread.series.planes import Plane, draw_masks, draw_planes, join_planes, render_planes
from wetread.series.slices import Floats, Ints
from wetread.series.voxels import COLUMNS, Part, Voxels, read_voxels
from wetread.settings import GIB, Settings
from wetread.table.rows import IndexRows, fetch_rows
from wetread.workers.heartbeat import heartbeat

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wetread.display.plot import Outline
    from wetread.display.render import WindowLike

_FLOAT_BYTES = 4
_SAVED_RATE = 5e6
"""Bytes per second that a file is compressed and written with, at least."""


class Slice(NamedTuple):
    """Slice of a stack: an image, or a frame of a multi-frame image."""

    id: str
    """Id of the image in the index."""
    frame: int
    """Frame number, from 0."""
    position: float
    """Position on the normal of the stack, in mm."""


@dataclass(frozen=True)
class Grid:
    """Voxels of a volume in space."""

    shape: tuple[int, int, int]
    """Number of slices, rows and columns."""
    affine: Floats
    """(slice, row, column, 1) to LPS mm, 4 x 4."""
    samples: int = 1
    """Samples per pixel: 3 for colour."""


class Saved(NamedTuple):
    """Values in a file: modality value = slope x value + intercept."""

    dtype: str
    """NumPy type."""
    slope: float | None
    """None for modality values and colours."""
    intercept: float | None


class Overlay(Protocol):
    """Masks of many volumes, as `wetread.read_segments` returns them."""

    def over(self, volume: Volume) -> Iterable[Outline]:
        """Return the masks on a volume."""


class Volume:
    """Regularly spaced volume of one series; voxels are decoded on first use.

    Slice 0 has the lowest position on row x column; the axes of the arrays are (slices, rows,
    columns). A slice that is truncated or cannot be decoded raises DecodeError, one whose file is
    gone NotFoundError; the message begins with its name.

    >>> from pathlib import Path
    >>> import wetread as wr
    >>> from pydicom.data import get_testdata_file
    >>> index = wr.scan(Path(get_testdata_file("DICOMDIR")).parent, progress=False)
    >>> volume = index.series.where("volumes > 0")[0].volume
    >>> volume.shape, volume.spacing[0], volume.array.dtype
    ((5, 16, 16), 2.5, dtype('float32'))
    """

    def __init__(
        self,
        index: IndexRows,
        numbers: Ints,
        slices: list[Slice],
        grid: Grid,
        settings: Settings = Settings(),
        name: str = "",
        divided_by: dict[str, Any] | None = None,
    ) -> None:
        self._index, self._numbers, self._settings = index, numbers, settings
        self._name = name
        self.grid = grid
        """Shape and affine matrix."""
        self.slices = slices
        """Slices from the lowest position on row x column: id, frame, position in mm."""
        self.divided_by = divided_by or {}
        """Attributes that tell the volume from others at the same positions, with their values."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of slices, rows and columns."""
        return self.grid.shape

    @property
    def affine(self) -> Floats:
        """Affine matrix, 4 x 4 float64: (slice, row, column, 1) to (x, y, z, 1) in mm.

        Voxel coordinates are those of voxel centres; world coordinates are LPS, as in DICOM: x to
        the left, y to the back, z to the head of the patient (PS3.3 C.7.6.2.1.1).
        """
        return self.grid.affine.copy()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm of slices, rows and columns."""
        return read_spacing(self.grid.affine)

    @cached_property
    def table(self) -> pa.Table:
        """Rows of the index with the slices, in their order; the columns that reading needs."""
        return fetch_rows(self._index, self._numbers, COLUMNS)

    @cached_property
    def array(self) -> NDArray[np.float32]:
        """Modality values as float32 (slices, rows, columns), such as HU; kept once decoded.

        Each slice has its own Rescale Slope and Intercept, or Modality LUT (PS3.3 C.11.1).

        Raises:
            DecodeError: a slice cannot be decoded, or is a colour image.
            LimitError: the array is larger than `Settings.volume_bytes`; see `read`.
        """
        return self.read()

    @cached_property
    def stored(self) -> NDArray[Any]:
        """Stored values, integers (slices, rows, columns); RGB with a last axis of 3.

        Raises:
            DecodeError: a slice cannot be decoded.
            LimitError: the array is larger than `Settings.volume_bytes`; see `read`.
        """
        return self._decode(slice(None), stored=True).values

    def read(
        self, slices: slice = slice(None), *, stored: bool = False, short: bool = False
    ) -> NDArray[Any]:
        """Decode some slices: modality values as float32, or stored values.

        Args:
            slices: range of slices, such as `slice(100, 150)`; all by default.
            stored: return stored values.
            short: accept truncated frames: missing values are zero, in JPEG grey.

        Raises:
            DecodeError: a slice cannot be decoded.
            LimitError: the array is larger than `Settings.volume_bytes`.
            UsageError: `slices` is not a range that selects slices.
        """
        return self._decode(slices, stored=stored, short=short).values

    def save(self, path: str | os.PathLike[str]) -> Saved:
        """Write a NIfTI file, `.nii` or `.nii.gz`, in RAS coordinates.

        Stored integers are written if all slices have the same rescale, which becomes `scl_slope`
        and `scl_inter`, else modality values as float32; RGB of 8 bits as RGB24. The file appears
        under its name once it is complete.

        Returns:
            Type and rescale of the values in the file.

        Raises:
            DecodeError: a slice cannot be decoded.
            MissingExtraError: nibabel is not installed.
            StorageError: the file cannot be written; an earlier one is kept.
            UsageError: the suffix is neither .nii nor .nii.gz.
        """
        from wetread.series.nifti import check_path, save_nifti

        target = check_path(path)
        voxels = self._decode(slice(None), stored=True)
        colour = self.grid.samples > 1
        if voxels.scale is None and not colour:
            voxels = Voxels(self._decode(slice(None), stored=False).values, None)
        scale = None if colour else voxels.scale
        heartbeat(self._settings.decode_seconds + voxels.values.nbytes / _SAVED_RATE)
        save_nifti(target, voxels.values, self.grid.affine, scale)
        return Saved(str(voxels.values.dtype), *(scale or (None, None)))

    def show(
        self,
        window: WindowLike = None,
        axes: Sequence[Axes] | None = None,
        *,
        segments: Overlay | Iterable[Outline] | None = None,
        opacity: float = 0.3,
        at: tuple[int, int, int] | None = None,
    ) -> Sequence[Axes]:
        """Plot the axial, coronal and sagittal plane through the middle with matplotlib.

        The planes are those of the array nearest to the patient's axes, in their physical aspect
        ratio; letters name the sides of the patient.

        Args:
            window: as in `Image.display`; "auto" is computed from the middle slice.
            axes: three Axes to draw on (default: a new pyplot figure).
            segments: masks from `wetread.read_segments`, outlined; those of other volumes and those
                that are not aligned are left out.
            opacity: of their area, 0 to 1.
            at: slice, row and column that the planes go through (default: the middle).

        Returns:
            The Axes.
        """
        planes, caption = self._render(window, at)
        axes = draw_planes(planes, caption, axes)
        if segments is not None:
            outlines = segments.over(self) if hasattr(segments, "over") else segments
            draw_masks(axes, outlines, self.grid.affine, at, opacity)
        return axes

    def render(self, window: WindowLike = None) -> NDArray[np.uint8]:
        """Render the three planes of `show` as one picture, (height, width), at one scale.

        Args:
            window: as in `show`.

        Returns:
            Grey levels, or sRGB (height, width, 3) for colour; at most 1024 + 24 pixels wide.
        """
        return join_planes(self._render(window)[0])

    def _render(
        self, window: WindowLike = None, at: tuple[int, int, int] | None = None
    ) -> tuple[list[Plane], str]:
        """Planes, and a caption with shape, spacing and window."""
        middle = len(self.slices) // 2 if at is None else at[0]
        row = self._rows[middle]
        image = Image(self._index.root, {"problems": None, **row}, self._settings)
        colour = self.grid.samples > 1
        voxels = self.stored if colour else self.array
        frame = self.slices[middle].frame
        planes, view = render_planes(voxels, self.grid.affine, image, frame, window, at)
        return planes, self._caption() + (f", window {view.label}" if view else "")

    def _caption(self) -> str:
        shape = " x ".join(map(str, self.shape))
        spacing = " x ".join(f"{mm:.3g}" for mm in self.spacing)
        return ", ".join(filter(None, [self._name, shape, f"{spacing} mm"]))

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.table.to_pylist()
        return rows

    def _decode(self, slices: slice, *, stored: bool, short: bool = False) -> Voxels:
        if not isinstance(slices, slice):
            raise UsageError(f"slices={slices!r}: give a range, such as slices=slice(100, 150)")
        chosen = range(len(self.slices))[slices]
        if not chosen:
            raise UsageError(f"{slices} selects none of {counted(len(self.slices), 'slice')}")
        if self.grid.samples > 1 and not stored:
            raise DecodeError(
                f"{self._rows[0]['path']}: a colour image has no modality values; use stored"
            )
        self._check_size(chosen, stored)
        rows, frames = self._rows, [one.frame for one in self.slices]
        parts = [Part(rows[n], frames[n], place) for place, n in enumerate(chosen)]
        root, shape = self._index.root, self.shape[1:]
        return read_voxels(root, parts, shape, self._settings, stored=stored, short=short)

    def _check_size(self, chosen: range, stored: bool) -> None:
        """Raise LimitError for an array above the limit, before memory is allocated."""
        _, rows, columns = self.shape
        bits = self._rows[0]["BitsAllocated"] or 8 * _FLOAT_BYTES
        size = max(1, -(-bits // 8)) if stored else _FLOAT_BYTES
        one = rows * columns * self.grid.samples * size
        limit = self._settings.volume_bytes
        if (need := one * len(chosen)) > limit:
            some = max(1, limit // one)
            raise LimitError(
                f"{counted(len(chosen), 'slice')} of {rows} x {columns} need {need / GIB:.3g} "
                f"GiB, more than "
                f"Settings.volume_bytes, {limit / GIB:.3g} GiB: read a part, such as "
                f"volume.read(slices=slice(0, {some}))"
            )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Modality values, as `array`."""
        return np.array(self.array, dtype) if copy else np.asarray(self.array, dtype)

    def __repr__(self) -> str:
        return f"<Volume: {self._caption()}>"

    def _repr_html_(self) -> str:
        from wetread.common.html import picture_html

        try:
            planes, caption = self._render()
            shown: NDArray[np.uint8] | str = join_planes(planes)
        except Exception as error:  # noqa: BLE001 - any error is shown in the notebook
            shown, caption = str(error), self._caption()
        origin = " ".join(f"{mm:.6g}" for mm in self.grid.affine[:3, 3])
        return picture_html(shown, 1.0, "Volume", caption, {"origin, LPS mm": origin})

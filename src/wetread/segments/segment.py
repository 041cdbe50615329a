"""Segment: the mask of one SEG segment, RTSTRUCT ROI or NIfTI label, decoded on demand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetread.common.text import counted
from wetread.display.plot import COLOURS, Outline
from wetread.errors import GeometryError, LimitError, UsageError
from wetread.segments.contents import (
    ACCEPTABLE,
    UNPLACED,
    Bools,
    Description,
    Fit,
    Floats,
    LabelFile,
    Problem,
)
from wetread.segments.seg import SegFile
from wetread.series.volume import Volume
from wetread.settings import GIB, Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wetread.boxes.collection import Boxes
    from wetread.display.render import WindowLike

_MOST_PROBLEMS = 3
"""Problems that the message of an error names."""


class Segment:
    """One segment on the grid of the volume that it refers to; its mask is decoded on demand.

    Nothing is kept: each use of `mask` decodes it again.
    """

    def __init__(
        self,
        file: LabelFile,
        description: Description,
        fit: Fit | None,
        found: list[Problem],
        measure: Callable[[], dict[str, Any]],
        make_boxes: Callable[[], Boxes],
        accepted: Collection[str],
        settings: Settings,
    ) -> None:
        self._file, self._description, self._fit = file, description, fit
        self._found, self._measure, self._boxes = found, measure, make_boxes
        self._accepted, self._settings = accepted, settings

    @property
    def number(self) -> int:
        """Segment Number, ROI Number or label value."""
        return self._description.number

    @property
    def label(self) -> str | None:
        """Segment Label, ROI Name, or the name in nnU-Net's dataset.json."""
        return self._description.label

    @property
    def name(self) -> str:
        """Label, else the number."""
        return self.label or f"segment {self.number}"

    @property
    def row(self) -> dict[str, Any]:
        """Row of the table of segments, by column."""
        return self._measure()

    @property
    def voxels(self) -> int | None:
        """Number of voxels; None if they cannot be counted."""
        return self._measure()["voxels"]  # type: ignore[no-any-return]

    @property
    def volume_ml(self) -> float | None:
        """Volume in ml; None if the size of a voxel is unknown."""
        return self._measure()["volume_ml"]  # type: ignore[no-any-return]

    @property
    def aligned(self) -> bool | None:
        """True if the segment lies on the grid of its images, False if a problem says otherwise.

        None without images, and for contours: they have no grid that could be compared.
        """
        return find_alignment(self._file, self._found, self._fit, self._accepted)

    @property
    def volume(self) -> Volume | None:
        """Volume that the mask is on; None for a single slice, and without images."""
        return None if self._fit is None else self._fit.target.volume

    @property
    def slices(self) -> list[tuple[str, int]]:
        """Id and frame of the image of each slice of the mask; empty without images."""
        return [] if self._fit is None else self._fit.target.slices

    @property
    def modality(self) -> str | None:
        """Modality of the images."""
        return None if self._fit is None else self._fit.target.series["Modality"] or None

    @property
    def mask(self) -> Bools:
        """Mask on the grid of the volume, bool (slices, rows, columns); decoded at each use.

        A voxel of a FRACTIONAL segment belongs to the mask from the threshold of `read_segments`; a
        voxel of an ROI if its centre is inside the contours.

        Raises:
            GeometryError: the segment is not aligned with its images; the message names why.
            DecodeError: a frame cannot be decoded.
            LimitError: the mask is larger than `Settings.volume_bytes`.
        """
        return self.read()

    def read(self, slices: slice = slice(None)) -> Bools:
        """Decode the mask on some slices, bool (slices, rows, columns).

        Args:
            slices: range of slices, such as `slice(100, 150)`; all by default.

        Raises:
            GeometryError: see `mask`.
            DecodeError: see `mask`.
            LimitError: see `mask`.
            UsageError: `slices` is not a range.
        """
        if not isinstance(slices, slice) or slices.step not in (None, 1):
            raise UsageError(f"slices={slices!r}: give a range, such as slices=slice(100, 150)")
        fit = self._placed()
        chosen = range(fit.target.shape[0])[slices]
        result = np.zeros(self._check_size(len(chosen), 1), bool)
        for k, plane in self._file.planes(self.number, fit, chosen):
            result[k - chosen.start] |= plane
        return result

    @property
    def fractions(self) -> NDArray[np.float32]:
        """Fractions of a FRACTIONAL segment, float32 from 0 to 1; of others 0 and 1.

        Raises:
            GeometryError: see `mask`.
            DecodeError: see `mask`.
        """
        fit = self._placed()
        if not isinstance(self._file, SegFile):
            return self.mask.astype(np.float32)
        result = np.zeros(self._check_size(fit.target.shape[0], 4), np.float32)
        for k, plane in self._file.fractions(self.number, fit):
            np.maximum(result[k], plane, out=result[k])
        return result

    def native(self) -> tuple[Bools, Floats]:
        """Mask on the grid of its own file, which needs no images.

        Returns:
            Mask, bool (slices, rows, columns), and affine matrix, (slice, row, column, 1) to LPS
            mm: of a SEG the box of its frames.

        Raises:
            GeometryError: the file has no regular grid: contours, or frames at uneven distances.
            DecodeError: see `mask`.
        """
        fit = self._file.fit_itself()
        result = np.zeros(fit.target.shape, bool)
        for k, plane in self._file.planes(self.number, fit, range(fit.target.shape[0])):
            result[k] |= plane
        return result, fit.target.affine.copy()

    def boxes(self) -> Boxes:
        """Bounding boxes of the mask: one per slice with foreground, in stored pixels.

        Joined to the index of the images, so that everything that takes boxes takes them.

        Raises:
            GeometryError: see `mask`.
        """
        self._placed()
        return self._boxes()

    def outline(self) -> Outline:
        """Mask to draw over pictures of its volume, with its caption and colour."""
        return Outline(self.mask, self.caption, self.colour)

    @property
    def caption(self) -> str:
        """Name, and volume in ml if it is known."""
        amount = self.volume_ml
        return self.name + ("" if amount is None else f", {amount:.3g} ml")

    @property
    def colour(self) -> str:
        """Recommended display colour of the file, else one by number."""
        return self._description.colour or COLOURS[self.number % len(COLOURS)]

    def show(
        self,
        window: WindowLike = None,
        axes: Sequence[Axes] | None = None,
        opacity: float = 0.3,
    ) -> Sequence[Axes]:
        """Plot the volume with the outline of the segment, in three planes through its middle.

        Args:
            window: as in `Volume.show`.
            axes: three Axes to draw on (default: a new pyplot figure).
            opacity: of the area inside the outline, 0 to 1.

        Raises:
            GeometryError: see `mask`; or the images are not a volume.
        """
        fit = self._placed()
        if fit.target.volume is None:
            raise GeometryError(f"{self!r}: a single slice; show it as image.show(segments=...)")
        outline = self.outline()
        inside = np.argwhere(outline.mask)
        at = None
        if len(inside):
            k, row, column = inside[len(inside) // 2].tolist()
            at = (k, row, column)
        return fit.target.volume.show(window, axes, segments=[outline], opacity=opacity, at=at)

    def _placed(self) -> Fit:
        """Place on the images, or GeometryError."""
        wrong = [f for f in self._found if f.code in WRONG.difference(self._accepted)]
        if wrong:
            texts = [f"{f.code}: {f.text}" for f in wrong[:_MOST_PROBLEMS]]
            raise GeometryError(f"{self!r} is not aligned: {'; '.join(texts)}")
        if self._fit is None:
            raise GeometryError(
                f"{self!r} has no images: give their index, read_segments(files, images=index)"
            )
        return self._fit

    def _check_size(self, slices: int, size: int) -> tuple[int, int, int]:
        assert self._fit is not None
        _, rows, columns = self._fit.target.shape
        need, limit = slices * rows * columns * size, self._settings.volume_bytes
        if need > limit:
            raise LimitError(
                f"{counted(slices, 'slice', 'need')} {need / GIB:.3g} GiB, more than "
                f"Settings.volume_bytes, "
                f"{limit / GIB:.3g} GiB: read a part, such as read(slice(0, 100))"
            )
        return slices, rows, columns

    def __repr__(self) -> str:
        return f"<Segment {self._file.name}: {self.number}, {self.label or 'without label'}>"


WRONG = UNPLACED | ACCEPTABLE
"""Problems with which a segment is not aligned."""


def find_alignment(
    file: LabelFile, found: list[Problem], fit: Fit | None, accepted: Collection[str] = ()
) -> bool | None:
    """True if a segment is aligned, False if a problem says otherwise, None if that is unknown."""
    codes = {f.code for f in found}
    if codes & WRONG.difference(accepted):
        return False
    return True if fit is not None and file.has_grid else None

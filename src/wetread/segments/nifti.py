"""NIfTI label maps: integers on the grid of a volume, placed by their affine matrix."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wetread.errors import DecodeError, LimitError, MissingExtraError
from wetread.segments.contents import (
    Bools,
    Description,
    Fit,
    LabelFile,
    Measured,
    Pieces,
    Problem,
    Target,
    voxel_ml,
)
from wetread.segments.grids import Match, compare_volumes, turn
from wetread.segments.seg import split_labels
from wetread.settings import GIB, Settings
from wetread.workers.heartbeat import heartbeat

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

SUFFIXES = (".nii", ".nii.gz")
_TEMPLATES = {3: "Talairach", 4: "MNI 152", 5: "another template"}
"""Codes of an affine matrix to the coordinates of an atlas, not of the patient."""


class NiftiFile(LabelFile):
    """Labels of a NIfTI file; 0 is background.

    Args:
        path: the file.
        row: its row in the index of label files.
        cached: keeps the result of a function for a while, by key.
        settings: limits.

    Raises:
        DecodeError: it is not a label map.
        MissingExtraError: nibabel is not installed.
    """

    kind = "NIfTI"

    def __init__(
        self,
        path: Path,
        row: dict[str, Any],
        cached: Callable[[Any, Callable[[], Any]], Any],
        settings: Settings = Settings(),
    ) -> None:
        super().__init__(row)
        self._path, self._cached, self._settings = path, cached, settings
        self.reader = path.parent.name or None
        image = _open(path)
        self.shape = tuple(int(size) for size in image.shape)
        while len(self.shape) > 3 and self.shape[-1] == 1:
            self.shape = self.shape[:-1]
        if len(self.shape) != 3 or not all(self.shape):
            raise DecodeError(f"an array of shape {image.shape}, not of three dimensions")
        if 8 * np.prod(self.shape, dtype=np.int64) > settings.volume_bytes:
            limit = settings.volume_bytes / GIB
            raise LimitError(
                f"{self.shape} voxels, more than Settings.volume_bytes, {limit:.3g} GiB"
            )
        self.affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
        self._check_affine(image)
        names = _read_names(path)
        numbers = np.unique(self._labels()).tolist()
        for number in numbers[: settings.segments + 1]:
            if number:
                self.descriptions.append(Description(int(number), names.get(int(number))))
        if not self.descriptions:
            self.descriptions = [Description(1, names.get(1))]

    def _check_affine(self, image: Nifti1Image) -> None:
        header = image.header
        sform, qform = int(header["sform_code"]), int(header["qform_code"])
        if not sform and not qform:
            text = "sform_code and qform_code are 0: no place in space is stated"
            self.found.append(Problem("GRID_UNPLACED", text))
        elif not np.isfinite(self.affine).all() or not np.linalg.det(self.affine[:3, :3]):
            self.found.append(Problem("GRID_UNPLACED", "the affine matrix is singular"))
        elif name := _TEMPLATES.get(sform or qform):
            text = f"the affine matrix leads to the coordinates of {name}, not of the patient"
            self.found.append(Problem("FRAME_OF_REFERENCE_DIFFERS", text))
        elif sform and qform:
            ends = np.array([[0, 0, 0, 1], [*(n - 1 for n in self.shape), 1]], float).T
            apart = np.abs((image.get_sform() - image.get_qform()) @ ends).max()
            limit = (
                self._settings.grid_tolerance * np.linalg.norm(self.affine[:3, :3], axis=0).min()
            )
            if apart > max(limit, 1e-3):
                text = f"sform and qform are up to {apart:.3g} mm apart"
                self.found.append(Problem("AFFINES_DIFFER", text))

    def _labels(self) -> np.ndarray[Any, Any]:
        """All labels, along the axes of the file."""

        def read() -> np.ndarray[Any, Any]:
            heartbeat(self._settings.decode_seconds)
            try:
                values: np.ndarray[Any, Any] = np.asanyarray(_open(self._path).dataobj).reshape(
                    self.shape
                )
            except Exception as error:  # nibabel and gzip raise many kinds
                raise DecodeError(f"{type(error).__name__}: {error}") from error
            if values.dtype.kind not in "iub":
                if values.dtype.kind != "f" or not np.isfinite(values).all():
                    raise DecodeError(f"values of type {values.dtype}, not labels")
                whole = np.rint(values)
                if (whole != values).any() or np.abs(whole).max(initial=0) > 2**31:
                    raise DecodeError("values that are not whole numbers, not labels")
                values = whole.astype(np.int32)
            return values

        labels: np.ndarray[Any, Any] = self._cached(self.row["id"], read)
        return labels

    def fit(self, target: Target) -> Fit:
        """Compare the grid of the file with that of the images."""
        fit = Fit(target)
        if any(f.code == "GRID_UNPLACED" for f in self.found):
            return fit
        fit.data, found = compare_volumes(self.affine, self.shape, target, self._settings)
        if found is not None:
            fit.found.append(found)
        return fit

    def fit_itself(self) -> Fit:
        """Grid of the file, from its first slice on."""
        affine = self.affine[:, [2, 1, 0, 3]]
        shape = self.shape[2], self.shape[1], self.shape[0]
        return Fit(Target({}, None, shape, affine), data=Match((2, 1, 0), (1, 1, 1)))

    def measure(self, fit: Fit | None) -> Measured:
        """Count the voxels of all labels, slice by slice."""
        labels = self._labels()
        labels = labels.transpose(2, 1, 0) if fit is None else turn(labels, fit.data)
        known = {description.number for description in self.descriptions}
        rows: list[tuple[int, ...]] = []
        for k, plane in enumerate(labels):
            rows += [(number, k, count, *box) for number, count, box in split_labels(plane, known)]
        return Measured(Pieces.of(rows), voxel_ml=voxel_ml(self.affine))

    def planes(self, number: int, fit: Fit, slices: range) -> Iterator[tuple[int, Bools]]:
        """Mask of one label on some slices."""
        labels = turn(self._labels(), fit.data)
        for k in slices:
            yield k, labels[k] == number


def _open(path: Path) -> Nifti1Image:
    try:
        import nibabel
        from nibabel.imageglobals import LoggingOutputSuppressor
    except ImportError as error:
        raise MissingExtraError(f"{path}, a NIfTI file,", "nifti") from error
    try:
        with LoggingOutputSuppressor():  # repairs of the header
            image = nibabel.load(path)
    except Exception as error:  # nibabel raises many kinds
        raise DecodeError(f"not a NIfTI file: {error}") from error
    if not hasattr(image.header, "get_sform"):
        raise DecodeError("not a NIfTI file")
    return image


def _read_names(path: Path) -> dict[int, str]:
    """Names of labels by number, from the dataset.json of nnU-Net beside the file or above it."""
    for folder in path.parents[:2]:
        try:
            labels = json.loads((folder / "dataset.json").read_text())["labels"]
            return {int(n): str(name) for name, n in labels.items() if not isinstance(n, list)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return {}

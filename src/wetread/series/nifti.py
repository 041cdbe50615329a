"""NIfTI files of volumes, written with nibabel."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetread.common.files import written
from wetread.errors import DecodeError, MissingExtraError, UsageError
from wetread.series.affine import to_ras
from wetread.series.slices import Floats
from wetread.series.voxels import Scale

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

SUFFIXES = (".nii", ".nii.gz")
_SCANNER = 1
"""Code of an affine matrix in the coordinates of the scanner (NIFTI_XFORM_SCANNER_ANAT)."""
_FASTEST = 1
"""Level of libdeflate, which is twice as fast as zlib and packs as well."""
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def check_path(path: str | os.PathLike[str]) -> Path:
    """Check the suffix of a file, and that nibabel is installed.

    Raises:
        UsageError: the suffix is neither .nii nor .nii.gz.
        MissingExtraError: nibabel is not installed.
    """
    if not os.fspath(path).lower().endswith(SUFFIXES):
        raise UsageError(f"{path}: a volume is saved as .nii or .nii.gz")
    try:
        import nibabel  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("NIfTI", "nifti") from error
    return Path(path)


def save_nifti(path: Path, voxels: NDArray[Any], affine: Floats, scale: Scale | None) -> None:
    """Write a volume as one file, atomically.

    Args:
        path: file ending in .nii or .nii.gz.
        voxels: values as they are written, (slices, rows, columns), or with colours.
        affine: (slice, row, column, 1) to LPS mm.
        scale: modality value = slope x written value + intercept; None: written values are those.

    Raises:
        StorageError: the file cannot be written; there is none then, or the one of before.
        DecodeError: NIfTI has no such values.
    """
    image = make_image(voxels, affine, scale)
    with written(path) as file:
        if path.name.lower().endswith(".gz"):
            from imagecodecs import gzip_encode

            plain = BytesIO()
            image.to_stream(plain)
            file.write(gzip_encode(plain.getvalue(), level=_FASTEST))
        else:
            image.to_stream(file)


def make_image(voxels: NDArray[Any], affine: Floats, scale: Scale | None) -> Nifti1Image:
    """Image of nibabel, with the axes (column, row, slice) and RAS coordinates."""
    from nibabel.nifti1 import Nifti1Image

    if voxels.ndim == 4:
        if voxels.dtype != np.uint8:
            raise DecodeError(f"NIfTI has no colours of type {voxels.dtype}")
        voxels = np.ascontiguousarray(voxels).view(_RGB)[..., 0]
    image = Nifti1Image(voxels.T, to_ras(affine), dtype=voxels.dtype)
    image.set_sform(image.affine, _SCANNER)
    image.set_qform(image.affine, _SCANNER)
    image.header.set_xyzt_units("mm")
    if scale is not None:
        image.header.set_slope_inter(*scale)
    return image

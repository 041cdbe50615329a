"""Tensor classes of fastai for DICOM images. Importing this module imports fastai."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():  # torch and pandas warn about how fastai uses them
    warnings.simplefilter("ignore")
    from fastai.torch_core import TensorImage, TensorImageBW


class TensorDicom(TensorImage):  # type: ignore[misc]
    """`TensorImage` shown with the grey colour map."""

    _show_args = {"cmap": "gray"}  # noqa: RUF012 - as in fastai


class TensorCTScan(TensorImageBW):  # type: ignore[misc]
    """`TensorImageBW` shown with the colour map "bone"."""

    _show_args = {"cmap": "bone"}  # noqa: RUF012

"""The header of one source as a pydicom data set."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from wetread.settings import Settings
from wetread.sources import open_source

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset


def read_dataset(
    root: str,
    path: bytes,
    member: bytes = b"",
    settings: Settings = Settings(),  # noqa: B008
) -> FileDataset:
    """The header without pixels, whatever the file's preamble; warnings are findings elsewhere.

    Raises:
        OSError: the file cannot be read.
        Exception: pydicom's own, where it cannot read what the bytes hold.
    """
    from pydicom import dcmread

    with open_source(root, path, member, settings) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(stream, stop_before_pixels=True, force=True)

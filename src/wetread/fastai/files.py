"""Find and open DICOM files, as in fastai."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

EXTENSIONS = (".dcm", ".dicom")


class FileList(list[Any]):
    """List that can be indexed by lists of indices and masks; stands in for `L` of fastcore.

    >>> files = FileList("abcd")
    >>> files[[0, 2]], files[1:], files.map(str.upper)[[False, False, False, True]]
    ((#2) ['a', 'c'], (#3) ['b', 'c', 'd'], (#1) ['D'])
    """

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return FileList(super().__getitem__(index))
        if not isinstance(index, Iterable):
            return super().__getitem__(index)
        indices = np.asarray(list(index))
        indices = np.flatnonzero(indices) if indices.dtype == bool else indices
        return FileList(super(FileList, self).__getitem__(int(i)) for i in indices)

    def map(self, function: Callable[[Any], Any]) -> FileList:
        """Apply a function to every item."""
        return FileList(function(item) for item in self)

    def filter(self, function: Callable[[Any], bool]) -> FileList:
        """Return the items for which a function is true."""
        return FileList(item for item in self if function(item))

    def __repr__(self) -> str:
        shown = [repr(str(item)) for item in self[:10]] + ["..."] * (len(self) > 10)
        return f"(#{len(self)}) [{', '.join(shown)}]"


def get_dicom_files(
    path: str | os.PathLike[str],
    recurse: bool = True,
    folders: str | Iterable[str] | None = None,
) -> Any:
    """List files with the extension .dcm or .dicom, sorted by path, without hidden files.

    `wetread.scan` also finds DICOM files without these extensions.

    Args:
        path: folder. With `recurse`, a missing folder gives an empty list.
        recurse: search subfolders; links are followed.
        folders: names of the subfolders to search; "." stands for files directly in `path`.

    Returns:
        Paths, as `L` of fastcore if installed, else as a list with the same indexing.

    Raises:
        FileNotFoundError: the folder does not exist and `recurse` is False.
    """
    top = os.fspath(path)
    chosen = [folders] if isinstance(folders, str) else list(folders or ())
    files = _walk(top, chosen) if recurse else _list(top)
    paths = [Path(f) for f in files if os.path.splitext(f)[1].lower() in EXTENSIONS]
    return _list_type()(sorted(paths))


def _list(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.is_file() and not e.name.startswith(".")]
    return [os.path.join(folder, name) for name in names]


def _walk(top: str, chosen: list[str]) -> list[str]:
    """List all files below a folder, or below its `chosen` subfolders; visit each folder once."""
    paths: list[str] = []
    seen: set[str] = set()
    for folder, folders, files in os.walk(top, followlinks=True):
        only = chosen if folder == top else []
        real = os.path.realpath(folder)
        if real in seen:  # a link back, or a second link
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [n for n in folders if (n in only if only else not n.startswith("."))]
        if not only or "." in only:
            paths += [os.path.join(folder, n) for n in files if not n.startswith(".")]
    return paths


def _list_type() -> Callable[[list[Path]], Any]:
    try:
        from fastcore.foundation import L
    except ImportError:
        return FileList
    return L  # type: ignore[no-any-return]


def dcmread(fn: str | os.PathLike[str] | BinaryIO, force: bool = False) -> FileDataset:
    """Read a DICOM file as a pydicom data set, with pixels.

    Files without preamble or File Meta are accepted as in `wetread.scan`, with the transfer syntax
    detected from the first bytes.

    Args:
        fn: path or file object.
        force: also read files that `wetread.scan` does not recognise as DICOM.

    Raises:
        pydicom.errors.InvalidDicomError: not DICOM, and not `force`.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError
    from pydicom.uid import UID

    start = fn.tell() if hasattr(fn, "tell") else 0
    syntax = ""
    try:
        dataset = pydicom.dcmread(fn, force=force)
    except InvalidDicomError:
        syntax = _find_syntax(fn, start)
        if not syntax:
            raise
        dataset = pydicom.dcmread(fn, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        syntax = syntax or _find_syntax(fn, start)
        if syntax:
            dataset.file_meta.TransferSyntaxUID = UID(syntax)
    return dataset


def _find_syntax(fn: str | os.PathLike[str] | BinaryIO, start: int) -> str:
    """Detect the transfer syntax of a file from its bytes; "" if it is not DICOM."""
    from wetread.headers.dataset import find_syntax
    from wetread.settings import Settings

    with open(fn, "rb") if isinstance(fn, str | os.PathLike) else nullcontext(fn) as file:
        syntax = find_syntax(file, Settings())
        file.seek(start)
    return syntax or ""


def png16read(self: Path) -> NDArray[np.uint16]:
    """Read a picture file with Pillow as uint16."""
    from PIL import Image

    with Image.open(self) as image:
        return np.asarray(image).astype(np.uint16)

"""Problem and opening DICOM files, as fastai does it."""

from __future__ import annotations

import os
import time
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
    """A list that takes lists of places and masks too: what there is of fastcore's L without it.

    >>> files = FileList("abcd")
    >>> files[[0, 2]], files[1:], files.map(str.upper)[[False, False, False, True]]
    ((#2) ['a', 'c'], (#3) ['b', 'c', 'd'], (#1) ['D'])
    """

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return FileList(super().__getitem__(place))
        if not isinstance(place, Iterable):
            return super().__getitem__(place)
        chosen = np.asarray(list(place))
        places = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return FileList(super(FileList, self).__getitem__(int(i)) for i in places)

    def map(self, function: Callable[[Any], Any]) -> FileList:
        """What a function makes of every item."""
        return FileList(function(item) for item in self)

    def filter(self, function: Callable[[Any], bool]) -> FileList:
        """The items of which a function says yes."""
        return FileList(item for item in self if function(item))

    def __repr__(self) -> str:
        shown = [repr(str(item)) for item in self[:10]] + ["..."] * (len(self) > 10)
        return f"(#{len(self)}) [{', '.join(shown)}]"


def get_dicom_files(
    path: str | os.PathLike[str],
    recurse: bool = True,
    folders: str | Iterable[str] | None = None,
) -> Any:
    """The files that end in .dcm or .dicom, sorted by path; hidden ones are passed over.

    Args:
        path: a folder. One that does not exist has no files; with `recurse=False` it is an error.
        recurse: look into its folders too; links are followed.
        folders: only these of the folders directly in it; "." is the files directly in it.

    Returns:
        Paths, as fastcore's `L` where fastcore is installed, else a list that behaves alike.
        Files without these extensions are found by `wetread.scan`, which looks inside.

    Raises:
        FileNotFoundError: with `recurse=False`, there is no such folder.
    """
    top = os.fspath(path)
    chosen = [folders] if isinstance(folders, str) else list(folders or ())
    files = _walk(top, chosen) if recurse else _list(top)
    found = [Path(f) for f in files if os.path.splitext(f)[1].lower() in EXTENSIONS]
    return _list_type()(sorted(found))


def _list(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.is_file() and not e.name.startswith(".")]
    return [os.path.join(folder, name) for name in names]


def _walk(top: str, chosen: list[str]) -> list[str]:
    """All files below a folder, or below the `chosen` ones in it; each folder once."""
    found: list[str] = []
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
            found += [os.path.join(folder, n) for n in files if not n.startswith(".")]
    return found


def _list_type() -> Callable[[list[Path]], Any]:
    try:
        from fastcore.foundation import L
    except ImportError:
        return FileList
    return L  # type: ignore[no-any-return]


def dcmread(fn: str | os.PathLike[str] | BinaryIO, force: bool = False) -> FileDataset:
    """A DICOM file as pydicom's data set, pixels included.

    A file without preamble or File Meta is read as a scan reads it: where its first bytes are a
    data set, with the transfer syntax that they are in.

    Args:
        fn: the file; as a method of `pathlib.Path`, the path.
        force: read also what a scan does not recognise as DICOM.

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
    """Transfer syntax of a file by its bytes; empty if it is not DICOM."""
    from wetread.headers.pages import FileReader
    from wetread.headers.single import walk_file
    from wetread.settings import Settings

    settings = Settings()
    with open(fn, "rb") if isinstance(fn, str | os.PathLike) else nullcontext(fn) as file:
        size = file.seek(0, os.SEEK_END)
        deadline = time.monotonic() + settings.header_seconds
        reader = FileReader(file, size, settings.header_bytes, deadline)
        walked = walk_file(reader, settings, deadline, whole=False)
        file.seek(start)
    return (walked.syntax or "") if walked.is_dicom else ""


def png16read(self: Path) -> NDArray[np.uint16]:
    """The pixels of a picture file that Pillow reads, as uint16."""
    from PIL import Image

    with Image.open(self) as image:
        return np.asarray(image).astype(np.uint16)

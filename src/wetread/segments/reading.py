"""Find and open label files: DICOM SEG, RTSTRUCT and NIfTI, recognised by their content."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from cachetools import LRUCache

from wetread.common.progress import Progress
from wetread.errors import NotFoundError, UnknownNameError, WetreadError
from wetread.images.image import Image
from wetread.segments import nifti, rtstruct, seg
from wetread.segments.contents import ACCEPTABLE, LabelFile, Problem, Unreadable
from wetread.segments.table import Segments
from wetread.settings import Settings
from wetread.sources.find import PathLike
from wetread.table.rows import IndexLike, IndexRows, all_rows
from wetread.table.scan import scan

_COLUMNS = (
    "id", "path", "path_bytes", "member", "member_bytes", "file_size", "mtime_ns", "etag",
    "read_status", "problems", "pixel_offset", "pixel_length", "transfer_syntax", "SOPClassUID",
    "SOPInstanceUID", "SeriesInstanceUID", "Modality", "MediaStorageSOPClassUID",
)  # fmt: skip
_MODALITIES = ("SEG", "RTSTRUCT")
_SUFFIXES = (".dcm", ".dicom", ".seg", ".ima")
_WHOLE = ("ok", "repaired")
_KEPT = 1
"""Decoded label maps and contours that are kept, of all files."""


def read_segments(
    files: PathLike | Iterable[PathLike] | IndexRows,
    images: IndexLike | None = None,
    *,
    threshold: float = 0.5,
    accept: Collection[str] = (),
    progress: bool = True,
    settings: Settings = Settings(),
) -> Segments:
    """Read masks and contours: one row per segment, ROI or label.

    DICOM SEG (BINARY, FRACTIONAL, LABELMAP), RTSTRUCT and NIfTI label maps are recognised by their
    content. Each file is placed on the volume that it refers to by UID; a NIfTI file, which has no
    references, on the volume whose series_id or Series Instance UID is in its path, else on the
    only one of the same grid. Masks are decoded one at a time, on demand.

    Args:
        files: a file, a folder, a glob, an archive, or a list of them; or an index of label files.
            Other files in a folder are left out.
        images: index of the images, or its folder. Without it alignment is unknown.
        threshold: least fraction of a voxel of a FRACTIONAL segment; 0 selects all above 0.
        accept: codes of problems that you have checked and with which segments are used all the
            same, such as `["FRAME_OF_REFERENCE_DIFFERS"]`; they stay in the table.
        progress: show a progress bar on stderr.
        settings: limits and tolerances.

    Raises:
        NotFoundError: there is no such file.
        UnknownNameError: a code in `accept` is none, or of a mask that cannot be placed at all.
        MissingExtraError: NIfTI files without the extra `nifti`.

    >>> import wetread as wr
    >>> from pydicom.data import get_testdata_file
    >>> segments = wr.read_segments(get_testdata_file("liver_1frame.dcm"), progress=False)
    >>> segments[0]
    <Segment liver_1frame.dcm: 1, Liver>
    """
    for code in accept:
        if code not in ACCEPTABLE:
            raise UnknownNameError("problem code that can be accepted", code, sorted(ACCEPTABLE))
    index = files if isinstance(files, IndexRows) else _scan(files, settings)
    rows = all_rows(index)
    names = [name for name in _COLUMNS if name in rows.column_names]
    chosen = [row for row in rows.select(names).to_pylist() if _may_be_labels(row)]
    opened = list(_open_all(index.root, chosen, threshold, make_cache(), settings, progress))
    given = None if images is None else IndexRows.of(images)
    return Segments(opened, index.root, given, settings, progress, tuple(accept))


def make_cache() -> Callable[[Any, Callable[[], Any]], Any]:
    """Function that keeps the last results of others, by key; see `open_labels`."""
    cache: LRUCache[Any, Any] = LRUCache(_KEPT)

    def cached(key: Any, compute: Callable[[], Any]) -> Any:
        if key not in cache:
            cache.clear()  # before the next one takes memory
            cache[key] = compute()
        return cache[key]

    return cached


def _scan(files: PathLike | Iterable[PathLike], settings: Settings) -> IndexRows:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no files: an error below
        index = scan(files, progress=False, settings=settings)
    if not len(index):
        raise NotFoundError(f"no files in {files}")
    return index


def _may_be_labels(row: dict[str, Any]) -> bool:
    """True for masks, contours, and files that cannot be read."""
    if row["path"].lower().endswith(nifti.SUFFIXES):
        return True
    status, kind = row["read_status"], _find_class(row)
    if status == "not_dicom":  # an empty or damaged file is a row, a text is none
        return str(row["path"]).lower().endswith(_SUFFIXES)
    if row["path"].endswith("/"):
        return False
    known = kind in (*seg.SOP_CLASSES, *rtstruct.SOP_CLASSES)
    return known or row.get("Modality") in _MODALITIES or kind is None


def _find_class(row: dict[str, Any]) -> str | None:
    """SOP class, else that of the File Meta group, the only one of a DICOMDIR."""
    return row.get("SOPClassUID") or row.get("MediaStorageSOPClassUID")


def _open_all(
    root: str,
    rows: list[dict[str, Any]],
    threshold: float,
    cached: Callable[[Any, Callable[[], Any]], Any],
    settings: Settings,
    progress: bool,
) -> Iterator[LabelFile]:
    for row in Progress(progress and len(rows) > 1, len(rows)).track(rows):
        try:
            yield open_labels(root, row, threshold, cached, settings)
        except ImportError:
            raise
        except (WetreadError, OSError) as error:
            yield Unreadable(row, str(error))


def open_labels(
    root: str,
    row: dict[str, Any],
    threshold: float,
    cached: Callable[[Any, Callable[[], Any]], Any],
    settings: Settings,
) -> LabelFile:
    """Open a label file by its row of an index.

    Args:
        root: folder of the index.
        row: the row.
        threshold: least fraction of a voxel of a FRACTIONAL segment.
        cached: keeps contours between uses; see `make_cache`.
        settings: limits.

    Raises:
        WetreadError: the file cannot be read.
    """
    if row["path"].lower().endswith(nifti.SUFFIXES):
        if row["member"]:
            return Unreadable(row, "a NIfTI file in an archive: unpack it")
        return nifti.NiftiFile(Path(root, row["path"]), row, cached, settings)
    image = Image(root, {"problems": None, **row}, settings)
    kind = _find_class(row) or image.header.get("SOPClassUID")
    file: LabelFile
    if kind in seg.SOP_CLASSES:
        file = seg.SegFile(image, threshold, settings)
    elif kind in rtstruct.SOP_CLASSES:
        file = rtstruct.RtFile(image, cached, settings)
    else:
        file = Unreadable(row, f"neither SEG nor RTSTRUCT: SOP class {kind or 'unknown'}")
    if row["read_status"] not in _WHOLE:
        codes = ", ".join(problem["code"] for problem in row.get("problems") or ())
        text = "the file is damaged" + (codes and f": {codes}")
        file.found.append(Problem("SEGMENT_UNREADABLE", text))
    return file

"""Join label files to an index: match image keys to index rows."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.boxes.groups import KEYS, group_images
from wetread.boxes.table import AnyBoxes
from wetread.common.text import parse_id
from wetread.errors import UsageError
from wetread.table.query import query

if TYPE_CHECKING:
    from wetread.images.image import Image
    from wetread.table.rows import IndexRows

NAMES = ("SOPInstanceUID", "MediaStorageSOPInstanceUID", "path", "root", "slice", "stem", "id")
"""Names by which a label file may identify an image, in the order in which they are tried: root is
the path without extension, slice is study/series/instance number."""
_SLICE = ("StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber")
EXTENSIONS = (
    ".dcm",
    ".dicom",
    ".dic",
    ".ima",
    ".png",
    ".jpg",
    ".jpeg",
    ".tif",
    ".tiff",
    ".bmp",
    ".npy",
)
"""File extensions removed from names; other suffixes stay, as UIDs contain dots."""
_SHOWN = 3


def join_boxes(boxes: AnyBoxes, index: IndexRows) -> AnyBoxes:
    """Add `image`, `group` and `part` from the index to the rows.

    A key is matched to the SOP Instance UID, else the Media Storage SOP Instance UID, the path (of
    an archive member: its path in the archive), the path without extension, study, series and
    instance number (`STUDY/SERIES/NUMBER`), the file name without folder and extension, or the
    row's `id`, after which `Index.export` names its files. A key with an image extension, as in
    label files made on exported images, is also tried without it. Of several files with one name,
    the one whose folders end like the key's is meant; folders are separated by `/` or by Windows'
    backslash. An unmatched key keeps a null `image`; `Boxes.check` lists it.

    Raises:
        UsageError: no key matches, or a key matches several files; with examples.
    """
    extra = [name for name in ("group", "part") if name in index.schema.names]
    rows = named_rows(index, *KEYS, *extra)
    keys = boxes.table["key"].unique().drop_null().to_pylist()
    numbers = find_rows(keys, rows)
    if keys and not numbers:
        known = ", ".join(map(repr, rows["path"][:_SHOWN].to_pylist())) or "no image"
        raise UsageError(
            f"no image of the index matches a key of the label file, such as "
            f"{', '.join(map(repr, keys[:_SHOWN]))}; the index has {known}"
            f"{_hint_zeros(keys, rows)}: is it the index of these images?"
        )
    groups = pa.array(group_images(rows).names, pa.string())
    if "group" in extra:  # null for images added after the split
        groups = pc.coalesce(rows["group"], groups)
    at = pa.array([numbers.get(key) for key in boxes.table["key"].to_pylist()], pa.int64())
    columns: dict[str, Any] = {"image": rows["id"].take(at), "group": groups.take(at)}
    if "part" in extra:
        columns["part"] = rows["part"].take(at)
    folder = None if index.folder is None else str(index.folder.absolute())
    return boxes.replace(columns, index=folder)


def named_rows(index: IndexRows, *more: str) -> pa.Table:
    """Images of an index with the columns that `find_rows` needs, and more."""
    slices = [name for name in _SLICE if name in index.schema.names]
    columns = dict.fromkeys(["id", "path", "member", *NAMES[:2], *slices, *more])
    names = ", ".join(f'"{name}"' for name in columns)
    return query(index, f"SELECT {names} FROM index WHERE pixel_length IS NOT NULL")


def joined(boxes: AnyBoxes, index: IndexRows) -> AnyBoxes:
    """Join the rows without an image to the index; other rows stay unchanged.

    Raises:
        UsageError: as `join_boxes`.
    """
    before, missing = boxes.table, boxes.table["image"].is_null()
    if not before["image"].null_count:
        return boxes
    new = join_boxes(boxes, index)
    after = new.table
    names = ("image", "group", "part")
    columns = {name: pc.if_else(missing, after[name], before[name]) for name in names}
    return new.replace(columns)


def find_rows(keys: list[str], rows: pa.Table) -> dict[str, int]:
    """Row number of each key; keys without a match are left out.

    Raises UsageError for a key that matches several rows and is not resolved by another name.
    """
    numbers: dict[str, int] = {}
    ambiguous: dict[str, list[int]] = {}
    for normalize in (str, to_posix, stem, _integer):  # unchanged first, then ever shorter
        for name in NAMES:
            matches: dict[str, list[int]] = defaultdict(list)
            for text, number in _names(rows, name):
                matches[text].append(number)
            for key in keys:
                match matches.get(normalize(key), ()) if key not in numbers else ():
                    case [number]:
                        numbers[key] = number
                    case [_, _, *_] as several:
                        ambiguous.setdefault(key, several)
    for key in ambiguous:
        if key not in numbers and (nearest := _find_nearest(key, ambiguous[key], rows)) is not None:
            numbers[key] = nearest
    unresolved = [key for key in ambiguous if key not in numbers]
    if unresolved:
        paths = rows["path"].take(ambiguous[unresolved[0]][:_SHOWN]).to_pylist()
        raise UsageError(
            f"{len(unresolved)} keys match several files each: {unresolved[0]!r} matches "
            f"{', '.join(map(repr, paths))}; name images by path or SOP Instance UID"
        )
    return numbers


def find_padded(keys: Iterable[str], rows: pa.Table) -> dict[str, str]:
    """File stem by key, for keys that are whole numbers and the stem with leading zeros."""
    stems = {text.lstrip("0"): text for text, _ in _names(rows, "stem") if text.isdecimal()}
    return {key: stems[short] for key in keys if (short := parse_id(stem(key))) in stems}


def _hint_zeros(keys: Iterable[str], rows: pa.Table) -> str:
    for key, name in find_padded(keys, rows).items():
        return (
            f"; {key!r} seems to be {name!r} without its leading zeros: export the table again "
            "with this column as text"
        )
    return ""


def _find_nearest(key: str, candidates: list[int], rows: pa.Table) -> int | None:
    """Candidate whose path has most folders at its end in common with a key; None of ties."""
    wanted = _parts(key)
    paths = (rows[name].take(candidates).to_pylist() for name in ("path", "member"))
    names = [_parts(member or path) for path, member in zip(*paths, strict=True)]
    pairs = [list(zip(wanted, parts, strict=False)) for parts in names]
    common = [len(list(takewhile(lambda pair: pair[0] == pair[1], both))) for both in pairs]
    best = max(common)
    return candidates[common.index(best)] if best > 1 and common.count(best) == 1 else None


def _parts(path: str) -> list[str]:
    """File name without extension, then its folders, upwards."""
    return without_extension(to_posix(path)).split("/")[::-1]


def _names(rows: pa.Table, name: str) -> Iterator[tuple[str, int]]:
    """Names of one kind (see NAMES) with their row numbers; empty ones are left out."""
    if name in rows.column_names and name != "path":
        texts = rows[name].to_pylist()
    elif name == "slice":
        if not set(_SLICE) <= set(rows.column_names):
            return iter(())
        parts = zip(*(rows[part].to_pylist() for part in _SLICE), strict=True)
        texts = [None if None in one else "/".join(map(str, one)) for one in parts]
    else:
        convert: dict[str, Callable[[str], str]] = {
            "path": str,
            "root": without_extension,
            "stem": stem,
        }
        members = zip(rows["path"].to_pylist(), rows["member"].to_pylist(), strict=True)
        texts = [convert[name](member or path) for path, member in members]
    return ((text, number) for number, text in enumerate(texts) if text)


def without_extension(path: str) -> str:
    """Path without its extension, if that is one of an image file.

    >>> without_extension("train/1.2.840.dcm"), without_extension("train/1.2.840")
    ('train/1.2.840', 'train/1.2.840')
    """
    root, extension = os.path.splitext(path)
    return root if extension.lower() in EXTENSIONS else path


def stem(path: str) -> str:
    """File name without folder and extension.

    >>> stem("train/000434271f63.dicom")
    '000434271f63'
    """
    return without_extension(os.path.basename(to_posix(path)))


def to_posix(path: str) -> str:
    r"""Path with slashes in place of Windows' backslashes.

    >>> to_posix("C:\\img\\1.png")
    'C:/img/1.png'
    """
    return path.replace("\\", "/")


def _integer(path: str) -> str:
    """File name of a whole number that pandas wrote as a float."""
    return parse_id(stem(path))


def rows_of(table: pa.Table, image: Image) -> list[Mapping[str, Any]]:
    """Rows of an image: by its id, or by its names for rows that are not joined."""
    row = image.row
    path = row["member"] or image.path
    names = {*(row.get(name) for name in NAMES[:2])}
    names |= {path, without_extension(path), stem(path), image.id}
    if all(row.get(part) is not None for part in _SLICE):
        names.add("/".join(str(row[part]) for part in _SLICE))
    by_id = pc.equal(table["image"], image.id)
    by_name = pc.and_(
        pc.is_null(table["image"]),
        pc.is_in(table["key"], pa.array([name for name in names if name])),
    )
    mask = np.asarray(pc.fill_null(pc.or_kleene(by_id, by_name), False))
    rows: list[Mapping[str, Any]] = table.filter(pa.array(mask)).to_pylist()
    return rows

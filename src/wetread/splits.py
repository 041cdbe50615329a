"""An honest split: nobody's images, and no picture, on two sides; labels spread evenly."""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.boxes.collection import Boxes
from wetread.boxes.groups import KEYS, group_images
from wetread.errors import UnknownNameError, UsageError
from wetread.settings import KIB
from wetread.sources.find import open_source, path_and_member
from wetread.table.extra_columns import join, join_index, joined_schema
from wetread.table.parts import locked
from wetread.table.query import query
from wetread.table.rows import AnyIndex, IndexRows, check_files

PARTS = {"train": 0.8, "valid": 0.2}
_SAMPLE = 4 * KIB
_COLUMNS = (
    "id, path, path_bytes, member, member_bytes, file_size, pixel_offset, pixel_length, Rows, "
    "Columns"
)


def split_rows(
    content: AnyIndex,
    boxes: Boxes | None = None,
    parts: Mapping[str, float] | None = None,
    folds: int | None = None,
    by: str | None = None,
    seed: int = 0,
) -> AnyIndex:
    """The rows with columns `part`, `fold` and `group`; see `wetread.split`."""
    shares = _check(parts, folds)
    images = query(content, f"{_select(content, by)} WHERE pixel_length IS NOT NULL ORDER BY id")
    if not images.num_rows:
        raise UsageError("no image to split: no row has pixels")
    grouping = group_images(images, by)
    if not grouping.certain:
        warnings.warn(f"split by {grouping.by}: {grouping.why}", UserWarning, stacklevel=3)
    if content.folder is not None:
        check_files(content)
    sets = _unite(grouping.names, *find_equal_pixels(content.root, images))
    number = _assign_images(images["id"].to_pylist(), sets, boxes, list(shares.values()), seed)
    names = list(shares)
    part = pa.nulls(len(number), pa.string()) if folds else pa.array([names[n] for n in number])
    fold = pa.array(number, pa.int32()) if folds else pa.nulls(len(number), pa.int32())
    how = {"by": grouping.by, "why": grouping.why, "seed": str(seed)}
    columns = pa.table(
        [images["id"], part, fold, pa.array(grouping.names)],
        schema=pa.schema(
            [
                ("id", pa.string()),
                ("part", pa.string()),
                ("fold", pa.int32()),
                pa.field("group", pa.string(), metadata=how),
            ]
        ),
    )
    return _keep(content, columns)


def _keep(content: AnyIndex, columns: pa.Table) -> AnyIndex:
    """The columns joined to the rows, in memory or on disk."""
    if content.folder is None:
        assert content.rows is not None
        schema = joined_schema(content.rows.schema, columns.schema)
        return replace(content, schema=schema, rows=join(content.rows, columns, schema))
    with locked(content.folder):
        join_index(content.folder, columns)
    return content.reopen()


def _check(parts: Mapping[str, float] | None, folds: int | None) -> dict[str, float]:
    if folds is not None:
        if parts is not None:
            raise UsageError("give parts or folds, not both")
        if folds < 2:
            raise UsageError(f"folds must be at least 2, not {folds}")
        return {str(number): 1 / folds for number in range(folds)}
    shares = dict(PARTS if parts is None else parts)
    if len(shares) < 2 or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise UsageError(f"parts {shares}: give two or more shares above 0 that add up to 1")
    return shares


def _select(content: IndexRows, by: str | None) -> str:
    have = content.schema.names
    if by is not None and by not in have:
        raise UnknownNameError("column", by, have)
    extra = [*KEYS, *(name for name in ("px_hash", "px_scale") if name in have), *([by] * bool(by))]
    wanted = dict.fromkeys(name for name in extra if name not in _COLUMNS.split(", "))
    names = ", ".join(f'"{name}"' for name in wanted)
    return f"SELECT {_COLUMNS}, {names} FROM index"


def find_equal_pixels(root: str, images: pa.Table) -> list[list[str]]:
    """What tells pictures apart, in two ways: equal texts, if not "", are equal pictures.

    The hash that `Index.measure` made of all pixels; and, unless it did so of every image, the
    bytes of the pixel element, which are read only of files whose size and a sample of the bytes
    are equal. A picture in two transfer syntaxes is seen only by the former.
    """
    hashes: list[str] = []
    if "px_hash" in images.column_names:
        pairs = zip(images["px_hash"].to_pylist(), images["px_scale"].to_pylist(), strict=True)
        hashes = [f"{h} {scale}" if h else "" for h, scale in pairs]
        if all(hashes):
            return [hashes]
    rows = images.select(_COLUMNS.split(", ")).to_pylist()
    alike = _alike(range(len(rows)), lambda place: _extent(rows[place]))
    alike = _alike(alike, lambda place: _digest(root, rows[place], sample=True))
    digests = [""] * len(rows)
    for place in alike:
        digests[place] = _digest(root, rows[place], sample=False)
    return [digests, *([hashes] if hashes else [])]


def _alike(places: Iterable[int], tell: Callable[[int], str]) -> list[int]:
    """The places of which another has the same text, "" aside."""
    found: dict[str, list[int]] = defaultdict(list)
    for place in places:
        found[tell(place)].append(place)
    return [p for text, same in found.items() if text and len(same) > 1 for p in same]


def _extent(row: Mapping[str, Any]) -> str:
    """What equal pixel elements must have in common."""
    return f"{row['Rows']} {row['Columns']} {_bytes(row)}"


def _bytes(row: Mapping[str, Any]) -> int:
    length = int(row["pixel_length"])
    return int(row["file_size"] or 0) - (row["pixel_offset"] or 0) if length < 0 else length


def _digest(root: str, row: Mapping[str, Any], *, sample: bool) -> str:
    """A hash of the pixel element, or of 4 KiB in its middle; "" where it cannot be read."""
    length = _bytes(row)
    start, count = (max(0, length // 2 - _SAMPLE // 2), _SAMPLE) if sample else (0, length)
    path, member = path_and_member(row)
    try:
        with open_source(root, path, member, size=row["file_size"]) as file:
            file.seek((row["pixel_offset"] or 0) + start)
            data = file.read(min(count, length - start))
    except OSError:
        return ""
    return f"{_extent(row)} {hashlib.blake2b(data, digest_size=16).hexdigest()}"


def _unite(groups: list[str], *tellings: list[str]) -> list[str]:
    """For each image the smallest key of the groups that equal pictures tie together."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for pictures in tellings:
        first: dict[str, str] = {}
        for group, picture in zip(groups, pictures, strict=True):
            if picture and (other := first.setdefault(picture, group)) != group:
                low, high = sorted((root(group), root(other)))
                parent[high] = low
    return [root(group) for group in groups]


def _assign_images(
    ids: list[str], sets: list[str], boxes: Boxes | None, shares: list[float], seed: int
) -> list[int]:
    """The number of the part, for each image."""
    names, at = np.unique(np.array(sets, object), return_inverse=True)
    if len(names) < len(shares):
        raise UsageError(
            f"{len(names)} groups cannot be split into {len(shares)} parts: what belongs to one "
            "patient or is the same picture stays together"
        )
    counts = np.zeros((len(names), 1), np.int64)
    if boxes is not None:
        present = _presence(ids, boxes)
        counts = np.zeros((len(names), present.shape[1] + 1), np.int64)
        np.add.at(counts[:, :-1], at, present)
    counts[:, -1] = np.bincount(at)
    order = [hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest() for name in names]
    rank = np.empty(len(names), np.int64)
    rank[sorted(range(len(names)), key=order.__getitem__)] = np.arange(len(names))
    return list(assign(counts, np.array(shares), rank)[at])


def _presence(ids: list[str], boxes: Boxes) -> NDArray[np.int64]:
    """(images, labels + 1): whether each label, or nothing, is on the image."""
    if boxes.table["image"].null_count == len(boxes) > 0:
        raise UsageError("boxes know no image of the index: join them first, boxes.join(index)")
    place = {id_: number for number, id_ in enumerate(ids)}
    labels = {label: number for number, label in enumerate(boxes.labels)}
    present = np.zeros((len(ids), len(labels) + 1), np.int64)
    columns = (boxes.table[name].to_pylist() for name in ("image", "label"))
    for image, label in zip(*columns, strict=True):
        if image in place:
            present[place[image], labels.get(label, len(labels))] = 1
    return present


def assign(
    counts: NDArray[np.int64], shares: NDArray[np.float64], rank: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Groups onto parts by iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011).

    The rarest label first: its groups go, the largest first, where most of it is missing.

    Args:
        counts: (groups, labels + 1) images with each label, then all images.
        shares: (parts,) that add up to 1.
        rank: (groups,) the order of groups of equal size.

    Returns:
        (groups,) the number of the part.

    >>> assign(np.array([[1, 2], [1, 2], [0, 2], [0, 2]]), np.array([0.5, 0.5]), np.arange(4))
    array([0, 1, 0, 1])
    """
    need = shares[:, None] * counts.sum(axis=0)
    part = np.full(len(counts), -1, np.int64)
    open_ = counts[:, :-1].astype(bool)
    while True:
        left = open_.sum(axis=0)
        if not left.any():
            break
        label = int(np.where(left > 0, left, len(counts) + 1).argmin())
        _deal(np.flatnonzero(open_[:, label]), label, counts, need, rank, part)
        open_[part >= 0] = False
    _deal(np.flatnonzero(part < 0), counts.shape[1] - 1, counts, need, rank, part)
    return _fill_empty(part, counts, len(shares))


def _deal(
    groups: NDArray[np.intp],
    label: int,
    counts: NDArray[np.int64],
    need: NDArray[np.float64],
    rank: NDArray[np.int64],
    part: NDArray[np.int64],
) -> None:
    """Gives groups to the part that needs the label most, then images most."""
    for group in groups[np.lexsort((rank[groups], -counts[groups, label]))]:
        best = max(range(len(need)), key=lambda p: (need[p, label], need[p, -1], -p))
        part[group] = best
        need[best] -= counts[group]


def _fill_empty(
    part: NDArray[np.int64], counts: NDArray[np.int64], parts: int
) -> NDArray[np.int64]:
    """A part that came away empty-handed takes the smallest group of the one with most."""
    for empty in set(range(parts)) - set(part.tolist()):
        most = int(np.bincount(part, minlength=parts).argmax())
        mine = np.flatnonzero(part == most)
        part[mine[counts[mine, -1].argmin()]] = empty
    return part


def find_leaks(content: IndexRows, column: str = "part", by: str | None = None) -> pa.Table:
    """The images of a group, or with the same picture, that a given split puts on two sides.

    Args:
        content: the rows.
        column: which part each row is in, by default what `wetread.split` wrote.
        by: the column that says whose an image is; see `group_images`.

    Returns:
        A row an image: `code` (LEAK_GROUP or LEAK_PIXELS), `shared` (the group, or the first path
        of the picture), `part`, `id`, `path`; sorted.

    Raises:
        UnknownNameError: there is no such column.
        UsageError: it is empty, so that there is nothing to check.
    """
    if column not in content.schema.names:
        raise UnknownNameError("column", column, content.schema.names)
    select = _select(content, by).replace(" FROM", f', CAST("{column}" AS VARCHAR) AS side FROM', 1)
    images = query(content, f"{select} WHERE pixel_length IS NOT NULL ORDER BY path, member")
    sides, paths, ids = (images[name].to_pylist() for name in ("side", "path", "id"))
    if not any(side is not None for side in sides):
        raise UsageError(f"no image has a {column!r}; after a split into folds it is 'fold'")
    if content.folder is not None:
        check_files(content)
    rows: set[tuple[str, ...]] = set()
    for code, names in (
        ("LEAK_GROUP", group_images(images, by).names),
        *(("LEAK_PIXELS", texts) for texts in find_equal_pixels(content.root, images)),
    ):
        members: dict[str, list[int]] = defaultdict(list)
        for place, name in enumerate(names):
            if name and sides[place] is not None:
                members[name].append(place)
        for name, places in members.items():
            if len({sides[p] for p in places}) > 1:
                shared = name if code == "LEAK_GROUP" else paths[places[0]]
                rows |= {(code, shared, sides[p], ids[p], paths[p]) for p in places}
    columns = list(zip(*sorted(rows), strict=True)) or [()] * 5
    arrays = [pa.array(list(values), pa.string()) for values in columns]
    return pa.table(arrays, names=["code", "shared", "part", "id", "path"])

"""Train/valid splits without patient or duplicate leakage, stratified by label."""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.boxes.collection import Boxes
from wetread.boxes.groups import KEYS, group_images
from wetread.common.text import counted
from wetread.errors import UnknownNameError, UsageError
from wetread.table.extra_columns import join, join_index, joined_schema
from wetread.table.parts import locked
from wetread.table.pixel_bytes import SOURCE_COLUMNS, describe_extent, digest_pixels
from wetread.table.query import query
from wetread.table.rows import AnyIndex, IndexRows, check_files

PARTS = {"train": 0.8, "valid": 0.2}
PIXEL_HASH = "px_xxh3"
"""Column with a hash of the pixels of each image, at the scale `px_scale`."""
_COLUMNS = ", ".join(("id", *SOURCE_COLUMNS))


def split_rows(
    index: AnyIndex,
    boxes: Boxes | None = None,
    parts: Mapping[str, float] | None = None,
    folds: int | None = None,
    by: str | None = None,
    seed: int = 0,
) -> AnyIndex:
    """Rows with columns `part`, `fold` and `group`; see `wetread.split`."""
    shares = _check(parts, folds)
    images = query(index, f"{_select(index, by)} WHERE pixel_length IS NOT NULL ORDER BY id")
    if not images.num_rows:
        raise UsageError("no image to split: no row has pixels")
    grouping = group_images(images, by)
    if not grouping.certain:
        warnings.warn(f"split by {grouping.by}: {grouping.why}", UserWarning, stacklevel=3)
    if index.folder is not None:
        check_files(index)
    sets = _unite(grouping.names, *find_equal_pixels(index.root, images))
    number = _assign_images(images["id"].to_pylist(), sets, boxes, list(shares.values()), seed)
    names = list(shares)
    part = pa.nulls(len(number), pa.string()) if folds else pa.array([names[n] for n in number])
    fold = pa.array(number, pa.int32()) if folds else pa.nulls(len(number), pa.int32())
    metadata = {"by": grouping.by, "why": grouping.why, "seed": str(seed)}
    columns = pa.table(
        [images["id"], part, fold, pa.array(grouping.names)],
        schema=pa.schema(
            [
                ("id", pa.string()),
                ("part", pa.string()),
                ("fold", pa.int32()),
                pa.field("group", pa.string(), metadata=metadata),
            ]
        ),
    )
    return _store(index, columns)


def _store(index: AnyIndex, columns: pa.Table) -> AnyIndex:
    """Join the columns to the rows, in memory or on disk."""
    if index.folder is None:
        assert index.rows is not None
        schema = joined_schema(index.rows.schema, columns.schema)
        return replace(index, schema=schema, rows=join(index.rows, columns, schema))
    with locked(index.folder):
        join_index(index.folder, columns)
    return index.reopen()


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


def _select(index: IndexRows, by: str | None) -> str:
    known = index.schema.names
    if by is not None and by not in known:
        raise UnknownNameError("column", by, known)
    extra = [
        *KEYS,
        *(name for name in (PIXEL_HASH, "px_scale") if name in known),
        *([by] * bool(by)),
    ]
    columns = dict.fromkeys(name for name in extra if name not in _COLUMNS.split(", "))
    names = ", ".join(f'"{name}"' for name in columns)
    return f"SELECT {_COLUMNS}, {names} FROM index"


def find_equal_pixels(root: str, images: pa.Table) -> list[list[str]]:
    """Fingerprints of the images, by one or two methods; equal ones, if not "", are duplicates.

    The pixel hash of `Index.measure`; and, unless every image has one, a hash of the bytes of the
    pixel element, which are read only from files of equal size and an equal sample of bytes. A
    duplicate in another transfer syntax is found by the pixel hash only.
    """
    hashes: list[str] = []
    if PIXEL_HASH in images.column_names:
        pairs = zip(images[PIXEL_HASH].to_pylist(), images["px_scale"].to_pylist(), strict=True)
        hashes = [f"{h} {scale}" if h else "" for h, scale in pairs]
        if all(hashes):
            return [hashes]
    rows = images.select(_COLUMNS.split(", ")).to_pylist()
    candidates = _duplicates(range(len(rows)), lambda i: describe_extent(rows[i]))
    candidates = _duplicates(candidates, lambda i: digest_pixels(root, rows[i], sample=True))
    digests = [""] * len(rows)
    for i in candidates:
        digests[i] = digest_pixels(root, rows[i], sample=False)
    return [digests, *([hashes] if hashes else [])]


def _duplicates(numbers: Iterable[int], fingerprint: Callable[[int], str]) -> list[int]:
    """Row numbers that share their fingerprint with another, unless it is ""."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number in numbers:
        groups[fingerprint(number)].append(number)
    return [n for text, same in groups.items() if text and len(same) > 1 for n in same]


def _unite(groups: list[str], *fingerprints: list[str]) -> list[str]:
    """Merge groups that share duplicate images; the smallest group name for each image."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for texts in fingerprints:
        first: dict[str, str] = {}
        for group, text in zip(groups, texts, strict=True):
            if text and (other := first.setdefault(text, group)) != group:
                low, high = sorted((root(group), root(other)))
                parent[high] = low
    return [root(group) for group in groups]


def _assign_images(
    ids: list[str], sets: list[str], boxes: Boxes | None, shares: list[float], seed: int
) -> list[int]:
    """Number of the part of each image."""
    names, at = np.unique(np.array(sets, object), return_inverse=True)
    if len(names) < len(shares):
        raise UsageError(
            f"{counted(len(names), 'group')} cannot be split into {len(shares)} parts: images "
            f"of one "
            "patient and duplicate images stay together"
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
    """(images, labels + 1): 1 for each label on the image; the last column is "nothing"."""
    if boxes.table["image"].null_count == len(boxes) > 0:
        raise UsageError("no box is joined to an image: call boxes.join(index) first")
    row = {id_: number for number, id_ in enumerate(ids)}
    labels = {label: number for number, label in enumerate(boxes.labels)}
    present = np.zeros((len(ids), len(labels) + 1), np.int64)
    columns = (boxes.table[name].to_pylist() for name in ("image", "label"))
    for image, label in zip(*columns, strict=True):
        if image in row:
            present[row[image], labels.get(label, len(labels))] = 1
    return present


def assign(
    counts: NDArray[np.int64], shares: NDArray[np.float64], rank: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Assign groups to parts by iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011).

    Starts with the rarest label; its groups, by falling size, go to the part that lacks it most.

    Args:
        counts: (groups, labels + 1): number of images with each label, and of all images.
        shares: (parts,): shares that add up to 1.
        rank: (groups,): order of groups of equal size.

    Returns:
        (groups,): number of the part.

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
        _distribute(np.flatnonzero(open_[:, label]), label, counts, need, rank, part)
        open_[part >= 0] = False
    _distribute(np.flatnonzero(part < 0), counts.shape[1] - 1, counts, need, rank, part)
    return _fill_empty(part, counts, len(shares))


def _distribute(
    groups: NDArray[np.intp],
    label: int,
    counts: NDArray[np.int64],
    need: NDArray[np.float64],
    rank: NDArray[np.int64],
    part: NDArray[np.int64],
) -> None:
    """Assign groups to the part that lacks the label most, then images most."""
    for group in groups[np.lexsort((rank[groups], -counts[groups, label]))]:
        best = max(range(len(need)), key=lambda p: (need[p, label], need[p, -1], -p))
        part[group] = best
        need[best] -= counts[group]


def _fill_empty(
    part: NDArray[np.int64], counts: NDArray[np.int64], parts: int
) -> NDArray[np.int64]:
    """Give each empty part the smallest group of the largest part."""
    for empty in set(range(parts)) - set(part.tolist()):
        most = int(np.bincount(part, minlength=parts).argmax())
        groups = np.flatnonzero(part == most)
        part[groups[counts[groups, -1].argmin()]] = empty
    return part


def find_leaks(index: IndexRows, column: str = "part", by: str | None = None) -> pa.Table:
    """Leaks of a split: images of one patient group, or duplicates, in different parts.

    Args:
        index: rows of the index.
        column: column with the part of each row (default: that of `wetread.split`).
        by: column that identifies the patient; see `group_images`.

    Returns:
        One row per image: `code` (LEAK_GROUP or LEAK_PIXELS), `shared` (the group, or the first
        path of the duplicates), `part`, `id`, `path`; sorted.

    Raises:
        UnknownNameError: there is no such column.
        UsageError: the column is empty.
    """
    if column not in index.schema.names:
        raise UnknownNameError("column", column, index.schema.names)
    select = _select(index, by).replace(" FROM", f', CAST("{column}" AS VARCHAR) AS side FROM', 1)
    images = query(index, f"{select} WHERE pixel_length IS NOT NULL ORDER BY path, member")
    sides, paths, ids = (images[name].to_pylist() for name in ("side", "path", "id"))
    if not any(side is not None for side in sides):
        raise UsageError(f"no image has a {column!r}; after a split into folds it is 'fold'")
    if index.folder is not None:
        check_files(index)
    rows: set[tuple[str, ...]] = set()
    for code, names in (
        ("LEAK_GROUP", group_images(images, by).names),
        *(("LEAK_PIXELS", texts) for texts in find_equal_pixels(index.root, images)),
    ):
        members: dict[str, list[int]] = defaultdict(list)
        for i, name in enumerate(names):
            if name and sides[i] is not None:
                members[name].append(i)
        for name, numbers in members.items():
            if len({sides[n] for n in numbers}) > 1:
                shared = name if code == "LEAK_GROUP" else paths[numbers[0]]
                rows |= {(code, shared, sides[n], ids[n], paths[n]) for n in numbers}
    columns = list(zip(*sorted(rows), strict=True)) or [()] * 5
    arrays = [pa.array(list(values), pa.string()) for values in columns]
    return pa.table(arrays, names=["code", "shared", "part", "id", "path"])

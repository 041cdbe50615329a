"""`DataFrame.from_dicoms`: headers of many files as the table of fastai, by the fast scan."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.common.progress import Progress
from wetread.fastai.arrays import dicom_windows
from wetread.fastai.datasets import LONGEST_LIST, WindowPair
from wetread.fastai.pixel_summary import STATISTICS, list_pixels, summarise_file
from wetread.headers.core.constants import AT, DATE, LENGTH, TEXT
from wetread.headers.reading import read_headers
from wetread.headers.schema import SWAPPED_VRS, Column, column_of
from wetread.sources.find import SOURCE_SCHEMA

if TYPE_CHECKING:
    import pandas as pd

Bools = NDArray[np.bool_]
PARALLEL = frozenset(
    (
        "total",
        "pause",
        "method",
        "threadpool",
        "timeout",
        "chunksize",
        "return_exceptions",
        "max_tasks_per_child",
    )
)
"""Options of `parallel` of fastcore, which from_dicoms of fastai accepts; ignored here."""
READ = ("ok", "repaired", "partial")
BINARY = frozenset(SWAPPED_VRS) - {"AT"}
"""Multiple values of these VRs are one list in the table of fastai."""
_LAST = 1 << 32
"""Sort key above every tag, for columns that are not elements."""
TASK_FILES = 1024
"""Number of headers per task of a thread."""


def from_dicoms(
    cls: type[pd.DataFrame],
    fns: Iterable[str | os.PathLike[str]],
    n_workers: int = 0,
    *,
    px_summ: bool = True,
    window: WindowPair = dicom_windows.brain,
    file_meta: bool = False,
    private: bool = False,
    progress: bool | None = None,
    **kwargs: Any,
) -> pd.DataFrame:
    """Read headers into a table, one row per file in the given order, with `fname`.

    A multi-valued element X becomes MultiX = 1, X, X1, X2, ...; multiple binary numbers are one
    list. Missing elements and invalid numbers are NaN; invalid dates remain text. Columns are in
    order of first occurrence. Sequences are omitted, and private elements by default
    (`wetread.scan` reads both); binary values are given as length in bytes. An unreadable file has
    only its `fname`, and a warning states the number of such files.

    Args:
        cls: DataFrame.
        fns: paths of the files.
        n_workers: number of threads; 0 uses the calling thread.
        px_summ: decode the pixels and add five columns: img_min, img_max, img_mean and img_std of
            the stored values of all frames, and img_pct_window, the fraction (0 to 1) of modality
            values inside `window`. NaN, and a warning, if the pixels cannot be decoded.
        window: (width, level) for img_pct_window.
        file_meta: add the File Meta elements, in front, such as TransferSyntaxUID.
        private: add a column `private` with a list of the private elements.
        progress: False hides the progress bar on stderr.
        **kwargs: options of `parallel` of fastcore; ignored.

    Raises:
        TypeError: unknown option.
    """
    if unknown := sorted(kwargs.keys() - PARALLEL):
        raise TypeError(f"from_dicoms() got unexpected options: {', '.join(unknown)}")
    names = [os.fspath(fn) for fn in fns]
    if not names:
        return cls()
    pool = ThreadPoolExecutor(n_workers) if n_workers > 0 else nullcontext()
    shown = progress is not False
    here = os.getcwd()
    paths = [name if name[:1] == "/" else f"{here}/{name}" for name in names]
    with pool as threads:
        each = map if threads is None else threads.map
        parts = [paths[i : i + TASK_FILES] for i in range(0, len(paths), TASK_FILES)]
        read_parts = each(lambda part: _read(part, private), parts)
        tables = list(Progress(shown, len(names), "headers").track(read_parts, len))
        rows = pa.concat_tables(tables, promote_options="default")
        status = rows["read_status"].to_pylist()
        read = np.array([one in READ for one in status], bool)
        _warn("could not be read", status, ~read)
        columns = list(_columns(rows, np.array(names, object), read, file_meta, private))
        if px_summ:
            summaries = each(partial(summarise_file, window=window), list_pixels(rows), paths)
            results = list(Progress(shown, len(names), "images").track(summaries))
            _warn("have no pixel statistics", results, read & [isinstance(r, str) for r in results])
            for i, name in enumerate(STATISTICS):
                numbers = [nan if isinstance(one, str) else one[name] for one in results]
                columns.append(_Column((0, _LAST + 1 + i, 0), name, numbers))
    columns.sort(key=lambda column: column.order)
    return cls({column.name: column.values for column in columns})


def _read(paths: list[str], private: bool) -> pa.Table:
    """Rows of absolute paths, which are opened from the folder that they share."""
    root = os.path.commonprefix(paths).rpartition("/")[0] + "/"  # noqa: RUF071
    encoding = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()  # as os.fsencode
    inside = [path[len(root) :].encode(*encoding) for path in paths]
    columns = {"path": pa.array(inside, pa.binary())}
    columns["member"] = pa.repeat(pa.scalar(b"", pa.binary()), len(paths))
    arrays = [columns.get(f.name, pa.nulls(len(paths), f.type)) for f in SOURCE_SCHEMA]
    sources = pa.Table.from_arrays(arrays, schema=SOURCE_SCHEMA)
    return read_headers(root, sources, private=private, empties=True, groups=False)


def _warn(what: str, reasons: list[Any], bad: Bools) -> None:
    """Warn with the number of files and the first row, without paths or header values."""
    if bad.any():
        first = int(bad.argmax())
        text = f"{bad.sum()} of {len(bad)} files {what}; the first is row {first}: {reasons[first]}"
        warnings.warn(text, UserWarning, stacklevel=3)


# --- columns ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Column:
    """Column of the result."""

    order: tuple[int, int, int]
    """Sort key: first row with a value, tag, number of the value."""
    name: str
    values: Any = field(repr=False)


def _columns(
    rows: pa.Table, names: NDArray[Any], read: Bools, file_meta: bool, private: bool
) -> Iterator[_Column]:
    empties = _empties(rows["empties"].combine_chunks())
    invalid = _invalid(rows["invalid"].combine_chunks())
    first = int(read.argmax()) if read.any() else 0
    taken = set()
    for number, name in enumerate(rows.column_names):
        values, empty, wrong = rows.column(number), empties.get(name), invalid.get(name)
        if empty is None and wrong is None and values.null_count == len(names):
            continue
        column = _column_of(rows.schema.field(number))
        if column is None or (column.tag >> 16 == 2 and not file_meta):
            continue
        name = name.removesuffix("_length") if column.family == LENGTH else name
        if (plain := _keyword(column.tag)) and plain not in taken:
            name = plain  # a repeating group is numbered only if there are several
        taken.add(name)
        empty = np.zeros(len(names), bool) if empty is None else empty
        yield from _split(name, column, _as_pydicom(column, values.combine_chunks(), wrong), empty)
    yield _Column((first, _LAST, 0), "fname", names)
    if private:
        yield _Column((first, _LAST, -1), "private", rows["private"].to_pylist())


def _column_of(f: pa.Field) -> Column | None:
    """Return the element of a column; None for columns of wetread and derived columns."""
    tag = (f.metadata or {}).get(b"tag")
    if tag is None:
        return None
    column = column_of(int(tag.replace(b",", b""), 16))
    return column if column.name == f.name else None


def _keyword(tag: int) -> str:
    from pydicom.datadict import dictionary_keyword

    try:
        return dictionary_keyword(tag)
    except KeyError:
        return ""


def _empties(lists: pa.ListArray) -> dict[str, Bools]:
    """Return the rows with an empty element, per column."""
    rows = np.asarray(pc.list_parent_indices(lists))
    coded = lists.flatten().dictionary_encode()
    codes = np.asarray(coded.indices)
    columns = {}
    for code, name in enumerate(coded.dictionary.to_pylist()):
        columns[name] = np.zeros(len(lists), bool)
        columns[name][rows[codes == code]] = True
    return columns


def _invalid(lists: pa.ListArray) -> dict[str, dict[int, str]]:
    """Return the text of values that are invalid for their VR, by column and row."""
    columns: dict[str, dict[int, str]] = {}
    flat = lists.flatten().to_pylist()
    for row, one in zip(pc.list_parent_indices(lists).to_pylist(), flat, strict=True):
        text = one["raw"].decode("latin-1").strip(" \0")
        columns.setdefault(one["keyword"], {})[row] = text
    return columns


def _split(name: str, column: Column, values: pa.Array, empty: Bools) -> Iterator[_Column]:
    """Split one element into columns: X, or MultiX, X, X1, X2, ..."""
    is_text = column.family in (TEXT, DATE)
    if not pa.types.is_list(values.type):
        present = np.asarray(values.is_valid()) | empty
        if present.any():
            yield _Column((_first(present), column.tag, 0), name, _series(values, empty, is_text))
        return
    counts = np.asarray(pc.fill_null(pc.list_value_length(values), 0))
    many, is_binary = counts > 1, column.vrs[0] in BINARY
    if many.any() and not is_binary:
        multi = np.where(many, 1.0, np.nan) if not many.all() else many.astype(np.int64)
        yield _Column((_first(many), column.tag, -1), f"Multi{name}", multi)
    if (counts > (1 if is_binary else LONGEST_LIST)).any():
        lists = [None if v is None else v[0] if len(v) == 1 else v for v in values.to_pylist()]
        yield _Column((_first(counts > 0), column.tag, 0), name, lists)
        return
    starts = values.offsets.to_numpy()[:-1].astype(np.int64)
    for i in range(counts.max(initial=0)):
        one = values.values.take(pa.array(starts + i, mask=counts <= i))
        present = (counts > i) | (empty & (i == 0))
        series = _series(one, empty & (i == 0), is_text)
        yield _Column((_first(present), column.tag, i), f"{name}{i or ''}", series)
    if not counts.any() and empty.any():
        series = _series(pa.nulls(len(empty), values.type.value_type), empty, is_text)
        yield _Column((_first(empty), column.tag, 0), name, series)


def _first(rows: Bools) -> int:
    return int(rows.argmax())


def _as_pydicom(column: Column, values: pa.Array, invalid: dict[int, str] | None) -> pa.Array:
    """Convert dates to YYYYMMDD or raw text, tags to numbers, and split multi-valued text."""
    if column.family == DATE and column.is_list:
        return pa.ListArray.from_arrays(values.offsets, pc.strftime(values.values, "%Y%m%d"))
    if column.family == DATE:
        dates = pc.strftime(values, "%Y%m%d")
        if not invalid:
            return dates
        texts = dates.to_pylist()
        for row, text in invalid.items():
            texts[row] = text
        return pa.array(texts, pa.string())
    if column.family == AT:
        flat = values.values if column.is_list else values
        tags = [None if t is None else int(t.replace(",", ""), 16) for t in flat.to_pylist()]
        numbers = pa.array(tags, pa.int64())
        return pa.ListArray.from_arrays(values.offsets, numbers) if column.is_list else numbers
    several = column.family == TEXT and not column.is_list and column.splits
    if several and pc.any(pc.match_substring(values, "\\")).as_py():
        return pc.split_pattern(values, "\\")
    return values


def _series(values: pa.Array, empty: Bools, is_text: bool) -> Any:
    """Return text, "" for empty elements; integers as float if one is missing."""
    if is_text:
        values = pc.if_else(pa.array(empty), "", values) if empty.any() else values
        return values.to_pandas()
    if values.null_count or not pa.types.is_integer(values.type):
        return values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values.to_numpy().astype(np.int64 if values.type != pa.uint64() else np.uint64)

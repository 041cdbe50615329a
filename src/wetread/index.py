"""The user's handle: every method calls the room that does the work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, overload

import pyarrow as pa

from wetread.image import Image
from wetread.settings import Settings
from wetread.sources import PathLike
from wetread.table import scan as _scan
from wetread.table.frame import Lists, to_frame
from wetread.table.scan import What
from wetread.table.store import (
    Content,
    all_rows,
    batches,
    findings,
    open_content,
    query,
    some_rows,
    where,
)
from wetread.table.summary import Summary, summarise

if TYPE_CHECKING:
    import pandas as pd


def scan(
    what: What,
    to: PathLike | None = None,
    *,
    workers: int | None = None,
    private: bool = False,
    sequences: bool = False,
    progress: bool = True,
    settings: Settings = Settings(),  # noqa: B008
) -> Index:
    """Reads the header of every file: one row each, whatever the file holds.

    Args:
        what: a folder, a file, a glob, a zip or tar, or a list of them.
        to: an index folder to keep the rows in. Scanning into it again reads what is new, has
            changed or could not be read, and drops what is gone; a scan that was stopped goes on.
        workers: processes that read; None for one a core, 0 for none but this one.
        private: a column `private` with the private elements.
        sequences: a column `sequences` with the sequences as DICOM JSON.
        progress: say on stderr how far it is.
        settings: the limits that the scan keeps.

    Returns:
        An `Index`, sorted by the bytes of path and member; with `to` its rows stay on disk.

    Raises:
        NotFoundError: there is no `what`.
        IndexFormatError: `to` is something else, or was written by another version.
        StorageError: `to` cannot be written; what was there before still is.

    Warns:
        UserWarning: there is no file in `what`.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "notes.txt").write_text("not DICOM")
    ...     scan(folder).to_pandas()["read_status"].to_list()
    ['not_dicom']
    """
    content = _scan.scan(
        what,
        to,
        workers=workers,
        private=private,
        sequences=sequences,
        progress=progress,
        settings=settings,
    )
    return Index(content)


class Index:
    """A typed table with one row per file: made by `scan`, or opened from an index folder.

    `len(index)` is the number of rows; `index[3]` opens one as an `Image`, `index[:10]` is an Index
    of some, and a loop goes over all.
    """

    def __init__(self, content: Content) -> None:
        self._content = content

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Index:
        """The index in a folder; its rows are read when they are asked for.

        Raises:
            NotFoundError: there is no such folder.
            IndexFormatError: it is no index, or another version's.
        """
        return cls(open_content(path))

    @property
    def root(self) -> str:
        """The absolute folder that the column `path` is relative to."""
        return self._content.root

    @property
    def columns(self) -> list[str]:
        """The names of the columns: ours first, then DICOM keywords by tag."""
        return list(self._content.schema.names)

    @property
    def schema(self) -> pa.Schema:
        """Names, types and, for DICOM columns, tag, VR, VM and unit."""
        return self._content.schema

    @property
    def table(self) -> pa.Table:
        """All rows, in memory."""
        return all_rows(self._content)

    @property
    def images(self) -> Index:
        """The rows with pixels."""
        return self.where("pixel_length IS NOT NULL")

    def to_pandas(self, lists: Lists = "first") -> pd.DataFrame:
        """All rows as a DataFrame.

        Args:
            lists: what becomes of a column with lists of values, such as WindowCenter: the
                `"first"` value, `"split"` into WindowCenter_0, WindowCenter_1, ..., or `"keep"`.
        """
        return to_frame(self.table, lists)

    def where(self, expression: str) -> Index:
        """The rows that fulfil an SQL expression, as `"Rows > 2000 AND Modality = 'DX'"`.

        Raises:
            QueryError: not an expression, or an unknown column.
        """
        return Index(where(self._content, expression))

    def query(self, sql: str) -> pd.DataFrame:
        """What one SELECT statement (DuckDB's SQL) gives.

        The tables are `index`, `findings` (one row per finding) and `finding_codes`.

        Raises:
            QueryError: not one SELECT statement, or an unknown column or table.
        """
        return to_frame(query(self._content, sql), "keep")

    def findings(self, code: str | None = None) -> pd.DataFrame:
        """What is wrong, one row per finding: path, member, id, code, severity, tag, offset, text.

        Raises:
            UnknownNameError: there is no such code.
        """
        return to_frame(findings(self._content, code))

    def summary(self) -> Summary:
        """Files, statuses, modalities, transfer syntaxes and findings, counted; print it."""
        return summarise(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[Image]:
        for batch in batches(self._content):
            for row in batch.to_pylist():
                yield Image(self.root, row)

    @overload
    def __getitem__(self, item: int) -> Image: ...
    @overload
    def __getitem__(self, item: slice) -> Index: ...
    def __getitem__(self, item: int | slice) -> Image | Index:
        if isinstance(item, slice):
            return Index(_part(self._content, range(len(self))[item]))
        place = range(len(self))[item]
        return Image(self.root, some_rows(self._content, place, place + 1).to_pylist()[0])

    def __repr__(self) -> str:
        kept = f", kept in {self._content.folder}" if self._content.folder else ""
        return f"<Index: {len(self):,} files in {self.root}, {len(self.columns)} columns{kept}>"

    def _repr_html_(self) -> str:
        head = to_frame(some_rows(self._content, 0, 5)).dropna(axis="columns", how="all")
        return f"<p>{len(self):,} files, {len(self.columns)} columns</p>{head.to_html()}"


def _part(content: Content, places: range) -> Content:
    """Some rows of an index, in memory."""
    low, high = (min(places), max(places) + 1) if places else (0, 0)
    rows = some_rows(content, low, high)
    if places.step != 1:
        rows = rows.take(pa.array([place - low for place in places], pa.int64()))
    return Content(content.root, content.schema, rows=rows)

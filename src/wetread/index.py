"""The public `Index` and the functions that make or open one.

Modules that a scan does not need are imported by the functions that do: a third of its start.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa

from wetread.common.dataframe import Lists, to_frame
from wetread.common.html import table_html
from wetread.common.text import counted, pick
from wetread.datasets.exporting import Exporting
from wetread.errors import NotFoundError, UnknownNameError, UsageError
from wetread.series.query import SeriesIndex
from wetread.settings import Settings
from wetread.sources.buckets import is_url
from wetread.sources.find import PathLike
from wetread.table import scan as _scan
from wetread.table.mirror import is_index
from wetread.table.query import problems, where
from wetread.table.rows import (
    IndexLike,
    all_rows,
    batches,
    fetch,
    row_numbers,
    some_rows,
    take_rows,
)
from wetread.table.scan import What
from wetread.workers import Engine

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image as Picture

    from wetread.boxes import Boxes
    from wetread.cache.cache import Cache
    from wetread.display.render import WindowLike
    from wetread.images.image import Image
    from wetread.learn.run import Run
    from wetread.table.summary import Summary
    from wetread.viewer import Handle

_PREVIEW = (
    "path",
    "read_status",
    "Modality",
    "StudyDate",
    "Rows",
    "Columns",
    "PhotometricInterpretation",
    "WindowCenter",
    "problems",
)
"""Columns of an index in a notebook."""


def scan(
    what: What,
    to: PathLike | None = None,
    *,
    workers: int | None = None,
    private: bool = False,
    sequences: bool = False,
    progress: bool = True,
    shard: str | None = None,
    replace: bool = False,
    engine: Engine | None = None,
    settings: Settings = Settings(),
) -> Index:
    """Read the header of every file: one row per file, readable or not.

    Args:
        what: a folder, a file, a glob, a zip or tar archive, or a list of them; or the URL of a
            bucket, of a folder or an object in one (`s3://`, `gs://`, `az://`), or of a manifest
            (`https://`).
        to: index folder for the rows. Scanning into it again reads files that are new, have
            changed or could not be read, and drops rows of deleted files. An interrupted scan
            resumes.
        workers: number of threads (default: one per core); 0 reads in the calling thread.
        private: add a column `private` with the private elements.
        sequences: add a column `sequences` with the sequences as DICOM JSON.
        progress: show a progress bar on stderr.
        shard: `"3/64"` reads only the fourth of 64 shares of the paths, as one of many jobs. `to`
            is the same for all jobs; `wetread.merge` joins the shards.
        replace: replace the index of other files. By default a scan is refused if it would drop
            files of `to` that still exist or were moved with their folder.
        engine: execution engine, such as a `wetread.DaskEngine` (default: local processes).
        settings: limits of the scan.

    Returns:
        An `Index`, sorted by the bytes of path and member; with `to` its rows stay on disk.

    Raises:
        NotFoundError: `what` does not exist.
        UsageError: `to` is the index of other files; see `replace`.
        IndexFormatError: `to` is not an index, or one of another version.
        StorageError: `to` cannot be written; its previous state is kept.

    Warns:
        UserWarning: there is no file in `what`.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "notes.txt").write_text("not DICOM")
    ...     scan(folder)["read_status"].to_list()
    ['not_dicom']
    """
    rows = _scan.scan(
        what,
        to,
        workers=workers,
        private=private,
        sequences=sequences,
        progress=progress,
        shard=shard,
        replace=replace,
        engine=engine,
        settings=settings,
    )
    return Index.of(rows)


def merge(to: PathLike) -> Index:
    """Merge the shards of a distributed scan: jobs that ran `scan(what, to, shard="K/N")`.

    Raises:
        NotFoundError: there are no shards in `to`.
        UsageError: shards are missing, unfinished, or were scanned with different options.
        StorageError: the folder cannot be written.
    """
    return Index.of(_scan.merge(to))


def read(path: PathLike) -> Image:
    """Open one file: read its header; pixels are decoded on demand.

    Args:
        path: the file, or a member of an archive as `"scans.zip::a/b.dcm"`.

    Raises:
        NotFoundError: there is no such file or member.
        UsageError: a folder or an archive, or another path without exactly one file.
    """
    name = os.fsdecode(path)
    archive, colons, member = name.rpartition("::")
    inside = bool(colons) and not os.path.lexists(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty folder is an error below
        index = scan(archive if inside else path, workers=0, progress=False)
    if inside:
        members: list[str] = index.table["member"].to_pylist()
        if member not in members:
            some = ", ".join(members[:3])
            raise NotFoundError(f"{archive} has no member {member!r}; it has {some}, ...")
        return index[members.index(member)]
    if len(index) != 1:
        hint = f", or name one as {_place(name, index)}" if len(index) else ""
        raise UsageError(
            f"{name} holds {counted(len(index), 'file')}, not one: scan or view it{hint}"
        )
    return index[0]


def _place(name: str, index: Index) -> str:
    """Argument of `read` for the first readable file of the folder, archive or glob `name`."""
    rows = index.table.select(["path", "member", "read_status"]).to_pylist()
    row = next((r for r in rows if r["read_status"] in ("ok", "repaired")), rows[0])
    folder = name if os.path.isdir(name) else index.root
    file = name if os.path.isfile(name) else os.path.join(folder, row["path"])
    return f"{file}::{row['member']}" if row["member"] else file


def open(path: PathLike) -> Index | Cache | Boxes | Run | Image:  # noqa: A001
    """Open an index, a cache, a run, a label file or a DICOM file, recognised by its content.

    Raises:
        NotFoundError: there is no such path.
        UsageError: none of these; a folder of DICOM files takes `wetread.scan`.
        IndexFormatError: a damaged index, or one of another version.
        CacheError: a damaged or unfinished cache, or one of another version.
    """
    from wetread.boxes.reading import read_boxes
    from wetread.cache.cache import MARKER, Cache
    from wetread.learn.run import Run

    name, folder = os.fsdecode(path), Path(os.fsdecode(path))
    if is_index(name):
        return Index.open(path)
    if is_url(name) or not folder.is_dir():
        image = read(path)
        if image.row["read_status"] != "not_dicom":
            return image
        try:
            return read_boxes(path)
        except (UsageError, ValueError) as error:
            raise UsageError(f"{name} is neither DICOM nor a label file: {error}") from error
    if (folder / MARKER).exists():
        return Cache.open(path)
    if (folder / "config.json").exists():
        return Run.open(path)
    raise UsageError(
        f"{name} is not an index, a cache or a run: scan a folder of DICOM files with "
        "wetread.scan(folder), read a folder of label files with wetread.read_boxes(folder)"
    )


def split(
    index: IndexLike,
    boxes: Boxes | PathLike | None = None,
    parts: Mapping[str, float] | None = None,
    folds: int | None = None,
    by: str | None = None,
    seed: int = 0,
) -> Index:
    """Split images into parts without patient or duplicate leakage.

    All images of a patient (Patient ID; if it is absent, blank or the same everywhere, the study;
    else each image alone) and all images with equal pixels go to the same part. Labels are
    stratified iteratively (Sechidis et al. 2011). Rows without pixels get no part. The columns
    `part`, `fold` and `group` are stored in an index on disk; the metadata of `group` name the key
    and the reason for it.

    Args:
        index: the images, or their index folder.
        boxes: labels to stratify, joined to the index, or a label file.
        parts: name and share of each part (default: 0.8 "train" and 0.2 "valid").
        folds: number of folds of equal size instead of parts, in the column `fold`, from 0.
        by: grouping column in place of the patient.
        seed: random seed; the order of the rows does not matter.

    Raises:
        UsageError: shares that do not add up to 1, or fewer groups than parts.
        UnknownNameError: there is no column `by`.

    Warns:
        UserWarning: the patient of some images is unknown.
    """
    from wetread.boxes.reading import read_boxes
    from wetread.splits import split_rows

    index = Index.of(index)
    if isinstance(boxes, str | os.PathLike):
        boxes = read_boxes(boxes, index)
    return split_rows(index, boxes, parts, folds, by, seed)


class Index(Exporting, SeriesIndex):
    """A typed table with one row per file, made by `scan` or opened from an index folder.

    `len(index)` is the number of rows; iteration yields an `Image` per row.

    - `index[3]` is the `Image` of a row.
    - `index[:10]`, `index[[1, 5]]` and `index[mask]` are an Index of some rows.
    - `index["Modality"]` is a column as a pandas Series, `index[["path", "Rows"]]` a DataFrame.
    """

    @property
    def columns(self) -> list[str]:
        """Column names: those of wetread first, then DICOM keywords by tag."""
        return list(self.schema.names)

    @property
    def table(self) -> pa.Table:
        """All rows as an Arrow table, in memory."""
        return all_rows(self)

    @property
    def images(self) -> Index:
        """Rows with pixels."""
        return self.where("pixel_length IS NOT NULL")

    def head(self, n: int = 5) -> Index:
        """Return the first `n` rows."""
        return self[:n]

    def to_pandas(self, lists: Lists = "first") -> pd.DataFrame:
        """Convert all rows to a DataFrame.

        Args:
            lists: conversion of columns with lists of values, such as WindowCenter: the `"first"`
                value, `"split"` into WindowCenter_0, WindowCenter_1, ..., or `"keep"`.
        """
        return to_frame(self.table, lists)

    def where(self, expression: str, boxes: Boxes | PathLike | None = None) -> Index:
        """Select rows with an SQL expression, such as `"Rows > 2000 AND Modality = 'DX'"`.

        Args:
            expression: the condition.
            boxes: boxes or a label file, the table `boxes`:
                `"id IN (SELECT id FROM boxes WHERE label = 'Nodule')"`.

        Raises:
            QueryError: not an expression, or an unknown column.
        """
        from wetread.boxes.reading import sql_tables

        return where(self, expression, tables=sql_tables(self, boxes))

    def problems(self, code: str | None = None) -> pd.DataFrame:
        """List problems, one row per problem: path, member, id, code, severity, tag, offset, text.

        Raises:
            UnknownNameError: there is no such code.
        """
        return to_frame(problems(self, code))

    def leaks(self, column: str = "part", by: str | None = None) -> pd.DataFrame:
        """List images of one patient, or with equal pixels, in more than one part of a split.

        Args:
            column: column with the part of each row (default: that of `wetread.split`).
            by: grouping column in place of the patient; see `wetread.split`.

        Returns:
            One row per image: code (LEAK_GROUP or LEAK_PIXELS), shared, part, id, path.

        Raises:
            UnknownNameError: there is no such column.
            UsageError: the column is empty; after a split into folds it is `"fold"`.
        """
        from wetread.splits import find_leaks

        return to_frame(find_leaks(self, column, by))

    def summary(self) -> Summary:
        """Count files, statuses, modalities, transfer syntaxes, series and problems."""
        from wetread.series.summary import summarise

        return summarise(self)

    def split(
        self,
        boxes: Boxes | PathLike | None = None,
        parts: Mapping[str, float] | None = None,
        folds: int | None = None,
        by: str | None = None,
        seed: int = 0,
    ) -> Index:
        """Split images into parts without leakage; see `wetread.split`."""
        return split(self, boxes, parts, folds, by, seed)

    def prepare(self, to: PathLike | None = None, size: int = 1024, **options: Any) -> Cache:
        """Build a training cache; see `wetread.prepare`."""
        from wetread.cache.prepare import prepare

        return prepare(self, to, size, **options)

    def report(
        self,
        boxes: Boxes | PathLike | None = None,
        predictions: Boxes | PathLike | None = None,
        to: PathLike = "report.html",
        **options: Any,
    ) -> Path:
        """Write a data-set report as one HTML file; see `wetread.report`."""
        from wetread.reports.build import report

        return report(self, boxes, predictions, to, **options)

    def view(
        self,
        boxes: Boxes | PathLike | None = None,
        predictions: Boxes | PathLike | None = None,
        **options: Any,
    ) -> Handle:
        """Start the viewer; see `wetread.view`."""
        from wetread.viewer import view

        return view(self, boxes, predictions, **options)

    def mosaic(
        self,
        n: int = 24,
        columns: str | Sequence[str] = ("path", "PhotometricInterpretation"),
        window: WindowLike = None,
    ) -> Picture:
        """Draw `n` images as one Pillow image, sampled evenly from the rows with pixels.

        The tile of a file that cannot be decoded shows the reason.

        Args:
            n: number of images, at most 400.
            columns: one or more columns for the captions; `path` is shown as the name of the file
                or archive member.
            window: see `Image.display`.

        Raises:
            UnknownNameError: there is no such column.
            UsageError: no row has pixels.
        """
        from wetread.images.mosaic import mosaic

        return mosaic(self, n, columns, window)

    def measure(
        self,
        size: int | None = None,
        workers: int | None = None,
        progress: bool = True,
        engine: Engine | None = None,
    ) -> Index:
        """Add columns of pixel statistics: `px_*` in modality values, `raw_*` in stored values.

        Images are decoded in worker processes; a decoder that crashes, hangs or exceeds the memory
        limit gives a row with a `px_status`. An index folder stores the columns: an interrupted
        run resumes, and a second one measures only changed images.

        Args:
            size: measure at the lowest resolution of a file with a longest side of at least `size`
                pixels, recorded in `px_scale`; None uses full resolution.
            workers: number of worker processes, at least 1 (default: one per core).
            progress: show a progress bar on stderr.
            engine: execution engine, such as a `wetread.DaskEngine` (default: local processes).

        Returns:
            An index with the new columns; this one stays as it is.

        Raises:
            UsageError: `size` or `workers` below 1.
            StorageError: the index folder cannot be written, or another process writes it.
        """
        from wetread.measure.columns import measure_images

        return measure_images(self, size, workers, progress, engine=engine)

    def __iter__(self) -> Iterator[Image]:
        from wetread.images.image import Image

        for batch in batches(self):
            for row in batch.to_pylist():
                yield Image(self.root, row)

    def __contains__(self, column: object) -> bool:
        return column in self.schema.names

    @overload
    def __getitem__(self, key: int) -> Image: ...
    @overload
    def __getitem__(self, key: str) -> pd.Series[Any]: ...
    @overload
    def __getitem__(self, key: list[str]) -> pd.DataFrame: ...
    @overload
    def __getitem__(
        self, key: slice | list[int] | list[bool] | np.ndarray[Any, Any] | pd.Series[Any]
    ) -> Index: ...
    def __getitem__(self, key: Any) -> Image | Index | pd.Series[Any] | pd.DataFrame:
        if isinstance(key, str):
            frame = self._columns([key])
            return frame[frame.columns[0]].rename(key)
        if isinstance(key, slice):
            return take_rows(self, range(len(self))[key])
        if hasattr(key, "__index__") and not isinstance(key, np.ndarray):
            from wetread.images.image import Image

            number = pick(key, len(self), "file")
            return Image(self.root, some_rows(self, number, number + 1).to_pylist()[0])
        if isinstance(key, list) and key and all(isinstance(name, str) for name in key):
            return self._columns(key)
        return take_rows(self, row_numbers(key, len(self)))

    def _columns(self, names: list[str]) -> pd.DataFrame:
        for name in names:
            if name not in self.schema.names:
                raise UnknownNameError("column", name, self.columns)
        if self.rows is None and self.chosen is None:
            return to_frame(fetch(self, range(len(self)), names))
        return to_frame(self.table.select(names))

    def __repr__(self) -> str:
        folder = f", stored in {self.folder}" if self.folder else ""
        return (
            f"<Index: {counted(len(self), 'file')} in {self.root}, {len(self.columns)} "
            f"columns{folder}>"
        )

    def _repr_html_(self) -> str:
        names = [name for name in _PREVIEW if name in self.columns]
        rows = some_rows(self, 0, 5).select(names).to_pylist()
        table = table_html(names, (row.values() for row in rows))
        more = ", the first 5:" if len(self) > 5 else ":"
        return f"<p>{counted(len(self), 'file')}, {len(self.columns)} columns{more}</p>{table}"

"""The user's handle: every method calls the room that does the work."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, overload

import pyarrow as pa

from wetread.common.dataframe import Lists, to_frame
from wetread.common.html import table_html
from wetread.errors import NotFoundError, UsageError
from wetread.images.export import Format, export_images
from wetread.images.image import Image
from wetread.images.mosaic import mosaic
from wetread.measure.columns import measure_images
from wetread.settings import Settings
from wetread.sources.find import PathLike
from wetread.splits import find_leaks, split_rows
from wetread.table import scan as _scan
from wetread.table.query import problems, query, where
from wetread.table.rows import IndexRows, all_rows, batches, some_rows
from wetread.table.scan import What
from wetread.table.summary import Summary, summarise
from wetread.workers import Engine

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image as Picture

    from wetread.boxes import Boxes
    from wetread.display.render import WindowLike

_SHOWN = (
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
"""What a notebook shows of an index."""


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
    """Reads the header of every file: one row each, whatever the file holds.

    Args:
        what: a folder, a file, a glob, a zip or tar, or a list of them; or the URL of a bucket or
            of a folder in one (`s3://`, `gs://`, `az://`), an object, or a manifest at `https://`.
        to: an index folder to keep the rows in. Scanning into it again reads what is new, has
            changed or could not be read, and drops what is gone; a scan that was stopped goes on.
        workers: processes that read; None for one a core, 0 for none but this one.
        private: a column `private` with the private elements.
        sequences: a column `sequences` with the sequences as DICOM JSON.
        progress: say on stderr how far it is.
        shard: `"3/64"`: only the fourth of 64 shares of the paths, as one job of many; `to` is
            the same for all, and `wetread.merge` then makes the index of it.
        replace: replace the index of other files. Without it a scan that leaves out files which
            `to` has, and which are still there or were moved with their folder, is refused.
        engine: who does the work; a `wetread.DaskEngine` is a cluster.
        settings: the limits that the scan keeps.

    Returns:
        An `Index`, sorted by the bytes of path and member; with `to` its rows stay on disk.

    Raises:
        NotFoundError: there is no `what`.
        UsageError: `to` is the index of other files; see `replace`.
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
    return Index.from_rows(rows)


def merge(to: PathLike) -> Index:
    """The index of a scan that many jobs shared: each ran `scan(what, to, shard="K/N")`.

    Raises:
        NotFoundError: there are no shards in `to`.
        UsageError: shards are missing, not finished, or not read alike; it says which.
        StorageError: the folder cannot be written.
    """
    return Index.from_rows(_scan.merge(to))


def read(path: PathLike) -> Image:
    """One file, opened: its header is read, its pixels are not decoded yet.

    Args:
        path: the file, or a member of an archive as `"scans.zip::a/b.dcm"`.

    Raises:
        NotFoundError: there is no such file or member.
        UsageError: it holds no file or several, as a folder or an archive does.
    """
    archive, colons, member = os.fsdecode(path).rpartition("::")
    inside = bool(colons) and not os.path.lexists(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it is empty: said below
        index = scan(archive if inside else path, workers=0, progress=False)
    if inside:
        members: list[str] = index.table["member"].to_pylist()
        if member not in members:
            some = ", ".join(members[:3])
            raise NotFoundError(f"{archive} has no member {member!r}; it has {some}, ...")
        return index[members.index(member)]
    if len(index) != 1:
        example = next(filter(None, index.table["member"].to_pylist()), None)
        hint = f", or name one as {os.fsdecode(path)}::{example}" if example else ""
        name = os.fsdecode(path)
        raise UsageError(f"{name} holds {len(index)} files, not one: scan or view it{hint}")
    return index[0]


def split(
    index: Index,
    boxes: Boxes | None = None,
    parts: Mapping[str, float] | None = None,
    folds: int | None = None,
    by: str | None = None,
    seed: int = 0,
) -> Index:
    """The rows with columns `part`, `fold` and `group`: nobody's images are on two sides.

    Images stay together that have one patient (Patient ID, unless it is absent, blank or the same
    everywhere; then the study; then each image alone) or the same pixels. Labels are spread evenly
    by iterative stratification (Sechidis et al. 2011). Rows without pixels are in no part. An
    index on disk keeps the columns; the metadata of `group` say which key was used and why.

    Args:
        index: the images.
        boxes: labels to spread evenly, joined to the index.
        parts: name and share of each part; by default 0.8 "train" and 0.2 "valid".
        folds: instead, so many folds of equal size, in the column `fold`, from 0.
        by: another column that says whose an image is.
        seed: another seed, another split; the same seed, the same one in whatever order rows are.

    Raises:
        UsageError: shares that do not add up to 1, or fewer groups than parts.
        UnknownNameError: there is no column `by`.

    Warns:
        UserWarning: the patient is not known of every image.
    """
    return split_rows(index, boxes, parts, folds, by, seed)


class Index(IndexRows):
    """A typed table with one row per file: made by `scan`, or opened from an index folder.

    `len(index)` is the number of rows; `index[3]` opens one as an `Image`, `index[:10]` is an Index
    of some, and a loop goes over all.
    """

    @property
    def columns(self) -> list[str]:
        """The names of the columns: ours first, then DICOM keywords by tag."""
        return list(self.schema.names)

    @property
    def table(self) -> pa.Table:
        """All rows, in memory."""
        return all_rows(self)

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
        return where(self, expression)

    def query(self, sql: str) -> pd.DataFrame:
        """What one SELECT statement (DuckDB's SQL) gives.

        The tables are `index`, `problems` (one row per problem) and `problem_codes`.

        Raises:
            QueryError: not one SELECT statement, or an unknown column or table.
        """
        return to_frame(query(self, sql), "keep")

    def problems(self, code: str | None = None) -> pd.DataFrame:
        """What is wrong, one row per problem: path, member, id, code, severity, tag, offset, text.

        Raises:
            UnknownNameError: there is no such code.
        """
        return to_frame(problems(self, code))

    def leaks(self, column: str = "part", by: str | None = None) -> pd.DataFrame:
        """Images of one patient, or with the same pixels, that a split has on two sides.

        Args:
            column: the part of each row, by default what `wetread.split` wrote.
            by: the column that says whose an image is; by default as in `wetread.split`.

        Returns:
            A row an image: code (LEAK_GROUP or LEAK_PIXELS), shared, part, id, path.

        Raises:
            UnknownNameError: there is no such column.
            UsageError: the column is empty; after a split into folds it is `"fold"`.
        """
        return to_frame(find_leaks(self, column, by))

    def summary(self) -> Summary:
        """Files, statuses, modalities, transfer syntaxes and problems, counted; print it."""
        return summarise(self)

    def mosaic(
        self,
        n: int = 24,
        columns: str | Sequence[str] = ("path", "PhotometricInterpretation"),
        window: WindowLike = None,
    ) -> Picture:
        """One picture (of Pillow) of `n` images, spread evenly over the rows with pixels.

        A file that cannot be decoded is a tile that says why.

        Args:
            n: how many, at most 400.
            columns: one column or several, whose values stand below each image; of `path` the
                name of the file or the member of an archive.
            window: as in `Image.display`.

        Raises:
            UnknownNameError: there is no such column.
            UsageError: no row has pixels.
        """
        return mosaic(self, n, columns, window)

    def measure(
        self,
        size: int | None = None,
        workers: int | None = None,
        progress: bool = True,
        engine: Engine | None = None,
    ) -> Index:
        """The rows with columns of pixel statistics: `px_*` in modality values, `raw_*` as stored.

        Images are decoded in processes of their own; one that crashes, hangs or wants too much
        memory is a row with a `px_status`. For an index folder the numbers are kept in it: what
        was stopped goes on, and a second call measures only what has changed.

        Args:
            size: measure at the smallest resolution a file holds whose longest side is at least
                this many pixels, and say so in `px_scale`; None is all pixels.
            workers: processes that decode, 1 or more; None for one a core.
            progress: say on stderr how far it is.
            engine: who does the work; a `wetread.DaskEngine` is a cluster.

        Returns:
            An index with the columns; one from disk is opened again, this one cannot be used.

        Raises:
            UsageError: a size or workers below 1.
            StorageError: the index folder cannot be written, or is being written.
        """
        return measure_images(self, size, workers, progress, engine=engine)

    def export(
        self,
        to: PathLike,
        size: int | None = None,
        format: Format = "png16",
        window: WindowLike = None,
        workers: int | None = None,
        progress: bool = True,
    ) -> pd.DataFrame:
        """Writes every frame of every image as a picture file, named by id, into a folder.

        The table that comes back, also written there as `manifest.csv`, has a line for every
        frame: its file, and the way back to path, values and coordinates. What cannot be decoded
        has a line too, with its `status`.

        Args:
            to: the folder; files of an earlier export are replaced.
            size: the longest side in pixels; never enlarges.
            format: `"png16"`, `"tiff"` or `"npy"` keep all values: modality value = `slope` x
                pixel + `intercept`. `"png8"` and `"jpg"` are what `Image.display` shows.
            window: of png8 and jpg, as in `Image.display`.
            workers: processes that decode, 1 or more; None for one a core.
            progress: say on stderr how far it is.

        Raises:
            UsageError: a size or workers below 1, a window with a format that keeps all values.
            UnknownNameError: no such format.
            StorageError: the folder cannot be written.
        """
        found = export_images(self, to, size, format, window, workers, progress)
        return to_frame(found)

    def __iter__(self) -> Iterator[Image]:
        for batch in batches(self):
            for row in batch.to_pylist():
                yield Image(self.root, row)

    @overload
    def __getitem__(self, item: int) -> Image: ...
    @overload
    def __getitem__(self, item: slice) -> Index: ...
    def __getitem__(self, item: int | slice) -> Image | Index:
        if isinstance(item, slice):
            return _part(self, range(len(self))[item])
        place = range(len(self))[item]
        return Image(self.root, some_rows(self, place, place + 1).to_pylist()[0])

    def __repr__(self) -> str:
        kept = f", kept in {self.folder}" if self.folder else ""
        return f"<Index: {len(self):,} files in {self.root}, {len(self.columns)} columns{kept}>"

    def _repr_html_(self) -> str:
        names = [name for name in _SHOWN if name in self.columns]
        rows = some_rows(self, 0, 5).select(names).to_pylist()
        table = table_html(names, (row.values() for row in rows))
        more = ", the first 5:" if len(self) > 5 else ":"
        return f"<p>{len(self):,} files, {len(self.columns)} columns{more}</p>{table}"


def _part(index: Index, places: range) -> Index:
    """Some rows of an index, in memory."""
    low, high = (min(places), max(places) + 1) if places else (0, 0)
    rows = some_rows(index, low, high)
    if places.step != 1:
        rows = rows.take(pa.array([place - low for place in places], pa.int64()))
    return Index(index.root, index.schema, rows=rows)

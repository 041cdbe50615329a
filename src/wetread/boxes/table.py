"""Bounding boxes as one table, whatever file they came from.

One row per box, point, or reading without a finding ("nothing").
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.text import counted, natural_key
from wetread.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

PathLike = str | os.PathLike[str]

BOX_SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("key", pa.string()),
        ("frame", pa.int32()),
        ("label", pa.string()),
        ("reader", pa.string()),
        ("x0", pa.float64()),
        ("y0", pa.float64()),
        ("x1", pa.float64()),
        ("y1", pa.float64()),
        ("score", pa.float64()),
        ("kind", pa.string()),
        ("ignore", pa.bool_()),
        ("flags", pa.list_(pa.string())),
        ("group", pa.string()),
        ("part", pa.string()),
    ]
)
"""`image` is the id of an index row and `key` the image's name in the label file. Coordinates are
edges of stored pixels (0 is the left edge of the first column). `kind` is box, point or nothing.
`ignore` marks a box that metrics count neither as right nor as wrong (`difficult` of Pascal VOC,
`iscrowd` of COCO), or a row of kind nothing that is no reading: the reader was unsure, or the
image is bad. `flags` are the marks of the label file by name."""
CORNERS = ("x0", "y0", "x1", "y1")
KINDS = ("box", "point", "nothing")
UNREADABLE = "unreadable: "
"""Start of the flag of a row of the label file that could not be read; the reason follows."""
CHANGED = "image changed"
"""Flag of a row whose image has changed since it was annotated."""
CONFLICTING = "conflict"
"""Flag of a box for which two windows of its reader disagree."""
METADATA = b"wetread.boxes"
_SHARED = ("run", "dialect", "index")
Classes = tuple[tuple[str, str], ...]
"""(id, name) of every class, in the order of the data set."""


def make_table(columns: Mapping[str, Any]) -> pa.Table:
    """Table of BOX_SCHEMA from columns; missing columns are null.

    `kind` defaults to "box", `ignore` to False and `flags` to no flag. NaN becomes null.

    Raises:
        UsageError: unknown column, wrong type or length, or unknown kind.

    >>> make_table({"key": ["a"], "label": ["Nodule"]})["kind"].to_pylist()
    ['box']
    """
    unknown = sorted(set(columns) - set(BOX_SCHEMA.names))
    if unknown:
        raise UsageError(f"unknown box column {unknown[0]!r}; known: {', '.join(BOX_SCHEMA.names)}")
    rows = len(next(iter(columns.values()), ()))
    columns = {"kind": ["box"] * rows, **columns}
    try:
        arrays = {f.name: _array(columns.get(f.name), f.type, rows) for f in BOX_SCHEMA}
        arrays["ignore"] = pc.fill_null(arrays["ignore"], False)
        if (flags := arrays["flags"]).null_count:
            filled = [value or [] for value in flags.to_pylist()]
            arrays["flags"] = pa.array(filled, BOX_SCHEMA.field("flags").type)
        table = pa.table(arrays, schema=BOX_SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise UsageError(f"box columns of the wrong type or length: {error}") from error
    if unknown := list(set(table["kind"].unique().to_pylist()) - set(KINDS)):
        raise UsageError(f"unknown kind {unknown[0]!r}; known: {', '.join(KINDS)}")
    return table


def _array(values: Any, type_: pa.DataType, rows: int) -> pa.Array | pa.ChunkedArray:
    if values is None:
        return pa.nulls(rows, type_)
    if isinstance(values, pa.Array | pa.ChunkedArray):
        values = values.cast(type_)
        if pa.types.is_floating(type_):
            values = pc.if_else(pc.is_nan(values), pa.scalar(None, type_), values)
        return values
    return pa.array(values, type_, from_pandas=True)


def describe(
    table: pa.Table,
    classes: Iterable[Sequence[Any]],
    run: str | None,
    dialect: str,
    index: str | None = None,
) -> pa.Table:
    """Add classes, run, dialect and index to the table's metadata."""
    known = [[str(id_), str(name)] for id_, name in classes]
    values = {"classes": known, "run": run, "dialect": dialect, "index": index}
    return table.cast(BOX_SCHEMA).replace_schema_metadata({METADATA: json.dumps(values).encode()})


def description(table: pa.Table) -> dict[str, Any]:
    """Classes, run, dialect and index from the table's metadata; defaults if absent."""
    text = (table.schema.metadata or {}).get(METADATA)
    values = json.loads(text) if text else {}
    defaults: dict[str, Any] = {"classes": [], "run": None, "dialect": "", "index": None}
    return {name: values.get(name, default) for name, default in defaults.items()}


def is_undecided(table: pa.Table) -> NDArray[np.bool_]:
    """Boolean mask of the rows that are no reading: of kind "nothing", and ignored."""
    rows = pc.and_(pc.equal(table["kind"], "nothing"), table["ignore"])
    return np.asarray(rows, bool)


class BoxTable:
    """Rows of BOX_SCHEMA with the classes, run, dialect and index they belong to.

    `Boxes` adds the operations on them.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        """The rows; classes, run, dialect and index are in the schema's metadata."""

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, Any],
        classes: Iterable[Sequence[Any]] | None = None,
        run: str | None = None,
        dialect: str = "",
        index: str | None = None,
    ) -> Self:
        """Boxes from columns of BOX_SCHEMA; missing columns are null.

        Args:
            columns: lists or arrays by column name.
            classes: (id, name) of every class, in order (default: the labels, sorted).
            run: id of the training run whose model predicted the boxes.
            dialect: name of the label format.
            index: folder of the index that the boxes are joined to.

        Raises:
            UsageError: unknown column, or values of the wrong type.
        """
        table = make_table(columns)
        if classes is None:
            names = sorted(set(table["label"].drop_null().to_pylist()))
            classes = [(str(number), name) for number, name in enumerate(names)]
        return cls(describe(table, classes, run, dialect, index))

    @classmethod
    def concat(cls, several: Sequence[BoxTable]) -> Self:
        """Concatenate the boxes of several label files, or of several models.

        Rows without a reader get the id of their run as the reader, else "file 1", "file 2" and so
        on, so that `consensus` counts every run as a reader.

        >>> one = BoxTable.from_columns({"key": ["a"], "label": ["ILD"], "score": [0.9]}, run="r50")
        >>> BoxTable.concat([one, one.replace({"reader": ["R1"]})]).readers
        ('R1', 'r50')
        """
        if not several:
            raise UsageError("no boxes to concatenate: give one or more")
        tables = []
        for number, boxes in enumerate(several, 1):
            readers = pc.fill_null(boxes.table["reader"], boxes.run or f"file {number}")
            tables.append(boxes.replace({"reader": readers}).table)
        rows = pa.concat_tables([table.replace_schema_metadata() for table in tables])
        known = [{description(boxes.table)[name] for boxes in several} for name in _SHARED]
        classes = list(dict.fromkeys(pair for boxes in several for pair in boxes.classes))
        if len({id_ for id_, _ in classes}) < len(classes):  # ids of several files clash: renumber
            names = dict.fromkeys(name for _, name in classes)
            classes = [(str(number), name) for number, name in enumerate(names)]
        shared = [values.pop() if len(values) == 1 else None for values in known]
        run, dialect, index = shared
        return cls(describe(rows, classes, run, dialect or "", index))

    @classmethod
    def open(cls, path: PathLike) -> Self:
        """Open a Parquet file written by `save`.

        Raises:
            NotFoundError: no such file.
            UsageError: not a Parquet file of boxes.
        """
        import pyarrow.parquet as pq

        if not Path(path).is_file():
            raise NotFoundError(f"{path}: no such file")
        try:
            table = pq.read_table(path)
        except pa.ArrowInvalid as error:
            raise UsageError(f"{path} is not a Parquet file: {error}") from error
        if METADATA not in (table.schema.metadata or {}):
            raise UsageError(
                f"{path} was not written by Boxes.save(); its columns are "
                f"{', '.join(table.column_names[:12])}"
            )
        columns = {name: table[name] for name in table.column_names}
        return cls.from_columns(columns, **description(table))

    def save(self, path: PathLike) -> None:
        """Write the table as a Parquet file, atomically.

        Raises:
            StorageError: the file cannot be written.
        """
        import pyarrow.parquet as pq

        from wetread.common.files import written

        with written(path) as file:
            pq.write_table(self.table, file)

    @property
    def classes(self) -> Classes:
        """(id, name) of every class, in the order of the data set."""
        return tuple((str(i), str(name)) for i, name in description(self.table)["classes"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, then labels in the rows that are not classes."""
        names = dict.fromkeys(name for _, name in self.classes)
        others = sorted(set(self.table["label"].drop_null().unique().to_pylist()) - set(names))
        return (*names, *others)

    @property
    def readers(self) -> tuple[str, ...]:
        """Names of the readers in natural order (R2 before R10); () if the file names none."""
        names = self.table["reader"].drop_null().unique().to_pylist()
        return tuple(sorted(names, key=natural_key))

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of all rows, sorted; "ignore" for rows that are ignored without a flag.

        >>> BoxTable.from_columns({"key": ["a"], "flags": [["truncated"]]}).flags
        ('truncated',)
        """
        columns = zip(*(self.table[n].to_pylist() for n in ("flags", "ignore")), strict=True)
        names = {f for flags, ignore in columns for f in flags or ["ignore"] * ignore}
        return tuple(sorted(names))

    @property
    def run(self) -> str | None:
        """Id of the training run whose model predicted the boxes."""
        run: str | None = description(self.table)["run"]
        return run

    @property
    def dialect(self) -> str:
        """Name of the label format they were read from."""
        return str(description(self.table)["dialect"])

    @property
    def index(self) -> str | None:
        """Folder of the index that the rows were joined to; None if that was in memory."""
        index: str | None = description(self.table)["index"]
        return index

    @property
    def corners(self) -> NDArray[np.float64]:
        """Array (n, 4) of x0, y0, x1, y1; NaN for rows without a box."""
        return np.stack([self.table[name].to_numpy() for name in CORNERS], axis=1)

    @property
    def images(self) -> pa.ChunkedArray:
        """Identifier column: `image` if every row is joined to an index, else `key`."""
        return self.table["key" if self.table["image"].null_count else "image"]

    @property
    def sql_table(self) -> pa.Table:
        """The rows as the table `boxes` of SQL: `id` is that of the index row, as `image`."""
        return self.table.replace_schema_metadata().add_column(0, "id", self.table["image"])

    def select(self, mask: NDArray[np.bool_] | pa.BooleanArray) -> Self:
        """Rows where the mask is true."""
        return type(self)(self.table.filter(pa.array(mask, pa.bool_())))

    def decided(self) -> Self:
        """Rows without those of kind "nothing" that are ignored: these are no readings.

        >>> BoxTable.from_columns({"key": ["a"], "kind": ["nothing"], "ignore": [True]}).decided()
        <Boxes: 0 on 0 images, 0 labels>
        """
        return self.select(~is_undecided(self.table))

    def replace(
        self, columns: Mapping[str, Any], dialect: str | None = None, index: str | None = None
    ) -> Self:
        """Copy with some columns replaced, and the dialect or the index."""
        values = {name: self.table[name] for name in self.table.column_names} | dict(columns)
        metadata = description(self.table)
        metadata["dialect"] = dialect or metadata["dialect"]
        metadata["index"] = index or metadata["index"]
        return type(self).from_columns(values, **metadata)

    def to_pandas(self) -> pd.DataFrame:
        """Convert to a pandas DataFrame."""
        from wetread.common.dataframe import to_frame

        return to_frame(self.table, "keep")

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Rows for polars, pyarrow, DuckDB and others (Arrow PyCapsule interface)."""
        return self.table.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        count = len(set(self.images.to_pylist()))
        boxes = int(np.count_nonzero(np.asarray(self.table["kind"]) != "nothing"))
        readers = f", {counted(len(self.readers), 'reader')}" if self.readers else ""
        return (
            f"<Boxes: {boxes:,} on {counted(count, 'image')}, "
            f"{counted(len(self.labels), 'label')}{readers}>"
        )


AnyBoxes = TypeVar("AnyBoxes", bound=BoxTable)

"""The user's handle on boxes: every method calls the file that does the work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.boxes.table import CORNERS, METADATA, Classes, describe, description, make_table
from wetread.common.text import natural_key
from wetread.errors import NotFoundError, UsageError
from wetread.table.rows import IndexLike, IndexRows

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from wetread.boxes.consensus import Method
    from wetread.images.image import Image

PathLike = str | os.PathLike[str]


class Boxes:
    """Boxes of readers or of a model, over many images: a table, a row for each.

    >>> boxes = Boxes.from_columns({"key": ["a", "a"], "label": ["Nodule", "ILD"], "x0": [1, 2],
    ...     "y0": [1, 2], "x1": [5, 6], "y1": [5, 6], "reader": ["R1", "R2"]})
    >>> boxes.labels, boxes.readers
    (('ILD', 'Nodule'), ('R1', 'R2'))
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        """The rows; classes, run and dialect are in the metadata of its schema."""

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, Any],
        classes: Iterable[Sequence[Any]] | None = None,
        run: str | None = None,
        dialect: str = "",
    ) -> Boxes:
        """Boxes from columns of BOX_SCHEMA; those that are not given are null.

        Args:
            columns: lists or arrays by name.
            classes: (id, name) in order; by default the labels that occur, sorted.
            run: the id of the model's run that predicted them.
            dialect: the form of the file they were in.

        Raises:
            UsageError: an unknown column, or values of another type.
        """
        table = make_table(columns)
        if classes is None:
            names = sorted(set(table["label"].drop_null().to_pylist()))
            classes = [(str(number), name) for number, name in enumerate(names)]
        return cls(describe(table, classes, run, dialect))

    @classmethod
    def concat(cls, several: Sequence[Boxes]) -> Boxes:
        """The rows of several label files, or of several runs of models, in one.

        Rows without a reader get the id of the run that predicted them, else "file 1", "file 2"
        and so on: `consensus` then counts every run as a reader.

        >>> one = Boxes.from_columns({"key": ["a"], "label": ["ILD"], "score": [0.9]}, run="r50")
        >>> Boxes.concat([one, one.replace({"reader": ["R1"]})]).readers
        ('R1', 'r50')
        """
        if not several:
            raise UsageError("no boxes to put together: give one or more")
        tables = []
        for number, boxes in enumerate(several, 1):
            who = pc.fill_null(boxes.table["reader"], boxes.run or f"file {number}")
            tables.append(boxes.replace({"reader": who}).table)
        rows = pa.concat_tables([table.replace_schema_metadata() for table in tables])
        dialects, runs = ({b.dialect for b in several}, {b.run for b in several})
        classes = list(dict.fromkeys(pair for boxes in several for pair in boxes.classes))
        if len({id_ for id_, _ in classes}) < len(classes):  # ids of several files: numbered anew
            names = dict.fromkeys(name for _, name in classes)
            classes = [(str(number), name) for number, name in enumerate(names)]
        run = runs.pop() if len(runs) == 1 else None
        dialect = dialects.pop() if len(dialects) == 1 else ""
        return cls(describe(rows, classes, run, dialect))

    @classmethod
    def open(cls, path: PathLike) -> Boxes:
        """Boxes that `save` wrote.

        Raises:
            NotFoundError: there is no such file.
            UsageError: it is a Parquet file of something else.
        """
        import pyarrow.parquet as pq

        if not Path(path).is_file():
            raise NotFoundError(f"{path}: no such file")
        try:
            table = pq.read_table(path)
        except pa.ArrowInvalid as error:
            raise UsageError(f"{path} is no Parquet file: {error}") from error
        if METADATA not in (table.schema.metadata or {}):
            raise UsageError(
                f"{path} holds no boxes of wetread; its columns are "
                f"{', '.join(table.column_names[:12])}"
            )
        said = description(table)
        columns = {name: table[name] for name in table.column_names}
        return cls.from_columns(columns, said["classes"], said["run"], said["dialect"])

    def save(self, path: PathLike) -> None:
        """Writes the table as Parquet, whole or not at all.

        Raises:
            StorageError: the file cannot be written.
        """
        import pyarrow.parquet as pq

        from wetread.common.files import written

        with written(path) as beside:
            pq.write_table(self.table, beside)

    @property
    def classes(self) -> Classes:
        """(id, name) of every class, in the order of the data set."""
        return tuple((str(i), str(name)) for i, name in description(self.table)["classes"])

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, then labels that occur without being one."""
        names = dict.fromkeys(name for _, name in self.classes)
        found = sorted(set(self.table["label"].drop_null().unique().to_pylist()) - set(names))
        return (*names, *found)

    @property
    def readers(self) -> tuple[str, ...]:
        """Who drew them, sorted with R2 before R10; () where the file does not say."""
        names = self.table["reader"].drop_null().unique().to_pylist()
        return tuple(sorted(names, key=natural_key))

    @property
    def run(self) -> str | None:
        """The id of the model's run that predicted them."""
        run: str | None = description(self.table)["run"]
        return run

    @property
    def dialect(self) -> str:
        """The form of the file they were read from."""
        return str(description(self.table)["dialect"])

    @property
    def corners(self) -> NDArray[np.float64]:
        """(n, 4): x0, y0, x1, y1 of every row, NaN where nothing was found."""
        return np.stack([self.table[name].to_numpy() for name in CORNERS], axis=1)

    @property
    def images(self) -> pa.ChunkedArray:
        """What tells images apart: `image` where every row is joined to an index, else `key`."""
        return self.table["key" if self.table["image"].null_count else "image"]

    def select(self, mask: NDArray[np.bool_] | pa.BooleanArray) -> Boxes:
        """The rows where the mask is true."""
        return Boxes(self.table.filter(pa.array(mask, pa.bool_())))

    def replace(self, columns: Mapping[str, Any], dialect: str | None = None) -> Boxes:
        """The same rows with other values in some columns."""
        given = {name: self.table[name] for name in self.table.column_names}
        said = description(self.table)
        return Boxes.from_columns(
            {**given, **columns}, said["classes"], said["run"], dialect or said["dialect"]
        )

    def to_pandas(self) -> pd.DataFrame:
        """The table as a DataFrame."""
        from wetread.common.dataframe import to_frame

        return to_frame(self.table)

    def on(self, image: Image, frame: int = 0) -> list[tuple[float, float, float, float, str, str]]:
        """What can be drawn on an image: x0, y0, x1, y1, label (with its score), reader.

        These are the boxes with an area of this frame and of the whole instance; `check` lists
        those without.
        """
        from wetread.boxes.join import rows_of

        rows = rows_of(self.table, image)
        return [
            (*(row[c] for c in CORNERS), _caption(row), row["reader"] or "")
            for row in rows
            if row["kind"] == "box" and row["frame"] in (None, frame) and _has_area(row)
        ]

    def join(self, index: IndexLike) -> Boxes:
        """The same rows with `image`, `group` and `part` from the index.

        See `wetread.boxes.join` for how a key is looked for.
        """
        from wetread.boxes.join import join_boxes

        return join_boxes(self, IndexRows.of(index))

    def check(self, index: IndexLike | None = None) -> pd.DataFrame:
        """What is wrong, a row per problem; with an index also what the images say to it."""
        from wetread.boxes.problems import check_boxes

        return check_boxes(self, None if index is None else IndexRows.of(index))

    def agreement(self, iou: float = 0.4) -> pd.DataFrame:
        """How far the readers agree, per label and pair; see `wetread.boxes.agreement`."""
        from wetread.boxes.agreement import compare_readers

        return compare_readers(self, iou)

    def consensus(self, method: Method = "wbf", iou: float = 0.4) -> Boxes:
        """One truth of several readers, or one prediction of several runs.

        See `wetread.boxes.consensus`.
        """
        from wetread.boxes.consensus import merge_readers

        return merge_readers(self, method, iou)

    def to_coco(self, path: PathLike, index: IndexLike | None = None) -> None:
        """Writes COCO JSON; sizes of images come from the index."""
        from wetread.boxes.coco import write_coco

        write_coco(self, path, None if index is None else IndexRows.of(index))

    def to_yolo(self, folder: PathLike, index: IndexLike) -> None:
        """Writes YOLO's text file an image, coordinates as shares of its size, and the names."""
        from wetread.boxes.yolo import write_yolo

        write_yolo(self, folder, IndexRows.of(index))

    def to_voc(self, folder: PathLike, index: IndexLike) -> None:
        """Writes a Pascal VOC XML file an image."""
        from wetread.boxes.voc import write_voc

        write_voc(self, folder, IndexRows.of(index))

    def to_dicom_sr(
        self, folder: PathLike, index: IndexLike, progress: bool = True
    ) -> pd.DataFrame:
        """Writes a DICOM report (TID 1500) an image and reader; needs the extra `sr`.

        What comes back is a problem for each image whose UIDs had to be made up.
        """
        from wetread.boxes.sr import write_sr

        return write_sr(self, folder, IndexRows.of(index), progress)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        count = len(set(self.images.to_pylist()))
        boxes = int(np.count_nonzero(np.asarray(self.table["kind"]) != "nothing"))
        who = f", {len(self.readers)} readers" if self.readers else ""
        return f"<Boxes: {boxes:,} on {count:,} images, {len(self.labels)} labels{who}>"


def _has_area(row: Mapping[str, Any]) -> bool:
    x0, y0, x1, y1 = (row[name] for name in CORNERS)
    return None not in (x0, y0, x1, y1) and x0 < x1 and y0 < y1


def _caption(row: Mapping[str, Any]) -> str:
    score = "" if row["score"] is None else f" {row['score']:.2f}"
    return f"{row['label'] or ''}{score}".strip()

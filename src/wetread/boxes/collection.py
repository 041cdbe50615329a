"""Boxes: bounding boxes of readers or of a model, with every operation on them as a method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from wetread.boxes.agreement import compare_readers
from wetread.boxes.annotation_export import write_annotations
from wetread.boxes.coco import write_coco
from wetread.boxes.columns import Form
from wetread.boxes.consensus import Method, merge_readers
from wetread.boxes.join import join_boxes, rows_of
from wetread.boxes.problems import check_boxes
from wetread.boxes.sr import write_sr
from wetread.boxes.table import CORNERS, BoxTable, PathLike
from wetread.boxes.tables import Layout, read_table
from wetread.boxes.voc import write_voc
from wetread.boxes.yolo import write_yolo
from wetread.table.rows import IndexLike, IndexRows

if TYPE_CHECKING:
    import pandas as pd

    from wetread.images.image import Image


class Boxes(BoxTable):
    """Bounding boxes of readers or of a model, over many images: a table with one row per box.

    >>> boxes = Boxes.from_columns({"key": ["a", "a"], "label": ["Nodule", "ILD"], "x0": [1, 2],
    ...     "y0": [1, 2], "x1": [5, 6], "y1": [5, 6], "reader": ["R1", "R2"]})
    >>> boxes.labels, boxes.readers
    (('ILD', 'Nodule'), ('R1', 'R2'))
    """

    @classmethod
    def from_pandas(
        cls,
        frame: pd.DataFrame,
        columns: Mapping[str, str] | None = None,
        form: Form | None = None,
    ) -> Self:
        """Boxes from a DataFrame, such as that of `to_pandas` or of `pandas.read_csv`.

        Formats are recognised as by `wetread.read_boxes`, which also takes a DataFrame, joins the
        boxes to an index, and takes coordinates that are shares of the image.

        Args:
            frame: one row per box.
            columns: column by role; see `wetread.read_boxes`.
            form: form of the coordinates; see `wetread.read_boxes`.

        >>> import pandas as pd
        >>> frame = pd.DataFrame({"file": ["a.png"], "class": ["Mass"], "x": [1], "y": [2],
        ...     "w": [10], "h": [20]})
        >>> Boxes.from_pandas(frame).corners
        array([[ 1.,  2., 11., 22.]])
        """
        return cls(read_table(frame, layout=Layout(columns, form)).table)

    def on(self, image: Image, frame: int = 0) -> list[tuple[float, float, float, float, str, str]]:
        """Boxes and points to draw on one frame of an image.

        Boxes without an area are left out; `check` lists them. Boxes without a frame number are on
        every frame.

        Returns:
            x0, y0, x1, y1, caption (label and score) and reader of each box.
        """
        return [
            (*(row[c] for c in CORNERS), _caption(row), row["reader"] or "")
            for row in rows_of(self.table, image)
            if row["frame"] in (None, frame) and _is_visible(row)
        ]

    def join(self, index: IndexLike) -> Self:
        """Join the rows to the images of an index: adds `image`, `group` and `part`.

        See `wetread.boxes.join` for how keys are matched.
        """
        return join_boxes(self, IndexRows.of(index))

    def check(self, index: IndexLike | None = None) -> pd.DataFrame:
        """Problems of the boxes, one row per problem; with an index, checked against its images."""
        return check_boxes(self, None if index is None else IndexRows.of(index))

    def agreement(self, iou: float = 0.4) -> pd.DataFrame:
        """Inter-reader agreement per label and pair of readers; see `wetread.boxes.agreement`."""
        return compare_readers(self, iou)

    def consensus(self, method: Method = "wbf", iou: float = 0.4) -> Self:
        """Merge several readers into one ground truth, or several models into one prediction.

        See `wetread.boxes.consensus`.
        """
        return merge_readers(self, method, iou)

    def to_coco(self, path: PathLike, index: IndexLike | None = None) -> None:
        """Write a COCO JSON file; image sizes come from the index."""
        write_coco(self, path, None if index is None else IndexRows.of(index))

    def to_yolo(self, folder: PathLike, index: IndexLike) -> None:
        """Write YOLO labels: one text file per image, coordinates relative to its size."""
        write_yolo(self, folder, IndexRows.of(index))

    def to_voc(self, folder: PathLike, index: IndexLike) -> None:
        """Write Pascal VOC labels: one XML file per image."""
        write_voc(self, folder, IndexRows.of(index))

    def to_annotations(self, folder: PathLike, index: IndexLike, reader: str | None = None) -> None:
        """Write one log per reader, to continue the boxes in the viewer.

        See `wetread.boxes.annotation_export`.
        """
        write_annotations(self, folder, IndexRows.of(index), reader)

    def to_dicom_sr(
        self, folder: PathLike, index: IndexLike, progress: bool = True
    ) -> pd.DataFrame:
        """Write DICOM SR (TID 1500), one file per image and reader; needs the extra `sr`.

        Returns:
            One problem per image whose UIDs had to be generated.
        """
        return write_sr(self, folder, IndexRows.of(index), progress)


def _is_visible(row: Mapping[str, Any]) -> bool:
    x0, y0, x1, y1 = (row[name] for name in CORNERS)
    if None in (x0, y0, x1, y1) or row["kind"] == "nothing":
        return False
    return bool(row["kind"] == "point" or (x0 < x1 and y0 < y1))


def _caption(row: Mapping[str, Any]) -> str:
    score = "" if row["score"] is None else f" {row['score']:.2f}"
    return f"{row['label'] or ''}{score}".strip()

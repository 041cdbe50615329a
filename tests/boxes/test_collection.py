from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wetread as wr
from wetread.boxes import Boxes
from wetread.errors import NotFoundError, StorageError, UsageError


def one(**columns: Any) -> Boxes:
    corners = {"x0": [1.0], "y0": [2.0], "x1": [5.0], "y1": [6.0]}
    return Boxes.from_columns({"key": ["a"], "label": ["ILD"], **corners, **columns})


def test_save_and_open(tmp_path: Path) -> None:
    boxes = Boxes.from_columns(
        {"key": ["a"], "label": ["ILD"]}, [("5", "ILD"), ("7", "Mass")], "run-1", "coco"
    )
    boxes.save(tmp_path / "boxes.parquet")
    again = Boxes.open(tmp_path / "boxes.parquet")
    assert again.table.equals(boxes.table, check_metadata=True)
    assert again.classes == (("5", "ILD"), ("7", "Mass"))
    assert (again.run, again.dialect, again.labels) == ("run-1", "coco", ("ILD", "Mass"))


def test_files_that_cannot_be_opened_or_saved(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Boxes.open(tmp_path / "nothing.parquet")
    pq.write_table(pa.table({"price": [1]}), tmp_path / "other.parquet")
    with pytest.raises(UsageError, match=r"not written by Boxes.save\(\); its columns are price"):
        Boxes.open(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(UsageError, match="is not a Parquet file"):
        Boxes.open(tmp_path / "text.parquet")
    with pytest.raises(StorageError):
        one().save(tmp_path / "no such folder" / "boxes.parquet")


def test_labels_follow_the_class_order_without_duplicates() -> None:
    boxes = Boxes.from_columns({"label": ["B", "Z"]}, [("0", "B"), ("1", "A"), ("2", "B")])
    assert boxes.labels == ("B", "A", "Z")


def test_select_and_replace_keep_the_metadata() -> None:
    boxes = Boxes.from_columns({"key": ["a", "b"]}, [("1", "X")], "run", "yolo")
    some = boxes.select(np.array([False, True])).replace({"reader": ["R1"]})
    assert some.table.to_pylist()[0]["key"] == "b"
    assert (some.classes, some.run, some.dialect) == ((("1", "X"),), "run", "yolo")


def test_images_are_ids_if_all_rows_are_joined() -> None:
    assert one(image=["0f"]).images.to_pylist() == ["0f"]
    boxes = Boxes.from_columns({"key": ["a", "b"], "image": ["0f", None]})
    assert boxes.images.to_pylist() == ["a", "b"]


def test_runs_become_readers() -> None:
    runs = [one(score=[0.9]), one(score=[0.8]), one(reader=["R1"])]
    runs[1] = Boxes.from_columns({"key": ["a"], "label": ["Mass"]}, run="r50")
    both = Boxes.concat(runs)
    assert both.readers == ("R1", "file 1", "r50")
    assert both.labels == ("ILD", "Mass")  # both had the id 0
    assert len({id_ for id_, _ in both.classes}) == 2
    with pytest.raises(UsageError, match="give one or more"):
        Boxes.concat([])


def test_concat_keeps_class_ids_without_a_clash() -> None:
    classes = [("3", "ILD"), ("7", "Mass")]
    runs = [Boxes.from_columns({"key": ["a"]}, c, "run") for c in (classes[:1], classes)]
    assert Boxes.concat(runs).classes == tuple(classes)
    assert Boxes.concat(runs).run == "run"


def test_boxes_on_an_image(make_index: Callable[..., wr.Index]) -> None:
    index = make_index({"a.dcm": {}})
    image = index[0]
    boxes = Boxes.from_columns(
        {
            "key": ["a"] * 5,
            "kind": ["box", "box", "box", "nothing", "box"],
            "label": ["ILD", "flat", "later", None, "ILD"],
            "frame": [None, None, 1, None, 0],
            "x0": [1, 1, 1, None, 2],
            "y0": [1, 1, 1, None, 2],
            "x1": [5, 1, 5, None, 6],
            "y1": [5, 5, 5, None, 6],
            "score": [0.5, None, None, None, None],
            "reader": ["R1", None, None, None, None],
        }
    )
    assert boxes.on(image) == [(1, 1, 5, 5, "ILD 0.50", "R1"), (2, 2, 6, 6, "ILD", "")]
    assert [box[4] for box in boxes.on(image, frame=1)] == ["ILD 0.50", "later"]
    assert boxes.join(index).on(image) == boxes.on(image)


def test_repr_counts() -> None:
    assert repr(one(reader=["R1"])) == "<Boxes: 1 on 1 image, 1 label, 1 reader>"
    assert repr(Boxes.from_columns({})) == "<Boxes: 0 on 0 images, 0 labels>"

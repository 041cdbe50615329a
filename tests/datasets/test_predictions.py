"""Predictions of a model trained elsewhere, on the images of an export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
import yaml

import wetread as wr
from wetread.boxes import Boxes
from wetread.boxes.table import CORNERS
from wetread.errors import UsageError

QUIET: Any = {"workers": 1, "progress": False}


@pytest.fixture
def index(make_index: Callable[..., wr.Index]) -> wr.Index:
    return make_index({f"{name}.dcm": {"rows": 90, "columns": 131} for name in "abcd"})


@pytest.fixture
def truth(index: wr.Index) -> Boxes:
    """Two boxes with fractions on each image."""
    rows = [(key, label, 10.25, 7.5, 60.75, 33) for key in "abcd" for label in ("mass", "no")]
    names = ("key", "label", "x0", "y0", "x1", "y1")
    columns = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    return Boxes.from_columns(columns, enumerate(("mass", "no"))).join(index)


def test_yolo_predictions_elsewhere_have_the_classes_of_their_export(
    index: wr.Index, truth: Boxes, tmp_path: Path
) -> None:
    """Ultralytics writes a folder of text files alone."""
    lines = index.export(tmp_path / "data", boxes=truth, to="yolo", size=50, **QUIET)
    (tmp_path / "runs" / "predict" / "labels").mkdir(parents=True)
    folder = tmp_path / "runs" / "predict" / "labels"
    (folder / f"{Path(lines['file'][0]).stem}.txt").write_text("1 0.5 0.5 0.5 0.5 0.9\n")
    (row,) = wr.read_boxes(folder, index, manifest=tmp_path / "data").table.to_pylist()
    names = yaml.safe_load((tmp_path / "data" / "data.yaml").read_text("utf-8"))["names"]
    assert (row["image"], row["label"], row["score"]) == (lines["id"][0], names[1], 0.9)
    with pytest.raises(UsageError, match=r"copy the data\.yaml of the training there"):
        wr.read_boxes(folder, index)


def test_results_of_one_part_say_nothing_of_the_others(
    index: wr.Index, truth: Boxes, tmp_path: Path
) -> None:
    halves = wr.split(index, truth, parts={"train": 0.5, "valid": 0.5}, by="id")
    halves.export(tmp_path / "data", boxes=truth, to="coco", **QUIET)
    data = json.loads((tmp_path / "data" / "annotations" / "valid.json").read_text("utf-8"))
    image, category = data["images"][0]["id"], data["categories"][0]["id"]
    box = {"image_id": image, "category_id": category, "bbox": [1, 2, 3, 4], "score": 0.5}
    (tmp_path / "results.json").write_text(json.dumps([box]))
    found = wr.read_boxes(tmp_path / "results.json", halves, manifest=tmp_path / "data")
    assert set(found.table["part"].to_pylist()) == {"valid"}
    assert len(set(found.images.to_pylist())) == len(data["images"]) > 0


def test_predictions_on_the_pictures_are_read_back(
    index: wr.Index, truth: Boxes, tmp_path: Path
) -> None:
    lines = index.export(tmp_path / "data", boxes=truth, to="coco", size=50, **QUIET)
    data = json.loads((tmp_path / "data" / "annotations.json").read_text("utf-8"))
    results = [
        {
            "image_id": a["image_id"],
            "category_id": a["category_id"],
            "bbox": a["bbox"],
            "score": 0.5,
        }
        for a in data["annotations"]
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(UsageError, match="give manifest="):
        wr.read_boxes(tmp_path / "results.json")
    found = wr.read_boxes(tmp_path / "results.json", index, manifest=tmp_path / "data")
    assert set(found.table["score"].drop_null().to_pylist()) == {0.5}
    order = [("image", "ascending"), ("label", "ascending")]
    given, own = (
        one.table.filter(pc.field("kind") == "box").sort_by(order) for one in (found, truth)
    )
    for name in ("image", "frame", "label"):
        assert given[name].to_pylist() == own[name].to_pylist()
    for name in CORNERS:
        assert given[name].to_pylist() == pytest.approx(own[name].to_pylist(), abs=1e-9)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "classes.txt").write_text("any\nno")
    name = Path(lines["file"][0]).stem
    (tmp_path / "runs" / f"{name}.txt").write_text("1 0.5 0.5 0.5 0.5 0.9\n")
    (row,) = wr.read_boxes(tmp_path / "runs", manifest=tmp_path / "data").table.to_pylist()
    assert (row["image"], row["label"], row["score"]) == (lines["id"][0], "no", 0.9)
    shape = dict(zip(index["id"], zip(index["Columns"], index["Rows"], strict=True), strict=True))
    columns, rows = shape[row["image"]]
    corners = [row[name] for name in ("x0", "y0", "x1", "y1")]
    assert corners == pytest.approx([columns / 4, rows / 4, columns * 0.75, rows * 0.75])

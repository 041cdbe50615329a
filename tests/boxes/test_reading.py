from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wetread as wr
from wetread.boxes import Boxes
from wetread.errors import NotFoundError, UnknownNameError, UsageError

Make = Callable[..., wr.Index]
RSNA = "patientId,x,y,width,height,Target\na,10,20,30,40,1\nb,,,,,0\nelsewhere,,,,,0\n"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "labels.csv").write_text(RSNA)
    return tmp_path / "labels.csv"


@pytest.fixture
def index(make_index: Make) -> wr.Index:
    return make_index(
        {"a.dcm": {"rows": 100, "columns": 200}, "b.dcm": {"rows": 50, "columns": 50}}
    )


def test_boxes_are_joined_to_the_index(labels: Path, index: wr.Index) -> None:
    assert wr.read_boxes(labels).table["image"].null_count == 3
    joined = wr.read_boxes(labels, index)
    assert joined.table["image"].to_pylist() == [index[0].id, index[1].id, None]
    assert joined.table["group"].to_pylist() == ["P1", "P2", None]
    assert joined.dialect == "rsna-pneumonia"


@pytest.mark.parametrize(
    ("size", "corners"),
    [
        (50, [40, 80, 160, 240]),  # longest side of 100 x 200 resized to 50
        ((50, 50), [40, 40, 160, 120]),  # aspect ratio not kept
        ({"a": (200, 200)}, [10, 10, 40, 30]),
        ((100, 200), [10, 20, 40, 60]),
    ],
)
def test_boxes_of_resized_images(
    labels: Path, index: wr.Index, size: Any, corners: list[float]
) -> None:
    boxes = wr.read_boxes(labels, index, image_size=size)
    assert boxes.corners[0].tolist() == corners
    assert len(boxes) == 3  # rows without a box need no size


def test_invalid_image_size(labels: Path, index: wr.Index) -> None:
    with pytest.raises(UsageError, match="image_size needs images=index"):
        wr.read_boxes(labels, image_size=50)
    with pytest.raises(UsageError, match="1 box cannot be scaled: unknown size of image 'a'"):
        wr.read_boxes(labels, index, image_size={"b": (5, 5)})
    with pytest.raises(UsageError, match="1 box cannot be scaled: unknown size of image 'a'"):
        wr.read_boxes(labels, index.where("path = 'b.dcm'"), image_size=50)
    for size in (0, (10, -1), (1, 2, 3), {"a": (0, 5)}):
        with pytest.raises(UsageError, match="give the longest side or"):
            wr.read_boxes(labels, index, image_size=size)  # type: ignore[arg-type]
    Boxes.from_columns({"key": ["a"], "kind": ["nothing"]}).save(labels.with_suffix(".parquet"))
    with pytest.raises(UsageError, match="image_size does not apply to wetread"):
        wr.read_boxes(labels.with_suffix(".parquet"), index, image_size=50)


def test_parquet_files(tmp_path: Path) -> None:
    boxes = Boxes.from_columns({"key": ["a"], "label": ["X"]}, dialect="vindr")
    boxes.save(tmp_path / "boxes.parquet")
    again = wr.read_boxes(tmp_path / "boxes.parquet")
    assert again.table.equals(boxes.table, check_metadata=True)


def test_unknown_format_or_file(labels: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean coco"):
        wr.read_boxes(labels, format="cocoo")  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        wr.read_boxes(labels.with_name("none.csv"))


def test_folder_with_no_format_or_two(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found none of them; give format="):
        wr.read_boxes(tmp_path)
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "b.XML").write_text("<annotation/>")
    with pytest.raises(UsageError, match=r"found .txt and .xml; give format="):
        wr.read_boxes(tmp_path)
    assert wr.read_boxes(tmp_path, format="voc").table["key"].to_pylist() == ["b"]
    for format in ("dicom-sr", "vinbigdata", "coco"):
        with pytest.raises(UsageError):
            wr.read_boxes(tmp_path, format=format)  # type: ignore[arg-type]


COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": 50, "width": 100}],
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 10]}],
    "categories": [{"id": 1, "name": "x"}],
}
VOC = """<annotation><size><width>100</width><height>50</height></size><object><name>x</name>
<bndbox><xmin>11</xmin><ymin>21</ymin><xmax>40</xmax><ymax>30</ymax></bndbox></object></annotation>
"""


@pytest.mark.parametrize(("name", "text"), [("a.json", json.dumps(COCO)), ("a.xml", VOC)])
def test_sizes_in_the_file_must_match_the_index(
    tmp_path: Path, index: wr.Index, name: str, text: str
) -> None:
    """Boxes of an image of half the size would be inside the image, but wrong."""
    path = tmp_path / name
    path.write_text(text)
    message = r"'a.*' has \(100, 200\) \(rows, columns\), .* give image_size=\(50, 100\)"
    with pytest.raises(UsageError, match=message):
        wr.read_boxes(path, index)
    boxes = wr.read_boxes(path, index, image_size=(50, 100))
    assert boxes.corners.tolist() == [[20, 40, 80, 60]]
    assert wr.read_boxes(path).corners.tolist() == [[10, 20, 40, 30]]
    path.write_text(text.replace("100", "200").replace("50", "100"))
    assert wr.read_boxes(path, index).corners.tolist() == [[10, 20, 40, 30]]
    path.write_text(text.replace("100", "0"))  # unknown size
    assert wr.read_boxes(path, index).corners.tolist() == [[10, 20, 40, 30]]

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wetread as wr
from wetread.boxes import Boxes
from wetread.errors import UsageError

Make = Callable[..., wr.Index]
DEVKIT = """\
<annotation>
  <folder>VOC2010</folder>
  <filename>2008_000008.jpg</filename>
  <size><width>80</width><height>40</height><depth>3</depth></size>
  <object>
    <name>horse</name>
    <bndbox><xmax>80</xmax><xmin>1</xmin><ymax>40</ymax><ymin>11</ymin></bndbox>
    <part><name>head</name>
      <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>
  </object>
</annotation>
"""
TWO = Boxes.from_columns(
    {
        "key": ["a.dcm", "a.dcm", "b.dcm"],
        "label": ["Mass & <co>", "ILD", None],
        "kind": ["box", "box", "nothing"],
        "reader": ["R1", None, "R1"],
        "score": [None, 0.1, None],
        "x0": [0, 8, None],
        "y0": [0, 4, None],
        "x1": [80, 16, None],
        "y1": [40, 9, None],
    }
)


@pytest.fixture
def index(make_index: Make) -> wr.Index:
    return make_index({f"{n}.dcm": {"rows": 40, "columns": 80} for n in "ab"})


def test_pixel_numbers_become_edges(tmp_path: Path) -> None:
    """A box from pixel 1 to pixel 80 of 80 spans the whole width."""
    (tmp_path / "a.xml").write_text(DEVKIT.replace("<name>horse<", "<name>\n  horse\n  <"))
    for path in (tmp_path, tmp_path / "a.xml"):
        boxes = wr.read_boxes(path)
        assert boxes.corners.tolist() == [[0, 10, 80, 40]]
        assert boxes.table.to_pylist()[0]["key"] == "a"
        assert boxes.labels == ("horse",)
        assert boxes.dialect == "voc"


def test_write_and_read(tmp_path: Path, index: wr.Index) -> None:
    TWO.to_voc(tmp_path, index)
    again = wr.read_boxes(tmp_path, index)
    assert np.array_equal(again.corners, TWO.corners, equal_nan=True)
    for name in ("label", "kind", "score"):
        assert again.table[name].to_pylist() == TWO.table[name].to_pylist()
    assert again.table["reader"].to_pylist() == [
        "R1",
        None,
        None,
    ]  # an empty file has no reader
    assert again.table["image"].equals(TWO.join(index).table["image"])


def test_supervision_reads_it(tmp_path: Path, index: wr.Index, supervision: Any) -> None:
    """Coordinates are integers, as supervision stores 32-bit floats."""
    from PIL import Image

    TWO.to_voc(tmp_path / "labels", index)
    (tmp_path / "images").mkdir()
    for name in "ab":
        Image.new("L", (80, 40)).save(tmp_path / "images" / f"{name}.png")
    found = supervision.DetectionDataset.from_pascal_voc(
        str(tmp_path / "images"), str(tmp_path / "labels")
    )
    seen = {Path(name).stem: detections for name, _, detections in found}
    assert seen["a"].xyxy.tolist() == TWO.corners[:2].tolist()
    assert [found.classes[n] for n in seen["a"].class_id] == ["Mass & <co>", "ILD"]
    assert len(seen["b"]) == 0


FLAGGED = """\
<annotation><object><name>mass</name><truncated>1</truncated><occluded>0</occluded>
<difficult>1</difficult><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>
</object><object><name>mass</name><truncated>Unspecified</truncated><difficult>maybe</difficult>
<flag>rotated</flag><bndbox><xmin>3</xmin><ymin>3</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>
</object></annotation>
"""


def test_flags_are_kept(tmp_path: Path, index: wr.Index) -> None:
    (tmp_path / "a.xml").write_text(FLAGGED)
    boxes = wr.read_boxes(tmp_path)
    assert boxes.table["ignore"].to_pylist() == [True, False]
    flags = [["truncated", "difficult"], ["difficult: maybe", "rotated"]]
    assert boxes.table["flags"].to_pylist() == flags
    boxes.to_voc(tmp_path / "voc", index)
    boxes.to_coco(tmp_path / "boxes.json", index)
    for path in (tmp_path / "voc", tmp_path / "boxes.json"):
        again = wr.read_boxes(path).table
        assert again.select(["ignore", "flags"]).equals(boxes.table.select(["ignore", "flags"]))
    with pytest.warns(UserWarning, match="1 box to ignore is left out, the flags difficult: may"):
        boxes.to_yolo(tmp_path / "yolo", index)
    assert len((tmp_path / "yolo" / "a.txt").read_text().splitlines()) == 1


place = st.floats(-10, 1e4)
label = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=9)
line = st.tuples(st.sampled_from(["a", "b"]), label, *[place] * 4, st.none() | st.floats(0, 1))


@settings(deadline=None, max_examples=20)
@given(st.lists(line, max_size=8))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, pictures: wr.Index, rows: list[Any]
) -> None:
    rows.sort(key=lambda row: row[0])  # one file per image
    names = ("key", "label", "x0", "y0", "x1", "y1", "score")
    boxes = Boxes.from_columns({n: [row[i] for row in rows] for i, n in enumerate(names)})
    folder = tmp_path_factory.mktemp("labels")
    boxes.to_voc(folder, pictures)
    again = wr.read_boxes(folder) if rows else boxes
    for name in ("key", "label", "score"):
        assert again.table[name].to_pylist() == boxes.table[name].to_pylist()
    assert np.allclose(again.corners, boxes.corners, rtol=1e-15, atol=1e-11)


BOMB = '<!DOCTYPE a [<!ENTITY b "c">]><annotation/>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DEVKIT[:-9].encode(), "is not a Pascal VOC file"),
        (DEVKIT.replace("<xmin>1<", "<xmin>one<").encode(), "could not convert .* 'one'"),
        (DEVKIT.replace("<xmin>1</xmin><ymax>40", "<ymax>40").encode(), "no xmin"),
        (DEVKIT.replace("<width>80", "<width>inf").encode(), "is not a Pascal VOC file"),
        (BOMB.encode(), "declares a document type"),
        (BOMB.encode("utf-16"), "or is not UTF-8"),
    ],
)
def test_invalid_files(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "a.xml").write_bytes(text)
    with pytest.raises(UsageError, match=f"no row can be read: .*a.xml.*{message}"):
        wr.read_boxes(tmp_path)
    (tmp_path / "b.xml").write_text(DEVKIT)
    boxes = wr.read_boxes(tmp_path)
    assert boxes.corners[-1].tolist() == [0, 10, 80, 40]
    problems = boxes.check()
    assert problems[["code", "key"]].to_numpy().tolist() == [["BOX_UNREADABLE", "a"]]
    assert re.search(message, problems["text"][0])

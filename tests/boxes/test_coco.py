from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faster_coco_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

import wetread as wr
from wetread.boxes import Boxes
from wetread.errors import StorageError, UsageError

Make = Callable[..., wr.Index]
BOXES = Boxes.from_columns(
    {
        "key": ["b.dcm", "a.dcm", "a.dcm", "c.dcm"],
        "label": ["Größe", "ILD", "Größe", None],
        "kind": ["box", "box", "point", "nothing"],
        "reader": ["R1", "R2", None, "R3"],
        "x0": [1, 2.5, 3, None],
        "y0": [4, 5, 6, None],
        "x1": [11, 12, 3, None],
        "y1": [14, 25, 6, None],
        "score": [0.5, None, None, None],
        "frame": [None, 3, None, None],
    },
    [("4", "ILD"), ("9", "Größe")],
    "run-7",
)


def as_rows(boxes: Boxes) -> list[dict[str, Any]]:
    """Sorted rows, without the columns that COCO does not store."""
    dropped = ("image", "group", "part")
    rows = [{k: v for k, v in row.items() if k not in dropped} for row in boxes.table.to_pylist()]
    return sorted(rows, key=lambda row: tuple(map(str, row.values())))


def test_round_trip_of_all_columns(tmp_path: Path) -> None:
    BOXES.to_coco(tmp_path / "boxes.json")
    again = wr.read_boxes(tmp_path / "boxes.json")
    assert as_rows(again) == as_rows(BOXES)
    assert (again.classes, again.run, again.dialect) == (BOXES.classes, "run-7", "coco")


@pytest.mark.parametrize(
    "reader", [COCO, faster_coco_eval.COCO], ids=["pycocotools", "faster-coco-eval"]
)
def test_other_libraries_read_it(
    reader: Any, tmp_path: Path, make_index: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    index = make_index({f"{n}.dcm": {"rows": 40, "columns": 60} for n in "abc"})
    BOXES.to_coco(tmp_path / "boxes.json", index)
    coco = reader(str(tmp_path / "boxes.json"))
    assert {(c["id"], c["name"]) for c in coco.loadCats(coco.getCatIds())} == {
        (4, "ILD"),
        (9, "Größe"),
    }
    images = {i["file_name"]: i for i in coco.loadImgs(coco.getImgIds())}
    assert {(i["height"], i["width"]) for i in images.values()} == {(40, 60)}
    found = coco.loadAnns(coco.getAnnIds(imgIds=[images["b.dcm"]["id"]]))
    assert [(a["bbox"], a["area"], a["category_id"]) for a in found] == [([1, 4, 10, 10], 100, 9)]
    assert coco.getAnnIds(imgIds=[images["c.dcm"]["id"]]) == []


place = st.floats(-100, 1e5, allow_nan=False)
rows = st.lists(
    st.tuples(
        st.text(min_size=1, max_size=8),
        st.text(min_size=1, max_size=8),
        place,
        place,
        place,
        place,
        st.none() | st.floats(0, 1),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(rows)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, some: list[Any]) -> None:
    names = ("key", "label", "x0", "y0", "x1", "y1", "score")
    boxes = Boxes.from_columns({n: [row[i] for row in some] for i, n in enumerate(names)})
    path = tmp_path_factory.mktemp("coco") / "boxes.json"
    boxes.to_coco(path)
    again = wr.read_boxes(path)
    for name in ("key", "label", "score", "kind"):
        assert again.table[name].to_pylist() == boxes.table[name].to_pylist()
    assert np.allclose(again.corners, boxes.corners, rtol=1e-15, atol=1e-10)
    assert again.classes == boxes.classes


def test_files_of_other_programs(tmp_path: Path) -> None:
    """Images without boxes become rows of kind "nothing"; ids may be of any type."""
    data = {
        "images": [{"id": "i", "file_name": "x/a.png"}, {"id": 7, "file_name": "b.png"}],
        "annotations": [{"id": 1, "image_id": "i", "category_id": 0, "bbox": [1, 2, 30, 40]}],
        "categories": [{"id": 0, "name": "lung"}, {"id": 5, "name": "heart"}],
    }
    for name, content in (
        ("a.json", json.dumps(data).encode()),
        ("b.json", b"\xef\xbb\xbf" + json.dumps(data, indent=2).replace("\n", "\r\n").encode()),
        ("c.json.gz", gzip.compress(json.dumps(data).encode())),
    ):
        (tmp_path / name).write_bytes(content)
        boxes = wr.read_boxes(tmp_path / name)
        assert boxes.corners[0].tolist() == [1, 2, 31, 42]
        assert boxes.table["key"].to_pylist() == ["x/a.png", "b.png"]
        assert boxes.table["kind"].to_pylist() == ["box", "nothing"]
        assert boxes.classes == (("0", "lung"), ("5", "heart"))


def test_crowds_are_boxes_to_ignore(tmp_path: Path, make_index: Make) -> None:
    index = make_index({"a.dcm": {}})
    marks = [{"iscrowd": 0}, {"iscrowd": 1}, {"ignore": 1}, {}]
    annotations = [{**ONE["annotations"][0], **mark} for mark in marks]
    (tmp_path / "a.json").write_text(json.dumps({**ONE, "annotations": annotations}))
    boxes = wr.read_boxes(tmp_path / "a.json")
    assert boxes.table["ignore"].to_pylist() == [False, True, True, False]
    assert boxes.table["flags"].to_pylist() == [[], ["iscrowd"], [], []]
    boxes.to_coco(tmp_path / "b.json", index)
    data = COCO(str(tmp_path / "b.json"))
    assert [a["iscrowd"] for a in data.loadAnns([1, 2, 3, 4])] == [0, 1, 1, 0]
    boxes.to_voc(tmp_path / "voc", index)
    assert wr.read_boxes(tmp_path / "voc").table["ignore"].to_pylist() == [False, True, True, False]


ONE: Any = {
    "images": [{"id": 1, "file_name": "a"}],
    "categories": [{"id": 1, "name": "x"}],
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a JSON file"),
        ("[" * 100_000, "is not a JSON file"),
        ("[]", "a list of results does not name its images"),
        ('{"images": []}', "it needs images, annotations and categories"),
        (
            '{"images": [], "categories": [], "annotations": [{"bbox": [1, 2]}]}',
            "no row can be read: annotation number 0: no bbox",
        ),
        (
            json.dumps({**ONE, "annotations": [{**ONE["annotations"][0], "bbox": [1, 2, 3]}]}),
            "annotation number 0: no bbox of four numbers",
        ),
        (
            json.dumps({**ONE, "images": [*ONE["images"], {"id": 2, "file_name": "a"}]}),
            "the same id or name",
        ),
        (
            json.dumps({**ONE, "images": [*ONE["images"], {"id": 1, "file_name": "b"}]}),
            "the same id or name",
        ),
        (json.dumps({**ONE, "info": 5}), "is not a COCO data set: AttributeError"),
        (json.dumps({**ONE, "annotations": ["x"]}), "annotation number 0: no bbox of four numbers"),
        (
            json.dumps({**ONE, "images": [{"id": 1, "file_name": "a", "height": 1e999}]}),
            "is not a COCO data set: OverflowError",
        ),
    ],
)
def test_invalid_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        wr.read_boxes(tmp_path / "boxes.json")


def test_an_annotation_that_cannot_be_read_is_a_problem(
    shared_case: Callable[[str], Path], tmp_path: Path
) -> None:
    boxes = wr.read_boxes(shared_case("19") / "no_bbox.json")
    assert boxes.corners[0].tolist() == [1, 1, 3, 3]
    assert boxes.check()["text"].tolist() == ["annotation 2: no bbox of four numbers"]
    wrong = [{"category_id": 9}, {"image_id": [1]}, {"bbox": [1, 2, 3, "x"]}, {"bbox": None}]
    wrong += [{"score": "high"}, {"frame": 2.5}, {"frame": -1}, {"frame": 1 << 40}, {"kind": "x"}]
    annotations = [ONE["annotations"][0] | change for change in [{}, *wrong]]
    (tmp_path / "a.json").write_text(json.dumps({**ONE, "annotations": annotations}))
    problems = wr.read_boxes(tmp_path / "a.json").check()
    assert problems["code"].tolist() == ["BOX_UNREADABLE"] * 9
    assert problems["text"][0] == "annotation number 1: no or an unknown category_id 9"
    assert problems["key"].tolist() == ["a", "", *["a"] * 7]
    (tmp_path / "a.json").write_text(
        json.dumps({**ONE, "annotations": [annotations[0] | {"reader": 3}]})
    )
    assert wr.read_boxes(tmp_path / "a.json").readers == ("3",)


def test_boxes_that_cannot_be_written(tmp_path: Path, make_index: Make) -> None:
    with pytest.raises(UsageError, match=r"a: a box without coordinates; Boxes.check\(\) lists"):
        Boxes.from_columns({"key": ["a"], "label": ["X"]}).to_coco(tmp_path / "boxes.json")
    with pytest.raises(UsageError, match="a: a box without a label"):
        Boxes.from_columns({"key": ["a"]}).to_coco(tmp_path / "boxes.json")
    assert not list(tmp_path.iterdir())
    with pytest.raises(StorageError):
        BOXES.to_coco(tmp_path / "no" / "boxes.json")
    with pytest.raises(UsageError, match=r"2 images of unknown size, such as 'b.dcm'"):
        BOXES.to_coco(tmp_path / "boxes.json", make_index({"a.dcm": {}}))


def test_classes_with_clashing_ids_are_renumbered(tmp_path: Path) -> None:
    boxes = Boxes.from_columns({"key": ["a"], "kind": ["nothing"]}, [("1", "X"), ("1", "Y")])
    boxes.to_coco(tmp_path / "boxes.json")
    assert wr.read_boxes(tmp_path / "boxes.json").classes == (("1", "X"), ("2", "Y"))

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import wetread as wr
from wetread.boxes import Boxes
from wetread.cli import main
from wetread.errors import StorageError, UnknownNameError, UsageError

Make = Callable[..., wr.Index]


@pytest.fixture
def index(make_index: Make) -> wr.Index:
    return make_index({f"{n}.dcm": {"rows": 40, "columns": 80} for n in "abc"})


def make(*rows: tuple[Any, ...]) -> Boxes:
    names = ("key", "label", "x0", "y0", "x1", "y1", "score", "kind", "frame")
    full = [row + (None, "box", None)[len(row) - 6 :] for row in rows]
    return Boxes.from_columns({n: [row[i] for row in full] for i, n in enumerate(names)})


TWO = make(
    ("a.dcm", "Mass", 0, 0, 40, 20),
    ("a.dcm", "ILD", 8, 4, 16, 8, 0.5),
    ("b", None, None, None, None, None, None, "nothing"),
)


def test_written_files(tmp_path: Path, index: wr.Index) -> None:
    TWO.to_yolo(tmp_path / "labels", index)
    files = {path.name: path.read_text() for path in (tmp_path / "labels").iterdir()}
    assert files == {
        "a.txt": "1 0.25 0.25 0.5 0.5\n0 0.14999999999999999 0.14999999999999999 "
        "0.10000000000000001 0.10000000000000001 0.5\n",
        "b.txt": "",
        "classes.txt": "ILD\nMass\n",
        "data.yaml": "nc: 2\nnames:\n- ILD\n- Mass\n",
    }


def test_write_and_read(tmp_path: Path, index: wr.Index) -> None:
    TWO.to_yolo(tmp_path / "labels", index)
    again = wr.read_boxes(tmp_path / "labels", index)
    assert np.allclose(again.corners, TWO.corners, atol=1e-12, equal_nan=True)
    for name in ("label", "score", "kind"):
        assert again.table[name].to_pylist() == TWO.table[name].to_pylist()
    assert again.table["image"].equals(TWO.join(index).table["image"])
    assert (again.dialect, again.labels) == ("yolo", TWO.labels)
    (tmp_path / "labels" / "classes.txt").unlink()
    assert wr.read_boxes(tmp_path / "labels", index).labels == TWO.labels  # from data.yaml


def test_folders_of_predictions_are_read_with_the_index(tmp_path: Path, make_index: Make) -> None:
    index = make_index(
        {f"{n}.dcm": {"rows": 40, "columns": 80} for n in "abc"}, tmp_path / "a.index"
    )
    truth = TWO.join(index)
    truth.save(tmp_path / "truth.parquet")
    truth.replace({"score": [0.5] * 3}).to_yolo(tmp_path / "found", index)
    sides = [str(tmp_path / name) for name in ("found", "truth.parquet")]
    expected = wr.evaluate(wr.read_boxes(sides[0], index), truth, "voc2010@0.4", resamples=0)
    assert expected.value == 1
    assert wr.evaluate(*sides, "voc2010@0.4", index=index, resamples=0).value == 1
    command = ["evaluate", *sides, "--metric", "voc2010@0.4"]
    done = CliRunner().invoke(main, [*command, "--index", str(tmp_path / "a.index"), "--json"])
    assert json.loads(done.stdout)["value"] == 1
    failed = CliRunner().invoke(main, command)
    assert "give --index INDEX\n" in failed.stderr
    with pytest.raises(UnknownNameError, match="unknown label of siim-covid 'Mass'"):
        wr.submit(sides[0], tmp_path / "one.csv", "siim-covid", images=index)
    with wr.view(index, sides[0], sides[0]) as viewer:
        assert viewer.url


def test_supervision_reads_it(tmp_path: Path, index: wr.Index, supervision: Any) -> None:
    TWO.to_yolo(tmp_path / "labels", index)
    from PIL import Image

    (tmp_path / "images").mkdir()
    for name in "ab":
        Image.new("L", (80, 40)).save(tmp_path / "images" / f"{name}.png")
    found = supervision.DetectionDataset.from_yolo(
        str(tmp_path / "images"),
        str(tmp_path / "labels"),
        str(tmp_path / "labels" / "data.yaml"),
    )
    assert found.classes == ["ILD", "Mass"]
    seen = {Path(name).stem: detections for name, _, detections in found}
    assert np.allclose(seen["a"].xyxy, TWO.corners[:2], atol=1e-4)  # 32-bit floats
    assert seen["a"].class_id.tolist() == [1, 0]
    assert len(seen["b"]) == 0


share = st.floats(0, 1)
line = st.tuples(
    st.sampled_from(["a.dcm", "b.dcm"]),
    st.sampled_from(["ILD", "Mass", "no, really"]),
    *[st.floats(-10, 90)] * 4,
    st.none() | share,
)


@settings(deadline=None, max_examples=20)
@given(st.lists(line, max_size=10))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, pictures: wr.Index, rows: list[Any]
) -> None:
    boxes = make(*rows)
    folder = tmp_path_factory.mktemp("labels")
    boxes.to_yolo(folder, pictures)
    again = wr.read_boxes(folder, pictures) if rows else boxes
    order = sorted(range(len(rows)), key=lambda n: rows[n][0])  # one file per image
    assert np.allclose(again.corners, boxes.corners[order], rtol=1e-12, atol=1e-11)
    for name in ("label", "score"):
        column = boxes.table[name].to_pylist()
        assert again.table[name].to_pylist() == [column[n] for n in order]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0 .5 .5 .1\n", "is not a YOLO box"),
        ("0 .1 .1 .2 .2 .3 .3 .4 .4\n", "9 numbers"),  # a polygon
        ("-1 .5 .5 .1 .1\n", "class -1 of 2"),
        ("2 .5 .5 .1 .1\n", "class 2 of 2"),
        ("ILD .5 .5 .1 .1\n", "is not a YOLO box"),
    ],
)
def test_invalid_lines(tmp_path: Path, index: wr.Index, lines: str, message: str) -> None:
    (tmp_path / "classes.txt").write_text("ILD\nMass\n")
    (tmp_path / "a.txt").write_text(lines)
    with pytest.raises(UsageError, match=f"a.txt: .*{message}"):
        wr.read_boxes(tmp_path, index, format="yolo")
    (tmp_path / "a.txt").write_text("0.0 .5 .5 1 1\n" + lines)
    boxes = wr.read_boxes(tmp_path, index, format="yolo")
    assert boxes.corners[0].tolist() == [0, 0, 80, 40]
    assert boxes.check()["code"].tolist() == ["BOX_UNREADABLE"]


@pytest.mark.parametrize(
    "yaml",
    [
        "names: [ILD, 'Mass']\n",
        'train: x\nnames:\n  - ILD\n  - "Mass"\nnc: 2\n',
        "names:\n  1: Mass\n  0: ILD\n",
        "names:\n  0: ILD\n  1: Mass  # 3 cm and more\n",
        "names: {0: ILD, 1: Mass}\n",
        "x: &x Mass\nnames: [ILD, *x]\n",
    ],
)
def test_names_in_yaml(tmp_path: Path, index: wr.Index, yaml: str) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_bytes(b"\xef\xbb\xbf1 .5 .5 .5 .5\r\n\r\n0 .5 .5 1 1\r\n")
    (tmp_path / "data.yaml").write_text(yaml)
    boxes = wr.read_boxes(tmp_path / "labels", index)
    assert boxes.labels == ("ILD", "Mass")
    assert boxes.table["label"].to_pylist() == ["Mass", "ILD"]
    assert boxes.corners.tolist() == [[20, 10, 60, 30], [0, 0, 80, 40]]


def test_class_names_are_text(tmp_path: Path, index: wr.Index) -> None:
    (tmp_path / "a.txt").write_text("1 .5 .5 .1 .1\n")
    (tmp_path / "data.yaml").write_text("names: [no, 'mass, large', 1e3, null]\n")
    boxes = wr.read_boxes(tmp_path, index)
    assert boxes.labels == ("no", "mass, large", "1e3", "null")
    assert boxes.table["label"].to_pylist() == ["mass, large"]


@pytest.mark.parametrize(
    ("folder", "label", "classes"),
    [("comment", "mass", 2), ("comma", "mass, large", 2), ("flow", "mass", 2)],
)
def test_data_yaml_of_other_programs(
    shared_case: Callable[[str], Path], folder: str, label: str, classes: int
) -> None:
    case = shared_case("14")
    boxes = wr.read_boxes(case / folder, wr.scan(case / "img", workers=0, progress=False))
    assert boxes.table["label"].to_pylist() == [label]
    assert len(boxes.classes) == classes


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 64))


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("names: ILD\n", "names must be a list, or a dictionary numbered from 0"),
        ("names: {0: ILD, 2: Mass}\n", "names must be a list"),
        ("names: []\n", "names must be a list"),
        ("names: [[ILD]]\n", "names must be a list"),
        ("- names\n", "names must be a list"),
        ("names: [ILD\n", "data.yaml is not YAML: while parsing"),
        ("names: " + "[" * 9999, "data.yaml is not YAML"),
        ("names: " + "x" * (1 << 18), "data.yaml is longer than 262,144 characters"),
        (BOMB + "names: *a63\n", "names must be a list"),
        ("names: !!python/object/apply:os.abort []\n", "names must be a list"),
    ],
)
def test_invalid_yaml(tmp_path: Path, index: wr.Index, yaml: str, message: str) -> None:
    (tmp_path / "a.txt").write_text("0 .5 .5 .1 .1\n")
    (tmp_path / "data.yaml").write_text(yaml)
    with pytest.raises(UsageError, match=f"no data.yaml with names, .*{message}"):
        wr.read_boxes(tmp_path, index)


def test_name_in_several_folders_is_a_path(tmp_path: Path, make_index: Make) -> None:
    index = make_index({"p1/1.dcm": {}, "p2/1.dcm": {}})
    (tmp_path / "classes.txt").write_text("ILD\n")
    for folder in ("p1", "p2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.txt").write_text("0 .5 .5 .1 .1\n")
    boxes = wr.read_boxes(tmp_path, index, format="yolo")
    assert boxes.table["key"].to_pylist() == ["p1/1", "p2/1"]
    assert boxes.table["image"].null_count == 0


def test_missing_index_names_and_images(tmp_path: Path, index: wr.Index) -> None:
    (tmp_path / "a.txt").write_text("0 .5 .5 .1 .1\n")
    with pytest.raises(UsageError, match="give images=index"):
        wr.read_boxes(tmp_path)
    with pytest.raises(UsageError, match=r"no classes.txt and no data.yaml"):
        wr.read_boxes(tmp_path, index)
    (tmp_path / "classes.txt").write_text("ILD\n")
    (tmp_path / "z.txt").write_text("0 .5 .5 .1 .1\n")
    boxes = wr.read_boxes(tmp_path, index)
    assert boxes.table["flags"].to_pylist()[1] == [
        "unreadable: z.txt: the index has no image of this name, and its size is needed"
    ]
    assert set(boxes.check(index)["code"]) == {"BOX_UNREADABLE", "NO_FILE", "NO_LABEL"}


def test_boxes_that_yolo_cannot_store(tmp_path: Path, index: wr.Index, make_index: Make) -> None:
    row = ("a.dcm", "ILD", 1, 1, 5, 5, None)
    for boxes, message in (
        (make((*row, "point")), "this format cannot store points"),
        (make((*row, "box", 1)), "this format cannot store frames"),
        (make(("a.dcm", None, 1, 1, 5, 5)), "without a label"),
        (make(("a.dcm", "ILD", 1, 1, 5, None)), "without coordinates"),
        (make(row, ("z.dcm", "ILD", 1, 1, 5, 5)), "1 image of unknown size, such as 'z.dcm'"),
    ):
        with pytest.raises(UsageError, match=message):
            boxes.to_yolo(tmp_path / "labels", index)
    assert not (tmp_path / "labels").exists()
    twice = make_index({"p1/1.dcm": {}, "p2/1.dcm": {}})
    boxes = make(("p1/1.dcm", "ILD", 1, 1, 5, 5), ("p2/1.dcm", "ILD", 1, 1, 5, 5))
    with pytest.raises(UsageError, match="two images have the same file name"):
        boxes.to_yolo(tmp_path / "labels", twice)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        make(row).to_yolo(tmp_path / "file", index)

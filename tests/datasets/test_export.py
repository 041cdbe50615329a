"""Data sets that trainers load: every box leads back to its stored pixels."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image as Pillow
from pycocotools.coco import COCO

import wetread as wr
from wetread.boxes import Boxes
from wetread.errors import UnknownNameError, UsageError
from wetread.images import batch
from wetread.images.export import export_part

Make = Callable[..., wr.Index]
NAMES = ("a, b 'c'", '=1+1 "x"', "Größe 肺", "-2.5.1")
"""Stems of files: with commas, quotes, spaces, a formula, a dash and non-ASCII letters."""
LABELS = ["mass, large", "no", "=HYPERLINK(1)", 'größer "3 cm"']
ROWS, COLUMNS = 90, 131


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Export without worker processes, which take seconds to start; tests/images has them."""

    def run(function: str, images: Any, options: Any, *rest: Any) -> Iterator[Any]:
        yield export_part(images, {**options, "settings": asdict(wr.Settings())})

    monkeypatch.setattr(batch, "run", run)


@pytest.fixture
def index(make_index: Make) -> wr.Index:
    """Four images, one with three frames and one without labels."""
    frames = {"NumberOfFrames": 3, "pixels": bytes([9, 0]) * (3 * 40 * 60)}
    shape = {"rows": ROWS, "columns": COLUMNS}
    files: dict[str, Any] = {f"p{n}/{name}.dcm": shape for n, name in enumerate(NAMES)}
    return make_index({**files, "cine.dcm": frames, "unread.dcm": {}})


@pytest.fixture
def truth(index: wr.Index) -> Boxes:
    """Boxes with fractions: two on each image but the last, which is normal, and on two frames."""
    rows: list[tuple[Any, ...]] = []
    for name in NAMES[:-1]:
        rows += [(name, None, label, 10.25, 7.5, 60.75, 33) for label in LABELS[:2]]
        rows.append((name, None, LABELS[3], 100, 50.5, 131, 90))
    rows.append((NAMES[-1], None, None, None, None, None, None))
    rows.append(("cine", 0, LABELS[0], 1, 2, 30.5, 20))
    rows.append(("cine", 2, LABELS[2], 5, 6, 50, 39.5))
    names = ("key", "frame", "label", "x0", "y0", "x1", "y1")
    columns = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    columns["kind"] = ["nothing" if row[2] is None else "box" for row in rows]
    return Boxes.from_columns(columns, enumerate(LABELS)).join(index)


def export(index: wr.Index, folder: Path, boxes: Any, to: str, **options: Any) -> pd.DataFrame:
    return index.export(folder, boxes=boxes, to=to, workers=1, progress=False, **options)


def places(boxes: Boxes) -> list[tuple[Any, ...]]:
    """Image, frame, label and corners of every box, sorted."""
    names = ("image", "frame", "label", "x0", "y0", "x1", "y1")
    rows = [row for row in boxes.table.to_pylist() if row["kind"] == "box"]
    return sorted(tuple(row[name] for name in names) for row in rows)


def to_stored(line: Any, corners: Any) -> np.ndarray:
    """As the manifest says, from its own columns."""
    scale = np.array([line.scale_x, line.scale_y] * 2)
    return np.asarray(corners, float) / scale + np.array([line.left, line.top] * 2)


def load(supervision: Any, folder: Path, to: str, part: str) -> Iterator[tuple[str, str, Any]]:
    """Boxes of one part as supervision reads them: name of the picture, label, corners."""
    images = str(folder / "images" / part)
    if to == "yolo":
        labels = str(folder / "labels" / part)
        data = supervision.DetectionDataset.from_yolo(images, labels, str(folder / "data.yaml"))
    elif to == "voc":
        labels = str(folder / "annotations" / part)
        data = supervision.DetectionDataset.from_pascal_voc(images, labels)
    else:
        labels = str(folder / (f"annotations/{part}.json" if part else "annotations.json"))
        data = supervision.DetectionDataset.from_coco(images, labels)
    for path, pixels, found in data:
        assert pixels is not None
        for corners, label in zip(found.xyxy, found.class_id, strict=True):
            yield Path(path).name, data.classes[label], corners


OPTIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "size": {"size": 32},
    "crop": {"crop": (8, 5.5, 70, 60)},
    "both": {"crop": (8, 5.5, 70, 60), "size": 40, "format": "jpg"},
}


@pytest.mark.parametrize("to", ["yolo", "coco", "voc"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_boxes_lead_back_to_stored_pixels(
    index: wr.Index, truth: Boxes, tmp_path: Path, supervision: Any, to: str, options: Any
) -> None:
    lines = export(index, tmp_path / "data", truth, to, **options)
    written = {Path(line.file).name: line for line in lines.dropna(subset=["file"]).itertuples()}
    assert len(written) == 6
    seen = []
    for file, label, corners in load(supervision, tmp_path / "data", to, ""):
        line = written[file]
        with Pillow.open(tmp_path / "data" / line.file) as picture:
            assert picture.size == (line.columns, line.rows)
            assert picture.mode == "L"
        seen.append((line.id, line.frame, label, to_stored(line, corners)))
    expected = [
        (image, frame or 0, label, np.array(corners))
        for image, frame, label, *corners in places(truth)
    ]
    if "crop" in options:
        edges = np.array([8, 5, 70, 60])  # whole pixels
        cut = [
            (*row[:3], np.clip(row[3], edges[[0, 1, 0, 1]], edges[[2, 3, 2, 3]]))
            for row in expected
        ]
        expected = [row for row in cut if (row[3][:2] < row[3][2:]).all()]
        expected = [row for row in expected if row[3][2] <= 70]
    assert len(seen) == len(expected) == lines["boxes"].sum()

    def order(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return row[:3]

    for ours, theirs in zip(sorted(expected, key=order), sorted(seen, key=order), strict=True):
        assert ours[:3] == theirs[:3]
        np.testing.assert_allclose(theirs[3], ours[3], atol=0.01)  # 32-bit floats
    again = wr.read_boxes(tmp_path / "data")
    assert again.dialect == to
    got = [(i, f or 0, label, np.array(c)) for i, f, label, *c in places(again)]
    for ours, theirs in zip(sorted(expected, key=order), sorted(got, key=order), strict=True):
        assert ours[:3] == theirs[:3]
        np.testing.assert_allclose(theirs[3], ours[3], atol=1e-9)


@pytest.mark.parametrize("to", ["yolo", "coco", "voc"])
def test_reading_back_is_joined_and_complete(
    index: wr.Index, truth: Boxes, tmp_path: Path, to: str
) -> None:
    export(index, tmp_path / "data", truth, to, size=50)
    for path in (tmp_path / "data", tmp_path / "data" / "manifest.csv"):
        given = {"manifest": path} if path.is_file() else {}
        again = wr.read_boxes(tmp_path / "data", index, **given)
        for a, b in zip(places(again), places(truth), strict=True):
            assert a[:3] == b[:3]
            assert a[3:] == pytest.approx(b[3:], abs=1e-9)
        assert again.table["group"].null_count == 0
        normal = [row["key"] for row in again.table.to_pylist() if row["kind"] == "nothing"]
        assert normal == [NAMES[-1]]
        assert set(again.labels) <= set(truth.labels)
        assert {row["key"] for row in again.table.to_pylist()} == {*NAMES, "cine"}


def test_pycocotools_and_torchvision_read_coco(
    index: wr.Index, truth: Boxes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torchvision")
    from torchvision.datasets import CocoDetection

    lines = export(index, tmp_path, truth, "coco", size=64)
    by_name = {Path(line.file).name: line for line in lines.dropna(subset=["file"]).itertuples()}
    data = COCO(str(tmp_path / "annotations.json"))
    assert [c["name"] for c in data.loadCats(data.getCatIds())] == LABELS
    assert min(data.getCatIds()) == 1  # 0 is the background of torchvision's detectors
    pictures = CocoDetection(tmp_path / "images", tmp_path / "annotations.json")
    count = 0
    for number, (picture, found) in zip(pictures.ids, pictures, strict=True):
        entry = data.loadImgs(number)[0]
        assert picture.size == (entry["width"], entry["height"])
        line = by_name[entry["file_name"]]
        for one in found:
            x, y, width, height = one["bbox"]
            corners = to_stored(line, [x, y, x + width, y + height])
            rows = [
                row[3:]
                for row in places(truth)
                if row[0] == line.id and (row[1] or 0) == line.frame
            ]
            assert min(np.abs(np.array(rows) - corners).max(axis=1)) < 1e-9
            count += 1
    assert count == len(places(truth))


def make_detector() -> Any:
    """torchvision's Faster R-CNN on one convolution."""
    from torch import nn
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.ops import MultiScaleRoIAlign

    backbone: Any = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU())
    backbone.out_channels = 8
    return FasterRCNN(
        backbone,
        1 + len(LABELS),
        min_size=48,
        max_size=64,
        rpn_anchor_generator=AnchorGenerator(((16, 32),), ((1.0,),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 2, 1),
    )


def test_a_detector_takes_a_training_step(
    index: wr.Index, truth: Boxes, tmp_path: Path, supervision: Any
) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = make_detector().train()
    optimiser = torch.optim.SGD(model.parameters(), 1e-3)
    for to in ("yolo", "coco", "voc"):
        folder = tmp_path / to
        export(index, folder, truth, to, size=48)
        images: dict[str, list[Any]] = {}
        for file, label, corners in load(supervision, folder, to, ""):
            images.setdefault(file, []).append((LABELS.index(label) + 1, corners))
        pictures, targets = [], []
        for file, found in images.items():
            pixels = np.asarray(Pillow.open(folder / "images" / file).convert("RGB"))
            pictures.append(torch.tensor(pixels / 255, dtype=torch.float32).permute(2, 0, 1))
            corners = torch.tensor(np.array([corners for _, corners in found]))
            targets.append(
                {"boxes": corners, "labels": torch.tensor([label for label, _ in found])}
            )
        loss = sum(model(pictures, targets).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        assert torch.isfinite(loss), to


@pytest.mark.parametrize("to", ["yolo", "coco", "voc"])
def test_parts_are_folders(
    index: wr.Index, truth: Boxes, tmp_path: Path, supervision: Any, to: str
) -> None:
    parts = ["train", "valid", "train", "test", "valid", None]
    table = index.table.append_column("part", [parts])
    split = type(index)(index.root, table.schema, rows=table)
    lines = export(split, tmp_path / "data", truth, to)
    expected = dict(zip(table["id"].to_pylist(), parts, strict=True))
    for line in lines.dropna(subset=["file"]).itertuples():
        assert line.part == expected[line.id]
        assert line.file.startswith(f"images/{line.part}/")
        assert (tmp_path / "data" / line.labels).is_file()
    counts = {
        part: len(list(load(supervision, tmp_path / "data", to, part)))
        for part in ("train", "valid", "test")
    }
    of_part: dict[Any, int] = dict.fromkeys(counts, 0)
    for row in places(truth):
        of_part[expected[row[0]]] += 1
    assert counts == of_part
    again = wr.read_boxes(tmp_path / "data", split)
    assert {(r["image"], r["part"]) for r in again.table.to_pylist()} <= set(expected.items())
    if to == "yolo":
        data = yaml.safe_load((tmp_path / "data" / "data.yaml").read_text("utf-8"))
        assert data == {
            "test": "images/test",
            "train": "images/train",
            "val": "images/valid",
            "nc": 4,
            "names": LABELS,
        }
    one = export(split, tmp_path / "one", truth, to, parts=None)
    assert one["file"].dropna().str.startswith("images/").all()
    assert not one["file"].dropna().str.startswith("images/train").any()
    with pytest.raises(UnknownNameError, match="unknown column 'prat'"):
        export(split, tmp_path / "x", truth, to, parts="prat")


def test_the_manifest_accounts_for_every_image(
    index: wr.Index, truth: Boxes, tmp_path: Path
) -> None:
    lines = export(index, tmp_path, truth, "yolo", crop=(0, 0, 40, 40))
    left = lines[lines["status"] == "no_label"]
    assert sorted(left["path"]) == ["cine.dcm", "unread.dcm"]  # the frame 1, and the image
    assert left["file"].isna().all()
    assert left["text"].str.startswith("NO_LABEL: ").all()
    boxed = lines[lines["path"] == f"p0/{NAMES[0]}.dcm"].iloc[0]
    assert (boxed["boxes"], boxed["clipped"], boxed["left_out"]) == (2, 2, 1)
    for name in ("key", "path", "labels", "part", "boxes"):
        assert name in lines


def test_names_are_right_in_spreadsheets_and_yaml(
    index: wr.Index, truth: Boxes, tmp_path: Path
) -> None:
    lines = export(index, tmp_path, truth, "yolo")
    stems = {Path(file).stem for file in lines["file"].dropna()}
    assert stems == {*NAMES, "cine_0000", "cine_0002"}
    with open(tmp_path / "manifest.csv", newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert '\'=1+1 "x"' in cells  # the key; a spreadsheet shows it as text
    assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))]
    data = yaml.safe_load((tmp_path / "data.yaml").read_text("utf-8"))
    assert data["names"] == LABELS
    assert set(pd.read_csv(tmp_path / "manifest.csv")["file"].dropna()) == set(
        lines["file"].dropna()
    )


def test_names_that_are_not_unique_are_ids(make_index: Make, tmp_path: Path) -> None:
    index = make_index({key: {} for key in ["a/1.dcm", "b/1.dcm", "b/2.dcm", "c/2_0001.dcm"]})
    keys = ["a/1.dcm", "b/1.dcm", "2", "2_0001"]
    box: dict[str, Any] = {"label": ["X"] * 4, "x0": [1] * 4, "y0": [2] * 4}
    boxes = Boxes.from_columns({"key": keys, **box, "x1": [9] * 4, "y1": [8] * 4})
    lines = export(index, tmp_path / "a", boxes, "voc").set_index("key")
    stems = {key: Path(file).stem for key, file in lines["file"].items()}
    ids = dict(lines["id"].items())
    assert stems == {**{key: ids[key] for key in ("a/1.dcm", "b/1.dcm", "2_0001")}, "2": "2"}
    lines = export(index, tmp_path / "b", boxes, "voc", names="id")
    assert [Path(file).stem for file in lines["file"]] == list(lines["id"])
    assert len(wr.read_boxes(tmp_path / "b", index)) == 4


def test_bad_boxes_are_counted_not_written(make_index: Make, tmp_path: Path) -> None:
    index = make_index({"a.dcm": {"rows": 40, "columns": 60}})
    columns = {"key": ["a"] * 5, "label": ["X", "X", None, "X", "X"]}
    columns |= {"x0": [1, 5, 5, 70, None], "x1": [100, 5, 9, 90, 9]}
    columns |= {"y0": [1, 5, 5, 1, 1], "y1": [9] * 5}
    lines = export(index, tmp_path, Boxes.from_columns(columns), "yolo")
    assert lines[["boxes", "clipped", "left_out"]].iloc[0].to_list() == [1, 1, 4]
    assert (tmp_path / "labels" / "a.txt").read_text().split()[1:] == [
        f"{v:.17g}" for v in (61 / 2 / 60, 0.125, 59 / 60, 0.2)
    ]


def test_an_image_without_a_usable_box_is_not_normal(make_index: Make, tmp_path: Path) -> None:
    index = make_index({f"{n}.dcm": {"rows": 40, "columns": 60} for n in "abcde"})
    columns = {
        "key": list("abcd"),
        "label": ["X", "X", None, "X"],
        "x0": [70, None, 1, 1],
        "y0": [1, 1, 1, 1],
        "x1": [90, 9, 9, 50],
        "y1": [9, 9, 9, 9],
    }
    lines = export(index, tmp_path / "a", Boxes.from_columns(columns), "yolo")
    status = [*["bad_label"] * 3, "ok", "no_label"]
    assert dict(zip(lines["path"], lines["status"], strict=True)) == {
        f"{name}.dcm": one for name, one in zip("abcde", status, strict=True)
    }
    cut = export(index, tmp_path / "b", Boxes.from_columns(columns), "yolo", crop=(55, 0, 60, 9))
    assert cut[cut["status"] == "ok"][["boxes", "left_out"]].to_numpy().tolist() == [[0, 1]]


def test_a_frame_without_a_usable_box_is_not_normal(index: wr.Index, tmp_path: Path) -> None:
    rows = [("box", "X", 1, 1, 9, 9), ("box", None, 1, 1, 9, 9), ("nothing", *(None,) * 5)]
    names = ("kind", "label", "x0", "y0", "x1", "y1")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    boxes = Boxes.from_columns({**columns, "key": ["cine"] * 3, "frame": [0, 1, 2]})
    lines = export(index, tmp_path, boxes, "yolo").query("path == 'cine.dcm'")
    assert lines["status"].tolist() == ["ok", "bad_label", "ok"]
    assert sorted(file.stem for file in tmp_path.glob("labels/*")) == ["cine_0000", "cine_0002"]


def test_images_are_not_written_into_an_index(index: wr.Index, tmp_path: Path) -> None:
    wr.scan(index.root, to=tmp_path / "an.index", workers=0, progress=False)
    with pytest.raises(UsageError, match="is an index or a cache: choose another folder"):
        index.export(tmp_path / "an.index", progress=False)


def test_a_second_export_leaves_no_files_of_the_first(
    index: wr.Index, truth: Boxes, tmp_path: Path
) -> None:
    tmp_path /= "data"
    export(index, tmp_path, truth, "yolo")
    (tmp_path / "notes.txt").write_text("mine")
    one = truth.select(np.array([key == NAMES[0] for key in truth.table["key"].to_pylist()]))
    export(index, tmp_path, one, "voc")
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {
        "manifest.csv",
        "notes.txt",
        f"images/{NAMES[0]}.png",
        f"annotations/{NAMES[0]}.xml",
    }


def test_what_a_trainer_would_not_expect_is_a_warning(
    index: wr.Index, truth: Boxes, tmp_path: Path
) -> None:
    readers = [f"R{n % 2}" for n in range(len(truth))]
    with pytest.warns(UserWarning, match="several readers"):
        export(index, tmp_path / "a", truth.replace({"reader": readers}), "coco")
    scored = truth.replace({"score": [0.5] * len(truth)})
    export(index, tmp_path / "b", scored, "yolo")  # a consensus has scores: no warning
    texts = [path.read_text() for path in (tmp_path / "b" / "labels").iterdir()]
    assert {len(line.split()) for text in texts for line in text.splitlines()} == {5}
    marked = truth.replace({"ignore": [True] + [False] * (len(truth) - 1)})
    with pytest.warns(UserWarning, match="1 box to ignore is left out"):
        lines = export(index, tmp_path / "d", marked, "yolo")
    assert lines["boxes"].sum() == len(places(truth)) - 1
    more = Boxes.concat([truth, Boxes.from_columns({"key": ["elsewhere"], "kind": ["nothing"]})])
    with pytest.warns(UserWarning, match="labels of 1 image are left out, such as 'elsewhere'"):
        export(index, tmp_path / "e", more, "voc")


def test_bad_usage(index: wr.Index, truth: Boxes, tmp_path: Path) -> None:
    for options, message in (
        ({"boxes": truth}, "labels need both"),
        ({"to": "yolo"}, "labels need both"),
        ({"boxes": truth, "to": "yolo", "crop": (5, 5, 5, 9)}, "give edges in stored pixels"),
        ({"boxes": truth, "to": "yolo", "size": 0}, "size must be at least 1"),
    ):
        with pytest.raises(UsageError, match=message):
            index.export(tmp_path, progress=False, **options)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="did you mean yolo"):
        export(index, tmp_path, truth, "yolov8")
    points = truth.replace({"kind": ["point"] * len(truth)})
    with pytest.raises(UsageError, match='yolo has no points: use to="coco"'):
        export(index, tmp_path, points, "yolo")
    assert not list(tmp_path.glob("images*"))


def test_slices_of_a_series(make_index: Make, tmp_path: Path) -> None:
    """Labels by SOP Instance UID, or by study, series and number; files of one name."""
    files = {
        f"s{s}/IM1.{n}.dcm": {
            "SOPInstanceUID": f"1.2.{s}.{n}",
            "SeriesInstanceUID": f"1.2.{s}",
            "StudyInstanceUID": "1.2",
            "InstanceNumber": n,
        }
        for s in (1, 2)
        for n in (1, 2)
    }
    index = make_index(files)
    corners = {"x0": [1, 2], "y0": [3, 4], "x1": [11.5, 12], "y1": [13, 14]}
    for to, keys in (("yolo", ["1.2.2.1", "1.2.1.2"]), ("coco", ["1.2/1.2.2/1", "1.2/1.2.1/2"])):
        boxes = Boxes.from_columns({"key": keys, "label": ["m", "n"], **corners}).join(index)
        lines = export(index, tmp_path / to, boxes, to, size=30)
        assert lines[lines["status"] == "ok"]["path"].tolist() == ["s1/IM1.2.dcm", "s2/IM1.1.dcm"]
        for a, b in zip(places(wr.read_boxes(tmp_path / to, index)), places(boxes), strict=True):
            assert a[:3] == b[:3]
            assert a[3:] == pytest.approx(b[3:], abs=1e-9)


def test_points_are_keypoints(make_index: Make, tmp_path: Path) -> None:
    """The point of a pixel's centre is a whole number in COCO, also after cropping."""
    index = make_index({"a.dcm": {"rows": 40, "columns": 60}})
    names = ("x0", "y0", "x1", "y1")
    columns = {"key": ["a", "a"], "label": ["L4", "L5"], "kind": ["point"] * 2}
    places = zip(names, ([10.5, 59.5], [20.5, 1], [10.5, 59.5], [20.5, 1]), strict=True)
    points = Boxes.from_columns({**columns, **dict(places)}).join(index)
    lines = export(index, tmp_path, points, "coco", crop=(4, 8, 40, 40))
    assert lines[["boxes", "left_out"]].iloc[0].to_list() == [1, 1]
    data = COCO(str(tmp_path / "annotations.json"))
    (one,) = data.loadAnns(data.getAnnIds())
    assert (one["keypoints"], one["num_keypoints"]) == ([6.0, 12.0, 2], 1)
    assert data.loadCats([one["category_id"]])[0]["keypoints"] == ["point"]
    (row,) = wr.read_boxes(tmp_path, index).table.to_pylist()
    assert (row["kind"], *(row[name] for name in names)) == ("point", 10.5, 20.5, 10.5, 20.5)
    drawn = index[0].show(boxes=points)
    assert [line.get_marker() for line in drawn.lines] == ["+", "+"]

"""Annotations of readers: from the logs through every operation on boxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from click.testing import CliRunner

import wetread as wr
from wetread.boxes.stroke_log import StrokeLog
from wetread.boxes.strokes import parse_stroke
from wetread.boxes.table import CORNERS
from wetread.cli import main
from wetread.errors import NotFoundError, UsageError
from wetread.testing import dicom_file
from wetread.testing.dicom import picture
from wetread.testing.strokes import make_stroke

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> wr.Index:
    folder = tmp_path_factory.mktemp("train")
    for number, name in enumerate(NAMES, 1):
        (folder / f"{name}.dcm").write_bytes(dicom_file(picture(number, 40, 60)))
    return wr.scan(folder, workers=0, progress=False)


class Reader:
    """Writes strokes as the viewer's server does."""

    def __init__(self, folder: Path, name: str, index: wr.Index) -> None:
        self.log = StrokeLog(folder, name)
        self.images = {Path(image.path).stem: image for image in index}

    def mark(self, image: str, **values: Any) -> dict[str, Any]:
        row = self.images[image].row
        stroke = make_stroke(image=row["id"], **values)
        facts = {"key": row["path"], "file_size": row["file_size"]}
        self.log.append(parse_stroke(stroke), facts)
        return stroke


@pytest.fixture
def reads(tmp_path: Path, index: wr.Index) -> Iterator[Path]:
    """Logs of two readers: boxes, points, every verdict."""
    one, two = (Reader(tmp_path / "reads", name, index) for name in ("R1", "R2"))
    one.mark("a", corners=[10, 10, 30.5, 20], label="Nodule/Mass")
    two.mark("a", corners=[10, 10, 30.5, 22], label="Nodule/Mass")
    first = one.mark("b", corners=[0, 0, 5, 5], label="ILD")
    one.mark("b", corners=[1, 1, 6, 6], label="ILD", item=first["item"], base=1)
    two.mark("b", item="verdict", kind="nothing")
    one.mark("c", item="verdict", kind="bad image")
    two.mark("c", item="verdict", kind="unsure")
    two.mark("c", corners=[2, 2, 9, 9], label="ILD")
    one.mark("d", corners=[7.5, 8.5, 7.5, 8.5], kind="point", label="Nodule/Mass")
    target = {"from": "R1", "label": "ILD", "corners": [0, 0, 1, 1]}
    two.mark("d", kind="reject", target=target)
    yield tmp_path / "reads"
    one.log.close()
    two.log.close()


def rows(boxes: wr.Boxes) -> list[tuple[Any, ...]]:
    names = ("key", "reader", "kind", "label", "ignore", "flags", *CORNERS)
    return [
        (Path(row["key"]).stem, *(row[n] for n in names[1:])) for row in boxes.table.to_pylist()
    ]


def test_boxes(reads: Path, index: wr.Index) -> None:
    boxes = wr.read_boxes(reads, images=index)
    none = (None,) * 4
    assert sorted(rows(boxes), key=lambda row: row[:3]) == [
        ("a", "R1", "box", "Nodule/Mass", False, [], 10, 10, 30.5, 20),
        ("a", "R2", "box", "Nodule/Mass", False, [], 10, 10, 30.5, 22),
        ("b", "R1", "box", "ILD", False, [], 1, 1, 6, 6),
        ("b", "R2", "nothing", None, False, [], *none),
        ("c", "R1", "nothing", None, True, ["bad image"], *none),
        ("c", "R2", "box", "ILD", False, ["unsure"], 2, 2, 9, 9),
        ("d", "R1", "point", "Nodule/Mass", False, [], 7.5, 8.5, 7.5, 8.5),
    ]
    assert boxes.dialect == "annotations"
    assert boxes.labels == ("ILD", "Nodule/Mass")
    assert boxes.table["image"].null_count == 0
    assert wr.read_boxes(next(reads.glob("R2*.jsonl"))).readers == ("R2",)
    assert boxes.check(index)["code"].tolist() == []


def test_agreement_and_consensus(reads: Path, index: wr.Index) -> None:
    """The bad image is no reading: R1 and R2 share a and b."""
    boxes = wr.read_boxes(reads, images=index)
    table = boxes.agreement().set_index("label")
    assert table["images"].tolist() == [2, 2]
    assert table.loc["Nodule/Mass", "mean_iou"] == pytest.approx(20.5 * 10 / (20.5 * 12))
    truth = boxes.consensus()
    (merged,) = (row for row in truth.table.to_pylist() if row["key"] == "a.dcm")
    assert [merged[name] for name in CORNERS] == [10, 10, 30.5, 21]
    assert merged["score"] == 1
    assert {row["key"] for row in truth.table.to_pylist()} == {"a.dcm", "b.dcm", "c.dcm", "d.dcm"}
    bad = [flags == ["bad image"] for flags in boxes.table["flags"].to_pylist()]
    only_bad = boxes.select(np.array(bad))
    assert len(only_bad) == 1
    (left,) = only_bad.consensus().table.to_pylist()
    assert (left["kind"], left["ignore"], left["flags"]) == ("nothing", True, ["bad image"])
    assert len(only_bad.consensus().decided()) == 0


def test_evaluate(reads: Path, index: wr.Index) -> None:
    boxes = wr.read_boxes(reads, images=index)
    one = boxes.select(np.asarray(boxes.table["reader"]) == "R1")
    drawn = one.select(np.asarray(one.table["kind"]) == "box")
    found = drawn.replace({"score": [0.9, 0.8], "reader": [None, None]})
    assert wr.evaluate(found, drawn, "voc2010@0.4", resamples=0).map == 1


@pytest.mark.parametrize("metric", ["voc2010@0.4", "vinbigdata", "froc", "classification"])
def test_evaluate_leaves_out_bad_images(reads: Path, index: wr.Index, metric: str) -> None:
    """The same score as without them; before the consensus of the readers or after it."""
    boxes = wr.read_boxes(reads, images=index)
    boxes = boxes.select(np.asarray(boxes.table["kind"]) != "point")
    one = boxes.select(np.asarray(boxes.table["reader"]) == "R1")
    drawn = one.decided()
    found = drawn.replace({"score": [0.9, 0.8], "reader": [None, None], "label": ["ILD"] * 2})
    bad = found.table.slice(0, 1).to_pylist()[0] | {
        "image": next(image.id for image in index if image.path == "c.dcm"),
        "key": "c.dcm",
    }
    rows_ = [*found.table.to_pylist(), bad]
    more = wr.Boxes.from_columns({name: [row[name] for row in rows_] for name in bad})
    with pytest.raises(UsageError, match="is not in the ground truth: "):
        wr.evaluate(more, drawn, metric, resamples=0)
    plain = wr.evaluate(found, drawn, metric, resamples=0)
    for truth in (one, one.consensus()):
        result = wr.evaluate(more, truth, metric, resamples=0)
        assert (result.value, result.images) == (plain.value, 2)
        text = "1 image is left out: no reader could decide (unsure, bad image)"
        assert [note for note in result.notes if note not in plain.notes] == [text]


@pytest.mark.filterwarnings("ignore:.*the flags unsure are not written:UserWarning")
def test_yolo(reads: Path, index: wr.Index, tmp_path: Path) -> None:
    """Boxes of R2 and his negative image come back; the bad image of R1 is no background."""
    boxes = wr.read_boxes(reads, images=index)
    two = boxes.select(np.asarray(boxes.table["reader"]) == "R2")
    two.to_yolo(tmp_path / "yolo", index)
    back = wr.read_boxes(tmp_path / "yolo", images=index)
    expected = {(row[0], row[2], row[3], row[6:]) for row in rows(two)}
    found = {(row[0], *row[2:4], tuple(n and round(n, 3) for n in row[6:])) for row in rows(back)}
    assert found == expected
    one = boxes.select(np.asarray(boxes.table["reader"]) == "R1")
    one.select(np.asarray(one.table["kind"]) != "point").to_yolo(tmp_path / "one", index)
    assert {path.stem for path in (tmp_path / "one").rglob("*.txt")} == {"a", "b", "classes"}


@pytest.mark.filterwarnings("ignore:DICOM SR cannot store flags:UserWarning")
def test_dicom_sr(reads: Path, index: wr.Index, tmp_path: Path) -> None:
    """Boxes, points, labels and readers come back; highdicom reads the reports."""
    boxes = wr.read_boxes(reads, images=index)
    boxes.to_dicom_sr(tmp_path / "sr", index, progress=False)
    back = wr.read_boxes(tmp_path / "sr", images=index)
    uids = {image.id: Path(image.path).stem for image in index}

    def compare(some: wr.Boxes) -> set[Any]:
        names = ("reader", "kind", "label", *CORNERS)
        return {
            (uids[row["image"]], *(row[name] for name in names))
            for row in some.decided().table.to_pylist()
        }

    assert compare(back) == compare(boxes)
    regions = [
        group.roi.value.tolist()
        for file in sorted((tmp_path / "sr").iterdir())
        for group in highdicom.sr.srread(file).content.get_planar_roi_measurement_groups()
    ]
    assert [7.5, 8.5] in [point for region in regions for point in np.atleast_2d(region).tolist()]
    assert len(regions) == 5


def test_a_changed_image(reads: Path, index: wr.Index, tmp_path: Path) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    for number, name in enumerate(NAMES, 1):
        rows_ = 44 if name == "b" else 40
        (folder / f"{name}.dcm").write_bytes(dicom_file(picture(number, rows_, 60)))
    other = wr.scan(folder, workers=0, progress=False)
    boxes = wr.read_boxes(reads, images=other)
    assert {row[0] for row in rows(boxes) if "image changed" in row[5]} == {"b"}
    assert boxes.check(other)[["code", "key"]].to_numpy().tolist() == [["IMAGE_CHANGED", "b.dcm"]]


def test_a_conflict(index: wr.Index, tmp_path: Path) -> None:
    reader = Reader(tmp_path, "R1", index)
    first = reader.mark("a")
    reader.mark("a", item=first["item"], base=1, corners=[5, 5, 9, 9])
    stale = reader.mark("a", item=first["item"], base=1, label="ILD")
    boxes = wr.read_boxes(tmp_path, images=index)
    assert rows(boxes) == [("a", "R1", "box", "Nodule/Mass", False, ["conflict"], 5, 5, 9, 9)]
    assert boxes.check()["code"].tolist() == ["BOX_CONFLICT"]
    reader.mark("a", op="resolve", item=stale["uuid"])
    assert wr.read_boxes(tmp_path, images=index).flags == ()
    reader.log.close()


def test_frames(index: wr.Index, tmp_path: Path) -> None:
    reader = Reader(tmp_path, "R1", index)
    reader.mark("a", frame=3)
    reader.log.close()
    assert wr.read_boxes(tmp_path).table["frame"].to_pylist() == [3]


def test_bad_usage(reads: Path, index: wr.Index, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="image_size does not apply to annotations"):
        wr.read_boxes(reads, images=index, image_size=512)
    with pytest.raises(NotFoundError):
        wr.read_boxes(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no log of strokes"):
        wr.read_boxes(tmp_path / "empty", format="annotations")
    log = next(reads.glob("R1*.jsonl"))
    (reads / "copy.strokes.jsonl").write_bytes(log.read_bytes())
    with pytest.raises(UsageError, match="both logs of reader 'R1'"):
        wr.read_boxes(reads)


@pytest.mark.filterwarnings("ignore:.*the flags unsure are not written:UserWarning")
def test_export_to_yolo(reads: Path, index: wr.Index, tmp_path: Path) -> None:
    """Images and labels for a trainer; the image that nobody could read is not written."""
    boxes = wr.read_boxes(reads, images=index)
    truth = boxes.select(np.asarray(boxes.table["kind"]) != "point").consensus()
    index.export(tmp_path / "yolo", to="yolo", boxes=truth, workers=1, progress=False)
    back = wr.read_boxes(tmp_path / "yolo", images=index)

    def compare(some: wr.Boxes) -> set[Any]:
        return {
            (row["image"], row["label"], *(row[n] and round(row[n], 3) for n in CORNERS))
            for row in some.decided().table.to_pylist()
        }

    assert compare(back) == compare(truth)
    options = ["-o", str(tmp_path / "cli"), "--to", "yolo", "--boxes", str(reads), "--quiet"]
    wr.scan(index.root, tmp_path / "train.index", workers=0, progress=False)
    result = CliRunner().invoke(main, ["export", str(tmp_path / "train.index"), *options])
    assert result.exit_code != 0
    assert "yolo has no points" in result.output
    truth.save(tmp_path / "truth.parquet")
    options[-2] = str(tmp_path / "truth.parquet")
    result = CliRunner().invoke(main, ["export", str(tmp_path / "train.index"), *options])
    assert result.exit_code == 0, result.output
    files = [
        {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.txt")}
        for folder in (tmp_path / "yolo", tmp_path / "cli")
    ]
    assert files[0] == files[1]
    assert {path.stem for path in files[0]} >= {"a", "b"}


OLDER = """image_id,class_name,rad_id,x_min,y_min,x_max,y_max
a,ILD,R1,1,2,30,20
a,ILD,R1,1,2,30,20
b,No finding,R1,,,,
c,Nodule/Mass,R2,5,6,9.5,10
"""


def test_evaluate_leaves_out_every_frame_of_a_bad_image() -> None:
    verdict = {"key": ["m"], "kind": ["nothing"], "ignore": [True], "flags": [["bad image"]]}
    place = {"x0": [0], "y0": [0], "x1": [9], "y1": [9]}
    bad = wr.Boxes.from_columns(verdict)
    drawn = wr.Boxes.from_columns({"key": ["a"], "frame": [1], "label": ["ILD"], **place})
    truth = wr.Boxes.concat([bad, drawn]).replace({"reader": None})
    two = {name: value * 3 for name, value in place.items()}
    columns = {"key": ["m", "m", "a"], "frame": [0, 5, 1], "label": ["ILD"] * 3, **two}
    found = wr.Boxes.from_columns({**columns, "score": [0.9, 0.8, 0.7]})
    result = wr.evaluate(found, truth, "voc2010@0.4", resamples=0)
    assert (result.map, result.images) == (1, 1)


def test_boxes_of_an_older_file(index: wr.Index, tmp_path: Path) -> None:
    """They are continued; what is written again is in the log, changed or deleted since."""
    (tmp_path / "older.csv").write_text(OLDER)
    older = wr.read_boxes(tmp_path / "older.csv", images=index)
    reads = tmp_path / "reads"
    older.to_annotations(reads, index)
    boxes = wr.read_boxes(reads, images=index)
    assert boxes.readers == ("R1", "R2")
    assert sorted(map(str, rows(boxes))) == sorted(map(str, rows(older)))
    with StrokeLog(reads, "R1") as log:
        image = next(image.id for image in index if image.path == "a.dcm")
        first, second = log.replay.marks(image)
        for stroke in (
            make_stroke("delete", image=image, item=first.item, base=1),
            make_stroke(image=image, item=second.item, base=1, label="Effusion"),
        ):
            log.append(parse_stroke(stroke), {"key": "a.dcm"})
    older.to_annotations(reads, index)
    assert [row[3] for row in rows(wr.read_boxes(reads, images=index)) if row[0] == "a"] == [
        "Effusion"
    ]


def test_verdicts_and_frames_are_written_and_read(
    reads: Path, index: wr.Index, tmp_path: Path
) -> None:
    boxes = wr.read_boxes(reads, images=index)
    boxes.to_annotations(tmp_path / "copy", index)
    back = wr.read_boxes(tmp_path / "copy", images=index)
    assert back.table.to_pylist() == boxes.table.to_pylist()
    unnamed = boxes.select(np.asarray(boxes.table["reader"]) == "R1")
    unnamed = unnamed.replace({"reader": [None] * len(unnamed)})
    with pytest.raises(UsageError, match="a row without a reader"):
        unnamed.to_annotations(tmp_path / "none", index)
    unnamed.to_annotations(tmp_path / "named", index, reader="Z")
    assert wr.read_boxes(tmp_path / "named").readers == ("Z",)
    flagged = unnamed.replace({"flags": [["difficult"]] * len(unnamed), "ignore": None})
    with pytest.warns(UserWarning, match="flags difficult are not written"):
        flagged.to_annotations(tmp_path / "flags", index, reader="Z")
    for columns, message in (
        ({"x1": [0.0] * len(unnamed)}, "not a box"),
        ({"label": [None] * len(unnamed)}, "no name"),
    ):
        with pytest.raises(UsageError, match=message):
            unnamed.replace(columns).to_annotations(tmp_path / "bad", index, reader="Z")
    assert not (tmp_path / "bad").exists()

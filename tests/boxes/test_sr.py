from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wetread as wr
from wetread.boxes import Boxes
from wetread.errors import MissingExtraError, StorageError, UsageError
from wetread.sample import write_sample

Make = Callable[..., wr.Index]
NO_UIDS = dict.fromkeys(("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"))
BOXES = Boxes.from_columns(
    {
        "key": ["a", "a", "a", "a", "b"],
        "label": ["Größe", "ILD", None, "spot", "ILD"],
        "kind": ["box", "box", "nothing", "point", "box"],
        "reader": ["R1", "R2", "R3", "R1", None],
        "frame": [None, 0, None, None, None],
        "x0": [1, 2.5, None, 7, 0],
        "y0": [4, 5, None, 8, 0],
        "x1": [11, 12, None, 7, 60],
        "y1": [14, 25, None, 8, 40],
        "score": [None, None, None, None, 0.1],
    }
)
COLUMNS = ("image", "label", "kind", "reader", "frame", "x0", "y0", "x1", "y1", "score")


@pytest.fixture
def index(make_index: Make) -> wr.Index:
    return make_index({"a.dcm": {}, "b.dcm": NO_UIDS})


def as_rows(boxes: Boxes) -> list[tuple[Any, ...]]:
    rows = [tuple(row[name] for name in COLUMNS) for row in boxes.table.to_pylist()]
    return sorted(rows, key=str)


def test_write_and_read(tmp_path: Path, index: wr.Index) -> None:
    found = BOXES.to_dicom_sr(tmp_path / "sr", index)
    again = wr.read_boxes(tmp_path / "sr", index)
    assert as_rows(again) == as_rows(BOXES.join(index))
    assert again.dialect == "dicom-sr"
    assert again.table["group"].null_count == 0
    # one report per image and reader
    assert len(list((tmp_path / "sr").iterdir())) == 4
    # one problem per image with generated UIDs
    assert found["code"].tolist() == ["UID_MADE"]
    assert found["key"].tolist() == ["b"]
    assert found["text"].tolist() == ["no SeriesInstanceUID, StudyInstanceUID"]


def test_files_without_any_uid(tmp_path: Path) -> None:
    """As in VinBigData: the value in File Meta is not a valid UID."""
    write_sample(tmp_path, 3, test=0, size=48, progress=False)
    index = wr.scan(tmp_path / "train", workers=0, progress=False)
    boxes = wr.read_boxes(tmp_path / "train.csv", index)
    found = boxes.to_dicom_sr(tmp_path / "sr", index)
    assert sorted(found["image"]) == sorted(index.table["id"].to_pylist())
    assert found["text"].unique() == ["no SOPInstanceUID, SeriesInstanceUID, StudyInstanceUID"]
    assert as_rows(wr.read_boxes(tmp_path / "sr", index)) == as_rows(boxes)
    made = {uid for found in uids(tmp_path / "sr").values() for uid in found}
    again = wr.scan(tmp_path / "train", workers=0, progress=False)
    boxes.to_dicom_sr(tmp_path / "again", again)
    assert {uid for found in uids(tmp_path / "again").values() for uid in found} == made


@pytest.mark.parametrize(
    "uid", ["1.2.3.4", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.77.1.6"]
)
def test_images_of_any_sop_class(tmp_path: Path, make_index: Make, uid: str) -> None:
    """A private class, a multi-frame class, and slides."""
    index = make_index({"a.dcm": {"SOPClassUID": uid}, "b.dcm": {}})
    assert BOXES.to_dicom_sr(tmp_path / "sr", index).empty
    assert as_rows(wr.read_boxes(tmp_path / "sr", index)) == as_rows(BOXES.join(index))
    report = pydicom.dcmread(tmp_path / "sr" / f"{index[0].id}_01.dcm")
    named = {str(e.value) for e in report.iterall() if e.keyword == "ReferencedSOPClassUID"}
    assert named == {uid}


def test_key_is_the_sop_instance_uid(tmp_path: Path, index: wr.Index) -> None:
    BOXES.select(np.array([1, 0, 0, 0, 0], bool)).to_dicom_sr(tmp_path / "sr", index)
    assert wr.read_boxes(tmp_path / "sr").table["key"].to_pylist() == ["2.25.1001"]


@pytest.mark.apt("dcmtk", "dsrdump")
def test_dcmtk_reads_it(tmp_path: Path, index: wr.Index) -> None:
    BOXES.to_dicom_sr(tmp_path / "sr", index)
    output = ""
    for path in sorted((tmp_path / "sr").iterdir()):
        run = subprocess.run(
            ["dsrdump", "+Pc", "+Ps", "+U8", str(path)], capture_output=True, text=True, check=True
        )
        assert "error" not in run.stderr.lower()
        output += run.stdout
    assert '"Person Observer Name")="R1^"' in output
    assert '99WETREAD,"Größe")' in output
    assert "(POLYLINE,1/4,...)" in output
    assert '"Certainty of Finding")="0.1" (1,UCUM,"no units")' in output


def test_reports_belong_to_the_study_and_name_no_patient(tmp_path: Path, index: wr.Index) -> None:
    BOXES.to_dicom_sr(tmp_path / "sr", index)
    for path in (tmp_path / "sr").iterdir():
        report = pydicom.dcmread(path)
        assert not any(
            report.get(name)
            for name in ("PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber")
        )
        assert "Doe" not in str(report)
        series = report.CurrentRequestedProcedureEvidenceSequence[0]
        assert series.StudyInstanceUID == report.StudyInstanceUID
        source = series.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        if report.PatientID == "P1":
            assert report.StudyInstanceUID == "2.25.1001.1"
            assert source.ReferencedSOPInstanceUID == "2.25.1001"


def uids(folder: Path) -> dict[str, list[str]]:
    """Every UID of every report."""
    found = {}
    for path in sorted(folder.iterdir()):
        report = pydicom.dcmread(path)
        found[path.name] = [str(e.value) for e in report.iterall() if e.VR == "UI"]
        assert all(pydicom.uid.UID(uid).is_valid for uid in found[path.name])
    return found


def test_uids_are_derived_from_the_content(tmp_path: Path, index: wr.Index) -> None:
    BOXES.to_dicom_sr(tmp_path / "one", index)
    BOXES.select(np.ones(5, bool)).to_dicom_sr(tmp_path / "two", index)
    one, two = uids(tmp_path / "one"), uids(tmp_path / "two")
    assert one == two
    BOXES.replace({"x1": [11, 12, None, 7, 59]}).to_dicom_sr(tmp_path / "three", index)
    changed = [name for name, found in uids(tmp_path / "three").items() if found != one[name]]
    assert changed == [f"{index[1].id}_00.dcm"]
    names = {
        path.name: pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / "one").iterdir()
    }
    assert len(set(names.values())) == len(names)


place = st.floats(0, 4000, width=32)
row = st.tuples(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20),
    st.sampled_from(["R1", "reader two", None]),
    place,
    place,
    st.none() | st.floats(0, 1),
).filter(lambda r: "\\" not in r[0])


@settings(deadline=None, max_examples=8)
@given(st.lists(row, min_size=1, max_size=4))
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, pictures: wr.Index, rows: list[Any]
) -> None:
    columns = {n: [r[i] for r in rows] for i, n in enumerate(("label", "reader", "x0", "y0"))}
    columns |= {"x1": [r[2] + 8 for r in rows], "y1": [r[3] + 8 for r in rows]}
    columns |= {"key": ["a.dcm"] * len(rows), "score": [r[4] for r in rows]}
    boxes = Boxes.from_columns(columns).join(pictures)
    folder = tmp_path_factory.mktemp("sr")
    boxes.to_dicom_sr(folder, pictures)
    again = wr.read_boxes(folder, pictures)

    def rounded(some: Boxes) -> list[tuple[Any, ...]]:
        corners = some.corners.astype(np.float32)
        names = ("image", "label", "reader", "score")
        rest = zip(*(some.table[name].to_pylist() for name in names), strict=True)
        return sorted(((*r, *c) for r, c in zip(rest, corners.tolist(), strict=True)), key=str)

    assert rounded(again) == rounded(boxes)


def test_reports_of_other_programs(tmp_path: Path, index: wr.Index) -> None:
    """Circles and polygons become their bounding box."""
    BOXES.select(np.array([1, 0, 0, 0, 0], bool)).to_dicom_sr(tmp_path / "sr", index)
    (path,) = (tmp_path / "sr").iterdir()

    def change(kind: str, points: list[float]) -> Path:
        report = pydicom.dcmread(path)
        region = next(e for e in report.iterall() if e.keyword == "GraphicType")
        region.value = kind
        next(e for e in report.iterall() if e.keyword == "GraphicData").value = points
        report.save_as(tmp_path / "other.dcm")
        return tmp_path / "other.dcm"

    boxes = wr.read_boxes(change("CIRCLE", [10, 20, 13, 24]))
    assert boxes.corners.tolist() == [[5, 15, 15, 25]]
    boxes = wr.read_boxes(change("POLYLINE", [5, 1, 9, 7, 2, 3, 5, 1]))
    assert boxes.corners.tolist() == [[2, 1, 9, 7]]
    with pytest.raises(UsageError, match=r"other.dcm: a region of kind ELLIPSE"):
        wr.read_boxes(change("ELLIPSE", [1, 5, 9, 5, 5, 1, 5, 9]))


def test_files_that_are_not_reports(tmp_path: Path, real_file: Callable[[str], Path]) -> None:
    for path in (real_file("CT_small.dcm"), real_file("reportsi.dcm"), tmp_path / "text.dcm"):
        if not path.exists():
            path.write_text("no")
        with pytest.raises(UsageError, match="is not a report of TID 1500"):
            wr.read_boxes(path, format="dicom-sr")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": ["x" * 65]}, "1 to 64 characters"),
        ({"label": [None]}, "a box without a label"),
        ({"x0": [None]}, "a box without coordinates"),
        ({"reader": ["a^b"]}, r"reader 'a\^b'"),
        ({"reader": ["r" * 63]}, "at most 62 characters"),
    ],
)
def test_values_that_dicom_cannot_store(
    tmp_path: Path, pictures: wr.Index, columns: dict[str, Any], message: str
) -> None:
    base = {"key": ["a"], "label": ["X"], "x0": [0], "y0": [0], "x1": [1], "y1": [1]}
    with pytest.raises(UsageError, match=message):
        Boxes.from_columns(base | columns).to_dicom_sr(tmp_path / "sr", pictures)


def test_missing_images_and_folders(tmp_path: Path, pictures: wr.Index) -> None:
    boxes = Boxes.from_columns({"key": ["a", "z"], "kind": ["nothing"] * 2})
    with pytest.raises(UsageError, match="z: no image of the index has this key"):
        boxes.to_dicom_sr(tmp_path / "sr", pictures)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        boxes.select(np.array([True, False])).to_dicom_sr(tmp_path / "file", pictures)


def test_without_highdicom(
    tmp_path: Path, pictures: wr.Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[sr\]'"):
        BOXES.to_dicom_sr(tmp_path / "sr", pictures)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[sr\]'"):
        wr.read_boxes(tmp_path, format="dicom-sr")

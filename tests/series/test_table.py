"""The table of series, its SQL tables, and which files are one series."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pydicom.data
import pytest

import wetread as wr
from wetread.errors import SERIES_PROBLEMS, QueryError, UnknownNameError
from wetread.headers.schema import CORE
from wetread.series.table import SeriesTable
from wetread.table.rows import IndexRows

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
Rows = list[dict[str, Any]]
Scan = Callable[..., wr.Index]
Make = Callable[..., Rows]


def other(rows: Rows, **values: Any) -> Rows:
    """Rows of another series, unless `values` say something else."""
    uid = {"SeriesInstanceUID": "2.25.20"}
    return [
        {**row, **uid, "SOPInstanceUID": f"{row['SOPInstanceUID']}.9", **values} for row in rows
    ]


def test_an_index_without_series(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no DICOM")
    index = wr.scan(tmp_path, workers=0, progress=False)
    assert len(index.series) == len(index.series.problems()) == 0
    assert list(index.series) == []
    assert not len(index.series.to_pandas())
    for table in ("series", "series_problems", "slices", "frames"):
        assert not len(index.query(f"SELECT * FROM {table}"))
    assert index.summary()["series"] == 0


def test_what_all_slices_share(scan_series: Scan, ct: Make) -> None:
    rows = ct(3, Manufacturer="ACME", SeriesDescription="Head")
    rows[1]["SeriesDescription"] = "Neck"
    (row,) = scan_series(rows).series.table.to_pylist()
    assert row["Manufacturer"] == "ACME"
    assert row["SeriesDescription"] is None
    assert (row["Rows"], row["Columns"], row["PixelSpacing"]) == (8, 8, [0.7, 0.7])
    assert row["ImageType"] == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert row["ImageOrientationPatient"] == [1, 0, 0, 0, 1, 0]
    assert (row["files"], row["slices"], row["stacks"], row["volumes"]) == (3, 3, 1, 1)
    assert row["PatientID"] == "P1"


def test_rows_and_where(scan_series: Scan, ct: Make) -> None:
    index = scan_series(ct(5), other(ct(5, step=3), SeriesDescription="thick"))
    series = index.series
    assert [one.row["slice_spacing_mm"] for one in series] == pytest.approx([1, 3])
    thick = series.where("slice_spacing_mm > 2").where("true")
    assert len(thick) == 1
    assert thick["SeriesDescription"].tolist() == ["thick"]
    assert thick[0].description == "thick"
    assert thick[-1].volumes[0].spacing[0] == pytest.approx(3)
    assert len(thick.where("false").problems()) == 0
    assert repr(thick[0]) == "<Series: CT 'thick', 5 slices, 1 stack, 1 volume>"
    assert "1 series" in thick._repr_html_()
    with pytest.raises(QueryError, match="did you mean files"):
        series.where("file > 1")
    with pytest.raises(UnknownNameError, match="did you mean volumes"):
        series["volume"]
    with pytest.raises(UnknownNameError, match="SLICE_MISSING"):
        series.problems("SLICES_MISSING")
    with pytest.raises(IndexError):
        series[2]


def test_sql(scan_series: Scan, ct: Make) -> None:
    index = scan_series(ct(5)[::-1], other([row for n, row in enumerate(ct(5)) if n != 2]))
    counts = index.query("SELECT Modality, sum(files) AS n FROM series GROUP BY ALL")
    assert counts.to_dict("records") == [{"Modality": "CT", "n": 9}]
    codes = index.query("SELECT code, severity, path FROM series_problems").to_dict("records")
    assert codes == [{"code": "SLICE_MISSING", "severity": "error", "path": "1-001.dcm"}]
    walked = index.query(
        "SELECT path, slice_position_mm, stack_index FROM slices JOIN series USING (series_id) "
        "WHERE volumes = 1 ORDER BY slice_index"
    )
    assert walked["path"].tolist() == [f"0-{n:03}.dcm" for n in (4, 3, 2, 1, 0)]
    assert walked["slice_position_mm"].tolist() == [100, 101, 102, 103, 104]
    assert set(walked["stack_index"]) == {0}
    with pytest.raises(QueryError, match=r"the tables are index, problems, .*slices"):
        index.query("SELECT * FROM stacks")


@pytest.mark.parametrize("form", ["disk", "where", "slice", "zip"])
def test_every_form_of_an_index_has_the_same_series(
    form: str, scan_series: Scan, ct: Make, tmp_path: Path
) -> None:
    damaged = other([row for n, row in enumerate(ct(6)) if n != 2])
    echoes = other(ct(6), SeriesInstanceUID="2.25.30", EchoTime="2")
    index = scan_series(ct(6), damaged, [*echoes, *other(echoes, SeriesInstanceUID="2.25.30")])
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            for path in Path(index.root).iterdir():
                archive.write(path, path.name)
        same = wr.scan(tmp_path / "all.zip", workers=0, progress=False)
    elif form == "disk":
        same = wr.scan(index.root, tmp_path / "to", workers=0, progress=False)
    elif form == "where":
        same = wr.scan(index.root, tmp_path / "to", workers=0, progress=False).where("true")
    else:
        same = index[:]
    assert same.series.table.equals(index.series.table)
    names = ["code", "text"]
    if form != "zip":
        assert same.series.problems()[names].equals(index.series.problems()[names])
    first = same.series[0].volumes[0].slices[0]
    assert same[same["id"].tolist().index(first.id)].header.InstanceNumber == 1


def test_slices_of_some_rows_only(scan_series: Scan, ct: Make) -> None:
    index = scan_series(ct(6)).where("InstanceNumber <= 3")
    assert index.series["slices"].tolist() == [3]
    assert index.series["volumes"].tolist() == [1]


def test_one_uid_in_two_studies_and_patients(scan_series: Scan, ct: Make) -> None:
    index = scan_series(
        ct(4),
        other(ct(4), SeriesInstanceUID="2.25.2", StudyInstanceUID="2.25.11"),
        other(ct(4), SeriesInstanceUID="2.25.2", PatientID="P2"),
    )
    assert index.series["files"].tolist() == [4, 4, 4]
    assert index.series["volumes"].tolist() == [1, 1, 1]
    assert len(set(index.series["series_id"])) == 3
    assert index.series.problems()["code"].tolist() == ["SERIES_UID_CLASH"] * 3


def test_blank_patients_belong_to_the_known_one(scan_series: Scan, ct: Make) -> None:
    rows = ct(6)
    rows[2] |= {"PatientID": None, "StudyInstanceUID": None}
    rows[3] |= {"PatientID": ""}
    index = scan_series(rows)
    assert index.series["files"].tolist() == [6]
    assert index.series["PatientID"].tolist() == ["P1"]
    assert not len(index.series.problems())


def test_series_without_uid_are_folders(scan_series: Scan, ct: Make) -> None:
    uids = dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
    rows = [{**row, **uids} for row in ct(5)]
    scan_series(rows, folder="images/a")
    scan_series(rows, [{**row, "SeriesNumber": "7"} for row in rows], folder="images/b")
    index = scan_series(ct(4), folder="images")
    assert sorted(index.series["files"]) == [4, 5, 5, 5]
    assert index.series["volumes"].tolist() == [1, 1, 1, 1]
    assert index.series.problems()["code"].tolist() == ["SERIES_UID_MISSING"] * 3
    assert len(set(index.series["series_id"])) == 4


def test_no_position_at_all(scan_series: Scan, ct: Make) -> None:
    lost = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient"))
    index = scan_series(
        ct(5, **lost), other(ct(1, **lost)), other(ct(1), SeriesInstanceUID="2.25.5")
    )
    assert index.series["stacks"].tolist() == [0, 0, 1]
    assert index.series["volumes"].tolist() == [0, 0, 0]
    problems = index.series.problems()
    assert problems["code"].tolist() == ["POSITION_MISSING"] * 2
    assert problems["text"][0].endswith("none of the 5 slices of the series has a usable position")


def test_radiographs_need_no_position(pictures: wr.Index) -> None:
    assert pictures.series["stacks"].tolist() == [0, 0]
    assert not len(pictures.series.problems())


def test_files_that_are_no_images() -> None:
    folder = Path(pydicom.data.__file__).parent / "test_files"
    index = wr.scan([folder / "rtplan.dcm", folder / "CT_small.dcm"], workers=0, progress=False)
    assert index.series["slices"].tolist() == [1, 0]
    assert index.series[1].stacks == []
    assert index.series["regularly_spaced_3d_volume"].isna().all()


def test_a_dicomdir_is_no_series() -> None:
    folder = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests"
    index = wr.scan(folder, workers=0, progress=False)
    assert "DICOMDIR" in index["path"].tolist()
    assert not len(index.series.problems("SERIES_UID_MISSING"))


def test_malformed_files_cost_only_themselves(scan_series: Scan, ct: Make) -> None:
    if not (SHARED / "malformed").is_dir():
        pytest.skip("no malformed files beside the project")
    index = scan_series(ct(9))
    before = index.series.table.to_pylist()[0]
    for number, path in enumerate(sorted((SHARED / "malformed").rglob("*"))):
        if path.is_file():
            shutil.copy(path, Path(index.root, f"bad-{number}.dcm"))
    index = wr.scan(index.root, workers=0, progress=False)
    rows = index.series.table.to_pylist()
    assert [row for row in rows if row["SeriesInstanceUID"] == "2.25.2"] == [before]
    for one in index.series:
        assert len(one.stacks) == one.row["stacks"]


def test_ids_do_not_depend_on_the_order(scan_series: Scan, ct: Make) -> None:
    first = scan_series(ct(2), other(ct(2)), folder="a").series["series_id"].tolist()
    second = scan_series(other(ct(2)), ct(2), folder="b").series["series_id"].tolist()
    assert second == first[::-1]


def test_summary(scan_series: Scan, ct: Make) -> None:
    summary = scan_series(ct(5), other(ct(5)[:2] + ct(5)[3:])).summary()
    assert (summary["series"], summary["volumes"]) == (2, 1)
    assert summary["series_problems"] == {"SLICE_MISSING": 1}
    assert "2 series, 1 volume" in str(summary)


def test_every_code_is_raised_somewhere() -> None:
    source = "".join(path.read_text() for path in Path(wr.__file__).parent.glob("series/*.py"))
    assert not [code for code in SERIES_PROBLEMS if f'"{code}"' not in source]


def test_a_copied_folder(scan_series: Scan, ct: Make) -> None:
    """Every slice twice, with equal UIDs: one volume, of the files that come first by path."""
    index = scan_series(ct(30))
    shutil.copytree(index.root, Path(index.root, "copy"))
    index = wr.scan(index.root, workers=0, progress=False)
    (series,) = index.series
    (volume,) = series.volumes
    assert volume.shape[0] == 30
    assert set(index.series.problems()["code"]) == {"SLICE_DUPLICATED"}
    kept = index.query("SELECT path FROM slices WHERE slice_index IS NOT NULL")["path"]
    assert not kept.str.contains("copy/").any()


def test_an_altered_copy_of_a_folder(scan_series: Scan, ct: Make) -> None:
    """Processed pixels under the headers of the originals: no volume."""
    index = scan_series(ct(30))
    copy = Path(index.root, "denoised")
    shutil.copytree(index.root, copy)
    for path in copy.iterdir():
        data = bytearray(path.read_bytes())
        data[-64] ^= 1
        path.write_bytes(data)
    index = wr.scan(index.root, workers=0, progress=False)
    assert index.series["volumes"].tolist() == [0]
    assert "the pixels differ" in set(index.series.problems()["text"].str.partition("; ")[2])


def test_copies_that_cannot_be_read(scan_series: Scan, ct: Make, tmp_path: Path) -> None:
    rows = ct(9)
    root = Path(scan_series([*rows, {**rows[4], "SOPInstanceUID": "2.25.99"}]).root)
    index = wr.scan(root, tmp_path / "to", workers=0, progress=False)
    root.rename(tmp_path / "moved")
    assert index.series["volumes"].tolist() == [0]
    assert index.series.problems()["text"].tolist() == [
        "at the position of 0-004.dcm; the pixels cannot be read"
    ]


def test_tables_are_computed_when_they_are_named(
    scan_series: Scan, ct: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = scan_series(ct(3))
    calls: list[str] = []
    make = "wetread.series.query._make"
    monkeypatch.setattr(make, lambda series, name: calls.append(name) or series.table)
    index.query("SELECT 'series' AS slices, 1 AS frames -- series\nFROM index")
    assert not calls
    index.query('WITH s AS (SELECT slices FROM "Series") SELECT * FROM s')
    assert calls == ["series"]
    with pytest.raises(QueryError):
        index.query("DELETE FROM slices")
    assert calls == ["series"]


def test_lists_that_differ_at_the_start_differ() -> None:
    """Among thousands of distinct values, too: no rounding makes them equal."""
    kinds = [["X0", *"ABCDE"], ["X1", *"ABCDE"], *([f"Q{n}"] for n in range(5000))]
    rows = [
        {
            "id": f"{n:016x}",
            "path": f"{n}",
            "member": "",
            "read_status": "ok",
            "SeriesInstanceUID": f"2.25.{max(n, 1)}",
            "Modality": "CT",
            "ImageType": kind,
        }
        for n, kind in enumerate(kinds)
    ]
    table = pa.Table.from_pylist(rows, CORE)
    series = SeriesTable(IndexRows("", table.schema, rows=table), progress=False)
    assert series.table["ImageType"][0].as_py() is None
    assert series.table["ImageType"][1].as_py() == ["Q0"]

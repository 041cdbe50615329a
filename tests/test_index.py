from __future__ import annotations

import zipfile
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from wetread.boxes.collection import Boxes
from wetread.errors import DecodeError, NotFoundError, UsageError
from wetread.index import Index, read, scan


@pytest.fixture(params=["memory", "disk"])
def index(request: pytest.FixtureRequest, small_folder: Path, tmp_path: Path) -> Index:
    return scan(small_folder, None if request.param == "memory" else tmp_path / "to", workers=0)


def test_rows_are_images(index: Index) -> None:
    names = ["CT_small.dcm", "JPEG2000.dcm", "MR_small.dcm", "MR_truncated.dcm", "README.txt"]
    assert [image.path for image in index] == [*names, "rtplan.dcm"]
    assert index[0].path == index[-6].path == "CT_small.dcm"
    assert index[-1].path == "rtplan.dcm"
    for number in (6, -7):
        with pytest.raises(IndexError):
            index[number]


def test_slices_are_indexes(index: Index) -> None:
    assert index[1:3].table == index.table[1:3]
    assert [image.path for image in index[::-2]] == [
        "rtplan.dcm",
        "MR_truncated.dcm",
        "JPEG2000.dcm",
    ]
    assert len(index[4:2]) == 0
    assert len(index[:]) == 6


def test_a_header_is_a_pydicom_dataset(index: Index) -> None:
    header = index[0].header
    assert header.PatientID == index[0].row["PatientID"] == "1CT1"
    assert "PixelData" not in header
    with pytest.raises(DecodeError, match=r"README.txt has no header \(not_dicom; NOT_DICOM"):
        index[4].header  # noqa: B018


def test_images_are_the_rows_with_pixels(index: Index) -> None:
    assert index.images.table["path"].to_pylist() == [
        "CT_small.dcm", "JPEG2000.dcm", "MR_small.dcm", "MR_truncated.dcm",
    ]  # fmt: skip


def test_other_libraries_read_the_rows(index: Index) -> None:
    for rows in (index, index.where("Rows > 64"), index.where("Rows < 0")):
        assert pa.table(rows) == rows.table
        assert pa.table(rows).schema.metadata == rows.table.schema.metadata
    assert duckdb.sql("SELECT count(Rows) AS n FROM index").fetchall() == [(4,)]
    assert pa.table(index.series) == index.series.table
    boxes = Boxes.from_columns({"key": ["a"], "x0": [1]})
    assert pa.table(boxes) == boxes.table


def test_repr(index: Index) -> None:
    assert repr(index).startswith("<Index: 6 files in ")
    assert "CT_small.dcm" in index._repr_html_()
    assert repr(index[0]) == "<Image CT_small.dcm: CT 128 x 128>"
    assert repr(index[4]) == "<Image README.txt: not_dicom>"
    assert len(index[0].id) == 16


def test_to_pandas(index: Index) -> None:
    frame = index.to_pandas()
    assert frame["Rows"].to_list()[0] == 128
    assert str(frame["Rows"].dtype) == "Int64"
    assert frame["StudyDate"].dtype.kind == "M"
    assert frame["PixelSpacing"].dtype == float
    assert "PixelSpacing_1" in index.to_pandas(lists="split")
    assert list(frame.columns) == index.columns == index.schema.names


def test_an_empty_folder_is_an_empty_index(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.warns(UserWarning, match="no files in") as caught:
        empty = scan(tmp_path / "none", progress=False)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="no files in"):
        stored = scan(tmp_path / "none", tmp_path / "to", progress=False)
    for index in (empty, stored):
        assert len(index) == len(index.table) == len(list(index)) == 0
        assert index.problems().empty
        assert index.summary()["files"] == 0
        assert len(index.where("Rows > 1")) == 0
        assert index.to_pandas().shape == (0, len(index.columns))
        assert "0 files" in index._repr_html_()


def test_a_member_of_an_archive_is_read_by_its_name(small_folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "scans.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name in ("CT_small.dcm", "MR_small.dcm"):
            packed.write(small_folder / name, f"a/{name}")
    image = read(f"{archive}::a/MR_small.dcm")
    assert (image.row["member"], image.row["Modality"]) == ("a/MR_small.dcm", "MR")
    assert np.array_equal(image.pixels(), read(small_folder / "MR_small.dcm").pixels())
    with pytest.raises(NotFoundError, match="has no member 'b'; it has a/CT_small"):
        read(f"{archive}::b")
    with pytest.raises(UsageError, match=r"holds 2 files.*scans.zip::a/CT_small.dcm"):
        read(archive)
    with pytest.raises(UsageError, match="scan or view it, or name one as") as error:
        read(tmp_path)  # the name is that of a file below the folder
    assert read(str(error.value).partition("name one as ")[2]).row["Modality"] == "CT"
    with pytest.raises(NotFoundError):
        read(f"{tmp_path}/absent.zip::a")
    (tmp_path / "a::b.dcm").write_bytes((small_folder / "CT_small.dcm").read_bytes())
    assert read(tmp_path / "a::b.dcm").row["Modality"] == "CT"

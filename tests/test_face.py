"""The public interface, as users of pandas, pydicom and fastai would try it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import wetread as wr
from wetread.errors import QueryError, UnknownNameError, UsageError

NAMES = ["CT_small.dcm", "JPEG2000.dcm", "MR_small.dcm", "MR_truncated.dcm", "README.txt",
         "rtplan.dcm"]  # fmt: skip


@pytest.fixture(params=["memory", "disk", "where"])
def index(request: pytest.FixtureRequest, small_folder: Path, tmp_path: Path) -> wr.Index:
    to = None if request.param == "memory" else tmp_path / "to"
    index = wr.scan(small_folder, to, workers=0)
    return index.where("true") if request.param == "where" else index


def test_a_column_is_a_series(index: wr.Index) -> None:
    series = index["Modality"]
    assert isinstance(series, pd.Series)
    assert series.name == "Modality"
    assert series.value_counts().to_dict() == {"MR": 2, "CT": 1, "NM": 1, "RTPLAN": 1}
    pd.testing.assert_series_equal(index["WindowCenter"], index.to_pandas()["WindowCenter"])
    assert "Modality" in index
    assert "no_such_column" not in index


def test_columns_are_a_dataframe(index: wr.Index) -> None:
    frame = index[["path", "Rows"]]
    assert list(frame.columns) == ["path", "Rows"]
    pd.testing.assert_frame_equal(frame, index.to_pandas()[["path", "Rows"]])


def test_rows_by_mask_and_by_number(index: wr.Index) -> None:
    mask = index["Modality"] == "MR"
    for chosen in (index[mask], index[mask.to_numpy()], index[mask.to_list()]):
        assert isinstance(chosen, wr.Index)
        assert chosen["path"].to_list() == ["MR_small.dcm", "MR_truncated.dcm"]
    assert index[index["Rows"] > 100].schema == index.schema  # the mask has missing values
    assert index[[5, 1]]["path"].to_list() == [NAMES[5], NAMES[1]]
    assert index[np.array([-1, 0])]["path"].to_list() == [NAMES[-1], NAMES[0]]
    assert index[pd.Series([2])]["path"].to_list() == [NAMES[2]]
    assert len(index[[]]) == 0
    assert index[np.int64(2)].path == NAMES[2]
    assert index.head()["path"].to_list() == NAMES[:5]
    assert len(index.head(2)) == 2
    assert isinstance(index.where("Rows > 100"), wr.Index)


def test_error_of_an_invalid_key(index: wr.Index) -> None:
    with pytest.raises(UnknownNameError, match="unknown column 'modality'; did you mean Modality"):
        index["modality"]
    with pytest.raises(UnknownNameError, match="did you mean Modality"):
        index[["path", "Modalty"]]
    with pytest.raises(UsageError, match="mask has 2 values, the index 6 rows"):
        index[[True, False]]
    with pytest.raises(IndexError, match="from -6 to 5"):
        index[[6]]
    for key in (("path", "Rows"), 1.5, None, [1.5]):
        with pytest.raises(UsageError, match="a column name, a list of these or a boolean mask"):
            index[key]  # type: ignore[call-overload]


@pytest.mark.parametrize("text", ["Modality = CT", 'Modality = "CT"'])
def test_text_in_sql_takes_single_quotes(index: wr.Index, text: str) -> None:
    with pytest.raises(QueryError, match=r"unknown column 'CT'.*text takes single quotes: 'CT'"):
        index.where(text)


def test_measuring_and_splitting_leave_an_open_index_usable(
    small_folder: Path, tmp_path: Path
) -> None:
    index = wr.scan(small_folder, tmp_path / "i", progress=False)
    chosen, table = index.where("Rows > 100"), index.table
    measured = index.measure(progress=False)
    split = measured.split(parts={"a": 0.5, "b": 0.5})
    assert index.table.equals(table)
    assert index[["path"]].shape == (6, 1)
    assert len(chosen) == len(chosen.table) > 0
    assert {"part", "px_status"} <= set(split.columns)
    assert measured["px_status"].notna().sum() == 4


def test_open_recognises_everything(small_folder: Path, tmp_path: Path) -> None:
    index = wr.scan(small_folder, tmp_path / "i", progress=False)
    index.images.prepare(tmp_path / "c", size=32, progress=False)
    csv = tmp_path / "train.csv"
    csv.write_text("image_id,class_name,x_min,y_min,x_max,y_max\nCT_small,Mass,1,1,9,9\n")
    boxes = wr.open(csv)
    assert isinstance(boxes, wr.Boxes)
    boxes.save(tmp_path / "b.parquet")
    assert repr(wr.open(tmp_path / "b.parquet")) == repr(boxes)
    opened = wr.open(tmp_path / "i")
    assert isinstance(opened, wr.Index)
    assert opened.table == index.table
    assert type(wr.open(tmp_path / "c")).__name__ == "Cache"
    assert isinstance(wr.open(small_folder / "CT_small.dcm"), wr.Image)
    with pytest.raises(UsageError, match="neither DICOM nor a label file"):
        wr.open(small_folder / "README.txt")
    with pytest.raises(UsageError, match=r"wetread.scan\(folder\)"):
        wr.open(small_folder)
    with pytest.raises(wr.errors.NotFoundError):
        wr.open(tmp_path / "absent")


def test_functions_take_paths(small_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "i"
    wr.scan(small_folder, folder, progress=False)
    csv = tmp_path / "train.csv"
    csv.write_text("image_id,class_name,x_min,y_min,x_max,y_max\nCT_small,Mass,1,1,9,9\n")
    boxes = wr.read_boxes(csv, images=folder)
    assert boxes.table["image"].null_count == 0
    assert wr.read_boxes(csv).join(str(folder)).table.equals(boxes.table)
    assert set(boxes.check(folder)["code"]) == {"NO_LABEL"}
    index = wr.split(folder, csv, {"a": 0.5, "b": 0.5})
    assert set(index.images["part"]) == {"a", "b"}
    page = wr.report(folder, csv, to=tmp_path / "r.html", progress=False)
    assert page.exists()
    assert index.report(csv, to=tmp_path / "r2.html", progress=False).exists()
    assert len(wr.prepare(folder, size=32, progress=False)) == len(
        index.prepare(size=32, progress=False)
    )
    for viewer in (wr.view(folder, csv), index.view(csv)):
        viewer.stop()
    with pytest.raises(wr.errors.NotFoundError):
        wr.split(tmp_path / "absent")
    with pytest.raises(UsageError, match=r"not list; open one with wetread.open"):
        wr.prepare([1])  # type: ignore[arg-type]


def test_an_image_is_an_array_and_a_header(small_folder: Path) -> None:
    image = wr.read(small_folder / "CT_small.dcm")
    assert np.array_equal(np.asarray(image), image.display())
    assert np.asarray(image, float).dtype == float
    assert np.array_equal(image.pixel_array, image.pixels())
    assert image.PatientID == image.header.PatientID == "1CT1"
    with pytest.raises(AttributeError, match="no element PatientIdd; did you mean PatientID"):
        image.PatientIdd  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'pixel'"):
        image.pixel  # noqa: B018
    assert pickle.loads(pickle.dumps(image)).path == image.path


def test_dir_shows_public_names_alone() -> None:
    assert dir(wr) == list(wr.__all__)

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import wetread as wr
from wetread.boxes import Boxes
from wetread.boxes.join import bare, joined, stem
from wetread.errors import UsageError

Make = Callable[..., wr.Index]


def places(keys: list[str], index: wr.Index) -> list[str | None]:
    """The path of the image that each key is joined to."""
    paths = {row["id"]: row["member"] or row["path"] for row in index.table.to_pylist()}
    joined = Boxes.from_columns({"key": keys}).join(index)
    return [paths.get(image) for image in joined.table["image"].to_pylist()]


@pytest.mark.parametrize(
    "key", ["2.25.1001", "train/a.b.dcm", "train/a.b", "a.b", "a.b.png", "other/a.b.PNG"]
)
def test_what_a_key_may_be(key: str, make_index: Make) -> None:
    index = make_index({"train/a.b.dcm": {}, "train/c.dcm": {}})
    assert places([key, "unknown"], index) == ["train/a.b.dcm", None]


def test_the_id_of_an_exported_picture(make_index: Make) -> None:
    index = make_index({"a.dcm": {}, "b.dcm": {}})
    assert places([f"{index[1].id}.png", index[0].id], index) == ["b.dcm", "a.dcm"]


def test_a_uid_in_file_meta_alone(make_index: Make) -> None:
    index = make_index({"a.dcm": {"SOPInstanceUID": None}, "2.25.1.dcm": {}})
    # of the first only File Meta is left, 2.25.1; it comes before the second's file name
    assert places(["2.25.1"], index) == ["a.dcm"]


def test_the_better_name_wins(make_index: Make) -> None:
    index = make_index({"2.25.1002": {}, "b.dcm": {}, "c": {}, "c.dcm": {}})
    assert places(["2.25.1002"], index) == ["b.dcm"]  # a SOP Instance UID, not a path
    assert places(["c", "c.dcm"], index) == ["c", "c.dcm"]  # a path, not a path without ending


def test_a_name_in_several_folders_is_an_error_with_examples(make_index: Make) -> None:
    index = make_index({"p1/000001.dcm": {}, "p2/000001.dcm": {}})
    with pytest.raises(UsageError, match=r"'000001' is 'p1/000001.dcm', 'p2/000001.dcm'"):
        places(["000001"], index)
    assert places(["p2/000001", "p1/000001.dcm"], index) == ["p2/000001.dcm", "p1/000001.dcm"]


def test_no_key_known_is_an_error_with_examples_of_both(make_index: Make) -> None:
    with pytest.raises(UsageError, match=r"such as 'x', 'y'; the index has 'a.dcm'"):
        places(["x", "y"], make_index({"a.dcm": {}}))


def test_members_of_an_archive(tmp_path: Path, make_index: Make) -> None:
    make_index({"one/a.dcm": {}, "two/b.dcm": {}})
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted((tmp_path / "pictures").rglob("*.dcm")):
            archive.write(path, path.relative_to(tmp_path / "pictures"))
    index = wr.scan(tmp_path / "all.zip", progress=False)
    assert places(["one/a.dcm", "b"], index) == ["one/a.dcm", "two/b.dcm"]


def test_group_and_part_come_along(make_index: Make) -> None:
    patients = {f"{n}.dcm": {"PatientID": f"P{n // 2}"} for n in range(6)}
    index = make_index(patients)
    boxes = Boxes.from_columns({"key": ["0", "1", "5", "none"], "part": ["x", "x", "x", "x"]})
    joined = boxes.join(index).table
    assert joined["group"].to_pylist() == ["P0", "P0", "P2", None]
    assert joined["part"].to_pylist() == ["x"] * 4  # the index has none
    split = wr.split(index, parts={"left": 0.5, "right": 0.5})
    parts = dict(split.query('SELECT "group", part FROM index').itertuples(index=False))
    joined = boxes.join(split).table
    assert joined["part"].to_pylist() == [parts["P0"], parts["P0"], parts["P2"], None]


def test_only_rows_that_know_no_image_are_joined(make_index: Make) -> None:
    index = make_index({"a.dcm": {"PatientID": "P1"}, "b.dcm": {"PatientID": "P2"}})
    known = {"key": [None, "a", "b", "z"], "image": ["elsewhere", "other", None, None]}
    boxes = Boxes.from_columns({**known, "group": ["G", None, "G", None]})
    table = joined(boxes, index).table
    assert table["image"].to_pylist() == ["elsewhere", "other", index[1].id, None]
    assert table["group"].to_pylist() == ["G", None, "P2", None]
    whole = boxes.select([True, True, False, False])
    assert joined(whole, index) is whole


def test_rows_without_pixels_are_no_images(small_folder: Path) -> None:
    index = wr.scan(small_folder, progress=False)
    assert places(["CT_small", "rtplan", "README.txt"], index) == ["CT_small.dcm", None, None]


def test_names() -> None:
    assert stem("a/b.c/1.2.840.10008") == "1.2.840.10008"
    assert stem("a/1.2.840.dcm") == "1.2.840"
    assert bare("a/x.DICOM") == "a/x"

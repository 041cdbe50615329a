from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import wetread as wr
from wetread.boxes import Boxes
from wetread.boxes.join import joined, stem, without_extension
from wetread.errors import UsageError

Make = Callable[..., wr.Index]


def matches(keys: list[str], index: wr.Index) -> list[str | None]:
    """Path of the image that each key is joined to."""
    paths = {row["id"]: row["member"] or row["path"] for row in index.table.to_pylist()}
    joined = Boxes.from_columns({"key": keys}).join(index)
    return [paths.get(image) for image in joined.table["image"].to_pylist()]


@pytest.mark.parametrize(
    "key", ["2.25.1001", "train/a.b.dcm", "train/a.b", "a.b", "a.b.png", "other/a.b.PNG"]
)
def test_names_that_match(key: str, make_index: Make) -> None:
    index = make_index({"train/a.b.dcm": {}, "train/c.dcm": {}})
    assert matches([key, "unknown"], index) == ["train/a.b.dcm", None]


def test_id_of_an_exported_image(make_index: Make) -> None:
    index = make_index({"a.dcm": {}, "b.dcm": {}})
    assert matches([f"{index[1].id}.png", index[0].id], index) == ["b.dcm", "a.dcm"]


def test_uid_in_file_meta_only(make_index: Make) -> None:
    index = make_index({"a.dcm": {"SOPInstanceUID": None}, "2.25.1.dcm": {}})
    # the first image has 2.25.1 in File Meta only, which precedes the second's file name
    assert matches(["2.25.1"], index) == ["a.dcm"]


def test_order_of_names(make_index: Make) -> None:
    index = make_index({"2.25.1002": {}, "b.dcm": {}, "c": {}, "c.dcm": {}})
    assert matches(["2.25.1002"], index) == ["b.dcm"]  # a SOP Instance UID, not a path
    assert matches(["c", "c.dcm"], index) == [
        "c",
        "c.dcm",
    ]  # a path, not a root


def test_ambiguous_key_is_an_error_with_examples(make_index: Make) -> None:
    index = make_index({"p1/000001.dcm": {}, "p2/000001.dcm": {}})
    with pytest.raises(UsageError, match=r"'000001' matches 'p1/000001.dcm', 'p2/000001.dcm'"):
        matches(["000001"], index)
    assert matches(["p2/000001", "p1/000001.dcm"], index) == [
        "p2/000001.dcm",
        "p1/000001.dcm",
    ]


def test_no_matching_key_is_an_error_with_examples(make_index: Make) -> None:
    with pytest.raises(UsageError, match=r"such as 'x', 'y'; the index has 'a.dcm'"):
        matches(["x", "y"], make_index({"a.dcm": {}}))


def test_leading_zeros_that_a_spreadsheet_removed_are_not_guessed(make_index: Make) -> None:
    index = make_index({"0007.dcm": {}, "0012.dcm": {}})
    for key in ("7", "7.0", "7.png"):
        with pytest.raises(UsageError, match=f"'{key}' seems to be '0007' without its leading"):
            Boxes.from_columns({"key": [key]}).join(index)
    problems = Boxes.from_columns({"key": ["7", "0012", "8"]}).check(index)
    texts = problems[problems["code"] == "NO_FILE"].set_index("key")["text"]
    assert texts.to_dict() == {
        "7": "no image of the index has this key; '0007' has leading zeros",
        "8": "no image of the index has this key",
    }


def test_archive_members(tmp_path: Path, make_index: Make) -> None:
    make_index({"one/a.dcm": {}, "two/b.dcm": {}})
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted((tmp_path / "pictures").rglob("*.dcm")):
            archive.write(path, path.relative_to(tmp_path / "pictures"))
    index = wr.scan(tmp_path / "all.zip", progress=False)
    assert matches(["one/a.dcm", "b"], index) == ["one/a.dcm", "two/b.dcm"]


def test_join_adds_group_and_part(make_index: Make) -> None:
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


def test_joined_fills_rows_without_an_image(make_index: Make) -> None:
    index = make_index({"a.dcm": {"PatientID": "P1"}, "b.dcm": {"PatientID": "P2"}})
    known = {"key": [None, "a", "b", "z"], "image": ["elsewhere", "other", None, None]}
    boxes = Boxes.from_columns({**known, "group": ["G", None, "G", None]})
    table = joined(boxes, index).table
    assert table["image"].to_pylist() == ["elsewhere", "other", index[1].id, None]
    assert table["group"].to_pylist() == ["G", None, "P2", None]
    whole = boxes.select([True, True, False, False])
    assert joined(whole, index) is whole


def test_rows_without_pixels_do_not_match(small_folder: Path) -> None:
    index = wr.scan(small_folder, progress=False)
    assert matches(["CT_small", "rtplan", "README.txt"], index) == [
        "CT_small.dcm",
        None,
        None,
    ]


@pytest.mark.parametrize("name", ["label_studio", "x_anylabeling", "absolute"])
def test_paths_of_windows(shared_case: Callable[[str], Path], name: str) -> None:
    case = shared_case("17")
    index = wr.scan(case / "img", workers=0, progress=False)
    boxes = wr.read_boxes(case / f"{name}.json", index)
    assert boxes.table["image"].to_pylist() == [index[0].id]


def test_of_files_of_one_name_the_folders_decide(make_index: Make) -> None:
    index = make_index({"s1/a/1.dcm": {}, "s1/b/1.dcm": {}, "s2/a/1.dcm": {}})
    assert matches(["C:\\data\\s1\\b\\1.png", "x/s2/a/1.png"], index) == [
        "s1/b/1.dcm",
        "s2/a/1.dcm",
    ]
    for key in ("1", "a/1.png", "c/1.png"):
        with pytest.raises(UsageError, match="matches"):
            matches([key], index)


def test_a_backslash_in_a_name_is_exact_first(make_index: Make) -> None:
    index = make_index({"a\\1.dcm": {}, "1.dcm": {}})
    assert matches(["a\\1.dcm", "1.dcm"], index) == ["a\\1.dcm", "1.dcm"]


def test_slices_by_study_series_and_number(make_index: Make) -> None:
    series = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3"}
    index = make_index({f"{n}x.dcm": {**series, "InstanceNumber": n} for n in (1, 2)})
    assert matches(["1.2/1.2.3/2", "1.2/1.2.3/1"], index) == ["2x.dcm", "1x.dcm"]


def test_ids_that_pandas_wrote_as_floats(make_index: Make) -> None:
    index = make_index({"7.dcm": {}, "12.dcm": {}})
    assert matches(["7.0", "12"], index) == ["7.dcm", "12.dcm"]


def test_names() -> None:
    assert stem("a/b.c/1.2.840.10008") == "1.2.840.10008"
    assert stem("a/1.2.840.dcm") == "1.2.840"
    assert without_extension("a/x.DICOM") == "a/x"

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wetread.fastai import dcmread, get_dicom_files
from wetread.fastai.files import FileList
from wetread.testing.files import dicom_file, picture


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b/2.DCM",
        "b/1.dicom",
        "a/x/3.dcm",
        "0.dcm",
        "note.txt",
        ".hidden/4.dcm",
        "a/.5.dcm",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dicom_file(picture()))
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    return tmp_path


def names(found: list[Path], below: Path) -> list[str]:
    return [path.relative_to(below).as_posix() for path in found]


def test_files_are_sorted_and_each_is_found_once(tree: Path) -> None:
    found = get_dicom_files(tree)
    assert names(found, tree) == ["0.dcm", "a/x/3.dcm", "b/1.dicom", "b/2.DCM"]
    assert type(found).__name__ in ("L", "FileList")
    assert found[[0, 2]][1] == tree / "b/1.dicom"
    assert names(get_dicom_files(str(tree), recurse=False), tree) == ["0.dcm"]


def test_folders_are_those_directly_in_it(tree: Path) -> None:
    assert names(get_dicom_files(tree, folders="b"), tree) == ["b/1.dicom", "b/2.DCM"]
    assert names(get_dicom_files(tree, folders=["a", "."]), tree) == ["0.dcm", "a/x/3.dcm"]


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert len(get_dicom_files(tmp_path / "none")) == 0
    with pytest.raises(FileNotFoundError):
        get_dicom_files(tmp_path / "none", recurse=False)


def test_a_file_list_is_a_list_that_takes_places_and_masks() -> None:
    files = FileList("abcd")
    assert files[np.array([True, False, False, True])] == ["a", "d"]
    assert files[np.array([3, 0])] == ["d", "a"]
    assert files[-1] == "d"
    assert files.filter(lambda f: f > "b") == ["c", "d"]
    assert isinstance(files[1:], FileList)
    assert repr(FileList(range(11))).endswith("'9', ...]")


def test_dcmread_takes_paths_and_streams(tree: Path) -> None:
    assert dcmread(tree / "0.dcm").Rows == 8
    assert dcmread(str(tree / "0.dcm")).Rows == 8
    assert dcmread(BytesIO((tree / "0.dcm").read_bytes())).Rows == 8
    assert (tree / "0.dcm").dcmread().filename == str(tree / "0.dcm")


def test_png16read(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype="u2").reshape(3, 4) * 5000
    Image.fromarray(pixels).save(tmp_path / "16.png")
    assert np.array_equal((tmp_path / "16.png").png16read(), pixels)

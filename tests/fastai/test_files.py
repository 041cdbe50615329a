from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import wetread as wr
from wetread.fastai import dcmread, get_dicom_files
from wetread.fastai.files import FileList
from wetread.testing.dicom import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    changed,
    dicom_file,
    element,
    picture,
)


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


def test_files_are_sorted_and_unique(tree: Path) -> None:
    found = get_dicom_files(tree)
    assert names(found, tree) == ["0.dcm", "a/x/3.dcm", "b/1.dicom", "b/2.DCM"]
    assert type(found).__name__ in ("L", "FileList")
    assert found[[0, 2]][1] == tree / "b/1.dicom"
    assert names(get_dicom_files(str(tree), recurse=False), tree) == ["0.dcm"]


def test_folders_selects_subfolders(tree: Path) -> None:
    assert names(get_dicom_files(tree, folders="b"), tree) == ["b/1.dicom", "b/2.DCM"]
    assert names(get_dicom_files(tree, folders=["a", "."]), tree) == ["0.dcm", "a/x/3.dcm"]


def test_missing_folder_has_no_files(tmp_path: Path) -> None:
    assert len(get_dicom_files(tmp_path / "none")) == 0
    with pytest.raises(FileNotFoundError):
        get_dicom_files(tmp_path / "none", recurse=False)


def test_file_list_indexing() -> None:
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


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("preamble", [None, bytes(128)])
def test_a_file_without_file_meta_is_read_as_a_scan_reads_it(
    tmp_path: Path, syntax: str, preamble: bytes | None
) -> None:
    values = np.arange(64, dtype="<u2").reshape(8, 8)
    elements = changed(picture(), element("PixelData", values.tobytes(), vr="OW"))
    data = dicom_file(elements, syntax, preamble=preamble, meta=[])
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    for dataset in (path.dcmread(), dcmread(BytesIO(data))):
        assert dataset.file_meta.TransferSyntaxUID == syntax
        assert np.array_equal(dataset.pixels, values)
        assert np.array_equal(dataset.pixel_array, values)


@pytest.mark.filterwarnings("ignore")  # pydicom's own
def test_tutorial_lines_on_the_files_of_pydicom(
    real_files: list[Path],
) -> None:
    """`items[3].dcmread()` of every file that a scan can read."""
    index = wr.scan(real_files, progress=False).where("read_status IN ('ok', 'repaired')")
    alone = [image for image in index if not image.row["member"]]
    assert any(f["code"] == "NO_META" for image in alone for f in image.row["problems"])
    for image in alone:
        dataset = Path(index.root, image.path).dcmread()
        assert dataset.get("Rows") == image.header.get("Rows"), image.path

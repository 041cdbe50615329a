from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from wetread.boxes.formats import list_files, read_text, write_folder
from wetread.common.files import written
from wetread.errors import StorageError, UsageError


def test_text_with_byte_order_mark_or_gzip(tmp_path: Path) -> None:
    for text in ("ß\r\n".encode(), b"\xef\xbb\xbf" + "ß\r\n".encode(), "ß\r\n".encode("utf-16")):
        for data in (text, gzip.compress(text)):
            (tmp_path / "a").write_bytes(data)
            assert read_text(tmp_path / "a") == "ß\r\n"


@pytest.mark.parametrize("data", [b"\xff", b"\x1f\x8b", gzip.compress(b"abc" * 99, mtime=0)[:-9]])
def test_invalid_text(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(UsageError, match="is not a text file in UTF-8"):
        read_text(tmp_path / "a")


def test_files_are_written_atomically(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before")
    with pytest.raises(ZeroDivisionError), written(tmp_path / "a") as file:
        file.write(b"half" * (1 // 0))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]
    with pytest.raises(StorageError), written(tmp_path / "no" / "a"):
        pass


def test_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        write_folder(tmp_path / "a", {"b": ""})


def test_list_files(tmp_path: Path) -> None:
    for name in ("p/1.2.3.txt", "q/b.TXT", "q/c.xml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert list(list_files(tmp_path, ".txt")) == ["1.2.3", "b"]
    (tmp_path / "p" / "b.txt").write_text("")
    assert list(list_files(tmp_path, ".txt")) == ["p/1.2.3", "p/b", "q/b"]
    with pytest.raises(UsageError, match=r"no \.dcm file"):
        list_files(tmp_path, ".dcm")

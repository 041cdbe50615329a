"""Names of file types, of files that the libraries of these types write."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from PIL import Image

import wetread as wr
from wetread.headers.core.constants import NAMED
from wetread.headers.magic import name_file_type


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (9, 7)).save(file, kind)
    return file.getvalue()


def nifti() -> bytes:
    """The header of NIfTI-1: its size first, its magic last."""
    return (348).to_bytes(4, "little") + bytes(340) + b"n+1\0" + bytes(400)


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def zipped() -> bytes:
    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.txt", "a")

    return written(write)


def tarred() -> bytes:
    def write(file: io.BytesIO) -> None:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("a.txt"))

    return written(write)


def database(folder: Path) -> bytes:
    with sqlite3.connect(folder / "a.db") as connection:
        connection.execute("CREATE TABLE a (b)")
    connection.close()
    return (folder / "a.db").read_bytes()


TABLE = pa.table({"a": [1]})
FILES = [
    (picture("PNG"), "PNG picture"),
    (picture("JPEG"), "JPEG picture"),
    (picture("GIF"), "GIF picture"),
    (picture("BMP"), "BMP picture"),
    (picture("TIFF"), "TIFF picture"),
    (picture("WEBP"), "WebP picture"),
    (picture("JPEG2000"), "JPEG 2000 picture"),
    (nifti(), "NIfTI volume"),
    (gzip.compress(nifti()), "gzip file of a NIfTI volume"),
    (gzip.compress(b"II*\0" + bytes(124) + b"DICM\2\0"), "gzip file of a DICOM file"),
    (gzip.compress(bytes(range(128, 256))), "gzip file"),
    (gzip.compress(b"a,b\n1,2\n"), "gzip file of a text file"),
    (b"\x1f\x8b damaged", "gzip file"),
    (bz2.compress(b"a"), "bzip2 file"),
    (lzma.compress(b"a"), "xz file"),
    (zipped(), "zip archive or Office document"),
    (tarred(), "tar archive"),
    (written(lambda file: np.save(file, np.zeros(3))), "NumPy array"),
    (written(lambda file: pq.write_table(TABLE, file)), "Parquet table"),
    (written(lambda file: pyarrow.feather.write_feather(TABLE, file)), "Arrow table"),
    (Path(sys.executable).resolve().read_bytes()[:NAMED], "Linux program"),
    (b"%PDF-1.7\n%\xe2\xe3", "PDF document"),
    (b"\n <!doctype HTML><title>404</title>", "HTML page"),
    ("﻿<html>".encode(), "HTML page"),
    (b'<?xml version="1.0"?><a/>', "XML file"),
    (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG picture"),
    (b"%!PS-Adobe-3.0", "PostScript document"),
    (json.dumps({"a": 1}).encode(), "JSON file"),
    (json.dumps([{"a": 1}], indent=1).encode(), "JSON file"),
    (b"BMI,Age\n22,61\n", "text file"),
    ("Größe,Alter\n".encode() * 200, "text file"),
    ("Rows,Columns\r\n".encode("utf-16"), "text file"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "Git LFS pointer"),
    (bytes(2000), "file that begins with zeros"),
    (b"\x05\x82\x91 nothing known", None),
    (b"", None),
]


@pytest.mark.parametrize(("data", "name"), FILES, ids=[str(name) for _, name in FILES])
def test_types(data: bytes, name: str | None) -> None:
    found = name_file_type(data[:NAMED])
    assert found == name or (name and str(found).startswith(f"{name}:"))


def test_text_cut_within_a_character() -> None:
    for length in range(1, 12):
        assert name_file_type("ÄäÖöÜü".encode()[:length]) in ("text file", None)[: 1 + (length < 2)]


def test_a_database(tmp_path: Path) -> None:
    assert name_file_type(database(tmp_path)) == "SQLite database"


def test_a_scan_says_what_a_file_is(tmp_path: Path) -> None:
    for number, (data, _) in enumerate(FILES):
        if not zipfile.is_zipfile(io.BytesIO(data)) and data[257:262] != b"ustar":
            (tmp_path / f"{number:02}.dcm").write_bytes(data)
    index = wr.scan(tmp_path, workers=0, progress=False)
    assert set(index.to_pandas()["read_status"]) == {"not_dicom"}
    for row in index.table.to_pylist():
        (problem,) = row["problems"]
        name = FILES[int(row["path"][:2])][1]
        if problem["code"] == "NOT_DICOM":
            assert name is None or problem["text"].startswith(name)
            assert name is not None or "starts with 05 82" in problem["text"]
    with pytest.raises(wr.errors.WetreadError, match="PNG picture"):
        _ = wr.read(tmp_path / "00.dcm").header

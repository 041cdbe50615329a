"""Damage of an index in a bucket and of its copy, and deleted objects."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import wetread as wr
from wetread.errors import IndexFormatError, NotFoundError
from wetread.testing.dicom import dicom_file, picture

BUCKET = "mirror"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.dcm").write_bytes(dicom_file(picture(number)))
    return tmp_path / "in"


def test_damage_of_an_index_in_a_bucket(
    s3: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the bucket and in a copy of it; what is missing in a copy is fetched."""
    url = f"s3://{BUCKET}/damaged.index"
    wr.scan(folder, url, workers=0, progress=False)
    prefix = "damaged.index/"
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    for number, key in enumerate(one["Key"].removeprefix(prefix) for one in listed):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"good {number}"))
        table = wr.Index.open(url).table
        [copy] = (path for path in Path(os.environ["XDG_CACHE_HOME"]).rglob(Path(key).name))
        whole = copy.read_bytes()
        at = whole.index(b"wetread") if key.endswith(".json") else len(whole) // 2
        flipped = bytearray(whole)
        flipped[at] ^= 1
        copy.write_bytes(flipped)
        with pytest.raises(IndexFormatError, match=rf"{copy.name}.* copy of {url}: delete "):
            wr.Index.open(url)
        copy.unlink()
        assert wr.Index.open(url).table.equals(table)
        s3.put_object(Bucket=BUCKET, Key=prefix + key, Body=bytes(flipped))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"bad {number}"))
        with pytest.raises(IndexFormatError, match=copy.name):
            wr.Index.open(url)
        s3.put_object(Bucket=BUCKET, Key=prefix + key, Body=whole)


def test_files_that_left_the_bucket(s3: Any, folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("*.dcm"):
        s3.put_object(Bucket=BUCKET, Key=f"here/{path.name}", Body=path.read_bytes())
    wr.scan(f"s3://{BUCKET}/here", tmp_path / "to", workers=0, progress=False)
    gone = wr.Index.open(tmp_path / "to", root=f"s3://{BUCKET}/gone")
    with pytest.raises(NotFoundError, match=r"none of the .* is in s3://.*/gone.*root=FOLDER"):
        gone.mosaic(4)
    assert wr.Index.open(tmp_path / "to", root=folder)[0].header
    assert wr.Index.open(tmp_path / "to").mosaic(1)

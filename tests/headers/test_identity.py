"""Ids of rows and hashes of headers, against hashlib and xxhash."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

import wetread as wr
from wetread.headers.identity import identify
from wetread.testing.dicom import changed, dicom_file, element, picture

NAMES = st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=40)), min_size=1, max_size=9)


@given(names=NAMES)
def test_ids_are_blake2b_of_path_and_member(names: list[tuple[bytes, bytes]]) -> None:
    paths, members = (pa.array(column, pa.binary()) for column in zip(*names, strict=True))
    ids = identify(pa.table({"path": paths, "member": members}))["id"].to_pylist()
    assert ids == [blake2b(p + b"\0" + m, digest_size=8).hexdigest() for p, m in names]


@pytest.mark.parametrize("size", [*range(0, 80, 2), 9000])
def test_the_header_hash_is_the_upper_half_of_xxh64(size: int, tmp_path: Path) -> None:
    data = dicom_file(changed(picture(), element("ImageComments", "x" * size)))
    (tmp_path / "a.dcm").write_bytes(data)
    row = wr.scan(tmp_path, workers=0, progress=False)[0].row
    hashed = data[: min(row["pixel_offset"], 8192)]
    assert row["header_hash"] == xxhash.xxh64_intdigest(hashed) >> 32

"""Deflated files as uncompressed ones."""

from __future__ import annotations

import zlib
from io import BytesIO

import pydicom
import pytest

from wetread.headers.deflated import inflate
from wetread.testing import dicom_file, element, picture
from wetread.testing.dicom import DEFLATED, EXPLICIT

PLAIN = [*picture()[:-1], element("PixelData", bytes(100_000), vr="OW")]


@pytest.mark.parametrize("preamble", [bytes(128), None])
def test_it_reads_as_the_uncompressed_file_does(preamble: bytes | None) -> None:
    file, complete = inflate(BytesIO(dicom_file(PLAIN, DEFLATED, preamble=preamble)), 1 << 20)
    data_set = pydicom.dcmread(file, force=True)
    expected = pydicom.dcmread(BytesIO(dicom_file(PLAIN)))
    assert complete
    assert data_set == expected
    assert data_set.file_meta.TransferSyntaxUID == EXPLICIT


def test_it_grows_to_the_limit() -> None:
    file, complete = inflate(BytesIO(dicom_file(PLAIN, DEFLATED)), 50_000)
    assert not complete
    assert 50_000 < len(file.read()) < 5_000_000


def test_other_files_come_back_as_they_are() -> None:
    for data in (dicom_file(PLAIN), b"", b"DICM" * 40, bytes(5000)):
        file = BytesIO(data)
        assert inflate(file, 1000) == (file, True)
        assert file.tell() == 0


def test_damage_is_zlib_s_to_say() -> None:
    data = bytearray(dicom_file(PLAIN, DEFLATED))
    data[-300:-200] = b"\xff" * 100
    with pytest.raises(zlib.error):
        inflate(BytesIO(data), 1 << 20)

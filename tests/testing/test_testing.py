"""wetread.testing: pydicom reads its files; damage and mutants are deterministic."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest

from wetread.errors import PROBLEMS
from wetread.testing import (
    Element,
    damages,
    dicom_file,
    element,
    mutant,
    pack,
    picture,
    radiograph_file,
)
from wetread.testing.dicom import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, changed
from wetread.testing.mutate import header_end

STATUSES = {"ok", "repaired", "partial", "not_dicom", "refused", "no_access", "timeout", "crashed"}
CLASSES = {*range(1, 19), 28, 31, 33, 34, 36, 37, 39}  # 38 is `killed_write`


def read(data: bytes, **how: bool) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data), **how)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_pydicom_reads_packed_files(syntax: str, undefined: bool) -> None:
    code = [element("CodeValue", "A"), element("Rows", 5)]
    numbers = [
        element("FrameIncrementPointer", 0x00181063),
        element("RegionLocationMinX0", 7),
        element("FileOffsetInContainer", 2**40),
        element("SelectorSVValue", [-(2**40), 1]),
        element("SelectorFDValue", [0.1, -2.0]),
        element("SelectorFLValue", 0.5),
    ]
    elements = changed(picture(), element("ProcedureCodeSequence", [code, []]), *numbers)
    data_set = read(dicom_file(elements, syntax, undefined=undefined))
    assert data_set.file_meta.TransferSyntaxUID == syntax
    assert [e.tag for e in data_set] == [e.tag for e in elements]
    assert data_set.ProcedureCodeSequence[0].Rows == 5
    assert len(data_set.ProcedureCodeSequence) == 2
    assert data_set.WindowCenter == 2048
    assert data_set.FileOffsetInContainer == 2**40
    assert data_set.SelectorSVValue == [-(2**40), 1]
    assert data_set.SelectorFDValue == [0.1, -2.0]
    assert data_set.FrameIncrementPointer == 0x00181063


def test_pixels_follow_the_order_of_bytes() -> None:
    values = np.arange(64, dtype="<u2").reshape(8, 8)
    elements = changed(picture(), element("PixelData", values.tobytes(), vr="OW"))
    for syntax in (EXPLICIT, BIG_ENDIAN):
        assert np.array_equal(read(dicom_file(elements, syntax)).pixel_array, values)


def test_preamble_and_meta_may_be_absent() -> None:
    bare = dicom_file(picture(), IMPLICIT, preamble=None, meta=[])
    assert bare == pack(picture(), IMPLICIT)
    assert read(bare, force=True).Rows == 8
    assert dicom_file(picture(), preamble=None).startswith(b"\x02\0\0\0UL")


@pytest.mark.parametrize("elements", [11, 17])
def test_a_radiograph_is_in_the_form_of_the_article(elements: int) -> None:
    data = radiograph_file(7, elements, rows=100, columns=90)
    data_set = read(data)
    assert len(data_set) == elements
    assert "SOPInstanceUID" not in data_set
    assert data_set.file_meta.MediaStorageSOPInstanceUID == "2.25.7"
    assert data_set.file_meta.TransferSyntaxUID.name.startswith("JPEG 2000")
    assert data_set["PixelData"].is_undefined_length
    assert data.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")
    assert data_set.PixelData[16:20] == b"\xff\x4f\xff\x51"  # SOC, SIZ, after the offset table
    with pytest.raises(ValueError, match="11 or 17"):
        radiograph_file(elements=12)


def test_an_unknown_keyword_is_an_error() -> None:
    with pytest.raises(ValueError, match="Colour"):
        element("Colour")


def test_every_class_is_registered_with_its_meaning() -> None:
    known = list(damages())
    assert {d.number for d in known} == CLASSES
    assert [d.number for d in known] == sorted(d.number for d in known)
    for damage in known:
        assert damage.meaning.startswith(f"Class {damage.number}: "), damage.name


def test_damage_is_deterministic(tmp_path: Path) -> None:
    for damage in damages():
        if damage.name in ("pixels_over_4_gib", "no_permission"):
            continue
        first, second = tmp_path / "1" / damage.name, tmp_path / "2" / damage.name
        assert damage.make(first) == damage.make(second)
        for path in first.iterdir():
            if path.is_file():
                assert path.read_bytes() == (second / path.name).read_bytes(), path


def test_expected_codes_are_in_the_contract(tmp_path: Path) -> None:
    for damage in damages():
        expected = damage.make(tmp_path / damage.name)
        assert len({(e.path, e.member) for e in expected}) == len(expected)
        for e in expected:
            assert e.status in STATUSES
            assert e.codes | e.also <= PROBLEMS.keys()
    (tmp_path / "no_permission" / "folder").chmod(0o700)


def test_mutants_differ_by_seed_and_only_before_the_pixels() -> None:
    data = dicom_file(picture())
    mutants = [mutant(data, seed) for seed in range(300)]
    assert mutants == [mutant(data, seed) for seed in range(300)]
    assert len(set(mutants)) > 250
    assert header_end(data) == len(data) - 128
    full = [m for m in mutants if m.endswith(data[-100:])]
    assert len(full) > 200  # the others are truncated


@pytest.mark.parametrize("data", [b"", b"\0", b"DICM", bytes(132)])
def test_any_bytes_can_be_damaged(data: bytes) -> None:
    for seed in range(100):
        mutant(data, seed)


def test_elements_take_bytes_unchanged() -> None:
    odd = pack([Element(0x00080080, "LO", b"abc")])
    assert odd == b"\x08\0\x80\0LO\x03\0abc"

"""What the scan says of pictures it does not decode: `decodable`, BURNED_IN_RISK."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import wetread as wr
from wetread.errors import DecodeError
from wetread.headers.encodings import GE_PRIVATE, KINDS, NATIVE
from wetread.testing import dicom_file, element, picture
from wetread.testing.dicom import DEFLATED, EXPLICIT, Element, changed

SC, US, CR = (f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("7", "6.1", "1"))


def scan_one(folder: Path, syntax: str = EXPLICIT, **values: str) -> dict:
    """The row of a radiograph with other values of elements."""
    elements = {e.tag: e for e in [*picture(), *(element(k, v) for k, v in values.items())]}
    (folder / "a.dcm").write_bytes(dicom_file([elements[tag] for tag in sorted(elements)], syntax))
    return wr.scan(folder, workers=0, progress=False)[0].row


def codes(row: dict) -> set[str]:
    return {problem["code"] for problem in row["problems"]}


def test_decodable_is_right_for_real_files(tmp_path: Path, real_files: list[Path]) -> None:
    for number, path in enumerate(real_files):
        if path.stat().st_size < 1 << 20:
            shutil.copy(path, tmp_path / f"{number:04}")
    rows = wr.scan(tmp_path, progress=False).measure(progress=False).to_pandas()
    assert rows["decodable"].isna().equals(rows["pixel_length"].isna())
    counts = rows.groupby(["decodable", "px_status"]).size()
    assert ("no", "ok") not in counts
    damaged = rows[(rows["decodable"] == "yes") & (rows["px_status"] != "ok")]
    assert len(damaged) <= 5, damaged["px_problems"].to_list()
    assert counts["yes", "ok"] > 130


@pytest.mark.parametrize(
    ("syntax", "word"),
    [("1.2.840.10008.1.2.4.102", "no"), ("1.2.840.10008.1.2.4.90", "yes"), ("1.2.3.4", "no")],
)
def test_decodable_by_transfer_syntax(tmp_path: Path, syntax: str, word: str) -> None:
    assert scan_one(tmp_path, syntax)["decodable"] == word


@pytest.mark.parametrize(
    ("wrong", "syntax"),
    [
        (element("Rows", 9), EXPLICIT),  # the frame is truncated
        (element("Rows", 65535), EXPLICIT),
        (Element(0x00280103, "US", b"\1"), EXPLICIT),
        (Element(0x00280103, "US", b"\1"), DEFLATED),
        (Element(0x00280101, "OB", b"\1\2\3"), EXPLICIT),
        (Element(0x00280002, "LO", b"three"), DEFLATED),
    ],
)
def test_undecodable_by_size_or_by_an_unreadable_element(
    tmp_path: Path, wrong: Element, syntax: str
) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_file(changed(picture(), wrong), syntax))
    image = wr.scan(path, workers=0, progress=False)[0]
    assert image.row["decodable"] == "no"
    with pytest.raises(DecodeError):
        image.pixels()


def test_every_standard_syntax_that_decodes_is_known(tmp_path: Path) -> None:
    """JPEG XL and deflated frames are newer than pydicom's dictionary."""
    for syntax in KINDS.keys() - {GE_PRIVATE}:
        pixels = bytes(128) if syntax in NATIVE else [b"", b"frame "]
        of_kind = [*picture()[:-1], element("PixelData", pixels, vr="OB")]
        (tmp_path / f"{syntax}.dcm").write_bytes(dicom_file(of_kind, syntax))
    rows = wr.scan(tmp_path, workers=0, progress=False).table.to_pylist()
    found = {row["path"]: row["problems"] for row in rows if row["problems"]}
    assert not found
    assert len(rows) == len(KINDS) - 1


@pytest.mark.parametrize(
    ("uid", "said", "risk"),
    [
        (CR, None, False),
        (CR, "YES", True),
        (CR, "NO", False),
        (SC, None, True),
        (SC, "NO", False),
        (US, None, True),
        (US, "YES", True),
    ],
)
def test_burned_in_risk(tmp_path: Path, uid: str, said: str | None, risk: bool) -> None:
    values = {"SOPClassUID": uid, **({"BurnedInAnnotation": said} if said else {})}
    assert ("BURNED_IN_RISK" in codes(scan_one(tmp_path, **values))) == risk

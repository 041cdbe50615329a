"""Every value of every real file, held to pydicom's, whichever walk read it."""

from __future__ import annotations

import datetime
import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pydicom.config
import pydicom.data
import pytest
from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR, repeater_has_tag
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.valuerep import DT, TM

import wetread as wr
from wetread.settings import Settings

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
USUAL, SMALL = Settings(), Settings(windows=(64, 64), part_files=7)
LENGTHS = {"OB", "OW", "OF", "OD", "OL", "OV", "UN"}
UNSPLIT = {"LT", "ST", "UR", "UT"}
NUMBERS = {"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "DS", "IS"}


def folders() -> list[Path]:
    """pydicom's own files (character sets, palettes), pydicom-data's, the conformance set."""
    import data_store

    known = [
        Path(pydicom.data.__file__).parent,
        Path(data_store.__file__).parent / "data",
        SHARED / "conformance",
    ]
    return [folder for folder in known if folder.is_dir()]


@contextmanager
def lenient() -> Iterator[None]:
    """pydicom reads what is there and keeps its opinions."""
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def rows_of(folder: Path, settings: Settings) -> dict[str, dict[str, Any]]:
    index = wr.scan(
        folder, workers=0, progress=False, private=True, sequences=True, settings=settings
    )
    return {row["path"]: row for row in index.table.to_pylist() if not row["member"]}


@pytest.mark.parametrize("settings", [USUAL, SMALL], ids=["usual", "small windows"])
def test_values_are_those_of_pydicom(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: Counter[str] = Counter()
    wrong = []
    for folder in folders():
        for path, row in rows_of(folder, settings).items():
            with lenient():
                data_set = read(folder / path, row, seen)
                if data_set is not None:
                    wrong += compare(f"{folder.name}/{path}", row, data_set, seen)
    with capsys.disabled():
        print("\n  pydicom's values:", ", ".join(f"{n} {what}" for what, n in sorted(seen.items())))
    assert seen["files"] >= 250
    assert not wrong, "\n".join(wrong[:50])


def test_both_walks_give_equal_rows(capsys: pytest.CaptureFixture[str]) -> None:
    equal = 0
    for folder in folders():
        in_step, one_by_one = rows_of(folder, USUAL), rows_of(folder, SMALL)
        assert in_step.keys() == one_by_one.keys()
        for path, row in in_step.items():
            differing = [k for k in row if not same(row[k], one_by_one[path].get(k))]
            assert not differing, (path, {k: (row[k], one_by_one[path].get(k)) for k in differing})
            equal += 1
    with capsys.disabled():
        print(f"\n  both walks: {equal} equal rows")


def read(path: Path, row: dict[str, Any], seen: Counter[str]) -> pydicom.Dataset | None:
    """What pydicom reads, if it can; what we call no DICOM it must refuse."""
    if row["read_status"] == "not_dicom":
        seen["files that are not DICOM"] += 1
        with pytest.raises(InvalidDicomError):
            pydicom.dcmread(path)
        return None
    try:
        data_set = pydicom.dcmread(path, force=True, stop_before_pixels=True)
    except Exception:  # noqa: BLE001  (whatever pydicom cannot read)
        seen["files pydicom cannot read"] += 1
        return None
    seen["files"] += 1
    return data_set


def compare(
    path: str, row: dict[str, Any], data_set: pydicom.Dataset, seen: Counter[str]
) -> list[str]:
    """What differs between a row and a data set."""
    wrong = []
    exempt = {f["tag"] for f in row["problems"] or [] if f["code"] == "CHARSET"}
    charset = data_set.original_character_set
    for tag, raw in raw_elements(data_set):
        if f"{tag >> 16:04x},{tag & 0xFFFF:04x}" in exempt:
            seen["texts in no known character set"] += 1
            continue
        name, vr = column_of(tag, raw, data_set)
        kept = {i["keyword"] for i in row["invalid"] or []}
        try:
            expected = value_of(raw, vr, charset)
        except UnparsableError:
            seen["values that do not parse"] += 1
            if name not in kept or not isinstance(row.get(name), list | None):
                wrong.append(f"{path}: {name} does not parse: {row.get(name)!r}, kept {kept}")
            continue
        if r"\x1b" in repr(expected):  # pydicom 3.0 leaves escapes of GB 2312 in the text
            seen["texts whose escapes pydicom does not follow"] += 1
            continue
        seen["elements"] += 1
        if not same(row.get(name), expected):
            wrong.append(f"{path}: {name} ({raw.VR}) is {row.get(name)!r}, pydicom {expected!r}")
        if vr in ("TM", "DT") and isinstance(row.get(name), str):
            seen["times"] += 1
            ours, theirs = row[f"{name}_parsed"], time_of(row[name], vr)
            if ours != theirs:
                wrong.append(f"{path}: {name}_parsed is {ours}, pydicom {theirs}")
    wrong += compare_private(path, row, data_set, seen)
    wrong += compare_sequences(path, row, data_set, seen)
    return wrong


def raw_elements(data_set: pydicom.Dataset) -> Iterator[tuple[int, RawDataElement]]:
    """Top-level public elements before Pixel Data but for sequences and group lengths."""
    parts = [getattr(data_set, "file_meta", None) or pydicom.Dataset(), data_set]
    for part in parts:
        for tag in sorted(part.keys()):
            raw = part.get_item(tag)
            if tag.is_private or tag.element == 0 or tag >= 0x7FE00000:
                continue
            if raw.VR != "SQ" and not (dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"):
                yield int(tag), raw


class UnparsableError(Exception):
    """pydicom cannot make a value of these bytes either, or only one that is no number or date."""


def column_of(tag: int, raw: RawDataElement, data_set: pydicom.Dataset) -> tuple[str, str]:
    """The column's name and the VR its bytes have."""
    if not (dictionary_has_tag(tag) or repeater_has_tag(tag)) or not dictionary_keyword(tag):
        vr = raw.VR or "UN"
        name = f"x_{tag >> 16:04x}_{tag & 0xFFFF:04x}"
        return (f"{name}_length" if vr in LENGTHS | NUMBERS else name), vr
    name, vrs = dictionary_keyword(tag), dictionary_VR(tag).split(" or ")
    if not dictionary_has_tag(tag):
        name += f"_{tag >> 16:04x}" if tag >> 16 >= 0x5000 else f"_{tag & 0xFFFF:04x}"
    if LENGTHS & set(vrs):
        return f"{name}_length", "OB"
    if raw.VR in vrs:
        return name, raw.VR
    signed = len(vrs) > 1 and data_set.get("PixelRepresentation") == 1
    return name, vrs[1] if signed else vrs[0]


def value_of(raw: RawDataElement, vr: str, charset: Any) -> Any:
    """pydicom's value of the bytes as the column has it."""
    data = raw.value
    if vr in LENGTHS:
        return len(data or b"")
    if not data:
        return None
    if not isinstance(data, bytes):  # converted while the file was read
        value = data
    else:
        try:
            value = convert_raw_data_element(raw._replace(VR=vr), encoding=charset).value
        except Exception as error:
            raise UnparsableError from error
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    return [convert(v, vr) for v in values]


def convert(value: Any, vr: str) -> Any:
    if value is None or value == "":
        return None
    if vr == "AT":
        return f"{value >> 16:04x},{value & 0xFFFF:04x}"
    if vr == "DA":
        return date_of(str(value))
    if vr == "IS":
        try:
            number = float(value)
        except ValueError as error:
            raise UnparsableError from error
        if number != int(number) or abs(number) >= 2**63:
            raise UnparsableError
        return int(value)
    if vr in NUMBERS:
        try:
            return float(value) if vr in ("DS", "FL", "FD") else int(value)
        except ValueError as error:
            raise UnparsableError from error
    return str(value).rstrip(" ")  # padding, which pydicom leaves to all values but the last


def date_of(text: str) -> datetime.date:
    found = re.fullmatch(r"(\d{4})(\.?)(\d\d)\2(\d\d)", text.strip(" \0"))
    try:
        assert found
        return datetime.date(int(found[1]), int(found[3]), int(found[4]))
    except (AssertionError, ValueError) as error:
        raise UnparsableError from error


def time_of(text: str, vr: str) -> datetime.time | datetime.datetime | None:
    """What pydicom makes of a TM or DT, without a time zone; None if it cannot."""
    try:
        if vr == "TM":
            return datetime.time.fromisoformat(str(TM(text).isoformat()))
        return datetime.datetime.fromisoformat(DT(text).replace(tzinfo=None).isoformat())
    except ValueError:
        return None


def same(ours: Any, theirs: Any) -> bool:
    """Equal by value: a list of nothing is null, several texts of one column are joined."""
    if isinstance(ours, float) and isinstance(theirs, float):
        return ours == theirs or (math.isnan(ours) and math.isnan(theirs))
    if isinstance(theirs, list) and not isinstance(ours, list):
        if isinstance(ours, str) or len(theirs) > 1:
            theirs = "\\".join(t or "" for t in theirs if t is None or isinstance(t, str))
        else:
            theirs = theirs[0] if theirs else None
    if isinstance(ours, list) and isinstance(theirs, list):
        ours, theirs = ours or [None], theirs or [None]
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in ours)
    return (ours or None) == (theirs or None)


def compare_private(
    path: str, row: dict[str, Any], data_set: pydicom.Dataset, seen: Counter[str]
) -> list[str]:
    """Private elements: tag, creator, VR and value as text, bytes as hex digits."""
    ours = {p["tag"]: p for p in row["private"] or []}
    wrong = []
    for tag in sorted(data_set.keys()):
        if not tag.is_private or tag.element == 0 or data_set.get_item(tag).VR == "SQ":
            continue
        try:
            element = data_set[tag]
        except Exception:  # noqa: BLE001  (whatever pydicom cannot convert)
            seen["private elements pydicom cannot convert"] += 1
            continue
        seen["private elements"] += 1
        said = ours.get(f"{tag.group:04x},{tag.element:04x}")
        # pydicom takes the group length for the creator of a creator
        creator = element.private_creator if tag.element >= 0x1000 else None
        expected = {"vr": str(element.VR), "creator": creator, "value": text_of(element)}
        if said is None or not same({k: said[k] for k in expected}, expected):
            wrong.append(f"{path}: private {tag} is {said}, pydicom {expected}")
    return wrong


def text_of(element: pydicom.DataElement) -> str | None:
    """A value as the column `private` has it."""
    if element.VR == "SQ" or element.value is None:
        return None
    if isinstance(element.value, bytes):
        return element.value.hex()[:4096]
    several = isinstance(element.value, MultiValue | list)
    return "\\".join(map(str, element.value)) if several else str(element.value)


def compare_sequences(
    path: str, row: dict[str, Any], data_set: pydicom.Dataset, seen: Counter[str]
) -> list[str]:
    """Public sequences as DICOM JSON (PS3.18 F), but for those that the end of the file cut."""
    if any(f["code"] == "TRUNCATED" for f in row["problems"] or []):
        return []
    ours = json.loads(row["sequences"] or "{}")
    wrong = []
    for tag in sorted(data_set.keys()):
        try:
            if tag.is_private or data_set[tag].VR != "SQ":
                continue
            alone = pydicom.Dataset()
            alone.add(data_set[tag])
            [(name, expected)] = alone.to_json_dict().items()
        except Exception:  # noqa: BLE001  (whatever pydicom cannot convert)
            seen["sequences pydicom cannot convert"] += 1
            continue
        seen["sequences"] += 1
        if not same(ours.get(name), json.loads(json.dumps(expected))):
            wrong.append(f"{path}: sequence {name} is {ours.get(name)}, pydicom {expected}")
    return wrong

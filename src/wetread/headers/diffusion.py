"""b-value of an MR image, from the standard's element or the manufacturer's (PS3.3 C.8.13.5.9)."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_GE_OFFSET = 1_000_000_000
"""Added by GE to the b-value of some sequences."""
_CSA_NAME = b"B_value".ljust(64, b"\0")
_CSA_ITEMS, _CSA_ITEM = 84, 16
"""Sizes of the head of an entry of Siemens' CSA header, and of the head of each of its items."""


@dataclass(frozen=True, slots=True)
class _Element:
    """Private element with the b-value."""

    manufacturer: str
    group: int
    element: int
    creator: str
    needs_creator: bool
    """False if the element is also read from block 10 without its creator."""


_ELEMENTS = (
    _Element("SIEMENS", 0x0019, 0x0C, "SIEMENS MR HEADER", True),
    _Element("SIEMENS", 0x0029, 0x10, "SIEMENS CSA HEADER", True),
    _Element("GE", 0x0043, 0x39, "GEMS_PARM_01", False),
    _Element("PHILIPS", 0x2001, 0x03, "Philips Imaging DD 001", False),
    _Element("UIH", 0x0065, 0x09, "Image Private Header", True),
)


def read_b_value(header: Dataset) -> float | None:
    """Diffusion b-value in s/mm2; None if absent or unreadable. Never raises.

    The standard's Diffusion b-value (0018,9087), else the private element of the manufacturer:
    Siemens (0019,xx0C) or the CSA header, GE (0043,xx39), Philips (2001,xx03), UIH (0065,xx09).

    >>> from pydicom.dataset import Dataset
    >>> header = Dataset()
    >>> header.Manufacturer = "GE MEDICAL SYSTEMS"
    >>> header.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x39, "IS", [1000001500])
    >>> read_b_value(header)
    1500.0
    """
    try:
        standard = _number(header.get("DiffusionBValue"))
        maker = str(header.get("Manufacturer", "")).upper()
    except Exception:  # noqa: BLE001 - pydicom converts on access and raises many types
        return None
    if standard is not None:
        return standard
    found = [_read(header, one) for one in _ELEMENTS if maker.startswith(one.manufacturer)]
    return next((value for value in found if value is not None), None)


def _read(header: Dataset, element: _Element) -> float | None:
    """b-value in a private element; None if absent or unreadable."""
    try:
        value = _number(_find(header, element))
    except Exception:  # noqa: BLE001 - as above
        return None
    return value % _GE_OFFSET if value and element.manufacturer == "GE" else value


def _find(header: Dataset, element: _Element) -> Any:
    """Value of a private element; None if absent."""
    try:
        return header.private_block(element.group, element.creator)[element.element].value
    except KeyError:
        if element.needs_creator:
            return None
    found = header.get((element.group, 0x1000 | element.element))
    return None if found is None else found.value


def _number(value: Any) -> float | None:
    """First number of a value; of bytes without VR, by their length or as text."""
    if isinstance(value, bytes):
        if _CSA_NAME in value:
            value = _read_csa(value)
        elif len(value) in (4, 8) and not value.strip().replace(b"\\", b"").isdigit():
            (value,) = struct.unpack("<f" if len(value) == 4 else "<d", value)
        else:
            value = value.decode("latin-1").split("\\")
    if hasattr(value, "__iter__") and not isinstance(value, str):
        value = next(iter(value), None)
    if value is None or not str(value).strip(" \0"):
        return None
    number = float(str(value).strip(" \0"))
    return number if math.isfinite(number) and number >= 0 else None


def _read_csa(data: bytes) -> str | None:
    """Text of the entry B_value of a CSA header; None without a value."""
    at = data.index(_CSA_NAME)
    (items,) = struct.unpack_from("<i", data, at + 76)
    at += _CSA_ITEMS
    if items < 1:
        return None
    (length,) = struct.unpack_from("<i", data, at + 4)
    text = data[at + _CSA_ITEM : at + _CSA_ITEM + max(length, 0)]
    return text.partition(b"\0")[0].decode("latin-1") or None

"""Data dictionary and UIDs of the standard (PS3.6), the tables of pydicom.

They are loaded without the package, whose import takes 0.15 s and which a scan does not need.
"""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from types import ModuleType
from typing import Any

Entry = tuple[str, str, str, str, str]
"""VR, VM, name, "Retired" or "", and keyword."""


def _load(name: str) -> Any:
    package = find_spec("pydicom")
    assert package is not None
    assert package.submodule_search_locations is not None
    folder = package.submodule_search_locations[0]
    module = ModuleType(name)
    SourceFileLoader(name, f"{folder}/{name}.py").exec_module(module)
    return module


_TAGS, _UIDS = _load("_dicom_dict"), _load("_uid_dict")
DICTIONARY: dict[int, Entry] = _TAGS.DicomDictionary
"""Entry of every tag."""
REPEATERS: dict[str, Entry] = _TAGS.RepeatersDictionary
"""Entries of repeating groups and elements; in their tags, x stands for any hexadecimal digit."""
UIDS: dict[str, Entry] = _UIDS.UID_dictionary
"""Name, type, information, "Retired" or "", and keyword of every UID."""
TAG_OF: dict[str, int] = {entry[4]: tag for tag, entry in DICTIONARY.items() if entry[4]}
"""Tag of every keyword."""
_ANY = str.maketrans("0123456789abcdefx", "ffffffffffffffff0")
_MASKS = [(m, int(m.replace("x", "0"), 16), int(m.lower().translate(_ANY), 16)) for m in REPEATERS]


def find_mask(tag: int) -> str | None:
    """Tag of a repeating group or element that stands for a tag, or None.

    >>> find_mask(0x60023000), find_mask(0x00280010)
    ('60xx3000', None)
    """
    return next((mask for mask, value, fixed in _MASKS if tag & fixed == value), None)

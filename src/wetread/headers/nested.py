"""Columns on request: private elements and sequences, converted by pydicom."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pyarrow as pa

from wetread.common.arrays import array
from wetread.headers.charset import pydicom_encodings
from wetread.headers.encodings import Encoding
from wetread.headers.schema import PRIVATE_TYPE, format_tag

_MOST_TEXT = 4096

Raw = tuple[int, str, bytes]
"""Tag, VR ("" if implicit) and bytes of a value (little endian, sequences as in the file)."""


def convert_private(raws: list[Raw], charset: str) -> list[dict[str, Any]]:
    """Private elements of one file with their creator, VR and value as text (PS3.5 7.8).

    Several values are joined by backslashes; bytes become hex digits, at most 4 KiB of text.
    """
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import Tag

    dataset = Dataset()
    dataset.set_original_encoding(False, True, list(pydicom_encodings(charset)))
    for tag, vr, value in raws:
        dataset._dict[Tag(tag)] = RawDataElement(
            Tag(tag), vr or None, len(value), value, 0, not vr, True
        )
    return [_describe(dataset, tag, vr) for tag, vr, _ in raws]


def _describe(dataset: Any, tag: int, vr: str) -> dict[str, Any]:
    creator = None
    block = (tag >> 8) & 0xFF
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if block >= 0x10:
                creator = str(dataset[(tag >> 16, block)].value)
        except Exception:  # noqa: BLE001 - pydicom raises many kinds for damaged values
            creator = None
        try:
            element = dataset[tag]
            vr, value = str(element.VR), _as_text(element.value)
        except Exception:  # noqa: BLE001
            value = None
    return {"tag": format_tag(tag), "creator": creator, "vr": vr, "value": value}


def _as_text(value: Any) -> str | None:
    """A value of pydicom as text."""
    from pydicom.multival import MultiValue
    from pydicom.sequence import Sequence

    if value is None or isinstance(value, Sequence):
        return None
    if isinstance(value, bytes):
        return value.hex()[:_MOST_TEXT]
    if isinstance(value, MultiValue | list):
        return "\\".join(str(v) for v in value)
    return str(value).encode("utf-8", "replace").decode()


def convert_sequences(
    raws: list[Raw], charset: str, encoding: Encoding
) -> tuple[str | None, list[int]]:
    """Sequences of one file as DICOM JSON (PS3.18 F), and the tags that do not convert."""
    model: dict[str, Any] = {}
    failed: list[int] = []
    for tag, vr, value in raws:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.update(_sequence_model(tag, vr, value, charset, encoding))
        except Exception:  # noqa: BLE001 - RecursionError is one of them
            failed.append(tag)
    return (json.dumps(model) if model else None), failed


def _sequence_model(
    tag: int, vr: str, value: bytes, charset: str, encoding: Encoding
) -> dict[str, Any]:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.values import convert_SQ

    implicit = vr == "UN" or encoding.implicit
    names = list(pydicom_encodings(charset))
    dataset = Dataset()
    dataset.add(DataElement(tag, "SQ", convert_SQ(value, implicit, not encoding.big, names)))
    model: dict[str, Any] = dataset.to_json_dict()
    return model


def private_array(values: list[list[dict[str, Any]]]) -> pa.Array:
    """The column `private`."""
    return array(values, PRIVATE_TYPE)

r"""Packing of valid DICOM files with `struct` alone, independent of the reader under test.

>>> data = dicom_file([element("Rows", 512), element("Columns", 256)])
>>> data[128:132], data[-20:-12]
(b'DICM', b'(\x00\x10\x00US\x02\x00')
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG2000 = "1.2.840.10008.1.2.4.90"

ITEM = b"\xfe\xff\x00\xe0"
ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
"""Tags of PS3.5 7.5, little endian; the two delimiters with their length of 0."""
UNDEFINED = 0xFFFFFFFF

_LONG = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


@dataclass(frozen=True, slots=True)
class Element:
    """Data element.

    `value` is packed by its VR: numbers and texts (one or a list), bytes unchanged, for SQ a list
    of items, which are lists of elements. A list of bytes is encapsulated Pixel Data, with the
    Basic Offset Table first.
    """

    tag: int
    vr: str
    value: Any = b""


def element(keyword: str, value: Any = b"", vr: str | None = None) -> Element:
    """Element by keyword, with the VR of the dictionary unless `vr` is given.

    >>> element("Rows", 512)
    Element(tag=2621456, vr='US', value=512)
    """
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"no DICOM keyword {keyword!r}")
    return Element(tag, vr or dictionary_VR(tag)[:2], value)


def changed(
    elements: Iterable[Element], *new: Element, without: Iterable[str] = ()
) -> list[Element]:
    """Add or replace the elements `new`, remove the keywords `without`; sorted by tag."""
    removed = {element(keyword).tag for keyword in without}
    by_tag = {e.tag: e for e in (*elements, *new) if e.tag not in removed}
    return [by_tag[tag] for tag in sorted(by_tag)]


def pack(elements: Iterable[Element], syntax: str = EXPLICIT, *, undefined: bool = False) -> bytes:
    """Pack elements in a transfer syntax, not deflated.

    `undefined`: sequences and items have undefined length and end with delimiters.
    """
    return b"".join(_pack_element(e, syntax, undefined) for e in elements)


def dicom_file(
    elements: Iterable[Element],
    syntax: str = EXPLICIT,
    *,
    preamble: bytes | None = bytes(128),
    meta: Sequence[Element] | None = None,
    undefined: bool = False,
) -> bytes:
    """Pack a DICOM file (PS3.10 7.1).

    Args:
        elements: data set, in tag order.
        syntax: Transfer Syntax UID; unknown ones are written as explicit little endian.
        preamble: 128 bytes; None omits `DICM` as well.
        meta: elements of the File Meta group, to which the group length is added; None: the usual
            ones; an empty list omits the group.
        undefined: as for `pack`.
    """
    elements = list(elements)
    if meta is None:
        meta = file_meta(elements, syntax)
    data = pack(elements, syntax, undefined=undefined)
    start = b"" if preamble is None else preamble + b"DICM"
    return start + pack_meta(meta) + (deflate(data) if syntax == DEFLATED else data)


def file_meta(elements: Iterable[Element], syntax: str = EXPLICIT) -> list[Element]:
    """File Meta group of a data set, without group length."""
    texts = {e.tag: e.value for e in elements if e.vr == "UI"}
    return [
        element("FileMetaInformationVersion", b"\0\1"),
        element("MediaStorageSOPClassUID", texts.get(0x00080016, "1.2.840.10008.5.1.4.1.1.1.1")),
        element("MediaStorageSOPInstanceUID", texts.get(0x00080018, "2.25.1")),
        element("TransferSyntaxUID", syntax),
        element("ImplementationClassUID", "2.25.20"),
    ]


def pack_meta(meta: Sequence[Element]) -> bytes:
    """Pack a File Meta group with its group length; b"" without elements."""
    body = pack(meta)
    return pack([element("FileMetaInformationGroupLength", len(body))]) + body if meta else b""


def deflate(data: bytes) -> bytes:
    """Compress as raw deflate, padded to even length (PS3.5 A.5)."""
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(data) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)


def picture(number: int = 1, rows: int = 8, columns: int = 8) -> list[Element]:
    """Data set of a small uncompressed 16-bit radiograph with identity, geometry and window."""
    uid = f"2.25.{1000 + number}"
    return [
        element("SOPClassUID", "1.2.840.10008.5.1.4.1.1.1.1"),
        element("SOPInstanceUID", uid),
        element("StudyDate", "20200131"),
        element("StudyTime", "101530.5"),
        element("Modality", "DX"),
        element("PatientName", "Doe^Jane"),
        element("PatientID", f"P{number}"),
        element("StudyInstanceUID", f"{uid}.1"),
        element("SeriesInstanceUID", f"{uid}.2"),
        element("InstanceNumber", str(number)),
        *_pixel_form(rows, columns, stored=12),
        element("WindowCenter", "2048"),
        element("WindowWidth", "4096"),
        element("RescaleIntercept", "-1024"),
        element("RescaleSlope", "1.5"),
        element("PixelData", bytes(2 * rows * columns), vr="OW"),
    ]


def rgb_form() -> list[Element]:
    """Elements of interleaved RGB pixels of 8 bits, to change a `picture`."""
    return [
        element("SamplesPerPixel", 3),
        element("PhotometricInterpretation", "RGB"),
        element("PlanarConfiguration", 0),
        element("BitsAllocated", 8),
        element("BitsStored", 8),
        element("HighBit", 7),
    ]


def radiograph(elements: int = 11, rows: int = 2580, columns: int = 2332) -> list[Element]:
    """Data set of a VinBigData radiograph: no UIDs, and JPEG 2000 of undefined length.

    `elements` is 11 or 17, the two forms of the competition's files. The code stream has a valid
    SIZ marker but no image data: it cannot be decoded.
    """
    more = [
        element("PixelSpacing", ["0.125", "0.125"]),
        element("WindowCenter", "8192"),
        element("WindowWidth", "16384"),
        element("RescaleIntercept", "0"),
        element("RescaleSlope", "1"),
        element("PatientWeight", ""),
    ]
    if elements not in (11, 17):
        raise ValueError(f"elements is 11 or 17, not {elements}")
    return changed(
        [
            element("PatientSex", "F"),
            element("PatientAge", "061Y"),
            *_pixel_form(rows, columns, stored=14),
            element("PixelData", [b"", code_stream(rows, columns)]),
        ],
        *(more if elements == 17 else ()),
    )


def radiograph_file(number: int = 1, elements: int = 11, **form: int) -> bytes:
    """File in the form of VinBigData: SOP class and instance UID in File Meta only."""
    meta = [
        element("FileMetaInformationVersion", b"\0\1"),
        element("MediaStorageSOPClassUID", "1.2.840.10008.5.1.4.1.1.1.1.1"),
        element("MediaStorageSOPInstanceUID", f"2.25.{number}"),
        element("TransferSyntaxUID", JPEG2000),
        element("ImplementationClassUID", "2.25.20"),
    ]
    return dicom_file(radiograph(elements, **form), JPEG2000, meta=meta)


def code_stream(rows: int, columns: int, size: int = 512) -> bytes:
    """JPEG 2000 code stream of one unsigned 14-bit component: SOC, SIZ, filler, EOC."""
    siz = struct.pack(
        ">HHH8IH3B", 0xFF51, 41, 0, columns, rows, 0, 0, columns, rows, 0, 0, 1, 13, 1, 1
    )
    return b"\xff\x4f" + siz + b"\x5a" * (size - len(siz) - 4) + b"\xff\xd9"


def _pixel_form(rows: int, columns: int, stored: int) -> list[Element]:
    return [
        element("SamplesPerPixel", 1),
        element("PhotometricInterpretation", "MONOCHROME2"),
        element("Rows", rows),
        element("Columns", columns),
        element("BitsAllocated", 16),
        element("BitsStored", stored),
        element("HighBit", stored - 1),
        element("PixelRepresentation", 0),
    ]


def _pack_element(e: Element, syntax: str, undefined: bool) -> bytes:
    order = ">" if syntax == BIG_ENDIAN else "<"
    encapsulated = e.vr in ("OB", "OW") and isinstance(e.value, list)
    if e.vr == "SQ" and not isinstance(e.value, bytes):
        data = b"".join(
            _pack_item(pack(i, syntax, undefined=undefined), order, undefined) for i in e.value
        )
        data += _swapped(SEQUENCE_END, order) * undefined
    elif encapsulated:
        data = b"".join(_pack_item(i, order, False) for i in e.value) + SEQUENCE_END
    else:
        data = pack_value(e.vr, e.value, order)
    length = UNDEFINED if encapsulated or (e.vr == "SQ" and undefined) else len(data)
    return header(e.tag, e.vr, length, syntax) + data


def header(tag: int, vr: str, length: int, syntax: str = EXPLICIT) -> bytes:
    r"""Pack tag, VR and any length of an element.

    >>> header(0x7FE00010, "OB", 0x20202020)
    b'\xe0\x7f\x10\x00OB\x00\x00    '
    """
    order = ">" if syntax == BIG_ENDIAN else "<"
    start = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return start + struct.pack("<I", length)
    if vr in _LONG:
        return start + vr.encode() + struct.pack(order + "HI", 0, length)
    return start + vr.encode() + struct.pack(order + "H", length)


def pack_value(vr: str, value: Any, order: str = "<") -> bytes:
    """Pack a value, padded to even length; bytes are only swapped."""
    if isinstance(value, bytes):
        return _swapped_words(value, _WORDS.get(vr, 1), order)
    values = value if isinstance(value, list | tuple) else [value]
    if vr == "AT":
        return b"".join(struct.pack(order + "HH", v >> 16, v & 0xFFFF) for v in values)
    if vr in _NUMBERS:
        return struct.pack(f"{order}{len(values)}{_NUMBERS[vr]}", *values)
    text = "\\".join(str(v) for v in values).encode("latin-1")
    return text + (b"\0" if vr == "UI" else b" ") * (len(text) % 2)


def _pack_item(data: bytes, order: str, undefined: bool) -> bytes:
    length = struct.pack(order + "I", UNDEFINED if undefined else len(data))
    return _swapped(ITEM, order) + length + data + _swapped(ITEM_END, order) * undefined


def _swapped(delimiter: bytes, order: str) -> bytes:
    return delimiter if order == "<" else delimiter[1::-1] + delimiter[3:1:-1] + delimiter[4:]


def _swapped_words(data: bytes, size: int, order: str) -> bytes:
    if order == "<" or size == 1:
        return data
    return b"".join(data[i : i + size][::-1] for i in range(0, len(data), size))

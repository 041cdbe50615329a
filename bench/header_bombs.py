"""Header bombs: files of a given size that cost as much time or memory as a header can.

Each kind is a function from a size in bytes to an explicit little endian data set of about that
size; `write` makes a file of it, deflated or not. None has pixels.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary

from wetread.testing.dicom import DEFLATED, EXPLICIT, file_meta, pack_meta

MIB = 1 << 20
SIZES = (1, 16, 60)
"""MiB."""
COMMENTS, IMAGE_TYPE, CALIBRATED, CENTER, SEQUENCE = (
    0x00104000,
    0x00080008,
    0x00181200,
    0x00281050,
    0x00081115,
)
ITEM, ITEM_END, SEQUENCE_END = (
    struct.pack("<HHI", 0xFFFE, element, length)
    for element, length in ((0xE000, 0xFFFFFFFF), (0xE00D, 0), (0xE0DD, 0))
)
UTF_8 = struct.pack("<HH2sH", 8, 5, b"CS", 10) + b"ISO_IR 192"
JAPANESE = struct.pack("<HH2sH", 8, 5, b"CS", 16) + b"\\ISO 2022 IR 87 "


def put(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """Element of a VR with a length of 4 bytes, such as UC, which is text in every column."""
    size = len(value) if length is None else length
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, size) + value


def put_short(tag: int, vr: str, value: bytes) -> bytes:
    """Element of a VR with a length of 2 bytes."""
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def fill(size: int, elements: Iterable[bytes]) -> bytes:
    """Elements up to a size, one at least."""
    taken, parts = 0, []
    for element in elements:
        taken += len(element)
        if taken > size and parts:
            break
        parts.append(element)
    return b"".join(parts)


def repeat(size: int, element: bytes) -> bytes:
    """One element again and again."""
    return element * (size // len(element))


def known(*vrs: str, several: bool = False) -> Iterator[int]:
    """Tags of these VRs, in order, with a multiplicity of 1 or of many."""
    for tag in sorted(DicomDictionary):
        vr, multiplicity, *_ = DicomDictionary[tag]
        if vr in vrs and (multiplicity == "1-n") == several and tag >> 16 > 8:
            yield tag


def unknown(step: int = 1) -> Iterator[int]:
    """Public tags that no dictionary has."""
    return (t for t in range(0x00090000, 0x7FE00000, step) if t >> 16 & 1 == 0 and t & 0xFFFF)


def private() -> Iterator[int]:
    """Private tags."""
    return (g << 16 | e for g in range(9, 0x7FDF, 2) for e in range(0x1000, 0x1100))


def nest(size: int) -> bytes:
    """Sequences in one another, as deep as the size allows."""
    opened = put(SEQUENCE, "SQ", b"", 0xFFFFFFFF) + ITEM
    depth = size // (len(opened) + len(ITEM_END + SEQUENCE_END))
    return opened * depth + (ITEM_END + SEQUENCE_END) * depth


def enhance(size: int) -> bytes:
    """Functional groups of an Enhanced file: per frame 12 sequences, 74 elements and 941 bytes."""
    inside = b"".join(put_short(0x00189000 + i, "US", b"\1\0") for i in range(4))
    group = put(SEQUENCE, "SQ", ITEM + inside + ITEM_END + SEQUENCE_END, 0xFFFFFFFF)
    frame = ITEM + group * 12 + put_short(COMMENTS, "LT", b"frame") + ITEM_END
    return put(0x52009230, "SQ", frame * (size // len(frame)) + SEQUENCE_END, 0xFFFFFFFF)


KINDS: dict[str, Callable[[int], bytes]] = {
    "blanks": lambda n: put(COMMENTS, "UT", b" " * n),
    "blanks, below the limit": lambda n: fill(
        n, (put(tag, "UT", b" " * 0xFFFFE) for tag in known("LO", "ST", "LT", "UT", "SH"))
    ),
    "text, below the limit": lambda n: fill(
        n, (put(tag, "UT", b"a" * 0xFFFFE) for tag in known("LO", "ST", "LT", "UT", "SH"))
    ),
    "backslashes": lambda n: put(IMAGE_TYPE, "UC", b"\\" * n),
    "backslashes, below the limit": lambda n: fill(
        n, (put(tag, "UC", b"\\" * 65534) for tag in known("LO", "CS", "UI", "PN", several=True))
    ),
    "texts of one letter": lambda n: fill(
        n, (put(tag, "UC", b"a\\" * 65535) for tag in known("LO", "CS", "SH", several=True))
    ),
    "numbers": lambda n: put(CENTER, "UC", b"1\\" * (n // 2)),
    "numbers, below the limit": lambda n: fill(
        n, (put(tag, "UC", b"1\\" * 65535) for tag in known("DS", "IS", several=True))
    ),
    "bad numbers": lambda n: fill(
        n, (put(tag, "UC", b"+\\" * 65535) for tag in known("DS", "IS", several=True))
    ),
    "bad dates": lambda n: put(CALIBRATED, "UC", b"20201345\\" * (n // 9)),
    "bad dates, below the limit": lambda n: fill(
        n, (put(tag, "UC", b"9\\" * 65535) for tag in known("DA", "TM", "DT", several=True))
    ),
    "bad dates, many elements": lambda n: repeat(
        n, b"".join(put_short(tag, "DA", b"20201345") for tag in known("DA"))
    ),
    "binary numbers, below the limit": lambda n: fill(
        n, (put(tag, "UN", b"\1\0\0\0\0\0\0\0" * 65536) for tag in known("FD", several=True))
    ),
    "escapes": lambda n: JAPANESE + put(IMAGE_TYPE, "UC", b"\x1b$B" * (n // 3)),
    "escapes, below the limit": lambda n: (
        JAPANESE
        + fill(n, (put(tag, "UT", b"\x1b$B\x1b(B" * 170_000) for tag in known("LO", "ST", "LT")))
    ),
    "bad UTF-8, below the limit": lambda n: (
        UTF_8
        + fill(
            n, (put(tag, "UT", b"\xff" * 0xFFFFE) for tag in known("LO", "ST", "LT", "UT", "SH"))
        )
    ),
    "nesting": nest,
    "nesting of 60": lambda n: repeat(n, nest(60 * 36)),
    "enhanced frames": enhance,
    "empty items": lambda n: put(SEQUENCE, "SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 0) * (n // 8)),
    "elements in an item": lambda n: put(
        SEQUENCE, "SQ", ITEM + put_short(COMMENTS, "LT", b"ab") * (n // 10)
    ),
    "odd lengths": lambda n: fill(n, (put_short(tag, "LO", b"a") for tag in unknown())),
    "odd lengths, known tags": lambda n: repeat(
        n, b"".join(put_short(tag, "LO", b"a") for tag in known("LO"))
    ),
    "duplicate tags": lambda n: repeat(n, put_short(COMMENTS, "LT", b"ab")),
    "duplicate sequences": lambda n: repeat(n, put(SEQUENCE, "SQ", b"")),
    "unknown tags": lambda n: fill(n, (put_short(tag, "LO", b"ab") for tag in unknown())),
    "private elements": lambda n: repeat(
        n, fill(MIB, (put_short(tag, "LO", b"ab") for tag in private()))
    ),
    "wrong VRs": lambda n: repeat(
        n, b"".join(put_short(tag, "DA", b"20200101") for tag in islice(known("DS", "US"), 500))
    ),
    "unknown VRs": lambda n: fill(n, (put_short(tag, "ZZ", b"ab") for tag in unknown())),
    "stray delimiters": lambda n: repeat(n, ITEM_END),
    "UN without items": lambda n: put(SEQUENCE, "UN", b"\xfe" * n, 0xFFFFFFFF),
    "empty fragments": lambda n: put(
        0x7FE00010, "OB", struct.pack("<HHI", 0xFFFE, 0xE000, 0) * (n // 8), 0xFFFFFFFF
    ),
}
"""By name: the data set of so many bytes."""


def write(path: Path, kind: str, mib: int, deflated: bool) -> None:
    """Write a file of a kind."""
    data = KINDS[kind](mib * MIB)
    if deflated:
        packer = zlib.compressobj(1, wbits=-15)
        data = packer.compress(data) + packer.flush()
    start = bytes(128) + b"DICM" + pack_meta(file_meta([], DEFLATED if deflated else EXPLICIT))
    path.write_bytes(start + data)

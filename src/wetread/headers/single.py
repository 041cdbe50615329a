"""The scalar walk: one file, every odd case (reliability classes 2-14).

Iterative, bounded in bytes, time and depth. It yields what the lockstep walk yields, and a problem
for everything it had to assume.
"""

from __future__ import annotations

import struct

from wetread.headers.encodings import (
    EXPLICIT_LE,
    KNOWN_SYNTAXES,
    Encoding,
    encoding_of,
    infer_compression,
    is_encapsulated,
    parse_head,
    probe,
)
from wetread.headers.endian import swap_value
from wetread.headers.magic import HEAD, name_file_type
from wetread.headers.nesting import UNDEFINED
from wetread.headers.pages import BudgetError, DeflatedReader, FileReader, Reader
from wetread.headers.schema import (
    FAMILY_OF_VR,
    LENGTH,
    LONG_FORM_VRS,
    SEQUENCE,
    column_of,
    format_tag,
)
from wetread.headers.sequences import skip_sequence, skip_unknown
from wetread.headers.walked import MOST_RAW, Element, Walked
from wetread.settings import Settings

_ITEM = 0xFFFEE000


def walk_file(reader: FileReader, settings: Settings, deadline: float, *, whole: bool) -> Walked:
    """Walk one file from its first byte; never raises for what the bytes hold."""
    walked = Walked()
    try:
        start = _read_meta(reader, walked)
        if start is not None:
            _read_data_set(reader, start, walked, settings, deadline, whole)
    except BudgetError:
        code = "BOMB" if walked.encoding.deflated else "HEADER_BUDGET"
        walked.find(code, None, None, "stopped at the limit of bytes or time")
    return walked


def _read_meta(reader: FileReader, walked: Walked) -> int | None:
    """Read the File Meta group; where the data set starts, None where this is no DICOM."""
    start = _find_meta(reader, walked)
    if start is None:
        return None
    pos, stated, stated_at = start, None, start
    syntax: str | None = None
    while True:
        head = reader.at(pos, 12)
        if len(head) < 8 or head[:2] != b"\x02\x00":
            break
        tag, vr, size, length = parse_head(head, Encoding())
        if vr not in FAMILY_OF_VR or reader.ends_before(pos + size + length):
            break
        value = reader.at(pos + size, length)
        if tag == 0x00020000 and length == 4:
            stated_at = pos + size
            stated = stated_at + 4 + int.from_bytes(value, "little")
        elif tag == 0x00020010:
            syntax = value.rstrip(b"\0 ").decode("latin-1").strip()
        walked.elements.append(Element(tag, vr, value, length, pos + size))
        pos += size + length
    if not walked.elements:
        walked.find("NO_META", None, start, "no File Meta group after DICM")
    elif stated is not None and stated != pos and not reader.ends_before(pos + 1):
        text = f"the group ends at {pos}, its length says {stated}"
        walked.find("META_LENGTH", 0x00020000, stated_at, text)
    walked.syntax = syntax or None
    return pos


def _find_meta(reader: FileReader, walked: Walked) -> int | None:
    """Start of the File Meta group, or of the data set if there is none."""
    head = reader.at(0, 144)
    if not head:
        walked.is_dicom = False
        walked.find("EMPTY_FILE", None, 0, "0 bytes")
        return None
    if head[128:132] == b"DICM" and (head[132:134] == b"\x02\0" or probe(reader, 0) is None):
        return 132
    if head[:4] == b"DICM":
        walked.find("NO_PREAMBLE", None, 0, "DICM at 0")
        return 4
    for start in (0, 132, 128):
        if head[start : start + 2] == b"\x02\x00" and head[start + 4 : start + 6] in (
            b"UL",
            b"OB",
            b"UI",
        ):
            walked.find(
                "NO_PREAMBLE", None, start, f"File Meta group at {start}, no DICM before it"
            )
            return start
    for start in (0, 128):
        if probe(reader, start) is not None:
            walked.find("NO_META", None, start, f"a data set starts at {start}")
            if start == 0:
                walked.find("NO_PREAMBLE", None, 0, "a data set starts at 0")
            return start
    walked.is_dicom = False
    kind = name_file_type(reader.at(0, HEAD))
    text = kind or f"neither DICM at 128 nor a data set; starts with {head[:16].hex(' ')}"
    walked.find("NOT_DICOM", None, 0, text)
    return None


def _read_data_set(
    reader: FileReader,
    start: int,
    walked: Walked,
    settings: Settings,
    deadline: float,
    whole: bool,
) -> None:
    stated = walked.syntax
    encoding = encoding_of(stated or EXPLICIT_LE)
    source: Reader = reader
    if encoding.deflated:
        inflated = DeflatedReader(reader, start, settings.header_bytes, deadline)
        if not inflated.at(0, 8) and (seen := probe(reader, start)) is not None:
            walked.find("TSUID_WRONG", 0x00020010, start, "not deflated")
            walked.syntax, walked.encoding = seen.syntax, seen
            _walk_elements(reader, start, walked, seen, whole)
            return
        walked.encoding, source = encoding, inflated
        _walk_elements(source, 0, walked, encoding, whole)
        if inflated.damaged:
            walked.find(
                "DEFLATE_DAMAGED", None, None, "the deflated stream ends early or is damaged"
            )
        return
    encoding = _settle_encoding(reader, start, walked, stated, encoding)
    walked.encoding = encoding
    _walk_elements(source, start, walked, encoding, whole)
    if stated is None and walked.pixel_length == -1 and walked.pixel_offset is not None:
        walked.syntax = infer_compression(reader, walked.pixel_offset)
        walked.find("TSUID_INFERRED", None, None, f"encapsulated, taken as {walked.syntax}")


def _settle_encoding(
    reader: FileReader, start: int, walked: Walked, stated: str | None, encoding: Encoding
) -> Encoding:
    """The encoding the bytes are in, with a problem where that is not what is stated."""
    known = stated in KNOWN_SYNTAXES
    if stated is not None and not known:
        walked.find("TSUID_UNKNOWN", 0x00020010, None, "not a transfer syntax of the standard")
    head = reader.at(start, 12)
    if len(head) < 8:
        walked.syntax = stated
        return encoding
    seen = _see_encoding(reader, start, head, encoding)
    if stated is None:
        walked.syntax = seen.syntax
        walked.find("TSUID_INFERRED", 0x00020010, start, f"the bytes read as {seen.syntax}")
    elif seen != encoding:
        code = "TSUID_WRONG" if known else "TSUID_UNKNOWN"
        walked.find(code, 0x00020010, start, f"the bytes read as {seen.syntax}")
        if seen.big != encoding.big:
            walked.syntax = None  # pixels are never swapped by a guess
        elif not is_encapsulated(stated):
            walked.syntax = seen.syntax
    return seen


def _see_encoding(reader: FileReader, start: int, head: bytes, stated: Encoding) -> Encoding:
    """The stated encoding where the first element can be read so, else the one that fits."""
    tag = parse_head(head, stated)[0]
    explicit_seen = head[4:6].decode("latin-1") in FAMILY_OF_VR
    if 0 < tag >> 16 < 0x7FE1 and explicit_seen != stated.implicit:
        swapped = Encoding(stated.implicit, not stated.big)
        if tag >> 16 < 0x100 or parse_head(head, swapped)[0] >> 16 >= 0x100:
            return stated
    return probe(reader, start) or stated


def _walk_elements(
    reader: Reader,
    start: int,
    walked: Walked,
    encoding: Encoding,
    whole: bool,
) -> None:
    """The elements of the top level up to Pixel Data or the end."""
    pos, last = start, 0
    while True:
        head = reader.at(pos, 12)
        if len(head) < 8:
            if head.strip(b"\0") or (head and encoding.big):
                text = f"have {len(head)} bytes of an element's head, need 8"
                walked.find("TRUNCATED", None, pos, text)
            elif pos == start:
                walked.find("TRUNCATED", None, pos, "no data set after the File Meta group")
            return
        step = _read_head(reader, head, pos, last, walked, encoding)
        if step is None:
            return
        tag, vr, value, length, implicit = step
        if value > pos + len(head):
            text = f"have {len(head)} bytes of an element's head, need {value - pos}"
            walked.find("TRUNCATED", tag, pos, text)
            return
        if tag >> 16 == 0xFFFE:
            walked.find("DELIMITER", tag, pos, "an item or delimiter outside a sequence")
            pos = value if length == UNDEFINED or tag != _ITEM else value + length
            continue
        if 0x7FE00008 <= tag <= 0x7FE00010:
            _note_pixels(reader, walked, tag, value, length)
            return
        if tag < last:
            walked.find_first("TAG_ORDER", tag, pos, f"after {format_tag(last)}")
        last = tag
        end = _take_value(reader, walked, tag, vr, value, length, implicit, encoding, whole)
        if end is None:
            return
        pos = end


def _read_head(
    reader: Reader, head: bytes, pos: int, last: int, walked: Walked, encoding: Encoding
) -> tuple[int, str, int, int, bool] | None:
    """Tag, VR, position and length of the value, implicit or not; None where this is no element."""
    tag, vr, size, length = parse_head(head, encoding)
    if encoding.implicit or tag >> 16 == 0xFFFE or vr in FAMILY_OF_VR:
        if (tag == 0 and not encoding.implicit) or (tag == 0 and length == 0 and last):
            walked.find("RESYNC", None, pos, "zero bytes where an element should be")
            return None
        return tag, vr, pos + size, length, encoding.implicit
    mended = _mend_vr(reader, head, pos, last, encoding)
    if mended is not None:
        walked.find("BAD_VR", tag, pos, "no value representation of the standard")
        return mended
    # no VR at all: one element in the implicit form, as pydicom reads it, if that makes sense
    tag, _, size, length = parse_head(head, Encoding(True, encoding.big))
    sensible = column_of(tag).known or bool(tag & 0x10000)
    fits = length == UNDEFINED or not reader.ends_before(pos + size + length)
    if sensible and fits and tag >= last:
        walked.find("TSUID_WRONG", tag, pos, "an element without a value representation")
        return tag, "", pos + size, length, True
    walked.find("RESYNC", None, pos, "bytes that are no element; not read further")
    return None


def _mend_vr(
    reader: Reader, head: bytes, pos: int, last: int, encoding: Encoding
) -> tuple[int, str, int, int, bool] | None:
    """An element whose VR is none: as UN, in the form after which the next element reads.

    The form of the dictionary's VR is tried first, then the other.
    """
    order = ">" if encoding.big else "<"
    tag = parse_head(head, encoding)[0]
    if tag < last or len(head) < 12:
        return None
    forms = [(8, struct.unpack_from(order + "H", head, 6)[0])]
    forms.append((12, struct.unpack_from(order + "I", head, 8)[0]))
    if column_of(tag).vrs[0] in LONG_FORM_VRS or not column_of(tag).known:
        forms.reverse()
    for size, length in forms:
        after = pos + size + length
        if length == UNDEFINED or reader.ends_before(after):
            continue
        following = reader.at(after, 12)
        if not following:
            return tag, "UN", pos + size, length, False
        if len(following) >= 8:
            next_tag, next_vr, _, _ = parse_head(following, encoding)
            if next_tag > tag and next_vr in FAMILY_OF_VR:
                return tag, "UN", pos + size, length, False
    return None


def _take_value(
    reader: Reader,
    walked: Walked,
    tag: int,
    vr: str,
    start: int,
    length: int,
    implicit: bool,
    encoding: Encoding,
    whole: bool,
) -> int | None:
    """Keep one element; where the next one starts, None where reading must stop."""
    known_vr = vr or column_of(tag).vrs[0]
    if length == UNDEFINED:
        if vr == "UN":
            walked.find("UN_SEQUENCE", tag, start, "a sequence in UN of undefined length")
            end = skip_unknown(reader, walked, start)
        else:
            if vr not in ("SQ", ""):
                walked.find("DELIMITER", tag, start, f"{vr} of undefined length")
            end = skip_sequence(reader, walked, start, implicit, encoding.big)
        value = reader.at(start, end - start) if whole and end is not None else None
        if end is None:
            walked.clipped.append((tag, reader.at(start, MOST_RAW)))
        size = (end if end is not None else reader.size()) - start
        walked.elements.append(Element(tag, vr or "SQ", value, size, start))
        return end
    if length & 1:
        walked.find("ODD_LENGTH", tag, start, f"{length} bytes")
    if reader.ends_before(start + length):
        have = max(reader.size() - start, 0)
        name = format_tag(tag)
        walked.find("TRUNCATED", tag, start, f"have {have} of {length} bytes of {name}")
        walked.find("LENGTH_CLIPPED", tag, start, f"length {length} clipped to {have}")
        walked.clipped.append((tag, reader.at(start, min(have, MOST_RAW))))
        return None
    needed = whole or not (tag & 0x10000 or _is_bulk(tag, known_vr))
    value = reader.at(start, length) if needed else None
    if value is not None and encoding.big:
        value = swap_value(value, known_vr)
    walked.elements.append(Element(tag, vr, value, length, start))
    return start + length


def _is_bulk(tag: int, vr: str) -> bool:
    """True if only the length of the value becomes a column."""
    bulk = (LENGTH, SEQUENCE)
    return FAMILY_OF_VR.get(vr, LENGTH) in bulk and column_of(tag).family in bulk


def _note_pixels(reader: Reader, walked: Walked, tag: int, value: int, length: int) -> None:
    """Position of the pixels, and their completeness."""
    walked.pixel_tag, walked.pixel_offset = tag, value
    walked.pixel_length = -1 if length == UNDEFINED else length
    if length == UNDEFINED:
        return
    try:
        short = reader.ends_before(value + length)
    except BudgetError:
        walked.find("BOMB", tag, value, "not inflated to the end of Pixel Data: over the limit")
        return
    if short:
        have = max(reader.size() - value, 0)
        walked.find("TRUNCATED", tag, value, f"have {have} of {length} bytes of pixels")

"""Sequences and fragments, where they are damaged too (reliability classes 11-13)."""

from __future__ import annotations

import struct

from wetread.headers.blocks import DELIMITER
from wetread.headers.encodings import Encoding, parse_head
from wetread.headers.nesting import DEEPEST, UNDEFINED, pass_elements
from wetread.headers.pages import BudgetError, Reader
from wetread.headers.schema import FAMILY_OF_VR
from wetread.headers.walked import Walked

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CUT = {"TRUNCATED", "LENGTH_CLIPPED", "DELIMITER"}
_PIECE = 64 * 1024


def skip_unknown(reader: Reader, walked: Walked, start: int) -> int | None:
    """The position after UN of undefined length: implicit (CP-246), else explicit, else bytes."""
    trials = []
    for implicit in (True, False):
        trial = Walked()
        end = skip_sequence(reader, trial, start, implicit, False)
        if end is not None and not trial.problems:
            return end
        trials.append((end, trial))
    for end, trial in trials:
        if end is None and {f[0] for f in trial.problems} <= _CUT:
            walked.problems += trial.problems
            return None
    walked.find("DELIMITER", None, start, "UN of undefined length that holds no items")
    pos = start
    while chunk := reader.at(pos, _PIECE):
        found = chunk.find(DELIMITER)
        if found >= 0:
            return pos + found + 8
        pos += max(len(chunk) - 7, 1)
    walked.find("TRUNCATED", None, start, "have no delimiter of a sequence, need one")
    return None


def skip_sequence(
    reader: Reader, walked: Walked, start: int, implicit: bool, big: bool
) -> int | None:
    """The position after a sequence of undefined length; None where the file ends inside it.

    A missing item delimiter is closed by what follows it, a missing sequence delimiter by the
    first element that is no item (DCMTK's rules for damaged delimiters).
    """
    encoding = Encoding(implicit, big)
    order = ">" if big else "<"
    pos, depth = start, 1
    while depth:
        if not big:
            page, first = reader.page(pos)
            at, depth = pass_elements(page, pos - first, len(page), depth, implicit)
            pos = at + first
            if not depth:
                break
        head = reader.at(pos, 12)
        if len(head) < 8:
            walked.find("TRUNCATED", None, pos, "have no delimiter of a sequence, need one")
            walked.find("DELIMITER", None, pos, "the file ends inside a sequence")
            return None
        tag, vr, size, length = parse_head(head, encoding)
        between = depth % 2 == 1
        if tag >> 16 == 0xFFFE:
            length = struct.unpack_from(order + "I", head, 4)[0]
            depth, pos = _pass_delimiter(walked, tag, length, depth, pos)
        elif between:
            walked.find("DELIMITER", tag, pos, "a sequence without its delimiter")
            depth -= 1
            if depth == 0:
                return pos
        elif length == UNDEFINED:
            depth, pos = depth + 1, pos + size
        elif vr not in FAMILY_OF_VR and not implicit:
            walked.find("BAD_VR", tag, pos, "inside a sequence")
            long = head[6:8] == b"\0\0" and len(head) == 12
            pos += 12 + struct.unpack_from(order + "I", head, 8)[0] if long else size + length
        else:
            pos += size + length
        if depth > DEEPEST:
            walked.find("TOO_DEEP", tag, pos, f"more than {DEEPEST // 2} sequences in one another")
        if reader.ends_before(pos):
            have = reader.size() - start
            walked.find(
                "TRUNCATED", tag, start, f"have {have} of {pos - start} bytes of a sequence"
            )
            walked.find(
                "LENGTH_CLIPPED", tag, pos, "a length in a sequence reaches beyond the file"
            )
            return None
    return pos


def _pass_delimiter(walked: Walked, tag: int, length: int, depth: int, pos: int) -> tuple[int, int]:
    """Depth and position after an item or delimiter."""
    between = depth % 2 == 1
    after = pos + 8
    if tag == _ITEM:
        if not between:
            walked.find("DELIMITER", tag, pos, "an item without its delimiter")
            depth -= 1
        return (depth + 1, after) if length == UNDEFINED else (depth, after + length)
    if tag == _SEQUENCE_END:
        if not between:
            walked.find("DELIMITER", tag, pos, "an item without its delimiter")
            depth -= 1
        return depth - 1, after
    if tag == _ITEM_END and not between:
        return depth - 1, after
    walked.find("DELIMITER", tag, pos, "a delimiter out of place")
    return depth, after


def check_fragments(reader: Reader, offset: int) -> str | None:
    """Missing part of encapsulated Pixel Data whose file does not end with its delimiter.

    Follows the fragments from `offset` on (PS3.5 A.4); None where their delimiter is found.
    """
    pos = offset
    try:
        while True:
            head = reader.at(pos, 8)
            if len(head) < 8:
                return f"have {reader.size() - offset} bytes, need a sequence delimiter at {pos}"
            tag, _, _, length = parse_head(head + b"\0\0\0\0", Encoding())
            if tag == _SEQUENCE_END:
                return None
            if tag != _ITEM:
                return f"have {pos - offset} bytes of fragments, need an item at {pos}"
            pos += 8 + length
            if reader.ends_before(pos):
                have = reader.size() - offset
                return f"have {have} of at least {pos - offset + 8} bytes of fragments"
    except BudgetError:
        return None

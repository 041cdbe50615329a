"""Passing over a sequence of undefined length, element by element (PS3.5 7.5).

Depth 1 stands between the items of the outermost sequence, 2 in an item of it, 3 between the items
of a sequence in that, and so on; items and sequences of defined length are passed whole.
"""

from __future__ import annotations

import struct

from wetread.headers.schema import FAMILY_OF_VR, LONG_FORM_VRS, pack_vr

UNDEFINED = 0xFFFFFFFF
DEEPEST = 128
"""64 sequences with an item in each, which is DCMTK's limit too."""
_HEAD, _LENGTH = struct.Struct("<IHH"), struct.Struct("<I")
# tags as the little-endian number that their four bytes are
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000FFFE, 0xE00DFFFE, 0xE0DDFFFE
_SHORT = frozenset(pack_vr(v) for v in FAMILY_OF_VR if v not in LONG_FORM_VRS)
_LONG = frozenset(pack_vr(v) for v in LONG_FORM_VRS)
_SQ = pack_vr("SQ")


def pass_elements(
    data: bytes | bytearray | memoryview, pos: int, end: int, depth: int, implicit: bool
) -> tuple[int, int]:
    """Go on in little-endian data while all is as it should be; the position and depth reached.

    Stops at depth 0, beyond `DEEPEST`, where the next head does not lie before `end`, and before
    anything odd. The position may lie beyond `end`.

    >>> pass_elements(bytes.fromhex("feffdde000000000") + bytes(8), 0, 16, 1, False)
    (8, 0)
    """
    head, last = _HEAD.unpack_from, end - 8
    while 0 < depth <= DEEPEST and pos <= last:
        tag, vr, short = head(data, pos)
        if tag & 0xFFFF == 0xFFFE:
            length = vr | short << 16
            if tag == _ITEM and depth & 1:
                depth, pos = (
                    (depth + 1, pos + 8) if length == UNDEFINED else (depth, pos + 8 + length)
                )
            elif length == 0 and tag == (_SEQUENCE_END if depth & 1 else _ITEM_END):
                depth, pos = depth - 1, pos + 8
            else:
                break
        elif depth & 1:
            break
        elif implicit:
            length = vr | short << 16
            depth, pos = (depth + 1, pos + 8) if length == UNDEFINED else (depth, pos + 8 + length)
        elif vr in _SHORT:
            pos += 8 + short
        elif vr in _LONG and pos <= end - 12:
            length = _LENGTH.unpack_from(data, pos + 8)[0]
            if length != UNDEFINED:
                pos += 12 + length
            elif vr == _SQ:
                depth, pos = depth + 1, pos + 12
            else:
                break
        else:
            break
    return pos, depth

r"""Decoding of text in the stated character sets (PS3.5 6.1, PS3.3 C.12.1.1.2); never raises.

ISO 2022 escapes are followed here, as the codecs of Python and pydicom 3.0 do not know all sets of
the standard: G0 holds the bytes below 0x80, G1 those above, and each escape puts a set into one.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import NamedTuple

from wetread.headers.schema import UNSPLIT_VRS

CHARSET = 0x00080005
ENCODED_VRS = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
"""VRs in the stated character set; the others are ASCII (PS3.5 6.1.2.3)."""

_LATIN = {
    "100": ("latin_1", b"-A"),
    "101": ("iso8859_2", b"-B"),
    "109": ("iso8859_3", b"-C"),
    "110": ("iso8859_4", b"-D"),
    "126": ("iso8859_7", b"-F"),
    "127": ("iso8859_6", b"-G"),
    "138": ("iso8859_8", b"-H"),
    "144": ("iso8859_5", b"-L"),
    "148": ("iso8859_9", b"-M"),
    "166": ("iso8859_11", b"-T"),
    "203": ("iso8859_15", b"-b"),
}
"""ISO-IR number -> codec, and the escape that puts the set into G1 (tables C.12-2 and C.12-3)."""


class _Set(NamedTuple):
    """Character set in G0 or G1."""

    codec: str
    wide: bool = False
    """Two bytes per character."""
    prefix: bytes = b""
    """Prefix that the codec needs before a character."""


_ASCII, _ROMAN, _KANA = _Set("ascii"), _Set("shift_jis"), _Set("shift_jis")
_KANJI, _KANJI2 = _Set("euc_jp", True), _Set("euc_jp", True, b"\x8f")
_HANGUL, _HANZI = _Set("euc_kr", True), _Set("gb2312", True)
_G0 = {b"(B": _ASCII, b"(J": _ROMAN, b"$B": _KANJI, b"$(D": _KANJI2}
_G1 = {b")I": _KANA, b"$)C": _HANGUL, b"$)A": _HANZI}
_G1 |= {escape: _Set(codec) for codec, escape in _LATIN.values()}
_ESCAPE = re.compile(rb"\x1b(\$?[()-]?[@-~])")

_WHOLE = {"ISO_IR 192": "utf_8", "GB18030": "gb18030", "GBK": "gbk"}
"""Terms that stand alone, without escapes (table C.12-5)."""
_FIRST: dict[str, tuple[_Set, _Set | None]] = {
    "6": (_ASCII, None),
    "13": (_ROMAN, _KANA),
    **{number: (_ASCII, _Set(codec)) for number, (codec, _) in _LATIN.items()},
}
_WIDE: dict[str, tuple[_Set, _Set | None]] = {
    "87": (_ASCII, None),
    "159": (_ASCII, None),
    "149": (_ASCII, _HANGUL),
    "58": (_ASCII, _HANZI),
}
"""ISO-IR number -> the sets in G0 and G1 at the start; those of table C.12-4 have no other term."""
_DEFINED: dict[str, tuple[_Set, _Set | None]] = {
    "": _FIRST["6"],
    "ISO_IR 6": _FIRST["6"],
    **{f"ISO_IR {number}": sets for number, sets in _FIRST.items()},
    **{f"ISO 2022 IR {number}": sets for number, sets in (_FIRST | _WIDE).items()},
}
_MISSPELT = re.compile(r"(ISO)[ _-]?(2022)?[ _-]?(IR)[ _-]?(\d+)")


def decode_text(value: bytes, stated: str, delimiters: bytes = b"") -> tuple[str, bool]:
    r"""Decode as stated, else as UTF-8, else as Latin-1; return also True if it was as stated.

    `stated` is the value of Specific Character Set, with backslashes. `delimiters` are the
    characters after which its first value counts again, beside control characters: the backslash
    between values, "^" and "=" in person names (PS3.5 6.1.2.5.3).

    >>> decode_text(b"M\xfcller", "ISO_IR 100")
    ('Müller', True)
    >>> decode_text(b"M\xc3\xbcller", "")
    ('Müller', False)
    >>> decode_text(b"\x1b$)A\xd0\xd8\xb2\xbf", "\\ISO 2022 IR 58")
    ('胸部', True)
    """
    terms = settle_terms(stated)
    if terms is not None:
        try:
            text = _decode_strictly(value, terms, delimiters)
            return text, "\x1b" not in text
        except UnicodeError:
            pass
    try:
        return value.decode("utf-8"), False
    except UnicodeDecodeError:
        return value.decode("latin-1"), False


def decode_element(value: bytes, vr: str, stated: str) -> str:
    r"""Text of an element with one of `ENCODED_VRS`, with its backslashes; see `decode_text`.

    >>> decode_element(b"\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1", "PN", "\\ISO 2022 IR 58")
    '张^小'
    """
    delimiters = b"\\^=" if vr == "PN" else b"" if vr in UNSPLIT_VRS else b"\\"
    return decode_text(value, stated, delimiters)[0]


@lru_cache(maxsize=256)
def settle_terms(stated: str) -> tuple[str, ...] | None:
    """Defined terms of a value of Specific Character Set; None if one of them is unknown.

    Terms of the standard with another separator ("ISO-IR 100") are taken for what they resemble.
    """
    terms = [_respell(term.strip()) for term in stated.split("\\")]
    return None if None in terms else tuple(term for term in terms if term is not None)


@lru_cache(maxsize=256)
def is_defined(stated: str) -> bool:
    """True if all terms are defined terms of the standard, spelled as there.

    >>> is_defined("ISO_IR 100"), is_defined("utf_7"), is_defined("ISO-IR 100")
    (True, False, False)
    """
    return all(term.strip() in _DEFINED or term.strip() in _WHOLE for term in stated.split("\\"))


def _respell(term: str) -> str | None:
    if term in _DEFINED or term in _WHOLE:
        return term
    if match := _MISSPELT.fullmatch(term.upper()):
        term = f"ISO 2022 IR {match[4]}" if match[2] else f"ISO_IR {match[4]}"
    return term if term in _DEFINED else None


def _decode_strictly(value: bytes, terms: tuple[str, ...], delimiters: bytes) -> str:
    """Decode a value; UnicodeError if a byte is in none of the active sets."""
    if terms[0] in _WHOLE:
        return value.decode(_WHOLE[terms[0]])
    g0, g1 = first = _DEFINED[terms[0]]
    pieces: list[str] = []
    at = 0
    while at < len(value):
        byte = value[at]
        if byte == 0x1B:
            escape = _ESCAPE.match(value, at)
            if escape is None or (escape[1] not in _G0 and escape[1] not in _G1):
                raise UnicodeError("an unknown escape sequence")
            g0, g1 = _G0.get(escape[1], g0), _G1.get(escape[1], g1)
            at = escape.end()
        elif byte < 0x80 and (byte < 0x20 or (not g0.wide and byte in delimiters)):
            pieces.append(chr(byte))
            g0, g1 = first
            at += 1
        else:
            used = g0 if byte < 0x80 else g1
            if used is None:
                raise UnicodeError("a byte above 0x7F, which no set is for")
            end = _end_of_run(value, at, byte < 0x80, used.wide, delimiters)
            pieces.append(_decode_run(value[at:end], used))
            at = end
    return "".join(pieces)


def _end_of_run(value: bytes, at: int, low: bool, wide: bool, delimiters: bytes) -> int:
    """End of the bytes from `at` on that are of one set."""
    while at < len(value) and (value[at] < 0x80) == low:
        if value[at] < 0x20 or (low and not wide and value[at] in delimiters):
            break
        at += 2 if wide else 1
    return min(at, len(value))


def _decode_run(run: bytes, used: _Set) -> str:
    if not used.wide or run == b" " * len(run):  # the space is in every set
        return run.decode(used.codec)
    high = bytes(byte | 0x80 for byte in run)
    if used.prefix:
        pairs = (high[i : i + 2] for i in range(0, len(high), 2))
        high = b"".join(used.prefix + pair for pair in pairs)
    return high.decode(used.codec)


@lru_cache(maxsize=256)
def pydicom_encodings(stated: str) -> tuple[str, ...]:
    """Python codec names for pydicom; Latin-1 for an unknown set."""
    from pydicom.charset import convert_encodings

    terms = settle_terms(stated) or ("ISO_IR 100",)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(convert_encodings([t.replace("IR 203", "IR 100") for t in terms]))

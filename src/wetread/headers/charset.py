"""Text in the character set that the file states (PS3.5 6.1), never an exception."""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np

from wetread.headers.gather import Bytes, gather_strings
from wetread.headers.walk import Elements

_CHARSET = 0x00080005

_DEFAULT = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})


def decode_text(value: bytes, stated: str) -> tuple[str, bool]:
    r"""Decode as stated, else as UTF-8, else as Latin-1; and whether it was as stated.

    `stated` is the value of Specific Character Set, with backslashes.

    >>> decode_text(b"M\xfcller", "ISO_IR 100")
    ('Müller', True)
    >>> decode_text(b"M\xc3\xbcller", "")
    ('Müller', False)
    """
    encodings = _python_encodings(stated)
    if encodings:
        try:
            return _clean(_decode_strictly(value, encodings)), True
        except (UnicodeError, LookupError, UserWarning):
            pass
    try:
        return _clean(value.decode("utf-8")), False
    except UnicodeDecodeError:
        return value.decode("latin-1"), False


def _decode_strictly(value: bytes, encodings: tuple[str, ...]) -> str:
    from pydicom.charset import decode_bytes
    from pydicom.valuerep import TEXT_VR_DELIMS

    if b"\x1b" not in value:
        return value.decode(encodings[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return decode_bytes(value, encodings, TEXT_VR_DELIMS)


def _clean(text: str) -> str:
    """Lone surrogates cannot be kept in Arrow; no codec of DICOM should give one."""
    text.encode("utf-8")
    return text


def read_charsets(arena: Bytes, elements: Elements) -> dict[int, str]:
    """Specific Character Set, with backslashes, of the rows that state one."""
    found = np.flatnonzero((elements.tag == _CHARSET) & (elements.start >= 0))
    texts = gather_strings(arena, elements.start[found], elements.length[found])
    return dict(zip(elements.row[found].tolist(), texts.to_pylist(), strict=True))


@lru_cache(maxsize=256)
def _python_encodings(stated: str) -> tuple[str, ...]:
    """Python's names of the stated character sets; empty where one is unknown or only ASCII is."""
    from pydicom.charset import convert_encodings

    terms = [term.strip() for term in stated.split("\\")]
    if len(terms) == 1 and terms[0] in _DEFAULT:
        return ("ascii",)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            encodings = tuple(convert_encodings(terms))
        except (LookupError, ValueError):
            return ()
    guessed = any("default encoding" in str(warning.message) for warning in said)
    return () if guessed else encodings

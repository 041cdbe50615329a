"""Which bits of a word are the stored value, and its sign."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.pixels.form import Form

Pixels = NDArray[Any]
Note = tuple[str, str]
"""A problem about one frame: (code of `wetread.errors.PROBLEMS`, what was seen)."""


def mask(raw: Pixels, form: Form) -> Pixels:
    """The bits that count of uncompressed values, shifted down and sign-extended (PS3.5 8.1.1)."""
    unsigned = np.dtype(f"u{form.dtype.itemsize}")
    values: Pixels = raw.astype(unsigned)  # always a copy, in the machine's byte order
    if form.high_bit + 1 > form.stored:
        values >>= form.high_bit + 1 - form.stored
    return _extend(values, form.stored, form.signed)


def settle(
    raw: Pixels, form: Form, precision: int, signed: bool, notes: list[Note]
) -> tuple[Pixels, int]:
    """Decoded values -> stored values, where `precision` and Bits Stored may disagree.

    The code-stream's precision wins, unless every value fits Bits Stored (JPEG streams of 12 or
    16 bits that hold fewer are common) or an overlay lies in the bits above. A signed stream holds
    signed values; any other has the sign of Pixel Representation.
    """
    is_signed = form.signed or signed
    width = max(form.dtype.itemsize, raw.dtype.itemsize)
    bits = min(precision, form.stored)
    words: Pixels = raw.astype(f"u{width}")  # two's complement where the stream is signed
    if precision > form.stored and not form.embedded:
        kept = _extend(words.copy(), form.stored, is_signed)
        full = _extend(words.copy(), precision, signed)
        if not (kept == full).all() and (not is_signed or int(words.max()) >> form.stored):
            bits = precision
    if bits != form.stored or (signed and not form.signed):
        sign = "signed " if signed else ""
        seen = f"{sign}{precision} bits in the stream, {form.stored} in the header"
        notes.append(("BITS_MISMATCH", seen))
    return _extend(words, bits, is_signed), bits


def _extend(values: Pixels, bits: int, signed: bool) -> Pixels:
    """The low `bits` of unsigned words, as a signed type if `signed`; changes `values`."""
    spare = 8 * values.dtype.itemsize - bits
    if not signed:
        if spare:
            values &= values.dtype.type((1 << bits) - 1)
        return values
    result = values.view(f"i{values.dtype.itemsize}")
    if spare:
        result <<= spare
        result >>= spare
    return result

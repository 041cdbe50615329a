"""Bit masks and sign extension of stored values."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from wetread.pixels.form import Form

Pixels = NDArray[Any]
Note = tuple[str, str]
"""Problem of one frame: (code of `wetread.errors.PROBLEMS`, text)."""


def mask(raw: Pixels, form: Form) -> Pixels:
    """Extract Bits Stored from uncompressed values and sign-extend them (PS3.5 8.1.1).

    In place if `raw` can be written to and has the type of the result.
    """
    values: Pixels = raw.astype(f"u{form.dtype.itemsize}", copy=not raw.flags.writeable)
    if form.high_bit + 1 > form.stored:
        values >>= form.high_bit + 1 - form.stored
    return _extend(values, form.stored, form.signed)


def to_stored(
    raw: Pixels, form: Form, precision: int, signed: bool, notes: list[Note]
) -> tuple[Pixels, int]:
    """Convert decoded values to stored values if `precision` and Bits Stored disagree.

    The precision of the code-stream wins, unless all values fit into Bits Stored (JPEG streams of
    12 or 16 bits with fewer bits in use are common) or an overlay uses the upper bits. A signed
    stream holds signed values; for others, Pixel Representation decides.
    """
    is_signed = form.signed or signed
    width = max(form.dtype.itemsize, raw.dtype.itemsize)
    bits = min(precision, form.stored)
    words: Pixels = raw.astype(f"u{width}")  # two's complement where the stream is signed
    if precision > form.stored and not form.embedded:
        masked = _extend(words.copy(), form.stored, is_signed)
        full = _extend(words.copy(), precision, signed)
        if not (masked == full).all() and (not is_signed or int(words.max()) >> form.stored):
            bits = precision
    if bits != form.stored or (signed and not form.signed):
        sign = "signed " if signed else ""
        text = f"{sign}{precision} bits in the stream, {form.stored} in the header"
        notes.append(("BITS_MISMATCH", text))
    return _extend(words, bits, is_signed), bits


def _extend(values: Pixels, bits: int, signed: bool) -> Pixels:
    """Mask unsigned words to `bits`, in place; with `signed`, sign-extend to a signed type."""
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

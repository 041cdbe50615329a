"""Image properties from the header alone: decodable, and possibly with burned-in names."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array, filled
from wetread.headers.encodings import is_decodable
from wetread.headers.extent import Stated
from wetread.headers.walks import Syntaxes

Bools = npt.NDArray[np.bool_]

# Storage classes (PS3.4 B.5) of screen captures and ultrasound, with burned-in names.
_CAPTURES = tuple(f"1.2.840.10008.5.1.4.1.1.7{n}" for n in ("", ".1", ".2", ".3", ".4"))
_SOUNDS = tuple(f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("3", "3.1", "6", "6.1", "6.2"))
_KINDS = [*_CAPTURES, *_SOUNDS]
_MODALITIES = ["US", "IVUS"]


def find_decodable(
    stated: Stated,
    syntax: Syntaxes,
    pixels: Bools,
    floats: Bools,
    cut: Bools,
    open_ended: Bools,
) -> pa.Array:
    """Texts "yes" or "no" for rows with pixels, null for the others.

    "no" is a transfer syntax that has no decoder, such as video; a form that cannot be: no size,
    more bits stored than allocated, more than four samples; or a row of `cut`, whose first frame is
    truncated and uncompressed or whose form is unreadable.
    Without a transfer syntax only pixels of undefined length are decoded, by what they hold.
    """
    yes = ~syntax.where(bool) & open_ended
    yes |= syntax.where(is_decodable)
    yes &= ~cut
    for size in (stated.rows, stated.columns):
        yes &= (size > 0) & (size <= 65535)
    yes &= np.isin(stated.samples, range(5))
    bits = stated.allocated
    yes &= floats | ((bits > 0) & (bits <= 64) & (stated.stored <= bits))
    return array(["no", "yes"], pa.string()).take(array(yes.astype(np.int8), pa.int8(), ~pixels))


def check_burned_in(columns: dict[str, pa.Array], pixels: Bools) -> Iterator[tuple[list[int], str]]:
    """Rows whose images may contain burned-in names, and the reason: the tag or the kind of image.

    Burned In Annotation NO is trusted; the pixels are not read.
    """

    def holds(keyword: str, wanted: list[str]) -> Bools:
        values = columns.get(keyword)
        if values is None:
            return np.zeros(len(pixels), np.bool_)
        return filled(pc.is_in(values, array(wanted, pa.string())), False)

    tagged = holds("BurnedInAnnotation", ["YES"]) & pixels
    denied = holds("BurnedInAnnotation", ["NO"])
    kind = (holds("SOPClassUID", _KINDS) | holds("Modality", _MODALITIES)) & pixels & ~denied
    kind &= ~tagged
    yield np.flatnonzero(tagged).tolist(), "the header says so; Burned In Annotation is YES"
    text = "a screen capture or ultrasound; Burned In Annotation is not NO"
    yield np.flatnonzero(kind).tolist(), text

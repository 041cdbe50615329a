"""Seeded damage to the headers of real files; a case number always gives the same file.

>>> mutant(bytes(range(64)), 7) == mutant(bytes(range(64)), 7)
True
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from wetread.errors import MissingExtraError
from wetread.settings import KIB
from wetread.testing.structure import LENGTHS, LONG_VRS, STRUCTURAL

_VR = re.compile(rb"AE|AS|AT|CS|D[AST]|F[DL]|IS|L[OT]|O[BDFLVW]|PN|S[HLQSTV]|TM|U[CILNRSTV]")


def seed_files(largest: int = 300 * KIB) -> list[Path]:
    """Real files to damage, in a fixed order: those of pydicom and pydicom-data up to `largest`.

    Raises:
        MissingExtraError: pydicom-data is not installed.
    """
    import pydicom.data

    try:
        import data_store
    except ImportError:
        raise MissingExtraError("wetread.testing.seed_files", "demo") from None
    folders = [Path(pydicom.data.__file__).parent, Path(data_store.__file__).parent / "data"]
    files = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
    return [p for p in files if p.suffix in ("", ".dcm") and p.stat().st_size <= largest]


def case(number: int, seeds: Sequence[Path]) -> bytes:
    """Damaged file of a case: file `number % len(seeds)`, damaged with seed `number`."""
    return mutant(seeds[number % len(seeds)].read_bytes(), number)


def header_end(data: bytes | bytearray) -> int:
    """Offset of the value of Pixel Data, found by its tag; else the end of the file.

    >>> header_end(bytes(200))
    200
    """
    found = [at for tag in (b"\xe0\x7f\x10\0", b"\x7f\xe0\0\x10") if (at := data.find(tag)) >= 0]
    return min(min(found, default=len(data)) + 12, len(data))


def mutant(data: bytes, seed: int) -> bytes:
    """Damage the header of a DICOM file, deterministic in `seed`.

    One to three operations of: change a byte, a bit or a length, delete or insert bytes, truncate;
    at every level, swap VRs, change lengths, cut escapes, duplicate and reorder elements.
    """
    rng = random.Random(seed)  # noqa: S311  (damage, not secrets)
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        operation = rng.choice(OPERATIONS)
        operation(damaged, rng, max(header_end(damaged), 1))
    return bytes(damaged)


def _byte(data: bytearray, rng: random.Random, end: int) -> None:
    if data:
        data[rng.randrange(min(end, len(data)))] = rng.choice((0, 0xFF, 0x20, rng.randrange(256)))


def _bit(data: bytearray, rng: random.Random, end: int) -> None:
    if data:
        data[rng.randrange(min(end, len(data)))] ^= 1 << rng.randrange(8)


def _length(data: bytearray, rng: random.Random, end: int) -> None:
    offsets = [m.start() for m in _VR.finditer(data, 132, end)]
    at = rng.choice(offsets) if offsets else rng.randrange(end)
    value = rng.choice((*LENGTHS, rng.randrange(1 << 16)))
    if bytes(data[at : at + 2]) in LONG_VRS:
        at, size = at + 4, 4
    else:
        at, size = at + 2, 2 if offsets else 4
    data[at : at + size] = struct.pack("<I", value)[:size]


def _delete(data: bytearray, rng: random.Random, end: int) -> None:
    at = rng.randrange(end)
    del data[at : at + rng.choice((1, 2, 4, 8, rng.randrange(1, 200)))]


def _insert(data: bytearray, rng: random.Random, end: int) -> None:
    at = rng.randrange(end)
    data[at:at] = rng.choice(
        (rng.randbytes(rng.randrange(1, 40)), data[at : at + 64], b"\0", b"\\")
    )


def _cut(data: bytearray, rng: random.Random, end: int) -> None:
    del data[rng.randrange(end) :]


BYTEWISE: tuple[Callable[[bytearray, random.Random, int], None], ...] = (
    _byte,
    _bit,
    _length,
    _delete,
    _insert,
    _cut,
)
"""Kinds of damage that need no structure."""
OPERATIONS = (*BYTEWISE, *STRUCTURAL)
"""Kinds of damage, equally likely."""

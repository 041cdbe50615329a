"""Seeded damage to the pixels of real files, for every decoder: one integer is one case."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from wetread.headers.encodings import KINDS
from wetread.settings import KIB
from wetread.testing.mutate import STROKES, seed_files

Seed = tuple[str, bytes, int]
"""Name, the file, and where the value of its pixel element starts."""
_HTJ2K = "1.2.840.10008.1.2.4.201"
_ENCODERS = {
    _HTJ2K: "htj2k_encode",
    "1.2.840.10008.1.2.4.110": "jpegxl_encode",
}
"""Of the kinds that no public test file is small enough for."""
_HEAD = 700
"""Bytes that hold the markers of most code-streams."""
_BYTE, _BIT, _, _DELETE, _INSERT, _CUT = STROKES


def pixel_seeds(folders: Sequence[Path] = (), largest: int = 300 * KIB) -> dict[str, list[Seed]]:
    """Real files by the kind of their pixels, in a fixed order: those of `seed_files`, and more.

    HTJ2K and JPEG XL are made from one of them.

    Raises:
        MissingExtraError: pydicom-data is not installed.
    """
    import wetread

    paths = seed_files(largest)
    paths += [p for f in folders for p in sorted(f.rglob("*")) if p.is_file()]
    index = wetread.scan(paths, workers=0, progress=False).where(
        f"decodable = 'yes' AND pixel_offset IS NOT NULL AND file_size <= {largest}"
    )
    seeds: dict[str, list[Seed]] = {kind: [] for kind in KINDS.values()}
    for image in index:
        path = Path(index.root, image.path)
        seed = (path.name, path.read_bytes(), image.row["pixel_offset"])
        seeds[KINDS[image.row["transfer_syntax"]]].append(seed)
    whole = next(path for path in paths if path.name == "CT_small.dcm")
    for syntax, encoder in _ENCODERS.items():
        seeds[KINDS[syntax]].append(_transcode(whole, syntax, encoder))
    return seeds


def _transcode(path: Path, syntax: str, encoder: str) -> Seed:
    """A file of one frame in another transfer syntax."""
    import imagecodecs
    from pydicom import dcmread
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    data_set = dcmread(path)
    pixels = data_set.pixel_array.view("u2")
    stream = bytes(getattr(imagecodecs, encoder)(pixels))
    data_set.file_meta.TransferSyntaxUID = UID(_HTJ2K)
    data_set.PixelData = encapsulate([stream])
    data_set["PixelData"].VR = "OB"
    data_set["PixelData"].is_undefined_length = True
    sink = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set.save_as(sink)
    data = sink.getvalue().replace(_HTJ2K.encode(), syntax.encode())  # pydicom knows no JPEG XL
    return f"{path.stem} as {KINDS[syntax]}", data, data.rindex(b"\xe0\x7f\x10\x00OB") + 12


def pixel_case(number: int, seeds: Mapping[str, Sequence[Seed]]) -> tuple[str, bytes]:
    """A kind of pixels and a file with damage to them, the same for the same number.

    The kinds take turns. One to three strokes of: a byte or a bit changed, bytes deleted or
    inserted, the file cut; half of them where the code-stream says what it is.
    """
    kinds = [kind for kind in seeds if seeds[kind]]
    kind = kinds[number % len(kinds)]
    _, data, start = seeds[kind][number // len(kinds) % len(seeds[kind])]
    rng = random.Random(number)  # noqa: S311  (damage, not secrets)
    damaged = bytearray(data[start:])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        stroke = rng.choice((_BYTE, _BYTE, _BIT, _BIT, _DELETE, _INSERT, _CUT))
        end = min(_HEAD, len(damaged)) if rng.random() < 0.5 else len(damaged)
        stroke(damaged, rng, max(end, 1))
    return kind, data[:start] + bytes(damaged)

"""Seeded damage to the pixels of real files, for every decoder, by case number."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from wetread.headers.encodings import KINDS
from wetread.settings import KIB
from wetread.testing.mutate import BYTEWISE, seed_files

Seed = tuple[str, bytes, int]
"""Name, bytes of the file, and offset of the value of its pixel element."""
_HTJ2K = "1.2.840.10008.1.2.4.201"
_ENCODERS = {
    _HTJ2K: "htj2k_encode",
    "1.2.840.10008.1.2.4.110": "jpegxl_encode",
}
"""Encoders of the kinds without a small public test file."""
_HEAD = 700
"""Length in bytes that covers the markers of most code streams."""
_BYTE, _BIT, _, _DELETE, _INSERT, _CUT = BYTEWISE


def pixel_seeds(folders: Sequence[Path] = (), largest: int = 300 * KIB) -> dict[str, list[Seed]]:
    """Real files by kind of pixels, in a fixed order: those of `seed_files` and of `folders`.

    HTJ2K and JPEG XL are transcoded from one of them.

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
    """Transcode a file of one frame to another transfer syntax."""
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
    """Kind of pixels and a file with damaged pixels, deterministic in `number`.

    The kinds alternate. One to three operations of: change a byte or a bit, delete or insert
    bytes, truncate; half of them within the markers of the code stream.
    """
    kinds = [kind for kind in seeds if seeds[kind]]
    kind = kinds[number % len(kinds)]
    _, data, start = seeds[kind][number // len(kinds) % len(seeds[kind])]
    rng = random.Random(number)  # noqa: S311  (damage, not secrets)
    damaged = bytearray(data[start:])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        operation = rng.choice((_BYTE, _BYTE, _BIT, _BIT, _DELETE, _INSERT, _CUT))
        end = min(_HEAD, len(damaged)) if rng.random() < 0.5 else len(damaged)
        operation(damaged, rng, max(end, 1))
    return kind, data[:start] + bytes(damaged)

"""Data sets of the benchmarks: radiographs in VinBigData's form, and mixed real headers."""

from __future__ import annotations

import os
import random
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from wetread.testing.dicom import (
    JPEG2000,
    changed,
    code_stream,
    dicom_file,
    element,
    file_meta,
    radiograph,
)

FOLDER_FILES = 10_000
LEAST_ELEMENTS = 50


def write_films(folder: Path, count: int) -> list[str]:
    """Write radiographs in VinBigData's form: 17 elements, File Meta, J2K of undefined length.

    Ids, sex, age, size, window and weight vary between files; 20 to 50 KB each.
    """
    chance = random.Random(2)
    return [_write(folder / f"{i:06}.dicom", _film(i, chance)) for i in range(count)]


def _film(number: int, chance: random.Random) -> bytes:
    rows, columns = chance.randrange(2000, 3100), chance.randrange(1800, 3000)
    size = 2 * chance.randrange(10_000, 25_000)
    width = 2 ** chance.randrange(10, 15)
    film = changed(
        radiograph(17, rows=rows, columns=columns),
        element("PatientSex", chance.choice("MFO")),
        element("PatientAge", f"{chance.randrange(1, 100):03}Y"),
        element("PatientWeight", chance.choice(["", f"{chance.uniform(40, 120):.1f}"])),
        element("WindowCenter", str(width // 2)),
        element("WindowWidth", str(width)),
        element("PixelData", [b"", code_stream(rows, columns, size)]),
    )
    uid = element("MediaStorageSOPInstanceUID", f"2.25.{10**20 + chance.randrange(10**20)}")
    return dicom_file(film, JPEG2000, meta=changed(file_meta(film, JPEG2000), uid))


def _write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def mixed_sources(readable: Callable[[Sequence[str]], set[str]]) -> list[str]:
    """Headers of data set (b).

    All test files shipped with pydicom that pydicom and every installed peer read without an
    error and that have at least 50 elements, counting File Meta and private ones.

    Args:
        readable: selects the paths that the peers can read.
    """
    import pydicom.data

    base = Path(pydicom.data.__file__).parent
    paths = [p for p in sorted(base.rglob("*")) if p.is_file() and p.suffix in ("", ".dcm")]
    rich = [str(path) for path in paths if _count_elements(path) >= LEAST_ELEMENTS]
    peers = readable(rich)
    return [path for path in rich if path in peers]


def _count_elements(path: Path) -> int:
    """Number of top-level elements; 0 if pydicom cannot read the file or one of its values."""
    import pydicom

    with warnings.catch_warnings(action="ignore"):
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
            return sum(1 for part in (dataset.file_meta, dataset) for _ in part)
        except Exception:  # noqa: BLE001  (a bad file may raise any exception)
            return 0


def copy_mixed(folder: Path, sources: Sequence[str], count: int) -> list[str]:
    """Make `count` copies of the sources, equally often, in shuffled order."""
    kinds = [sources[i % len(sources)] for i in range(count)]
    random.Random(2).shuffle(kinds)
    return [shutil.copyfile(kind, f"{folder}/{i:06}.dcm") for i, kind in enumerate(kinds)]


def link_many(folder: Path, sources: Sequence[str], count: int) -> None:
    """Make `count` hard links to the sources in turn, in folders of 10,000."""
    for start in range(0, count, FOLDER_FILES):
        inner = folder / f"{start // FOLDER_FILES:03}"
        inner.mkdir(parents=True)
        for i in range(start, min(start + FOLDER_FILES, count)):
            os.link(sources[i % len(sources)], inner / f"{i:07}.dcm")

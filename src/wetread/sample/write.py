"""The sample's files: DICOM in VinBigData's form, and the tables of its readers."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.common.progress import Progress
from wetread.errors import StorageError, UsageError
from wetread.sample.lesions import CLASSES
from wetread.sample.phantom import Phantom, draw_phantom
from wetread.sample.readers import Marked, read_image
from wetread.testing.dicom import JPEG2000, Element, changed, dicom_file, element
from wetread.workers.local import count_cores

README = """\
These are phantoms: pictures computed by wetread, of nobody. They look like chest radiographs at a
glance and have the form of the VinBigData competition's files, so that code can be tried on them.
What a model learns here says that the code works, and nothing about medicine.

train/*.dicom           images, JPEG 2000 lossless, half of them MONOCHROME1
train.csv               what three simulated readers marked on each: they miss and disagree
test/*.dicom            images without labels
test_truth.csv          what is on them, in the same form; the reader is called "truth"
sample_submission.csv   the form to hand in
"""
COLUMNS = ("image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max")
_IDS = {name: number for number, name in CLASSES.items()}
_NOTHING = ("No finding", 14)
_TEST = 1_000_000
"""Numbers of test images begin here: more of one kind changes none of the other."""
Row = tuple[Any, ...]
Write = Callable[[int, Path, int, int, int], list[Row]]


def write_sample(
    folder: str | os.PathLike[str],
    images: int = 200,
    seed: int = 0,
    size: int = 640,
    *,
    test: int | None = None,
    bits: int = 12,
    progress: bool = True,
) -> Path:
    """Writes phantom chest radiographs with the boxes of three simulated readers.

    They are computed, of nobody; `README.txt` there says what is what. Image n is the same however
    many are written.

    Args:
        folder: where to: empty, new, or that of an earlier sample, whose images go.
        images: how many to train on.
        seed: another seed, other images.
        size: their longer side, in pixels.
        test: how many to test on; by default a quarter of `images`.
        bits: stored bits of a pixel, 8 to 16.
        progress: say on stderr how far it is.

    Returns:
        The folder.

    Raises:
        UsageError: fewer than one image, a size below 32 or above 4096, other bits; a folder with
            other files in it.
        StorageError: the folder cannot be written.
    """
    count = -(-images // 4) if test is None else test
    if images < 1 or count < 0 or not 32 <= size <= 4096 or not 8 <= bits <= 16:
        raise UsageError(
            "give 1 image or more, a size from 32 to 4096 and bits from 8 to 16, "
            f"not {images} and {count} images, {size}, {bits}"
        )
    folder = Path(folder)
    try:
        _clear(folder)
        bar = Progress(progress, images + count, "images")
        with bar, ThreadPoolExecutor(count_cores()) as threads:

            def write(how: Write, name: str, first: int, count: int) -> list[Row]:
                rows: list[Row] = []
                tasks = (repeat(x) for x in (folder / name, seed, size, bits))
                for some in threads.map(how, range(first, first + count), *tasks):
                    rows += some
                    bar.add(1)
                return rows

            _write_csv(folder / "train.csv", COLUMNS, write(_write_train, "train", 0, images))
            truth = write(_write_test, "test", _TEST, count)
            _write_csv(folder / "test_truth.csv", COLUMNS, truth)
        keys = dict.fromkeys(row[0] for row in truth)
        blank = [(key, "14 1 0 0 1 1") for key in keys]
        _write_csv(folder / "sample_submission.csv", ("image_id", "PredictionString"), blank)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error}") from error
    return folder


def _clear(folder: Path) -> None:
    """The folders for the images, empty; nobody's files but an earlier sample's are removed."""
    readme = folder / "README.txt"
    ours = readme.is_file() and readme.read_text(errors="replace") == README
    if not ours and folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} holds other files than a sample's; give a new or empty folder")
    for name in ("train", "test"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file in (folder / name).glob("*.dicom"):
            file.unlink()
    readme.write_text(README)


def _write_train(number: int, folder: Path, seed: int, size: int, bits: int) -> list[Row]:
    phantom, key = _write_image(number, folder, seed, size, bits)
    rows, columns = phantom.density.shape
    said = read_image(_clip(phantom), (rows, columns), phantom.chance)
    return [row for reader, marked in said.items() for row in _to_rows(key, reader, marked)]


def _write_test(number: int, folder: Path, seed: int, size: int, bits: int) -> list[Row]:
    phantom, key = _write_image(number, folder, seed, size, bits)
    return _to_rows(key, "truth", _clip(phantom))


def _clip(phantom: Phantom) -> Marked:
    rows, columns = phantom.density.shape
    ends = np.array([columns, rows] * 2)
    return [
        (label, tuple(np.clip(np.rint(corners), 0, ends).tolist()))
        for label, corners in phantom.boxes
    ]


def _to_rows(key: str, reader: str, marked: Marked) -> list[Row]:
    if not marked:
        return [(key, *_NOTHING, reader, "", "", "", "")]
    return [(key, label, _IDS[label], reader, *map(int, c)) for label, c in marked]


def _write_csv(path: Path, columns: tuple[str, ...], rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _write_image(number: int, folder: Path, seed: int, size: int, bits: int) -> tuple[Phantom, str]:
    phantom = draw_phantom(seed, number, size)
    key = hashlib.blake2b(f"{seed} {number}".encode(), digest_size=16).hexdigest()
    (folder / f"{key}.dicom").write_bytes(make_file(phantom, key, bits, inverted=number % 2 == 1))
    return phantom, key


def make_file(phantom: Phantom, key: str, bits: int, *, inverted: bool) -> bytes:
    """A DICOM file in VinBigData's form: few elements, no UID but in File Meta, no modality.

    Sex and age have the competition's quirks; a third of the files are in the article's form,
    with window, rescale and spacing.
    """
    chance = phantom.chance
    top = (1 << bits) - 1
    stored = np.rint((0.03 + 0.9 * phantom.density) * top).astype(np.uint16)
    if inverted:
        stored = (top - stored).astype(np.uint16)
    age = f"{chance.integers(18, 90):03}Y"
    elements = [
        element("PatientSex", str(chance.choice(["F", "M", "O", ""], p=[0.42, 0.48, 0.05, 0.05]))),
        element("PatientAge", str(chance.choice([age, "", "000Y"], p=[0.7, 0.15, 0.15]))),
        element("SamplesPerPixel", 1),
        element("PhotometricInterpretation", f"MONOCHROME{1 if inverted else 2}"),
        element("Rows", stored.shape[0]),
        element("Columns", stored.shape[1]),
        element("BitsAllocated", 16),
        element("BitsStored", bits),
        element("HighBit", bits - 1),
        element("PixelRepresentation", 0),
        element("PixelData", [b"", encode(stored, bits)]),
    ]
    if chance.random() < 1 / 3:
        elements = changed(elements, *_article_form(chance, top, inverted))
    meta = [
        element("FileMetaInformationVersion", b"\0\1"),
        element("MediaStorageSOPClassUID", "1.2.840.10008.5.1.4.1.1.1.1.1"),
        element("MediaStorageSOPInstanceUID", key),
        element("TransferSyntaxUID", JPEG2000),
        element("ImplementationClassUID", "2.25.20"),
    ]
    return dicom_file(elements, JPEG2000, meta=meta)


def _article_form(chance: np.random.Generator, top: int, inverted: bool) -> list[Element]:
    """What the article's file has beyond the others: the window holds the bright half and more."""
    width = round(top * chance.uniform(0.75, 0.85))
    center = width // 2 + round(top * 0.02)
    return [
        element("PixelSpacing", ["0.5", "0.5"]),
        element("WindowCenter", str(top - center if inverted else center)),
        element("WindowWidth", str(width)),
        element("RescaleIntercept", "0"),
        element("RescaleSlope", "1"),
    ]


def encode(stored: NDArray[np.uint16], bits: int) -> bytes:
    """A JPEG 2000 code stream, lossless, padded to even length."""
    import imagecodecs

    stream = imagecodecs.jpeg2k_encode(
        stored, level=0, reversible=True, codecformat="j2k", bitspersample=bits
    )
    return bytes(stream) + b"\0" * (len(stream) % 2)

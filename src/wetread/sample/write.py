"""Files of the sample: DICOM in the form of VinBigData, and CSV tables of the readers' boxes."""

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
from wetread.sample.phantom import draw_phantom
from wetread.sample.readers import Marked, read_image
from wetread.sample.shapes import Phantom
from wetread.testing.dicom import JPEG2000, Element, changed, dicom_file, element
from wetread.workers.local import count_cores

README = """\
These are phantoms: synthetic chest radiographs computed by wetread, without patient data. They
have the form of the VinBigData competition's files and exercise the pipeline. Results on them say
nothing about clinical accuracy.

train/*.dicom           images, JPEG 2000 lossless, half of them MONOCHROME1
train.csv               boxes of three simulated readers per image, who miss lesions and disagree
test/*.dicom            images without labels
test_truth.csv          their true boxes, in the same form; the reader is called "truth"
sample_submission.csv   template of a submission
"""
COLUMNS = ("image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max")
_IDS = {name: number for number, name in CLASSES.items()}
_NOTHING = ("No finding", 14)
_TEST = 1_000_000
"""Number of the first test image: more training images do not change the test images."""
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
    """Write synthetic chest radiographs (phantoms) with boxes of three simulated readers.

    They contain no patient data; `README.txt` in the folder describes the files. Image n does not
    depend on the number of images.

    Args:
        folder: output folder: empty, new, or an earlier sample, whose images are replaced.
        images: number of training images.
        seed: random seed.
        size: longer side of an image, in pixels.
        test: number of test images (default: a quarter of `images`).
        bits: Bits Stored, 8 to 16.
        progress: show progress on stderr.

    Returns:
        The folder.

    Raises:
        UsageError: fewer than one image, a size below 32 or above 4096, invalid bits, or a folder
            that contains other files.
        StorageError: the folder cannot be written.
    """
    count = -(-images // 4) if test is None else test
    if images < 1 or count < 0 or not 32 <= size <= 4096 or not 8 <= bits <= 16:
        raise UsageError(
            "images must be at least 1, test at least 0, size 32 to 4096 and bits 8 to 16, "
            f"not images={images}, test={count}, size={size}, bits={bits}"
        )
    folder = Path(folder)
    try:
        _clear(folder)
        bar = Progress(progress, images + count, "images")
        with bar, ThreadPoolExecutor(count_cores()) as threads:

            def write(one: Write, name: str, first: int, count: int) -> list[Row]:
                rows: list[Row] = []
                options = (repeat(x) for x in (folder / name, seed, size, bits))
                for image_rows in threads.map(one, range(first, first + count), *options):
                    rows += image_rows
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
    """Create the folders for the images; remove files of an earlier sample, and no others."""
    readme = folder / "README.txt"
    ours = readme.is_file() and readme.read_text(errors="replace") == README
    if not ours and folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} contains other files; choose a new or empty folder")
    for name in ("train", "test"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file in (folder / name).glob("*.dicom"):
            file.unlink()
    readme.write_text(README)


def _write_train(number: int, folder: Path, seed: int, size: int, bits: int) -> list[Row]:
    phantom, key = _write_image(number, folder, seed, size, bits)
    rows, columns = phantom.density.shape
    readings = read_image(_clip(phantom), (rows, columns), phantom.rng)
    return [row for reader, marked in readings.items() for row in _to_rows(key, reader, marked)]


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
    """DICOM file in the form of VinBigData: few elements, no modality, UIDs in File Meta only.

    Sex and age have the quirks of the competition's files. A third of the files also have window,
    rescale and spacing, like the file of the fastai tutorial.
    """
    rng = phantom.rng
    top = (1 << bits) - 1
    stored = np.rint((0.03 + 0.9 * phantom.density) * top).astype(np.uint16)
    if inverted:
        stored = (top - stored).astype(np.uint16)
    age = f"{rng.integers(18, 90):03}Y"
    elements = [
        element("PatientSex", str(rng.choice(["F", "M", "O", ""], p=[0.42, 0.48, 0.05, 0.05]))),
        element("PatientAge", str(rng.choice([age, "", "000Y"], p=[0.7, 0.15, 0.15]))),
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
    if rng.random() < 1 / 3:
        elements = changed(elements, *_tutorial_elements(rng, top, inverted))
    meta = [
        element("FileMetaInformationVersion", b"\0\1"),
        element("MediaStorageSOPClassUID", "1.2.840.10008.5.1.4.1.1.1.1.1"),
        element("MediaStorageSOPInstanceUID", key),
        element("TransferSyntaxUID", JPEG2000),
        element("ImplementationClassUID", "2.25.20"),
    ]
    return dicom_file(elements, JPEG2000, meta=meta)


def _tutorial_elements(rng: np.random.Generator, top: int, inverted: bool) -> list[Element]:
    """Additional elements of the fastai tutorial's file; the window covers most of the range."""
    width = round(top * rng.uniform(0.75, 0.85))
    center = width // 2 + round(top * 0.02)
    return [
        element("PixelSpacing", ["0.5", "0.5"]),
        element("WindowCenter", str(top - center if inverted else center)),
        element("WindowWidth", str(width)),
        element("RescaleIntercept", "0"),
        element("RescaleSlope", "1"),
    ]


def encode(stored: NDArray[np.uint16], bits: int) -> bytes:
    """Encode as a lossless JPEG 2000 code stream, padded to even length."""
    import imagecodecs

    stream = imagecodecs.jpeg2k_encode(
        stored, level=0, reversible=True, codecformat="j2k", bitspersample=bits
    )
    return bytes(stream) + b"\0" * (len(stream) % 2)

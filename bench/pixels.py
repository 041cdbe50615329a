"""Display, decoding and measuring, compared with pydicom and fastai: python bench/pixels.py.

One thread, best of several runs, to reduce the influence of a busy machine.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import data_store
import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.multival import MultiValue
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import JPEG2000Lossless

import wetread as wr
from figures import Figure, name_version, save, tabulate
from wetread.display.pipeline import read_pipeline
from wetread.display.render import render
from wetread.imaging import resize
from wetread.measure.statistics import measure
from wetread.pixels import decode_reduced, open_frames, read_frame

FILES = Path(data_store.__file__).parent / "data"
WHY_UNCOMPRESSED = "the histogram, the image-quality metrics and reading take most of the time"

from_dicoms: Callable[..., object] | None = None


def best(run: Callable[[], object], times: int = 15) -> float:
    """Shortest time of a call, in ms."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return 1000 * min(taken)


def show_by_pydicom(stored: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    """As in typical notebooks: both LUTs, invert, scale to 8 bits."""
    values = apply_voi_lut(apply_modality_lut(stored, header), header).astype(float)
    low, high = values.min(), values.max()
    grey = ((values - low) / (high - low) * 255).astype(np.uint8)
    return 255 - grey if header.PhotometricInterpretation == "MONOCHROME1" else grey


def measure_as_fastai(path: Path) -> dict[str, object]:
    """Copy of fastai 2.8's from_dicoms(px_summ=True) for one file, without torch.

    Its `as_dict`: every element by keyword with lists spread over columns, four moments of the
    pixel array, and `pct_in_window(80, 40)`, on float32 arrays instead of tensors.
    """
    dcm = pydicom.dcmread(path)
    values = [dcm[tag] for tag in dcm.keys() if tag != 0x7FE00010]  # noqa: SIM118
    row: dict[str, object] = {}
    for keyword, value in ((v.keyword, v.value) for v in values):
        if isinstance(value, MultiValue):
            row[f"Multi{keyword}"] = 1
            row |= {f"{keyword}{i or ''}": one for i, one in enumerate(value)}
        else:
            row[keyword] = value
    row["fname"] = dcm.filename
    stored = dcm.pixel_array
    for name in ("min", "max", "mean", "std"):
        row[f"img_{name}"] = getattr(stored, name)()
    scaled = dcm.pixel_array.astype(np.float32)
    if dcm.get("Modality") != "CR":
        scaled = scaled * float(dcm.get("RescaleSlope", 1)) + float(dcm.get("RescaleIntercept", 0))
    width, level = 80, 40
    inside = (scaled > level - width // 2) & (scaled < level + width // 2)
    row["img_pct_window"] = inside.astype(np.float32).mean().item()
    return row


def make_radiographs(folder: Path, count: int, compressed: bool) -> list[Path]:
    """Write different radiographs of 2560 x 2048 pixels, 16 bits, derived from a real one."""
    header = pydicom.dcmread(FILES / "RG1_UNCR.dcm")
    pixels = resize(header.pixel_array, (2560, 2048))
    header.Rows, header.Columns = pixels.shape
    paths = []
    for number in range(count):
        moved = np.roll(pixels, 8 * number, axis=1)
        header.InstanceNumber = number
        header.PixelData = moved.tobytes()
        if compressed:
            stream = bytes(imagecodecs.jpeg2k_encode(moved, reversible=True, level=0))
            header.PixelData = encapsulate([stream])
            header.file_meta.TransferSyntaxUID = JPEG2000Lossless
            header["PixelData"].VR, header["PixelData"].is_undefined_length = "OB", True
        paths.append(folder / f"{number:03}.dcm")
        header.save_as(paths[-1])
    return paths


def compare_measure(count: int, compressed: bool, size: int | None, least: float) -> Figure:
    """Time per file of `Index.measure` in one worker, compared with fastai's loop over the files.

    Excludes the start of the worker, 0.7 s, and the import of fastai.
    """
    with tempfile.TemporaryDirectory() as name:
        paths = make_radiographs(Path(name), count, compressed)
        index = wr.scan(name, workers=0, progress=False)

        def ours(rows: wr.Index) -> None:
            measured = rows.measure(size, workers=1, progress=False)
            assert set(measured.table["px_status"].to_pylist()) == {"ok"}

        def theirs() -> None:
            if from_dicoms is not None:
                from_dicoms(paths, n_workers=0, px_summ=True)
                return
            for path in paths:
                measure_as_fastai(path)

        kind = "JPEG 2000" if compressed else "uncompressed"
        title = f"`measure` of {count} {kind} 5-MP files, size={size}, per file"
        runs = 1 if compressed else 3
        start = best(lambda: ours(index[:1]), 3)
        per_file = (best(lambda: ours(index), 3) - start) / (count - 1)
        why = "" if compressed else WHY_UNCOMPRESSED
        peer = name_version("fastai") if from_dicoms else "fastai's code in NumPy"
        return compare(title, per_file, best(theirs, runs) / count, peer, least, why)


def measure_file(path: Path, header: pydicom.Dataset, offset: int, size: int | None) -> object:
    """Measure a file with known header and pixel offset: 18 numbers."""
    with open_frames(path, header, offset) as frames:
        return measure([(read_frame(frames, size=size), read_pipeline(header))])


def compare(
    name: str, ours: float, theirs: float, peer: str, least: float | None, why: str = ""
) -> Figure:
    return Figure(name, ours, "ms", peer=peer, other=theirs, least=least, why=why)


def compare_display() -> Figure:
    with open_frames(FILES / "RG1_UNCR.dcm") as frames:
        header, frame = frames.header, read_frame(frames)
    chain, stored = read_pipeline(header), frame.values
    return compare(
        "display of a radiograph, 3.6 MP, 16 bits",
        best(lambda: render(frame, chain)),
        best(lambda: show_by_pydicom(stored, header)),
        f"{name_version('pydicom')}, both LUTs and scaling",
        10,
    )


def compare_reduced() -> list[Figure]:
    """JPEG 2000 at a quarter of the size, compared with the full decode of the same library."""
    figures = []
    for name in ("RG1", "RG3", "MR2"):
        for kind, least in (("R", 8), ("I", 5)):
            with open_frames(FILES / f"{name}_J2K{kind}.dcm") as frames:
                data, form = frames.read(0), frames.form
                size = -(-max(form.rows, form.columns) // 4)
                figures.append(
                    compare(
                        f"JPEG 2000 {'lossless' if kind == 'R' else 'lossy'}, {name}: a quarter",
                        best(lambda d=data, f=form, s=size: decode_reduced(d, f, s)),
                        best(lambda fs=frames: read_frame(fs), 5),
                        "the full decode",
                        least,
                    )
                )
    return figures


def compare_files() -> list[Figure]:
    """Measure one file with known header and offset, compared with fastai's code."""
    figures = []
    for name, size, least in (("RG1_UNCR", None, 1), ("RG1_J2KR", None, 0.9), ("RG1_J2KR", 460, 8)):
        path = FILES / f"{name}.dcm"
        with open_frames(path) as frames:
            header, offset = frames.header, frames.offset
        figures.append(
            compare(
                f"statistics of {name} from the file, size={size}",
                best(lambda p=path, h=header, o=offset, s=size: measure_file(p, h, o, s), 3),
                best(lambda p=path: measure_as_fastai(p), 3),
                "fastai's code in NumPy",
                least,
            )
        )
    return figures


def find_fastai() -> Callable[..., object] | None:
    """fastai's `DataFrame.from_dicoms` on one thread; None if fastai is not installed."""
    try:
        import fastai.medical.imaging  # noqa: F401
        import pandas
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    function: Callable[..., object] = pandas.DataFrame.from_dicoms
    return function


def measure_memory() -> Figure:
    """Peak memory of a worker of `measure`; before the import of fastai, which forks inherit."""
    with tempfile.TemporaryDirectory() as name:
        make_radiographs(Path(name), 6, True)
        wr.scan(name, workers=0, progress=False).measure(workers=1, progress=False)
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    frames = 3 * 2560 * 2048 * 2 / 2**20  # the goal is 300 MiB and three frames
    return Figure("`measure`: memory of a worker, 5-MP files", worker, "MiB", most=300 + frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1, help="factor for the number of files")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    plain, compressed = (max(3, round(n * options.scale)) for n in (60, 12))
    figures = [compare_display(), *compare_reduced(), *compare_files(), measure_memory()]
    global from_dicoms
    from_dicoms = find_fastai()
    figures.append(compare_measure(plain, False, None, 4))
    figures.append(compare_measure(compressed, True, 512, 8))
    save(options.json, figures, {})
    print("\n".join(tabulate(figures)))


if __name__ == "__main__":
    main()

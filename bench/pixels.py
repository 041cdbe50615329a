"""Ratios of the pixel rooms to pydicom on real radiographs: python bench/pixels.py.

One thread, the best of several runs, so that a busy machine disturbs little.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import data_store
import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from wetread.chain import read_chain
from wetread.display import render
from wetread.pixels import decode_reduced, open_frames, read_frame
from wetread.statistics import measure

FILES = Path(data_store.__file__).parent / "data"


def best(run: Callable[[], object], times: int = 15) -> float:
    """The shortest time of a call, in ms."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return 1000 * min(taken)


def show_by_pydicom(stored: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    """What a notebook does: both LUTs, invert, scale to 8 bits."""
    values = apply_voi_lut(apply_modality_lut(stored, header), header).astype(float)
    low, high = values.min(), values.max()
    grey = ((values - low) / (high - low) * 255).astype(np.uint8)
    return 255 - grey if header.PhotometricInterpretation == "MONOCHROME1" else grey


def measure_by_pydicom(path: Path) -> tuple[float, ...]:
    """The five numbers of fastai's px_summ from a file, without fastai's own overhead."""
    header = pydicom.dcmread(path)
    stored = header.pixel_array
    scaled = stored.astype(np.float32) * float(header.get("RescaleSlope", 1))
    scaled += float(header.get("RescaleIntercept", 0))
    inside = ((scaled > 0) & (scaled < 80)).mean()
    return stored.min(), stored.max(), stored.mean(), stored.std(), inside


def measure_file(path: Path, header: pydicom.Dataset, offset: int, size: int | None) -> object:
    """The 18 numbers from a file whose header and offset the index has."""
    with open_frames(path, header, offset) as frames:
        return measure([(read_frame(frames, size=size), read_chain(header))])


def compare(name: str, ours: float, theirs: float, wanted: float) -> None:
    ratio = theirs / ours
    verdict = "ok" if ratio >= wanted else "MISSED"
    print(f"{name:44} {ours:8.1f} ms {theirs:8.1f} ms {ratio:7.1f} x  (>= {wanted:g}) {verdict}")


def main() -> None:
    warnings.simplefilter("ignore")
    print(f"{'':44} {'wetread':>11} {'other':>11} {'ratio':>9}")
    with open_frames(FILES / "RG1_UNCR.dcm") as frames:
        header, frame = frames.header, read_frame(frames)
        chain = read_chain(header)
        stored = frame.values
        compare(
            "display, 3.6 MP 16 bit, against pydicom",
            best(lambda: render(frame, chain)),
            best(lambda: show_by_pydicom(stored, header)),
            10,
        )
    for name, wanted in (("RG1", 8), ("RG3", 8), ("MR2", 8)):
        for kind, least in (("R", wanted), ("I", 5)):
            with open_frames(FILES / f"{name}_J2K{kind}.dcm") as frames:
                data, form = frames.read(0), frames.form
                size = -(-max(form.rows, form.columns) // 4)
                compare(
                    f"{name} JPEG 2000 {'lossless' if kind == 'R' else 'lossy'}, 1/4 against full",
                    best(lambda d=data, f=form, s=size: decode_reduced(d, f, s)),
                    best(lambda fs=frames: read_frame(fs), 5),
                    least,
                )
    for name, size, least in (("RG1_UNCR", None, 1), ("RG1_J2KR", None, 0.9), ("RG1_J2KR", 460, 8)):
        path = FILES / f"{name}.dcm"
        with open_frames(path) as frames:
            header, offset = frames.header, frames.offset
        compare(
            f"measure {name} from the file, size={size}",
            best(lambda p=path, h=header, o=offset, s=size: measure_file(p, h, o, s), 3),
            best(lambda p=path: measure_by_pydicom(p), 3),
            least,
        )


if __name__ == "__main__":
    main()

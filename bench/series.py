"""The series table of a million slices, and volumes compared with other readers.

Seconds from the open index to the table, to the array of a volume, and to its NIfTI file; the
peers get the names of the files in order: python bench/series.py
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import imagecodecs
import numpy as np
import pyarrow as pa
import pydicom

import wetread as wr
from figures import Figure, save, tabulate
from wetread.headers.schema import CORE, column_of, unify
from wetread.table.parts import Generation, Options, commit_generation, locked, write_part
from wetread.table.rows import IndexRows
from wetread.testing.dicom import EXPLICIT, JPEG2000, changed, dicom_file, element, picture
from wetread.testing.pixel_files import even

SLICES = 250
PART_ROWS = 100_000
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
ACQUISITION, ECHO = column_of(0x00200012), column_of(0x00180081)
SCHEMA = unify([pa.schema([*CORE, ACQUISITION.field(), ECHO.field()])])
ODD = 8
"""One series in so many is damaged or has several volumes."""


def make_index(folder: Path, count: int) -> None:
    """Index of `count` series of 250 slices; every eighth is irregular in one of four ways."""
    options, parts = Options("/data"), []
    per_part = PART_ROWS // SLICES
    with locked(folder):
        for first in range(0, count, per_part):
            numbers = np.arange(first, min(first + per_part, count))
            parts.append(write_part(folder, make_rows(numbers), options))
        commit_generation(folder, Generation(1, options, SCHEMA, tuple(parts), {}))


def make_rows(series: np.ndarray) -> pa.Table:
    """Rows of some series, shuffled within each."""
    chance = np.random.default_rng(int(series[0]))
    s = np.repeat(series, SLICES)
    slice_ = np.concatenate([chance.permutation(SLICES) for _ in series])
    count = len(s)
    kind = np.where(s % ODD == 0, s // ODD % 4 + 1, 0)
    position = np.empty((count, 3))
    position[:, :2] = chance.uniform(-200, -100, (len(series), 2)).round(4).repeat(SLICES, 0)
    position[:, 2] = slice_ * 1.25 - 100
    position[:, 2] += np.where((kind == 1) & (slice_ >= 100), 1.25, 0)  # one is missing
    position[:, 0] += np.where((kind == 2) & (slice_ == 7), 5, 0)  # one is shifted
    half = kind == 3  # two acquisitions
    position[half, 2] = slice_[half] % (SLICES // 2) * 1.25
    position[:, 1] += np.where(kind == 4, slice_ * 0.3, 0)  # gantry tilt
    uid = [f"1.2.826.0.1.3680043.8.498.{n:08d}" for n in series]
    columns = {
        "id": [f"{n * SLICES + i:016x}" for n, i in zip(s, slice_, strict=True)],
        "path": [f"{n:06d}/{i:04d}.dcm" for n in series for i in range(SLICES)],
        "member": [""] * count,
        "file_size": np.full(count, 525_000),
        "read_status": ["ok"] * count,
        "header_hash": chance.integers(0, 2**32, count),
        "pixel_offset": np.full(count, 1_000),
        "pixel_length": np.full(count, 524_288),
        "transfer_syntax": ["1.2.840.10008.1.2.1"] * count,
        "SOPClassUID": [CT if n % 2 else MR for n in s],
        "SOPInstanceUID": [f"{uid[n - series[0]]}.{i}" for n, i in zip(s, slice_, strict=True)],
        "StudyInstanceUID": [f"1.2.826.0.1.3680043.8.499.{n // 4:08d}" for n in s],
        "SeriesInstanceUID": [uid[n - series[0]] for n in s],
        "PatientID": [f"P{n // 8:06d}" for n in s],
        "Modality": ["CT" if n % 2 else "MR" for n in s],
        "SeriesDescription": [f"Series {n % 40}" for n in s],
        "SeriesNumber": s % 40,
        "InstanceNumber": slice_ + 1,
        "ImageType": [["ORIGINAL", "PRIMARY", "AXIAL"]] * count,
        "ImagePositionPatient": position.round(6).tolist(),
        "ImageOrientationPatient": [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]] * count,
        "PixelSpacing": [[0.7, 0.7]] * count,
        "SliceThickness": np.full(count, 1.25),
        "SamplesPerPixel": np.ones(count, int),
        "Rows": np.full(count, 512),
        "Columns": np.full(count, 512),
        "AcquisitionNumber": np.where(half, slice_ // (SLICES // 2), 1),
        "EchoTime": np.full(count, 4.5),
    }
    arrays = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.nulls(count, field.type)
        for field in SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def write_series(folder: Path, shape: tuple[int, int, int], compressed: bool = False) -> list[str]:
    """Write an MR or, compressed, a CT series with noise; return the paths in order."""
    count, rows, columns = shape
    chance = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(rows), np.arange(columns)) % 1500
    base = (smooth + chance.normal(400, 30, (rows, columns))).clip(0, 4095).astype("<u2")
    kind = {"SOPClassUID": CT if compressed else MR, "Modality": "CT" if compressed else "MR"}
    for n in range(count):
        values = {
            **kind,
            "SOPInstanceUID": f"2.25.77.{n}",
            "SeriesInstanceUID": "2.25.78",
            "FrameOfReferenceUID": "2.25.79",
            "ImagePositionPatient": ["-120", "-110", f"{0.5 * n:g}"],
            "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
            "PixelSpacing": ["0.9", "0.9"],
        }
        pixels: Any = np.roll(base, n, 0)
        if compressed:
            values["PixelData"] = [b"", even(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k"))]
        else:
            values["PixelData"] = pixels.tobytes()
        elements = changed(
            picture(1, rows, columns),
            *(element(k, v, vr="OW" if k == "PixelData" else None) for k, v in values.items()),
            without=("RescaleSlope", "RescaleIntercept"),
        )
        data = dicom_file(elements, JPEG2000 if compressed else EXPLICIT)
        (folder / f"{n:04}.dcm").write_bytes(data)
    return [str(path) for path in sorted(folder.iterdir())]


def measure_volumes(
    folder: Path, slices: int, rounds: int
) -> tuple[list[Figure], dict[str, list[float]]]:
    """Time volumes beside SimpleITK, highdicom and dcm2niix, in turn."""
    native, packed, to = folder / "native", folder / "packed", folder / "to"
    for one in (native, packed, to):
        one.mkdir()
    names = write_series(native, (slices, 384, 274))
    write_series(packed, (max(8, slices // 12), 512, 512), compressed=True)
    index = wr.scan(native, folder / "native.index", progress=False)
    other = wr.scan(packed, progress=False)
    wanted = index.series[0].volume.read(slice(0, 4))
    runs: dict[str, Callable[[], Any]] = {
        "array": lambda: wr.Index.of(IndexRows.read(index.folder)).series[0].volume.array,
        "nii": lambda: index.series[0].volume.save(to / "a.nii"),
        "nii.gz": lambda: index.series[0].volume.save(to / "a.nii.gz"),
        "one thread": lambda: decode_with(1, other),
        "two threads": lambda: decode_with(2, other),
        **peers(names, to, wanted),
    }
    seconds = {name: [] for name in runs}
    for number in range(rounds + 1):  # the first one is not counted
        for name, run in runs.items():
            gc.collect()
            begun = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - begun)
    took = {name: median(times) for name, times in seconds.items()}
    return list_volumes(took, slices, measure_memory(folder / "native.index")), seconds


def peers(names: list[str], to: Path, wanted: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Other readers that are installed, by name."""
    found: dict[str, Callable[[], Any]] = {}
    if importlib.util.find_spec("SimpleITK"):
        import SimpleITK

        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(names)
        assert (SimpleITK.GetArrayFromImage(reader.Execute())[: len(wanted)] == wanted).all()
        found["SimpleITK"] = reader.Execute
    if importlib.util.find_spec("highdicom"):
        from highdicom import get_volume_from_series

        found["highdicom"] = lambda: get_volume_from_series([pydicom.dcmread(n) for n in names])
    program = shutil.which("dcm2niix", path=f"{Path(sys.executable).parent}{os.pathsep}/usr/bin")
    if program:
        for letter in "ny":
            command = [program, "-z", letter, "-b", "n", "-w", "1", "-f", "b", "-o", str(to)]
            run = partial(subprocess.run, [*command, str(Path(names[0]).parent)], check=True)
            found[f"dcm2niix -z {letter}"] = partial(run, capture_output=True)
    return found


def decode_with(threads: int, index: wr.Index) -> np.ndarray:
    """Decode the volume of an index with a number of threads."""
    os.environ["PYTHON_CPU_COUNT"] = str(threads)
    try:
        return index.series[0].volume.array
    finally:
        del os.environ["PYTHON_CPU_COUNT"]


MEMORY = """
import sys, wetread as wr
from pathlib import Path
def read(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024
volume = wr.Index.open(sys.argv[1]).series[0].volume
volume.read(slice(0, 2))
before = read("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
size = volume.array.nbytes
print(read("VmHWM") - before - size)
"""


def measure_memory(index: Path) -> float | None:
    """Peak memory beyond the array while a volume is decoded, in MB; Linux only."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, "-c", MEMORY, str(index)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1e6


def list_volumes(took: dict[str, float], slices: int, memory: float | None) -> list[Figure]:
    """Figures of volumes, with their goals."""
    size = f"{slices} slices of 384 x 274, uncompressed"

    def beside(name: str, mine: str, peer: str, least: float) -> Figure:
        other = took.get(peer)
        note = "" if other else f"not installed: {peer}"
        return Figure(name, took[mine], "s", peer=peer, other=other, least=least, note=note)

    return [
        beside(f"{size}: open index to float32", "array", "SimpleITK", 2),
        beside("The same", "array", "highdicom", 10),
        Figure("The same: memory beyond the array", memory, "MB", most=60),
        beside("The same to a `.nii` file", "nii", "dcm2niix -z n", 1),
        beside("The same to a `.nii.gz` file", "nii.gz", "dcm2niix -z y", 2),
        beside("JPEG 2000, 512 x 512, two threads", "two threads", "one thread", 1.7),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=4_000)
    parser.add_argument("--slices", type=int, default=384, help="of a volume; 0: no volumes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wetread-bench-") as name:
        folder = Path(name, "index")
        make_index(folder, options.series)
        index = IndexRows.read(folder)
        seconds = {"table": [], "slices": []}
        for _ in range(options.rounds):
            opened = wr.Index.of(index)
            gc.collect()
            begun = time.perf_counter()
            rows = opened.series.table
            seconds["table"].append(time.perf_counter() - begun)
            begun = time.perf_counter()
            opened.query("SELECT count(slice_index) FROM slices")
            seconds["slices"].append(time.perf_counter() - begun)
        assert rows.num_rows == options.series
    named = f"{options.series * SLICES:,} slices in {options.series:,} series"
    figures = [
        Figure(f"Series table of {named}", median(seconds["table"]), "s", most=2.0),
        Figure("Then the view `slices`", median(seconds["slices"]), "s"),
    ]
    if options.slices:
        with tempfile.TemporaryDirectory(prefix="wetread-bench-") as name:
            volumes, more = measure_volumes(Path(name), options.slices, options.rounds)
        figures += volumes
        seconds |= more
    save(options.json, figures, seconds)
    print("\n".join(tabulate(figures)))


if __name__ == "__main__":
    main()

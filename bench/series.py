"""The series table of a million slices: seconds from the open index to the table.

python bench/series.py
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

import wetread as wr
from figures import Figure, save, tabulate
from wetread.headers.schema import CORE, column_of, unify
from wetread.table.parts import Generation, Options, commit_generation, locked, write_part
from wetread.table.rows import IndexRows

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=4_000)
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
    save(options.json, figures, seconds)
    print("\n".join(tabulate(figures)))


if __name__ == "__main__":
    main()

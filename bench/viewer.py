"""The viewer on loopback: first preview, thumbnails, a CT, and queries over a million rows.

python bench/viewer.py
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import wetread as wr
from wetread.boxes import Boxes
from wetread.headers.schema import CORE
from wetread.table.parts import Generation, Options, commit_generation, write_part
from wetread.table.query import query
from wetread.table.rows import IndexRows
from wetread.testing import dicom_file, element
from wetread.testing.dicom import changed, radiograph
from wetread.testing.series import stack, write
from wetread.viewer import Handle, serve

ROWS, COLUMNS = 2952, 2744
CT = (275, 512, 512)
"""Slices, rows and columns of a CT."""
JPEG2000 = "1.2.840.10008.1.2.4.90"
THUMBS = "48 thumbnails, 4 at a time"
PEER_SECONDS = 300
"""Time limit of all measurements of dcmview."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="factor for images and rows")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=["images", "volume", "rows"])
    parser.add_argument("--dcmview", default="dcmview", help="command of dcmview-py")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if options.only in (None, "images"):
            measured["images"] = measure_images(Path(folder), options)
        if options.only in (None, "volume"):
            measured["volume"] = measure_volume(Path(folder), options)
        if options.only in (None, "rows"):
            measured["rows"] = measure_rows(Path(folder), options)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1))
    for part in measured.values():
        print_table(part)


def measure_images(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Preview, quarter resolution and thumbnails of noisy 8-MP radiographs in JPEG 2000."""
    files = folder / "images"
    size = (int(ROWS * options.scale**0.5), int(COLUMNS * options.scale**0.5))
    count = max(options.rounds + 1, 48)
    make_radiographs(files, count, size)
    index = wr.scan(files, progress=False)
    took: dict[str, list[float]] = {}
    with running(index) as (client, _):
        ids = [row["id"] for row in client.get("api/rows?limit=500").json()["rows"]]
        seconds(client, f"api/images/{ids[-1]}/preview")  # the decoders are warm
        for id_ in ids[: options.rounds]:
            add(took, "first preview", seconds(client, f"api/images/{id_}/preview?size=1024"))
            add(took, "then its description", seconds(client, f"api/images/{id_}"))
            add(
                took, "then quarter resolution", seconds(client, f"api/images/{id_}/pixels?scale=4")
            )
        for id_ in ids[options.rounds : 2 * options.rounds]:
            requests = [f"api/images/{id_}", f"api/images/{id_}/pixels?scale=4"]
            add(took, "quarter resolution", sum(seconds(client, request) for request in requests))
        add(took, "full resolution", seconds(client, f"api/images/{ids[0]}/pixels?scale=1"))
    with running(index) as (client, _):
        seconds(client, f"api/images/{ids[0]}/preview")
        requests = [f"api/images/{id_}/thumb?size=256" for id_ in ids[:48]]
        add(took, THUMBS, in_parallel(client, requests))
    measured = {"took": took, "size": size}
    peer = shutil.which(options.dcmview)
    measured["dcmview"] = None if peer is None else measure_dcmview(peer, files, options.rounds)
    return measured


def measure_volume(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Slices of a CT in order, and planes of it, the first of which loads the volume."""
    shape = (max(8, int(CT[0] * options.scale)), *CT[1:])
    write_ct(folder / "ct", shape)
    index = wr.scan(folder / "ct", progress=False)
    took: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        with running(index) as (client, _):
            first = client.get("api/rows?limit=1").json()["rows"][0]["id"]
            seconds(client, f"api/images/{first}/preview")  # the decoders are warm
            add(took, "series: first tile", seconds(client, "api/series?limit=200"))
            row = client.get("api/series").json()["rows"][0]
            add(took, "first slice: preview", seconds(client, f"api/images/{row['id']}/preview"))
            add(took, "its stack", seconds(client, f"api/images/{row['id']}/stack"))
            found = client.get(f"api/images/{row['id']}/stack").json()
            for id_, *_ in found["slices"][:40]:
                add(took, "next slice", seconds(client, f"api/images/{id_}/pixels"))
            plane = f"api/series/{found['series']['id']}/{found['stack']}/plane"
            add(
                took,
                "first plane, loads the volume",
                seconds(client, f"{plane}?plane=coronal&at=9"),
            )
            for name in ("axial", "coronal", "sagittal"):
                for at in range(1, shape[0], max(1, shape[0] // 20)):
                    spent = seconds(client, f"{plane}?plane={name}&at={at}")
                    add(took, f"{name} plane", spent)
    return {"took": took, "size": shape[1:]}


def write_ct(folder: Path, shape: tuple[int, ...], seed: int = 0) -> None:
    """Write a CT with film noise, uncompressed, one file per slice."""
    count, rows, columns = shape
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    body = np.where(x**2 / 0.7 + y**2 / 0.4 < 1, 1064, 24) + 300 * np.sin(9 * x) * np.cos(7 * y)
    slices = stack(count, rows=rows, columns=columns, RescaleIntercept="-1024", RescaleSlope="1")
    for n, one in enumerate(slices):
        values = np.clip(body + n + random.normal(0, 20, body.shape), 0, 4095)
        one["pixels"] = values.astype("<u2").tobytes()
    write(folder, slices)


def measure_dcmview(command: str, files: Path, rounds: int) -> dict[str, list[float]] | str:
    """Measure dcmview with a warm server: a whole frame as PNG, and thumbnails if it has any.

    Its command starts a server that outlives it: the whole process group is killed, after
    `PEER_SECONDS` at the latest.
    """
    process = subprocess.Popen(
        [command, "--no-browser", "--startup-json", str(files)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    limit = threading.Timer(PEER_SECONDS, end)
    limit.start()
    try:
        return query_dcmview(process, rounds)
    except (httpx.HTTPError, StopIteration, KeyError) as error:
        late = "" if limit.is_alive() else f" (ended after {PEER_SECONDS} s)"
        return f"could not be measured{late}: {type(error).__name__}: {error}"
    finally:
        limit.cancel()
        end()
        process.communicate()


def query_dcmview(process: subprocess.Popen[str], rounds: int) -> dict[str, list[float]]:
    assert process.stdout is not None
    startup = json.loads(next(line for line in process.stdout if line.startswith("{")))
    head = {"Authorization": f"Bearer {startup.get('token', '')}"}
    took: dict[str, list[float]] = {}
    with httpx.Client(base_url=startup["base_url"], headers=head, timeout=PEER_SECONDS) as client:
        while not (listed := client.get("api/files").json()).get("scan_complete"):
            time.sleep(0.2)
        numbers = [file["index"] for file in listed["files"]]
        for round_, number in enumerate(numbers[: rounds + 1]):
            spent = seconds(client, f"api/file/{number}/frame/0")
            if round_:
                add(took, "first preview", spent)
        requests = [f"api/file/{n}/frame/0/thumbnail?size=256" for n in numbers[:48]]
        if client.get(requests[0]).status_code == 200:
            add(took, THUMBS, in_parallel(client, requests))
    return took


def measure_rows(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Pages, positions and facets of an index with a million rows, and of its boxes."""
    rows = max(1000, int(1_000_000 * options.scale))
    content = make_index(folder / "rows.index", rows)
    took: dict[str, list[float]] = {}
    measure_boxes(content, took, options.rounds)
    with running(content) as (client, _):
        add(took, "start: about", seconds(client, "api/about"))
        add(took, "start: first page", seconds(client, "api/rows?limit=200"))
        middle = f"offset={rows * 9 // 10}&limit=200"
        id_ = client.get(f"api/rows?{middle}").json()["rows"][0]["id"]
        for n in range(options.rounds):
            wheres = {
                "filter by a number": f"Rows > {1000 + n}",
                "filter by text": f"Modality = 'CT' AND Rows > {500 + n}",
                "filter by problems": f"len(problems) > 0 AND Rows > {500 + n}",
            }
            for name, where in wheres.items():
                ask = httpx.QueryParams(where=where, limit=200)
                add(took, name, seconds(client, f"api/rows?{ask}"))
                ask = httpx.QueryParams(where=where, id=id_)
                add(took, "place in what was filtered", seconds(client, f"api/position?{ask}"))
            add(took, "search", seconds(client, f"api/rows?search=study-{n}7&limit=200"))
            for name in ("Modality", "Rows", "StudyDate", "problems", "SeriesDescription"):
                request = httpx.QueryParams(columns=name, where=f"Columns > {n}")
                add(took, f"facet of {name}, filtered", seconds(client, f"api/facets?{request}"))
            add(took, "a page at nine tenths", seconds(client, f"api/rows?{middle}"))
            extra = f"api/rows?{middle}&columns=StudyDate,KVP"
            add(took, "with two more columns", seconds(client, extra))
        for name in ("StudyDate", "SeriesDescription", "file_size", "path"):
            add(
                took, f"order by {name}", seconds(client, f"api/rows?order={name}&desc=1&limit=200")
            )
        add(took, "a page in order", seconds(client, f"api/rows?order=StudyDate&desc=1&{middle}"))
        more = f"api/rows?order=StudyDate&desc=1&{middle}&columns=KVP"
        add(took, "a page in order, one more column", seconds(client, more))
    return {"took": took, "rows": rows}


def measure_boxes(content: IndexRows, took: dict[str, list[float]], rounds: int) -> None:
    """Filters, facets and orders by as many boxes as rows, and as many predictions."""
    truth, predictions = make_marks(content)
    with running(content, truth, predictions) as (client, _):
        add(took, "start with boxes: about", seconds(client, "api/about"))
        first = "api/rows?limit=200&outlines=1&score=0.5"
        add(took, "start with boxes: first page", seconds(client, first))
        for n in range(rounds):
            score = 0.5 + n / 1000
            firsts = {
                "first filter at a score": "outcome = 'FN'",
                "label, first at a score": f"label = 'label {n}'",
                "score, first at a score": "score > 0.9",
            }
            for step, (name, where) in enumerate(firsts.items()):
                at = score - 0.1 - step / 100
                ask = httpx.QueryParams(where=where, limit=200, score=at, outlines=1)
                add(took, name, seconds(client, f"api/rows?{ask}"))
            ask = httpx.QueryParams(order="missed", desc=1, limit=200, score=score - 0.2)
            add(took, "order by missed, first at a score", seconds(client, f"api/rows?{ask}"))
            wheres = {
                "filter by label": f"label = 'label {n}'",
                "filter by reader": f"reader = 'R{n + 1}'",
                "filter by score": f"score > {0.9 + n / 1000}",
                "filter by outcome": f"outcome = 'FP' AND label = 'label {n}'",
                "filter by the number of boxes": f"boxes > 2 AND Rows > {n}",
                "filter by label and column": f"label = 'label {n}' AND Modality = 'CT'",
            }
            for name, where in wheres.items():
                ask = httpx.QueryParams(where=where, limit=200, score=score, outlines=1)
                add(took, name, seconds(client, f"api/rows?{ask}"))
            for name in ("label", "reader", "boxes", "score", "outcome"):
                ask = httpx.QueryParams(columns=name, where=f"Columns > {n}", score=score)
                add(took, f"facet of {name}, filtered", seconds(client, f"api/facets?{ask}"))
            for name in ("disagreement", "missed", "false_positive"):
                ask = httpx.QueryParams(order=name, desc=1, limit=200, score=score)
                add(took, f"order by {name}", seconds(client, f"api/rows?{ask}"))


def make_marks(content: IndexRows) -> tuple[Boxes, Boxes]:
    """As many boxes of readers as rows, on a third of the images, and as many predictions."""
    ids = query(content, "SELECT id FROM index")["id"].combine_chunks()
    count = len(ids)
    random = np.random.default_rng(1)
    images = random.integers(0, count // 3, count)
    corner = random.integers(0, 200, (count, 2)).astype(float)
    labels = np.array([f"label {n}" for n in range(14)])
    label = labels[random.integers(0, 14, count)]

    def boxes(shift: NDArray[np.float64], **more: Any) -> Boxes:
        at = corner + shift
        names = ids.take(pa.array(images))
        sides = {"x0": at[:, 0], "y0": at[:, 1], "x1": at[:, 0] + 60, "y1": at[:, 1] + 60}
        return Boxes.from_columns({"image": names, "key": names, "label": label, **sides, **more})

    readers = np.array([f"R{n + 1}" for n in range(17)])
    truth = boxes(np.zeros((count, 2)), reader=readers[images % 17])
    return truth, boxes(random.normal(0, 15, (count, 2)), score=random.uniform(0, 1, count))


@contextmanager
def running(content: IndexRows, *sides: Boxes) -> Iterator[tuple[httpx.Client, Handle]]:
    """A viewer without a thumbnail cache, and a client of it."""
    with serve(content, *sides) as viewer:
        head = {"X-Wetread-Token": viewer.token, "Accept-Encoding": "gzip, zstd"}
        with httpx.Client(
            base_url=f"http://127.0.0.1:{viewer.port}/", headers=head, timeout=120
        ) as client:
            yield client, viewer


def seconds(client: httpx.Client, request: str) -> float:
    """Seconds until the whole response has arrived, without decompressing it."""
    begun = time.perf_counter()
    with client.stream("GET", request) as response:
        for _ in response.iter_raw():
            pass
    response.raise_for_status()
    return time.perf_counter() - begun


def in_parallel(client: httpx.Client, requests: list[str]) -> float:
    begun = time.perf_counter()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda request: seconds(client, request), requests))
    return time.perf_counter() - begun


def add(took: dict[str, list[float]], name: str, value: float) -> None:
    took.setdefault(name, []).append(value)


def make_radiographs(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Write 16-bit radiographs with film noise, lossless JPEG 2000: four images in many files."""
    from imagecodecs import jpeg2k_encode

    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    streams = []
    for shift in range(min(4, count)):
        y, x = np.mgrid[0 : size[0], 0 : size[1]] / max(size)
        body = 20000 + 9000 * np.sin(6 * x + shift) * np.cos(5 * y) + 4000 * (x - 0.5) ** 2
        noisy = body + random.normal(0, 40, size)
        values = np.clip(noisy, 0, 32767).astype(np.uint16)
        streams.append(jpeg2k_encode(values, level=0, codecformat="j2k", resolutions=6))

    def write(number: int) -> None:
        stream = streams[number % len(streams)]
        data = changed(
            radiograph(17, *size),
            element("BitsStored", 15),
            element("HighBit", 14),
            element("WindowCenter", "20000"),
            element("WindowWidth", "20000"),
            element("PixelData", [b"", stream + b"\0" * (len(stream) % 2)]),
        )
        (folder / f"{number:04d}.dcm").write_bytes(dicom_file(data, JPEG2000))

    for number in range(count):
        write(number)


def make_index(folder: Path, rows: int) -> IndexRows:
    """Index of synthetic rows, in Parquet files of 100,000."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    root = folder.parent / "train"
    options = Options(str(root))
    first = root / make_path(0)  # the viewer looks for one of the files
    first.parent.mkdir(parents=True)
    first.touch()
    from wetread.table.parts import locked

    parts = []
    with locked(folder):
        for start in range(0, rows, 100_000):
            table = make_rows(random, start, min(100_000, rows - start))
            parts.append(write_part(folder, table, options))
        commit_generation(folder, Generation(1, options, CORE, tuple(parts), {}))
    return IndexRows.open(folder)


def make_rows(random: np.random.Generator, start: int, count: int) -> pa.Table:
    numbers = np.arange(start, start + count)
    modality = random.choice(["CT", "MR", "DX", "CR", "MG", "US"], count)
    codes = np.array(["ODD_LENGTH", "BAD_NUMBER", "TRUNCATED"])
    found = [
        [{"code": codes[n % 3], "tag": None, "offset": None, "text": "synthetic"}]
        if n % 10 == 0
        else []
        for n in numbers
    ]
    texts = {
        "id": [f"{n:016x}" for n in random.integers(0, 2**63, count)],
        "path": [make_path(n) for n in numbers],
        "member": [""] * count,
        "read_status": ["ok"] * count,
        "transfer_syntax": [JPEG2000] * count,
        "decodable": ["yes"] * count,
        "Modality": modality,
        "PhotometricInterpretation": random.choice(["MONOCHROME1", "MONOCHROME2"], count),
        "SeriesDescription": [f"series {n}" for n in random.integers(0, 5000, count)],
        "PatientID": [f"P{n // 50}" for n in numbers],
        "SOPInstanceUID": [f"2.25.{10**30 + int(n)}" for n in numbers],
        "SeriesInstanceUID": [f"2.25.{10**29 + int(n) // 10}" for n in numbers],
        "StudyInstanceUID": [f"2.25.{10**28 + int(n) // 100}" for n in numbers],
    }
    values: dict[str, Any] = {
        **texts,
        "file_size": random.integers(10_000, 10_000_000, count),
        "mtime_ns": random.integers(0, 10**18, count),
        "pixel_offset": random.integers(500, 5000, count),
        "pixel_length": np.full(count, -1),
        "Rows": random.choice([256, 512, 1024, 2048, 2952], count),
        "Columns": random.integers(200, 3000, count),
        "KVP": random.normal(100, 15, count),
        "InstanceNumber": numbers % 10,
        "StudyDate": random.integers(10_000, 19_000, count).astype("int32"),
        "problems": found,
    }
    arrays = []
    for field in CORE:
        if field.name not in values:
            arrays.append(pa.nulls(count, field.type))
        elif pa.types.is_date(field.type):
            arrays.append(pa.array(values[field.name]).cast(field.type))
        else:
            arrays.append(pa.array(values[field.name], field.type))
    return pa.table(arrays, schema=CORE)


def make_path(number: int) -> str:
    return f"study-{number // 100:06d}/series-{number // 10 % 10}/image-{number:08d}.dcm"


def print_table(measured: dict[str, Any]) -> None:
    what = (
        f"{measured['rows']:,} rows" if "rows" in measured else "{} x {}".format(*measured["size"])
    )
    print(f"\n| {what} | s, median | worst |\n|---|---:|---:|")
    for name, took in measured["took"].items():
        print(f"| {name} | {median(took):.3f} | {max(took):.3f} |")
    if "dcmview" in measured:
        peer = measured["dcmview"]
        if not isinstance(peer, dict):
            print(f"\ndcmview: {peer or 'not installed (pip install dcmview-py==0.4.1)'}")
            return
        for name, took in peer.items():
            theirs, ours = median(took), median(measured["took"][name])
            print(f"| dcmview: {name} | {theirs:.3f} ({theirs / ours:.1f} x) | {max(took):.3f} |")


if __name__ == "__main__":
    main()

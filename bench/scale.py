"""How reading grows: headers and images, on one machine and over a network that waits.

    python bench/scale.py                 # 10^4 and 10^5 files, and a store on loopback
    python bench/scale.py --million       # and 10^6 files

The store is nginx (Debian's nginx-light) with no latency, then a server of Python's asyncio that
waits 0, 10 or 50 ms before each answer. What follows for 10^7 and 10^8 headers and 10^6 images is
computed from these constants, and says so. What is printed stands in docs/scale.md, word for word.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from contenders import readable
from corpus import copy_mixed, link_many, mixed_sources, write_films
from pixels import make_radiographs
from wetread.headers.reading import read_headers
from wetread.settings import Settings
from wetread.sources.buckets import open_bucket
from wetread.sources.find import SOURCE_SCHEMA

LATENCIES = (0, 10, 50)
LISTED_PER_SECOND = 10_000
"""Keys a second that one listing of S3 gives: 1,000 a page, a page in 100 ms (its usual answer)."""
REQUESTS_PER_SECOND = 5_500
"""GET requests a second that S3 allows for a prefix (its documentation)."""
DOLLARS_PER_GET, DOLLARS_PER_LIST = 0.40 / 1e6, 5.00 / 1e6
"""S3 Standard, us-east-1."""
BYTES_PER_SECOND = 1.25e9
"""10 Gbit/s."""
CORES = 16
"""Of the machine that is computed for."""
IMAGES = (
    ("measure, uncompressed", "measure", False, None),
    ("measure, JPEG 2000", "measure", True, None),
    ("measure, JPEG 2000, size=512", "measure", True, 512),
    ("prepare, uncompressed, size=1024", "prepare", False, 1024),
    ("prepare, JPEG 2000, size=1024", "prepare", True, 1024),
)
"""What is done with radiographs: its name, the verb, whether they are compressed, the size."""
DECODE = """
import json, resource, sys, time, urllib.request
import wetread as wr
from wetread.measure.columns import measure_images

root, verb, size, to = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4]
index = wr.scan(root, progress=False, workers=0)
how = {"progress": False, "settings": wr.Settings(decode_seconds=300)}  # on a busy machine

def read_meters():
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    cpu = sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, who))
    sent = "0 0"
    if "://" in root:
        sent = urllib.request.urlopen(root.replace("all.txt", "sent")).read()
    return [time.perf_counter(), cpu, *map(int, sent.split())]

def spend(rows):
    before = read_meters()
    if verb == "measure":
        statuses = measure_images(rows, size, **how).rows["px_status"].to_pylist()
        left = [status for status in statuses if status != "ok"]
    else:
        left = wr.prepare(rows, f"{to}/{len(rows)}.cache", size, **how).left_out["text"]
    assert not len(left), left
    return [b - a for a, b in zip(before, read_meters())]

few, all = spend(index[:2]), spend(index)
seconds, *rest = [(b - a) / (len(index) - 2) for a, b in zip(few, all)]
print(json.dumps([1 / seconds, *rest]))
"""
"""Images a second; CPU seconds, requests and bytes an image: without the start of the workers."""
SERVER = """
import asyncio, os, sys
folder, wait = sys.argv[1], float(sys.argv[2])
held, sent = {}, [0, 0]
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
            verb, path = head.split(" ", 2)[:2]
            if path == "/sent":
                held[path] = b"%d %d" % tuple(sent)
            elif path not in held:
                with open(folder + path, "rb") as file:
                    held[path] = file.read()
            body = held[path]
            size, at = len(body), head.lower().find("range: bytes=")
            first, last = 0, size - 1
            if at >= 0:
                first, last = map(int, head[at + 13:].split("\\r\\n", 1)[0].split("-"))
                last = min(last, size - 1)
            await asyncio.sleep(wait)
            said = f"HTTP/1.1 {206 if at >= 0 else 200} P\\r\\n"
            said += f"Content-Length: {last - first + 1}\\r\\nETag: \\"x\\"\\r\\n"
            if at >= 0:
                said += f"Content-Range: bytes {first}-{last}/{size}\\r\\n"
            said += "Last-Modified: Mon, 02 Nov 2026 10:00:00 GMT\\r\\n\\r\\n"
            if verb == "GET" and path != "/sent":
                sent[:] = sent[0] + 1, sent[1] + last - first + 1
            writer.write(said.encode() + body[first:last + 1] * (verb == "GET"))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log /dev/null crit;
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
server {{ listen 127.0.0.1:{port}; root {root}; keepalive_requests 1000000; }} }}
"""


def grow(folder: Path, counts: list[int]) -> list[dict[str, Any]]:
    """Files a second and CPU seconds a file of scans into an index, each in a new process."""
    (folder / "mixed").mkdir()
    sources = copy_mixed(folder / "mixed", mixed_sources(readable), min(5_000, min(counts)))
    found = []
    for count in counts:
        tree = folder / f"tree{count}"
        link_many(tree, sources, count)
        code = (
            "import resource, sys, time, json, wetread as wr; begun = time.perf_counter();"
            "n = len(wr.scan(sys.argv[1], sys.argv[2], progress=False));"
            "who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN);"
            "cpu = sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, who));"
            "print(json.dumps([n, time.perf_counter() - begun, cpu]))"
        )
        command = [sys.executable, "-c", code, str(tree), str(folder / f"{count}.index")]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        files, seconds, cpu = json.loads(said)
        found.append({"files": files, "per_second": files / seconds, "cpu": cpu / files})
        shutil.rmtree(tree)
    return found


def measure_store(url: str, names: list[str], folder: Path, sequential: int) -> dict[str, float]:
    """Objects a second, one after the other and as a scan asks for them, and CPU a header."""
    sizes = [(folder / name).stat().st_size for name in names]
    columns = [[n.encode() for n in names], [b""] * len(names), sizes, [1] * len(names)]
    arrays = [pa.array(c, t) for c, t in zip(columns, SOURCE_SCHEMA.types, strict=False)]
    arrays += [pa.nulls(len(names), kind) for kind in SOURCE_SCHEMA.types[4:]]
    batch = pa.RecordBatch.from_arrays(arrays, schema=SOURCE_SCHEMA)
    bucket, window = open_bucket(url), Settings().object_window
    read_headers(url, batch.slice(0, 256))
    begun = time.perf_counter()
    for name in names[:sequential]:
        bucket.read(name, 0, window)
    one_by_one = sequential / (time.perf_counter() - begun)
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    rows = read_headers(url, batch)
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert set(rows["read_status"].to_pylist()) <= {"ok", "repaired"}
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rate = len(names) / seconds
    return {
        "one_by_one": one_by_one,
        "scan": rate,
        "ratio": rate / one_by_one,
        "cpu": cpu / len(names),
    }


async def _count_gets(url: str, names: list[str], at_once: int = 256) -> float:
    """What the store gives at most: the same requests and nothing else."""
    import obstore
    from obstore.store import HTTPStore

    store = HTTPStore.from_url(url, client_options={"allow_http": True})
    gate = asyncio.Semaphore(at_once)

    async def get(name: str) -> None:
        async with gate:
            await obstore.get_range_async(store, name, start=0, length=Settings().object_window)

    begun = time.perf_counter()
    await asyncio.gather(*map(get, names))
    return len(names) / (time.perf_counter() - begun)


def measure_stores(folder: Path, count: int) -> list[dict[str, Any]]:
    films = folder / "films"
    films.mkdir()
    names = [os.path.basename(path) for path in write_films(films, count)]
    found: list[dict[str, Any]] = []
    if shutil.which("nginx"):
        port = 18_790
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, root=films))
        with subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")]) as nginx:
            time.sleep(0.5)
            url = f"http://127.0.0.1:{port}"
            limit = asyncio.run(_count_gets(url, names))
            said = measure_store(url, names, films, min(500, count))
            found.append({"store": "nginx", "limit": limit, **said})
            nginx.terminate()
    else:
        print("nginx is absent: apt-get install nginx-light", file=sys.stderr)
    for wait in LATENCIES:
        with serve(films, wait) as url:
            limit = asyncio.run(_count_gets(url, names))
            said = measure_store(url, names, films, min(60, count))
            found.append({"store": f"asyncio, {wait} ms", "limit": limit, **said})
    return found


@contextmanager
def serve(folder: Path, wait: int) -> Iterator[str]:
    """The address of a store that waits so many milliseconds before each answer."""
    command = [sys.executable, "-c", SERVER, str(folder), str(wait / 1000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.terminate()


def measure_images(folder: Path, scale: float) -> list[dict[str, Any]]:
    """Radiographs of 5 MP decoded from a disk, then from stores that wait."""
    trees = {}
    for compressed in (False, True):
        sources = folder / f"radiographs{compressed}"
        sources.mkdir()
        paths = list(map(str, make_radiographs(sources, 4, compressed)))
        trees[compressed] = folder / f"images{compressed}"
        link_many(trees[compressed], paths, max(4, int(scale * (24 if compressed else 96))))
    found = []
    for name, verb, compressed, size in IMAGES:
        tree = trees[compressed]
        files = sorted(tree.glob("*/*.dcm"))
        said: dict[str, Any] = {"name": name, "file": sum(p.stat().st_size for p in files)}
        said["file"] /= len(files)
        said["per_second"], said["cpu"], _, _ = decode(str(tree), verb, size, folder)
        chosen = files[: max(4, int(scale * 12))]
        manifest = tree / "all.txt"
        manifest.write_text("\n".join(str(path.relative_to(tree)) for path in chosen))
        for wait in LATENCIES:
            with serve(tree, wait) as url:
                rate, _, said["gets"], said["bytes"] = decode(f"{url}/all.txt", verb, size, folder)
            said[f"at_{wait}"] = rate
        manifest.unlink()
        found.append(said)
    return found


def decode(root: str, verb: str, size: int | None, folder: Path) -> list[float]:
    """What DECODE says, in a new process."""
    with tempfile.TemporaryDirectory(dir=folder) as to:
        command = [sys.executable, "-c", DECODE, root, verb, json.dumps(size), to]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: list[float] = json.loads(said)
    return found


def compute(cpu: float, per_file: float) -> list[str]:
    """The lines on 10^7 and 10^8 headers: computed, not measured."""

    def hours(n: float) -> dict[str, float]:
        """What each thing takes, where nothing else is waited for."""
        return {
            "the listing": n / LISTED_PER_SECOND / 3600,
            "requests": n / REQUESTS_PER_SECOND / 3600,
            "CPU": n * cpu / CORES / 3600,
        }

    def first(n: float) -> str:
        took = hours(n)
        return max(took, key=lambda name: took[name])

    gets = "GETs: one per header, two for large compressed objects"
    rows = {
        gets: lambda n: f"{n:,.0f} to {2 * n:,.0f}",
        "listing requests, 1,000 keys each": lambda n: f"{n / 1000:,.0f}",
        "cost of the GETs, US$": lambda n: (
            f"{n * DOLLARS_PER_GET:,.2f} to {2 * n * DOLLARS_PER_GET:,.2f}"
        ),
        "cost of the listing, US$": lambda n: f"{n / 1000 * DOLLARS_PER_LIST:,.2f}",
        f"one listing at {LISTED_PER_SECOND:,} keys/s, hours": lambda n: (
            f"{hours(n)['the listing']:,.2f}"
        ),
        f"GETs at {REQUESTS_PER_SECOND:,}/s per prefix, hours": lambda n: (
            f"{hours(n)['requests']:,.2f} to {2 * hours(n)['requests']:,.2f}"
        ),
        f"CPU from a bucket at {cpu * 1e6:.0f} us per header, on {CORES} cores, hours": lambda n: (
            f"{hours(n)['CPU']:,.2f}"
        ),
        "bottleneck, one prefix": first,
        f"CPU from a disk at {per_file * 1e6:.0f} us per file, on {CORES} cores, hours": lambda n: (
            f"{n * per_file / CORES / 3600:,.2f}"
        ),
    }
    lines = ["| | 10^7 headers | 10^8 headers |", "|---|---:|---:|"]
    return lines + [f"| {name} | {say(1e7)} | {say(1e8)} |" for name, say in rows.items()]


def compute_images(images: list[dict[str, Any]], count: float = 1e6) -> list[str]:
    """The lines on 10^6 images: computed, not measured."""
    head = ("1,000,000 images", "TB fetched", "hours at 10 Gbit/s", "GETs", "US$")
    head += (f"hours on {CORES} cores", "bottleneck")
    lines = [f"| {' | '.join(head)} |", "|---|---:|---:|---:|---:|---:|---|"]
    for one in images:
        fetched, gets = count * one["bytes"], count * one["gets"]
        network, cpu = fetched / BYTES_PER_SECOND / 3600, count * one["cpu"] / CORES / 3600
        first = "the network" if network > cpu else "CPU"
        lines.append(
            f"| {one['name']} | {fetched / 1e12:,.1f} | {network:,.1f} | {gets:,.0f} "
            f"| {gets * DOLLARS_PER_GET:,.2f} | {cpu:,.1f} | {first} |"
        )
    return lines


def say(
    files: list[dict[str, Any]], stores: list[dict[str, Any]], images: list[dict[str, Any]]
) -> Iterator[str]:
    """The lines of docs/scale.md."""
    yield "**Measured: headers from a disk**, mixed real files, one worker per core\n"
    yield "| files | files/s | CPU us per file |\n|---:|---:|---:|"
    for one in files:
        yield f"| {one['files']:,} | {one['per_second']:,.0f} | {1e6 * one['cpu']:.0f} |"
    yield "\n**Measured: headers from a store** on loopback, files of 20 to 50 KB, one process\n"
    yield (
        "| store | limit, GET/s | sequential, GET/s | scan, headers/s | ratio "
        "| CPU us per header |\n|---|---:|---:|---:|---:|---:|"
    )
    for one in stores:
        yield (
            f"| {one['store']} | {one['limit']:,.0f} | {one['one_by_one']:,.0f} "
            f"| {one['scan']:,.0f} | {one['ratio']:.1f} x | {1e6 * one['cpu']:.0f} |"
        )
    yield "\n**Computed from these: headers from S3**\n"
    yield from compute(stores[-1]["cpu"], files[-1]["cpu"])
    radiographs = "radiographs of 2560 x 2048 pixels and 16 bits, one worker per core"
    yield f"\n**Measured: images**, {radiographs}\n"
    yield (
        "| | MB per file | images/s from a disk | CPU ms per image | MB fetched | GETs "
        "| images/s from a store with 0, 10, 50 ms latency |\n|---|---:|---:|---:|---:|---:|---:|"
    )
    for one in images:
        # Below 0 where the machine was so busy that two images took longer than all.
        found = [one[f"at_{wait}"] for wait in LATENCIES]
        rates = ", ".join(f"{rate:,.1f}" if rate > 0 else "?" for rate in found)
        yield (
            f"| {one['name']} | {one['file'] / 1e6:.1f} | {one['per_second']:,.1f} "
            f"| {1000 * one['cpu']:,.0f} | {one['bytes'] / 1e6:.1f} | {one['gets']:.1f} | {rates} |"
        )
    yield "\n**Computed from these: images from S3**\n"
    yield from compute_images(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0, help="make it shorter, and mean less")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    options = parser.parse_args()
    counts = [10_000, 100_000, *[1_000_000] * options.million]
    counts = [max(100, int(n * options.scale)) for n in counts]
    with tempfile.TemporaryDirectory(prefix="wetread-bench-") as name:
        found = {
            "files": grow(Path(name), counts),
            "stores": measure_stores(Path(name), max(300, int(4_000 * options.scale))),
            "images": measure_images(Path(name), options.scale),
        }
    print("\n".join(say(**found)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

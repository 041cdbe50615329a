"""How reading headers grows: files on one machine, objects over a network that waits.

    python bench/scale.py                 # 10^4 and 10^5 files, and a store on loopback
    python bench/scale.py --million       # and 10^6 files

The store is nginx (Debian's nginx-light) with no latency, then a server of Python's asyncio that
waits 0, 10 or 50 ms before each answer. What follows for 10^7 and 10^8 headers is computed from
these constants, and says so.
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
from pathlib import Path
from typing import Any

import pyarrow as pa

from contenders import readable
from corpus import copy_mixed, link_many, mixed_sources, write_films
from wetread.buckets import open_bucket
from wetread.headers.read import read_headers
from wetread.settings import Settings
from wetread.sources import SOURCE_SCHEMA

LATENCIES = (0, 10, 50)
LISTED_PER_SECOND = 10_000
"""Keys a second that one listing of S3 gives: 1,000 a page, a page in 100 ms (its usual answer)."""
REQUESTS_PER_SECOND = 5_500
"""GET requests a second that S3 allows for a prefix (its documentation)."""
DOLLARS_PER_GET, DOLLARS_PER_LIST = 0.40 / 1e6, 5.00 / 1e6
"""S3 Standard, us-east-1."""
SERVER = """
import asyncio, os, sys
folder, wait = sys.argv[1], float(sys.argv[2])
held = {}
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
            path = head.split(" ", 2)[1]
            if path not in held:
                with open(folder + path, "rb") as file:
                    held[path] = file.read()
            body = held[path]
            size, at = len(body), head.lower().find("range: bytes=")
            first, last = 0, size - 1
            if at >= 0:
                first, last = map(int, head[at + 13:].split("\\r\\n", 1)[0].split("-"))
                last = min(last, size - 1)
            await asyncio.sleep(wait)
            said = f"HTTP/1.1 206 P\\r\\nContent-Length: {last - first + 1}\\r\\n"
            said += f"Content-Range: bytes {first}-{last}/{size}\\r\\nETag: \\"x\\"\\r\\n"
            said += "Last-Modified: Mon, 02 Nov 2026 10:00:00 GMT\\r\\n\\r\\n"
            writer.write(said.encode() + body[first:last + 1])
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
        command = [sys.executable, "-c", SERVER, str(films), str(wait / 1000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            limit = asyncio.run(_count_gets(url, names))
            said = measure_store(url, names, films, min(60, count))
            found.append({"store": f"asyncio, {wait} ms", "limit": limit, **said})
            server.terminate()
    return found


def compute(cpu: float, per_file: float) -> list[str]:
    """The lines on 10^7 and 10^8 headers: computed, not measured."""
    lines = [
        "| | 10^7 headers | 10^8 headers |",
        "|---|---:|---:|",
    ]
    rows = {
        "requests (one GET a header, two where the object is large and compressed)": lambda n: (
            f"{n:,.0f} to {2 * n:,.0f}"
        ),
        "listing requests, 1,000 keys each": lambda n: f"{n / 1000:,.0f}",
        "cost of GETs, US$": lambda n: (
            f"{n * DOLLARS_PER_GET:,.2f} to {2 * n * DOLLARS_PER_GET:,.2f}"
        ),
        "cost of the listing, US$": lambda n: f"{n / 1000 * DOLLARS_PER_LIST:,.2f}",
        f"one listing at {LISTED_PER_SECOND:,} keys/s": lambda n: (
            f"{n / LISTED_PER_SECOND / 60:,.0f} min"
        ),
        f"requests at {REQUESTS_PER_SECOND:,}/s a prefix": lambda n: (
            f"{n / REQUESTS_PER_SECOND / 60:,.0f} min"
        ),
        f"CPU from a bucket, at {cpu * 1e6:.0f} us a header": lambda n: (
            f"{n * cpu / 3600:,.1f} core hours"
        ),
        f"CPU from a local disk, at {per_file * 1e6:.0f} us a file": lambda n: (
            f"{n * per_file / 3600:,.1f} core hours"
        ),
    }
    lines += [f"| {name} | {say(1e7)} | {say(1e8)} |" for name, say in rows.items()]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0, help="make it shorter, and mean less")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    options = parser.parse_args()
    counts = [10_000, 100_000, *[1_000_000] * options.million]
    counts = [max(100, int(n * options.scale)) for n in counts]
    with tempfile.TemporaryDirectory(prefix="wetread-bench-") as name:
        files = grow(Path(name), counts)
        stores = measure_stores(Path(name), max(300, int(4_000 * options.scale)))
    print("One machine, measured: mixed real files into an index, one worker a core\n")
    print("| files | files/s | CPU us a file |\n|---:|---:|---:|")
    for one in files:
        print(f"| {one['files']:,} | {one['per_second']:,.0f} | {1e6 * one['cpu']:.0f} |")
    print("\nA store on loopback, measured: films of 20 to 50 KB, one process\n")
    print("| store | its limit, GET/s | one by one | a scan, headers/s | ratio | CPU us a header |")
    print("|---|---:|---:|---:|---:|---:|")
    for one in stores:
        print(
            f"| {one['store']} | {one['limit']:,.0f} | {one['one_by_one']:,.0f} "
            f"| {one['scan']:,.0f} | {one['ratio']:.1f} x | {1e6 * one['cpu']:.0f} |"
        )
    print("\nS3 at scale, computed from the constants above and in bench/scale.py\n")
    print("\n".join(compute(stores[-1]["cpu"], files[-1]["cpu"])))
    if options.json:
        options.json.write_text(json.dumps({"files": files, "stores": stores}, indent=1))


if __name__ == "__main__":
    main()

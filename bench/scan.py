"""How fast headers become a table, next to the raw reads and to what else reads DICOM headers.

    python bench/scan.py                # about 2 minutes
    python bench/scan.py --million      # and 1,000,000 files, and scanning them again
    python bench/scan.py --only peers --scale 0.1

Ends with Markdown tables; bench/README.md says how each number comes about.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import wetread as wr
from contenders import FLOOR, PEERS, PYDICOM, WETREAD, Contender, readable
from corpus import copy_mixed, link_many, mixed_sources, write_films
from million import bare_walk, measure_million, million_lines
from wetread.settings import Settings

FILMS, MIXED, MANY, WAITING = 10_000, 5_000, 100_000, 2_000
PYDICOM_EVERY = 3
"""pydicom takes 50 times as long: it runs in one round of three."""
START_FILES = 2 * Settings().part_files
"""Two tasks: a scan of so many has started both workers."""
OPEN_SECONDS = 0.002


def measure_peers(paths: Sequence[str], rounds: int) -> dict[str, Any]:
    """Seconds of every pass of every contender, in alternating rounds."""
    listed = Path(f"{os.path.dirname(paths[0])}.list")
    listed.write_text("\n".join(paths))
    names = [FLOOR, WETREAD, "wetread, read_headers alone", *PEERS, PYDICOM]
    crew = [Contender(name, listed) for name in names]
    for number in range(rounds):
        for contender in crew:
            if contender.name != PYDICOM or number % PYDICOM_EVERY == 0:
                contender.run()
    for contender in crew:
        contender.close()
    result = {c.name: {"seconds": c.seconds, "values": c.values, "error": c.error} for c in crew}
    return {"files": len(paths), "rounds": rounds, "contenders": result}


def peer_lines(title: str, measured: dict[str, Any]) -> list[str]:
    files, found = measured["files"], measured["contenders"]
    base, ours = (median(found[name]["seconds"]) for name in (FLOOR, WETREAD))
    lines = [
        f"{title}: {files:,} files, {measured['rounds']} alternating rounds",
        "",
        "| | us a file, median | minimum | x the floor | wetread is faster by | values a file |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, said in found.items():
        if said["error"]:
            lines.append(f"| {name} | {said['error']} | | | | |")
            continue
        middle, least = median(said["seconds"]), min(said["seconds"])
        faster = "" if name.startswith(("floor", "wetread")) else f"{middle / ours:.1f} x"
        values = f"{said['values'] / files:.1f}" if said["values"] else ""
        lines.append(
            f"| {name} | {middle / files * 1e6:.1f} | {least / files * 1e6:.1f} "
            f"| {middle / base:.2f} | {faster} | {values} |"
        )
    peers = {name: median(found[name]["seconds"]) for name in PEERS if not found[name]["error"]}
    fastest = min(peers, key=lambda name: peers[name], default=None)
    said = [f"{ours / base:.2f} x the floor"]
    if fastest:
        said.append(f"{peers[fastest] / ours:.1f} x faster than the fastest peer ({fastest})")
    said.append(f"{median(found[PYDICOM]['seconds']) / ours:.0f} x faster than pydicom")
    return [*lines, "", f"wetread: {', '.join(said)}."]


def measure_workers(
    folder: Path, sources: Sequence[str], count: int, rounds: int
) -> dict[str, Any]:
    """Seconds with one and two workers: of a scan, less one of so few files."""
    trees = [(folder / "few", START_FILES), (folder / "many", START_FILES + count)]
    for tree, files in trees:
        link_many(tree, sources, files)
        bare_walk(str(tree))  # the folders' entries into the cache
    took: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(rounds):
        for workers, seconds in took.items():
            start, whole = (_scan_seconds(str(tree), workers=int(workers)) for tree, _ in trees)
            seconds.append(whole - start)
    return {"files": count, "seconds": took}


def worker_lines(measured: dict[str, Any]) -> list[str]:
    files, took = measured["files"], measured["seconds"]
    one = median(took["1"])
    return [
        f"Workers: {files:,} mixed files (hard links), start-up left out",
        "",
        "| workers | files/s, median | best | x 1 worker |",
        "|---|---:|---:|---:|",
        *(
            f"| {workers} | {files / median(s):,.0f} | {files / min(s):,.0f} "
            f"| {one / median(s):.2f} |"
            for workers, s in took.items()
        ),
    ]


def measure_waiting(paths: Sequence[str], rounds: int) -> dict[str, Any]:
    """Seconds with and without 2 ms added to every open, with threads and without."""
    some = paths[:WAITING]
    alone = replace(Settings(), io_threads=1)
    never = replace(Settings(), slow_open_seconds=float("inf"))
    took: dict[str, list[float]] = {
        name: [] for name in ("slow, one by one", "slow", "fast, one by one", "fast")
    }
    for _ in range(rounds):
        with SlowOpen():
            took["slow, one by one"].append(_scan_seconds(some, settings=alone))
            took["slow"].append(_scan_seconds(some))
    _scan_seconds(paths)  # room for so many files
    for _ in range(rounds):
        took["fast, one by one"].append(_scan_seconds(paths, settings=never))
        took["fast"].append(_scan_seconds(paths))
    return {"slow_files": len(some), "fast_files": len(paths), "seconds": took}


class SlowOpen:
    """Adds 2 ms to every `os.open` in this process."""

    def __enter__(self) -> None:
        self._open = os.open

        def slow(*args: Any, **more: Any) -> int:
            time.sleep(OPEN_SECONDS)
            return self._open(*args, **more)

        os.open = slow

    def __exit__(self, *_: object) -> None:
        os.open = self._open


def waiting_lines(measured: dict[str, Any]) -> list[str]:
    took = {name: median(seconds) for name, seconds in measured["seconds"].items()}
    slow, fast = measured["slow_files"], measured["fast_files"]
    return [
        f"Storage that waits: 2 ms added to every open ({slow:,} files), and none ({fast:,})",
        "",
        "| | one by one, files/s | as it comes, files/s | ratio |",
        "|---|---:|---:|---:|",
        *(
            f"| {title} | {files / took[f'{kind}, one by one']:,.0f} "
            f"| {files / took[kind]:,.0f} | {took[f'{kind}, one by one'] / took[kind]:.2f} |"
            for title, kind, files in (("2 ms", "slow", slow), ("fast disk", "fast", fast))
        ),
    ]


def _scan_seconds(what: str | Sequence[str], workers: int = 0, **more: Any) -> float:
    begun = time.perf_counter()
    wr.scan(what, workers=workers, progress=False, **more)
    return time.perf_counter() - begun


def run(folder: Path, options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Make the files, measure what was asked for; the numbers, and lines of Markdown."""
    scale, rounds, only = options.scale, options.rounds, options.only
    few = (rounds + 1) // 2
    measured: dict[str, Any] = {"machine": machine()}
    lines = [measured["machine"], ""]

    def note(name: str, numbers: dict[str, Any], text: list[str]) -> None:
        measured[name] = numbers
        lines.extend([*text, ""])
        print(f"measured {name}", file=sys.stderr)

    for name in ("films", "mixed"):
        (folder / name).mkdir()
    sources = mixed_sources(readable)
    mixed = copy_mixed(folder / "mixed", sources, round(MIXED * scale))
    films = write_films(folder / "films", round(FILMS * scale))
    if not only or "peers" in only:
        title = "(a) The article's form"
        note("films", found := measure_peers(films, rounds), peer_lines(title, found))
        title = f"(b) Mixed real files, {len(sources)} headers of pydicom's test set"
        note("mixed", found := measure_peers(mixed, rounds), peer_lines(title, found))
    if not only or "workers" in only:
        found = measure_workers(folder, mixed, round(MANY * scale), few)
        note("workers", found, worker_lines(found))
    if not only or "waiting" in only:
        note("waiting", found := measure_waiting(films, few), waiting_lines(found))
    if options.million:
        found = measure_million(folder, mixed, round(1_000_000 * scale))
        note("million", found, million_lines(found))
    return measured, lines


def machine() -> str:
    names = ("wetread", "pyarrow", "numpy", "pydicom")
    versions = ", ".join(f"{name} {version_of(name)}" for name in names)
    python = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {platform.system()}, {python}, {versions}"


def version_of(name: str) -> str:
    return wr.__version__ if name == "wetread" else version(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=["peers", "workers", "waiting"])
    parser.add_argument("--million", action="store_true", help="a large run as well, many minutes")
    parser.add_argument("--rounds", type=int, default=5, help="half as many where it takes long")
    parser.add_argument("--scale", type=float, default=1.0, help="of every number of files")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wetread-bench-") as name:
        measured, lines = run(Path(name), options)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1))
    print("\n".join(lines))


if __name__ == "__main__":
    main()

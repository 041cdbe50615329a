"""Header reading, compared with raw reads and with other DICOM readers.

    python bench/scan.py                # about 2 minutes
    python bench/scan.py --million      # and 1,000,000 files, and scanning them again
    python bench/scan.py --only peers --scale 0.1

Ends with a Markdown table; bench/README.md describes the methods.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import wetread as wr
from contenders import FLOOR, PEERS, PYDICOM, WETREAD, Contender, readable
from corpus import copy_mixed, link_many, mixed_sources, write_films
from figures import Figure, name_version, save, tabulate
from million import bare_walk, measure_million, million_figures
from wetread.settings import Settings

FILMS, MIXED, MANY, WAITING = 10_000, 5_000, 100_000, 2_000
PYDICOM_EVERY = 3
"""pydicom takes 50 times as long and runs in every third round."""
START_FILES = 2 * Settings().part_files
"""Number of files of two tasks: a scan of them starts both workers."""
OPEN_SECONDS = 0.002
Whys = dict[str, tuple[float, str]]
"""Goal of the comparison with a contender, and the reason if it is missed."""
TAIL = "the last bytes of a compressed file are also read, to verify that it is complete"
FILMS_GOALS: Whys = {
    FLOOR: (1.7, f"{TAIL}, and its id and header hash are computed"),
    PYDICOM: (50, f"the goal is close to the floor, and {TAIL}"),
}
MIXED_GOALS: Whys = {
    "fastest": (
        2.5,
        "sequences are parsed, and every element is converted to a typed column, in NumPy",
    ),
    PYDICOM: (50, "as above: sequences, and typed columns in NumPy"),
}


def measure_peers(paths: Sequence[str], rounds: int) -> dict[str, Any]:
    """Seconds of every pass of each contender, in alternating rounds."""
    listed = Path(f"{os.path.dirname(paths[0])}.list")
    listed.write_text("\n".join(paths))
    names = [FLOOR, WETREAD, *PEERS, PYDICOM]
    all_ = [Contender(name, listed) for name in names]
    for number in range(rounds):
        for contender in all_:
            if contender.name != PYDICOM or number % PYDICOM_EVERY == 0:
                contender.run()
    for contender in all_:
        contender.close()
    result = {c.name: {"seconds": c.seconds, "values": c.values, "error": c.error} for c in all_}
    return {"files": len(paths), "rounds": rounds, "contenders": result}


def peer_figures(title: str, measured: dict[str, Any], whys: Whys) -> list[Figure]:
    """Ratio to the lower bound, then microseconds per file compared with each peer."""
    files, found = measured["files"], measured["contenders"]
    took = {n: median(s["seconds"]) / files * 1e6 for n, s in found.items() if not s["error"]}
    values = {n: f"{found[n]['values'] / files:.0f} values per file" for n in took}
    fastest = min(took.keys() & set(PEERS), key=took.__getitem__, default="")
    ours, floor = took[WETREAD], took[FLOOR]
    most, why = whys.get(FLOOR, (None, ""))
    name = f"{title}: against the floor of {floor:.1f} us per file"
    figures = [Figure(name, ours / floor, "x its time", most=most, note=values[WETREAD], why=why)]
    for peer in (*PEERS, PYDICOM):
        least, why = whys.get("fastest" if peer == fastest else peer, (None, ""))
        figures.append(
            Figure(
                f"{title}: headers, per file",
                ours,
                "us",
                peer=name_version(peer) if peer == PYDICOM else peer,
                other=took.get(peer),
                least=least,
                note=found[peer]["error"] or values[peer],
                why=why,
            )
        )
    return figures


def measure_workers(
    folder: Path, sources: Sequence[str], count: int, rounds: int
) -> dict[str, Any]:
    """Seconds of scans with one and two workers, minus those of scans of few files."""
    trees = [(folder / "few", START_FILES), (folder / "many", START_FILES + count)]
    for tree, files in trees:
        link_many(tree, sources, files)
        bare_walk(str(tree))  # warm the cache of folder entries
    took: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(rounds):
        for workers, seconds in took.items():
            start, whole = (_scan_seconds(str(tree), workers=int(workers)) for tree, _ in trees)
            seconds.append(whole - start)
    return {"files": count, "seconds": took}


def worker_figures(measured: dict[str, Any]) -> list[Figure]:
    one, two = (median(measured["seconds"][n]) for n in "12")
    files = measured["files"]
    return [
        Figure(f"(b), {files:,} files: two workers against one", one / two, "x", least=1.3),
        Figure(f"(b), {files:,} files: with two workers", files / two, "files/s"),
    ]


def measure_waiting(paths: Sequence[str], rounds: int) -> dict[str, Any]:
    """Seconds with and without 2 ms of additional latency per open, with and without threads."""
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
    _scan_seconds(paths)  # warm-up: allocate for that many files
    for _ in range(rounds):
        took["fast, one by one"].append(_scan_seconds(paths, settings=never))
        took["fast"].append(_scan_seconds(paths))
    return {"slow_files": len(some), "fast_files": len(paths), "seconds": took}


class SlowOpen:
    """Context manager that adds 2 ms to every `os.open` of this process."""

    def __enter__(self) -> None:
        self._open = os.open

        def slow(*args: Any, **more: Any) -> int:
            time.sleep(OPEN_SECONDS)
            return self._open(*args, **more)

        os.open = slow

    def __exit__(self, *_: object) -> None:
        os.open = self._open


def waiting_figures(measured: dict[str, Any]) -> list[Figure]:
    took = {name: median(seconds) for name, seconds in measured["seconds"].items()}
    return [
        Figure(
            "(a), 2 ms more latency per open: default, against one by one",
            took["slow, one by one"] / took["slow"],
            "x",
            least=10,
        ),
        Figure(
            "(a), fast disk: default, against one by one",
            took["fast, one by one"] / took["fast"],
            "x",
        ),
    ]


def _scan_seconds(what: str | Sequence[str], workers: int = 0, **more: Any) -> float:
    begun = time.perf_counter()
    wr.scan(what, workers=workers, progress=False, **more)
    return time.perf_counter() - begun


def run(folder: Path, options: argparse.Namespace) -> tuple[dict[str, Any], list[Figure]]:
    """Make the files, measure as the options select; return the numbers and their figures."""
    scale, rounds, only = options.scale, options.rounds, options.only
    few = (rounds + 1) // 2
    measured: dict[str, Any] = {}
    figures: list[Figure] = []

    def note(name: str, numbers: dict[str, Any], found: list[Figure]) -> None:
        measured[name] = numbers
        figures.extend(found)
        print(f"measured {name}", file=sys.stderr)

    for name in ("films", "mixed"):
        (folder / name).mkdir()
    sources = mixed_sources(readable)
    mixed = copy_mixed(folder / "mixed", sources, round(MIXED * scale))
    films = write_films(folder / "films", round(FILMS * scale))
    if not only or "peers" in only:
        note(
            "films", found := measure_peers(films, rounds), peer_figures("(a)", found, FILMS_GOALS)
        )
        note(
            "mixed", found := measure_peers(mixed, rounds), peer_figures("(b)", found, MIXED_GOALS)
        )
    if not only or "workers" in only:
        found = measure_workers(folder, mixed, round(MANY * scale), few)
        note("workers", found, worker_figures(found))
    if not only or "waiting" in only:
        note("waiting", found := measure_waiting(films, few), waiting_figures(found))
    if options.million:
        found = measure_million(folder, mixed, round(1_000_000 * scale))
        note("million", found, million_figures(found))
    return measured, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=["peers", "workers", "waiting"])
    parser.add_argument("--million", action="store_true", help="add 1,000,000 files: many minutes")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; half as many for slow ones")
    parser.add_argument("--scale", type=float, default=1.0, help="factor for the number of files")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wetread-bench-") as name:
        measured, figures = run(Path(name), options)
    save(options.json, figures, measured)
    print("\n".join(tabulate(figures)))


if __name__ == "__main__":
    main()

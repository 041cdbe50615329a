"""Header reading, compared with raw reads and with other DICOM readers.

    python bench/scan.py                # about 2 minutes
    python bench/scan.py --million      # and 1,000,000 files, and scanning them again
    python bench/scan.py --only peers --scale 0.1

Ends with a Markdown table; bench/README.md describes the methods.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
"""Number of files of two tasks: a scan of them starts both threads."""
SLOW_OPEN = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
static int slow(const char *name, int folder, const char *path, int flags, va_list rest) {
    int (*real)(int, const char *, int, ...) =
        (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, name);
    size_t length = strlen(path);
    if (length > 6 && !strcmp(path + length - 6, ".dicom")) usleep(2000);
    return real(folder, path, flags, va_arg(rest, int));
}
int openat(int folder, const char *path, int flags, ...) {
    va_list rest; va_start(rest, flags); return slow("openat", folder, path, flags, rest);
}
int openat64(int folder, const char *path, int flags, ...) {
    va_list rest; va_start(rest, flags); return slow("openat64", folder, path, flags, rest);
}
"""
"""Library that adds 2 ms to every `openat` of a DICOM file, for LD_PRELOAD."""
Whys = dict[str, tuple[float, str]]
"""Goal of the comparison with a contender, and the reason if it is missed."""
TAIL = "the last bytes of a compressed file are also read, to verify that it is complete"
FILMS_GOALS: Whys = {
    FLOOR: (2.0, f"{TAIL}, and the columns, its id and its header hash are computed"),
    "fastest": (1.7, f"both read the file, which is most of the work; {TAIL}"),
    PYDICOM: (60, f"the goal is close to the floor, and {TAIL}"),
}
MIXED_GOALS: Whys = {
    "fastest": (
        4,
        "half of the time is the walk with its system calls, a quarter the typed columns",
    ),
    PYDICOM: (60, "as above: typed columns are a quarter of the time"),
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


def measure_threads(
    folder: Path, sources: Sequence[str], count: int, rounds: int
) -> dict[str, Any]:
    """Seconds of scans with one and two threads, minus those of scans of few files.

    SHA-256, which shares nothing between threads, shows what a second thread gains here at most.
    """
    trees = [(folder / "few", START_FILES), (folder / "many", START_FILES + count)]
    for tree, files in trees:
        link_many(tree, sources, files)
        bare_walk(str(tree))  # warm the cache of folder entries
    took: dict[str, list[float]] = {"1": [], "2": []}
    hashed: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(rounds):
        for threads in (1, 2):
            start, whole = (_scan_seconds(str(tree), workers=threads) for tree, _ in trees)
            took[f"{threads}"].append(whole - start)
            hashed[f"{threads}"].append(_hash_seconds(threads))
    return {"files": count, "seconds": took, "sha256": hashed}


def _hash_seconds(threads: int) -> float:
    data = bytes(1 << 24)
    begun = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: hashlib.sha256(data).digest(), range(64)))
    return time.perf_counter() - begun


def thread_figures(measured: dict[str, Any]) -> list[Figure]:
    one, two = (median(measured["seconds"][n]) for n in "12")
    hashed = median(measured["sha256"]["1"]) / median(measured["sha256"]["2"])
    files, gain = measured["files"], one / two
    note = f"scan {gain:.2f} x, SHA-256 {hashed:.2f} x"
    name = f"(b), {files:,} files: gain of two threads, as part of the gain of SHA-256"
    return [
        Figure(name, gain / hashed, least=0.85, note=note),
        Figure(f"(b), {files:,} files: with two threads", files / two, "files/s"),
    ]


def measure_start(cases: Mapping[str, tuple[Sequence[str], bool]], rounds: int) -> dict[str, Any]:
    """Seconds of new processes, imports included, that scan a list's folder into a table.

    The modules are compiled, as pip installs them.
    """
    compileall.compile_dir(os.path.dirname(wr.__file__), quiet=1)
    took: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (paths, into_index) in cases.items():
            with tempfile.TemporaryDirectory() as folder:
                to = f", to={folder + '/an.index'!r}" if into_index else ""
                what = os.path.dirname(paths[0])
                code = f"import wetread as wr; wr.scan({what!r}{to}, progress=False).table"
                begun = time.perf_counter()
                subprocess.run([sys.executable, "-c", code], check=True)
                took[name].append(time.perf_counter() - begun)
    return {"seconds": took}


def start_figures(measured: dict[str, Any]) -> list[Figure]:
    goals = dict(zip(measured["seconds"], (0.5, 0.8, 0.8), strict=True))
    return [
        Figure(f"new process: {name}", median(seconds), "s", most=goals[name])
        for name, seconds in measured["seconds"].items()
    ]


def measure_waiting(folder: Path, paths: Sequence[str], rounds: int) -> dict[str, Any]:
    """Seconds with and without 2 ms of additional latency per open, with and without threads.

    Each scan runs in a new process; a scan of its first file is the warm-up.
    """
    (folder / "slow.c").write_text(SLOW_OPEN)
    library, listed = folder / "slow.so", folder / "slow.list"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "slow.c"], check=True)
    listed.write_text("\n".join(paths[:WAITING]))
    cases = {
        "slow, one by one": (library, "io_threads=1"),
        "slow": (library, ""),
        "fast, one by one": ("", "slow_open_seconds=float('inf')"),
        "fast": ("", ""),
    }
    took: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (preload, settings) in cases.items():
            command = [sys.executable, __file__, "scan", str(listed), settings]
            environment = {**os.environ, "LD_PRELOAD": str(preload)}
            run = subprocess.run(
                command, env=environment, check=True, capture_output=True, text=True
            )
            took[name].append(float(run.stdout))
    return {"files": len(paths[:WAITING]), "seconds": took}


def scan_listed(listed: str, settings: str) -> float:
    """Seconds of a scan of the files in a list."""
    paths = Path(listed).read_text().splitlines()
    made = eval(f"Settings({settings})")
    _scan_seconds(paths[:1], settings=made)
    return _scan_seconds(paths, settings=made)


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

    for name in ("films", "few_films", "mixed"):
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
    if not only or "start" in only:
        few_films = write_films(folder / "few_films", round(1_000 * scale))
        cases = {
            f"{len(few_films):,} radiographs into a table": (few_films, False),
            f"{len(films):,} radiographs into an index": (films, True),
            f"{len(mixed):,} mixed files into a table": (mixed, False),
        }
        note("start", found := measure_start(cases, rounds), start_figures(found))
    if not only or "threads" in only:
        found = measure_threads(folder, mixed, round(MANY * scale), few)
        note("threads", found, thread_figures(found))
    if not only or "waiting" in only:
        found = measure_waiting(folder, films, few)
        note("waiting", found, waiting_figures(found))
    if options.million:
        found = measure_million(folder, mixed, round(1_000_000 * scale))
        note("million", found, million_figures(found))
    return measured, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=["peers", "start", "threads", "waiting"])
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
    if sys.argv[1:2] == ["scan"]:
        print(scan_listed(*sys.argv[2:]))
    else:
        main()

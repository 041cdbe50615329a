"""Scan of a million files into an index, and a rescan without changes: rate and memory.

python bench/million.py --files 100000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import wetread as wr
from contenders import readable
from corpus import FOLDER_FILES, copy_mixed, link_many, mixed_sources
from figures import Figure, save, tabulate

ROUNDS = 3
SAMPLES_A_SECOND = 50


def measure_million(folder: Path, sources: Sequence[str], count: int) -> dict[str, Any]:
    """Scan a tenth and all files in new processes; rescan, compared with a plain walk."""
    tree, part = folder / "million", max(1, count // 10 // FOLDER_FILES)
    link_many(tree, sources, count)
    tenth = [str(path) for path in sorted(tree.iterdir())[:part]]
    bare_walk(str(tree))  # the folders' entries into the cache
    scans = [
        scan_watched(tenth, folder / "tenth.index"),
        scan_watched([str(tree)], folder / "million.index"),
    ]
    walks, rescans = [], []
    for _ in range(ROUNDS):
        walks.append(in_process("walk", str(tree))["seconds"])
        rescans.append(scan_watched([str(tree)], folder / "million.index"))
    return {"scans": scans, "walks": walks, "rescans": rescans}


def million_figures(measured: dict[str, Any]) -> list[Figure]:
    scans, rescans = measured["scans"], measured["rescans"]
    walk, again = median(measured["walks"]), median(r["seconds"] for r in rescans)
    figures = []
    for scan in scans:
        title, per_second = f"{scan['files']:,} files of (b)", scan["files"] / scan["seconds"]
        figures += [
            Figure(f"{title} into an index, one thread per core", per_second, "files/s"),
            Figure(f"{title}: peak memory", scan["peak_mb"], "MB", most=350),
            Figure(f"{title}: worker processes", scan["children"], most=0),
        ]
    name = f"{title}, unchanged, scanned again in {again:.1f} s: against scandir and stat"
    return [*figures, Figure(name, again / walk, "x their time", most=1.3)]


def in_process(*command: str) -> dict[str, Any]:
    """Run `job` in a new process."""
    run = subprocess.run(
        [sys.executable, __file__, *command], check=True, capture_output=True, text=True
    )
    return dict(json.loads(run.stdout))


def scan_watched(what: Sequence[str], to: Path) -> dict[str, Any]:
    """Scan in a new process; seconds, peak memory, and the number of its child processes."""
    command = [sys.executable, __file__, "scan", str(to), *what]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, children = 0.0, set[int]()
    while process.poll() is None:
        peak = max(peak, _peak_mb(process.pid))
        children.update(_children(process.pid))
        time.sleep(1 / SAMPLES_A_SECOND)
    assert process.stdout
    result = dict(json.loads(process.stdout.read()))
    return {**result, "peak_mb": peak, "children": len(children)}


def _children(pid: int) -> list[int]:
    # each thread has its own list
    return [
        int(child)
        for path in Path(f"/proc/{pid}/task").glob("*/children")
        for child in _text(path).split()
    ]


def _peak_mb(pid: int) -> float:
    """Peak resident memory of a process (VmHWM), including libraries."""
    for line in _text(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):  # the process has ended
        return ""


def bare_walk(folder: str) -> int:
    """Sizes and times of all files in a tree, by scandir and stat."""
    files = 0
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    entry.stat()
                    files += 1
    return files


def job(kind: str, *arguments: str) -> dict[str, Any]:
    """Work of a new process: `walk FOLDER`, or `scan INDEX WHAT ...`."""
    if kind == "walk":
        begun = time.perf_counter()
        files = bare_walk(*arguments)
    else:
        to, *what = arguments
        wr.scan  # imports it  # noqa: B018
        begun = time.perf_counter()
        files = len(wr.scan(what, to=to, progress=False))
    return {"files": files, "seconds": time.perf_counter() - begun}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wetread-bench-") as name:
        folder = Path(name)
        (folder / "mixed").mkdir()
        mixed = copy_mixed(folder / "mixed", mixed_sources(readable), 5_000)
        measured = measure_million(folder, mixed, options.files)
    figures = million_figures(measured)
    save(options.json, figures, measured)
    print("\n".join(tabulate(figures)))


if __name__ == "__main__":
    if sys.argv[1:2] in (["walk"], ["scan"]):
        print(json.dumps(job(*sys.argv[1:])))
    else:
        main()

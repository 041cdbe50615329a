"""Bombs: memory and time of a scan and of `measure`.

    python bench/bombs.py
    python bench/bombs.py --out .              # write the files of decompression bombs and stop
    python bench/bombs.py --headers            # header bombs: CPU seconds, memory beyond the table
    python bench/bombs.py --headers --nested   # with sequences and private elements
    python bench/bombs.py --headers --kind nesting --mib 1

Each file is read and measured in a new process, after a warm-up with a good file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import header_bombs
import wetread as wr
from wetread.testing import damages, dicom_file, picture

NAMES = ("bombs", "pixel_bombs", "too_deep", "length_too_long", "pixels_over_4_gib")
MEGABYTES, SECONDS = 100.0, 5.0
"""Limits of additional memory and time compared with a good file."""
HEADER_SECONDS = 1.0
"""Limit of CPU time for the scan of a file without `sequences` and `private`."""


def watched(who: int, work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result of `work`, the increase of the peak memory of `who` in MB, and seconds."""
    before, begun = resource.getrusage(who).ru_maxrss, time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begun
    return result, (resource.getrusage(who).ru_maxrss - before) * 1024 / 1e6, seconds


def job(good: str, bad: str) -> list[dict[str, Any]]:
    """Scan in this process, then measure in a worker; one line for each."""

    def measure(index: wr.Index) -> wr.Index:
        return index.measure(workers=1, progress=False)

    measure(wr.scan(good, workers=0, progress=False))
    index, *scan = watched(resource.RUSAGE_SELF, lambda: wr.scan(bad, workers=0, progress=False))
    measured, *decode = watched(resource.RUSAGE_CHILDREN, lambda: measure(index))
    lines = []
    for what, status, problems, cost in (
        ("scan", "read_status", "problems", scan),
        ("measure", "px_status", "px_problems", decode),
    ):
        rows = measured.table.select([status, problems]).to_pylist()
        statuses = [r[status] for r in rows if r[status] != "ok"] or ["ok"]
        statuses = ["no pixels" if text is None else text for text in statuses]
        codes = [f["code"] for row in rows for f in row[problems] or ()]
        lines.append({"what": what, "status": statuses[0], "codes": codes, "cost": cost})
    return lines


def resident(field: str) -> float:
    """Memory of this process in MB; `VmHWM` is its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(field)) * 1.024


def header_job(good: str, bad: str, nested: str) -> dict[str, Any]:
    """Scan a header bomb in this process: CPU seconds, and memory beyond the table."""
    how = {"workers": 0, "progress": False, "private": bool(nested), "sequences": bool(nested)}
    wr.scan(good, **how)
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    before, begun = resident("VmRSS"), time.process_time()
    index = wr.scan(bad, **how)
    seconds, megabytes = time.process_time() - begun, resident("VmHWM") - before
    table = index.table.nbytes / 1e6
    (row,) = index.table.select(["read_status", "problems"]).to_pylist()
    codes = list(dict.fromkeys(problem["code"] for problem in row["problems"]))
    cost = [seconds, max(megabytes - table, 0), table]
    return {"status": row["read_status"], "codes": codes, "cost": cost}


def run_headers(root: Path, options: argparse.Namespace) -> None:
    """Print a table of header bombs, and those over the limits."""
    good, bad = root / "good.dcm", root / "bad.dcm"
    good.write_bytes(dicom_file(picture()))
    print("| file | MiB | bytes | status | problems | CPU s | MB beyond the table | table MB |")
    print("|---|---:|---:|---|---|---:|---:|---:|")
    over = []
    for kind, mib, deflated in itertools.product(
        options.kind or header_bombs.KINDS, options.mib or header_bombs.SIZES, (False, True)
    ):
        header_bombs.write(bad, kind, mib, deflated)
        command = [sys.executable, __file__, "--header-job", str(good), str(bad)]
        ran = subprocess.run([*command, "1" * options.nested], check=True, stdout=subprocess.PIPE)
        line = json.loads(ran.stdout)
        seconds, megabytes, table = line["cost"]
        name = kind + ", deflated" * deflated
        cells = [
            name,
            str(mib),
            f"{bad.stat().st_size:,}",
            line["status"],
            ", ".join(line["codes"]),
        ]
        print(
            f"| {' | '.join(cells)} | {seconds:.2f} | {megabytes:.0f} | {table:.1f} |", flush=True
        )
        if seconds > HEADER_SECONDS or megabytes > MEGABYTES:
            over.append(f"{name}, {mib} MiB")
    print(f"over {HEADER_SECONDS:.0f} CPU s or {MEGABYTES:.0f} MB: {'; '.join(over) or 'none'}")


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the files to this folder and stop")
    parser.add_argument("--headers", action="store_true", help="header bombs only")
    parser.add_argument("--nested", action="store_true", help="with sequences and private elements")
    parser.add_argument(
        "--kind",
        action="append",
        choices=header_bombs.KINDS,
        help="one kind of header bomb; repeatable",
    )
    parser.add_argument("--mib", action="append", type=int, help="one size; repeatable")
    options = parser.parse_args()
    if options.headers:
        with tempfile.TemporaryDirectory(prefix="wetread-bench-") as folder:
            run_headers(Path(folder), options)
        return
    by_name = {damage.name: damage for damage in damages()}
    with tempfile.TemporaryDirectory(prefix="wetread-bench-") as folder:
        root = options.out or Path(folder)
        for name in NAMES:
            by_name[name].make(root / name)
        if options.out:
            return
        good = root / "good.dcm"
        good.write_bytes(dicom_file(picture()))
        print("| file | bytes | step | status | problems | more MB | s |")
        print("|---|---:|---|---|---|---:|---:|")
        over = []
        for path in sorted(path for name in NAMES for path in (root / name).iterdir()):
            command = [sys.executable, __file__, "--job", str(good), str(path)]
            ran = subprocess.run(command, check=True, capture_output=True, text=True)
            for line in json.loads(ran.stdout):
                name, (megabytes, seconds) = path.relative_to(root), line["cost"]
                cells = [str(name), f"{path.stat().st_size:,}", line["what"], line["status"]]
                cells += [", ".join(line["codes"]), f"{megabytes:.0f}", f"{seconds:.2f}"]
                print(f"| {' | '.join(cells)} |", flush=True)
                if megabytes > MEGABYTES or seconds > SECONDS:
                    over.append(f"{name}: {line['what']}")
    print(f"over {MEGABYTES:.0f} MB or {SECONDS:.0f} s: {', '.join(over) or 'none'}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        print(json.dumps(job(*sys.argv[2:])))
    elif sys.argv[1:2] == ["--header-job"]:
        print(json.dumps(header_job(*sys.argv[2:])))
    else:
        main()

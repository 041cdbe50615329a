"""Decompression bombs: memory and time of a scan and of `measure`.

    python bench/bombs.py
    python bench/bombs.py --out .  # write the files and stop

Each file is read and measured in a new process, after a warm-up with a good file.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wetread as wr
from wetread.testing import damages, dicom_file, picture

NAMES = ("bombs", "pixel_bombs", "too_deep", "length_too_long", "pixels_over_4_gib")
MEGABYTES, SECONDS = 100.0, 5.0
"""Limits of additional memory and time compared with a good file."""


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


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the files to this folder and stop")
    options = parser.parse_args()
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
    else:
        main()

"""kill -9 at seeded moments of a scan, followed by resuming it: lost rows and unreadable files.

    python bench/kills.py --n 200 --files 100000

The seed of run `n` determines when the scan is killed: one process, whose workers are threads.
After a kill the same command resumes in the same folder until a run completes: its table must
equal that of an undisturbed scan. Then the next scan starts in an empty folder.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

import wetread as wr
from wetread.settings import Settings
from wetread.table.parts import part_path, read_state
from wetread.testing import case, dicom_file, element, picture, seed_files
from wetread.testing.dicom import changed

SCRIPT = """
import sys, wetread
from wetread.table import scan
print("ready", flush=True)
wetread.scan(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]), progress=False)
"""
DAMAGED = 100
"""One in 100 files is damaged."""
ENDS = "completed scans"
MOST = "most files read again after one kill"


def make_files(folder: Path, count: int) -> None:
    """Write small files in folders of 1,000; one in 100 is a mutant of a real file."""
    seeds = seed_files(20_000)
    for number in range(count):
        if number % 1000 == 0:
            below = folder / f"{number // 1000:05}"
            below.mkdir(parents=True)
        data = (
            case(number, seeds)
            if number % DAMAGED == 7
            else dicom_file(changed(picture(number), element("PatientID", f"P{number}")))
        )
        (below / f"{number:07}.dcm").write_bytes(data)


class Run:
    """Scan in a separate process."""

    def __init__(self, folder: Path, to: Path, workers: int) -> None:
        command = [sys.executable, "-c", SCRIPT, str(folder), str(to), str(workers)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout
        self.process.stdout.readline()
        self.begun = time.monotonic()

    def kill(self) -> bool:
        """Send SIGKILL; false if the process has ended."""
        if self.process.poll() is not None:
            return False
        self.process.kill()
        return True

    def wait(self) -> tuple[int, str]:
        """Exit status and stderr, once the process has ended."""
        assert self.process.stderr
        errors = self.process.stderr.read().decode()
        return self.process.wait(), errors


def check_files(to: Path) -> int:
    """Number of committed rows; raises if a visible file cannot be read."""
    if not (to / "commits").is_dir():
        return 0
    for path in (to / "parts").glob("[!.]*.parquet"):
        pq.read_table(path)
    state = read_state(to)
    for part in (named := state.generation.parts if state.generation else ()):
        assert pq.read_metadata(part_path(to, part.name)).num_rows == part.rows, part.name
    return sum(part.rows for part in named or [part for part, _ in state.loose])


class Reads:
    """Files read since the last `forget`, by their access times."""

    def __init__(self, folder: Path) -> None:
        self.changed = {path: path.stat().st_mtime_ns for path in folder.rglob("*.dcm")}

    def forget(self) -> None:
        for path, changed_ns in self.changed.items():
            os.utime(path, ns=(0, changed_ns))

    def count(self) -> int:
        return sum(path.stat().st_atime_ns > 0 for path in self.changed)


def run_kills(folder: Path, to: Path, kills: int, workers: int, start: int) -> Counter[str]:
    """Scan, kill and resume until `kills` is reached and a scan is complete; count the events."""
    expected = wr.scan(folder, workers=workers, progress=False).table
    files, reads, counts = expected.num_rows, Reads(folder), Counter({"errors": 0})
    assert files == len(reads.changed), "lost rows"
    reads.forget()
    run = Run(folder, to, workers)
    assert run.wait() == (0, "")
    longest = time.monotonic() - run.begun
    assert wr.Index.open(to).table.equals(expected)
    assert reads.count() == files, "this file system does not record access times"
    shutil.rmtree(to)
    print(f"{files:,} files, {workers} workers, {longest:.1f} s undisturbed", flush=True)
    number, safe = start, 0
    while (more := counts["kills"] < kills) or safe:
        after = random.Random(number).random() * longest
        reads.forget()
        run, before = Run(folder, to, workers), safe
        if more:
            time.sleep(after)
        killed = more and run.kill()
        counts["kills"] += killed
        status, errors = run.wait()
        safe = check_files(to)
        if status == 0:
            found = wr.Index.open(to)
            again = found.summary()["read"] > files - before
            counts[ENDS] += 1
            counts["scans that read committed files again"] += again
            counts["wrong tables"] += not found.table.equals(expected)
            shutil.rmtree(to)
            safe = 0
            print(f"{counts['kills']} kills, {counts[ENDS]} completed scans", flush=True)
        elif not killed or errors:
            counts["errors"] += 1
            print(f"run {number}, after {after:.2f} s: {status}\n{errors}", flush=True)
        else:
            again = reads.count() - (safe - before)
            counts[MOST] = max(counts[MOST], again)
        number += 1
    return counts


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20, help="kills")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--start", type=int, default=0, help="the first run's seed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wetread-bench-") as name:
        folder = Path(name, "files")
        make_files(folder, options.files)
        begun = time.monotonic()
        counts = run_kills(
            folder, Path(name, "killed.index"), options.n, options.workers, options.start
        )
    print(f"{time.monotonic() - begun:.0f} s")
    for what, count in counts.items():
        print(f"{count:9,}  {what}")
    print(f"{options.workers * Settings().part_files:9,}  files in a part for each worker")


if __name__ == "__main__":
    main()

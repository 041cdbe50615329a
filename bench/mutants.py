"""Seeded header mutants of real files: escaped exceptions, lost rows and hangs.

    python bench/mutants.py --n 50000            # counts
    python bench/mutants.py --case 1234 --out .  # write one case as a file

Case `n` is file `n % files` of pydicom's and pydicom-data's files, damaged with seed `n`. A row
`crashed` is an exception that the last resort of the reader has caught: it counts as escaped.
With the header reader built with sanitizers (docs/fuzzing.md), their reports end the run.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import wetread as wr
from cases import blocks, case_parser
from wetread.settings import Settings
from wetread.testing import case, seed_files

WAYS = [
    {"settings": Settings(windows=windows), "private": nested, "sequences": nested}
    for nested in (False, True)
    for windows in ((8192, 65536), (64, 64))
]
"""Usual and small windows, without and with private elements and sequences, in turn."""
SECONDS = 5.0
"""CPU time allowed for one file, and 0.05 more for each further one."""


class Hang(BaseException):
    """A scan exceeded its time limit."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise Hang if the block takes more CPU time."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Hang

    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def run(numbers: range, seeds: Sequence[Path], way: dict[str, Any], counts: Counter[str]) -> None:
    """Scan a folder of cases and count failures; after one, scan file by file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in numbers:
            (folder / f"{number:09}.dcm").write_bytes(case(number, seeds))
        try:
            with at_most(SECONDS + 0.05 * len(numbers)):
                rows = wr.scan(folder, workers=0, progress=False, **way).table
        except (Exception, Hang):  # noqa: BLE001  (escaped exceptions are counted)
            for number in numbers:
                run_alone(folder / f"{number:09}.dcm", way, counts)
            return
    counts["lost rows"] += len(numbers) - rows.num_rows
    for name, status, found in zip(
        *(rows[column].to_pylist() for column in ("path", "read_status", "problems")), strict=True
    ):
        counts[f"status {status}"] += 1
        counts.update(problem["code"] for problem in found)
        if status == "crashed":
            counts["escaped exceptions"] += 1
            print(f"case {int(Path(name).stem)}: {found[0]['text']}", flush=True)


def run_alone(path: Path, way: dict[str, Any], counts: Counter[str]) -> None:
    """Scan one case; count and print its failure."""
    try:
        with at_most(SECONDS):
            counts["lost rows"] += 1 - len(wr.scan(path, workers=0, progress=False, **way))
    except Hang:
        counts["hangs"] += 1
        print(f"case {int(path.stem)}: more than {SECONDS} s of CPU time", flush=True)
    except Exception as error:  # noqa: BLE001
        counts["escaped exceptions"] += 1
        print(f"case {int(path.stem)}: {type(error).__name__}: {error}", flush=True)


def main() -> None:
    """Parse the arguments and run."""
    options = case_parser(__doc__, 50_000).parse_args()
    seeds = seed_files()
    if options.case is not None:
        path = options.out / f"{options.case:09}.dcm"
        path.write_bytes(case(options.case, seeds))
        print(f"{path}: {seeds[options.case % len(seeds)].name} damaged by {options.case}")
        return
    counts: Counter[str] = Counter({"escaped exceptions": 0, "lost rows": 0, "hangs": 0})
    begun = time.process_time()
    for block, numbers in enumerate(blocks(options)):
        run(numbers, seeds, WAYS[block % len(WAYS)], counts)
        if numbers.stop % 20_000 == 0:
            print(f"{numbers.stop:,} after {time.process_time() - begun:.0f} s", file=sys.stderr)
    seconds = time.process_time() - begun
    print(f"{options.n} mutants of {len(seeds)} files, {len(WAYS)} ways in turn, {seconds:.0f} s")
    for what, count in counts.items():
        print(f"{count:9,}  {what}")


if __name__ == "__main__":
    main()

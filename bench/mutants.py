"""Seeded header mutants of real files: escaped exceptions, lost rows and hangs.

    python bench/mutants.py --n 50000            # counts
    python bench/mutants.py --case 1234 --out .  # write one case as a file

Case `n` is file `n % files` of pydicom's and pydicom-data's files, damaged with seed `n`.
"""

from __future__ import annotations

import signal
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


class Hang(BaseException):
    """A scan exceeded its time limit."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise Hang if the block takes longer."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Hang

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


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
    counts.update(f"status {status}" for status in rows["read_status"].to_pylist())
    counts.update(f["code"] for found in rows["problems"].to_pylist() for f in found or [])


def run_alone(path: Path, way: dict[str, Any], counts: Counter[str]) -> None:
    """Scan one case; count and print its failure."""
    try:
        with at_most(SECONDS):
            counts["lost rows"] += 1 - len(wr.scan(path, workers=0, progress=False, **way))
    except Hang:
        counts["hangs"] += 1
        print(f"case {int(path.stem)}: longer than {SECONDS} s")
    except Exception as error:  # noqa: BLE001
        counts["escaped exceptions"] += 1
        print(f"case {int(path.stem)}: {type(error).__name__}: {error}")


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
    begun = time.monotonic()
    for block, numbers in enumerate(blocks(options)):
        run(numbers, seeds, WAYS[block % len(WAYS)], counts)
    seconds = time.monotonic() - begun
    print(f"{options.n} mutants of {len(seeds)} files, {len(WAYS)} ways in turn, {seconds:.0f} s")
    for what, count in counts.items():
        print(f"{count:9,}  {what}")


if __name__ == "__main__":
    main()

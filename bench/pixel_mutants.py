"""Seeded pixel mutants for every decoder, in the workers of `measure`.

    python bench/pixel_mutants.py --n 10000
    python bench/pixel_mutants.py --case 1234 --out .  # write one case as a file

This is the parent process: printed counts mean that no mutant ended it.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path

import wetread as wr
from cases import blocks, case_parser
from wetread.testing import pixel_case, pixel_seeds


def run(numbers: range, seeds: dict, counts: Counter[tuple[str, str]], workers: int | None) -> None:
    """Measure a folder of cases; count their statuses by kind of pixels."""
    with tempfile.TemporaryDirectory() as name:
        kinds = {}
        for number in numbers:
            kinds[f"{number:09}.dcm"], data = pixel_case(number, seeds)
            Path(name, f"{number:09}.dcm").write_bytes(data)
        index = wr.scan(name, workers=0, progress=False).measure(workers=workers, progress=False)
        rows = index.table.select(["path", "pixel_length", "px_status", "px_problems"]).to_pylist()
    for row in rows:
        status = row["px_status"] or ("no pixels" if row["pixel_length"] is None else "LOST")
        counts[kinds[row["path"]], status] += 1
        if status in ("crashed", "timeout", "refused"):
            print(f"case {int(row['path'][:9])}: {status}: {row['px_problems'][0]['text']}")
    counts["", "LOST"] += len(numbers) - len(rows)


def main() -> None:
    """Parse the arguments and run."""
    parser = case_parser(__doc__, 10_000)
    parser.add_argument("--workers", type=int, help="processes")
    parser.add_argument("--folder", type=Path, action="append", default=[], help="more real files")
    options = parser.parse_args()
    seeds = pixel_seeds(options.folder)
    if options.case is not None:
        kind, data = pixel_case(options.case, seeds)
        path = options.out / f"{options.case:09}.dcm"
        path.write_bytes(data)
        print(f"{path}: {kind}")
        return
    counts: Counter[tuple[str, str]] = Counter()
    begun = time.monotonic()
    for numbers in blocks(options):
        run(numbers, seeds, counts, options.workers)
    seconds = time.monotonic() - begun
    statuses = sorted({status for _, status in counts})
    print(f"{options.n:,} mutants of {sum(map(len, seeds.values()))} files, {seconds:.0f} s")
    print(f"{'':15}" + "".join(f"{status:>12}" for status in statuses))
    for kind in seeds:
        print(f"{kind:15}" + "".join(f"{counts[kind, status]:12,}" for status in statuses))
    print("parent deaths 0, rows lost", sum(n for (_, s), n in counts.items() if s == "LOST"))


if __name__ == "__main__":
    main()

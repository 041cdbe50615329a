"""Files truncated at seeded offsets: undetected truncations and lost rows.

python bench/cuts.py --n 100000
python bench/cuts.py --case 1234 --out .  # write one case as a file
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wetread as wr
from cases import blocks, case_parser
from mutants import SECONDS, WAYS, Hang, at_most
from wetread.testing.cuts import (
    FLAGS,
    MAY_BE_MISSED,
    Whole,
    cut_case,
    is_flagged,
    knowable,
    whole_files,
)


def run(
    numbers: range, wholes: Sequence[Whole], way: dict[str, Any], counts: Counter[tuple[str, str]]
) -> None:
    """Scan a folder of cases; count detected ones by kind, and print those that were missed."""
    cuts = {f"{n:09}.dcm": cut_case(n, wholes) for n in numbers}
    with tempfile.TemporaryDirectory() as folder:
        for name, (whole, at) in cuts.items():
            Path(folder, name).write_bytes(whole.data[:at])
        try:
            with at_most(SECONDS + 0.05 * len(numbers)):
                rows = wr.scan(folder, workers=0, progress=False, **way).table.to_pylist()
        except (Exception, Hang) as error:  # noqa: BLE001  (escaped exceptions are counted)
            counts["", "escaped"] += 1
            print(f"cases {numbers}: {type(error).__name__}: {error}")
            return
    counts["", "lost"] += len(numbers) - len(rows)
    for row in rows:
        whole, at = cuts[row["path"]]
        kind = knowable(whole, at)
        flagged = is_flagged(row, kind)
        counts[kind, "detected" if flagged else "missed"] += 1
        if not flagged and kind not in MAY_BE_MISSED:
            print(f"case {int(row['path'][:9])}: {whole.name} cut at {at}, {kind}: missed")


def main() -> None:
    """Parse the arguments and run."""
    options = case_parser(__doc__, 3000).parse_args()
    wholes = whole_files()
    if options.case is not None:
        whole, at = cut_case(options.case, wholes)
        path = options.out / f"{options.case:09}.dcm"
        path.write_bytes(whole.data[:at])
        print(f"{path}: {whole.name} cut at {at}, {knowable(whole, at)}")
        return
    counts: Counter[tuple[str, str]] = Counter()
    begun = time.monotonic()
    for block, numbers in enumerate(blocks(options)):
        run(numbers, wholes, WAYS[block % len(WAYS)], counts)
    seconds = time.monotonic() - begun
    print(f"{options.n:,} cuts of {len(wholes)} files, {len(WAYS)} ways in turn, {seconds:.0f} s")
    print(f"| truncation | detected | missed |\n|---|{'---:|' * 2}")
    for kind in FLAGS:
        print(f"| {kind} | {counts[kind, 'detected']:,} | {counts[kind, 'missed']:,} |")
    print(f"escaped {counts['', 'escaped']}, rows lost {counts['', 'lost']}")


if __name__ == "__main__":
    main()

"""Options and blocks of case numbers for the benchmarks with seeded cases."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path


def case_parser(doc: str, cases: int) -> argparse.ArgumentParser:
    """Parser of the options that select cases; `cases` is the default number."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--n", type=int, default=cases, help="cases")
    parser.add_argument("--start", type=int, default=0, help="the first case")
    parser.add_argument("--block", type=int, default=1000, help="cases in one index")
    parser.add_argument("--case", type=int, help="write this case as a file and stop")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for --case")
    return parser


def blocks(options: argparse.Namespace) -> Iterator[range]:
    """Yield the numbers of the cases in blocks."""
    end = options.start + options.n
    for first in range(options.start, end, options.block):
        yield range(first, min(first + options.block, end))

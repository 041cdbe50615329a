"""Coverage-guided fuzzing of the header reader, with atheris: see docs/fuzzing.md.

    python bench/fuzz.py walk corpus/ -max_len=65536
    python bench/fuzz.py rows corpus/ -max_len=65536

`walk` compares walks in windows of any size, `rows` makes a row with all its columns. A finding is
an exception, a row that depends on the windows, a lost row, or one that the last resort made.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["wetread.headers"]):
    from wetread.headers.reading import read_headers
    from wetread.headers.walks import Memory, walk_others

import numpy as np

from wetread.settings import Settings
from wetread.sources.find import find

WAYS = [Settings(), Settings(windows=(64, 64))]


def walk(data: bytes, settings: Settings, whole: bool) -> tuple[bytes, ...]:
    """Results of a walk, as bytes that can be compared."""
    walked = walk_others(
        [len(data)], lambda _, at, n: data[at : at + n], Memory(), settings, whole=whole
    )
    e, f = walked.elements, walked.found
    arrays = (e.tag, e.vr, e.depth, e.bits, e.length, e.offset, f.kind, f.tag, f.offset, f.a, f.b)
    return tuple(np.ascontiguousarray(array).tobytes() for array in arrays)


def test_walk(data: bytes) -> None:
    """Walk one input in both ways, without and with what is nested."""
    for whole in (False, True):
        usual, small = (walk(data, settings, whole) for settings in WAYS)
        if usual != small:
            raise AssertionError("the walk depends on its windows")


def test_rows(data: bytes) -> None:
    """Read one input as a file, without and with what is nested."""
    FILE.write_bytes(data)
    (sources,) = find(FILE, stat=False, size=1, settings=WAYS[0]).batches
    for nested in (False, True):
        table = read_headers(str(FILE.parent), sources, private=nested, sequences=nested)
        (row,) = table.select(["read_status", "problems"]).to_pylist()
        if row["read_status"] == "crashed":
            raise AssertionError(row["problems"][0]["text"])


if __name__ == "__main__":
    test = {"walk": test_walk, "rows": test_rows}[sys.argv.pop(1)]
    with tempfile.TemporaryDirectory() as folder:
        FILE = Path(folder, "fuzzed.dcm")
        atheris.Setup(sys.argv, test)
        atheris.Fuzz()

"""Coverage-guided fuzzing of the header walk, with atheris (pip install atheris).

    CFLAGS="-fsanitize=fuzzer-no-link,address,undefined" CC=clang python hatch_build.py
    LD_PRELOAD=$(python -c "import atheris; print(atheris.path())")/asan_with_fuzzer.so \\
        python bench/fuzz.py corpus/ -max_len=65536

`corpus/` may hold real files. A walk that raises, or that depends on its windows, is a problem; so
is what the sanitizers report. What it finds becomes a test in tests/test_headers_walks.py.
"""

from __future__ import annotations

import sys

import atheris
import numpy as np

with atheris.instrument_imports(include=["wetread.headers"]):
    from wetread.headers.walks import Memory, walk_others
    from wetread.settings import Settings

WAYS = [Settings(), Settings(windows=(64, 64))]


def walk(data: bytes, settings: Settings, whole: bool) -> tuple[bytes, ...]:
    """What a walk finds, as bytes that can be compared."""
    walked = walk_others(
        [len(data)], lambda _, at, n: data[at : at + n], Memory(), settings, whole=whole
    )
    e, f = walked.elements, walked.found
    arrays = (e.tag, e.vr, e.depth, e.bits, e.length, e.offset, f.kind, f.tag, f.offset, f.a, f.b)
    return tuple(np.ascontiguousarray(array).tobytes() for array in arrays)


def test(data: bytes) -> None:
    """One input, both ways, without and with what is nested."""
    for whole in (False, True):
        usual, small = (walk(data, settings, whole) for settings in WAYS)
        if usual != small:
            raise AssertionError("the walk depends on its windows")


if __name__ == "__main__":
    atheris.Setup(sys.argv, test)
    atheris.Fuzz()

"""A row is a function of the file's bytes: of no window, neighbour, memory, thread or order."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import wetread as wr
from wetread.headers.core.constants import R_HEAD, R_MTIME, R_TEXT
from wetread.headers.reading import read_headers
from wetread.headers.walks import Memory, walk_files, walk_others
from wetread.settings import KIB, MIB, Settings
from wetread.sources.find import find
from wetread.testing import case, dicom_file, picture, seed_files
from wetread.testing.dicom import BIG_ENDIAN, DEFLATED, IMPLICIT, file_meta, pack_meta

MUTANTS = 300
WINDOWS = {"64 B": (64, 64), "8 KiB": (8 * KIB, 64 * KIB), "whole": (64 * MIB, 64 * MIB)}
OF_THE_FILE = {"id", "path", "mtime_ns"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mutants of real files, and whole files of every encoding between them."""
    folder, seeds = tmp_path_factory.mktemp("mutants"), seed_files()
    for n in range(MUTANTS):
        (folder / f"{n:04}.dcm").write_bytes(case(n, seeds))
    for n, syntax in enumerate([IMPLICIT, BIG_ENDIAN, DEFLATED] * 3):
        (folder / f"{n:04} whole.dcm").write_bytes(dicom_file(picture(n), syntax))
    return folder


def found_in(content: bytes, settings: Settings, fill: int = 0, whole: bool = True) -> Any:
    """All that a walk finds in one file, as values that can be compared."""

    def read(_: int, first: int, count: int) -> bytes:
        return content[first : first + count]

    memory = Memory(arena=np.full(64 * KIB, fill, np.uint8))
    walked = walk_others([len(content)], read, memory, settings, whole=whole)
    e, f = walked.elements, walked.found
    values = [
        memory.arena[start : start + length].tobytes() if start >= 0 else None
        for start, length in zip(e.start.tolist(), e.length.tolist(), strict=True)
    ]
    rows = np.delete(walked.rows[:, 0], [R_HEAD, R_MTIME, R_TEXT]).tolist()
    elements = [a.tolist() for a in (e.tag, e.vr, e.depth, e.bits, e.length, e.offset)]
    problems = [a.tolist() for a in (f.kind, f.tag, f.offset, f.a, f.b)]
    return rows, elements, problems, values, walked.inferred


@pytest.mark.parametrize("whole", [False, True], ids=["columns", "nested"])
def test_a_walk_depends_on_no_window_and_no_memory(folder: Path, whole: bool) -> None:
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        expected = found_in(content, Settings(), whole=whole)
        for name, windows in WINDOWS.items():
            for fill in (0x00, 0xFF):
                seen = found_in(content, Settings(windows=windows), fill, whole)
                assert seen == expected, (path.name, name, fill)


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    for row in table.to_pylist():
        yield {k: v for k, v in row.items() if v is not None and k not in OF_THE_FILE}


def test_a_search_for_a_delimiter_keeps_no_bytes() -> None:
    """Found by `bench/bombs.py`: 119 MB for a header of 60 MiB."""
    un = b"\x08\x00\x15\x11UN\0\0\xff\xff\xff\xff" + b"\xfe" * 4 * MIB
    name = b"\x10\x00\x10\x00PN\x04\x00Test"
    content = pack_meta(file_meta([])) + un + b"\xfe\xff\xdd\xe0\0\0\0\0" + name
    memory = Memory()
    walked = walk_others([len(content)], lambda _, at, n: content[at : at + n], memory, Settings())
    start = int(walked.elements.start[-1])
    assert memory.arena[start : start + 4].tobytes() == b"Test"
    assert len(memory.arena) < MIB


def test_a_row_depends_on_no_neighbour_and_no_thread(folder: Path) -> None:
    (sources,) = find(folder, stat=False, size=10_000, settings=Settings()).batches
    among = [*rows_of(read_headers(str(folder), sources))]

    def alone(i: int) -> dict[str, Any]:
        return next(rows_of(read_headers(str(folder), sources.slice(i, 1))))

    with ThreadPoolExecutor(4) as pool:
        for i, row in enumerate(pool.map(alone, range(len(among)))):
            assert repr(row) == repr(among[i]), sources["path"][i]
    backwards = sources.take(pa.array(range(len(among) - 1, -1, -1)))
    for row, other in zip(rows_of(read_headers(str(folder), backwards)), among[::-1], strict=True):
        assert repr(row) == repr(other)


def test_threads_give_the_same_table(folder: Path) -> None:
    settings = Settings(part_files=20, block_bytes=100 * KIB)
    expected = wr.scan(folder, workers=0, progress=False).table
    assert wr.scan(folder, workers=4, progress=False, settings=settings).table == expected


def test_a_block_ends_where_its_memory_is_full(folder: Path) -> None:
    names = pa.array([bytes(path) + b"\0" for path in sorted(folder.iterdir())])
    walked = walk_files(names, Memory(), Settings(block_bytes=2 * KIB))
    assert 0 < walked.rows.shape[1] < len(names)

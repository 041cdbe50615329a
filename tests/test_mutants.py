"""Many damaged files at once: seeded mutants, seeded cuts, a public corpus of malformed files."""

from __future__ import annotations

import bisect
import io
import random
import resource
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
import pytest

import wetread as wr
from wetread.errors import FINDINGS
from wetread.settings import KIB, Settings
from wetread.testing import case, dicom_file, picture, seed_files

MALFORMED = Path(__file__).resolve().parents[2] / "shared" / "data" / "malformed"
STATUSES = {"ok", "repaired", "partial", "not_dicom", "refused", "no_access", "timeout", "crashed"}
WALKS = [Settings(few_files=0), Settings(few_files=10**9)]
KEEPS = {"BAD_NUMBER", "BAD_DATE", "BAD_VALUE", "CHARSET", "VM_MISMATCH"}
"""Findings of values whose raw bytes are in `invalid`."""
MUTANTS, CUTS, BLOCK = 5000, 3000, 500

Row = dict[str, Any]


FLAGS = {
    "inside an element": {"TRUNCATED"},
    "inside a deflated stream": {"DEFLATE_DAMAGED", "TRUNCATED"},
    "between the header and its pixels": {"PIXELS_ABSENT"},
    "before the data set": set(FINDINGS),
    "after the pixels": {"TRUNCATED"},
    "unknowable": set(FINDINGS),
}
LONG_FORM = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
MAY_BE_MISSED = {"unknowable", "after the pixels"}
"""Between two elements of which none announces pixels; behind what a scan reads."""


def scan(folder: Path, settings: Settings, nested: bool = False) -> list[Row]:
    how = {"private": nested, "sequences": nested, "settings": settings}
    index = wr.scan(folder, workers=0, progress=False, **how)
    assert len(index) == sum(path.is_file() for path in folder.rglob("*"))
    return index.table.to_pylist()


def test_mutants_are_rows_and_the_same_by_both_walks(tmp_path: Path) -> None:
    """C1 to C5: no exception, no lost row, no other file's bytes in a row, no lost value."""
    files = seed_files()
    assert len(files) >= 70
    good = dicom_file(picture())
    alone = None
    for block, first in enumerate(range(0, MUTANTS, BLOCK)):
        folder = tmp_path / str(first)
        folder.mkdir()
        (folder / "good.dcm").write_bytes(good)
        for n in range(first, first + BLOCK):
            (folder / f"{n:06}.dcm").write_bytes(case(n, files))
        begun = time.monotonic()
        nested = bool(block % 2)
        rows, one_by_one = (scan(folder, settings, nested) for settings in WALKS)
        assert time.monotonic() - begun < 5 + 0.05 * BLOCK
        for row, other in zip(rows, one_by_one, strict=True):
            assert row["read_status"] in STATUSES, row["path"]
            found = {(f["code"], f["tag"]) for f in row["findings"]}
            assert {code for code, _ in found} <= FINDINGS.keys(), row["path"]
            kept = sum(code in KEEPS for code, _ in found)
            assert len(row["invalid"]) >= kept, (row["path"], found, row["invalid"])
            differing = {k for k in row if repr(row[k]) != repr(other.get(k))}  # NaN is NaN
            assert not differing, (row["path"], {k: (row[k], other.get(k)) for k in differing})
        own = {"mtime_ns", "private", "sequences"}
        beside = {k: v for k, v in rows[-1].items() if v is not None and k not in own}
        alone = alone or beside
        assert beside == alone
        for path in folder.iterdir():
            path.unlink()


def test_a_cut_is_flagged_where_it_can_be_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cut inside an element is TRUNCATED; between two, the pixels tell, if any were announced."""
    wholes = {p: extents(p.read_bytes()) for p in clean(tmp_path)}
    assert len(wholes) >= 50
    rng, cuts = random.Random(0), []
    for n in range(CUTS):
        path, (_, ends) = rng.choice(list(wholes.items()))
        data = path.read_bytes()
        # half of the cuts fall in the header, a tenth between elements
        at = rng.choice((rng.randrange(len(data)), rng.randrange(ends[-1] if ends else 1)))
        at = rng.choice(ends) if ends and n % 10 == 0 else at
        cuts.append((path, at))
    seen: Counter[str] = Counter()
    wrong = []
    for block, first in enumerate(range(0, CUTS, BLOCK)):
        folder = tmp_path / str(first)
        folder.mkdir()
        for n, (path, at) in enumerate(cuts[first : first + BLOCK], first):
            (folder / f"{n:06}.dcm").write_bytes(path.read_bytes()[:at])
        for row in scan(folder, WALKS[block % 2]):
            path, at = cuts[int(row["path"][:6])]
            kind = knowable(at, *wholes[path], path.stat().st_size)
            codes = {f["code"] for f in row["findings"] or []}
            flagged = row["read_status"] == "partial" and bool(codes & FLAGS[kind])
            if kind == "before the data set":
                flagged = row["read_status"] != "ok"
            seen[f"{kind}: {'flagged' if flagged else 'not flagged'}"] += 1
            if not flagged and kind not in MAY_BE_MISSED:
                wrong.append(f"{path.name} cut at {at}, {kind}: {row['read_status']}, {codes}")
        for cut in folder.iterdir():
            cut.unlink()
    with capsys.disabled():
        print("\n  cuts:", ", ".join(f"{n} {what}" for what, n in sorted(seen.items())))
    assert not wrong, "\n".join(wrong[:50])


def clean(tmp_path: Path) -> list[Path]:
    """The seed files in which nothing is wrong, with a File Meta group."""
    folder = tmp_path / "clean"
    folder.mkdir()
    for n, path in enumerate(files := seed_files()):
        (folder / f"{n:06}.dcm").symlink_to(path)
    ok = [files[int(r["path"][:6])] for r in scan(folder, WALKS[1]) if r["read_status"] == "ok"]
    return [path for path in ok if path.read_bytes()[128:132] == b"DICM"]


def extents(data: bytes) -> tuple[dict[int, int], list[int]]:
    """Where pydicom finds each element of the data set to start, by tag; and all the starts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = pydicom.dcmread(io.BytesIO(data))
        if data_set.file_meta.TransferSyntaxUID.is_deflated:
            return {}, []
        starts = {}
        for tag in data_set.keys():  # noqa: SIM118  (a data set iterates over values)
            item = data_set.get_item(tag)
            at = getattr(item, "value_tell", None) or item.file_tell
            explicit = not data_set.original_encoding[0]
            starts[int(tag)] = at - (12 if explicit and item.VR in LONG_FORM else 8)
    return starts, sorted(starts.values())


def knowable(at: int, starts: dict[int, int], ends: Sequence[int], size: int) -> str:
    """What a cut at this byte destroys, as a key of FLAGS."""
    if not ends:
        return "inside a deflated stream" if 1000 < at < size - 8 else "unknowable"
    if at <= ends[0]:
        return "before the data set"
    pixels = min(
        (starts[t] for t in (0x7FE00008, 0x7FE00009, 0x7FE00010) if t in starts), default=size
    )
    if ends[bisect.bisect_right(ends, at) - 1] > pixels:
        return "after the pixels"
    if at not in ends:
        return "inside an element"
    announced = all(starts.get(t, size) < at for t in (0x00280010, 0x00280011, 0x00280100))
    return "between the header and its pixels" if announced and at <= pixels else "unknowable"


@pytest.mark.skipif(not MALFORMED.is_dir(), reason="the public corpus is not on this machine")
@pytest.mark.parametrize("settings", WALKS, ids=["in_step", "one_by_one"])
def test_malformed_corpus(settings: Settings) -> None:
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    rows = scan(MALFORMED, settings)
    assert len(rows) >= 190
    assert {row["read_status"] for row in rows} <= STATUSES
    assert time.monotonic() - begun < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250 * KIB  # KiB on Linux
    by_path = {row["path"]: row for row in rows}
    assert by_path["baseline/BASELINE_valid_ct.dcm"]["read_status"] == "ok"

"""Many damaged files at once: seeded mutants, seeded cuts, a public corpus of malformed files."""

from __future__ import annotations

import resource
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import wetread as wr
from wetread.errors import PROBLEMS
from wetread.settings import KIB, Settings
from wetread.testing import case, dicom_file, picture, seed_files
from wetread.testing.cuts import MAY_BE_MISSED, cut_case, is_flagged, knowable, whole_files

MALFORMED = Path(__file__).resolve().parents[3] / "shared" / "data" / "malformed"
STATUSES = {"ok", "repaired", "partial", "not_dicom", "refused", "no_access", "timeout", "crashed"}
WALKS = [Settings(), Settings(windows=(64, 64), part_files=1)]
KEEPS = {"BAD_NUMBER", "BAD_DATE", "BAD_VALUE", "CHARSET", "VM_MISMATCH"}
"""Problems of values whose raw bytes are in `invalid`."""
MUTANTS, CUTS, BLOCK = 5000, 3000, 500

Row = dict[str, Any]


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
        begun = time.process_time()
        nested = bool(block % 2)
        rows, one_by_one = (scan(folder, settings, nested) for settings in WALKS)
        assert time.process_time() - begun < 5 + 0.05 * BLOCK
        for row, other in zip(rows, one_by_one, strict=True):
            assert row["read_status"] in STATUSES, row["path"]
            found = {(f["code"], f["tag"]) for f in row["problems"]}
            assert {code for code, _ in found} <= PROBLEMS.keys(), row["path"]
            kept = sum(code in KEEPS for code, tag in found if tag != "0008,0005")
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
    wholes = whole_files()
    assert len(wholes) >= 50
    seen: Counter[str] = Counter()
    wrong = []
    for block, first in enumerate(range(0, CUTS, BLOCK)):
        folder = tmp_path / str(first)
        folder.mkdir()
        for n in range(first, first + BLOCK):
            whole, at = cut_case(n, wholes)
            (folder / f"{n:06}.dcm").write_bytes(whole.data[:at])
        for row in scan(folder, WALKS[block % 2]):
            whole, at = cut_case(n := int(row["path"][:6]), wholes)
            kind = knowable(whole, at)
            flagged = is_flagged(row, kind)
            seen[f"{kind}: {'flagged' if flagged else 'not flagged'}"] += 1
            if not flagged and kind not in MAY_BE_MISSED:
                wrong.append(f"case {n}: {whole.name} cut at {at}, {kind}: {row['problems']}")
        for cut in folder.iterdir():
            cut.unlink()
    with capsys.disabled():
        print("\n  cuts:", ", ".join(f"{n} {what}" for what, n in sorted(seen.items())))
    assert not wrong, "\n".join(wrong[:50])


@pytest.mark.skipif(not MALFORMED.is_dir(), reason="the public corpus is not on this machine")
@pytest.mark.parametrize("settings", WALKS, ids=["usual", "one by one"])
def test_malformed_corpus(settings: Settings) -> None:
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    rows = scan(MALFORMED, settings)
    assert len(rows) >= 190
    assert {row["read_status"] for row in rows} <= STATUSES
    assert time.process_time() - begun < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250 * KIB  # KiB on Linux
    by_path = {row["path"]: row for row in rows}
    assert by_path["baseline/BASELINE_valid_ct.dcm"]["read_status"] == "ok"

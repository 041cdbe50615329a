"""Every failure class of `wetread.testing`, read by both readers.

For each file of each class: one row, with the expected status and problems and no others, the
values that are correct despite the damage, the raw bytes of those that do not parse (contract C1
to C4). Good files next to them are read as if they were alone (C5).
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import wetread as wr
from wetread.errors import PROBLEMS
from wetread.settings import Settings
from wetread.testing import Damage, Expected, damages, dicom_file, picture

ACROSS = {"UID_CLASH", "POSSIBLE_DUPLICATE"}
WALKS = {"small windows": Settings(windows=(64, 64)), "usual": Settings()}
AS_ROOT = [d for d in damages() if d.name == "no_permission" and os.geteuid() == 0]
"""Permissions do not apply to the superuser: test_limits.py reads it as another user."""

Row = dict[str, Any]


def name_of(damage: Damage) -> str:
    return damage.name


@pytest.fixture(params=WALKS, ids=str)
def settings(request: pytest.FixtureRequest) -> Settings:
    return WALKS[request.param]


@pytest.mark.parametrize("damage", [d for d in damages() if d not in AS_ROOT], ids=name_of)
def test_each_file_is_one_row_with_its_problems(
    damage: Damage, settings: Settings, tmp_path: Path
) -> None:
    expected = damage.make(tmp_path)
    index = wr.scan(tmp_path, workers=0, progress=False, settings=settings)
    unlock(tmp_path)
    rows = {(row["path"], row["member"]): row for row in index.table.to_pylist()}
    assert len(rows) == len(index)
    assert set(rows) == {(e.path, e.member) for e in expected}
    codes = codes_by_file(index, across=damage.number == 31)
    wrong = {e.path: faults(e, rows[e.path, e.member], codes[e.path, e.member]) for e in expected}
    assert not {path: texts for path, texts in wrong.items() if texts}


def test_all_classes_together_give_the_same_rows(settings: Settings, tmp_path: Path) -> None:
    expected = {
        (f"{damage.name}/{e.path}", e.member): e
        for damage in damages()
        if damage not in AS_ROOT
        for e in damage.make(tmp_path / damage.name)
    }
    index = wr.scan(tmp_path, workers=0, progress=False, settings=settings)
    rows = {(row["path"], row["member"]): row for row in index.table.to_pylist()}
    assert len(index) == len(rows)
    assert set(rows) == set(expected)
    listed = {(f["path"], f["member"]) for f in index.problems().to_dict("records")}
    assert listed >= {key for key, e in expected.items() if e.codes}
    for key, e in expected.items():
        codes = {f["code"] for f in rows[key]["problems"]}
        assert not faults(replace(e, codes=e.codes - ACROSS), rows[key], codes), key
    unlock(tmp_path)


def codes_by_file(index: wr.Index, *, across: bool) -> dict[tuple[str, str], set[str]]:
    """Codes of `index.problems()` by file; with `across`, those across files too."""
    codes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for problem in index.problems().to_dict("records"):
        if across or problem["code"] not in ACROSS:
            codes[problem["path"], problem["member"]].add(problem["code"])
    return codes


def faults(expected: Expected, row: Row, codes: set[str]) -> list[str]:
    """Differences between a row and its expectation."""
    texts = []
    if row["read_status"] != expected.status:
        texts.append(f"status {row['read_status']}, expected {expected.status}")
    if missing := expected.codes - codes:
        texts.append(f"no problem {sorted(missing)}")
    if false := codes - expected.codes - expected.also:
        texts.append(f"false problem {sorted(false)}")
    for name, value in expected.values.items():
        if row.get(name) != value:
            texts.append(f"{name} is {row.get(name)!r}, expected {value!r}")
    invalid = {(i["keyword"], i["raw"]) for i in row["invalid"] or []}
    for name, raw in expected.invalid.items():
        if (name, raw) not in invalid:
            texts.append(f"{name}: raw bytes {raw!r} missing in {invalid}")
    texts += [f"unknown code {code}" for code in codes - PROBLEMS.keys()]
    return texts


@pytest.mark.parametrize("damage", damages(), ids=name_of)
def test_good_files_are_read_as_if_they_were_alone(
    damage: Damage, settings: Settings, tmp_path: Path
) -> None:
    for number in range(3):
        (tmp_path / f"good_{number}.dcm").write_bytes(dicom_file(picture(number)))
    alone = good_rows(wr.scan(tmp_path, workers=0, progress=False, settings=settings))
    damage.make(tmp_path / "bad")
    together = good_rows(wr.scan(tmp_path, workers=0, progress=False, settings=settings))
    unlock(tmp_path)
    assert len(alone) == 3
    for ours, beside in zip(alone, together, strict=True):
        assert {name: beside[name] for name in ours} == ours
        assert not {n: v for n, v in beside.items() if n not in ours and v is not None}


def good_rows(index: wr.Index) -> list[Row]:
    return [row for row in index.table.to_pylist() if row["path"].startswith("good_")]


def unlock(folder: Path) -> None:
    """Make the temporary folder removable."""
    for path in folder.rglob("*"):
        if stat.S_ISDIR(path.lstat().st_mode):
            path.chmod(0o700)

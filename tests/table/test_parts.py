from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from wetread.errors import IndexFormatError
from wetread.headers.schema import CORE
from wetread.sources.find import SOURCE_SCHEMA
from wetread.table import parts
from wetread.table.parts import Options, Part


def rows(*paths: str) -> pa.Table:
    columns = {"path": list(paths), "member": [""] * len(paths), "Rows": [1] * len(paths)}
    return pa.Table.from_pylist(
        [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], CORE
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with parts.locked(tmp_path / "to"):
        return tmp_path / "to"


def test_keys_sort_as_paths_and_members_do() -> None:
    names = [(b"a", b""), (b"a", b"b"), (b"a.b", b""), (b"a/b", b""), (b"b\xff", b"")]
    sources = pa.Table.from_pylist([{"path": p, "member": m} for p, m in names], SOURCE_SCHEMA)
    keys = parts.row_keys(sources).to_pylist()
    assert keys == sorted(keys) == [p + b"\0" + m for p, m in names]
    shown = rows("b\\xff").set_column(2, "path_bytes", pa.array([b"b\xff"]))
    assert parts.row_keys(shown).to_pylist() == [b"b\xff\0"]


def test_a_part_goes_to_json_and_back() -> None:
    part = Part("x", 2, b"a\0", b"b\xff\0member", ("PatientComments",), "5f")
    assert Part.from_json(json.loads(json.dumps(part.to_json()))) == part


def test_only_committed_parts_count(folder: Path) -> None:
    first = parts.write_part(folder, rows("a", "b"), Options("/"))
    second = parts.write_part(folder, rows("c"), Options("/"))
    assert [part for part, _ in parts.read_state(folder).loose] == [first, second]
    (folder / "commits" / f"{second.name}.json").unlink()
    (folder / "commits" / ".tmp-1.json").write_text("{half")
    assert [part for part, _ in parts.read_state(folder).loose] == [first]
    parts.part_path(folder, first.name).unlink()
    assert parts.read_state(folder).loose == ()


def test_a_generation_replaces_the_last_one(folder: Path) -> None:
    part = parts.write_part(folder, rows("a"), Options("/"))
    parts.write_part(folder, rows("b"), Options("/"))
    for number in (1, 2):
        done = parts.Generation(number, Options("/"), CORE, (part,), {"read": 1})
        parts.commit_generation(folder, done)
        state = parts.read_state(folder)
        assert state.generation == done
        assert state.loose == ()
    assert [path.name for path in (folder / "commits").iterdir()] == ["generation-000002.json"]
    assert [path.stem for path in (folder / "parts").iterdir()] == [part.name]


def test_damaged_or_foreign_commits_are_reported(folder: Path) -> None:
    part = parts.write_part(folder, rows("a"), Options("/"))
    commit = folder / "commits" / f"{part.name}.json"
    content = json.loads(commit.read_text())
    commit.write_text(json.dumps({**content, "schema": 3, "wetread": "7.0"}))
    with pytest.raises(IndexFormatError, match=r"wetread 7\.0 \(schema 3\)"):
        parts.read_state(folder)
    commit.write_text("{")
    with pytest.raises(IndexFormatError, match="is damaged"):
        parts.read_state(folder)

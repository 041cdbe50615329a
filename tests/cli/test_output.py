"""Printed output: valid JSON, no control characters of files in the terminal."""

from __future__ import annotations

import datetime
import json

import pyarrow as pa
import pytest

from wetread.cli.output import exit_on, print_json, print_table, printable


def test_json_has_one_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"day": datetime.date(2001, 2, 3), "raw": b"\x01\xff", "number": float("nan")},
        {"day": None, "raw": b"", "number": [1, 0.5, True]},
    ]
    print_json(rows)
    printed = capsys.readouterr().out
    assert json.loads(printed) == [
        {"day": "2001-02-03", "raw": "01ff", "number": None},
        {"day": None, "raw": "", "number": [1, 0.5, True]},
    ]
    assert len(printed.splitlines()) == 2


def test_no_rows_are_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([])
    assert json.loads(capsys.readouterr().out) == []


def test_control_characters_are_escaped() -> None:
    assert printable("a\x1b[2J\n\x85b") == r"a\x1b[2J\n\x85b"
    assert printable("Röntgen 肺") == "Röntgen 肺"


def test_table_in_a_pipe_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    wide = pa.table({f"column_{i}": ["x" * 50] for i in range(40)})
    print_table(wide)
    printed = capsys.readouterr().out
    assert printed.count("x" * 50) == 40


def test_control_characters_in_tables_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(pa.table({"text": ["a\x1b[2Jb"]}))
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("asked", [["any"], ["TRUNCATED"], ["BAD_DATE", "TRUNCATED"]])
def test_fail_on_exits_with_3(asked: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        exit_on(asked, ["TRUNCATED"])
    assert ended.value.code == 3


def test_fail_on_absent_problem() -> None:
    exit_on([], ["TRUNCATED"])
    exit_on(["BAD_DATE"], ["TRUNCATED"])
    exit_on(["any"], [])

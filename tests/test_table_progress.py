from __future__ import annotations

import pytest

from wetread.table import progress
from wetread.table.progress import Progress


def test_lines_where_stderr_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Progress() as bar:
        bar.add(10)
    assert capsys.readouterr().err == ""  # over too soon to say anything
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    with Progress() as bar:
        bar.add(1000)
    assert capsys.readouterr().err.startswith("wetread: 1,000 files, ")
    with Progress(shown=False) as bar:
        bar.add(1000)
    assert capsys.readouterr() == ("", "")


def test_a_bar_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress() as bar:
        bar.add(1234)
    captured = capsys.readouterr()
    assert "1,234 files" in captured.err
    assert captured.out == ""

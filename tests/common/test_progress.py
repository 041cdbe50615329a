from __future__ import annotations

from pathlib import Path

import pytest

import wetread
from wetread.common import progress
from wetread.common.progress import Progress, format_duration
from wetread.sample import write_sample


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Simulated monotonic clock."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_if_stderr_is_no_terminal(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    with Progress() as bar:
        bar.add(10)
        assert capsys.readouterr().err == ""  # too soon for a line
        clock[0] += 10
        bar.add(990)
    assert capsys.readouterr().err == "wetread: 1,000 files, 100/s\n"
    with Progress(shown=False) as bar:
        clock[0] += 100
        bar.add(1000)
    assert capsys.readouterr() == ("", "")


def test_a_known_total_gives_the_time_left(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    with Progress(total=4000, unit="images") as bar:
        clock[0] += 20
        bar.add(1000)
        clock[0] += 60
        bar.add(3000)
    assert capsys.readouterr().err.splitlines() == [
        "wetread: 1,000 of 4,000 images, 50/s, 1 min 0 s left",
        "wetread: 4,000 of 4,000 images, 50/s",
    ]


def test_a_long_run_writes_few_lines(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    with Progress(total=36_000) as bar:
        for _ in range(36_000):
            clock[0] += 1
            bar.add(1)
    lines = capsys.readouterr().err.splitlines()
    assert 100 < len(lines) < 300


def test_a_resumed_run_counts_from_its_start(clock: list[float]) -> None:
    bar = Progress(shown=False, total=1000, unit="steps")
    bar.reach(900)
    clock[0] += 10
    bar.reach(910)
    assert str(bar) == "910 of 1,000 steps, 1.0/s, 1 min 30 s left"


def test_remarks_are_separate_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(total=2) as bar:
        bar.say("epoch 1: loss 0.5")
        bar.say("")
    assert capsys.readouterr().err == "wetread: epoch 1: loss 0.5\n"


@pytest.mark.parametrize("total", [None, 2000])
def test_a_bar_in_a_terminal(
    total: int | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    with Progress(total=total) as bar:
        bar.add(1234)
        bar.say("loss 0.5")
    captured = capsys.readouterr()
    assert ("1,234 of 2,000 files" if total else "1,234 files") in captured.err
    assert "loss 0.5" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"), (90_061, "25 h 1 min")],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_every_long_command_shows_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    write_sample(tmp_path, 5, size=64, test=1)
    assert "6 of 6 images" in capsys.readouterr().err
    index = wetread.scan(tmp_path / "train", workers=0, progress=False)
    index.measure(workers=1)
    assert "5 of 5 images" in capsys.readouterr().err
    index.export(tmp_path / "png", 32, workers=1)
    assert "5 of 5 images" in capsys.readouterr().err
    wetread.prepare(index, tmp_path / "cache", 32, workers=1)
    assert "5 of 5 images" in capsys.readouterr().err
    wetread.report(index, to=tmp_path / "report.html", workers=1)
    assert "5 of 5 images" in capsys.readouterr().err
    index.export(tmp_path / "png", 32, workers=1, progress=False)
    assert capsys.readouterr().err == ""

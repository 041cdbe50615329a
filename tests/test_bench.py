"""docs/benchmarks.md and the table in README match the stored results."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Namespace of bench/all.py."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return runpy.run_path(str(ROOT / "bench" / "all.py"))


@pytest.fixture
def figure(bench: dict[str, Any]) -> Any:
    return bench["Figure"]


def test_the_pages_are_up_to_date(bench: dict[str, Any]) -> None:
    results = json.loads((ROOT / "docs" / "benchmarks.json").read_text())
    page, readme = ((ROOT / name).read_text() for name in ("docs/benchmarks.md", "README.md"))
    assert page == bench["make_page"](results), "run python bench/all.py --page"
    assert readme == bench["put_front"](readme, bench["make_front"](results))


def test_stored_figures_are_of_a_full_run() -> None:
    assert json.loads((ROOT / "docs" / "benchmarks.json").read_text())["quick"] is False


def test_every_benchmark_exists_and_has_a_unique_command(bench: dict[str, Any]) -> None:
    commands = [one.command for one in bench["BENCHES"]]
    assert len(set(commands)) == len(commands)
    assert all((ROOT / "bench" / command.split()[0]).exists() for command in commands)


def test_a_smoke_run_of_one_bench(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "bench" / "all.py", "--quick", "--only", "help.py"]
    subprocess.run([*command, "--to", tmp_path], check=True, capture_output=True)
    page = (tmp_path / "benchmarks.md").read_text()
    assert "**Smoke run: the figures are meaningless.**" in page
    assert "`python bench/help.py --rounds 3`" in page
    assert "| `wetread --help`, without interpreter start-up | " in page
    assert "`python bench/scan.py`" in page.partition("## What was not run")[2]


def test_a_failed_benchmark_is_reported(bench: dict[str, Any]) -> None:
    record = bench["run"](bench["Bench"]("Nothing", "absent.py", ""))
    assert record["failed"].startswith("ended with 2: ")
    assert "absent.py" in record["failed"]
    results = {"quick": False, "load": 0, "machine": {}, "python": "", "versions": []}
    page = bench["make_page"]({**results, "benches": {"absent.py": record}})
    assert f"**No figures: it {record['failed']}.**" in page


def test_goals(figure: Any) -> None:
    beside = figure("a", 2.0, "ms", peer="other", other=10.0, least=4)
    assert (beside.ratio, beside.goal, beside.reached) == (5.0, "at least 4 x", True)
    rate = figure("b", 20.0, "images/s", peer="other", other=10.0, least=4)
    assert (rate.ratio, rate.reached) == (2.0, False)
    alone = figure("c", 300.0, "MB", most=250)
    assert (alone.ratio, alone.goal, alone.reached) == (None, "at most 250 MB", False)
    missing = figure("d", 2.0, "ms", peer="other", least=4, note="not installed: other")
    assert (missing.ratio, missing.reached) == (None, None)


def test_a_missed_goal_is_listed_with_its_reason(bench: dict[str, Any], figure: Any) -> None:
    one = figure("memory", 300.0, "MB", most=250, why="the libraries are large")
    other = figure("time", 2.0, "s", most=3)
    assert bench["list_missed"]([one], [one, other]) == [
        "1 of 2 goals:",
        "",
        "- memory: 300 MB (goal: at most 250 MB): the libraries are large.",
    ]

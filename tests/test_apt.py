"""Tests that need a Debian package: they skip without it, and fail in CI."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MARK = r"pytest\.mark\.apt\(\"([\w-]+)\", \"([\w-]+)\"\)"


def run_without_programs(folder: Path, *arguments: str, **environment: str) -> str:
    """Output of pytest with an empty PATH, its tests of programs alone."""
    kept = {name: os.environ[name] for name in ("HOME", "PYTHONPATH") if name in os.environ}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "apt",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    done = subprocess.run(
        [*command, f"--basetemp={folder / 'temporary'}", *arguments],
        cwd=ROOT,
        env={**kept, "PATH": str(folder), "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


@pytest.mark.timeout(900)  # it imports what all tests import
def test_marked_tests_skip_without_their_program(tmp_path: Path) -> None:
    output = run_without_programs(tmp_path)
    assert re.fullmatch(r"=+ \d+ skipped, \d+ deselected in .*", output.splitlines()[-1]), output
    source = "".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    named = re.findall(r"([\w-]+) is absent: apt-get install ([\w-]+)", output)
    assert {*re.findall(MARK, source)} <= {(package, command) for command, package in named}


def test_in_ci_it_fails(tmp_path: Path) -> None:
    oracle = "tests/headers/test_oracle_dcmtk.py"
    output = run_without_programs(tmp_path, oracle, WETREAD_REQUIRE_APT="1")
    assert "Failed: dcm2json is absent: apt-get install dcmtk" in output
    assert " 1 error" in output.splitlines()[-1]

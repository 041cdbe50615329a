"""`wetread view`: prints the URL, serves, ends with Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from wetread.cli import main
from wetread.cli.view import open_browser


@contextlib.contextmanager
def viewing(*arguments: str) -> Iterator[tuple[str, str, subprocess.Popen[str]]]:
    """Running `wetread view`: its address, token and process."""
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program += "from wetread.cli import main; main()"  # a shell's job in the background has none
    process = subprocess.Popen(
        [sys.executable, "-c", program, "view", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        url = process.stdout.readline().strip()
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)#(?:.*\?)?token=([\w-]+)", url)
        assert found, url + (process.stderr.read() if process.stderr else "")
        yield found[1], found[2], process
    finally:
        process.kill()
        process.communicate()


def test_view_until_ctrl_c(small_folder: Path, tmp_path: Path) -> None:
    CliRunner().invoke(main, ["scan", str(small_folder), "-o", str(tmp_path / "train.index")])
    labels = tmp_path / "train.csv"
    labels.write_text(
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\nCT_small,A,0,R1,1,2,30,40\n"
    )
    with viewing(
        str(tmp_path / "train.index"), "--boxes", str(labels), "--no-browser", "--at", "0" * 16
    ) as (url, token, process):
        about = httpx.get(f"{url}api/about", headers={"X-Wetread-Token": token}).json()
        assert (about["rows"], about["readers"]) == (6, ["R1"])
        assert about["title"] == "train.index"
        process.send_signal(signal.SIGINT)
        output = process.communicate()[1]
        assert process.returncode == 0
        assert re.search(r"ssh -N -L (\d+):127\.0\.0\.1:\1 ", output)
        assert "Traceback" not in output


def test_view_a_folder(small_folder: Path) -> None:
    with viewing(str(small_folder), "--no-browser") as (url, token, _):
        about = httpx.get(f"{url}api/about", headers={"X-Wetread-Token": token}).json()
        assert about["rows"] == 6


def test_annotate(small_folder: Path, tmp_path: Path) -> None:
    reads = str(tmp_path / "reads")
    options = ["--reader", "R1", "--write", reads, "--label", "A", "--label", "B"]
    with viewing(str(small_folder), "--no-browser", *options) as (url, token, _):
        about = httpx.get(f"{url}api/about", headers={"X-Wetread-Token": token}).json()
        assert about["annotation"] == {
            "reader": "R1",
            "labels": ["A", "B"],
            "blind": True,
            "read": 0,
        }
        second = CliRunner().invoke(main, ["view", str(small_folder), "--no-browser", *options])
        assert second.exit_code == 1
        assert "another viewer writes the boxes of reader 'R1'" in second.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere"),
        (["train", "--boxes", "none.csv"], "none.csv: no such file"),
        (["train", "--port", "70000"], "--port"),
        (["train", "--consensus", "mean"], "wbf"),
        (["train", "--reader", "R1"], "give both"),
        (["train", "--reader", "a/b", "--write", "reads"], "has one of the characters"),
    ],
)
def test_errors(
    arguments: list[str], message: str, small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_folder.parent)
    result = CliRunner().invoke(main, ["view", *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_token_is_passed_to_the_browser_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user of a machine can read command lines, but not the file."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    with open_browser("http://127.0.0.1:1/#token=secret"):
        (address,) = opened
        assert "secret" not in address
        path = Path(address.removeprefix("file://"))
        assert "http://127.0.0.1:1/#token=secret" in path.read_text()
        assert os.stat(path).st_mode & 0o077 == 0
    assert not path.exists()
    opened.clear()
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with open_browser("http://127.0.0.1:1/#token=secret"):
        assert opened == ([] if sys.platform == "linux" else opened)

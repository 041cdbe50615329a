"""`wetread show`, and output of pictures."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image as Pillow

import wetread as wr
from wetread.cli import main
from wetread.cli.picture import print_picture

Real = Callable[[str], Path]


def show(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["show", str(file), *arguments])


def test_image_file(real_file: Real, tmp_path: Path) -> None:
    to = tmp_path / "ct.png"
    done = show(real_file("CT_small.dcm"), "-o", str(to), "--window", "-600/1500")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == f"{to}, padding -2000, rescale x 1 -1024, window -600/1500\n"
    shown = wr.read(real_file("CT_small.dcm")).display((-600, 1500))
    assert np.array_equal(np.asarray(Pillow.open(to)), shown)


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".PNG"])
def test_formats(real_file: Real, tmp_path: Path, suffix: str) -> None:
    to = tmp_path / f"x{suffix}"
    options = ["--frame", "3", "--size", "100"]
    assert show(real_file("color3d_jpeg_baseline.dcm"), "-o", str(to), *options).exit_code == 0
    with Pillow.open(to) as picture:
        assert (picture.mode, picture.size) == ("RGB", (100, 75))


def test_output_has_square_pixels(real_file: Real, tmp_path: Path) -> None:
    to = tmp_path / "x.png"
    assert show(real_file("color-pl.dcm"), "-o", str(to)).exit_code == 0
    rows, columns = wr.read(real_file("color-pl.dcm")).shape[:2]
    with Pillow.open(to) as picture:
        assert picture.size == (columns, round(rows * 4 / 3))


def test_problems_go_to_stderr(real_file: Real, tmp_path: Path) -> None:
    done = show(real_file("693_J2KR.dcm"), "-o", str(tmp_path / "x.png"))
    assert done.exit_code == 0
    assert "\nBITS_MISMATCH: " in done.stderr


@pytest.mark.parametrize(
    ("name", "arguments", "code", "message"),
    [
        ("CT_small.dcm", [], 2, "stdout is not a terminal: write the picture with -o"),
        ("CT_small.dcm", ["-o", "x.gif"], 2, "unknown suffix of a picture '.gif'"),
        ("CT_small.dcm", ["-o", "absent/x.png"], 2, "folder 'absent' does not exist"),
        ("CT_small.dcm", ["-o", "x.png", "--window", "lumg"], 2, "did you mean lung?"),
        ("CT_small.dcm", ["-o", "x.png", "--window", "40/wide"], 2, "CENTER/WIDTH"),
        ("CT_small.dcm", ["-o", "x.png", "--frame", "1"], 2, "frame 1 does not exist"),
        ("MR_small.dcm", ["-o", "x.png", "--window", "lung"], 2, "CT in HU, this image is MR"),
        (
            "rtplan.dcm",
            ["-o", "x.png"],
            0,
            "no pixels: this is RT Plan Storage; to print its",
        ),
        ("reportsi.dcm", ["-o", "x.png"], 0, "no pixels: this is Basic Text SR Storage"),
        ("MR_truncated.dcm", ["-o", "x.png"], 1, "frame 0 is truncated"),
        ("MR_truncated.dcm", ["-o", "x.png", "--short"], 0, "x.png, window 600/1600"),
    ],
)
def test_wrong_usage(
    real_file: Real,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = show(real_file(name), *arguments)
    assert done.exit_code == code
    assert message in done.stderr


def test_terminal_output_has_two_pixels_per_character(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert sys.stdout is not None
    picture = np.arange(3 * 5 * 3, dtype="u1").reshape(3, 5, 3)
    print_picture(picture)
    lines = capsys.readouterr().out.splitlines()
    colours = r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀"
    found = np.array([re.findall(colours, line) for line in lines], int).reshape(2, 5, 2, 3)
    pixels = found.transpose(0, 2, 1, 3).reshape(4, 5, 3)
    assert np.array_equal(pixels[:3], picture)
    assert not pixels[3].any()

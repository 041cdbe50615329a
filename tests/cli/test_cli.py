"""Command line: help, errors, exit codes, start-up time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click import Option
from click.testing import CliRunner

from wetread import __version__
from wetread.cli import main, name_flags

HEAVY = {"duckdb", "matplotlib", "numpy", "pandas", "pyarrow", "pydicom", "rich", "torch"}


def run(*arguments: str, code: int = 0) -> str:
    """Stdout and stderr of a command with this exit code."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def test_help_lists_commands_in_order_of_use() -> None:
    printed = run("--help")
    places = [printed.index(f"\n  {verb} ") for verb in main.commands]
    verbs = (
        "demo scan header query problems series segments merge show mosaic measure export "
        "boxes split sample prepare train predict evaluate shortcuts submit report view"
    )
    assert list(main.commands) == verbs.split()
    assert places == sorted(places)
    assert "..." not in printed.partition("Commands:")[2]  # nothing is cut off


def test_help_imports_no_heavy_module() -> None:
    program = (
        "import sys; from wetread.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert not HEAVY & set(done.stdout.decode().split())


def test_python_m_wetread() -> None:
    command = [sys.executable, "-m", "wetread", "--version"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["python", "-m", "wetread,", "version", __version__]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scann"], "Did you mean 'scan'?"),
        (["scan"], "Missing argument"),
        (["scan", "nowhere"], "no such file or folder"),
        (["scan", ".", "--fail-on", "TRUNCATE"], "did you mean TRUNCATED?"),
        (["query", "nowhere", "SELECT 1"], "nowhere"),
        (["query", ".", "SELECT 1"], "create one: wetread scan . -o"),
        (["problems", "."], "create one: wetread scan . -o"),
        (["problems", ".", "--code", "BAD_DAT"], "did you mean BAD_DATE"),
        (["header", "nowhere"], "no such file or folder"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("no DICOM")
    assert message in run(*arguments, code=2)


def test_failure_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("no DICOM")
    printed = run("scan", str(file), "-o", str(file / "index"), code=1)
    assert printed.startswith("Error: ")
    assert "Traceback" not in printed


def test_shared_options_have_equal_form_and_help() -> None:
    texts: dict[str, set[str | None]] = {}
    for verb, command in main.commands.items():
        for option in command.params:
            if isinstance(option, Option):
                assert option.help, (verb, option.opts)
                texts.setdefault(max(option.opts, key=len), set()).add(option.help)
                assert ("-o" in option.opts) == ("--output" in option.opts), (verb, option.opts)
                assert ("-q" in option.opts) == ("--quiet" in option.opts), (verb, option.opts)
    alike = "json quiet fail-on engine scheduler device where consensus predictions show-phi"
    assert {name: len(texts[f"--{name}"]) for name in alike.split()} == dict.fromkeys(
        alike.split(), 1
    )


@pytest.mark.parametrize(
    ("verb", "text", "shown"),
    [
        ("evaluate", "say allow_train=True", "say --allow-train"),
        ("boxes", "give image_size=(512, 640), or", "give --image-size 512x640, or"),
        ("boxes", "shares; give images=index", "shares; give --images INDEX"),
        ("boxes", "it has none; give format=", "it has none; give --format"),
        ("boxes", "say allow_train=True", "say allow_train=True"),  # another command's
        ("boxes", "say normalised=False if", "say --pixels if"),
        ("evaluate", "allow_train=False", "allow_train=False"),  # no such flag
        ("evaluate", "threshold_from='valid' needs", "--threshold-from valid needs"),
        ("evaluate", "threshold_from='my part'", "--threshold-from 'my part'"),
        ("evaluate", 'goes with metric="coco"', "goes with --metric coco"),
        ("mosaic", "open it with root=FOLDER", "open it with --root FOLDER"),
        ("scan", "with replace=True; root=FOLDER", "with --replace; root=FOLDER"),
        ("predict", "Run.open(path, model=...)", "Run.open(path, model=...)"),
    ],
)
def test_errors_name_the_flags_of_their_command(verb: str, text: str, shown: str) -> None:
    assert name_flags(text, main.commands[verb]) == shown

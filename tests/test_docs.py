"""The documents: complete, up to date, and every example in them runs."""

from __future__ import annotations

import re
import runpy
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from wetread.cli import main
from wetread.errors import FINDINGS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
BY_NAME = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


LABELS = """\
image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max
CT_small,Nodule/Mass,8,R1,20,30,60,70
CT_small,Nodule/Mass,8,R2,22,28,64,70
MR_small,Nodule/Mass,8,R1,5,5,20,20
MR_small,No finding,14,R2,,,,
JPEG2000,No finding,14,R1,,,,
JPEG2000,No finding,14,R2,,,,
"""
"""What two readers say of the small folder, in VinBigData's form."""


@pytest.fixture
def there(small_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the examples run: a folder that has train/ and train.csv."""
    monkeypatch.chdir(small_folder.parent)
    Path("train.csv").write_text(LABELS)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The lines of a page that call wetread, as arguments."""
    lines = "\n".join(blocks(page, "sh")).splitlines()
    words = (shlex.split(line.partition(" || ")[0], comments=True) for line in lines)
    return [line[1:] for line in words if line[:1] == ["wetread"]]


@BY_NAME
@pytest.mark.usefixtures("there")
def test_examples_in_python_run(page: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)


@BY_NAME
@pytest.mark.usefixtures("there")
def test_examples_of_commands_run(page: Path) -> None:
    runner = CliRunner()
    runner.invoke(main, ["scan", "train/", "-o", "train.index"], catch_exceptions=False)
    for command in commands(page):
        result = runner.invoke(main, command, catch_exceptions=False)
        assert result.exit_code == (3 if "--fail-on" in command else 0), (command, result.output)


def test_every_command_and_option_is_documented() -> None:
    text = (ROOT / "docs" / "get-started.md").read_text()
    for name, command in main.commands.items():
        assert f"\n## {name}" in text, name
        for option in command.params:
            longest = max(option.opts, key=len)
            assert not longest.startswith("--") or any(o in text for o in option.opts), longest


@BY_NAME
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_findings_has_a_paragraph_per_code_in_order() -> None:
    text = (ROOT / "docs" / "findings.md").read_text()
    assert re.findall(r"^### (\w+)$", text, flags=re.MULTILINE) == list(FINDINGS)
    for code in FINDINGS.values():
        assert f"### {code.code}\n**{code.severity}** · {code.meaning} " in text


def test_columns_is_up_to_date() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_columns.py"))["make"]()
    assert (ROOT / "docs" / "columns.md").read_text() == made, "run python docs/make_columns.py"


def test_dependencies_names_every_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"always": project["dependencies"], **project["optional-dependencies"]}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    for group in groups.keys() - {"test"}:
        for one in map(Requirement, groups[group]):
            row = f"| `{one.name}` | {one.specifier} | {group} | "
            assert one.name == "wetread" or row in page, "run python docs/make_dependencies.py"


def test_readme_has_the_two_commands_that_ci_runs() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    found = [line for line in lines if line.startswith("python -m venv ")]
    assert len(found) == 2

"""Documentation: complete, up to date, and every example runs."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

import wetread
from wetread.cli import main
from wetread.errors import PROBLEMS, SEGMENT_PROBLEMS, SERIES_PROBLEMS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BY_NAME = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


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
    """Folder for the examples, with train/ and train.csv."""
    monkeypatch.chdir(small_folder.parent)
    Path("train.csv").write_text(LABELS)
    page = (ROOT / "docs" / "own-csv.md").read_text()
    Path("own.csv").write_text(re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)[0])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Calls of wetread on a page, as arguments."""
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


def anchors(page: Path) -> set[str]:
    """Anchors of a page, as GitHub derives them from its headings."""
    found: dict[str, int] = {}
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found[name] = found.get(name, 0) + 1
    return {f"{name}-{n}" if n else name for name, count in found.items() for n in range(count)}


@BY_NAME
def test_links_have_targets(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text)
    for target in (one or other for one, other in links):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@BY_NAME
def test_source_files_named_on_a_page_exist(page: Path) -> None:
    named = re.findall(r"`((?:[\w.]+/)+\w+\.(?:py|js|sh|mjs))`", page.read_text())
    there = [ROOT, ROOT / "src" / "wetread"]
    missing = [name for name in named if not any((root / name).exists() for root in there)]
    assert not missing


def test_anchors_as_on_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A, b: `c_d`\n```sh\n# no heading\n```\n## e - f\n## e - f\n")
    assert anchors(page) == {"a-b-c_d", "e---f", "e---f-1"}


def test_every_page_is_in_the_index() -> None:
    text = (ROOT / "docs" / "README.md").read_text()
    for page in ROOT.glob("docs/**/*.md"):
        if page.name == "README.md" or page.parent.name == "reference":
            continue
        assert f"]({page.relative_to(ROOT / 'docs')})" in text, page


def test_problems_has_a_paragraph_per_code_in_order() -> None:
    text = (ROOT / "docs" / "problems.md").read_text()
    assert re.findall(r"^### (\w+)$", text, flags=re.MULTILINE) == list(PROBLEMS)
    for code in PROBLEMS.values():
        assert f"### {code.code}\n**{code.severity}** · {code.meaning} " in text


def test_series_has_a_paragraph_per_code_in_order() -> None:
    text = (ROOT / "docs" / "series.md").read_text()
    assert re.findall(r"^### (\w+)$", text, flags=re.MULTILINE) == list(SERIES_PROBLEMS)
    for code in SERIES_PROBLEMS.values():
        assert f"### {code.code}\n**{code.severity}** · {code.meaning} " in text


def test_segments_has_a_paragraph_per_code_in_order() -> None:
    text = (ROOT / "docs" / "segments.md").read_text()
    assert re.findall(r"^### (\w+)$", text, flags=re.MULTILINE) == list(SEGMENT_PROBLEMS)
    for code in SEGMENT_PROBLEMS.values():
        assert f"### {code.code}\n**{code.severity}** · {code.meaning} " in text


def test_columns_is_up_to_date() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_columns.py"))["make"]()
    assert (ROOT / "docs" / "columns.md").read_text() == made, "run python docs/make_columns.py"


def test_reference_has_every_public_name() -> None:
    text = "".join(page.read_text() for page in ROOT.glob("docs/reference/*.md"))
    shown = set(re.findall(r"^::: wetread\.(\S+)$", text, flags=re.MULTILINE))
    assert set(wetread.__all__) <= shown


def test_site_builds_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    paths = os.pathsep.join([str(ROOT / "src"), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "NO_MKDOCS_2_WARNING": "1"}
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    pages = {page: page.read_text() for page in tmp_path.rglob("*.html")}
    assert len(pages) > 30
    for page, text in pages.items():
        loads = re.findall(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"?([^\" >]+)", text)
        assert not [target for target in loads if re.match(r"(https?:)?//", target)], page
    commands_page = (tmp_path / "reference" / "commands.html").read_text()
    for name in main.commands:
        assert f"Usage: wetread {name} " in commands_page, name


def test_diagram_has_no_cycles() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = enumerate(contract["contracts"][0]["layers"][::-1])
    floor = {room: number for number, rooms in floors for room in rooms.split(" | ")}
    drawing = next(b for b in blocks(ROOT / "docs" / "concepts.md", "text") if "sources ->" in b)
    for line in drawing.splitlines():
        steps = [[room.strip() for room in step.split(",")] for step in line.split("->")]
        for below, above in pairwise(steps):
            lower, upper = max(floor[room] for room in below), min(floor[room] for room in above)
            assert lower <= upper, (below, above)


def test_dependencies_names_every_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"always": project["dependencies"], **project["optional-dependencies"]}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    for group in groups.keys() - {"docs", "test"}:
        for one in map(Requirement, groups[group]):
            row = f"| `{one.name}` | {one.specifier} | {group} | "
            assert one.name == "wetread" or row in page, "run python docs/make_dependencies.py"


def test_the_extra_all_has_every_extra_of_users() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    todo, found = ["all"], {"docs", "test"}
    while todo:
        found.add(name := todo.pop())
        own = [one for one in map(Requirement, extras[name]) if one.name == "wetread"]
        todo += [extra for one in own for extra in one.extras]
    assert found == set(extras)


def test_extras_are_installed_from_the_clone() -> None:
    """No release is published: an extra is installed from the clone."""
    files = [
        path for kind in ("src", "docs", "examples", "bench") for path in (ROOT / kind).rglob("*")
    ]
    for path in [*files, *ROOT.glob("*.md")]:
        if path.suffix in {".py", ".md", ".ipynb", ".sh"} and path.name != "CHANGELOG.md":
            lines = re.findall(r"pip install.*wetread\[.*", path.read_text())
            assert all("--no-index" in line for line in lines), path


def test_readme_has_the_two_commands_that_ci_runs() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    found = [line for line in lines if line.startswith("python -m venv ")]
    assert len(found) == 2

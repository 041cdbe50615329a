"""Structure of the source: layers as in the diagram, lengths of files and functions."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "wetread"
MOST_LINES = 500
"""A longer file should be two modules."""
MOST_IN_FUNCTION = 60
"""Without the docstring, which is as long as users need it."""


def test_diagram_equals_the_contract() -> None:
    (contract,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    page = (ROOT / "docs" / "architecture.md").read_text()
    floors = [line.partition("│")[2].split() for line in page.splitlines() if "│" in line]
    assert floors == [layer.split(" | ") for layer in contract["layers"]]
    described = re.findall(r"^\| (`.*`) \|", page, flags=re.MULTILINE)
    assert re.findall(r"\w+", " ".join(described)) == [room for floor in floors for room in floor]


def test_files_are_short() -> None:
    kinds = (".py", ".js", ".css", ".html")
    long = {path: len(path.read_text().splitlines()) for path in files(*kinds)}
    assert not {path: count for path, count in long.items() if count > MOST_LINES}


def test_functions_are_short() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": lines
        for path in files(".py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := count_lines(node)) > MOST_IN_FUNCTION
    }
    assert not long


def count_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, without the docstring."""
    assert function.end_lineno is not None
    first = function.body[0]
    documented = 0
    if ast.get_docstring(function) is not None and first.end_lineno is not None:
        documented = first.end_lineno - first.lineno + 1
    return function.end_lineno - function.lineno + 1 - documented


def files(*kinds: str) -> Iterator[Path]:
    for folder in ("src", "tests", "bench", "docs", "examples"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in kinds)


def test_the_count_leaves_out_docstrings() -> None:
    source = 'def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n    return a\n'
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    assert count_lines(function) == 4

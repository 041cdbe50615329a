"""Plain technical English: first words of docstrings, "per" for "a X a Y", and retired words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
QUESTION = re.compile(r"(What|How|Whether|Where|Which|Who|Whose|When|Why)\b")
A_X_A_Y = re.compile(
    r"\b(?:a|one) (?:row|worker|file|line|column|box|step|image|label|process|class|frame|part|verb"
    r"|core|epoch|point|group) an? (?!few\b)[a-z]+\b"
)
RETIRED = (
    "anew",
    "of nobody",
    "asked",
    "said",
    "crew",
    "clerk",
    "wish",
    "beside what",
    "whose they are",
    "a stranger's",
    "it lives",
)
"""Words of earlier versions that a reader of the field does not know in this sense."""
_RETIRED = re.compile(rf"(?<![\w'])(?:{'|'.join(RETIRED)})(?![\w'])", re.IGNORECASE)
FOLDERS = ("src", "docs", "bench", "examples")


def docstrings() -> Iterator[tuple[str, str]]:
    """Place and text of every docstring in src, attributes' included."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value.value.strip()


def test_docstrings_begin_with_a_noun_or_an_imperative() -> None:
    assert not [place for place, text in docstrings() if QUESTION.match(text)]


def texts() -> Iterator[Path]:
    kinds = {".py", ".md", ".js", ".html", ".toml"}
    for folder in FOLDERS:
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in kinds)
    yield from ROOT.glob("*.md")


@pytest.mark.parametrize("pattern", [A_X_A_Y, _RETIRED], ids=["a X a Y", "retired words"])
def test_words(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in sorted(texts())
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := pattern.search(line))
    ]
    assert not found, "\n".join(found)

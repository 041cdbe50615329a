"""Mistakes of docs/mistakes.md: each is made, and answered as the page says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import wetread as wr
from wetread.cli import main
from wetread.errors import WetreadError
from wetread.sample import write_sample

PAGE = Path(__file__).resolve().parents[1] / "docs" / "mistakes.md"
BLOCKS = re.findall(r"```(console|pycon)\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
PAIRS = [
    (*pair, kind)
    for kind, block in BLOCKS
    for pair in re.findall(r"^(?:\$|>>>) (.*)\n(.*)$", block, flags=re.MULTILINE)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as after the first steps of a project, with what mistakes need."""
    root = tmp_path_factory.mktemp("mistakes")
    write_sample(root / "data", 10, size=48, test=3, progress=False)
    for entry in (root / "data").iterdir():
        entry.rename(root / entry.name)
    index = wr.scan(root / "train", to=root / "train.index", progress=False)
    truth = wr.read_boxes(root / "train.csv", index).consensus()
    truth.save(root / "truth.parquet")
    wr.prepare(index, root / "train.cache", size=32, progress=False)
    wr.scan(root / "test", to=root / "test.index", progress=False)
    (root / "empty").mkdir()
    (root / "notes").mkdir()
    (root / "notes" / "notes.txt").write_text("no DICOM")
    _write_tables(root, truth.to_pandas())
    _write_damaged(root)
    return root


def _write_tables(root: Path, truth: pd.DataFrame) -> None:
    """Label files of other people, and predictions."""
    boxes = truth[truth["kind"] == "box"]
    own = boxes[["key", "label", "x0", "y0", "x1", "y1"]]
    own = own.set_axis(["Bild", "Befund", "links", "oben", "rechts", "unten"], axis=1)
    own.to_csv(root / "own.csv", index=False)
    shares = boxes[["key", "label", "x0", "y0", "x1", "y1"]]
    shares = shares.set_axis(["image", "label", "x1", "y1", "x2", "y2"], axis=1)
    shares.assign(**{c: shares[c] / 48 for c in ("x1", "y1", "x2", "y2")}).to_csv(
        root / "shares.csv", index=False
    )
    shares.assign(**{c: shares[c] / 48 * 100 for c in ("x1", "y1", "x2", "y2")}).to_csv(
        root / "percent.csv", index=False
    )
    shares[["image", "label"]].to_csv(root / "labels.csv", index=False)
    (root / "runs").mkdir()
    (root / "runs" / "1.txt").write_text("0 0.5 0.5 0.2 0.2 0.9\n")
    (root / "results.json").write_text("[]")


def _write_damaged(root: Path) -> None:
    """An index of an older version, and an index of moved files."""
    shutil.copytree(root / "train.index", root / "old.index")
    marker = root / "old.index" / "wetread-index.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"schema": 1}))
    shutil.copytree(root / "train", root / "here")
    wr.scan(root / "here", to=root / "moved.index", progress=False)
    (root / "here").rename(root / "elsewhere")


@pytest.fixture
def there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder as the current one."""
    monkeypatch.chdir(folder)
    before = set(folder.iterdir())
    yield folder
    assert set(folder.iterdir()) == before, "a mistake has written something"


def answer_command(command: str, root: Path) -> tuple[int, str]:
    """Exit code and last line of stderr of a command."""
    arguments = shlex.split(command)
    assert arguments[0] == "wetread"
    result = CliRunner().invoke(main, arguments[1:], catch_exceptions=False)
    lines = result.stderr.strip().splitlines() or [""]
    return result.exit_code, lines[-1].replace(f"{root}/", "")


def answer_python(code: str, root: Path) -> str:
    """Name and text of the exception of an expression."""
    names = {"wr": wr, "np": np, "pd": pd, "index": wr.Index.open("train.index")}
    try:
        eval(code, names)
    except (WetreadError, AttributeError) as error:
        return f"{type(error).__name__}: {error}".replace(f"{root}/", "")
    return "no error"


def matches(text: str, pattern: str) -> bool:
    """True if a text is as on the page, where three dots stand for anything."""
    return bool(re.fullmatch(re.escape(pattern).replace(r"\.\.\.", ".*"), text))


@pytest.mark.parametrize(("mistake", "answer", "kind"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_a_mistake_is_answered_in_one_line(
    there: Path, mistake: str, answer: str, kind: str
) -> None:
    if kind == "pycon":
        given = answer_python(mistake, there)
    else:
        code, given = answer_command(mistake, there)
        assert code == 0 if answer.startswith("Warning") else code in (1, 2)
    assert matches(given, answer), given


def test_the_page_has_thirty_mistakes() -> None:
    assert len(PAIRS) >= 30

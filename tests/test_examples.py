"""Notebooks run from top to bottom, and their stored outputs are current."""

from __future__ import annotations

import os
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastai", reason="pip install '.[fastai]'")

import nbformat

import wetread

FOLDER = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
BY_NAME = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@BY_NAME
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's own packages
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = str(Path(wetread.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([home, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MPLBACKEND", "")  # put back afterwards
    ran = runpy.run_path(str(FOLDER / "run.py"))["run"](path, tmp_path)
    assert list(map(_kinds, ran.cells)) == list(map(_kinds, nbformat.read(path, 4).cells))


def _kinds(cell: Any) -> tuple[str, list[str]]:
    """Kinds of a cell's outputs; the number of pieces of a stream is arbitrary."""
    outputs = [o for o in cell.get("outputs", ()) if o.output_type != "stream"]
    return cell.source, [kind for output in outputs for kind in sorted(output.data)]


@BY_NAME
def test_a_notebook_keeps_its_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    extras = "demo,nifti" if path.stem == "volumes" else "fastai"
    assert cells[0].source == f'%pip install -q "..[{extras}]"'
    assert not cells[0].outputs
    outputs = [output for cell in cells for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert not any(output.output_type == "error" for output in outputs)
    assert path.stat().st_size < 1_500_000


@BY_NAME
def test_notebook_contains_no_path_and_no_warning(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    texts = [o.text for o in outputs if o.output_type == "stream"]
    texts += [
        text
        for o in outputs
        if o.output_type != "stream"
        for kind, text in o.data.items()
        if kind.startswith("text/")
    ]
    for text in texts:
        text = re.sub(r"base64,[\w+/=]+", "", text)  # a picture
        assert not re.search(r"(?<![\w/:.<])/\w+/\w+|site-packages|Traceback", text), text

"""The notebooks run from top to bottom, and are kept with what they show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("fastai", reason="pip install 'wetread[fastai]'")

import nbformat
from nbclient import NotebookClient

import wetread

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))
BY_NAME = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def _without_install(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    notebook.cells = [c for c in notebook.cells if "install" not in c.metadata.get("tags", ())]
    return notebook


@BY_NAME
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's own packages
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = str(Path(wetread.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([home, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = _without_install(nbformat.read(path, as_version=4))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=250, kernel_name="python3", resources=resources).execute()


@BY_NAME
def test_a_notebook_keeps_its_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.source == '%pip install -q "wetread[fastai]"'
    cells = [c for c in _without_install(notebook).cells if c.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert not any(output.output_type == "error" for output in outputs)
    assert path.stat().st_size < 1_500_000

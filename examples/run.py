"""Run the notebooks and save their outputs.

python examples/run.py [NAME ...]
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def run(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Execute a notebook in a folder, except the cells tagged `install`."""
    notebook = nbformat.read(path, as_version=4)
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    cells = list(notebook.cells)
    notebook.cells = [c for c in cells if "install" not in c.metadata.get("tags", ())]
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        notebook, timeout=1000, kernel_name="python3", resources=resources, record_timing=False
    )
    client.execute()
    notebook.cells = cells
    return notebook


def main() -> None:
    """Run the named notebooks, or all."""
    for path in sorted(HERE.glob("*.ipynb")):
        if not sys.argv[1:] or path.stem in sys.argv[1:]:
            with tempfile.TemporaryDirectory() as folder:
                nbformat.write(run(path, Path(folder)), path)


if __name__ == "__main__":
    main()

"""Files of an export, as its manifest lists them."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

from wetread.common.files import MANIFEST, storage_errors
from wetread.common.text import unguard_cell

_COLUMNS = {"id", "path", "member", "file", "status", "text"}
"""Columns that the manifests of images, volumes, segments and data sets have in common."""


@contextlib.contextmanager
def replace_export(folder: Path) -> Iterator[None]:
    """Delete the files of an earlier export that the export in the block does not write again."""
    before = exported_files(folder)
    yield
    with storage_errors(folder):
        for name in before - exported_files(folder):
            (folder / name).unlink(missing_ok=True)


def exported_files(folder: Path) -> set[str]:
    r"""Files of the export in a folder, relative to it; none if its manifest is another program's.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     head = "id,path,member,file,status,text,labels\n"
    ...     _ = (folder / MANIFEST).write_text(f"{head}1,a.dcm,,images/a.png,ok,,labels/a.txt\n")
    ...     sorted(exported_files(folder))
    ['data.yaml', 'images/a.png', 'labels/a.txt']
    """
    try:
        with open(folder / MANIFEST, newline="", encoding="utf-8") as text:
            lines = csv.DictReader(text)
            if not set(lines.fieldnames or ()) >= _COLUMNS:
                return set()
            cells = {line.get(name) or "" for line in lines for name in ("file", "labels")}
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, csv.Error):
        return set()
    names = {unguard_cell(cell) for cell in cells - {""}}
    if any(name.endswith(".txt") for name in names):  # YOLO
        names.add("data.yaml")
    for name in [name for name in names if name.startswith("labelsTr/")]:  # nnU-Net
        case = name.removeprefix("labelsTr/").removesuffix(".nii.gz")
        names |= {f"imagesTr/{case}_0000.nii.gz", "dataset.json"}
    inside = folder.resolve()
    return {name for name in names if (folder / name).resolve().is_relative_to(inside)}

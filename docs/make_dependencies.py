"""Writes docs/dependencies.md from pyproject.toml and what is installed: python docs/make_dependencies.py.

Run it in an environment with every extra, as the `test` extra makes it.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).with_name("dependencies.md")

INTRO = """\
# Dependencies

Made by `python docs/make_dependencies.py`: the requirements of `pyproject.toml`, and what they bring, with the \
licences that their packages state. Every one of them comes as a wheel: `pip install` needs no compiler on Linux.

`.ci/release` walks through the commands with the lowest versions of all below but `fastai` on Python 3.11, and with \
the newest on 3.13: scan to report, `demo`, `dask`, `cloud`, and from training to a submission. Below stands which \
bounds an advisory has set. There are no upper bounds but one.

"""

FOR = {
    "click": "the command line",
    "duckdb": "SQL, filters and facets",
    "imagecodecs": "every compressed transfer syntax",
    "matplotlib": "plots",
    "numpy": "arrays",
    "pandas": "tables as its users want them; imported when asked for",
    "pillow": "reduced JPEG and JPEG 2000, picture files",
    "pyarrow": "the table, Parquet",
    "pydicom": "the dictionary, values, single files",
    "rich": "progress bars, tables in a terminal",
    "starlette": "the viewer's server",
    "uvicorn": "the viewer's server",
    "pydicom-data": "real files to try wetread on",
    "faster-coco-eval": "the COCO metric",
    "scikit-learn": "AUC, stratified splits",
    "scipy": "matching, intervals",
    "safetensors": "weights without pickle",
    "torch": "training",
    "torchvision": "detectors",
    "fastai": "DataBlock and Learner",
    "highdicom": "boxes as DICOM SR",
    "distributed": "many machines (Dask)",
    "boto3": "credentials as the AWS tools find them",
    "obstore": "object stores",
    "jupyter-server-proxy": "the viewer in a notebook on a remote machine",
}

REVIEW = """
## Advisories

Looked at on 2026-11-24 in public advisory threads, package by package; no database of advisories was asked by \
a tool. Where an older version than the fix is allowed, this says why.

| advisory | package | what we did |
| --- | --- | --- |
| CVE-2026-32711 | pydicom below 3.0.2: paths in a DICOMDIR | bound raised |
| CVE-2025-62727 | starlette 0.39 to 0.49.0: slow on a crafted Range header of a file | bound raised; wetread sends no files by path |
| CVE-2026-23528 | distributed below 2026.1.1: script in the dashboard | bound raised |
| CVE-2025-32434 | torch below 2.6: code from a `weights_only` file | bound raised |
| CVE-2026-24747 | torch below 2.10: the same by broken memory | not the bound, as many notebooks have older ones: with an older torch wetread refuses a stranger's `.pth` and takes safetensors |
| CVE-2026-25990, CVE-2026-40192 | Pillow 10.3 to 12.1: PSD and FITS | not reached: DICOM pixels go to the JPEG and JPEG 2000 decoders by name; only `png16read` of the drop-in opens what it is given, as fastai's does |
| CVE-2026-25087 | Arrow 15 to 23.0.0: IPC files read with pre-buffering | not reached: Python cannot ask for that, and an index is Parquet |

## What is used in tests alone

`ensemble-boxes`, `map-boxes`, `pycocotools`, `supervision`, `scikit-image`, `kornia`, `moto`, `playwright`, \
`hypothesis` and pytest's plug-ins are never imported by wetread. `pylibjpeg-libjpeg` (GPL-3) judges our decoders \
in tests and is no part of an installation.
"""

READ = {"faster-coco-eval": "Apache-2.0", "simpervisor": "BSD-3-Clause"}
"""Licences that are in a package's files and not in its metadata."""
SHORT = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "MIT": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "ISC License (ISCL)": "ISC",
}


def find_licence(name: str) -> str:
    """The licence that an installed package states."""
    data = distribution(name).metadata
    if stated := data.get("License-Expression"):
        return str(stated)
    kinds = [
        text.rpartition(" :: ")[2]
        for text in data.get_all("Classifier") or []
        if text.startswith("License :: ") and not text.endswith("OSI Approved")
    ]
    if kinds:
        return ", ".join(SHORT.get(kind, kind) for kind in kinds)
    stated = (data.get("License") or "").strip()
    return stated if stated and len(stated) < 40 else READ[name]


def find_all(names: set[str]) -> set[str]:
    """The names and all that they require here, by canonical name."""
    found: set[str] = set()
    todo = [(name, frozenset[str]()) for name in names]
    while todo:
        name, extras = todo.pop()
        if name in found:
            continue
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        todo += [
            (canonicalize_name(one.name), frozenset(one.extras))
            for one in map(Requirement, requires)
            if one.marker is None
            or any(one.marker.evaluate({"extra": extra}) for extra in extras or {""})
        ]
    return found


def make() -> str:
    """The page."""
    project_file = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(project_file)["project"]
    groups = {"always": project["dependencies"]} | project["optional-dependencies"]
    del groups["docs"], groups["test"]
    rows, direct = [], set()
    for group, wanted in groups.items():
        for one in map(Requirement, wanted):
            name = canonicalize_name(one.name)
            if name == "wetread":
                continue
            direct.add(name)
            rows.append(
                f"| `{one.name}` | {one.specifier} | {group} | {find_licence(name)} | {FOR[name]} |"
            )
    table = "| package | versions | extra | licence | for |\n| --- | --- | --- | --- | --- |\n"
    brought = sorted(find_all(direct) - direct)
    parts = [
        f"`{name}` ({find_licence(name)})" for name in brought if not re.match("nvidia|cuda", name)
    ]
    behind = (
        "\n\n## What they bring\n\nWith every extra, on Linux x86_64, beside NVIDIA's libraries, which PyTorch's "
        "CUDA build brings under NVIDIA's own licence:\n\n" + ", ".join(parts) + ".\n"
    )
    return INTRO + table + "\n".join(rows) + behind + REVIEW


if __name__ == "__main__":
    PAGE.write_text(make())

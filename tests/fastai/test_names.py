"""Names, signatures and methods of fastai, with and without fastai installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import wetread.fastai

HERE = Path(__file__).parent
SCRIPT = HERE / "fastai_reference.py"
RECORDED = json.loads((HERE / "fastai_names.json").read_text())
OURS = {
    "DataFrame.from_dicoms": ("px_summ", "window", "file_meta", "private"),
    "Dataset.as_dict": ("file_meta",),
}
"""Parameters that fastai has not, or hides in what it passes on."""
DEFAULTS = {"Dataset.show": ("scale", "cmap"), "array_freqhist_bins": ("self", "arr")}
"""Parameters that are other than fastai's on purpose."""


def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fastai_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def has(*names: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in names)


def split(parameters: list[str]) -> tuple[list[str], set[str], bool]:
    """Positional parameters, keyword-only ones, and True for **keywords."""
    plain = [p for p in parameters if not p.startswith("*")]
    keywords = {p[1:].partition("=")[0] for p in parameters if p[:1] == "*" and p[:2] != "**"}
    return plain, keywords, any(p.startswith("**") for p in parameters)


def check_signature(name: str, theirs: Any, ours: Any) -> None:
    if not isinstance(theirs, list) or "bases" in theirs:
        assert theirs == ours or theirs == "NoneType", name
        return
    more, other = OURS.get(name, ()), DEFAULTS.get(name, ())
    plain, keywords, _ = split(theirs)
    our_plain, our_keywords, takes_any = split(ours)
    usual = [p for p in our_plain if p.partition("=")[0] not in more]
    assert len(usual) == len(plain), name
    for one, two in zip(plain, usual, strict=True):
        assert one == two or two.partition("=")[0] in other, name
    assert takes_any or keywords <= our_keywords, name


def test_recorded_names_methods_and_signatures_exist() -> None:
    module = reference()
    names, methods = module.list_names(wetread.fastai), module.list_methods(wetread.fastai)
    assert names.keys() == RECORDED["names"].keys() - ({"from_label_func"} - names.keys())
    for name, ours in names.items():
        if ours != "Absent":  # as without fastai
            check_signature(name, RECORDED["names"][name], ours)
    for cls, theirs in RECORDED["methods"].items():
        if cls not in methods:
            assert not has("torch")
            continue
        assert methods[cls].keys() == theirs.keys()
        for name in theirs:
            check_signature(f"{cls}.{name}", theirs[name], methods[cls][name])


@pytest.mark.skipif(not has("fastai", "kornia", "skimage"), reason="fastai's module is not there")
def test_record_equals_the_real_module() -> None:
    command = [sys.executable, SCRIPT, "fastai.medical.imaging"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    found["methods"]["Dataset"].pop("_orig_show", None)  # fastcore keeps what it replaces
    assert found["names"] == RECORDED["names"]
    assert found["methods"] == RECORDED["methods"]


def test_all_is_sorted_and_equals_dir() -> None:
    assert wetread.fastai.__all__ == sorted(RECORDED["names"].keys() - {"from_label_func"})
    assert set(wetread.fastai.__all__) <= set(dir(wetread.fastai))
    with pytest.raises(AttributeError, match="no_such_name"):
        wetread.fastai.no_such_name  # noqa: B018


WITHOUT = """
import sys, warnings
warnings.simplefilter("error")
for name in ("torch", "fastai", "fastcore", "scipy", "torchvision"):
    sys.modules[name] = None
from wetread.fastai import *
import matplotlib
matplotlib.use("Agg")
import numpy as np
import pandas as pd
import wetread.errors
items = get_dicom_files(sys.argv[1])
assert isinstance(items, list) and items[[0, 1]].map(str)[0] == str(items[0]), items
dataset = items[0].dcmread()
assert "(0028,0010) Rows" in str(dataset), dataset
dataset.show()
dataset.show(scale=True)
dataset.show(scale=dicom_windows.brain, figsize=(2, 2), title="brain")
frame = pd.DataFrame.from_dicoms(items)
assert frame.shape[0] == len(items) and "img_mean" in frame, frame
assert dataset.pct_in_window(*dicom_windows.brain) >= 0
assert dataset.to_uint16().dtype == np.uint16
assert mask2bbox(np.ones((3, 4))).tolist() == [[0, 0], [2, 3]]
assert uniform_blur2d(np.ones((3, 4)), 3).shape == gauss_blur2d(np.ones((3, 4)), 8).shape
dataset.zoom(0.5)
uses = {
    "TensorDicom": lambda: TensorDicom([1]),
    "PILDicom": lambda: PILDicom.create(items[0]),
    "PILCTScan": lambda: type("Mine", (), {}) and PILCTScan.create,
    "DicomSegmentationDataLoaders": lambda: DicomSegmentationDataLoaders.from_label_func(1, 2, 3),
    "a tensor": lambda: dataset.pixels,
    "crop_resize": lambda: crop_resize(1, 2, 3),
}
for name, use in uses.items():
    try:
        use()
    except wetread.errors.MissingExtraError as error:
        assert str(error) == (
            f"{name} needs an optional dependency: {wetread.errors.install_line('fastai')}"
        )
    else:
        raise AssertionError(name)
try:
    class Mine(PILDicom): pass
except wetread.errors.MissingExtraError: pass
else: raise AssertionError("derived")
assert "pip install" in repr(TensorCTScan)
print("right")
"""


def test_files_headers_show_and_table_work_without_torch(small_folder: Path) -> None:
    (small_folder / "rtplan.dcm").unlink()
    (small_folder / "MR_truncated.dcm").unlink()
    home = str(Path(wetread.__file__).parents[1])
    command = [sys.executable, "-c", WITHOUT, str(small_folder)]
    ran = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": home}
    )
    assert ran.stdout == "right\n", ran.stderr
    assert ran.stderr == ""


def test_the_import_alone_imports_no_torch() -> None:
    code = (
        "import sys, wetread.fastai;"
        "print([m for m in ('torch', 'fastai', 'fastcore', 'matplotlib') if m in sys.modules])"
    )
    home = str(Path(wetread.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": home}
    )
    assert ran.stdout.strip() == "[]", ran.stderr

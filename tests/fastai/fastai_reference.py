"""What a module says and computes, as JSON: run with fastai.medical.imaging and with ours.

    python fastai_reference.py MODULE [FOLDER]

Without a folder the names, signatures and methods alone.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import sys
import warnings
from pathlib import Path


def describe(function) -> list[str]:
    """Parameters of a callable: "name", "name=default", "*name" if keyword-only, "**name"."""
    marks = {"KEYWORD_ONLY": "*", "VAR_KEYWORD": "**"}
    return [
        marks.get(p.kind.name, "")
        + p.name
        + ("" if p.default is p.empty else f"={_name(p.default)}")
        for p in inspect.signature(function).parameters.values()
    ]


def _name(value) -> str:
    return getattr(value, "name", None) or repr(value)


def list_names(module) -> dict:
    found = {}
    for name in sorted(module.__all__):
        value = getattr(module, name)
        if inspect.isclass(value):
            bases = [base.__name__ for base in value.__mro__[1:]]
            create = describe(value.create) if name == "PILDicom" else []
            found[name] = {"bases": bases, "create": create}
        elif inspect.isfunction(value):
            found[name] = describe(value)
        else:
            found[name] = type(value).__name__
    loaders = module.DicomSegmentationDataLoaders
    if inspect.isclass(loaders):
        found["from_label_func"] = describe(loaders.from_label_func)
    return found


def list_methods(module) -> dict:
    """Methods that the module adds to classes of other packages."""
    import pandas as pd
    import pydicom

    home = module.__name__
    classes = [Path, pydicom.Dataset, pd.DataFrame]
    with contextlib.suppress(ImportError):
        import torch

        classes.append(torch.Tensor)
    found = {}
    for cls in classes:
        found[cls.__name__] = methods = {}
        for name, value in vars(cls).items():
            function = value.fget if isinstance(value, property) else value
            function = getattr(function, "__func__", function)
            if str(getattr(function, "__module__", "")).startswith(home):
                methods[name] = (
                    "property" if isinstance(value, property) else describe(getattr(cls, name))
                )
    return found


def _middle(blurred):
    """Array without a margin, also of enlarged images."""
    rim = (blurred.shape[-1] - 44) // 2
    return blurred[rim : rim + 44, rim : rim + 44]


def _plain(value):
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if value is None or value != value:
        return None
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, (int, float, str)) else str(value)


def compute(module, folder: Path) -> dict:
    """Numbers and tables computed by the module."""
    import numpy as np
    import pandas as pd
    import torch

    torch.set_num_threads(1)
    dataset = module.get_dicom_files(folder / "ct")[0].dcmread()
    array, tensor = dataset.pixel_array, dataset.scaled_px
    brain = module.dicom_windows.brain
    blob = torch.zeros(2, 60, 60)
    blob[0, 10:20, 30:45] = 1
    blob[1, 40:59, 0:5] = 1
    boxes = module.mask2bbox(blob > 0)
    pictures = torch.stack([tensor[:60, :60], tensor[2:62, 2:62]])
    values = {
        "windows": sorted(vars(module.dicom_windows).items()),
        "pixels": dataset.pixels,
        "scaled_px": tensor,
        "array_freqhist_bins": module.array_freqhist_bins(array, 7),
        "freqhist_bins": tensor.freqhist_bins(),
        "freqhist_bins_1": tensor.freqhist_bins(1),
        "hist_scaled": tensor.hist_scaled(),
        "hist_scaled_brks": tensor.hist_scaled(torch.tensor([-900.0, 0, 5, 700])),
        "hist_scaled_pt": tensor.hist_scaled_pt(tensor.freqhist_bins(10)),
        "dataset_hist_scaled": dataset.hist_scaled(min_px=-500, max_px=100),
        "windowed": tensor.windowed(*brain),
        "windowed_odd": dataset.windowed(81, 40),
        "windowed_int": tensor.int().windowed(*brain),
        "pct_in_window": dataset.pct_in_window(*brain),
        "uniform_blur2d": _middle(module.uniform_blur2d(tensor, 5)),
        "gauss_blur2d": module.gauss_blur2d(tensor, 20),
        "gauss_blur2d_3": module.gauss_blur2d(tensor, 3),
        "mask_from_blur": dataset.mask_from_blur(brain, sigma=0.1, thresh=0.2),
        "mask_from_blur_max": tensor.mask_from_blur(brain, remove_max=False),
        "mask2bbox": boxes,
        "mask2bbox_one": module.mask2bbox(blob[0] > 0),
        "mask2bbox_nothing": module.mask2bbox(torch.zeros(6, 6) > 0),
        "crop_resize": module.crop_resize(pictures, boxes, 16),
        "to_nchan": dataset.to_nchan([brain, (100, 50)]),
        "to_nchan_0": dataset.to_nchan([brain], bins=0),
        "to_nchan_batch": pictures.to_nchan([brain]),
        "to_3chan": tensor.to_3chan(brain, (100, 50)),
        "shape": dataset.shape,
    }
    values = {k: np.asarray(v).tolist() if k != "windows" else v for k, v in values.items()}
    values["type of to_nchan"] = type(dataset.to_nchan([brain])).__name__
    for name in ("article", "plain", "real"):
        files = sorted(module.get_dicom_files(folder / name))  # fastai does not sort
        for px_summ in (False, True):
            with contextlib.redirect_stdout(io.StringIO()):
                frame = pd.DataFrame.from_dicoms(
                    files, px_summ=px_summ, window=module.dicom_windows.brain
                )
            frame["fname"] = [Path(one).name for one in frame["fname"]]
            rows = [[_plain(v) for v in row] for row in frame.values.tolist()]
            values[f"{name} {px_summ}"] = [frame.columns.tolist(), rows]
    return values


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    module_ = importlib.import_module(sys.argv[1])
    result = {"names": list_names(module_), "methods": list_methods(module_)}
    if sys.argv[2:]:
        result["values"] = compute(module_, Path(sys.argv[2]))
    print(json.dumps(result))

"""Numbers and tables equal those of the real fastai.medical.imaging, run once."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pytest

import wetread.fastai
from wetread.testing.dicom import JPEG2000, changed, dicom_file, element, picture

SCRIPT = Path(__file__).parent / "fastai_reference.py"
needs_the_real_module = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("fastai", "kornia", "skimage")),
    reason="fastai.medical.imaging needs kornia and scikit-image",
)
COLUMNS = [
    "PatientSex", "PatientAge", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
    "MultiPixelSpacing", "PixelSpacing", "PixelSpacing1", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope",
    "LossyImageCompression", "LossyImageCompressionRatio", "fname",
]  # fmt: skip
REAL = [
    "15820", "4467", "GDCMJ2K_TextGBR.dcm", "JPEGLSNearLossless_16.dcm", "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm", "SC_rgb_rle.dcm", "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_rle_32bit.dcm", "image_dfl.dcm",
]  # fmt: skip
"""Of pydicom's own files some of those that fastai puts into a table without private elements."""
STATISTICS = ["img_min", "img_max", "img_mean", "img_std", "img_pct_window"]


def article_pixels(rows: int, columns: int) -> Any:
    return np.add.outer(np.arange(rows), np.arange(columns)).astype("u2") // 8 * 16 % 16384


def article_file(sex: str, age: str | None, spacing: bool = True, tall: bool = False) -> bytes:
    """File in the form of the article's, element by element; small unless `tall`."""
    rows, columns = (2952, 2744) if tall else (123, 117)
    pixels = article_pixels(rows, columns)
    stream = imagecodecs.jpeg2k_encode(
        pixels, codecformat="j2k", bitspersample=14, reversible=True, mct=False
    )
    elements = [
        element("PatientSex", sex),
        element("PatientAge", age or ""),
        element("SamplesPerPixel", 1),
        element("PhotometricInterpretation", "MONOCHROME2"),
        element("Rows", rows),
        element("Columns", columns),
        element("PixelSpacing", ["0.127", "0.127"]),
        element("BitsAllocated", 16),
        element("BitsStored", 14),
        element("HighBit", 13),
        element("PixelRepresentation", 0),
        element("WindowCenter", "8190"),
        element("WindowWidth", "7259"),
        element("RescaleIntercept", "0"),
        element("RescaleSlope", "1"),
        element("LossyImageCompression", "00"),
        element("LossyImageCompressionRatio", "2.0"),
        element("PixelData", [b"", stream + b"\0" * (len(stream) % 2)]),
    ]
    without = [] if spacing else ["PixelSpacing"]
    without += ["PatientAge"] if age is None else []
    return dicom_file(changed(elements, without=without), JPEG2000)


def ct_file() -> bytes:
    """Signed 16 bits in HU."""
    noise = np.random.default_rng(0).normal(0, 30, (64, 64))
    y, x = np.mgrid[:64, :64]
    values = 1064 + noise + 200 * ((x - 30) ** 2 + (y - 34) ** 2 < 400) - (x < 5) * 900
    return dicom_file(
        changed(
            picture(1, 64, 64),
            element("Modality", "CT"),
            element("BitsStored", 16),
            element("HighBit", 15),
            element("PixelRepresentation", 1),
            element("RescaleSlope", "1"),
            element("RescaleIntercept", "-1024"),
            element("PixelData", values.astype("<i2").tobytes(), vr="OW"),
        )
    )


def plain_file(number: int) -> bytes:
    """Uncompressed file with values of many kinds: absent, empty, multiple."""
    pixels = np.random.default_rng(number).integers(0, 4096, (20, 30), dtype="u2")
    more = [
        element("ImageType", ["ORIGINAL", "PRIMARY"] + ["AXIAL"] * (number % 2)),
        element("PatientBirthDate", "" if number else "19500102"),
        element("PatientAge", "061Y"),
        element("WindowCenter", ["1", "2"] if number == 2 else "1"),
        element("WindowWidth", ["3", "4"] if number == 2 else "3"),
        element("FrameIncrementPointer", 0x00181063),
        element("SeriesNumber", ""),
        element("ReferringPhysicianName", "Roe^Richard"),
        element("EchoTime", "12.5" if number == 1 else ""),
        element("AcquisitionMatrix", [256, 0, 0, 192]),
        element("SeriesDate", ["20200131", "00000000", "2020-01-31"][number]),
        element("PatientComments", "one\ntwo"),
    ]
    elements = [*picture(number, 20, 30), element("PixelData", pixels.tobytes(), vr="OW")]
    return dicom_file(changed(elements, *more[: None if number else -1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, real_file: Callable[[str], Path]) -> Path:
    """Folders of files: "ct", "article" (its first has the real size), "plain", "real"."""
    folder = tmp_path_factory.mktemp("fastai")
    (folder / "real").mkdir()
    for name in REAL:
        shutil.copy(real_file(name), folder / "real" / f"{Path(name).stem}.dcm")
    for name, files in {
        "ct": [ct_file()],
        "article": [
            article_file("M", "061Y", tall=True),
            article_file("F", "", spacing=False),
            article_file("F", None),
        ],
        "plain": [plain_file(number) for number in range(3)],
    }.items():
        (folder / name).mkdir()
        for i, data in enumerate(files):
            (folder / name / f"{i}.dcm").write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def both(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Results of fastai and of wetread on the same files."""
    command = [sys.executable, SCRIPT, "fastai.medical.imaging", folder]
    ran = subprocess.run(command, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    spec = importlib.util.spec_from_file_location("fastai_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ours = json.loads(json.dumps(module.compute(wetread.fastai, folder)))
    return json.loads(ran.stdout)["values"], ours


@pytest.mark.parametrize("px_summ", [False, True])
def test_the_table_of_the_article_s_form(folder: Path, px_summ: bool) -> None:
    files = wetread.fastai.get_dicom_files(folder / "article")
    options = {"px_summ": px_summ, "window": (2000, 8000)}
    frame = pd.DataFrame.from_dicoms(files, **options)  # type: ignore[attr-defined]
    assert frame.columns.tolist() == COLUMNS + STATISTICS * px_summ
    assert len(frame.columns) == (25 if px_summ else 20)
    pixels = article_pixels(2952, 2744)
    film = ["M", "061Y", 1, "MONOCHROME2", 2952, 2744, 1, 0.127, 0.127, 16, 14, 13, 0]
    film += [8190, 7259, 0, 1, "00", 2.0, str(files[0])]
    assert frame.iloc[0, :20].tolist() == film
    spacing = ["MultiPixelSpacing", "PixelSpacing", "PixelSpacing1"]
    assert frame[spacing].isna().all(axis=1).tolist() == [False, True, False]
    assert frame["PatientAge"].isna().tolist() == [False, False, True]
    assert frame["PatientAge"][1] == ""
    assert frame.drop(columns=[*spacing, "PatientAge"]).notna().all(axis=None)
    if px_summ:
        wide = pixels.astype(float)
        inside = float(((wide > 7000) & (wide < 9000)).mean())
        numbers = [wide.min(), wide.max(), wide.mean(), wide.std(), inside]
        assert frame.loc[0, STATISTICS].tolist() == pytest.approx(numbers, rel=1e-12)


def test_a_table_of_no_files() -> None:
    frame = pd.DataFrame.from_dicoms([])  # type: ignore[attr-defined]
    assert frame.shape == (0, 0)


@needs_the_real_module
def test_every_number_equals_fastai(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    theirs, ours = both
    for name, value in theirs.items():
        if isinstance(value, str) or name == "windows" or name.endswith(("True", "False")):
            continue
        np.testing.assert_allclose(ours[name], value, 2e-5, 2e-5, err_msg=name)
    assert theirs["windows"] == ours["windows"]
    assert theirs["type of to_nchan"] == ours["type of to_nchan"] == "TensorCTScan"


@needs_the_real_module
@pytest.mark.parametrize("name", ["article", "plain", "real"])
@pytest.mark.parametrize("px_summ", [False, True])
def test_from_dicoms_equals_fastai(
    name: str, px_summ: bool, both: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    (columns, rows), (our_columns, our_rows) = (values[f"{name} {px_summ}"] for values in both)
    assert our_columns == columns
    if name == "article":
        assert columns == COLUMNS + STATISTICS * px_summ
    for row, our_row in zip(rows, our_rows, strict=True):
        for column, value, our_value in zip(columns, row, our_row, strict=True):
            if isinstance(value, float) and not math.isnan(value):
                assert our_value == pytest.approx(value, rel=1e-6), column
            else:
                assert our_value == value, column

"""Every real file: reduced resolutions agree with the full one; `decodable` is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import wetread as wr
from wetread.errors import DecodeError
from wetread.imaging import shrink

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),  # what pydicom says of odd headers
    pytest.mark.timeout(900),
]

NOISE = "random values: a low-pass of the wavelet is no average of them"
NARROW = "noise in a narrow window, at an eighth of the resolution"
KNOWN: dict[tuple[str, int], str] = {
    ("medcognetics__dicom-utils__jpeg2k_3d.dcm", 64): NOISE,
    ("693_J2KR.dcm", 64): NARROW,
    ("robyoung__dicom-test-files__MR4_J2KI", 64): NARROW,
}
"""(file, size) -> why its smaller version is more than 6 grey levels off."""
DAMAGED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "a delimiter was written into its size",
}
"""Files that are decodable by their header but not in fact."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, real_files: list[Path]) -> wr.Index:
    folder = tmp_path_factory.mktemp("real")
    for number, path in enumerate(real_files):
        (folder / f"{number:04} {path.name}").symlink_to(path)
    return wr.scan(folder, progress=False)


def name(path: str) -> str:
    return path.partition(" ")[2]


def test_smaller_versions_look_as_the_average_of_the_full_one(index: wr.Index) -> None:
    wrong, seen = [], 0
    for image in index.images:
        try:
            full = image.display()
        except DecodeError:
            continue
        for size in (256, 64):
            small = image.display(size=size)
            off = float(np.abs(shrink(full, size).astype(float) - small).mean())
            seen += 1
            if off > 6 and (name(image.path), size) not in KNOWN:
                wrong.append((image.path, size, off))
    assert not wrong
    assert seen > 250


def test_smaller_versions_measure_as_the_full_one(index: wr.Index) -> None:
    whole = index.measure(progress=False).to_pandas()
    small = index.measure(64, progress=False).to_pandas()
    reduced = small[(small["px_scale"] > 1).fillna(False)]
    assert len(reduced) > 15
    for at, row in reduced.iterrows():
        full: pd.Series = whole.loc[at]
        spread = full["px_max"] - full["px_min"]
        over = 0.25 if "jpeg2k_3d" in full["path"] else 0.12  # a wavelet swings over edges
        assert row["px_min"] >= full["px_min"] - over * spread, full["path"]
        assert row["px_max"] <= full["px_max"] + over * spread, full["path"]
        assert abs(row["px_mean"] - full["px_mean"]) <= 0.02 * spread, full["path"]
        assert row["px_std"] <= 1.1 * full["px_std"], full["path"]


def test_decodable_predicts_the_result_of_decoding(index: wr.Index) -> None:
    wrong = []
    for image in index.images:
        try:
            image.pixels()
            word = "yes"
        except DecodeError:
            word = "no"
        if word != image.row["decodable"] and name(image.path) not in DAMAGED:
            wrong.append((image.path, image.row["decodable"], word))
    assert not wrong

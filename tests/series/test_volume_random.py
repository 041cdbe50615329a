"""Series with random damages: each volume is where its files say, or there is none."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from wetread.errors import GeometryError

Rows = list[dict[str, Any]]
ORIENTATIONS = [
    ["0", "1", "0", "0", "0", "-1"],
    ["1", "0", "0", "0", "0.9999", "0.01"],
    ["-1", "0", "0", "0", "-1", "0"],
]


def damaged(rows: Rows, chance: random.Random) -> Rows:
    """The rows with one random damage."""
    kind, row = chance.randrange(9), chance.choice(rows)
    x, y, z = map(float, row["ImagePositionPatient"] or (0, 0, 0))
    if kind == 0:
        return [one for one in rows if one is not row]
    if kind == 1:
        return [*rows, {**row, "SOPInstanceUID": f"2.25.9.{len(rows)}", "pixels": bytes(128)}]
    if kind == 2:
        return [{**one, "RescaleSlope": f"{chance.uniform(0.1, 3):.5f}"} for one in rows]
    if kind == 3:
        return [{**one, "AcquisitionNumber": str(chance.randrange(3))} for one in rows]
    changes: list[dict[str, Any]] = [
        {"ImagePositionPatient": [f"{x + chance.choice([0.05, 0.2, 3]):g}", f"{y:g}", f"{z:g}"]},
        {"ImagePositionPatient": [f"{x:g}", f"{y:g}", f"{z + chance.choice([0.005, 0.3, 1]):g}"]},
        {"ImageOrientationPatient": chance.choice(ORIENTATIONS)},
        {"PixelSpacing": chance.choice([["0.7", "0.8"], ["0", "0.7"], None])},
        {"ImagePositionPatient": None},
    ]
    row |= changes[kind - 4]
    return rows


@pytest.mark.parametrize("seed", range(30))
def test_right_or_refused(seed: int, scan_series: Any, ct: Callable[..., Rows]) -> None:
    chance = random.Random(seed)
    rows = ct(chance.choice([4, 6, 12]), step=chance.choice([0.5, 1, 2.5]))
    for _ in range(seed % 3):
        rows = damaged(rows, chance)
    chance.shuffle(rows)
    index = scan_series(rows)
    paths = dict(zip(index["id"], index["path"], strict=True))
    (series,) = index.series
    for stack in series.stacks:
        if not stack.is_volume:
            with pytest.raises(GeometryError, match="is not a volume: "):
                stack.volume  # noqa: B018
    assert seed % 3 or series.volumes
    for volume in series.volumes:
        files = [pydicom.dcmread(Path(index.root, paths[one.id])) for one in volume.slices]
        for n, file in enumerate(files):
            place = volume.affine @ [n, 0, 0, 1]
            near = np.array(file.ImagePositionPatient) - place[:3]
            assert np.abs(near[:2]).max() < 0.1
            assert abs(near[2]) < 0.02 * volume.spacing[0]
            assert list(file.PixelSpacing) == pytest.approx(volume.spacing[1:])
            cosines = volume.affine[:3, [2, 1]].T.ravel() / 0.7
            np.testing.assert_allclose(cosines, file.ImageOrientationPatient, atol=1e-3)
            wanted = file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept)
            np.testing.assert_allclose(volume.array[n], wanted, rtol=1e-6)

"""Export of all volumes of an index as NIfTI files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pydicom.data
import pytest
from click.testing import CliRunner, Result

import wetread as wr
from wetread.cli import main
from wetread.common.text import counted
from wetread.errors import UnknownNameError, UsageError

DICOMDIR = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests"
Rows = list[dict[str, Any]]
Scan = Callable[..., wr.Index]
Make = Callable[..., Rows]


@pytest.fixture
def index(scan_series: Scan, ct: Make) -> wr.Index:
    """A volume, two volumes in one series, and a series with a missing slice."""
    uid = {"SeriesInstanceUID": "2.25.20"}
    two = [
        {**row, **uid, "AcquisitionNumber": str(n), "SOPInstanceUID": f"2.25.9.{n}.{at}"}
        for n in (1, 2)
        for at, row in enumerate(ct(5))
    ]
    for row in two[5:]:
        row["pixels"] = bytes(128)
    damaged = [
        {**row, "SeriesInstanceUID": "2.25.30", "SOPInstanceUID": f"2.25.8.{n}"}
        for n, row in enumerate(ct(6))
        if n != 2
    ]
    return scan_series(ct(4), two, damaged)


def test_every_stack_is_a_row(index: wr.Index, tmp_path: Path) -> None:
    to = tmp_path / "to"
    rows = index.export(to, to="nifti", workers=1, progress=False)
    assert rows["status"].tolist() == ["ok", "ok", "ok", "no_volume"]
    series = index.series["series_id"].tolist()
    files = [f"{series[0]}.nii.gz", f"{series[1]}_0.nii.gz", f"{series[1]}_1.nii.gz"]
    assert rows["file"].tolist()[:3] == files
    assert sorted(path.name for path in to.iterdir()) == sorted([*files, "manifest.csv"])
    assert "SLICE_MISSING: 2-001.dcm" in rows["text"].iloc[3]
    assert rows["divided_by"].tolist()[1:3] == ["AcquisitionNumber 1", "AcquisitionNumber 2"]
    assert rows["slope"].tolist()[:3] == [1.5] * 3
    assert rows["path"].tolist() == ["0-000.dcm", "1-000.dcm", "1-005.dcm", "2-000.dcm"]
    volumes = [volume for one in index.series for volume in one.volumes]
    for row, volume in zip(rows.itertuples(), volumes, strict=False):
        image = nibabel.load(to / row.file)
        np.testing.assert_allclose(image.get_fdata().T, volume.array)
        assert (row.slices, row.rows, row.columns) == volume.shape
        assert row.slice_spacing_mm == pytest.approx(1)
    assert len(pd.read_csv(to / "manifest.csv")) == 4


def test_a_slice_that_cannot_be_read_costs_its_volume(index: wr.Index, tmp_path: Path) -> None:
    path = Path(index.root, "0-002.dcm")
    path.write_bytes(path.read_bytes()[:-9])
    rows = index.export(tmp_path / "to", to="nifti", format="nii", workers=1, progress=False)
    assert rows["status"].tolist() == ["failed", "ok", "ok", "no_volume"]
    assert rows["text"].iloc[0].startswith("UNDECODABLE: 0-002.dcm: frame 0 is truncated")
    assert rows["file"].isna().tolist() == [True, False, False, True]
    assert len(list((tmp_path / "to").glob("*.nii"))) == 2


def test_a_second_export_leaves_no_volume_of_the_first(index: wr.Index, tmp_path: Path) -> None:
    to = tmp_path / "to"
    first = index.export(to, to="nifti", workers=1, progress=False)
    (to / "mine.nii.gz").write_bytes(b"not of an export")
    Path(index.root, "0-002.dcm").unlink()
    second = index.export(to, to="nifti", workers=1, progress=False)
    assert second["status"].tolist() == ["no_access", "ok", "ok", "no_volume"]
    assert second["text"].iloc[0].startswith("NO_ACCESS: 0-002.dcm: the file no longer exists")
    names = {path.name for path in to.iterdir()}
    assert names == {*first["file"][1:3], "mine.nii.gz", "manifest.csv"}


def test_a_volume_that_crashes_its_worker_is_a_row(index: wr.Index) -> None:
    from wetread.series.export import _failed, _pack

    line = {"series_id": "a1", "stack_index": 0, "file": "a1.nii"}
    task = _pack(line, index.series[0].volume)
    (row,) = _failed(task, "crashed", "the worker ended: SIGSEGV").to_pylist()
    assert (row["series_id"], row["status"], row["file"]) == ("a1", "crashed", None)
    assert row["text"] == "CRASHED: the worker ended: SIGSEGV"


def test_bad_usage(index: wr.Index, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="for pictures, not for volumes"):
        index.export(tmp_path, to="nifti", window="lung")
    with pytest.raises(UnknownNameError, match=r"known: nii.gz, nii|did you mean nii"):
        index.export(tmp_path, to="nifti", format="png16")
    with pytest.raises(UsageError, match="at least 1"):
        index.export(tmp_path, to="nifti", workers=0)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_command(tmp_path: Path) -> None:
    run("scan", str(DICOMDIR), "-o", str(tmp_path / "all.index"), "-q")
    to = tmp_path / "nifti"
    arguments = ("export", str(tmp_path / "all.index"), "-o", str(to), "--to", "nifti", "-q")
    result = run(*arguments, "--where", "Modality = 'CT'", "--workers", "1")
    assert result.exit_code == 0, result.output
    count = len(list(to.glob("*.nii.gz")))
    assert count > 0
    assert f"{counted(count, 'volume')} in {to}, listed in its manifest.csv" in result.output
    assert "not written, because not a volume: 3 stacks; the manifest" in result.output
    rows = json.loads(run(*arguments, "--where", "Modality = 'CT'", "--json").stdout)
    assert sum(row["status"] == "ok" for row in rows) == count
    assert {row["status"] for row in rows} == {"ok", "no_volume"}
    assert run(*arguments, "--window", "lung").exit_code == 2

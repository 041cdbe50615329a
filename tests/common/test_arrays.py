"""Arrow arrays without pandas, and a scan that does not import it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from wetread.common.arrays import array, filled
from wetread.testing.dicom import dicom_file, element, picture

SCAN = """
import sys
import wetread as wr
nested = len(sys.argv) > 3
wr.scan(*sys.argv[1:3], private=nested, sequences=nested, progress=False)
wr.scan(sys.argv[1], private=nested, sequences=nested, progress=False)
print("pandas" in sys.modules, not nested and "pydicom" in sys.modules)
"""
STRUCT = pa.struct([("code", pa.string()), ("at", pa.int64())])


@pytest.mark.parametrize("options", [[], ["nested"]], ids=["plain", "nested"])
def test_a_scan_imports_neither_pandas_nor_pydicom(options: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    odd = [
        element("InstanceNumber", b"+x"),
        element("PatientName", b"M\xfcller"),
        element("PatientBirthDate", "19500101"),
        element("PatientAge", "000Y"),
    ]
    for n, content in enumerate([dicom_file(picture()), dicom_file(odd), b"no DICOM", b""]):
        (folder / f"{n}.dcm").write_bytes(content)
    for _ in range(2):  # the second time it compares with the first
        command = [sys.executable, "-c", SCAN, str(folder), str(tmp_path / "x.index"), *options]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert output.split()[-2:] == ["False", "False"]
        (folder / "new.dcm").write_bytes(dicom_file(picture(2)))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, -(2**63)], pa.int64()),
        ([1.5, None, float("nan")], pa.float64()),
        ([2**64 - 1], pa.uint64()),
        ([True, None, False] * 5, pa.bool_()),
        (["é", None, ""], pa.string()),
        ([b"\xff", None], pa.binary()),
        ([], pa.string()),
        ([["a", None], None, []], pa.list_(pa.string())),
        ([[{"code": "A", "at": None}], []], pa.list_(STRUCT)),
    ],
    ids=str,
)
def test_arrays_equal_those_of_pyarrow(values: list[Any], kind: pa.DataType) -> None:
    made = array(values, kind)
    made.validate(full=True)
    assert str(made) == str(pa.array(values, kind))  # as NaN equals nothing


def test_numpy_values_keep_their_memory() -> None:
    values = np.arange(4)
    nulls = np.array([True, False, False, True])
    made = array(values, pa.int64(), nulls)
    assert made.equals(pa.array(values, mask=nulls))
    assert made.buffers()[1].address == values.ctypes.data
    assert filled(made.slice(1), -1).tolist() == [1, 2, -1]


@pytest.mark.parametrize(
    ("values", "kind"),
    [([2**63], pa.int64()), ([-1], pa.uint64()), ([1.5], pa.int64()), ([-1, 2**63], pa.int64())],
)
def test_values_that_do_not_fit_are_errors(values: list[Any], kind: pa.DataType) -> None:
    with pytest.raises((OverflowError, ValueError)):
        array(values, kind)

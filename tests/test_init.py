from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import wetread
from wetread.testing.dicom import dicom_file, picture


def test_public_names_are_sorted_and_exist() -> None:
    assert list(wetread.__all__) == sorted(wetread.__all__)
    assert set(wetread._HOMES) <= set(wetread.__all__) <= set(dir(wetread))
    for name in wetread.__all__:
        assert getattr(wetread, name) is getattr(wetread, name)
    with pytest.raises(AttributeError, match="no_such_name"):
        wetread.no_such_name  # noqa: B018


def test_no_public_name_is_also_a_modules() -> None:
    for name in wetread._HOMES:
        assert importlib.util.find_spec(f"wetread.{name}") is None


def loaded(code: str, modules: str) -> str:
    """Those of `modules` that a new process has imported after `code`."""
    code += f"; import sys; print(*[m for m in '{modules}'.split() if m in sys.modules])"
    home = str(Path(wetread.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": home},
    )  # fmt: skip
    return ran.stdout.strip()


def test_import_is_cheap() -> None:
    heavy = "torch matplotlib pandas pyarrow duckdb pydicom rich numpy"
    assert loaded("import wetread", heavy) == ""


def test_a_scan_imports_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "one.dcm").write_bytes(dicom_file(picture()))
    rooms = "boxes cache display images measure pixels segments series.table viewer"
    rooms = " ".join(f"wetread.{room}" for room in rooms.split())
    for to in (None, str(tmp_path / "an.index")):
        scan = f"import wetread; wetread.scan({str(tmp_path)!r}, {to!r}, progress=False).table"
        assert loaded(scan, f"pandas duckdb pydicom rich {rooms}") == ""


def test_the_version_is_the_packages() -> None:
    try:
        installed = version("wetread")
    except PackageNotFoundError:
        pytest.skip("not installed")
    assert wetread.__version__ == installed

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import wetread


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


def test_import_is_cheap() -> None:
    heavy = "torch matplotlib pandas pyarrow duckdb pydicom rich numpy"
    code = f"import sys, wetread; print([m for m in '{heavy}'.split() if m in sys.modules])"
    home = str(Path(wetread.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": home}
    )
    assert ran.stdout.strip() == "[]", ran.stderr


def test_the_version_is_the_packages() -> None:
    try:
        installed = version("wetread")
    except PackageNotFoundError:
        pytest.skip("not installed")
    assert wetread.__version__ == installed

"""Compiled modules: no doctests from their sources, and no test with another version of them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
BUILD = runpy.run_path(str(ROOT / "hatch_build.py"))

collect_ignore = [str(path) for path in BUILD["find_sources"](ROOT)]


def pytest_configure() -> None:
    """Stop if the library was compiled from other sources."""
    try:
        from wetread.headers.core.walk import source
    except ImportError as error:
        raise pytest.UsageError(f"{error}: run `pip install -e .`") from error
    if source() != BUILD["hash_sources"](ROOT):
        raise pytest.UsageError(
            "the compiled modules are not those of the sources: run `pip install -e .`, or"
            " `python hatch_build.py` with cython and setuptools"
        )

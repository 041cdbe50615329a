"""The compiled modules are built from the sources at hand, and a failed build says why."""

from __future__ import annotations

import importlib
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMPILED = '# cython: language_level=3\n"""A module."""\n'


@pytest.fixture
def build() -> dict[str, Any]:
    """Namespace of the build hook."""
    return runpy.run_path(str(ROOT / "hatch_build.py"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Sources of a package: one module that is compiled, one that is not."""
    package = tmp_path / "src" / "package"
    package.mkdir(parents=True)
    (package / "fast.py").write_text(COMPILED)
    (package / "slow.py").write_text('"""A module."""\n')
    return tmp_path


def test_every_module_with_the_mark_is_imported_from_a_library(build: dict[str, Any]) -> None:
    modules = build["find_modules"](ROOT)
    assert Path("src/wetread/headers/core/walk.py") in modules
    for path in modules:
        module = importlib.import_module(".".join(path.with_suffix("").parts[1:]))
        assert module.__file__.endswith((".so", ".pyd")), "run `pip install -e .`"


def test_the_library_is_that_of_the_sources(build: dict[str, Any]) -> None:
    from wetread.headers.core.walk import source

    assert source() == build["hash_sources"](ROOT)


def test_the_hash_is_of_every_compiled_source(build: dict[str, Any], tree: Path) -> None:
    package, hashes = tree / "src" / "package", [build["hash_sources"](tree)]
    assert build["find_modules"](tree) == [Path("src/package/fast.py")]
    for name, text in (("fast.pxd", "x"), ("fast.py", COMPILED + "x = 1\n"), ("new.py", COMPILED)):
        (package / name).write_text(text)
        hashes.append(build["hash_sources"](tree))
    assert len(set(hashes)) == 4
    (package / "slow.py").write_text("x = 1\n")
    assert build["hash_sources"](tree) == hashes[-1]


def test_tests_do_not_run_on_another_version(build: dict[str, Any], tmp_path: Path) -> None:
    for name in ("conftest.py", "hatch_build.py"):
        shutil.copy(ROOT / name, tmp_path)
    for path in build["find_modules"](ROOT):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text() + "\n# edited\n")
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_one.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR, ran.stdout
    assert "not those of the sources: run `pip install -e .`" in ran.stderr


def test_sources_that_are_not_compiled_are_not_imported(tmp_path: Path) -> None:
    libraries = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(ROOT / "src" / "wetread", tmp_path / "wetread", ignore=libraries)
    command = [sys.executable, "-c", "import wetread.headers.reading"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "ImportError: wetread.headers.core is not compiled: run `pip install" in ran.stderr


def test_a_compiler_counts_only_if_it_compiles(
    build: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "win32":
        pytest.skip("setuptools finds Microsoft's compiler")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: "usual -pthread")
    assert build["find_compiler"]() is None
    for name, code, found in (("cc", 1, None), ("clang", 0, "clang"), ("usual", 0, "")):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
        assert build["find_compiler"]() == found


def test_a_build_without_headers_says_what_is_missing(
    build: dict[str, Any], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tree / name))
    with pytest.raises(SystemExit, match=r"Python.h is missing: a C compiler and the headers"):
        build["compile_modules"](tree)

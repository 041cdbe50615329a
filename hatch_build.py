"""Build hook: compiles the modules that need it, in `src/`, with zig where there is no compiler."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES = ("headers.core", "headers.ranges", "common.tables")
SOURCES = [f"src/wetread/headers/{name}" for name in ("core.py", "core.pxd", "ranges.py")]


def hash_sources(root: Path) -> str:
    """Hash that the compiled module carries, so that a test can tell an edit that was not built."""
    return hashlib.blake2b(b"".join((root / s).read_bytes() for s in SOURCES)).hexdigest()[:16]


class CompileHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compile before a wheel or an editable installation is made."""

    def dependencies(self) -> list[str]:
        """The `ziglang` package, where there is no C compiler."""
        found = any(map(shutil.which, filter(None, [os.environ.get("CC"), "cc", "gcc", "clang"])))
        return [] if found else ["ziglang"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and name the wheel for this platform and any Python from 3.11 on."""
        if self.target_name != "wheel":
            return
        if self.dependencies():
            os.environ["CC"] = f"{sys.executable} -m ziglang cc"
            os.environ["LDSHARED"] = f"{sys.executable} -m ziglang cc -shared"
        try:
            compile_core(Path(self.root))
        except BaseException as error:
            python = sysconfig.get_path("include")
            missing = "" if Path(python, "Python.h").exists() else f"; no Python.h in {python}"
            hint = "install a C compiler and the headers of Python (apt install gcc python3-dev)"
            raise RuntimeError(f"wetread.headers.core does not compile{missing}: {hint}") from error
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data.update(pure_python=False, tag=f"cp311-abi3-{platform}")
        build_data["artifacts"].append("src/wetread/*/*.so")


def compile_core(root: Path) -> None:
    """Compile the walk in place: `src/wetread/headers/core.abi3.so`."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    macros = [
        ("CYTHON_LIMITED_API", "1"),
        ("Py_LIMITED_API", "0x030B0000"),
        ("WETREAD_SOURCE", f'"{hash_sources(root)}"'),
    ]
    extensions = [
        Extension(
            f"wetread.{name}",
            [f"src/wetread/{name.replace('.', '/')}.py"],
            py_limited_api=True,
            define_macros=macros,
        )
        for name in MODULES
    ]
    before = Path.cwd()
    os.chdir(root)
    try:
        modules = cythonize(extensions, build_dir="build/cython", quiet=True)
        distribution = Distribution({"ext_modules": modules, "package_dir": {"": "src"}})
        command = distribution.get_command_obj("build_ext")
        command.inplace, command.build_temp, command.force = True, "build/temp", True
        command.ensure_finalized()
        command.run()
    finally:
        os.chdir(before)


if __name__ == "__main__":
    compile_core(Path(__file__).parent)

"""Build hook: compiles `wetread.headers` parts in `src/`, with zig where there is no compiler."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CORE = "src/wetread/headers/core"
TABLES = "src/wetread/common/tables.py"
SHARED = "build/cython/_shared.c"
"""The code of Cython that all modules share."""


def hash_sources(root: Path) -> str:
    """Hash that the compiled module carries, so that a test can tell an edit that was not built."""
    return hashlib.blake2b(
        b"".join(path.read_bytes() for path in sorted((root / CORE).glob("*.p[yx]*")))
    ).hexdigest()[:16]


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
        build_data["artifacts"].append("src/wetread/**/*.so")


def compile_core(root: Path) -> None:
    """Compile the walk in place: `src/wetread/headers/core/*.abi3.so`."""
    from Cython.Build import cythonize
    from Cython.Build.SharedModule import generate_shared_module
    from Cython.Compiler.Options import CompilationOptions
    from setuptools import Distribution, Extension

    macros = [
        ("CYTHON_LIMITED_API", "1"),
        ("Py_LIMITED_API", "0x030B0000"),
        ("WETREAD_SOURCE", f'"{hash_sources(root)}"'),
    ]
    common = {"py_limited_api": True, "define_macros": macros, "extra_compile_args": ["-g0"]}
    extensions = [
        Extension(
            path.removeprefix("src/").removesuffix(".py").replace("/", "."),
            [path],
            **common,
        )
        for path in (*(f"{CORE}/{p.name}" for p in sorted((root / CORE).glob("[!_]*.py"))), TABLES)
    ]
    before = Path.cwd()
    os.chdir(root)
    try:
        Path(SHARED).parent.mkdir(parents=True, exist_ok=True)
        generate_shared_module(CompilationOptions(shared_c_file_path=SHARED))
        modules = cythonize(
            extensions,
            include_path=["src"],
            build_dir="build/cython",
            quiet=True,
            shared_utility_qualified_name="wetread.headers.core._shared",
        )
        modules.append(Extension("wetread.headers.core._shared", [SHARED], **common))
        distribution = Distribution({"ext_modules": modules, "package_dir": {"": "src"}})
        command = distribution.get_command_obj("build_ext")
        command.inplace, command.build_temp, command.force = True, "build/temp", True
        command.ensure_finalized()
        command.run()
    finally:
        os.chdir(before)


if __name__ == "__main__":
    compile_core(Path(__file__).parent)

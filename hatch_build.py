"""Build hook: compiles modules with Cython, by zig if there is no C compiler."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # the tests import this file, without the build tools
    BuildHookInterface = object

SHARED = "wetread.common._shared"
"""Module with the code of Cython that all compiled modules use."""
MACROS = [("CYTHON_LIMITED_API", "1"), ("Py_LIMITED_API", "0x030B0000")]
NEEDED = (
    "a C compiler and the headers of Python are needed (Debian: gcc libc6-dev python3-dev;"
    " macOS: xcode-select --install; Windows: Build Tools for Visual Studio)"
)


class CompileHook(BuildHookInterface):  # type: ignore[misc, type-arg]
    """Compile before a wheel or an editable installation is made."""

    def dependencies(self) -> list[str]:
        """The package `ziglang`, a C compiler, if there is no other."""
        return ["ziglang>=0.13"] if find_compiler() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and name the wheel for this platform and any Python from 3.11 on."""
        libraries = compile_modules(Path(self.root))
        platform = self.build_config.builder.get_best_matching_tag().rpartition("-")[2]
        build_data.update(pure_python=False, tag=f"cp311-abi3-{platform}")
        build_data["artifacts"] += [f"/{path.as_posix()}" for path in libraries]


def find_sources(root: Path) -> list[Path]:
    """Compiled sources, relative to `root`: with `# cython:` or a .pxd beside."""
    return [
        path.relative_to(root)
        for path in sorted(root.glob("src/**/*.py"))
        if path.with_suffix(".pxd").exists() or path.read_bytes().startswith(b"# cython:")
    ]


def joined_sources(path: Path) -> list[Path]:
    """The sources that a module's comment `# joins:` names: of the classes below its own."""
    line = re.search(r"^# joins: (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return [path.with_name(f"{name}.py") for name in line[1].split()] if line else []


def find_modules(root: Path) -> list[Path]:
    """Compiled sources that become modules: those that no other one joins."""
    sources = find_sources(root)
    joined = {part for path in sources for part in joined_sources(root / path)}
    return [path for path in sources if root / path not in joined]


def write_joined(path: Path) -> Path:
    """Path of the source to compile; joined ones become one class, whose calls are direct.

    Every source ends with its class. Cython calls the methods of another class through a table.
    """
    parts = joined_sources(path)
    if not parts:
        return path
    heads, bodies = [], []
    for part in (*parts, path):
        text = part.read_text("utf-8")
        last = ast.parse(text).body[-1]
        assert isinstance(last, ast.ClassDef), f"{part} does not end with a class"
        lines = text.splitlines(keepends=True)
        heads += lines[: last.lineno - 1]
        bodies += lines[last.body[0].end_lineno :]  # without the docstring
    joined = Path("build/cython/joined", path)
    joined.parent.mkdir(parents=True, exist_ok=True)
    joined.write_text("".join([*heads, f"class {last.name}:\n", *bodies]), "utf-8")
    return joined


def hash_sources(root: Path) -> str:
    """Hash of all compiled sources; the library has it, which tells an edit that was not built."""
    files = [*(root / path for path in find_sources(root)), *sorted(root.glob("src/**/*.pxd"))]
    return hashlib.blake2b(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def find_compiler() -> str | None:
    """Command of a C compiler; empty if it is the usual one of this Python, None if there is none.

    A compiler counts that compiles: macOS has a `cc` that does not, and so have images of Docker.
    """
    if sys.platform == "win32" or os.environ.get("CC"):
        return ""
    usual = sysconfig.get_config_var("CC")
    for command in (usual, "cc", "gcc", "clang"):
        words = [*shlex.split(command), "-x", "c", "-fsyntax-only", "-"]
        try:
            subprocess.run(words, input=b"#include <stdlib.h>", capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return "" if command == usual else command
    return None


def compile_modules(root: Path) -> list[Path]:
    """Compile in place, `name.py` to `name.abi3.so`; the libraries, relative to `root`."""
    headers = Path(sysconfig.get_path("include"), "Python.h")
    if not headers.exists():
        sys.exit(f"wetread: {headers} is missing: {NEEDED}")
    compiler = find_compiler()
    if compiler is None:
        compiler = f"{shlex.quote(sys.executable)} -m ziglang cc -O2"  # else with checks, 6 MB
    if compiler:
        shared = "-bundle -undefined dynamic_lookup" if sys.platform == "darwin" else "-shared"
        os.environ.update(CC=compiler, LDSHARED=f"{compiler} {shared}")
    if sys.platform != "win32":
        os.environ["CFLAGS"] = f"-O2 -g0 -fwrapv -DNDEBUG {os.environ.get('CFLAGS', '')}"
    for old in [*root.glob("src/**/*.so"), *root.glob("src/**/*.pyd")]:
        old.unlink()  # Python would prefer one that names its version
    before = Path.cwd()
    os.chdir(root)
    try:
        return _compile(root)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (of Cython and of setuptools)
        text = textwrap.shorten(str(error), 100)
        sys.exit(f"wetread: the header reader does not compile ({text}), see above: {NEEDED}")
    finally:
        os.chdir(before)


def _compile(root: Path) -> list[Path]:
    from Cython.Build import cythonize
    from Cython.Build.SharedModule import generate_shared_module
    from Cython.Compiler.Options import CompilationOptions
    from setuptools import Distribution, Extension

    macros = [*MACROS, ("WETREAD_SOURCE", f'"{hash_sources(root)}"')]
    common = {"py_limited_api": True, "define_macros": macros}
    modules = [
        Extension(".".join(path.with_suffix("").parts[1:]), [source.as_posix()], **common)
        for path, source in ((path, write_joined(path)) for path in find_modules(root))
    ]
    shared = Extension(SHARED, [f"build/cython/{SHARED.rpartition('.')[2]}.c"], **common)
    Path("build/cython").mkdir(parents=True, exist_ok=True)
    generate_shared_module(CompilationOptions(shared_c_file_path=shared.sources[0]))
    modules = cythonize(
        modules,
        include_path=["src"],
        shared_utility_qualified_name=SHARED,
        build_dir="build/cython",
        quiet=True,
        force=True,
        compiler_directives={"show_performance_hints": False},
    )
    modules.append(shared)
    distribution = Distribution({"ext_modules": modules, "package_dir": {"": "src"}})
    command = distribution.get_command_obj("build_ext")
    command.inplace, command.build_temp, command.build_lib = True, "build/temp", "build/lib"
    command.force, command.parallel = True, os.cpu_count()
    command.ensure_finalized()
    command.run()
    return [Path("src", command.get_ext_filename(module.name)) for module in modules]


if __name__ == "__main__":
    compile_modules(Path(__file__).parent)

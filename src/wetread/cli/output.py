"""What the verbs print, and the options that several of them have."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wetread.errors import BOX_FINDINGS, FINDINGS, IndexFormatError, UnknownNameError, UsageError
from wetread.plain import to_plain

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from wetread.table.store import Content

_F = TypeVar("_F", bound=Callable[..., Any])

SEVERITY_COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}
"""The worst first."""


def json_option(command: _F) -> _F:
    """`--json`, as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def quiet_option(command: _F) -> _F:
    """`--quiet`, as the parameter `quiet`."""
    said = "Do not say how far it is."
    return click.option("-q", "--quiet", is_flag=True, help=said)(command)


def workers_option(command: _F) -> _F:
    """`--workers`, as the parameter `workers`, for what is always done in a process of its own."""
    said = "Processes; default: one per core."
    return click.option("--workers", type=click.IntRange(min=1), help=said)(command)


def _fail_on(known: Iterable[str]) -> Callable[[_F], _F]:
    return click.option(
        "--fail-on",
        metavar="CODE|any",
        multiple=True,
        callback=lambda ctx, param, codes: [code_of(code, (*known, "any")) for code in codes],
        help="Exit with 3 if there is such a finding; may be given more than once.",
    )


fail_on_option = _fail_on(FINDINGS)
"""`--fail-on`, as the parameter `fail_on`: codes of findings of files, checked."""
box_fail_on_option = _fail_on(BOX_FINDINGS)
"""The same for codes of findings of boxes and splits."""


def code_of(text: str, codes: Iterable[str] = FINDINGS) -> str:
    """The finding code that `text` names, letter case ignored.

    >>> code_of("truncated")
    'TRUNCATED'
    """
    known = {code.lower(): code for code in codes}
    if text.lower() not in known:
        raise UnknownNameError("finding code", text, known.values())
    return known[text.lower()]


def exit_on(fail_on: Iterable[str], found: Iterable[str]) -> None:
    """End with exit code 3 if one of the codes in `fail_on` was found."""
    asked, codes = set(fail_on), set(found)
    if hits := codes if "any" in asked else codes & asked:
        click.echo(f"found {', '.join(sorted(hits))}", err=True)
        sys.exit(3)


class OutputFile(click.Path):
    """The path of a file to write; where its folder is not there, that is said before any work."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; ends in wrong usage where it cannot be written."""
        folder = Path(value).parent
        if not folder.is_dir():
            self.fail(f"there is no folder {str(folder)!r}", param, ctx)
        if not os.access(folder, os.W_OK):
            self.fail(f"the folder {str(folder)!r} cannot be written", param, ctx)
        return super().convert(value, param, ctx)


def open_index(path: str) -> Content:
    """The index in a folder; where there is none, the error says how to make one."""
    from wetread.table.parts import MARKER
    from wetread.table.store import open_content

    try:
        return open_content(path)
    except IndexFormatError as error:
        if Path(path, MARKER).exists():
            raise
        raise UsageError(f"{error}; make one: wetread scan {shlex.quote(path)} -o INDEX") from error


def print_json(value: Any) -> None:
    """JSON on stdout; a list of rows has one row a line."""
    if isinstance(value, list):
        click.echo("[" + ",\n ".join(_to_json(row) for row in value) + "]")
    else:
        click.echo(_to_json(value, indent=2))


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)


def printable(text: str) -> str:
    r"""Text from a file, with what could steer a terminal escaped.

    >>> printable("a\x1b[31m")
    'a\\x1b[31m'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def print_table(table: pa.Table, max_rows: int = 1000) -> None:
    """A table in a box; on a terminal as many columns as fit, in a pipe all."""
    import duckdb

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1_000_000
    with duckdb.connect() as database:
        database.from_arrow(table).show(max_width=width, max_rows=max_rows)


def open_console() -> Console:
    """Where the verbs print what is no table and no JSON; a pipe is wide enough for all of it."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)

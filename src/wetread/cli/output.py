"""Output and exit codes of the commands."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wetread.common.store import is_store
from wetread.common.text import printable, to_plain
from wetread.errors import PROBLEMS, IndexFormatError, UnknownNameError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from wetread.table.rows import IndexRows

ROOT = "wetread.root"
"""Key of the value of `--root` in `click.Context.meta`."""
SEVERITY_COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}
"""Most severe first."""


def echo(message: object = "", err: bool = False) -> None:
    """Print text with control characters escaped, as `\\x1b`."""
    click.echo(printable_lines(str(message)), err=err)


def printable_lines(text: str) -> str:
    """Apply `printable` to each line."""
    return "\n".join(map(printable, text.split("\n")))


def code_of(text: str, codes: Iterable[str] = PROBLEMS) -> str:
    """Problem code named by `text`, ignoring case.

    >>> code_of("truncated")
    'TRUNCATED'
    """
    known = {code.lower(): code for code in codes}
    if text.lower() not in known:
        raise UnknownNameError("problem code", text, known.values())
    return known[text.lower()]


def exit_on(fail_on: Iterable[str], found: Iterable[str]) -> None:
    """Exit with code 3 if one of the codes in `fail_on` was found."""
    wanted, codes = set(fail_on), set(found)
    if hits := codes if "any" in wanted else codes & wanted:
        echo(f"found {', '.join(sorted(hits))}", err=True)
        sys.exit(3)


@contextmanager
def resumable(stored: bool = True) -> Iterator[None]:
    """Turn Ctrl-C into an error that says whether the command can be resumed."""
    try:
        yield
    except KeyboardInterrupt:
        more = "; run the same command again to resume" if stored else ""
        raise click.ClickException(f"stopped{more}") from None


def open_index(path: str) -> IndexRows:
    """Open an index folder, with `--root`; the error says how to create an index."""
    from wetread.sources.find import INDEX_MARKER
    from wetread.table.rows import IndexRows

    context = click.get_current_context(silent=True)
    root = context.meta.get(ROOT) if context else None
    try:
        return IndexRows.open(path, root)
    except IndexFormatError as error:
        if Path(path, INDEX_MARKER).exists():
            raise
        given = shlex.quote(path)
        if is_store(path):
            text = f"{given} is a cache, not an index: give the index that it was prepared from"
        elif Path(path).is_file():
            text = f"{error}: give the folder that wetread scan -o has written"
        else:
            text = f"{given} is not an index; create one: wetread scan {given} -o INDEX"
        raise UsageError(text) from error


def first_query(index: str) -> str:
    """Example query that returns values for any data set, competition files included."""
    sql = "SELECT path, Rows, PhotometricInterpretation FROM index LIMIT 5"
    return f"wetread query {shlex.quote(index)} '{sql}'"


def print_json(value: Any) -> None:
    """Print JSON to stdout; a list with one row per line."""
    if isinstance(value, list):
        click.echo("[" + ",\n ".join(_to_json(row) for row in value) + "]")
    else:
        click.echo(_to_json(value, indent=2))


def _to_json(value: Any, indent: int | None = None) -> str:
    text = json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)
    # Characters that JSON allows and a terminal interprets occur in strings only: escape them.
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def list_failures(lines: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Problem code and text of each line of `batch.make_rows` that has no picture."""
    failures = []
    for line in lines:
        if line["status"] != "ok":
            place = f"{line['path']} {line['member']}".strip()
            frame = "" if line["frame"] is None else f" frame {line['frame']}"
            text = printable(f"{line['status']}: {place}{frame}: {line['text']}")
            failures.append((line["text"].partition(":")[0], text))
    return failures


def print_table(table: pa.Table, max_rows: int = 1000) -> None:
    """Print a table; as many columns as fit on a terminal, all in a pipe."""
    import duckdb

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1_000_000
    with duckdb.connect() as database, redirect_stdout(shown := StringIO()):
        database.from_arrow(table).show(max_width=width, max_rows=max_rows)
    echo(shown.getvalue().rstrip("\n"))


def print_headline(console: Console, text: str) -> None:
    """Print a section heading across the terminal."""
    console.print()
    console.rule(f"[bold]{text}[/]", align="left", style="cyan")


def open_console() -> Console:
    """Console for formatted text; wide enough for all of it in a pipe."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)

"""`wetread problems`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wetread.cli.options import fail_on_option, json_option
from wetread.cli.output import SEVERITY_COLOURS, code_of, echo, exit_on, open_index, print_json
from wetread.common.text import counted, printable

if TYPE_CHECKING:
    import pyarrow as pa


@click.command()
@click.argument("index", type=click.Path())
@click.option(
    "--code",
    metavar="CODE",
    callback=lambda ctx, param, code: code and code_of(code),
    help="Only problems with this code.",
)
@json_option
@fail_on_option
def problems(index: str, code: str | None, as_json: bool, fail_on: list[str]) -> None:
    """List the problems of the files of an INDEX, most severe first.

    \b
    wetread problems train.index --code TRUNCATED
    """
    from wetread.table.query import problems as list_problems

    opened = open_index(index)
    found = list_problems(opened, code)
    if as_json:
        print_json(found.to_pylist())
    elif not len(found):
        name = code or "problems"
        echo(f"No {name} in {counted(len(opened), 'file')}.")
    else:
        print_problems(found)
    exit_on(fail_on, found["code"].to_pylist())


def print_problems(found: pa.Table) -> None:
    """Print severity, code, file and text of each problem in columns."""
    rows = [
        (row["severity"], row["code"], _source(row), printable(row["text"] or ""))
        for row in found.to_pylist()
    ]
    worst_first = list(SEVERITY_COLOURS)
    rows.sort(key=lambda row: worst_first.index(row[0]))
    code_width = max((len(row[1]) for row in rows), default=0)
    source_width = min(max((len(row[2]) for row in rows), default=0), 60)
    for severity, code, source, text in rows:
        coloured = click.style(f"{severity:7}", SEVERITY_COLOURS[severity])
        click.echo(f"{coloured}  {code:{code_width}}  {source:{source_width}}  {text}".rstrip())


def _source(row: dict[str, str]) -> str:
    """File, archive member and tag of a problem."""
    tag = row.get("tag")
    parts = (row["path"], row["member"], tag and f"({tag})")
    return printable(" ".join(part for part in parts if part))

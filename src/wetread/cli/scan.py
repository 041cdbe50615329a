"""`wetread scan`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from wetread.cli.options import (
    engine_options,
    fail_on_option,
    json_option,
    number_option,
    quiet_option,
)
from wetread.cli.output import echo, exit_on, first_query, print_json, resumable
from wetread.cli.scan_summary import print_summary

if TYPE_CHECKING:
    from wetread.workers import Engine


@click.command()
@click.argument("what", nargs=-1, required=True, type=click.Path(readable=False))
@click.option(
    "-o",
    "--output",
    "to",
    type=click.Path(),
    metavar="INDEX",
    help="Index folder; a second scan reads only new and changed files.",
)
@number_option(
    "--workers",
    "Number of threads (default: one per core; 0: the main thread).",
    least=0,
)
@click.option("--private", is_flag=True, help="Add a column with the private elements.")
@click.option("--sequences", is_flag=True, help="Add a column with the sequences.")
@click.option("--shard", metavar="K/N", help="Read only shard K (from 0) of N; then merge.")
@click.option("--replace", is_flag=True, help="Replace an INDEX of other or deleted files.")
@click.option("--anonymous", is_flag=True, help="Send no credentials (public buckets).")
@engine_options
@quiet_option
@json_option
@fail_on_option
def scan(
    what: tuple[str, ...],
    to: str | None,
    workers: int | None,
    private: bool,
    sequences: bool,
    shard: str | None,
    replace: bool,
    anonymous: bool,
    engine: Engine | None,
    quiet: bool,
    as_json: bool,
    fail_on: list[str],
) -> None:
    """Read the headers of folders, files and archives into a table.

    WHAT is a folder, a file, a glob, a zip or tar archive, or the URL of a bucket.

    \b
    wetread scan train/ -o train.index
    wetread scan train/ --fail-on TRUNCATED
    wetread scan s3://idc-open-data/FOLDER --anonymous -o idc.index
    """
    import wetread
    from wetread.sources.buckets import with_anonymous
    from wetread.table.summary import summarise

    if anonymous:
        what = tuple(map(with_anonymous, what))
    with resumable(stored=to is not None):
        index = wetread.scan(
            what[0] if len(what) == 1 else what,
            to,
            workers=workers,
            private=private,
            sequences=sequences,
            progress=not quiet,
            shard=shard,
            replace=replace,
            engine=engine,
        )
    summary = summarise(index)
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
    if shard and to and not as_json:
        echo(f"\nStored in {to} as shard {shard}; after the last: wetread merge {shlex.quote(to)}")
    elif to and not as_json:
        echo(f"\nStored in {to}; next: {first_query(to)}")
    exit_on(fail_on, summary["problems"])

"""`wetread scan`."""

from __future__ import annotations

import shlex

import click

from wetread.cli.output import exit_on, fail_on_option, json_option, print_json, quiet_option
from wetread.cli.summary import print_summary


@click.command()
@click.argument("what", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    "to",
    type=click.Path(),
    metavar="INDEX",
    help="Keep the table in this folder; scanning again reads only what changed.",
)
@click.option("--workers", type=click.IntRange(min=0), help="Processes; default: one per core.")
@click.option("--private", is_flag=True, help="Keep private elements too.")
@click.option("--sequences", is_flag=True, help="Keep sequences too.")
@quiet_option
@json_option
@fail_on_option
def scan(
    what: tuple[str, ...],
    to: str | None,
    workers: int | None,
    private: bool,
    sequences: bool,
    quiet: bool,
    as_json: bool,
    fail_on: list[str],
) -> None:
    """Read every header of folders, files and archives.

    WHAT is a folder, a file, a glob, a zip or a tar; or several of them.

    \b
    wetread scan train/ -o train.index
    wetread scan train/ --fail-on TRUNCATED
    """
    import wetread

    try:
        index = wetread.scan(
            what[0] if len(what) == 1 else what,
            to,
            workers=workers,
            private=private,
            sequences=sequences,
            progress=not quiet,
        )
    except KeyboardInterrupt:
        kept = "; the same command goes on from there" if to else ""
        raise click.ClickException(f"stopped{kept}") from None
    summary = index.summary()
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
    if to and not as_json:
        then = f"wetread query {shlex.quote(to)} 'SELECT * FROM index LIMIT 5'"
        click.echo(f"\nKept in {to}; next: {then}")
    exit_on(fail_on, summary["findings"])

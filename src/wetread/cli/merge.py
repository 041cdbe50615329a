"""`wetread merge`."""

from __future__ import annotations

import click

from wetread.cli.options import fail_on_option, json_option
from wetread.cli.output import echo, exit_on, first_query, print_json
from wetread.cli.scan_summary import print_summary


@click.command()
@click.argument("index", type=click.Path())
@json_option
@fail_on_option
def merge(index: str, as_json: bool, fail_on: list[str]) -> None:
    """Merge the shards of a distributed scan.

    \b
    wetread scan train/ -o train.index --shard 0/2
    wetread scan train/ -o train.index --shard 1/2
    wetread merge train.index
    """
    import wetread

    summary = wetread.merge(index).summary()
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
        echo(f"\nNext: {first_query(index)}")
    exit_on(fail_on, summary["problems"])

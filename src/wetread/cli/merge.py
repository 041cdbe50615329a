"""`wetread merge`."""

from __future__ import annotations

import shlex

import click

from wetread.cli.output import json_option, print_json
from wetread.cli.summary import print_summary


@click.command()
@click.argument("index", type=click.Path())
@json_option
def merge(index: str, as_json: bool) -> None:
    """Join the shards of INDEX, which many jobs have read.

    \b
    wetread scan train/ -o train.index --shard 0/2
    wetread scan train/ -o train.index --shard 1/2
    wetread merge train.index
    """
    import wetread

    summary = wetread.merge(index).summary()
    if as_json:
        print_json(summary)
        return
    print_summary(summary)
    click.echo(f"\nnext: wetread query {shlex.quote(index)} 'SELECT * FROM index LIMIT 5'")

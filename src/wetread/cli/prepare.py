"""`wetread prepare`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from wetread.cli.options import (
    engine_options,
    fail_on_option,
    json_option,
    quiet_option,
    root_option,
    workers_option,
)
from wetread.cli.output import (
    echo,
    exit_on,
    list_failures,
    open_index,
    print_json,
    resumable,
)

if TYPE_CHECKING:
    from wetread.workers import Engine


@click.command()
@click.argument("index", type=click.Path())
@click.option("-o", "--output", "to", required=True, type=click.Path(), help="The cache's folder.")
@click.option(
    "--size", type=click.IntRange(min=1), default=1024, show_default=True, help="Longest side."
)
@click.option("--verify", is_flag=True, help="Read every picture and compare its hash.")
@root_option
@workers_option
@engine_options
@quiet_option
@json_option
@fail_on_option
def prepare(
    index: str,
    to: str,
    size: int,
    verify: bool,
    workers: int | None,
    engine: Engine | None,
    quiet: bool,
    as_json: bool,
    fail_on: list[str],
) -> None:
    """Decode the images of an INDEX once, to train on.

    The pictures keep all their values, 16 bits, and the way back to the stored pixels. What was
    stopped goes on; a second run decodes only what is new or has changed. What cannot be decoded
    is named and left out.

    \b
    wetread prepare train.index -o train.cache
    wetread prepare train.index -o small.cache --size 512
    """
    from wetread.cache.prepare import prepare as run
    from wetread.index import Index

    with resumable():
        cache = run(Index.of(open_index(index)), to, size, workers, not quiet, engine)
    if verify:
        cache.verify()
    left = cache.left_out.to_pylist()
    failures = list_failures(left)
    if as_json:
        print_json({"pictures": len(cache), "size": cache.size, "left_out": left})
    else:
        echo(f"{len(cache):,} pictures of at most {cache.size} pixels a side in {to}")
        for _, text in failures:
            echo(f"left out, {text}")
        echo(f"\nNext: wetread train {shlex.quote(to)} BOXES --task detect -o run/")
    exit_on(fail_on, (code for code, _ in failures))

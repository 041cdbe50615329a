"""`wetread prepare`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from wetread.cli.options import engine_options, job_options, number_option
from wetread.cli.output import echo, exit_on, list_failures, open_index, print_json, resumable
from wetread.common.text import counted

if TYPE_CHECKING:
    from wetread.workers import Engine


@click.command()
@click.argument("index", type=click.Path())
@click.option(
    "-o", "--output", "to", metavar="CACHE", required=True, type=click.Path(), help="Cache folder."
)
@number_option("--size", "Longest side in pixels.", 1024, least=1)
@click.option("--verify", is_flag=True, help="Read every image and compare its hash.")
@job_options
@engine_options
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
    """Build a training cache from an INDEX.

    Images are decoded once and stored with 16 bits and all their values. Run the same command again
    to resume; only new and changed files are decoded. Images that cannot be decoded are listed and
    left out.

    \b
    wetread prepare train.index -o train.cache
    wetread prepare train.index -o small.cache --size 512
    """
    from wetread.cache.prepare import prepare as build_cache
    from wetread.index import Index

    with resumable():
        cache = build_cache(Index.of(open_index(index)), to, size, workers, not quiet, engine)
    if verify:
        cache.verify()
    left = cache.left_out.to_pylist()
    failures = list_failures(left)
    if as_json:
        print_json({"pictures": len(cache), "size": cache.size, "left_out": left})
    else:
        echo(
            f"{counted(len(cache), 'image')} of at most {cache.size} x {cache.size} pixels in {to}"
        )
        for _, text in failures:
            echo(f"left out: {text}")
        echo(f"\nNext: wetread train {shlex.quote(to)} BOXES --task detect -o run/")
    exit_on(fail_on, (code for code, _ in failures))

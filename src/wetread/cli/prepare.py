"""`wetread prepare`."""

from __future__ import annotations

import shlex

import click

from wetread.cli.output import (
    exit_on,
    fail_on_option,
    json_option,
    open_index,
    print_json,
    printable,
    quiet_option,
    workers_option,
)


@click.command()
@click.argument("index", type=click.Path())
@click.option("-o", "--output", "to", required=True, type=click.Path(), help="The cache's folder.")
@click.option(
    "--size", type=click.IntRange(min=1), default=1024, show_default=True, help="Longest side."
)
@click.option("--verify", is_flag=True, help="Read every picture and compare its hash.")
@workers_option
@quiet_option
@json_option
@fail_on_option
def prepare(
    index: str,
    to: str,
    size: int,
    verify: bool,
    workers: int | None,
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
    from wetread.index import Index
    from wetread.learn.prepare import prepare as run

    try:
        cache = run(Index(open_index(index)), to, size, workers, progress=not quiet)
    except KeyboardInterrupt:
        raise click.ClickException("stopped; the same command goes on from there") from None
    if verify:
        cache.verify()
    left = cache.left_out.to_pylist()
    if as_json:
        print_json({"pictures": len(cache), "size": cache.size, "left_out": left})
    else:
        click.echo(f"{len(cache):,} pictures of at most {cache.size} pixels a side in {to}")
        for line in left:
            place = f"{line['path']} {line['member']}".strip()
            frame = "" if line["frame"] is None else f" frame {line['frame']}"
            click.echo(printable(f"left out, {line['status']}: {place}{frame}: {line['text']}"))
        click.echo(f"\nNext: wetread train {shlex.quote(to)} BOXES --task detect -o run/")
    exit_on(fail_on, [line["text"].partition(":")[0] for line in left])

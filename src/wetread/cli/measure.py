"""`wetread measure`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from wetread.cli.options import engine_options, job_options, number_option
from wetread.cli.output import echo, exit_on, open_index, print_json, resumable
from wetread.common.text import counted

if TYPE_CHECKING:
    from wetread.workers import Engine

COUNTS = "SELECT px_status, count(*) AS n FROM index GROUP BY ALL ORDER BY n DESC, px_status"
FOUND = "SELECT f.code AS code, count(*) AS n FROM ({}) GROUP BY ALL ORDER BY n DESC, code".format(
    "SELECT unnest(px_problems) AS f FROM index"
)


@click.command()
@click.argument("index", type=click.Path())
@number_option("--size", "Longest side in pixels to measure at.", least=1)
@job_options
@engine_options
def measure(
    index: str,
    size: int | None,
    workers: int | None,
    engine: Engine | None,
    quiet: bool,
    as_json: bool,
    fail_on: list[str],
) -> None:
    """Add pixel statistics to an INDEX.

    Minimum, mean, percentiles and others become columns. Run the same command again to resume. With
    --size, JPEG and JPEG 2000 files are decoded at the lowest resolution that is large enough,
    which is much faster.

    \b
    wetread measure train.index
    wetread query train.index "SELECT path, px_mean, px_p99 FROM index WHERE px_status = 'ok'"
    """
    from wetread.index import Index
    from wetread.table.summary import say_without_pixels

    with resumable():
        measured = Index.of(open_index(index)).measure(size, workers, not quiet, engine)
    statuses = dict(measured.query(COUNTS).dropna().itertuples(index=False))
    problems = {code: int(n) for code, n in measured.query(FOUND).itertuples(index=False)}
    counts = {status: int(n) for status, n in statuses.items()}
    if as_json:
        print_json({"images": sum(counts.values()), "px_status": counts, "problems": problems})
    else:
        shown = ", ".join(f"{n:,} {status}" for status, n in counts.items())
        echo(f"{counted(sum(counts.values()), 'image')}: {shown or 'none'}")
        for code, n in problems.items():
            echo(f"{n:9,}  {code}")
        for line in say_without_pixels(measured):
            echo(line)
        then = f'wetread query {shlex.quote(index)} "SELECT path, px_mean FROM index LIMIT 5"'
        echo(f"\nStored in {index}; next: {then}")
    exit_on(fail_on, problems)

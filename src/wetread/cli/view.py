"""`wetread view`."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wetread.cli.options import (
    CONSENSUS,
    marks_options,
    phi_option,
    quiet_option,
    root_option,
)
from wetread.cli.output import (
    ROOT,
    echo,
    open_index,
)
from wetread.errors import UsageError

if TYPE_CHECKING:
    from wetread.boxes.consensus import Method
    from wetread.table.rows import IndexRows


@click.command()
@click.argument("what", type=click.Path())
@marks_options
@click.option(
    "--consensus",
    type=click.Choice(["wbf", "majority", "nms", "union"]),
    metavar="METHOD",
    default="wbf",
    show_default=True,
    help=CONSENSUS,
)
@click.option("--at", metavar="ID", help="Start at the image with this id.")
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=0,
    help="The port to listen on; default: any that is free.",
)
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on, and the name that browsers give it.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="Another name by which browsers reach it, as behind a proxy; may be given more than once.",
)
@root_option
@phi_option
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@quiet_option
def view(
    what: str,
    boxes: str | None,
    predictions: str | None,
    consensus: Method,
    at: str | None,
    port: int,
    host: str,
    allow_hosts: tuple[str, ...],
    show_phi: bool,
    no_browser: bool,
    quiet: bool,
) -> None:
    """Look at an index in the browser, until Ctrl-C.

    WHAT is an INDEX, or a folder or file that is scanned first.

    \b
    wetread view train.index --boxes train.csv
    wetread view train.index --boxes train.csv --predictions predictions.parquet --port 8000
    """
    from wetread.boxes.reading import read_boxes
    from wetread.index import Index
    from wetread.viewer import view as start

    index = Index.of(_open(what, not quiet))
    with start(
        index,
        read_boxes(boxes, index) if boxes else None,
        read_boxes(predictions, index) if predictions else None,
        consensus=consensus,
        at=at,
        port=port,
        host=host,
        allow_hosts=allow_hosts,
        show_phi=show_phi,
        title=Path(what).name,
    ) as viewer:
        echo(viewer.url)
        echo(f"From another machine first: {viewer.ssh}", err=True)
        with contextlib.nullcontext() if no_browser else open_browser(viewer.url):
            try:
                viewer.wait()
            except KeyboardInterrupt:
                echo("stopped", err=True)


def _open(what: str, progress: bool) -> IndexRows:
    """An index, or files scanned in memory."""
    from wetread.table.mirror import is_index
    from wetread.table.scan import scan

    if is_index(what):
        return open_index(what)
    if click.get_current_context().meta.get(ROOT):
        raise UsageError(f"--root goes with an INDEX, and {what} is none")
    return scan(what, progress=progress)


@contextlib.contextmanager
def open_browser(url: str) -> Iterator[None]:
    """Opens the address where there is a desktop; over SSH there is none.

    It goes through a file that is the user's alone: a command line, with the token in it, is for
    everybody on the machine to read.
    """
    desktop = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if not desktop and sys.platform not in ("darwin", "win32"):
        yield
        return
    import webbrowser

    with tempfile.TemporaryDirectory(prefix="wetread-") as folder:
        page = Path(folder, "view.html")
        page.touch(mode=0o600)
        page.write_text(f'<meta http-equiv="refresh" content="0;url={escape(url)}">')
        webbrowser.open(page.as_uri())
        yield

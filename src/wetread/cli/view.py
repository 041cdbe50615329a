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
    consensus_option,
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
@consensus_option("wbf")
@click.option("--at", metavar="ID", help="Open the image with this id.")
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port (default: any free port).",
)
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on, as browsers name it.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="Additional host name, for example of a proxy; may be given more than once.",
)
@click.option("--reader", metavar="NAME", help="Annotate as this reader; goes with --write.")
@click.option(
    "--write",
    metavar="FOLDER",
    type=click.Path(file_okay=False),
    help="Write the reader's annotations to this folder, which may hold those of other readers.",
)
@click.option(
    "--label", "labels", multiple=True, metavar="NAME", help="Label; may be given more than once."
)
@click.option("--show-others", is_flag=True, help="Show the boxes of other readers to the reader.")
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
    reader: str | None,
    write: str | None,
    labels: tuple[str, ...],
    show_others: bool,
    show_phi: bool,
    no_browser: bool,
    quiet: bool,
) -> None:
    """Open the viewer in the browser, until Ctrl-C.

    WHAT is an INDEX, or a folder or file that is scanned first.

    \b
    wetread view train.index --boxes train.csv
    wetread view train.index --boxes train.csv --predictions predictions.parquet --port 8000
    wetread view train.index --reader R1 --write reads/ --label Nodule --label Effusion
    """
    from wetread.boxes.reading import read_boxes
    from wetread.index import Index
    from wetread.viewer import view as start_viewer

    index = Index.of(_open(what, not quiet))
    with start_viewer(
        index,
        read_boxes(boxes, index) if boxes else None,
        read_boxes(predictions, index) if predictions else None,
        consensus=consensus,
        at=at,
        port=port,
        host=host,
        allow_hosts=allow_hosts,
        reader=reader,
        write=write,
        labels=labels,
        show_others=show_others,
        show_phi=show_phi,
        title=Path(what).name,
    ) as viewer:
        echo(viewer.url)
        echo(f"From another machine, first run: {viewer.ssh}", err=True)
        with contextlib.nullcontext() if no_browser else open_browser(viewer.url):
            try:
                viewer.wait()
            except KeyboardInterrupt:
                echo("stopped", err=True)


def _open(what: str, progress: bool) -> IndexRows:
    """Open an index, or scan files in memory."""
    from wetread.table.mirror import is_index
    from wetread.table.scan import scan

    if is_index(what):
        return open_index(what)
    if (context := click.get_current_context(silent=True)) and context.meta.get(ROOT):
        raise UsageError(f"--root needs an INDEX; {what} is not an index")
    return scan(what, progress=progress)


@contextlib.contextmanager
def open_browser(url: str) -> Iterator[None]:
    """Open the address in a browser if there is a desktop.

    The address contains the token; it is passed in a private file, since every user of the machine
    can read command lines.
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

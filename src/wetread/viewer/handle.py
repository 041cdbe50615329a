"""A viewer in a thread of the current process."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.boxes import Boxes
from wetread.boxes.consensus import METHODS, Method
from wetread.boxes.join import joined
from wetread.boxes.reading import open_boxes
from wetread.common.disk_cache import cache_folder
from wetread.errors import UnknownNameError, UsageError
from wetread.settings import Settings
from wetread.sources.find import PathLike
from wetread.table.rows import IndexLike, IndexRows, check_files
from wetread.viewer.annotations import Writing, open_writing
from wetread.viewer.environment import (
    COLAB_ORIGINS,
    detect_environment,
    proxy_hosts,
    show_in_colab,
    ssh_command,
    to_html,
    url_host,
)

if TYPE_CHECKING:
    import uvicorn


class Handle:
    """A running viewer with `url` and `stop()`; as a context manager it stops at the end."""

    def __init__(
        self, server: uvicorn.Server, listener: socket.socket, token: str, at: str | None
    ) -> None:
        self._server, self._listener = server, listener
        self.host, self.port = listener.getsockname()[:2]
        self.token, self.at = token, at
        self._thread = threading.Thread(target=self._run, name="wetread-viewer", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Address for a browser on this machine, including the token."""
        return f"http://{url_host(self.host)}:{self.port}/{self._fragment}"

    @property
    def _fragment(self) -> str:
        """Fragment of the URL, which a browser never transmits."""
        image = f"#/image/{self.at}?" if self.at else "#"
        return f"{image}token={self.token}"

    @property
    def running(self) -> bool:
        """True until the viewer is stopped."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop the viewer and release its threads, processes and socket."""
        self._server.should_exit = True
        self._thread.join()

    def wait(self) -> None:
        """Wait until the viewer is stopped, by `stop` or Ctrl-C."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def _run(self) -> None:
        import asyncio

        try:
            asyncio.run(self._server.serve([self._listener]))
        finally:
            self._listener.close()

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def ssh(self) -> str:
        """SSH command to run on the machine with the browser, to forward the port."""
        return ssh_command(self.url)

    def _repr_html_(self) -> str:
        return to_html(detect_environment(), self.port, self._fragment, self.url, self.running)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        if self.running and detect_environment() == "colab":
            show_in_colab(self.port, self._fragment)
            return {"text/plain": repr(self)}
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def __repr__(self) -> str:
        address, _, _ = self.url.partition("#")  # does not show the token
        return f"<Viewer at {address}{'' if self.running else ', stopped'}>"


def view(
    index: IndexLike,
    boxes: Boxes | PathLike | None = None,
    predictions: Boxes | PathLike | None = None,
    port: int = 0,
    host: str = "127.0.0.1",
    *,
    consensus: Method = "wbf",
    at: str | None = None,
    allow_hosts: Iterable[str] = (),
    show_phi: bool = False,
    title: str = "",
    reader: str | None = None,
    write: PathLike | None = None,
    labels: Iterable[str] = (),
    show_others: bool = False,
) -> Handle:
    """Start the viewer of an index in a thread; in a notebook the handle displays the viewer.

    Access requires the token in `url`. The viewer is reachable from this machine only; from another
    machine, run the command `ssh` first. Display in Jupyter requires jupyter-server-proxy.

    Args:
        index: the images to show.
        boxes: boxes of one or more readers, or their file; joined to the index if necessary.
        predictions: predicted boxes, or their file.
        port: port to listen on; 0 selects a free one.
        host: address to listen on. Any other than the default is reachable from other machines,
            unencrypted; 0.0.0.0 also requires the names that browsers use in `allow_hosts`.
        consensus: method to merge the boxes of several readers, as in `Boxes.consensus`.
        at: id of the first image to show.
        allow_hosts: additional host names that browsers use, as that of a JupyterHub.
        show_phi: show values that may identify a patient, which are masked otherwise.
        title: title of the page (default: the name of the folder).
        reader: name of the reader who annotates the images; goes with `write`.
        write: folder of the annotations, which `wetread.read_boxes` reads: one log per reader.
            Without it, the viewer writes nothing.
        labels: labels to choose from, before those of the boxes and predictions.
        show_others: show the boxes of other readers to the reader, for example to merge them;
            without it, `boxes` give only their labels.

    Raises:
        UsageError: the port is in use, no box belongs to an image of the index, or an invalid name
            of a reader or a label.
        StorageError: the folder of the annotations cannot be written, or another viewer writes
            those of this reader.

    >>> import pathlib, tempfile, wetread
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "notes.txt").write_text("not DICOM")
    ...     with wetread.view(wetread.scan(folder, progress=False)) as viewer:
    ...         viewer.url.startswith(f"http://127.0.0.1:{viewer.port}/#token=")
    True
    """
    if consensus not in METHODS:
        raise UnknownNameError("consensus", consensus, METHODS)
    environment = detect_environment()
    rows = IndexRows.of(index)
    sides = [None if side is None else open_boxes(side, rows) for side in (boxes, predictions)]
    return serve(
        rows,
        *sides,
        writing=open_writing(write, reader, labels, sides, show_others),
        port=port,
        host=host,
        allow_hosts=[*allow_hosts, *proxy_hosts(environment)],
        frame_ancestors=COLAB_ORIGINS if environment == "colab" else (),
        at=at,
        thumbnails=cache_folder("thumbs"),
        consensus=consensus,
        show_phi=show_phi,
        title=title,
    )


def serve(
    index: IndexRows,
    boxes: Boxes | None = None,
    predictions: Boxes | None = None,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    allow_hosts: Iterable[str] = (),
    frame_ancestors: Iterable[str] = (),
    token: str | None = None,
    at: str | None = None,
    thumbnails: Path | None = None,
    settings: Settings = Settings(),
    writing: Writing | None = None,
    **options: Any,
) -> Handle:
    """Start a viewer in a thread; `options` are those of `State`, all others as in `view`.

    `token` is the access token, by default a new one of 256 random bits; `thumbnails` is the folder
    of the thumbnail cache, None to disable it; `writing` is closed with the viewer.
    """
    import uvicorn

    from wetread.viewer.app import make_app
    from wetread.viewer.protocol import limited
    from wetread.viewer.state import State

    token = token or secrets.token_urlsafe(32)
    with contextlib.ExitStack() as opened:
        if writing is not None:
            opened.callback(writing.log.close)
        if index.folder is not None:
            check_files(index)
        sides = [_joined(side, index) for side in (boxes, predictions)]
        listener = opened.enter_context(_listen(host, port))
        options |= {"thumbnails": thumbnails, "settings": settings, "writing": writing}
        app = make_app(
            State(index, *sides, **options),
            token,
            [*allow_hosts, url_host(listener.getsockname()[0])],
            frame_ancestors,
        )
        opened.pop_all()
    config = uvicorn.Config(
        app,
        http=limited(settings.client_seconds),
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        limit_concurrency=200,
        timeout_graceful_shutdown=1,
    )
    return Handle(uvicorn.Server(config), listener, token, at)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With an explicit protocol asyncio sets TCP_NODELAY; otherwise each response waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        return listener
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        message = f"cannot listen on {host} port {port}: {reason}; choose another"
        raise UsageError(message) from error


def _joined(boxes: Boxes | None, index: IndexRows) -> Boxes | None:
    """Boxes with the ids of this index."""
    return None if boxes is None else joined(boxes, index)

"""A viewer that runs in a thread of this process."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from wetread.boxes import Boxes
from wetread.boxes.consensus import Method
from wetread.boxes.join import joined
from wetread.boxes.reading import open_boxes
from wetread.common.disk_cache import cache_folder
from wetread.errors import UsageError
from wetread.settings import Settings
from wetread.sources.find import PathLike
from wetread.table.rows import IndexLike, IndexRows, check_files
from wetread.viewer.environment import (
    COLAB_FRAMES,
    find_place,
    known_hosts,
    show_in_colab,
    ssh_line,
    to_html,
    url_host,
)

if TYPE_CHECKING:
    import uvicorn


class Handle:
    """A running viewer: `url`, `stop()`; in a `with` block it stops at the end."""

    def __init__(
        self, server: uvicorn.Server, listener: socket.socket, token: str, at: str | None
    ) -> None:
        self._server, self._listener = server, listener
        self.host, self.port = listener.getsockname()[:2]
        self.token, self.at = token, at
        self._thread = threading.Thread(target=self._run, name="wetread-viewer", daemon=True)
        self._failed: BaseException | None = None
        self._thread.start()

    @property
    def url(self) -> str:
        """The address for a browser on this machine, token and all."""
        return f"http://{url_host(self.host)}:{self.port}/{self._fragment}"

    @property
    def _fragment(self) -> str:
        """What stands after the path: the browser never sends it anywhere."""
        image = f"#/image/{self.at}?" if self.at else "#"
        return f"{image}token={self.token}"

    @property
    def running(self) -> bool:
        """Whether it still answers."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End it: no thread, process or socket is left."""
        self._server.should_exit = True
        self._thread.join()

    def wait(self) -> None:
        """Until it is stopped, by `stop` or Ctrl-C."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def _run(self) -> None:
        import asyncio

        try:
            asyncio.run(self._server.serve([self._listener]))
        except BaseException as error:  # noqa: BLE001 - said by the caller
            self._failed = error
        finally:
            self._listener.close()

    def __enter__(self) -> Handle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def ssh(self) -> str:
        """The command that brings its port to the machine with the browser."""
        return ssh_line(self.url)

    def _repr_html_(self) -> str:
        return to_html(find_place(), self.port, self._fragment, self.url, self.running)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        if self.running and find_place() == "colab":
            show_in_colab(self.port, self._fragment)
            return {"text/plain": repr(self)}
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def __repr__(self) -> str:
        address, _, _ = self.url.partition("#")  # the token is for nobody's screen
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
) -> Handle:
    """Starts the viewer of an index in a thread; the handle shows itself in a notebook.

    Only who has the token in its `url` sees anything, and only this machine reaches it: from
    another one take its `ssh` line. In Jupyter it shows in the notebook through
    jupyter-server-proxy, where that is installed.

    Args:
        index: the images, or their index folder.
        boxes: what readers drew, or the file of it; joined to the index where it is not yet.
        predictions: what a model found.
        port: 0 takes any that is free.
        host: the address to listen on; any but the default lets other machines in, unencrypted.
            Browsers may name it; 0.0.0.0 wants the names that they use in `allow_hosts`.
        consensus: how several readers become one, as in `Boxes.consensus`.
        at: the id of the image to start at.
        allow_hosts: other names by which browsers reach it, as that of a JupyterHub.
        show_phi: show values that may tell who a patient is, which are masked otherwise.
        title: shown above; by default the name of the folder.

    Raises:
        UsageError: the port is taken, or no box belongs to an image of the index.

    >>> import pathlib, tempfile, wetread
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "notes.txt").write_text("not DICOM")
    ...     with wetread.view(wetread.scan(folder, progress=False)) as viewer:
    ...         viewer.url.startswith(f"http://127.0.0.1:{viewer.port}/#token=")
    True
    """
    place = find_place()
    return serve(
        IndexRows.of(index),
        open_boxes(boxes) if boxes is not None else None,
        open_boxes(predictions) if predictions is not None else None,
        port=port,
        host=host,
        allow_hosts=[*allow_hosts, *known_hosts(place)],
        frame_ancestors=COLAB_FRAMES if place == "colab" else (),
        at=at,
        thumbs=cache_folder("thumbs"),
        consensus=consensus,
        show_phi=show_phi,
        title=title,
    )


def serve(
    content: IndexRows,
    boxes: Boxes | None = None,
    predictions: Boxes | None = None,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    allow_hosts: Iterable[str] = (),
    frame_ancestors: Iterable[str] = (),
    token: str | None = None,
    at: str | None = None,
    thumbs: Path | None = None,
    settings: Settings = Settings(),
    **options: Any,
) -> Handle:
    """Starts a viewer of rows; `options` are those of `session.Viewer`, all else as in `view`.

    `token` and `thumbs`, the folder of thumbnails, can be given; None makes a new token, and keeps
    no thumbnails.
    """
    import uvicorn

    from wetread.viewer.app import make_app
    from wetread.viewer.state import Viewer

    if content.folder is not None:
        check_files(content)
    token = token or secrets.token_urlsafe(32)
    sides = [_joined(side, content) for side in (boxes, predictions)]
    listener = _listen(host, port)
    app = make_app(
        Viewer(content, *sides, thumbs=thumbs, settings=settings, **options),
        token,
        [*allow_hosts, url_host(listener.getsockname()[0])],
        frame_ancestors,
    )
    config = uvicorn.Config(
        app,
        http="h11",
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
    # With the protocol named, asyncio sets TCP_NODELAY; else every answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        return listener
    except (OSError, OverflowError) as error:
        listener.close()
        raise UsageError(
            f"{host} port {port}: {getattr(error, 'strerror', None) or error}; try another"
        ) from error


def _joined(boxes: Boxes | None, content: IndexRows) -> Boxes | None:
    """Boxes with the ids of this index."""
    return None if boxes is None else joined(boxes, content)

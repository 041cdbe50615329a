"""Where a viewer's user is, and how a browser there reaches it."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from html import escape
from importlib.util import find_spec
from typing import Literal
from urllib.parse import urlsplit

Place = Literal["colab", "kaggle", "hub", "jupyter", "vscode", "plain"]
COLAB_FRAMES = ("https://colab.research.google.com", "https://*.googleusercontent.com")
HEIGHT = 720
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where all are listened on


def find_place() -> Place:
    """Which notebook this process is the kernel of; "plain" where it is none."""
    if "google.colab" in sys.modules:
        return "colab"
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE"):
        return "kaggle"
    if "ipykernel" not in sys.modules:
        return "plain"
    if os.environ.get("VSCODE_PID") or os.environ.get("VSCODE_CWD"):
        return "vscode"
    if find_spec("jupyter_server_proxy") is None:
        return "plain"
    return "hub" if os.environ.get("JUPYTERHUB_SERVICE_PREFIX") else "jupyter"


def proxy_path(port: int) -> str:
    """The path at which jupyter-server-proxy has a port of this machine."""
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX") or _base_url()
    return f"{prefix.rstrip('/')}/proxy/{port}/"


def _base_url() -> str:
    """Of the Jupyter server that started this kernel; "/" where it does not say."""
    try:
        from jupyter_server.serverapp import list_running_servers

        parent = int(os.environ.get("JPY_PARENT_PID", "0"))
        return next((s["base_url"] for s in list_running_servers() if s["pid"] == parent), "/")
    except (ImportError, ValueError, KeyError, OSError):
        return "/"


def known_hosts(place: Place) -> list[str]:
    """Names beside this machine's own that browsers there use.

    On Colab the browser is on another machine than the viewer, which only Google's proxy reaches:
    any name is as good as another.
    """
    if place == "colab":
        return ["*"]
    urls = [os.environ.get(name, "") for name in ("JUPYTERHUB_PUBLIC_URL", "JUPYTERHUB_HOST")]
    names = [urlsplit(url).hostname for url in urls] if place == "hub" else []
    return [name for name in names if name]


def url_host(address: str) -> str:
    """What a browser on this machine calls the address that is listened on.

    >>> url_host("192.168.1.5"), url_host("0.0.0.0"), url_host("::1")
    ('192.168.1.5', '127.0.0.1', '[::1]')
    """
    here = _LOOPBACK.get(address, address)
    return f"[{here}]" if ":" in here else here


def ssh_line(url: str) -> str:
    """The command that brings the port of a viewer to another machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "USER"
    address = urlsplit(url)
    return f"ssh -N -L {address.port}:{address.netloc} {user}@{socket.gethostname()}"


def to_html(place: Place, port: int, fragment: str, url: str, running: bool) -> str:
    """What a notebook shows: the viewer itself where its browser reaches it, else how to."""
    if not running:
        return "<p>The viewer was stopped.</p>"
    if place in ("hub", "jupyter"):
        source = escape(proxy_path(port) + fragment)
        return (
            f'<iframe src="{source}" title="viewer" width="100%" height="{HEIGHT}" '
            f'style="border:0"></iframe><p><a href="{source}" target="_blank">in a tab of its '
            "own</a></p>"
        )
    if place == "kaggle":
        return (
            "<p>Kaggle lets no browser reach a port of its notebooks: "
            "<code>index.mosaic()</code> and images show themselves without a viewer.</p>"
        )
    link = f'<a href="{escape(url)}" target="_blank">{escape(url.partition("#")[0])}</a>'
    if place == "vscode":
        return f"<p>The viewer is at {link}; VS Code forwards the port.</p>"
    return (
        f"<p>The viewer is at {link}. From another machine first: "
        f"<code>{escape(ssh_line(url))}</code>. With jupyter-server-proxy installed beside "
        "Jupyter it shows here.</p>"
    )


def show_in_colab(port: int, fragment: str) -> None:
    """The viewer below the cell. Colab's own call; not tested there."""
    from google.colab import output  # type: ignore[import-not-found]  # only there

    output.serve_kernel_port_as_iframe(port, path=f"/{fragment}", height=str(HEIGHT))

"""Notebook environment of the viewer: detection, proxy addresses, HTML output."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from html import escape
from importlib.util import find_spec
from typing import Literal
from urllib.parse import urlsplit

Environment = Literal["colab", "kaggle", "hub", "jupyter", "vscode", "plain"]
COLAB_ORIGINS = ("https://colab.research.google.com", "https://*.googleusercontent.com")
HEIGHT = 720
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - wildcard addresses


def detect_environment() -> Environment:
    """Detect the notebook environment of this process; "plain" outside of notebooks."""
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
    """Path at which jupyter-server-proxy serves a port of this machine."""
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX") or _base_url()
    return f"{prefix.rstrip('/')}/proxy/{port}/"


def _base_url() -> str:
    """Base URL of the Jupyter server of this kernel; "/" if unknown."""
    try:
        from jupyter_server.serverapp import list_running_servers

        parent = int(os.environ.get("JPY_PARENT_PID", "0"))
        return next((s["base_url"] for s in list_running_servers() if s["pid"] == parent), "/")
    except (ImportError, ValueError, KeyError, OSError):
        return "/"


def proxy_hosts(environment: Environment) -> list[str]:
    """Host names under which browsers reach the viewer in an environment.

    On Colab any name is allowed: only Google's proxy can reach the viewer.
    """
    if environment == "colab":
        return ["*"]
    urls = [os.environ.get(name, "") for name in ("JUPYTERHUB_PUBLIC_URL", "JUPYTERHUB_HOST")]
    names = [urlsplit(url).hostname for url in urls] if environment == "hub" else []
    return [name for name in names if name]


def url_host(address: str) -> str:
    """Host in the URL for a browser on this machine, from the listening address.

    >>> url_host("192.168.1.5"), url_host("0.0.0.0"), url_host("::1")
    ('192.168.1.5', '127.0.0.1', '[::1]')
    """
    host = _LOOPBACK.get(address, address)
    return f"[{host}]" if ":" in host else host


def ssh_command(url: str) -> str:
    """SSH command that forwards the port of a viewer to another machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "USER"
    address = urlsplit(url)
    return f"ssh -N -L {address.port}:{address.netloc} {user}@{socket.gethostname()}"


def to_html(environment: Environment, port: int, fragment: str, url: str, running: bool) -> str:
    """HTML for a notebook: the viewer in a frame if reachable, else instructions."""
    if not running:
        return "<p>The viewer has stopped.</p>"
    if environment in ("hub", "jupyter"):
        source = escape(proxy_path(port) + fragment)
        return (
            f'<iframe src="{source}" title="viewer" width="100%" height="{HEIGHT}" '
            f'style="border:0"></iframe><p><a href="{source}" target="_blank">Open in '
            "a new tab</a></p>"
        )
    if environment == "kaggle":
        return (
            "<p>Ports of Kaggle notebooks are not reachable from a browser. Use "
            "<code>index.mosaic()</code>, or display single images, instead.</p>"
        )
    link = f'<a href="{escape(url)}" target="_blank">{escape(url.partition("#")[0])}</a>'
    if environment == "vscode":
        return f"<p>The viewer is at {link}; VS Code forwards the port.</p>"
    return (
        f"<p>The viewer is at {link}. From another machine, run first: "
        f"<code>{escape(ssh_command(url))}</code>. With jupyter-server-proxy installed in the "
        "environment of the Jupyter server, the viewer is displayed here.</p>"
    )


def show_in_colab(port: int, fragment: str) -> None:
    """Show the viewer below the cell, through Colab's own function; not tested on Colab."""
    from google.colab import output  # type: ignore[import-not-found]  # exists on Colab only

    output.serve_kernel_port_as_iframe(port, path=f"/{fragment}", height=str(HEIGHT))

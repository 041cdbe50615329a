"""The page behind jupyter-server-proxy, as in a notebook."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.apt("chromium", "chromium")


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Jupyter server with the proxy, below a path as in JupyterHub."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder: Path = tmp_path_factory.mktemp("jupyter")
    address = f"http://127.0.0.1:{port}/user/me/"
    options = {
        "port": port,
        "ip": "127.0.0.1",
        "open_browser": False,
        "base_url": "/user/me/",
        "root_dir": folder,
        "allow_root": True,
        "jpserver_extensions": {"jupyter_server_proxy": True},
    }
    command = [sys.executable, "-m", "jupyter_server"]
    command += [f"--ServerApp.{name}={value}" for name, value in options.items()]
    command += ["--IdentityProvider.token=hub"]
    environment = {"HOME": str(folder), "JUPYTER_CONFIG_DIR": str(folder), "PATH": "/usr/bin"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as server:
        while True:
            try:
                urllib.request.urlopen(f"{address}api").close()
                break
            except OSError:
                assert server.poll() is None
                time.sleep(0.2)
        yield address
        server.terminate()


def test_behind_jupyter_server_proxy(page: Any, mixed: Any, jupyter: str) -> None:
    requests: list[str] = []
    page.goto(f"{jupyter}api?token=hub")  # the cookie of a user of the hub
    page.on("request", lambda request: requests.append(request.url))
    prefix = f"{jupyter}proxy/{mixed.handle.port}/"
    image = mixed.images["CT_small"].id
    page.goto(f"{prefix}#/image/{image}?window=lung&token={mixed.token}")
    page.wait_for_selector(".stage[data-drawn^='smooth']")
    page.keyboard.press("Escape")
    page.wait_for_selector(".tile img")
    assert all(url.startswith((prefix, "blob:")) for url in requests)

"""The page behind jupyter-server-proxy, as in a notebook."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

import wetread as wr
from wetread.boxes.stroke_log import StrokeLog
from wetread.testing.strokes import make_stroke
from wetread.viewer.annotations import Writing
from wetread.viewer.environment import to_html

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


def test_in_the_output_of_a_cell(
    page: Any, mixed: Any, jupyter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/me/")
    fragment = f"#/grid?search=CT_small&token={mixed.token}"
    output = to_html("jupyter", mixed.handle.port, fragment, "", running=True)
    page.goto(f"{jupyter}api?token=hub")
    page.goto(f"{jupyter}no-such-page")  # a page of Jupyter, with its policy
    page.evaluate("html => { document.body.innerHTML = html }", output)
    frame = page.frame_locator("iframe[title=viewer]")
    frame.locator(".tile img").wait_for()
    frame.locator(".scroller").press("Enter")
    frame.locator(".stage[data-drawn^='smooth']").wait_for()
    expect(frame.locator(".path")).to_have_text("CT_small.dcm")


def test_annotations_behind_jupyter_server_proxy(
    page: Any, mixed: Any, jupyter: str, tmp_path: Path, open_site: Callable[..., Any]
) -> None:
    """A box is drawn, moved and deleted; another origin is refused."""
    site = open_site(mixed.index, writing=Writing(StrokeLog(tmp_path, "R1"), ("A",), blind=True))
    page.goto(f"{jupyter}api?token=hub")
    prefix = f"{jupyter}proxy/{site.handle.port}/"
    image = site.images["CT_small"].id
    page.goto(f"{prefix}#/image/{image}?token={site.token}")
    page.wait_for_selector(".stage[data-drawn^='smooth'], .stage[data-drawn^='exact']")
    page.keyboard.press("Enter")
    page.until(lambda: len(wr.read_boxes(tmp_path)) == 1)
    before = wr.read_boxes(tmp_path).corners.tolist()
    page.keyboard.press("ArrowLeft")
    page.until(lambda: wr.read_boxes(tmp_path).corners.tolist() != before)
    page.keyboard.press("Delete")
    page.until(lambda: len(wr.read_boxes(tmp_path)) == 0)
    page.wait_for_selector(".saved[data-state=saved]")
    head = {"Authorization": "token hub", "X-Wetread-Token": site.token}
    for more, status in (
        ({}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"X-Wetread-Token": "wrong"}, 401),
    ):
        stroke = make_stroke(image=image)
        answer = httpx.post(
            f"{prefix}api/strokes", json=stroke, headers=head | more, trust_env=False, timeout=60
        )
        assert answer.status_code == status, more

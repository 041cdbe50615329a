"""Annotation through reverse proxies: below a prefix, with and without the browser's Host."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

import wetread as wr
from wetread.boxes.stroke_log import StrokeLog
from wetread.testing import dicom_file
from wetread.testing.dicom import picture
from wetread.testing.strokes import make_stroke
from wetread.viewer.annotations import Writing

pytestmark = pytest.mark.apt("chromium", "chromium")
PREFIX = "/lab/proxy"
DRAWN = ".stage[data-drawn^='exact'], .stage[data-drawn^='smooth']"


@contextmanager
def proxy(target: str, keep_host: bool, plain: bool) -> Iterator[str]:
    """Reverse proxy that adds a prefix; its address.

    Args:
        target: origin of the viewer.
        keep_host: pass the browser's Host on, as jupyter-server-proxy; else that of the target, as
            nginx.
        plain: remove Sec-Fetch headers, which browsers do not send over HTTP to other machines.
    """

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            assert self.path.startswith(PREFIX)
            dropped = {"connection"} if keep_host else {"connection", "host"}
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in dropped
                and not (plain and name.lower().startswith("sec-fetch-"))
            }
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            url = target + self.path.removeprefix(PREFIX)
            request = urllib.request.Request(url, body, headers, method=self.command)
            try:
                response: Any = urllib.request.urlopen(request)
            except urllib.error.HTTPError as error:
                response = error
            content = response.read()
            self.send_response(response.status)
            for name, value in response.headers.items():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 - names of the base class

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> wr.Index:
    folder = tmp_path_factory.mktemp("proxy")
    (folder / "one.dcm").write_bytes(dicom_file(picture(1, 60, 80)))
    return wr.scan(folder, progress=False)


@pytest.fixture
def start(files: wr.Index, tmp_path: Path, open_site: Callable[..., Any]) -> Callable[..., Any]:
    def start_(**options: Any) -> Any:
        return open_site(files, writing=Writing(StrokeLog(tmp_path, "R1"), ("A",), True), **options)

    return start_


@pytest.mark.parametrize(
    ("keep_host", "plain"), [(True, False), (True, True), (False, False)], ids=str
)
def test_a_box_is_saved(
    page: Any, start: Callable[..., Any], tmp_path: Path, keep_host: bool, plain: bool
) -> None:
    site = start()
    with proxy(site.origin, keep_host, plain) as address:
        page.goto(f"{address}/#/image/{site.images['one'].id}?token={site.token}")
        page.wait_for_selector(DRAWN)
        page.keyboard.press("Enter")
        page.wait_for_selector(".marks .own")
        page.wait_for_selector(".saved[data-state=saved]")
        assert len(wr.read_boxes(tmp_path)) == 1


def post(address: str, site: Any, **headers: str) -> int:
    stroke = make_stroke(image=site.images["one"].id)
    headers = {"X-Wetread-Token": site.token, **headers}
    url = f"{address}/api/strokes"
    return httpx.post(url, json=stroke, headers=headers, trust_env=False, timeout=60).status_code


def test_rules_hold_behind_a_proxy(start: Callable[..., Any], tmp_path: Path) -> None:
    """A proxy that replaces the Host needs --allow-host where browsers send no Sec-Fetch-Site."""
    site = start(allow_hosts=["hub.example"])
    with proxy(site.origin, keep_host=False, plain=True) as address:
        assert post(address, site, **{"X-Wetread-Token": "wrong"}) == 401
        assert post(address, site, Origin="http://evil.example") == 403
        assert post(address, site, Origin="http://evil.example:8000/hub.example") == 403
        assert post(address, site, Origin="http://hub.example.evil.example") == 403
        assert post(address, site, Origin="null") == 403
        assert post(address, site, Origin="http://127.0.0.1:1") == 403  # another local server
        assert len(wr.read_boxes(tmp_path)) == 0
        assert post(address, site, Origin="http://hub.example:8000") == 200
    with proxy(site.origin, keep_host=True, plain=False) as address:
        assert post(address, site, **{"Sec-Fetch-Site": "cross-site"}) == 403
        assert post(address, site, Host="evil.example") == 421
        assert post(address, site, Host="hub.example", Origin="https://hub.example") == 200

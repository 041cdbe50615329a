"""Start and stop of the viewer, notebooks and proxies."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import wetread as wr
from wetread.errors import UsageError
from wetread.viewer import Handle, serve


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, real_files: list[Path]) -> wr.Index:
    folder = tmp_path_factory.mktemp("train")
    shutil.copy(next(path for path in real_files if path.name == "CT_small.dcm"), folder)
    return wr.scan(folder, workers=0, progress=False)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


JUPYTER = "the-token-of-jupyter"


def get(handle: Handle, path: str, **head: str) -> httpx.Response:
    return httpx.get(
        f"http://127.0.0.1:{handle.port}/{path}",
        headers={"X-Wetread-Token": handle.token, **head},
        timeout=60,
        trust_env=False,
    )


def test_start_look_and_stop(index: wr.Index) -> None:
    with wr.view(index, at=index[0].id) as viewer:
        assert viewer.url == (
            f"http://127.0.0.1:{viewer.port}/#/image/{index[0].id}?token={viewer.token}"
        )
        assert viewer.ssh.startswith(f"ssh -N -L {viewer.port}:127.0.0.1:{viewer.port} ")
        assert viewer.token not in repr(viewer)
        assert get(viewer, "api/about").json()["title"] == Path(index.root).name
        assert get(viewer, f"api/images/{index[0].id}/thumb").status_code == 200
        assert viewer.running
    assert not viewer.running
    assert "stopped" in repr(viewer)
    viewer.stop()  # no effect
    with pytest.raises(httpx.ConnectError):
        get(viewer, "api/about")


def test_stop_releases_all_resources(index: wr.Index) -> None:
    """Numbers of threads, file descriptors and processes are unchanged after ten viewers."""
    process = psutil.Process()

    def count() -> tuple[int, int, int]:
        return threading.active_count(), process.num_fds(), len(process.children(recursive=True))

    with serve(index) as viewer:  # resources of the first start
        get(viewer, f"api/images/{index[0].id}/preview")
    before = count()
    for number in range(10):
        with serve(index) as viewer:
            path = f"images/{index[0].id}/preview" if number % 5 == 0 else "rows"
            assert get(viewer, f"api/{path}").status_code == 200
    assert count() == before


def test_stop_does_not_wait_for_open_connections(index: wr.Index) -> None:
    viewer = serve(index)
    with socket.create_connection(("127.0.0.1", viewer.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(10)
        viewer.stop()  # the connection is closed only after it


def test_port_in_use(index: wr.Index) -> None:
    with serve(index) as viewer, pytest.raises(UsageError, match="choose another"):
        serve(index, port=viewer.port)
    with pytest.raises(UsageError):
        serve(index, port=70_000)


def test_listening_on_all_addresses(index: wr.Index) -> None:
    with serve(index, host="0.0.0.0") as viewer:
        assert viewer.host == "0.0.0.0"
        assert get(viewer, "api/about").status_code == 200
        assert get(viewer, "api/about", Host="10.1.2.3:80").status_code == 421


def test_url_of_another_loopback_address(index: wr.Index) -> None:
    with serve(index, host="127.0.0.2") as viewer:
        assert viewer.url.startswith(f"http://127.0.0.2:{viewer.port}/#token=")
        assert viewer.ssh.startswith(f"ssh -N -L {viewer.port}:127.0.0.2:{viewer.port} ")
        address, _, _ = viewer.url.partition("#")
        token = {"X-Wetread-Token": viewer.token}
        assert httpx.get(f"{address}api/about", headers=token).status_code == 200


def test_boxes_of_other_images_are_rejected(index: wr.Index) -> None:
    strange = wr.Boxes.from_columns({"key": ["elsewhere"], "label": ["Nodule"]})
    with pytest.raises(UsageError, match="no image of the index"):
        wr.view(index, strange)


def test_below_a_prefix(index: wr.Index) -> None:
    """Mounted in another application, addresses are relative and access is still restricted."""
    import asyncio

    from starlette.applications import Starlette
    from starlette.routing import Mount

    from wetread.viewer.app import make_app
    from wetread.viewer.state import State

    state = State(index)
    outer = Starlette(routes=[Mount("/user/me/proxy/1", make_app(state, "t"))])
    transport = httpx.ASGITransport(outer)

    async def status(path: str, **head: str) -> int:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get(f"/user/me/proxy/1/{path}", headers=head)).status_code

    good = {"X-Wetread-Token": "t"}
    assert asyncio.run(status("")) == 200
    assert asyncio.run(status("static/app.js")) == 200
    assert asyncio.run(status("api/rows")) == 401
    assert asyncio.run(status("api/rows", **good)) == 200
    assert asyncio.run(status("report")) == 401
    state.close()


def test_html_output_by_notebook_environment(
    index: wr.Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VSCODE_PID", "VSCODE_CWD", "JUPYTERHUB_SERVICE_PREFIX", "JPY_PARENT_PID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    with serve(index) as viewer:
        source = f"proxy/{viewer.port}/#token={viewer.token}"
        assert f'src="/{source}"' in viewer._repr_html_()
        monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann&bob/")
        shown = viewer._repr_mimebundle_()
        assert f'src="/user/ann&amp;bob/{source}"' in shown["text/html"]
        assert viewer.token not in shown["text/plain"]
        monkeypatch.setenv("VSCODE_PID", "1")
        assert f'href="http://127.0.0.1:{viewer.port}/#token=' in viewer._repr_html_()
        monkeypatch.delenv("VSCODE_PID")
        monkeypatch.setitem(sys.modules, "jupyter_server_proxy", None)  # not installed
        assert "ssh -N -L" in viewer._repr_html_()
        monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
        assert "mosaic" in viewer._repr_html_()
    assert "stopped" in viewer._repr_html_()


def test_the_hub_is_an_allowed_host(index: wr.Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.delenv("VSCODE_PID", raising=False)
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")
    monkeypatch.setenv("JUPYTERHUB_PUBLIC_URL", "https://hub.example/user/ann/")
    with wr.view(index) as viewer:
        assert get(viewer, "api/about", Host="hub.example").status_code == 200
        assert get(viewer, "api/about", Host="evil.example").status_code == 421


def test_colab_shows_the_port(index: wr.Index, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    output = types.SimpleNamespace(
        serve_kernel_port_as_iframe=lambda port, **more: calls.append((port, more["path"]))
    )
    colab = types.ModuleType("google.colab")
    colab.output = output  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    with wr.view(index) as viewer:
        assert set(viewer._repr_mimebundle_()) == {"text/plain"}
        answer = get(viewer, "", Host="colab.research.google.com")
        assert answer.status_code == 200
        assert "https://colab.research.google.com" in answer.headers["content-security-policy"]
    assert calls == [(viewer.port, f"/#token={viewer.token}")]


@contextlib.contextmanager
def jupyter_server(folder: Path) -> Iterator[str]:
    """Address of a Jupyter server with jupyter-server-proxy on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "ServerApp": {
            "port": port,
            "ip": "127.0.0.1",
            "base_url": "/user/ann/",
            "open_browser": False,
            "root_dir": str(folder),
            "allow_root": True,
            "jpserver_extensions": {"jupyter_server_proxy": True},
        },
        "IdentityProvider": {"token": JUPYTER},
    }
    (folder / "jupyter_server_config.json").write_text(json.dumps(settings))
    home = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment = {**os.environ, **home, "HOME": str(folder)}
    command = [sys.executable, "-m", "jupyter_server"]
    log = folder / "log.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, f"--config={folder / 'jupyter_server_config.json'}"],
            env=environment,
            stdout=file,
            stderr=file,
        )
    url = f"http://127.0.0.1:{port}/user/ann/"
    try:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}api", trust_env=False).status_code == 200:
                    break
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def test_behind_jupyter_server_proxy(
    index: wr.Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")
    monkeypatch.delenv("VSCODE_PID", raising=False)
    with jupyter_server(tmp_path) as url, serve(index) as viewer:
        found = re.search(r'<iframe src="([^"]+)"', viewer._repr_html_())
        assert found
        path, _, token = unescape(found[1]).partition("#token=")
        head = {"Authorization": f"token {JUPYTER}"}  # passed on to the viewer
        origin = url.removesuffix("/user/ann/")  # the path of the frame is absolute
        with httpx.Client(base_url=origin, headers=head, timeout=60, trust_env=False) as client:
            page = client.get(path)
            assert page.status_code == 200
            assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
            assert client.get(f"{path}api/about").status_code == 401
            head = {"X-Wetread-Token": token, "Accept-Encoding": "gzip"}
            assert client.get(f"{path}api/about", headers=head).json()["rows"] == 1
            pixels = client.get(f"{path}api/images/{index[0].id}/pixels", headers=head)
            assert pixels.headers["x-wetread-dtype"] == "int16"
            assert len(pixels.content) == index[0].pixels().nbytes
            addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
            assert addresses
            for address in addresses:
                assert not address.startswith(("/", "http"))
                assert client.get(f"{path}{address}").status_code == 200

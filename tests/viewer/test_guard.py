"""Attacks on the viewer (reliability.md, classes 41 to 45 and G10): none obtains a row or a pixel.

Each request is sent to the application directly and through a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import pytest

import wetread as wr
from wetread.settings import Settings
from wetread.testing import dicom_file, element
from wetread.testing.dicom import changed, radiograph
from wetread.viewer import Handle, serve
from wetread.viewer.app import STATIC, make_app
from wetread.viewer.state import State

TOKEN = "the-token-of-these-tests"
SECRET = "SECRET-MARK"
GOOD = ("X-Wetread-Token", TOKEN)
HOST = ("Host", "127.0.0.1:8000")
SCRIPT = "<script>alert(1)</script>"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, real_files: list[Path]) -> Path:
    """Folder with a secret name, a script as patient name, and a file outside of it."""
    top = tmp_path_factory.mktemp("top")
    (top / "outside.txt").write_text(SECRET)
    train = top / "train" / SECRET
    train.mkdir(parents=True)
    shutil.copy(next(p for p in real_files if p.name == "CT_small.dcm"), train)
    data = changed(
        radiograph(11, 4, 4),
        element("PatientName", SCRIPT),
        element("SeriesDescription", f"{SCRIPT}\r\nX-Evil: 1"),
    )
    (train / "a<img src=x onerror=alert(1)>.dcm").write_bytes(
        dicom_file(data, "1.2.840.10008.1.2.1")
    )
    return top / "train"


@pytest.fixture(scope="module")
def index(folder: Path) -> wr.Index:
    return wr.scan(folder, workers=0, progress=False)


@pytest.fixture(scope="module")
def app(index: wr.Index) -> Iterator[Any]:
    state = State(index)
    yield make_app(state, TOKEN, ["hub.example"])
    state.close()


@pytest.fixture(scope="module")
def running(index: wr.Index) -> Iterator[Handle]:
    with serve(index, token=TOKEN, allow_hosts=["hub.example"]) as handle:
        yield handle


@pytest.fixture(scope="module")
def an_id(index: wr.Index) -> str:
    return next(image.id for image in index if image.path.endswith("CT_small.dcm"))


def ask_app(app: Any, method: str, target: str, headers: list[tuple[str, str]]) -> Answer:
    """Send one request to the application, as a server would."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "root_path": "",
        "query_string": query.encode("latin-1"),
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    sent: list[Any] = []
    done = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not sent:
            return {"type": "http.request", "body": b"", "more_body": False}
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        await app(scope, receive, send)
        done.set()

    asyncio.run(run())
    start = sent[0]
    headers = {k.decode().lower(): v.decode("latin-1") for k, v in start["headers"]}
    return Answer(start["status"], headers, b"".join(m.get("body", b"") for m in sent[1:]))


def ask_socket(port: int, method: str, target: str, headers: list[tuple[str, str]]) -> Answer:
    """Send one request through a socket."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers), "Connection: close"]
    return raw(port, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


def raw(port: int, request: bytes) -> Answer:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        data = b""
        try:
            while chunk := connection.recv(65536):
                data += chunk
        except ConnectionResetError:
            pass
    if not data:
        return Answer(0, {}, b"")
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(int(first.split()[1]), headers, body)


ROWS = "/api/rows?limit=10"
REJECTED: dict[str, tuple[str, str, list[tuple[str, str]], set[int]]] = {
    # DNS rebinding: the browser sends the attacker's name
    "host of another site": ("GET", ROWS, [("Host", "evil.example"), GOOD], {421}),
    "host with our port": ("GET", ROWS, [("Host", "evil.example:8000"), GOOD], {421}),
    "host that begins like ours": ("GET", ROWS, [("Host", "127.0.0.1.evil.example"), GOOD], {421}),
    "host that ends like ours": ("GET", ROWS, [("Host", "evil.localhost"), GOOD], {421}),
    "host with user": ("GET", ROWS, [("Host", "localhost@evil.example"), GOOD], {421}),
    "host with a path": ("GET", ROWS, [("Host", "localhost/evil"), GOOD], {400, 421}),
    "host with a strange port": ("GET", ROWS, [("Host", "localhost:80:80"), GOOD], {421}),
    "host zero": ("GET", ROWS, [("Host", "0.0.0.0:8000"), GOOD], {421}),
    "host in decimal": ("GET", ROWS, [("Host", "2130706433"), GOOD], {421}),
    "host of IPv6 mapped": ("GET", ROWS, [("Host", "[::ffff:127.0.0.1]"), GOOD], {421}),
    "host empty": ("GET", ROWS, [("Host", ""), GOOD], {400, 421}),
    "two hosts": ("GET", ROWS, [HOST, ("Host", "evil.example"), GOOD], {400, 421}),
    "forwarded host": (
        "GET",
        ROWS,
        [("Host", "evil.example"), ("X-Forwarded-Host", "localhost"), GOOD],
        {421},
    ),
    "the page under another name": ("GET", "/", [("Host", "evil.example")], {421}),
    "a static file under another name": (
        "GET",
        "/static/app.js",
        [("Host", "evil.example")],
        {421},
    ),
    # the token
    "no token": ("GET", ROWS, [HOST], {401}),
    "wrong token": ("GET", ROWS, [HOST, ("X-Wetread-Token", "wrong")], {401}),
    "empty token": ("GET", ROWS, [HOST, ("X-Wetread-Token", "")], {401}),
    "half of the token": ("GET", ROWS, [HOST, ("X-Wetread-Token", TOKEN[:-1])], {401}),
    "more than the token": ("GET", ROWS, [HOST, ("X-Wetread-Token", TOKEN + "x")], {401}),
    "token in capitals": ("GET", ROWS, [HOST, ("X-Wetread-Token", TOKEN.upper())], {401}),
    "two tokens": ("GET", ROWS, [HOST, GOOD, ("X-Wetread-Token", "x")], {401}),
    "two tokens in one": ("GET", ROWS, [HOST, ("X-Wetread-Token", f"{TOKEN}, x")], {401}),
    "token in the query": ("GET", f"/api/rows?token={TOKEN}", [HOST], {401}),
    "token in the query by its name": ("GET", f"/api/rows?X-Wetread-Token={TOKEN}", [HOST], {401}),
    "token as a cookie": ("GET", ROWS, [HOST, ("Cookie", f"token={TOKEN}")], {401}),
    "token as a bearer": ("GET", ROWS, [HOST, ("Authorization", f"Bearer {TOKEN}")], {401}),
    "token with an accent": ("GET", ROWS, [HOST, ("X-Wetread-Token", "t\xe9")], {401}),
    "about without a token": ("GET", "/api/about", [HOST], {401}),
    "an image without a token": ("GET", "/api/images/ID/preview", [HOST], {401}),
    "a header without a token": ("GET", "/api/images/ID/header", [HOST], {401}),
    "report without a token": ("GET", "/report", [HOST], {401}),
    "report with the token in the query": ("GET", f"/report?key={TOKEN}", [HOST], {401}),
    "report with an empty key": ("GET", "/report?key=", [HOST], {401}),
    "unknown path without a token": ("GET", "/api/none", [HOST], {401}),
    "capitals without a token": ("GET", "/API/rows", [HOST], {401}),
    "slashes without a token": ("GET", "//api/rows", [HOST], {401}),
    "escaped slashes without a token": ("GET", "/%2fapi/rows", [HOST], {401}),
    "escaped letters without a token": ("GET", "/%61pi/rows", [HOST], {401}),
    "dots without a token": ("GET", "/static/../api/rows", [HOST], {401, 404}),
    "the page with a path": ("GET", "/;/api/rows", [HOST], {401}),
    # other sites and methods
    "request from another site": (
        "GET",
        ROWS,
        [HOST, GOOD, ("Sec-Fetch-Site", "cross-site")],
        {403},
    ),
    "POST": ("POST", ROWS, [HOST, GOOD, ("Content-Length", "0")], {405}),
    "PUT": ("PUT", ROWS, [HOST, GOOD, ("Content-Length", "0")], {405}),
    "DELETE": ("DELETE", "/api/images/ID", [HOST, GOOD], {405}),
    "PATCH": ("PATCH", ROWS, [HOST, GOOD, ("Content-Length", "0")], {405}),
    "OPTIONS": (
        "OPTIONS",
        ROWS,
        [HOST, ("Origin", "http://evil.example"), ("Access-Control-Request-Method", "GET")],
        {405},
    ),
    "TRACE": ("TRACE", ROWS, [HOST, GOOD], {405}),
    "an unknown method": ("GETX", ROWS, [HOST, GOOD], {400, 405}),
    # paths
    "static: dots": ("GET", "/static/../app.py", [HOST, GOOD], {404}),
    "static: escaped dots": ("GET", "/static/%2e%2e/app.py", [HOST, GOOD], {404}),
    "static: escaped slashes": ("GET", "/static/..%2fapp.py", [HOST, GOOD], {404}),
    "static: escaped twice": ("GET", "/static/%252e%252e%252fapp.py", [HOST, GOOD], {404}),
    "static: backslashes": ("GET", "/static/..%5c..%5capp.py", [HOST, GOOD], {404}),
    "static: absolute": ("GET", "/static//etc/passwd", [HOST, GOOD], {404}),
    "static: zero byte": ("GET", "/static/app.js%00.txt", [HOST, GOOD], {404}),
    "static: another kind": ("GET", "/static/types.d.ts", [HOST, GOOD], {404}),
    "static: the folder": ("GET", "/static/", [HOST, GOOD], {404}),
    "id: a path": ("GET", "/api/images/..%2f..%2foutside.txt/preview", [HOST, GOOD], {404}),
    "id: an absolute path": ("GET", "/api/images/%2fetc%2fpasswd/header", [HOST, GOOD], {404}),
    "id: capitals": ("GET", "/api/images/ABCDEFABCDEFABCD", [HOST, GOOD], {404}),
    "id: too long": ("GET", "/api/images/00000000000000000", [HOST, GOOD], {404}),
    "id: other digits": ("GET", f"/api/images/{quote('٠' * 16)}", [HOST, GOOD], {404}),
    "id: a line break": ("GET", "/api/images/0000000000000000%0a", [HOST, GOOD], {404}),
    "id: unknown": ("GET", "/api/images/0000000000000000", [HOST, GOOD], {404}),
    "id: SQL": ("GET", "/api/images/'%20OR%20'1'='1/header", [HOST, GOOD], {404}),
    "position: SQL": ("GET", "/api/position?id='%20OR%201=1", [HOST, GOOD], {404}),
    # SQL
    "where: union": ("GET", "/api/rows?where=1)%20UNION%20ALL%20SELECT%20(2", [HOST, GOOD], {400}),
    "where: a second statement": (
        "GET",
        "/api/rows?where=true;%20DROP%20VIEW%20index",
        [HOST, GOOD],
        {400},
    ),
    "where: a file": (
        "GET",
        "/api/rows?where=(SELECT%20content%20FROM%20read_text('/etc/passwd'))%20LIKE%20'r%25'",
        [HOST, GOOD],
        {400},
    ),
    "where: a setting": ("GET", "/api/rows?where=true;SET%20x=1", [HOST, GOOD], {400}),
    "where: a Python variable": (
        "GET",
        "/api/rows?where=(SELECT%20count(*)%20FROM%20viewer)>0",
        [HOST, GOOD],
        {400},
    ),
    "where: a zero byte": ("GET", "/api/rows?where=true%00", [HOST, GOOD], {400}),
    "order: SQL": ("GET", "/api/rows?order=Rows;DROP%20VIEW%20index", [HOST, GOOD], {400}),
    "order: a quote": ("GET", "/api/rows?order=Rows%22%20DESC,%20%22Rows", [HOST, GOOD], {400}),
    "columns: SQL": ("GET", "/api/rows?columns=(SELECT%201)", [HOST, GOOD], {400}),
    "facets: SQL": ("GET", "/api/facets?columns=Rows%22)--", [HOST, GOOD], {400}),
    # sizes
    "limit too large": ("GET", "/api/rows?limit=501", [HOST, GOOD], {400}),
    "limit enormous": ("GET", "/api/rows?limit=99999999999999999999", [HOST, GOOD], {400}),
    "limit negative": ("GET", "/api/rows?limit=-1", [HOST, GOOD], {400}),
    "offset in other digits": ("GET", f"/api/rows?offset={quote('٣')}", [HOST, GOOD], {400}),
    "offset in hex": ("GET", "/api/rows?offset=0x10", [HOST, GOOD], {400}),
    "desc a word": ("GET", "/api/rows?desc=yes", [HOST, GOOD], {400}),
    "scale 3": ("GET", "/api/images/ID/pixels?scale=3", [HOST, GOOD], {400}),
    "scale 0": ("GET", "/api/images/ID/pixels?scale=0", [HOST, GOOD], {400}),
    "size enormous": ("GET", "/api/images/ID/thumb?size=100000", [HOST, GOOD], {400}),
    "frame that is not there": ("GET", "/api/images/ID/preview?frame=99", [HOST, GOOD], {400}),
    "frame enormous": ("GET", "/api/images/ID/pixels?frame=9999999999", [HOST, GOOD], {400}),
    "window not finite": ("GET", "/api/images/ID/table?window=nan,inf", [HOST, GOOD], {400}),
    "window unknown": ("GET", "/api/images/ID/table?window=" + quote(SCRIPT), [HOST, GOOD], {400}),
    "window of width 0": ("GET", "/api/images/ID/preview?window=1,0", [HOST, GOOD], {400}),
    "iou not a number": ("GET", "/api/misses?iou=nan", [HOST, GOOD], {400}),
    "a query of a million bytes": (
        "GET",
        "/api/rows?where=" + "1" * 40_000,
        [HOST, GOOD],
        {400, 414},
    ),
}


@pytest.mark.parametrize("transport", ["app", "socket"])
@pytest.mark.parametrize("name", REJECTED)
def test_rejected(name: str, transport: str, app: Any, running: Handle, an_id: str) -> None:
    method, target, headers, expected = REJECTED[name]
    target = target.replace("ID", an_id)
    if transport == "app":
        answer = ask_app(app, method, target, headers)
    else:
        answer = ask_socket(running.port, method, target, headers)
    assert answer.status in expected
    assert SECRET.encode() not in answer.body
    assert b"root:" not in answer.body
    assert b"Traceback" not in answer.body
    assert not any(name.startswith("access-control") for name in answer.headers)
    if answer.headers.get("content-type") == "application/json":
        assert isinstance(json.loads(answer.body)["error"], str)
        assert answer.headers["x-content-type-options"] == "nosniff"


RAW = {
    "a header with a line break": b"GET /api/rows HTTP/1.1\r\nHost: localhost\r\n"
    b"X-A: 1\r\n\rX: 2\r\n\r\n",
    "no host": b"GET /api/rows HTTP/1.1\r\n\r\n",
    "HTTP/1.0 without a host": b"GET / HTTP/1.0\r\n\r\n",
    "a space in the target": b"GET /api/ rows HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a zero byte in the target": b"GET /api/rows\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two lengths": b"GET /api/rows HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
    b"Content-Length: 2\r\n\r\n",
    "length and chunks": b"POST /api/rows HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a huge header": b"GET /api/rows HTTP/1.1\r\nHost: localhost\r\nX-A: "
    + b"a" * 200_000
    + b"\r\n\r\n",
    "a proxy's request": b"GET http://evil.example/api/rows HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a WebSocket": b"GET /api/rows HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n",
}


@pytest.mark.parametrize("name", RAW)
def test_invalid_http_is_rejected(name: str, running: Handle) -> None:
    answer = raw(running.port, RAW[name].replace(b"Host:", b"Connection: close\r\nHost:", 1))
    assert answer.status == 0 or 400 <= answer.status < 500
    assert SECRET.encode() not in answer.body


def test_slow_clients_block_no_other(running: Handle) -> None:
    slow = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(20)]
    for connection in slow:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: loc")
    assert ask_socket(running.port, "GET", ROWS, [HOST, GOOD]).status == 200
    for connection in slow:
        connection.close()


def test_half_open_connections_time_out(index: wr.Index) -> None:
    """230 connections without a request exceed the limit of the server, but not for ever."""
    with (
        serve(index, token=TOKEN, settings=Settings(client_seconds=1.0)) as viewer,
        contextlib.ExitStack() as stack,
    ):
        address = ("127.0.0.1", viewer.port)
        slow = [stack.enter_context(socket.create_connection(address)) for _ in range(230)]
        for connection in slow[::2]:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        deadline = time.monotonic() + 30
        while ask_socket(viewer.port, "GET", ROWS, [HOST, GOOD]).status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1", "[::1]:8000", "hub.example", "hub.example:443"],
)
def test_allowed_hosts(host: str, app: Any) -> None:
    assert ask_app(app, "GET", ROWS, [("Host", host), GOOD]).status == 200


def test_any_host_only_if_requested(index: wr.Index) -> None:
    state = State(index)
    open_to_all = make_app(state, TOKEN, ["*"])
    assert ask_app(open_to_all, "GET", ROWS, [("Host", "evil.example"), GOOD]).status == 200
    assert ask_app(open_to_all, "GET", ROWS, [("Host", "evil.example")]).status == 401
    state.close()


@pytest.mark.parametrize("target", ["/", "/static/app.js", ROWS, "/api/none", "/api/rows?limit=x"])
def test_every_response_has_security_headers(target: str, app: Any, running: Handle) -> None:
    for answer in (
        ask_app(app, "GET", target, [HOST, GOOD]),
        ask_socket(running.port, "GET", target, [HOST, GOOD]),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in answer.headers
        assert "set-cookie" not in answer.headers
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_head_has_no_body(running: Handle) -> None:
    answer = ask_socket(running.port, "HEAD", ROWS, [HOST, GOOD])
    assert (answer.status, answer.body) == (200, b"")


def test_the_page_contains_no_data_and_no_token(app: Any) -> None:
    for name in ("/", *(f"/static/{path.name}" for path in STATIC.glob("*.*s"))):
        answer = ask_app(app, "GET", name, [HOST])
        assert answer.status in (200, 404)
        assert TOKEN.encode() not in answer.body
        assert SECRET.encode() not in answer.body


def test_values_are_sent_as_json_only(app: Any, index: wr.Index) -> None:
    """A script in a name or description stays text: no HTML, no HTTP header."""
    id_ = next(image.id for image in index if "onerror" in image.path)
    targets = ["/api/rows?columns=SeriesDescription", f"/api/images/{id_}/header"]
    targets += [f"/api/images/{id_}", "/api/facets?columns=SeriesDescription,path"]
    for target in targets:
        answer = ask_app(app, "GET", target, [HOST, GOOD])
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert "x-evil" not in answer.headers
        json.loads(answer.body, parse_constant=lambda text: pytest.fail(text))


def test_names_are_masked_by_default(index: wr.Index) -> None:
    id_ = next(image.id for image in index if image.path.endswith("CT_small.dcm"))
    name = str(index.where(f"id = '{id_}'").table["PatientName"][0])
    targets = [
        "/api/rows?columns=PatientName,PatientID",
        f"/api/images/{id_}/header",
        f"/api/images/{id_}",
        "/api/facets?columns=PatientName,PatientID,PatientSex",
    ]
    for show in (False, True):
        state = State(index, show_phi=show)
        app = make_app(state, TOKEN)
        bodies = [ask_app(app, "GET", target, [HOST, GOOD]).body.decode() for target in targets]
        state.close()
        assert any(name in body for body in bodies) == show
        assert "PatientSex" in bodies[3]
        assert ("PatientName" in bodies[3]) == show


def test_the_token_is_long_and_unique(index: wr.Index) -> None:
    tokens = set()
    for _ in range(2):
        with serve(index) as handle:
            tokens.add(handle.token)
            assert handle.host == "127.0.0.1"
            assert re.fullmatch(r"[\w-]{43,}", handle.token)
    assert len(tokens) == 2


def test_work_is_cancelled_on_disconnect() -> None:
    """Scrolling cancels the thumbnails that are no longer visible."""
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

    from wetread.viewer.app import until_disconnect

    async def run(gone: bool) -> tuple[bool, bool]:
        cancelled = False

        async def work() -> bytes:
            nonlocal cancelled
            try:
                await asyncio.sleep(600 * gone)
            except asyncio.CancelledError:
                cancelled = True
                raise
            return b"done"

        messages = [{"type": "http.request"}, *[{"type": "http.disconnect"}] * gone]

        async def receive() -> Any:
            if messages:
                return messages.pop(0)
            return await asyncio.Event().wait()

        request = Request({"type": "http", "headers": []}, receive)
        try:
            return await until_disconnect(request, work()) == b"done", cancelled
        except HTTPException:
            return False, cancelled

    assert asyncio.run(run(gone=False)) == (True, False)
    assert asyncio.run(run(gone=True)) == (False, True)

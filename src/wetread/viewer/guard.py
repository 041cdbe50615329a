"""What stands before the application: methods, Host, token, and the headers of every answer."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = ("localhost", "127.0.0.1", "[::1]")
TOKEN = b"x-wetread-token"
PAGE = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'"
)
REPORT = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'"
"""The report is one file without a script, its styles and pictures in it."""
MOST_QUERY = 16_384
"""Bytes of a query; a `where` of more is no question of a person."""


class Guard:
    """An ASGI application that lets only its user's questions through to another.

    Args:
        app: the application behind it.
        token: what everything but the page itself wants in the header X-Wetread-Token.
        report_key: what opens `report?key=` alone, as a link cannot send a header.
        hosts: names beside this machine's own that the Host header may have, against DNS
            rebinding; "*" lets any pass.
        frame_ancestors: origins whose pages may show this one in a frame.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        report_key: str = "",
        hosts: Iterable[str] = (),
        frame_ancestors: Iterable[str] = (),
    ) -> None:
        self._app, self._token = app, token.encode()
        self._hosts = {host.lower() for host in (*LOCAL, *hosts)}
        self._ancestors = " ".join(["'self'", *frame_ancestors])
        self._report_key = report_key.encode()
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cache-control", b"no-store"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the reason why not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = REPORT if _own_path(scope) == "/report" else PAGE
                policy = f"{policy}; frame-ancestors {self._ancestors}"
                head = [(b"content-security-policy", policy.encode()), *self._headers]
                message["headers"] = [*message["headers"], *head]
            await send(message)

        if scope["type"] != "http":  # a WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        if refused := self._refuse(scope):
            status, text = refused
            body = json.dumps({"error": text}).encode()
            size = str(len(body)).encode()
            head = [(b"content-type", b"application/json"), (b"content-length", size)]
            if status == 405:
                head.append((b"allow", b"GET, HEAD"))
            await answer({"type": "http.response.start", "status": status, "headers": head})
            await answer({"type": "http.response.body", "body": body})
            return
        await self._app(scope, receive, answer)

    def _refuse(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason, where a request is not to be answered."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        if not self._knows(headers.get(b"host", [])):
            return 421, "this name is not the viewer's; start it with --allow-host NAME"
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "only GET and HEAD"
        if len(scope.get("query_string", b"")) > MOST_QUERY:
            return 414, f"a query of more than {MOST_QUERY} bytes"
        path = _own_path(scope)
        if path == "/" or path.startswith("/static/"):  # the page itself, which holds no data
            return None
        if headers.get(b"sec-fetch-site", [b"none"])[0] == b"cross-site":
            return 403, "asked for by a page of another site"
        key = b"key=" + self._report_key if self._report_key else TOKEN
        if path == "/report" and hmac.compare_digest(scope.get("query_string", b""), key):
            return None
        given = headers.get(TOKEN, [])
        if len(given) != 1 or not hmac.compare_digest(given[0], self._token):
            return 401, "the token is missing or wrong; open the address that the viewer printed"
        return None

    def _knows(self, given: list[bytes]) -> bool:
        if "*" in self._hosts:
            return True
        if len(given) != 1:
            return False
        text = given[0].decode("latin-1").lower()
        name, colon, port = text.rpartition(":")
        if not colon or text.endswith("]"):  # no port; the last is an IPv6 address
            name, port = text, ""
        return name in self._hosts and (not port or port.isdecimal())


def _own_path(scope: Scope) -> str:
    """The path below the prefix that the application is mounted at."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path

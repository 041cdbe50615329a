"""Access control: HTTP methods, Host header, token, and the headers of every response."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
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
"""Policy of the report: a single file with inline styles and images, without scripts."""
MAX_QUERY = 16_384
"""Maximum length of a query string in bytes."""


class Guard:
    """ASGI middleware that passes only authorised requests to the application.

    Args:
        app: application to protect.
        token: required in the header X-Wetread-Token of all requests except for the page itself.
        report_key: grants access to `report?key=` only, because a link cannot send a header.
        hosts: additional names accepted in the Host header, which is checked against DNS
            rebinding; "*" accepts all.
        frame_ancestors: origins that may embed the page in a frame.
        posts: paths that also accept POST, from the page itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        report_key: str = "",
        hosts: Iterable[str] = (),
        frame_ancestors: Iterable[str] = (),
        posts: Iterable[str] = (),
    ) -> None:
        self._posts = frozenset(posts)
        self._app, self._token = app, token.encode()
        self._names = {host.lower() for host in hosts} - {*LOCAL}
        self._hosts = {*LOCAL, *self._names}
        self._ancestors = " ".join(["'self'", *frame_ancestors])
        self._report_key = report_key.encode()
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cache-control", b"no-store"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the application, or reject it with a reason."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def respond(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = REPORT if _local_path(scope) == "/report" else PAGE
                policy = f"{policy}; frame-ancestors {self._ancestors}"
                headers = [(b"content-security-policy", policy.encode()), *self._headers]
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        if scope["type"] != "http":  # a WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        if rejection := self._check(scope):
            status, text = rejection
            body = json.dumps({"error": text}).encode()
            size = str(len(body)).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", size)]
            if status == 405:
                headers.append((b"allow", b"GET, HEAD" + b", POST" * bool(self._posts)))
            await respond({"type": "http.response.start", "status": status, "headers": headers})
            await respond({"type": "http.response.body", "body": body})
            return
        await self._app(scope, receive, respond)

    def _check(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason of a rejection; None for an authorised request."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        if not self._is_allowed(headers.get(b"host", [])):
            return 421, "unknown host name; start the viewer with --allow-host NAME"
        post = scope["method"] == "POST" and _local_path(scope) in self._posts
        if scope["method"] not in ("GET", "HEAD") and not post:
            return 405, "only GET and HEAD are allowed"
        if post and not self._is_own(headers):
            return 403, "request from another site"
        if len(scope.get("query_string", b"")) > MAX_QUERY:
            return 414, f"the query string is longer than {MAX_QUERY} bytes"
        path = _local_path(scope)
        if path == "/" or path.startswith("/static/"):  # the page contains no data
            return None
        if headers.get(b"sec-fetch-site", [b"none"])[0] == b"cross-site":
            return 403, "request from another site"
        key = b"key=" + self._report_key if self._report_key else TOKEN
        if path == "/report" and hmac.compare_digest(scope.get("query_string", b""), key):
            return None
        tokens = headers.get(TOKEN, [])
        if len(tokens) != 1 or not hmac.compare_digest(tokens[0], self._token):
            return 401, "the token is missing or invalid; open the address that the viewer printed"
        return None

    def _is_allowed(self, hosts: list[bytes]) -> bool:
        if "*" in self._hosts:
            return True
        if len(hosts) != 1:
            return False
        text = hosts[0].decode("latin-1").lower()
        name, colon, port = text.rpartition(":")
        if not colon or text.endswith("]"):  # no port; the last is an IPv6 address
            name, port = text, ""
        return name in self._hosts and (not port or port.isdecimal())

    def _is_own(self, headers: Mapping[bytes, Sequence[bytes]]) -> bool:
        """True for a request of the page itself, or of a program that is no browser.

        Browsers state the relation only over HTTPS and to this machine; else the origin decides. It
        is the Host header, or an additional name if a proxy has replaced that header.
        """
        sites, origins = headers.get(b"sec-fetch-site", []), headers.get(b"origin", [])
        if sites:
            return all(site == b"same-origin" for site in sites)
        hosts = headers.get(b"host", [])
        places = [origin.partition(b"://")[2] for origin in origins]
        return all(place in hosts or _host_name(place) in self._names for place in places)


def _host_name(place: bytes) -> str:
    """Name of a host, without the port, in lower case."""
    return place.decode("latin-1").lower().partition(":")[0]


def _local_path(scope: Scope) -> str:
    """Path below the prefix at which the application is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path

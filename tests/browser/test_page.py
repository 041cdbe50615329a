"""The page: token, prefix, origin, policy, help, themes, accessibility."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.apt("chromium", "chromium")

ROOT = Path(__file__).parents[2]


def test_the_token_moves_from_the_address_to_the_tab(page: Any, mixed: Any) -> None:
    page.goto(f"{mixed.origin}/#token={mixed.token}")
    page.wait_for_selector(".tile .name")
    assert mixed.token not in page.url
    page.reload()
    page.wait_for_selector(".tile .name")


def test_missing_or_invalid_token(page: Any, mixed: Any) -> None:
    page.goto(f"{mixed.origin}/#/grid")
    page.wait_for_selector("[role=alert]")
    expect(page.locator("[role=alert]")).to_contain_text("token is missing")
    page.goto(f"{mixed.origin}/#token=wrong")
    page.wait_for_selector("[role=alert] >> text=is invalid")
    page.evaluate("token => { location.hash = `token=${token}` }", mixed.token)
    page.reload()
    page.wait_for_selector(".tile .name")


def test_no_request_leaves_the_origin(page: Any, phantoms: Any) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(phantoms.url())
    page.wait_for_selector(".tile img")
    page.keyboard.press("Enter")
    page.wait_for_selector(".stage[data-drawn^='smooth']")
    page.keyboard.press("t")
    page.wait_for_selector(".tree .element")
    assert requests
    outside = [u for u in requests if not u.startswith((f"{phantoms.origin}/", "blob:", "data:"))]
    assert outside == []
    assert phantoms.token not in "".join(requests).replace(f"#token={phantoms.token}", "")


@pytest.fixture(scope="module")
def prefixed(mixed: Any) -> Iterator[str]:
    """Address of a viewer below a path, as behind jupyter-server-proxy."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from wetread.viewer.app import State, make_app

    state = State(mixed.index, title="mixed")
    app = Starlette(routes=[Mount("/user/me/proxy/1", make_app(state, "secret"))])
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/user/me/proxy/1/"
    server.should_exit = True
    thread.join()
    state.close()
    listener.close()


def test_below_a_path(page: Any, mixed: Any, prefixed: str) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{prefixed}#/image/{mixed.images['CT_small'].id}?token=secret")
    page.wait_for_selector(".stage[data-drawn^='smooth']")
    page.keyboard.press("Escape")
    page.wait_for_selector(".tile img")
    assert all(url.startswith((prefixed, "blob:")) for url in requests)


def test_help_lists_the_keys_of_the_documentation(page: Any, mixed: Any) -> None:
    page.goto(mixed.url())
    page.wait_for_selector(".tile .name")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    rows = page.eval_on_selector_all(
        ".help dl > dd", "all => all.map(d => [d.previousSibling.textContent, d.textContent])"
    )
    text = (ROOT / "docs" / "viewer-keys.md").read_text()
    written = re.findall(r"^\| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    documented = {(re.sub(r"[` ]", "", key), action) for key, action in written}
    assert len(rows) > 30
    assert [row for row in rows if tuple(row) not in documented] == []
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_dark_light_and_the_switch(page: Any, mixed: Any) -> None:
    def back() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    page.emulate_media(color_scheme="light")
    page.goto(mixed.url())
    page.wait_for_selector(".tile .name")
    light = back()
    page.click(".grid-page [aria-label='Light or dark theme']")
    dark = back()
    assert dark != light
    page.reload()
    page.wait_for_selector(".tile .name")
    assert back() == dark


def test_unreachable_server(page: Any, mixed: Any) -> None:
    page.goto(mixed.image("CT_small"))
    page.wait_for_selector(".stage[data-drawn^='smooth']")
    page.route("**/api/**", lambda route: route.abort())
    page.evaluate("id => { location.hash = `/image/${id}` }", mixed.images["linear"].id)
    page.wait_for_selector(".banner:not([hidden]) >> text=does not respond")
    expect(page.locator(".no-image:not([hidden])")).to_have_count(0)
    page.unroute("**/api/**")
    page.click(".banner-button")
    page.wait_for_selector(".stage[data-drawn^='smooth'], .stage[data-drawn^='exact']")
    expect(page.locator(".path")).to_have_text("linear.dcm")
    expect(page.locator(".banner:not([hidden])")).to_have_count(0)


@pytest.mark.apt("npm", "npm")
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_reports_no_violations(page: Any, phantoms: Any, violations: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(phantoms.url("/grid?where=Rows > 10 AND Columns > 10"))
    page.wait_for_selector(".tile img")
    found = {"grid": violations()}
    page.keyboard.press("Enter")
    page.wait_for_selector(".stage[data-drawn^='smooth']")
    page.wait_for_selector(".tally")
    found["image"] = violations()
    page.keyboard.press("t")
    page.wait_for_selector(".tree .element")
    found["header"] = violations()
    page.keyboard.press("?")
    found["help"] = violations()
    page.keyboard.press("Escape")
    page.goto(phantoms.url("/grid?search=nobody"))
    page.wait_for_selector(".empty button")
    page.route("**/api/**", lambda route: route.abort())
    page.click("[data-column=label] .facet-head")
    page.click("[data-column=BitsStored] .facet-head")
    page.wait_for_selector(".banner:not([hidden])")
    found["empty, server gone"] = violations()
    assert list(found) == ["grid", "image", "header", "help", "empty, server gone"]
    assert not any(found.values()), found

"""Report in a browser: accessible, self-contained, readable on screen and paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

import wetread as wr
from wetread.reports.build import build

pytestmark = pytest.mark.apt("chromium", "chromium")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def pages(reported: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report with all sections, and one of files of many kinds."""
    folder = tmp_path_factory.mktemp("pages")
    index = wr.Index.open(reported / "train.index")
    sides = (reported / "train.csv", reported / "found.parquet")
    full = build(index, *sides, workers=1).save(folder / "full.html")
    viewer = build(index, *sides, links="viewer", workers=1).save(folder / "viewer.html")
    import pydicom.data

    mixed = wr.scan(Path(pydicom.data.__file__).parent / "test_files", progress=False, private=True)
    return {
        "full": full,
        "viewer": viewer,
        "mixed": build(mixed, workers=1).save(folder / "m.html"),
    }


@pytest.fixture
def opened(chromium: Any, pages: dict[str, Path]) -> Iterator[Any]:
    """Open a report; it must make no requests and log nothing."""
    contexts: list[Any] = []
    requests: list[str] = []
    messages: list[str] = []

    def open_page(name: str, scheme: str = "light", **options: Any) -> Any:
        context = chromium.new_context(color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.goto(pages[name].as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.apt("npm", "npm")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["full", "viewer", "mixed"])
def test_axe_reports_no_violations(opened: Any, axe: str, name: str, scheme: str) -> None:
    page = opened(name, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    page.evaluate(axe)
    run = "tags => axe.run({runOnly: tags, resultTypes: ['violations']})"
    result = page.evaluate(run, RULES)
    wrong = [
        (rule["id"], node["html"][:200], node["failureSummary"])
        for rule in result["violations"]
        for node in rule["nodes"][:2]
    ]
    assert wrong == []
    assert len(result["passes"]) > 25


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_no_horizontal_scrolling(opened: Any, width: int) -> None:
    for name in ("full", "mixed"):
        page = opened(name, viewport={"width": width, "height": 900})
        wide = "document.documentElement.scrollWidth"
        assert page.evaluate(wide) <= width, name


def test_without_javascript(opened: Any) -> None:
    page = opened("full", java_script_enabled=False)
    expect(page.locator("section")).to_have_count(19)
    assert page.locator("h2").first.inner_text().split()[1] == "Images"


def test_all_thumbnails_load(opened: Any) -> None:
    page = opened("full")
    wrong = "[...document.images].filter(one => !one.complete || !one.naturalWidth).length"
    assert page.evaluate("document.images.length") > 20
    assert page.evaluate(wrong) == 0


def test_navigation_stays_visible_on_wide_screens(opened: Any) -> None:
    page = opened("full", viewport={"width": 1400, "height": 900})
    page.locator("nav a", has_text="Predictions").click()
    top = "document.getElementById('predictions').getBoundingClientRect().top"
    page.until(f"{top} <= 60")  # it scrolls smoothly
    assert page.evaluate(top) >= 0
    assert 0 <= page.locator("nav").bounding_box()["y"] < 60


def test_skip_link_is_first(opened: Any) -> None:
    page = opened("full")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the contents"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_print_is_light_and_without_navigation(opened: Any) -> None:
    page = opened("full", "dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator("h1")).to_be_visible()
    assert page.pdf(format="A4")[:4] == b"%PDF"


def test_positions_of_drawn_boxes(opened: Any) -> None:
    """The box of a false positive lies within its crop."""
    page = opened("full", viewport={"width": 1400, "height": 900})
    tile = page.locator(".picture", has=page.locator("rect.false")).first
    picture, box = (
        tile.locator(what).first.bounding_box() for what in ("img", "rect.false")
    )  # fmt: skip
    assert picture["x"] - 2 <= box["x"] <= picture["x"] + picture["width"]
    assert picture["y"] - 2 <= box["y"] <= picture["y"] + picture["height"]
    svg = tile.locator("svg").bounding_box()
    assert {k: round(v) for k, v in svg.items()} == {k: round(v) for k, v in picture.items()}

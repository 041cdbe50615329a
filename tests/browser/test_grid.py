"""Grid: filter, sort, search, keys, a million rows."""

from __future__ import annotations

import base64
import json
import re
from itertools import accumulate
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlparse

import pytest
from playwright.sync_api import expect

from wetread.settings import Settings

pytestmark = pytest.mark.apt("chromium", "chromium")


def show(page: Any, site: Any, fragment: str = "/grid") -> None:
    page.goto(site.url(fragment))
    page.wait_for_selector(".tile .name")


def names(page: Any) -> list[str]:
    """File names of the tiles, in order."""
    found = page.eval_on_selector_all(
        ".tile", "all => all.map(t => [+t.dataset.index, t.querySelector('.name')?.textContent])"
    )
    return [name for _, name in sorted(found)]


def total(page: Any, text: str) -> None:
    page.until(f"document.querySelector('.total').textContent === {json.dumps(text)}")


def test_every_row_has_a_tile_with_badges(page: Any, mixed: Any) -> None:
    show(page, mixed)
    rows = len(mixed.index)
    total(page, f"{rows} rows")
    assert page.locator("[role=option]").first.get_attribute("aria-setsize") == str(rows)
    page.wait_for_selector(".tile .picture img")
    broken = page.locator(".tile", has_text="JPEG2000-embedded")
    page.keyboard.press("End")
    page.keyboard.press("Home")
    broken.locator(".no-thumbnail").wait_for()
    assert "UNDECODABLE" in broken.inner_text()
    expect(broken.locator(".badge")).to_have_count(1)


def test_facets_toggle_conditions(page: Any, mixed: Any) -> None:
    show(page, mixed)
    value = page.locator("[data-column=Modality] .facet-value", has_text="CT").first
    count = int(value.locator(".number").inner_text())
    assert count == len(mixed.index.where("Modality = 'CT'"))
    value.click()
    total(page, f"{count} of {len(mixed.index)} rows")
    assert unquote_plus(page.evaluate("location.hash")) == "#/grid?where=Modality = 'CT'"
    page.locator("[data-column=Modality] .facet-value", has_text="MR").first.click()
    both = len(mixed.index.where("Modality IN ('CT', 'MR')"))
    total(page, f"{both} of {len(mixed.index)} rows")
    page.go_back()
    total(page, f"{count} of {len(mixed.index)} rows")
    page.click("[aria-label^='Remove Modality']")
    total(page, f"{len(mixed.index)} rows")


def test_problems_are_a_facet(page: Any, mixed: Any) -> None:
    show(page, mixed)
    page.locator("[data-column=problems] .facet-value", has_text="NOT_DICOM").click()
    total(page, f"1 of {len(mixed.index)} rows")
    page.until(lambda: names(page) == ["README.txt"])
    page.locator("[data-column=problems] .facet-value", has_text="NOT_DICOM").click()
    page.locator("[data-column=problems] .facet-value", has_text="none").click()
    count = len(mixed.index.where("len(problems) = 0"))
    total(page, f"{count} of {len(mixed.index)} rows")


def test_histogram_selection_by_dragging(page: Any, mixed: Any) -> None:
    show(page, mixed)
    page.select_option("[aria-label='Add a column']", "file_size")
    box = page.locator("[data-column=file_size] .histogram")
    box.scroll_into_view_if_needed()
    at = box.bounding_box()
    page.mouse.move(at["x"] + at["width"] * 0.5, at["y"] + 10)
    page.mouse.down()
    page.mouse.move(at["x"] + at["width"] - 1, at["y"] + 10)
    page.mouse.up()
    page.wait_for_selector(".condition")
    where = parse_qs(urlparse(page.url).fragment.partition("?")[2])["where"][0]
    assert re.fullmatch(r"\(file_size >= \S+ AND file_size <= \S+\)", where)
    count = len(mixed.index.where(where))
    total(page, f"{count} of {len(mixed.index)} rows")


def test_sql_and_its_errors(page: Any, mixed: Any) -> None:
    show(page, mixed)
    page.keyboard.press("f")
    page.keyboard.type("Rows > 100 AND Modality = 'CT'")
    page.keyboard.press("Enter")
    count = len(mixed.index.where("Rows > 100 AND Modality = 'CT'"))
    total(page, f"{count} of {len(mixed.index)} rows")
    expect(page.locator(".condition")).to_have_count(2)
    page.keyboard.press("f")
    page.keyboard.type("Roows > 1")
    page.keyboard.press("Enter")
    page.wait_for_selector(".filter-error:not([hidden])")
    expect(page.locator(".filter-error")).to_contain_text("Roows")
    total(page, f"{count} of {len(mixed.index)} rows")


def test_search_and_order(page: Any, mixed: Any) -> None:
    show(page, mixed)
    page.keyboard.press("/")
    page.keyboard.type("stack")
    total(page, f"4 of {len(mixed.index)} rows")
    page.until(lambda: "search=stack" in page.address())
    page.select_option("[aria-label=Order]", "InstanceNumber")
    page.click("[aria-label=Ascending]")
    page.until("document.querySelector('.tile .name')?.textContent === 'stack4.dcm'")
    page.until(lambda: names(page) == [f"stack{n}.dcm" for n in (4, 3, 2, 1)])
    expect(page.locator(".tile >> nth=0")).to_contain_text("InstanceNumber 4")
    page.reload()
    page.until("document.querySelector('.tile .name')?.textContent === 'stack4.dcm'")


def test_no_rows_match(page: Any, mixed: Any) -> None:
    page.goto(mixed.url("/grid?where=Rows %3C 0"))
    page.wait_for_selector(".empty:not([hidden])")
    expect(page.locator(".tile")).to_have_count(0)


def test_keys_open_an_image_and_return(page: Any, mixed: Any) -> None:
    show(page, mixed)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    chosen = page.locator(".tile[aria-selected=true]")
    assert chosen.get_attribute("data-index") == "2"
    name = chosen.locator(".name").inner_text()
    page.keyboard.press("Enter")
    page.until(f"document.querySelector('.path').textContent === {json.dumps(name)}")
    page.keyboard.press("ArrowRight")
    page.until(f"document.querySelector('.path').textContent !== {json.dumps(name)}")
    page.keyboard.press("Escape")
    page.wait_for_selector(".tile[aria-selected=true][data-index='3']")
    page.go_back()
    page.wait_for_selector(".image-page:not([hidden])")


def test_any_window_size(page: Any, mixed: Any) -> None:
    show(page, mixed)
    for width, height in ((1900, 1100), (900, 500), (360, 640)):
        page.set_viewport_size({"width": width, "height": height})
        page.until(f"innerWidth === {width} && document.documentElement.scrollWidth <= {width}")
        tile = "document.querySelector('.tile').getBoundingClientRect()"
        page.until(f"0 <= {tile}.left && {tile}.right <= {width}")


MILLION = 1_000_000
PIXEL = base64.b64decode(
    "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # a GIF of one pixel
)


def test_a_million_rows(page: Any, mixed: Any, fetch_log: Any) -> None:
    """With simulated responses, the page holds the visible tiles only."""
    offsets: list[int] = []

    def rows(route: Any) -> None:
        query = parse_qs(urlparse(route.request.url).query)
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        offsets.append(offset)
        some = [
            {
                "id": f"{i:016x}",
                "path": f"{i}.dcm",
                "member": "",
                "read_status": "ok",
                "problems": [],
                "boxes": 0,
                "part": None,
                "has_pixels": True,
            }
            for i in range(offset, min(offset + limit, MILLION))
        ]
        route.fulfill(json={"total": MILLION, "offset": offset, "rows": some})

    page.route("**/api/rows?*", rows)
    page.route("**/thumb?*", lambda route: route.fulfill(body=PIXEL, content_type="image/gif"))
    page.goto(mixed.url())
    page.wait_for_selector(".tile .name")
    page.until(lambda: names(page)[0] == "0.dcm")
    height = page.evaluate("document.querySelector('.spacer').offsetHeight")
    assert height <= 8_000_000
    page.keyboard.press("End")
    page.until("document.querySelector('.tile[data-index=\"999999\"] .name')")
    page.until(lambda: names(page)[-1] == "999999.dcm")
    assert page.locator(".tile").count() < 100
    page.evaluate(
        "() => { const s = document.querySelector('.scroller'); s.scrollTop = s.scrollHeight / 2; }"
    )
    page.until(
        "Math.abs(+document.querySelector('.tile .name')?.textContent.split('.')[0] - 5e5) < 500"
    )
    first = int(names(page)[0].split(".")[0])
    page.mouse.move(700, 400)
    page.mouse.wheel(0, 700)  # scrolls by 700 px, not by a thousand rows
    page.until(lambda: int((names(page)[0] or "0").split(".")[0]) > first)
    page.wait_for_timeout(300)  # further scrolling would be visible
    page.until(lambda: names(page)[0])
    assert int(names(page)[0].split(".")[0]) - first < 60
    assert len(set(offsets)) < 12
    assert max(accumulate(by for _, by in fetch_log("/thumb"))) == 4


def test_filtering_cancels_thumbnails(page: Any, mixed: Any) -> None:
    failed: list[str] = []
    held: list[Any] = []  # never answered
    page.seconds = 1
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.route("**/thumb?*", lambda route: held.append(route))
    show(page, mixed)
    page.until(lambda: len(held) == 4)
    page.locator("[data-column=problems] .facet-value", has_text="NOT_DICOM").click()
    total(page, f"1 of {len(mixed.index)} rows")
    page.until(lambda: len([url for url in failed if "thumb" in url]) == 4)


def test_loading_thumbnails_are_marked(page: Any, mixed: Any) -> None:
    def marked(where: str) -> bool:
        mark = f"getComputedStyle(document.querySelector('{where}'), '::before')"
        return bool(page.read_now(f"{mark}.animationName.includes('turn')"))

    held: list[Any] = []
    page.seconds = 1
    page.route("**/thumb?*", lambda route: held.append(route))
    show(page, mixed)
    page.until("document.querySelector('.tile:has(.name) .picture:empty')")
    assert marked(".tile:has(.name) .picture:empty")
    page.until(lambda: held)
    held[0].continue_()
    page.wait_for_selector(".picture img")
    assert not marked(".picture:has(img)")


def test_slow_filter_shows_an_error(page: Any, mixed: Any, open_site: Any) -> None:
    site = open_site(mixed.index, settings=Settings(filter_seconds=2))
    show(page, site)
    page.keyboard.press("f")
    page.keyboard.type("Rows > (SELECT sum(range) FROM range(1000000000000))")
    page.keyboard.press("Enter")
    page.until("document.querySelector('.filter-error').textContent.includes('stopped after 2 s')")
    page.fill("[aria-label='Filter by SQL']", "Modality = 'CT'")
    page.keyboard.press("Enter")
    count = len(mixed.index.where("Modality = 'CT'"))
    total(page, f"{count} of {len(mixed.index)} rows")
    expect(page.locator(".filter-error")).to_be_hidden()

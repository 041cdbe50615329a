"""Grid, image and report by keyboard alone: no test here uses the mouse."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.apt("chromium", "chromium")
FOCUSED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  const tile = one.querySelector("[aria-selected=true] .picture"), field = one.closest(".box");
  const border = (field) => field && getComputedStyle(field).borderColor;
  const ring = tile && getComputedStyle(tile, "::after").boxShadow !== "none";
  const edge = field && border(field) !== border(document.querySelector(".box:not(:focus-within)"));
  return {
    name: one.getAttribute("aria-label") ?? one.labels?.[0]?.textContent ?? one.textContent.trim(),
    html: one.outerHTML.slice(0, 120),
    inside: box.width > 0 && box.right > 0 && box.left < innerWidth
      && box.bottom > 0 && box.top < innerHeight,
    marked: style.outlineStyle !== "none" || Boolean(ring || edge),
  };
}"""


def walk(page: Any, key: str = "Tab", most: int = 200) -> list[str]:
    """Names of the controls that a key reaches, each visible and marked as focused."""
    names: list[str] = []
    seen: set[str] = set()
    for _ in range(most):
        page.keyboard.press(key)
        found = page.evaluate(FOCUSED)
        if found is None or found["html"] + found["name"] in seen:
            break
        assert found["inside"], found
        assert found["marked"], found
        assert found["name"], found
        seen.add(found["html"] + found["name"])
        names.append(found["name"])
    return names


def go_to(page: Any, selector: str, key: str = "Tab") -> None:
    """Press a key until the focus is on an element."""
    for _ in range(200):
        if page.evaluate("s => !!document.activeElement?.matches(s)", selector):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} never reaches {selector}")


def is_focused(page: Any, selector: str) -> bool:
    return bool(page.evaluate("s => !!document.activeElement?.matches(s)", selector))


def open_grid(page: Any, site: Any, query: str = "") -> None:
    page.goto(site.url(f"/grid{query}"))
    page.wait_for_selector(".tile img")
    page.wait_for_selector("[data-column=score] .histogram")


def test_every_control_of_the_grid(page: Any, phantoms: Any) -> None:
    open_grid(page, phantoms)
    page.until(lambda: is_focused(page, ".scroller"))
    names = walk(page, "Shift+Tab")
    expected = ["Search paths and descriptions", "Filter by SQL", "Report", "Minimum score"]
    expected += ["Label", "score from", "Add a column", "Order", "Thumbnail size"]
    assert [name for name in expected if name not in names] == []


def test_facets_keep_the_focus(page: Any, phantoms: Any) -> None:
    open_grid(page, phantoms)
    total = page.inner_text(".total")
    go_to(page, "[data-column=label] .facet-value", "Shift+Tab")
    name = page.evaluate("document.activeElement.textContent")
    for key, pressed in (("Space", "true"), ("Enter", "false")):
        page.keyboard.press(key)
        page.wait_for_selector(f"[data-column=label] .facet-value[aria-pressed={pressed}]:focus")
        page.until(lambda key=key: (page.inner_text(".total") == total) == (key == "Enter"))
        page.wait_for_selector("[data-column=label] .facet-value:focus")
    assert page.evaluate("document.activeElement.textContent") == name
    go_to(page, "[data-column=reader] .facet-more")
    page.keyboard.press("Enter")
    page.until(lambda: is_focused(page, "[data-column=reader] .facet-value:nth-child(9)"))
    go_to(page, "[data-column=score] .range input")
    page.keyboard.press("Control+a")
    page.keyboard.type("0.5")
    page.keyboard.press("Enter")
    page.wait_for_selector(".condition >> text=score")
    page.wait_for_selector("[data-column=score] .range input[aria-label='score from']:focus")
    go_to(page, "[data-column=score] .facet-head", "Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-column=score] .facet-body", state="hidden")


def test_conditions_search_and_order(page: Any, phantoms: Any) -> None:
    open_grid(page, phantoms)
    for text in ("boxes > 0", "Rows > 10"):
        page.keyboard.press("f")
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        page.wait_for_selector(f".condition >> text={text}")
    go_to(page, "[aria-label='Remove boxes > 0']")
    page.keyboard.press("Enter")
    page.until("document.querySelectorAll('.condition').length === 1")
    go_to(page, "[aria-label='Remove Rows > 10']", "Shift+Tab")
    page.keyboard.press("Enter")
    page.until("document.querySelectorAll('.condition').length === 0")
    page.until(lambda: is_focused(page, "[aria-label='Filter by SQL']"))
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("no such file")
    page.wait_for_selector(".empty:not([hidden])")
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.press("Escape")
    page.wait_for_selector(".tile img")
    go_to(page, "[aria-label=Order]")
    page.keyboard.type("missed")
    page.until("location.hash.includes('order=missed')")
    page.until(lambda: is_focused(page, "[aria-label=Order]"))
    go_to(page, ".scroller")
    page.keyboard.press("End")
    last = page.locator(".tile[aria-selected=true]").get_attribute("data-index")
    assert last == str(len(phantoms.images) - 1)
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_selector(".image-page:not([hidden])")


def test_every_control_of_an_image(page: Any, phantoms: Any) -> None:
    open_grid(page, phantoms, "?where=boxes > 2")
    page.keyboard.press("Enter")
    page.wait_for_selector(".stage[data-drawn^='smooth']")
    page.wait_for_selector(".mark-row")
    names = walk(page)
    assert [n for n in ("Minimum score", "Minimum IoU", "Opacity") if n not in names] == []
    go_to(page, "input[data-kind=reader]")
    page.keyboard.press("Space")
    page.until("!document.activeElement.checked")
    go_to(page, "input[data-field=score]")
    page.keyboard.press("Home")
    page.until("location.hash.includes('score=0')")
    go_to(page, ".tally button")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tally button:focus")
    page.wait_for_selector(".mark.selected")
    go_to(page, ".mark-row")
    page.keyboard.press("Enter")
    page.wait_for_selector(".mark-row[aria-pressed=true]:focus")
    go_to(page, "[role=tab]", "Shift+Tab")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("[role=tab][aria-selected=true]:focus >> text=Header")
    page.keyboard.press("Escape")
    page.wait_for_selector(".grid-page:not([hidden]) .tile[aria-selected=true]")
    page.until(lambda: is_focused(page, ".scroller"))


def test_the_report(page: Any, phantoms: Any) -> None:
    open_grid(page, phantoms)
    go_to(page, "a[href^=report]", "Shift+Tab")
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    report = opened.value
    report.wait_for_selector("h1")
    report.keyboard.press("Tab")
    assert is_focused(report, "a[href^='#']")
    report.keyboard.press("Enter")
    go_to(report, "summary")
    report.keyboard.press("Enter")
    report.wait_for_selector("details[open] > summary:focus")

"""Boxes of readers, consensus and predictions: drawing and counts."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.apt("chromium", "chromium")


def fetch(site: Any, path: str) -> Any:
    headers = {"X-Wetread-Token": site.token}
    request = urllib.request.Request(f"{site.origin}/api/{path}", headers=headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def marked(site: Any) -> str:
    """The name of an image with boxes of all three readers."""
    for name, image in site.images.items():
        if len({box["reader"] for box in fetch(site, f"images/{image.id}/boxes")["truth"]}) == 3:
            return str(name)
    raise AssertionError("no such phantom")


def show(page: Any, site: Any, name: str, **state: Any) -> None:
    page.goto(site.image(name, **state))
    page.wait_for_selector(".stage:is([data-drawn^=smooth], [data-drawn^=exact])")
    page.wait_for_selector(".marks .mark")


def rects(page: Any, role: str) -> int:
    return int(page.locator(f".marks .{role}").count())


def test_readers_are_toggled_by_key_and_mouse(page: Any, phantoms: Any) -> None:
    name = marked(phantoms)
    show(page, phantoms, name, show="rl")
    truth = fetch(phantoms, f"images/{phantoms.images[name].id}/boxes")["truth"]
    readers = sorted({box["reader"] for box in truth}, key=lambda reader: int(reader[1:]))
    own = {reader: sum(box["reader"] == reader for box in truth) for reader in readers}
    page.until(lambda: rects(page, "reader") == len(truth))
    colours = page.eval_on_selector_all(
        ".marks .reader rect:last-child",
        "all => [...new Set(all.map(r => r.getAttribute('stroke')))]",
    )
    assert len(colours) == 3
    page.keyboard.press("Shift+Digit1")
    page.until(lambda: rects(page, "reader") == len(truth) - own[readers[0]])
    page.click(f".toggle:has-text('{readers[1]}')")
    page.until(lambda: rects(page, "reader") == own[readers[2]])
    page.until(lambda: f"readers={readers[2]}" in page.address())
    page.reload()
    page.wait_for_selector(".marks .mark")
    page.until(lambda: rects(page, "reader") == own[readers[2]])


def test_labels_and_all_boxes(page: Any, phantoms: Any) -> None:
    name = marked(phantoms)
    show(page, phantoms, name, show="rl")
    chips = page.locator(".chip").all_text_contents()
    assert 0 < len(chips) <= rects(page, "reader")  # one for what several readers marked
    assert sum(re.search(r"R\d+", text) is not None for text in chips) == len(chips)
    page.keyboard.press("l")
    expect(page.locator(".chip")).to_have_count(0)
    page.keyboard.press("b")
    expect(page.locator(".marks .mark")).to_have_count(0)
    page.keyboard.press("b")
    page.until(lambda: rects(page, "reader") > 0)
    for box in page.locator("[data-kind=label]").all():
        box.uncheck()
    expect(page.locator(".marks .mark")).to_have_count(0)


def test_position_of_a_box(page: Any, phantoms: Any) -> None:
    name = marked(phantoms)
    show(page, phantoms, name, show="r", zoom=2, x=100, y=100)
    box = fetch(phantoms, f"images/{phantoms.images[name].id}/boxes")["truth"][0]
    stage = page.locator(".stage").bounding_box()
    left, top = (
        stage["width"] / 2 + 2 * (box["x0"] - 100),
        stage["height"] / 2 + 2 * (box["y0"] - 100),
    )
    rect = page.locator(".marks [data-key=r0] rect").last
    assert float(rect.get_attribute("x")) == pytest.approx(left, abs=1)
    assert float(rect.get_attribute("y")) == pytest.approx(top, abs=1)
    assert float(rect.get_attribute("width")) == pytest.approx(
        2 * (box["x1"] - box["x0"]), abs=0.01
    )


def count_by_hand(boxes: Any, iou: float, score: float) -> list[str]:
    """TP, FP and FN by greedy matching in order of descending score."""

    def overlap(a: Any, b: Any) -> float:
        w = min(a["x1"], b["x1"]) - max(a["x0"], b["x0"])
        h = min(a["y1"], b["y1"]) - max(a["y0"], b["y0"])
        both = max(w, 0) * max(h, 0)
        areas = [(c["x1"] - c["x0"]) * (c["y1"] - c["y0"]) for c in (a, b)]
        return both / (sum(areas) - both)

    free = list(boxes["truth"] if boxes["consensus"] is None else boxes["consensus"])
    tp = fp = 0
    for box in sorted(boxes["predictions"], key=lambda b: -b["score"]):
        if box["score"] < score:
            continue
        fits = [t for t in free if t["label"] == box["label"] and overlap(t, box) >= iou]
        if fits:
            free.remove(max(fits, key=lambda t: overlap(t, box)))
            tp += 1
        else:
            fp += 1
    return [str(tp), str(fp), str(len(free))]


def test_counts_and_styles_follow_the_sliders(page: Any, phantoms: Any) -> None:
    name = marked(phantoms)
    show(page, phantoms, name)
    boxes = fetch(phantoms, f"images/{phantoms.images[name].id}/boxes")
    seen = set()
    for iou, score in ((0.5, 0.3), (0.9, 0.0), (0.1, 0.0), (0.4, 0.8)):
        page.fill(".panel [data-field=iou]", str(iou))
        page.fill(".panel [data-field=score]", str(score))
        counts = page.locator(".tally b").all_inner_texts()
        assert counts == count_by_hand(boxes, iou, score)
        assert counts == [str(rects(page, role)) for role in ("tp", "fp", "fn")]
        seen.add(tuple(counts))
    assert len(seen) > 1
    page.fill(".panel [data-field=iou]", "0.9")
    page.fill(".panel [data-field=score]", "0")
    dashes = {
        role: page.locator(f".marks .{role} rect").last.get_attribute("stroke-dasharray")
        for role in ("fp", "fn")
    }
    assert all(dashes.values())
    assert dashes["fp"] != dashes["fn"]


def test_next_miss_waits_for_the_boxes(page: Any, phantoms: Any) -> None:
    miss = fetch(phantoms, "misses?iou=0.9&score=0")["images"][0]
    name = next(n for n, image in phantoms.images.items() if image.id == miss["id"])
    held: list[Any] = []
    page.seconds = 1
    page.route("**/api/images/*/boxes*", lambda route: held.append(route))
    page.goto(phantoms.image(name, iou=0.9, score=0))
    page.until(lambda: held)
    page.keyboard.press("n")
    held[0].continue_()
    expect(page.locator(".mark.selected:is(.fp, .fn)")).to_have_count(1)


def test_next_miss_continues_on_the_next_image(page: Any, phantoms: Any) -> None:
    misses = fetch(phantoms, "misses?iou=0.9&score=0")["images"]
    first, second = misses[0], misses[1]
    name = next(n for n, image in phantoms.images.items() if image.id == first["id"])
    show(page, phantoms, name, iou=0.9, score=0, show="r" if first["fn"] else "rp")
    for _ in range(first["fp"] + first["fn"]):
        page.keyboard.press("n")
        expect(page.locator(".mark.selected")).to_have_count(1)
        expect(page.locator(".mark.selected.fp, .mark.selected.fn")).to_have_count(1)
    page.keyboard.press("n")
    page.until(f"location.hash.includes('{second['id']}')")
    page.wait_for_selector(".mark.selected")
    page.keyboard.press("Shift+N")
    page.until(f"location.hash.includes('{first['id']}')")
    assert "iou=0.9" in page.evaluate("location.hash")


def test_no_boxes_panel_without_boxes(page: Any, mixed: Any) -> None:
    page.goto(mixed.image("CT_small"))
    page.wait_for_selector(".facts")
    tabs = page.locator("[role=tab]").all()
    assert [tab.get_attribute("data-tab") for tab in tabs] == ["masks", "header", "info"]

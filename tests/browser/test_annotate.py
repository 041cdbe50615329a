"""Annotation by mouse, touch and keys: coordinates, labels, verdicts, undo, other readers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

import wetread as wr
from wetread.boxes.stroke_log import StrokeLog, read_log
from wetread.viewer.annotations import Writing

pytestmark = pytest.mark.apt("chromium", "chromium")
DRAWN = ".stage[data-drawn^='exact'], .stage[data-drawn^='smooth']"
TURNS = [(rotate, flip) for rotate in (0, 90, 180, 270) for flip in (0, 1)]
VIEWS = [*(("places", *turn) for turn in TURNS), ("aspect", 0, 0), ("aspect", 90, 0)]
LABELS = ("Nodule/Mass", "Effusion", "Fibrosis")
AXE = """axe.run().then(({ violations }) =>
  violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))"""
COLOURS = """([x, y]) => {
  const context = document.querySelector(".canvas").getContext("2d");
  const { data } = context.getImageData(x - 1, y - 1, 2, 2);
  const mean = (at) => (data[at] + data[at + 4] + data[at + 8] + data[at + 12]) / 4 + 0.5;
  return [mean(0), mean(1)];
}"""
"""Place in stored pixels at a corner of four screen pixels, from their colours."""


@pytest.fixture
def site(places: wr.Index, reads: Path, open_site: Callable[..., Any]) -> Any:
    return open_site(places, writing=Writing(StrokeLog(reads, "R1"), LABELS, blind=True))


def show(page: Any, site: Any, name: str, **state: Any) -> None:
    page.goto(site.image(name, **state))
    page.wait_for_selector(DRAWN)
    page.wait_for_selector(".saved[data-state=saved]")


def saved(page: Any) -> None:
    """Wait until everything is on the disk."""
    page.wait_for_selector(".saved[data-state=saved]")


def corners(reads: Path) -> list[list[float]]:
    return [list(row) for row in wr.read_boxes(reads).corners]


def labels(reads: Path) -> list[str]:
    return wr.read_boxes(reads).table["label"].to_pylist()


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def own(page: Any) -> int:
    return int(page.locator(".marks .own").count())


@pytest.fixture(params=[1, 2])
def dense(request: pytest.FixtureRequest, chromium: Any) -> Iterator[tuple[Any, int]]:
    """Page on a screen with one or two device pixels per CSS pixel."""
    size = {"width": 1100, "height": 800}
    context = chromium.new_context(viewport=size, device_scale_factor=request.param)
    page = context.new_page()
    page.set_default_timeout(120_000)  # as the fixture `page`
    yield page, request.param
    context.close()


@pytest.mark.parametrize(("name", "rotate", "flip"), VIEWS)
def test_a_box_is_where_it_was_put(
    dense: tuple[Any, int], site: Any, reads: Path, name: str, rotate: int, flip: int
) -> None:
    """Within half a stored pixel of the colours on the screen, in every view and resolution."""
    page, ratio = dense
    found, expected = [], []
    levels = set()
    zooms = [(0.25, 128, 128), (1.7, 90, 90), (6, 33, 201), (0.5, 100, 140), (1, 128, 128)]
    for zoom, x, y in zooms[: 3 if rotate or flip else 5]:
        show(page, site, name, zoom=zoom * ratio, x=x, y=y, rotate=rotate, flip=flip)
        levels.add(str(page.get_attribute(".stage", "data-drawn")).split()[-1])
        frame = page.locator(".stage").bounding_box()
        middle = frame["x"] + frame["width"] // 2, frame["y"] + frame["height"] // 2
        by = 20 if zoom < 0.5 else 40
        ends = [(middle[0] - by, middle[1] - by), (middle[0] + by + 2, middle[1] + by - 4)]
        at = [((px - frame["x"]) * ratio, (py - frame["y"]) * ratio) for px, py in ends]
        colours = np.array([page.evaluate(COLOURS, list(point)) for point in at])
        expected.append([*colours.min(axis=0), *colours.max(axis=0)])
        drag(page, *ends)
        saved(page)
        found += corners(reads)
        page.keyboard.press("Delete")
        saved(page)
    assert len(found) == len(expected)
    assert np.abs(np.array(found) - np.array(expected)).max() <= 0.5
    assert len(levels) > 1 or name == "aspect"  # rows twice as high need more pixels


def test_draw_move_resize_and_delete_by_mouse(page: Any, site: Any, reads: Path) -> None:
    show(page, site, "places", zoom=2, x=128, y=128)
    frame = page.locator(".stage").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    drag(page, (x - 100, y - 100), (x + 20, y + 60))
    saved(page)
    (first,) = corners(reads)
    assert np.allclose(np.diff(np.reshape(first, (2, 2)), axis=0), [[60, 80]], atol=0.02)
    drag(page, (x - 40, y - 20), (x - 20, y))  # inside of the selected box
    saved(page)
    assert np.allclose(np.array(corners(reads)[0]) - first, 10, atol=0.02)
    drag(page, (x + 40, y + 80), (x + 60, y + 120))  # its lower right handle
    saved(page)
    assert np.allclose(np.array(corners(reads)[0]) - first, [10, 10, 20, 30], atol=0.02)
    page.click(".choice[data-label=Effusion]")
    saved(page)
    assert labels(reads) == ["Effusion"]
    page.click("[aria-label^='Delete Effusion']")
    saved(page)
    assert corners(reads) == []
    page.click(".choice:has-text('Undo')")
    saved(page)
    assert labels(reads) == ["Effusion"]
    page.click(".choice:has-text('Redo')")
    saved(page)
    assert own(page) == 0


def test_keys_alone(page: Any, site: Any, reads: Path) -> None:
    """Place, move, size, label, copy, judge and delete without a mouse."""
    show(page, site, "places")
    page.keyboard.press("Enter")
    saved(page)
    (first,) = corners(reads)
    page.keyboard.press("2")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    saved(page)
    page.until(lambda: corners(reads) != [first])
    assert np.allclose(np.array(corners(reads)[0]) - first, [2, 1, 2, 1], atol=0.02)
    page.keyboard.press("Shift+ArrowLeft")
    page.until(lambda: abs(corners(reads)[0][2] - first[2] - 1) < 0.02)
    assert labels(reads) == ["Effusion"]
    page.keyboard.press("Control+z")
    page.until(lambda: abs(corners(reads)[0][2] - first[2] - 2) < 0.02)
    page.keyboard.press("Control+Shift+Z")
    page.until(lambda: abs(corners(reads)[0][2] - first[2] - 1) < 0.02)
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    page.keyboard.press("Enter")
    page.until(lambda: len(corners(reads)) == 2)
    assert wr.read_boxes(reads).table["kind"].to_pylist() == ["box", "point"]
    page.keyboard.press("e")
    expect(page.locator(".message")).to_contain_text("delete them first")
    page.keyboard.press("Delete")
    page.keyboard.press(".")
    page.keyboard.press("Backspace")
    page.until(lambda: corners(reads) == [])
    page.keyboard.press("e")
    page.until(lambda: wr.read_boxes(reads).table["kind"].to_pylist() == ["nothing"])
    saved(page)
    expect(page.locator(".annotate")).to_contain_text("1 of 3 images read")
    page.keyboard.press("q")
    page.until(lambda: wr.read_boxes(reads).flags == ("bad image",))
    page.keyboard.press("q")
    page.until(lambda: len(wr.read_boxes(reads)) == 0)
    page.keyboard.press("s")
    page.until(lambda: wr.read_boxes(reads).flags == ("unsure",))
    before = page.address()
    page.keyboard.press("u")
    page.until(lambda: page.address() != before)


def test_a_box_ends_no_finding(page: Any, site: Any, reads: Path) -> None:
    show(page, site, "places")
    page.keyboard.press("e")
    saved(page)
    page.keyboard.press("Enter")
    page.until(lambda: wr.read_boxes(reads).table["kind"].to_pylist() == ["box"])
    page.keyboard.press("Control+z")  # both at once
    page.until(lambda: wr.read_boxes(reads).table["kind"].to_pylist() == ["nothing"])


def test_what_is_saved_is_shown_again(page: Any, site: Any) -> None:
    show(page, site, "places")
    page.keyboard.press("Enter")
    saved(page)
    page.reload()
    page.wait_for_selector(".marks .own")
    expect(page.locator(".own-list li")).to_have_count(1)
    expect(page.locator(".saved")).to_have_attribute("data-state", "saved")


def test_frames_and_slices(page: Any, mixed: Any, reads: Path, open_site: Any) -> None:
    """Boxes are on their frame; `C` copies those of the frame or slice before."""
    site = open_site(mixed.index, writing=Writing(StrokeLog(reads, "R1"), LABELS, blind=True))
    show(page, site, "movie", frame=2)
    page.keyboard.press("Enter")
    saved(page)
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.until(lambda: own(page) == 0)
    page.keyboard.press("c")
    page.until(lambda: own(page) == 1)
    saved(page)
    assert wr.read_boxes(reads).table["frame"].to_pylist() == [2, 3]
    show(page, site, "stack1")
    page.keyboard.press("Enter")
    saved(page)
    show(page, site, "stack2")
    page.keyboard.press("c")
    saved(page)
    page.until(lambda: len(corners(reads)) == 4)
    assert corners(reads)[2] == corners(reads)[3]


Point = tuple[float, float]


class Finger:
    """Touch or pen events of the device, as those of a screen."""

    def __init__(self, page: Any, pointer: str = "touch") -> None:
        self.device, self.pointer = page.context.new_cdp_session(page), pointer

    def drag(self, *way: Point) -> None:
        """Press at the first point, move through the others, and release at the last."""
        for kind, (x, y) in zip(("Pressed", *["Moved"] * (len(way) - 1)), way, strict=True):
            self._send(kind, x, y)
        self._send("Released", *way[-1])

    def _send(self, kind: str, x: float, y: float) -> None:
        if self.pointer == "pen":
            event = {"type": f"mouse{kind}", "x": x, "y": y, "pointerType": "pen"}
            event |= {"button": "left", "buttons": int(kind != "Released"), "clickCount": 1}
            self.device.send("Input.dispatchMouseEvent", event)
            return
        name = {"Pressed": "touchStart", "Moved": "touchMove", "Released": "touchEnd"}[kind]
        self.touch(name, *[(x, y)] * (kind != "Released"))

    def touch(self, kind: str, *points: Point) -> None:
        fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self.device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})


def tap(page: Any, selector: str) -> None:
    """Tap an element; a tap becomes a long press, without a click, on a busy machine."""
    page.evaluate("addEventListener('click', () => (window.tapped = true), true)")
    page.evaluate("window.tapped = false")
    while not page.evaluate("tapped"):
        page.tap(selector)


@pytest.fixture
def phone(chromium: Any) -> Iterator[Any]:
    """Page on a phone with a touch screen."""
    options: dict[str, Any] = {"viewport": {"width": 390, "height": 780}, "has_touch": True}
    context = chromium.new_context(**options, is_mobile=True, device_scale_factor=2)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("pointer", ["touch", "pen"])
def test_touch_and_pen(phone: Any, site: Any, reads: Path, pointer: str) -> None:
    """Draw, move, resize, relabel and delete a box; set, move and delete a point."""
    page, finger = phone, Finger(phone, pointer)
    show(page, site, "places", zoom=2, x=128, y=128)
    page.evaluate(
        "addEventListener('pointerdown', (event) => (window.pressed = event.pointerType))"
    )
    frame = page.locator(".stage").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    finger.drag((x - 60, y - 60), (x - 20, y), (x + 40, y + 60))
    saved(page)
    assert page.evaluate("pressed") == pointer
    page.until(lambda: len(corners(reads)) == 1)
    first = np.array(corners(reads)[0])
    assert np.allclose(first[2:] - first[:2], [100, 120], atol=0.5)
    finger.drag((x, y), (x + 5, y + 5), (x + 10, y + 20))  # inside of the selected box
    page.until(lambda: corners(reads)[0] != first.tolist())
    assert np.allclose(corners(reads)[0] - first, [10, 20, 10, 20], atol=0.5)
    finger.drag((x + 45, y + 75), (x + 50, y + 80), (x + 60, y + 85))  # near its lower right corner
    page.until(lambda: abs(corners(reads)[0][2] - first[2] - 25) < 0.5)
    assert np.allclose(corners(reads)[0] - first, [10, 20, 25, 30], atol=0.5)
    tap(page, ".choice[data-label=Effusion]")
    page.until(lambda: labels(reads) == ["Effusion"])
    tap(page, "[aria-label^='Delete Effusion']")
    page.until(lambda: corners(reads) == [])
    tap(page, "[aria-label^='Set a point']")
    finger.drag((x - 30, y - 30), (x - 30, y - 30))
    page.until(lambda: wr.read_boxes(reads).table["kind"].to_pylist() == ["point"])
    point = np.array(corners(reads)[0])
    finger.drag((x - 24, y - 34), (x - 10, y - 20), (x + 6, y - 4))  # near it
    page.until(lambda: corners(reads)[0] != point.tolist())
    assert np.allclose(corners(reads)[0] - point, 30, atol=0.5)
    tap(page, "[aria-label^='Delete Effusion']")
    page.until(lambda: corners(reads) == [])
    tap(page, "[data-verdict=unsure]")
    page.until(lambda: wr.read_boxes(reads).flags == ("unsure",))


def test_two_fingers_zoom_and_draw_nothing(phone: Any, site: Any, reads: Path) -> None:
    page, finger = phone, Finger(phone)
    show(page, site, "places", zoom=2, x=128, y=128)
    frame = page.locator(".stage").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    finger.touch("touchStart", (x - 20, y))
    finger.touch("touchMove", (x - 30, y + 10))  # a box that the second finger ends
    finger.touch("touchStart", (x - 30, y), (x + 30, y))
    for by in (30, 60, 90):
        finger.touch("touchMove", (x - by, y + by / 3), (x + by, y + by / 3))
    finger.touch("touchMove", (x - 60, y + 20), (x + 60, y + 20))
    finger.touch("touchEnd")
    found = re.search(r"x=([\d.]+)&y=([\d.]+)&zoom=([\d.]+)|zoom=([\d.]+)", page.address())
    assert found
    page.until(lambda: "zoom=4" in page.address())
    assert own(page) == 0
    finger.drag((x - 30, y - 30), (x, y), (x + 30, y + 30))  # one finger draws again
    page.until(lambda: len(corners(reads)) == 1)
    x0, y0, x1, y1 = corners(reads)[0]
    assert [x1 - x0, y1 - y0] == pytest.approx([30, 30], abs=0.5)
    assert [x0 + x1, y0 + y1] == pytest.approx([256, 256 - 20], abs=1)  # moved by 20 / 2 pixels


def test_another_label(page: Any, site: Any, reads: Path) -> None:
    """A typed label is text, whatever it says."""
    show(page, site, "places")
    page.fill("[aria-label='Add a label']", "../<b>x</b>")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    saved(page)
    assert labels(reads) == ["../<b>x</b>"]
    expect(page.locator(".annotate b")).to_have_count(1)  # the name of the reader


def test_read_only_pages_have_no_tools(page: Any, places: wr.Index, open_site: Any) -> None:
    page.goto(open_site(places).image("places"))
    page.wait_for_selector(DRAWN)
    expect(page.locator(".annotate, [aria-label^='Draw a box']")).to_have_count(0)
    page.keyboard.press("Enter")
    assert own(page) == 0


@pytest.fixture
def adjudicator(phantoms: Any, reads: Path, open_site: Callable[..., Any]) -> Any:
    """Reader who sees the boxes of three readers."""
    writing = Writing(StrokeLog(reads, "Z"), tuple(phantoms.readers.labels), blind=False)
    return open_site(phantoms.index, phantoms.readers, phantoms.found, writing=writing)


def test_boxes_of_others(page: Any, adjudicator: Any, reads: Path, phantoms: Any) -> None:
    """Accept, relabel and reject, by keys and by mouse."""
    counts: dict[str, int] = {}
    for row in phantoms.readers.table.to_pylist():
        if row["kind"] == "box":
            counts[row["image"]] = counts.get(row["image"], 0) + 1
    image = max(counts, key=lambda id_: counts[id_])
    name = next(name for name, one in adjudicator.images.items() if one.id == image)
    show(page, adjudicator, name, show="rl")
    shown = page.locator(".marks .reader").count()
    assert shown == counts[image]
    page.keyboard.press(".")
    page.keyboard.press("y")
    saved(page)
    page.until(lambda: own(page) == 1)
    expect(page.locator(".marks .reader")).to_have_count(shown - 1)
    theirs = [row for row in phantoms.readers.table.to_pylist() if row["image"] == image]
    (mine,) = wr.read_boxes(reads).table.to_pylist()
    assert [mine[c] for c in ("x0", "y0", "x1", "y1", "label")] in [
        [row[c] for c in ("x0", "y0", "x1", "y1", "label")] for row in theirs
    ]
    page.keyboard.press("Escape")
    page.keyboard.press(".")
    page.keyboard.press("x")
    saved(page)
    page.until(lambda: page.locator(".marks .reader").count() == shown - 2)
    expect(page.locator(".own-list .rejected")).to_have_count(1)
    assert len(wr.read_boxes(reads)) == 1
    page.keyboard.press(".")
    page.keyboard.press("3")
    saved(page)
    page.until(lambda: len(wr.read_boxes(reads)) == 2)
    assert phantoms.readers.labels[2] in labels(reads)
    page.reload()
    page.wait_for_selector(".marks .own")
    page.until(lambda: page.locator(".marks .reader").count() == shown - 3)
    page.click(".own-list .rejected button")
    page.until(lambda: page.locator(".marks .reader").count() == shown - 2)


def test_boxes_of_the_model(page: Any, adjudicator: Any, reads: Path, phantoms: Any) -> None:
    """Accept one and relabel another by one key each; the log says where they come from."""
    images = phantoms.found.table["image"].to_pylist()
    image = max(set(images), key=images.count)
    name = next(name for name, one in adjudicator.images.items() if one.id == image)
    show(page, adjudicator, name, show="pl", score=0.01, iou=0.5)
    shown = page.locator(".marks .tp, .marks .fp").count()
    assert shown >= 2
    page.keyboard.press(".")
    page.keyboard.press("y")
    page.until(lambda: len(corners(reads)) == 1)
    page.keyboard.press("Escape")
    page.keyboard.press(".")
    page.keyboard.press("2")
    page.until(lambda: len(corners(reads)) == 2)
    page.until(lambda: page.locator(".marks .tp, .marks .fp").count() == shown - 2)
    theirs = [row for row in phantoms.found.table.to_pylist() if row["image"] == image]
    places = [[row[name] for name in ("x0", "y0", "x1", "y1")] for row in theirs]
    assert all(list(box) in places for box in corners(reads))
    assert labels(reads)[1] == phantoms.readers.labels[1]
    _, lines = read_log(next(reads.glob("*.jsonl")))
    assert [line.stroke.target["from"] for line in lines if line.stroke.target] == ["model"] * 2


def test_window_keys(page: Any, mixed: Any, reads: Path, open_site: Callable[..., Any]) -> None:
    """Digits are labels while a reader draws, and windows with the window tool."""
    site = open_site(mixed.index, writing=Writing(StrokeLog(reads, "R1"), LABELS, blind=True))
    show(page, site, "CT_small")
    page.keyboard.press("Enter")
    page.keyboard.press("2")
    page.until(lambda: labels(reads) == ["Effusion"])
    page.keyboard.press("Escape")
    page.keyboard.press("w")
    page.keyboard.press("3")
    page.until(lambda: "window=" in page.address())
    page.keyboard.press("r")
    page.keyboard.press(".")
    page.keyboard.press("3")
    page.until(lambda: labels(reads) == ["Fibrosis"])


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe(page: Any, adjudicator: Any, axe: str, theme: str) -> None:
    page.emulate_media(color_scheme=theme)
    show(page, adjudicator, next(iter(adjudicator.images)))
    page.keyboard.press("Enter")
    saved(page)
    page.evaluate(axe)
    found = page.evaluate(AXE)
    assert found == []


def test_random_work_list(page: Any, site: Any) -> None:
    page.goto(site.url())
    page.wait_for_selector(".tile .name")
    page.select_option("[aria-label=Order]", "random:1")
    page.until(lambda: re.search(r"order=random:1", page.address()) is not None)
    page.wait_for_selector(".tile .name")
    expect(page.locator(".filter-error:visible")).to_have_count(0)

"""Rotated and flipped views: probe, ruler, scale bar, handles, keys, address."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

import wetread as wr
from wetread.boxes.stroke_log import StrokeLog
from wetread.viewer.annotations import Writing

pytestmark = pytest.mark.apt("chromium", "chromium")

EXACT = ".stage[data-drawn^='exact']"
TURNS = list(itertools.product((0, 90, 180, 270), (0, 1)))
TURNED = [(90, 0), (180, 1), (270, 1)]
COLOUR = """([x, y]) => {
  const context = document.querySelector(".canvas").getContext("2d");
  return [...context.getImageData(x, y, 1, 1).data.slice(0, 2)];
}"""
"""Column and row of the pixel on the screen, from its colour."""


@pytest.fixture
def site(places: wr.Index, reads: Path, open_site: Callable[..., Any]) -> Any:
    return open_site(places, writing=Writing(StrokeLog(reads, "R1"), ("Nodule/Mass",), blind=True))


def show(page: Any, site: Any, name: str = "places", **state: Any) -> dict[str, float]:
    """Open an image; returns the frame of the stage."""
    page.goto(site.image(name, **state))
    page.wait_for_selector(EXACT)
    page.wait_for_selector(".saved[data-state=saved]")
    frame: dict[str, float] = page.locator(".stage").bounding_box()
    return frame


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=2)
    page.mouse.up()


def probed(page: Any, at: tuple[float, float]) -> list[int]:
    """Column and row under the pointer, moved to a point."""
    page.mouse.move(at[0] + 1, at[1])
    page.mouse.move(*at)
    return [int(part) for part in re.findall(r"[xy] (\d+)", page.text_content(".probe"))]


def rectangle(page: Any) -> list[float]:
    """Left, top, right, bottom of the drawn box on the stage."""
    x, y, w, h = (
        float(page.get_attribute(".marks .own rect >> nth=0", name))
        for name in ("x", "y", "width", "height")
    )
    return [x, y, x + w, y + h]


def box(reads: Path) -> np.ndarray:
    (corners,) = wr.read_boxes(reads).corners
    return np.array(corners)


def saved_box(page: Any, reads: Path) -> np.ndarray:
    page.wait_for_selector(".saved[data-state=saved]")
    return box(reads)


@pytest.mark.parametrize("zoom", [1, 3])
def test_the_probe_names_the_pixel_under_the_pointer(page: Any, site: Any, zoom: int) -> None:
    for rotate, flip in TURNS:
        frame = show(page, site, zoom=zoom, x=100, y=120, rotate=rotate, flip=flip)
        for by in ((0, 0), (31, -22), (-40, 17)):
            at = [round(frame["width"] / 2) + by[0], round(frame["height"] / 2) + by[1]]
            page.mouse.move(frame["x"] + at[0], frame["y"] + at[1])
            x, y = page.evaluate(COLOUR, at)
            assert f"x {x}, y {y}" in page.text_content(".probe"), (rotate, flip, by)


@pytest.mark.parametrize(("rotate", "flip"), [(0, 0), *TURNED])
def test_ruler_and_scale_bar_of_oblong_pixels(page: Any, site: Any, rotate: int, flip: int) -> None:
    """Columns are 1 mm apart and rows 2 mm: at zoom 1 a pixel of the screen is 1 mm."""
    frame = show(page, site, "spacing", zoom=1, x=128, y=128, rotate=rotate, flip=flip)
    page.keyboard.press("m")
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    drag(page, (x, y), (x + 30, y + 40))
    assert page.text_content(".ruler-text").startswith("50.0 mm")
    path = page.get_attribute(".overlay .scale", "d")
    text = page.locator(".overlay .side").last.text_content()
    length = float(re.findall(r"h([\d.]+)", path)[0])
    assert text == f"{length / 10:g} cm"


@pytest.mark.parametrize(("rotate", "flip"), TURNED)
def test_handles_arrows_and_labels_follow_the_screen(
    page: Any, site: Any, reads: Path, rotate: int, flip: int
) -> None:
    frame = show(page, site, zoom=1, x=128, y=128, rotate=rotate, flip=flip)
    left, top = round(frame["width"] / 2) - 50, round(frame["height"] / 2) - 40
    x, y = frame["x"] + left, frame["y"] + top
    drag(page, (x, y), (x + 80, y + 50))
    saved_box(page, reads)
    page.until(lambda: rectangle(page) == pytest.approx([left, top, left + 80, top + 50]))
    drag(page, (x + 80, y + 50), (x + 90, y + 70))  # the lower right handle
    first = saved_box(page, reads)
    page.until(lambda: rectangle(page) == pytest.approx([left, top, left + 90, top + 70]))
    chip = page.get_attribute(".marks .chip", "transform")
    chip_x, chip_y = map(float, re.findall(r"[\d.]+", chip))
    assert chip_x == pytest.approx(left, abs=0.1)
    assert chip_y == pytest.approx(top - 20, abs=0.1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowDown")
    page.until(lambda: not np.allclose(box(reads), first))
    page.until(lambda: rectangle(page) == pytest.approx([left + 1, top + 1, left + 91, top + 72]))
    width, height = np.diff(saved_box(page, reads).reshape(2, 2), axis=0)[0]
    assert (width, height) == pytest.approx((71, 90) if rotate % 180 else (90, 71))


def test_keys_and_buttons_rotate_on_the_screen(page: Any, site: Any) -> None:
    show(page, site, zoom=1, x=60, y=70)
    texts = [("a", "rotated 90°"), ("h", "rotated 90°, flipped"), ("a", "flipped")]
    texts += [("Shift+A", "rotated 90°, flipped"), ("h", "rotated 90°")]
    texts += [("Shift+A", ""), ("Shift+A", "rotated 270°")]
    for key, text in texts:
        page.keyboard.press(key)
        expect(page.locator(".turned")).to_have_text(text)
    page.click("[aria-label='Rotate by 90° (A)']", modifiers=["Shift"])
    page.click("[aria-label='Flip left and right (H)']")
    expect(page.locator(".turned")).to_have_text("rotated 180°, flipped")
    page.until(lambda: "zoom=1&x=60&y=70&rotate=180&flip=1" in page.address())
    page.reload()
    page.wait_for_selector(EXACT)
    expect(page.locator(".turned")).to_have_text("rotated 180°, flipped")
    page.keyboard.press("=")
    expect(page.locator(".turned")).to_have_text("")
    assert page.address().endswith(site.images["places"].id)


def test_another_image_is_not_rotated(page: Any, site: Any) -> None:
    show(page, site, zoom=1, rotate=90, flip=1)
    page.until("!document.querySelector('[aria-label^=Previous]').disabled")
    page.keyboard.press("ArrowLeft")
    page.until(lambda: site.images["places"].id not in page.address())
    expect(page.locator(".turned")).to_have_text("")
    page.until(lambda: "rotate" not in page.address())


@pytest.mark.parametrize(("rotate", "flip"), [(90, 0), (270, 1)])
def test_zoom_and_pan_keep_the_place_under_the_pointer(
    page: Any, site: Any, rotate: int, flip: int
) -> None:
    frame = show(page, site, "aspect", rotate=rotate, flip=flip, zoom=1)
    at = (frame["x"] + frame["width"] / 2 + 40, frame["y"] + frame["height"] / 2 - 30)
    before = probed(page, at)
    for _ in range(3):
        page.keyboard.press("+")
    page.until(lambda: probed(page, at) == pytest.approx(before, abs=1))
    page.keyboard.press("d")
    drag(page, at, (at[0] - 60, at[1] + 45))
    page.until(lambda: probed(page, (at[0] - 60, at[1] + 45)) == pytest.approx(before, abs=1))

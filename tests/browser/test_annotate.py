"""Annotation by mouse, touch and keys: coordinates, labels, verdicts, undo, other readers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wetread as wr
from wetread.boxes.stroke_log import StrokeLog
from wetread.testing.dicom import changed, dicom_file, element, picture
from wetread.viewer.annotations import Writing

pytestmark = pytest.mark.apt("chromium", "chromium")
DRAWN = ".stage[data-drawn^='exact'], .stage[data-drawn^='smooth']"
LABELS = ("Nodule/Mass", "Effusion", "Fibrosis")
SIDE = 256
AXE = """axe.run().then(({ violations }) =>
  violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))"""
COLOURS = """([x, y]) => {
  const context = document.querySelector(".canvas").getContext("2d");
  const { data } = context.getImageData(x - 1, y - 1, 2, 2);
  const mean = (at) => (data[at] + data[at + 4] + data[at + 8] + data[at + 12]) / 4 + 0.5;
  return [mean(0), mean(1)];
}"""
"""Place in stored pixels at a corner of four screen pixels, from their colours."""


def places(*more: Any) -> bytes:
    """RGB image whose red is the column and whose green is the row of each pixel."""
    y, x = np.mgrid[:SIDE, :SIDE].astype("u1")
    pixels = np.stack([x, y, np.zeros_like(x)], axis=-1).tobytes()
    colour = [
        element("SamplesPerPixel", 3),
        element("PhotometricInterpretation", "RGB"),
        element("PlanarConfiguration", 0),
        element("BitsAllocated", 8),
        element("BitsStored", 8),
        element("HighBit", 7),
        element("PixelData", pixels, vr="OB"),
    ]
    return dicom_file(changed(picture(70 + len(more), SIDE, SIDE), *colour, *more))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> wr.Index:
    folder = tmp_path_factory.mktemp("annotate")
    (folder / "places.dcm").write_bytes(places())
    (folder / "aspect.dcm").write_bytes(places(element("PixelAspectRatio", "2\\1")))
    return wr.scan(folder, progress=False)


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    return tmp_path / "reads"


@pytest.fixture
def site(files: wr.Index, reads: Path, open_site: Callable[..., Any]) -> Any:
    return open_site(files, writing=Writing(StrokeLog(reads, "R1"), LABELS, blind=True))


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
    yield page, request.param
    context.close()


@pytest.mark.parametrize("name", ["places", "aspect"])
def test_a_box_is_where_it_was_put(
    dense: tuple[Any, int], site: Any, reads: Path, name: str
) -> None:
    """Within half a stored pixel of the colours on the screen, at every zoom and resolution."""
    page, ratio = dense
    expected: list[list[float]] = []
    levels = set()
    for zoom, x, y in (
        (0.25, 128, 128),
        (0.5, 100, 140),
        (1, 128, 128),
        (1.7, 90, 90),
        (6, 33, 201),
    ):
        show(page, site, name, zoom=zoom * ratio, x=x, y=y)
        page.wait_for_timeout(300)  # the sharp picture replaces the fast one
        page.wait_for_selector(DRAWN)
        levels.add(str(page.get_attribute(".stage", "data-drawn")).split()[-1])
        frame = page.locator(".stage").bounding_box()
        middle = frame["x"] + frame["width"] // 2, frame["y"] + frame["height"] // 2
        by = 20 if zoom < 0.5 else 40
        ends = [(middle[0] - by, middle[1] - by), (middle[0] + by + 2, middle[1] + by - 4)]
        at = [((px - frame["x"]) * ratio, (py - frame["y"]) * ratio) for px, py in ends]
        expected.append([place for point in at for place in page.evaluate(COLOURS, list(point))])
        drag(page, *ends)
        saved(page)
        page.keyboard.press("Escape")
    found = corners(reads)
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
    assert "delete them first" in page.text_content(".message")
    page.keyboard.press("Delete")
    page.keyboard.press(".")
    page.keyboard.press("Backspace")
    page.until(lambda: corners(reads) == [])
    page.keyboard.press("e")
    page.until(lambda: wr.read_boxes(reads).table["kind"].to_pylist() == ["nothing"])
    saved(page)
    assert "1 of 2 images read" in page.text_content(".annotate")
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
    assert page.locator(".own-list li").count() == 1
    assert page.get_attribute(".saved", "data-state") == "saved"


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


def test_touch(chromium: Any, site: Any, reads: Path) -> None:
    size = {"width": 800, "height": 900}
    context = chromium.new_context(viewport=size, has_touch=True)
    page = context.new_page()
    show(page, site, "places", zoom=1, x=128, y=128)
    frame = page.locator(".stage").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    device = context.new_cdp_session(page)
    for kind, dx in (("touchStart", 0), ("touchMove", 30), ("touchMove", 60), ("touchEnd", None)):
        points = [] if dx is None else [{"x": x - 30 + dx, "y": y - 30 + dx}]
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    saved(page)
    page.until(lambda: len(corners(reads)) == 1)
    x0, y0, x1, y1 = corners(reads)[0]
    assert [x1 - x0, y1 - y0] == pytest.approx([60, 60], abs=0.5)
    context.close()


def test_another_label(page: Any, site: Any, reads: Path) -> None:
    """A typed label is text, whatever it says."""
    show(page, site, "places")
    page.fill("[aria-label='Add a label']", "../<b>x</b>")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    saved(page)
    assert labels(reads) == ["../<b>x</b>"]
    assert page.locator(".annotate b").count() == 1  # the name of the reader


def test_read_only_pages_have_no_tools(page: Any, files: wr.Index, open_site: Any) -> None:
    page.goto(open_site(files).image("places"))
    page.wait_for_selector(DRAWN)
    assert page.locator(".annotate, [aria-label^='Draw a box']").count() == 0
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
    assert own(page) == 1
    assert page.locator(".marks .reader").count() == shown - 1
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
    assert page.locator(".own-list .rejected").count() == 1
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
    assert page.locator(".filter-error:visible").count() == 0

"""The page "Annotate a data set with two readers", followed by clicks: readers, merging, result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

import wetread as wr
from wetread.boxes.stroke_log import StrokeLog
from wetread.viewer.annotations import Writing, open_writing

pytestmark = pytest.mark.apt("chromium", "chromium")
DRAWN = ".stage[data-drawn^='exact'], .stage[data-drawn^='smooth']"
LABELS = ("Nodule/Mass", "Pleural effusion")


def drag(page: Any, x0: float, y0: float, x1: float, y1: float) -> None:
    """Drag over the stage, in shares of its size."""
    frame = page.locator(".stage").bounding_box()
    for step, (x, y) in enumerate([(x0, y0), ((x0 + x1) / 2, (y0 + y1) / 2), (x1, y1)]):
        page.mouse.move(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"])
        if not step:
            page.mouse.down()
    page.mouse.up()


def button(page: Any, text: str) -> None:
    page.click(f".annotate .choice:has-text('{text}')")
    page.wait_for_selector(".saved[data-state=saved]")


def read_first(page: Any, site: Any) -> str:
    """Open the first image of the grid; returns its id."""
    page.goto(site.url())
    page.dblclick(".tile >> nth=0")
    page.wait_for_selector(DRAWN)
    page.wait_for_selector(".saved[data-state=saved]")
    return shown(page)


def shown(page: Any) -> str:
    return str(page.address()).split("/image/")[1][:16]


def next_unread(page: Any) -> str:
    before = shown(page)
    page.click(".choice:has-text('Next unread')")
    page.until(lambda: shown(page) != before)
    page.wait_for_selector(DRAWN)
    return shown(page)


def test_two_readers_and_a_third(
    page: Any, phantoms: Any, tmp_path: Path, open_site: Callable[..., Any]
) -> None:
    """From the first box to the consensus; the third begins where the two disagree."""
    index, reads = phantoms.index, tmp_path / "reads"

    def reader(name: str, *sides: Any, folder: Path = reads, others: bool = False) -> Any:
        return open_site(index, *sides, writing=open_writing(folder, name, LABELS, sides, others))

    for name, right in (("R1", 0.6), ("R2", 0.61)):
        site = reader(name)
        first = read_first(page, site)
        drag(page, 0.4, 0.3, right, 0.5)
        page.wait_for_selector(".marks .own")
        expect(page.locator(".annotate")).to_contain_text("1 of 10 images read")
        second = next_unread(page)
        if name == "R1":
            button(page, "Pleural effusion")
            drag(page, 0.3, 0.6, 0.4, 0.8)
            page.wait_for_selector(".marks .own")
        else:
            button(page, "No finding")
        third = next_unread(page)
        button(page, "No finding")
        site.handle.stop()
    boxes = wr.read_boxes(reads, images=index)
    assert boxes.readers == ("R1", "R2")
    agreement = boxes.agreement().set_index("label")
    assert agreement["images"].tolist() == [3, 3]
    assert agreement.loc["Nodule/Mass", "matched"] == 1
    assert agreement.loc["Pleural effusion", "matched"] == 0
    final = reader("final", boxes, folder=tmp_path / "final", others=True)
    page.goto(final.url("/grid?order=disagreement&desc=1"))
    page.wait_for_selector(".tile")
    page.dblclick(".tile >> nth=0")
    page.wait_for_selector(DRAWN)
    page.until(lambda: shown(page) == second)
    page.click(".marks-list button:has-text('Pleural effusion')")
    button(page, "Accept")
    page.wait_for_selector(".marks .own")
    assert next_unread(page) in (first, third)
    page.goto(final.url(f"/image/{first}?show=rl"))
    page.wait_for_selector(".marks .reader")
    expect(page.locator(".marks .reader")).to_have_count(2)
    page.click(".marks-list button:has-text('R1')")
    button(page, "Accept")
    page.until(lambda: page.locator(".marks .reader").count() == 1)
    page.click(".marks-list button:has-text('R2')")
    button(page, "Reject")
    page.until(lambda: page.locator(".marks .reader").count() == 0)
    merged = wr.read_boxes(tmp_path / "final", images=index)
    assert sorted(merged.table["label"].to_pylist()) == sorted(LABELS)
    theirs = boxes.select(np.asarray(boxes.table["reader"]) == "R1")
    assert sorted(merged.corners.tolist()) == sorted(
        row for row in theirs.corners.tolist() if row[0] == row[0]
    )
    truth = boxes.consensus()
    assert {row["key"] for row in truth.table.to_pylist()} == {
        image.path for image in index if image.id in (first, second, third)
    }


@pytest.mark.parametrize("name", ["movie", "stack2"])
def test_points_on_frames_and_slices(
    page: Any, mixed: Any, tmp_path: Path, open_site: Callable[..., Any], name: str
) -> None:
    """Set, move and delete points; each is on its frame or slice, and keys copy them on."""
    site = open_site(mixed.index, writing=Writing(StrokeLog(tmp_path, "R1"), LABELS, blind=True))
    page.goto(site.image(name, frame=1 if name == "movie" else 0))
    page.wait_for_selector(DRAWN)
    page.wait_for_selector(".saved[data-state=saved]")
    page.click("[aria-label^='Set a point']")
    drag(page, 0.5, 0.5, 0.5, 0.5)
    drag(page, 0.4, 0.4, 0.4, 0.4)
    page.until(lambda: len(wr.read_boxes(tmp_path)) == 2)
    before = wr.read_boxes(tmp_path).corners
    drag(page, 0.4, 0.4, 0.45, 0.45)  # moves the second
    page.until(lambda: (wr.read_boxes(tmp_path).corners != before).any())
    boxes = wr.read_boxes(tmp_path, images=site.index)
    assert boxes.table["kind"].to_pylist() == ["point"] * 2
    assert boxes.table["frame"].to_pylist() == [1 if name == "movie" else None] * 2
    assert boxes.table["image"].unique().to_pylist() == [site.images[name].id]
    assert (boxes.corners[0] == before[0]).all()
    moved = boxes.corners[1] - before[1]
    assert (moved > 0).all()
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.until(lambda: page.locator(".marks .own").count() == 0)
    page.wait_for_selector(".annotate[aria-busy=false]")
    page.keyboard.press("c")
    expect(page.locator(".marks .own")).to_have_count(2)
    page.until(lambda: len(wr.read_boxes(tmp_path)) == 4)
    page.keyboard.press(".")
    page.keyboard.press("Delete")
    page.until(lambda: len(wr.read_boxes(tmp_path)) == 3)
    table = wr.read_boxes(tmp_path, images=site.index).table.to_pylist()
    places = [(row["image"], row["frame"]) for row in table]
    assert len(set(places)) == 2
    page.keyboard.press("ArrowUp")
    page.until(lambda: page.locator(".marks .own").count() == 2)

"""Saving of annotations: network gone, disk full, two windows, a server that is started again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

import wetread as wr
from wetread.boxes.stroke_log import StrokeLog, log_name, read_log
from wetread.testing import dicom_file
from wetread.testing.dicom import picture
from wetread.viewer.annotations import Writing

pytestmark = pytest.mark.apt("chromium", "chromium")
DRAWN = ".stage[data-drawn^='exact'], .stage[data-drawn^='smooth']"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> wr.Index:
    folder = tmp_path_factory.mktemp("saving")
    (folder / "one.dcm").write_bytes(dicom_file(picture(1, 60, 80)))
    return wr.scan(folder, progress=False)


def show(page: Any, site: Any) -> None:
    page.goto(site.image("one"))
    page.wait_for_selector(DRAWN)
    page.wait_for_selector(".saved[data-state=saved]")


def uuids(folder: Path) -> list[str]:
    return [line.stroke.uuid for line in read_log(folder / log_name("R1"))[1]]


def test_strokes_wait_while_the_network_is_gone(
    page: Any, files: wr.Index, tmp_path: Path, open_site: Callable[..., Any]
) -> None:
    """Nothing is shown as saved for 10 s; then each stroke is sent once."""
    site = open_site(files, writing=Writing(StrokeLog(tmp_path, "R1"), ("A", "B"), blind=True))
    show(page, site)
    page.context.set_offline(True)
    page.keyboard.press("Enter")
    page.keyboard.press("2")
    page.wait_for_selector(".saved[data-state=waiting]")
    expect(page.locator(".saved")).to_contain_text("2 changes waiting")
    expect(page.locator(".marks .waiting")).to_have_count(1)
    expect(page.locator(".marks .own")).to_have_count(0)
    page.wait_for_timeout(10_000)
    assert uuids(tmp_path) == []
    expect(page.locator(".saved")).to_have_attribute("data-state", "waiting")
    page.context.set_offline(False)
    page.wait_for_selector(".saved[data-state=saved]")
    assert len(uuids(tmp_path)) == 2
    assert wr.read_boxes(tmp_path).table["label"].to_pylist() == ["B"]
    page.wait_for_selector(".marks .own")


def test_a_lost_reply(
    page: Any, files: wr.Index, tmp_path: Path, open_site: Callable[..., Any]
) -> None:
    """The stroke was written and its reply lost: it is sent again, and is one."""
    site = open_site(files, writing=Writing(StrokeLog(tmp_path, "R1"), ("A",), blind=True))
    show(page, site)
    lost = []

    def lose(route: Any) -> None:
        if not lost:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    page.route("**/api/strokes", lose)
    page.keyboard.press("Enter")
    page.until(lambda: lost == [200])
    page.wait_for_selector(".marks .own")
    page.wait_for_selector(".saved[data-state=saved]")
    assert len(uuids(tmp_path)) == 1
    assert len(wr.read_boxes(tmp_path)) == 1


def test_a_reload_keeps_what_waits(
    page: Any, files: wr.Index, tmp_path: Path, open_site: Callable[..., Any]
) -> None:
    site = open_site(files, writing=Writing(StrokeLog(tmp_path, "R1"), ("A",), blind=True))
    show(page, site)
    page.route("**/api/strokes", lambda route: route.abort())
    page.keyboard.press("Enter")
    page.wait_for_selector(".saved[data-state=waiting]")
    page.on("dialog", lambda dialog: dialog.accept())  # the page warns
    page.reload()
    page.wait_for_selector(".marks .waiting")
    page.unroute("**/api/strokes")
    page.wait_for_selector(".saved[data-state=saved]")
    assert len(uuids(tmp_path)) == 1


def test_a_full_disk(
    page: Any, files: wr.Index, tmp_path: Path, open_site: Callable[..., Any]
) -> None:
    full = [False]

    def sync(file: int) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")

    site = open_site(files, writing=Writing(StrokeLog(tmp_path, "R1", sync), ("A",), blind=True))
    show(page, site)
    full[0] = True
    page.keyboard.press("Enter")
    page.wait_for_selector(".saved[data-state=waiting]")
    expect(page.locator(".saved")).to_contain_text("No space left on device; not saved")
    expect(page.locator(".marks .own")).to_have_count(0)
    full[0] = False
    page.dispatch_event(".annotate button:has-text('Try again')", "click")
    page.wait_for_selector(".marks .own")
    assert len(uuids(tmp_path)) == 1


def test_two_windows(
    page: Any, files: wr.Index, tmp_path: Path, open_site: Callable[..., Any]
) -> None:
    """The second change is kept beside the first, until the reader chooses."""
    site = open_site(files, writing=Writing(StrokeLog(tmp_path, "R1"), ("A", "B", "C"), blind=True))
    show(page, site)
    page.keyboard.press("Enter")
    page.wait_for_selector(".marks .own")
    other = page.context.new_page()
    show(other, site)
    other.keyboard.press(".")
    other.keyboard.press("2")
    page.until(lambda: wr.read_boxes(tmp_path).labels == ("B",))
    page.keyboard.press("3")  # it still shows A
    page.wait_for_selector(".own-list .conflict")
    expect(page.locator(".own-list")).to_contain_text("Other version: C")
    expect(page.locator(".marks .own")).to_have_count(1)
    expect(page.locator(".marks .conflict")).to_have_count(1)
    assert wr.read_boxes(tmp_path).labels == ("B",)
    assert wr.read_boxes(tmp_path).flags == ("conflict",)
    page.click(".conflict button:has-text('Use it')")
    page.until(lambda: wr.read_boxes(tmp_path).flags == ())
    assert wr.read_boxes(tmp_path).labels == ("C",)
    expect(page.locator(".own-list .conflict")).to_have_count(0)

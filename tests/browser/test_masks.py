"""Masks in the browser: over slices and planes, by themselves, switches; reports as text."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import wetread as wr

pytestmark = pytest.mark.apt("chromium", "chromium")

DRAWN = ".stage[data-drawn^='exact'], .stage[data-drawn^='smooth']"
SHAPE, RED = (12, 40, 40), [255, 0, 0]
LABELS = Path(__file__).parents[1] / "segments" / "conftest.py"


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    """Two segments, (slices, rows, columns, 2): a block with a hole, and a small one inside it."""
    masks = np.zeros((*SHAPE, 2), bool)
    masks[3:9, 8:30, 5:25, 0] = True
    masks[3:9, 12:14, 8:10, 0] = False
    masks[5:7, 16:20, 10:16, 1] = True
    return masks


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    start_site: Any,
    real_file: Callable[[str], Path],
    masks: np.ndarray,
) -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("label_files", LABELS)
    assert spec is not None
    files = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = files
    spec.loader.exec_module(files)  # type: ignore[union-attr]
    folder = tmp_path_factory.mktemp("masks")
    scan = files.write_scan(folder / "ct", SHAPE, (2.0, 1.0, 1.0))
    files.make_seg(scan.slices, masks, "BINARY", ["Liver", "Lesion"]).save_as(folder / "seg.dcm")
    square = np.array([[9.5, 9.5], [9.5, 20.5], [20.5, 20.5], [20.5, 9.5]])
    rt = files.make_rtstruct(scan, {"GTV": [(k, square, "CLOSED_PLANAR") for k in (6, 7)]})
    pydicom.dcmwrite(folder / "rt.dcm", rt, enforce_file_format=True)
    for study in rt.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence:
        study.RTReferencedSeriesSequence[0].SeriesInstanceUID = "2.25.1"
    rt.SOPInstanceUID = "2.25.2"
    pydicom.dcmwrite(folder / "lost.dcm", rt, enforce_file_format=True)
    shutil.copy(real_file("reportsi.dcm"), folder)
    site = start_site(wr.scan(folder, progress=False), title="masks", show_phi=True)
    yield site
    site.handle.stop()


def show(page: Any, site: Any, name: str, **state: Any) -> None:
    page.goto(site.image(name, **state))
    page.wait_for_selector(DRAWN)


def pixel(page: Any, stage: str, x: float, y: float) -> list[int]:
    """Colour of the canvas at a stored pixel of a square picture of 40 x 40."""
    return page.eval_on_selector(
        f"{stage} canvas",
        """(canvas, [x, y]) => {
          const { width, height } = canvas, zoom = Math.min(width - 24, height - 24) / 40;
          const u = width / 2 + (x - 19.5) * zoom, v = height / 2 + (y - 19.5) * zoom;
          return [...canvas.getContext("2d").getImageData(Math.round(u), Math.round(v), 1, 1).data];
        }""",
        [x, y],
    )


def is_tinted(colour: list[int]) -> bool:
    return max(colour[:3]) - min(colour[:3]) > 20


@pytest.mark.parametrize(("rotate", "flip"), [(0, 0), (90, 1), (270, 0)])
def test_masks_lie_on_their_pixels(
    page: Any, site: Any, masks: np.ndarray, rotate: int, flip: int
) -> None:
    show(page, site, "one005", tab="masks", rotate=rotate, flip=flip)
    page.wait_for_selector(".stage[data-masks='2']")
    for row, column in ((10, 7), (29, 24), (7, 10), (30, 10), (13, 9), (18, 12), (35, 35)):
        page.until(lambda: page.get_attribute(".stage", "data-masks") == "2")
        expected = bool(masks[5, row, column].any())
        at = {0: (column, row), 90: (row, column), 270: (row, 39 - column)}[rotate]
        assert is_tinted(pixel(page, ".stage", *at)) == expected, (row, column)
    rows = page.locator(".mask-row .toggle").all_inner_texts()
    assert [" ".join(row.split()) for row in rows][-2:] == ["Liver 5.23 mL", "Lesion 0.096 mL"]


def test_switches_and_keys(page: Any, site: Any) -> None:
    show(page, site, "one005", tab="masks")
    page.wait_for_selector(".stage[data-masks='2']")
    page.uncheck(".mask-row:has-text('Liver') input")
    page.wait_for_selector(".stage[data-masks='1']")
    assert not is_tinted(pixel(page, ".stage", 7, 10))
    page.focus(".stage")
    page.keyboard.press("k")
    page.wait_for_selector(".stage[data-masks='0']")
    page.keyboard.press("k")
    page.click(".masks section:has-text('seg.dcm') >> text=Show all")
    page.wait_for_selector(".stage[data-masks='2']")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.until("document.querySelector('.path').textContent === 'ct/one007.dcm'")
    page.until(lambda: page.get_attribute(".stage", "data-masks") == "2")  # liver and GTV
    page.fill("[aria-label='Opacity of the masks']", "0")
    page.until(lambda: not is_tinted(pixel(page, ".stage", 7, 10)))


def test_masks_on_planes(page: Any, site: Any) -> None:
    series = site.index.series.where("volumes > 0")[0].series_id
    page.goto(site.url(f"/volume/{series}/0"))
    for name in ("axial", "coronal", "sagittal"):
        page.wait_for_selector(f".{name} .stage[data-masks]:not([data-masks='0'])")
    page.wait_for_selector(".volume-page .mask-row:has-text('Lesion')")
    page.keyboard.press("k")
    page.wait_for_selector(".sagittal .stage[data-masks='0']")


def test_a_seg_by_itself(page: Any, site: Any) -> None:
    show(page, site, "seg")
    page.wait_for_selector(".stage[data-masks='1']")
    assert is_tinted(pixel(page, ".stage", 7, 10))
    page.until(lambda: pixel(page, ".stage", 35, 35)[:3] == [0, 0, 0])
    page.click("text=Show over its images")
    page.until("/ct.one/.test(document.querySelector('.path').textContent)")
    page.wait_for_selector(".mask-row:has-text('GTV')")


def test_an_rtstruct_opens_over_its_images(page: Any, site: Any) -> None:
    show(page, site, "rt")
    page.until("document.querySelector('.path').textContent === 'ct/one006.dcm'")
    page.wait_for_selector(".mask-row:has-text('GTV')")
    page.goto(site.image("lost"))
    page.wait_for_selector(".no-image >> text=series 2.25.1 is not in the index")


def test_a_report_is_text(page: Any, site: Any) -> None:
    page.goto(site.image("reportsi"))
    page.wait_for_selector(".document-line >> nth=3")
    header = pydicom.dcmread(Path(site.index.root) / "reportsi.dcm")
    text = page.inner_text(".document")
    for element in header.iterall():
        if element.keyword == "TextValue":
            assert element.value[:40] in text


@pytest.mark.apt("npm", "npm")
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_reports_no_violations(page: Any, site: Any, violations: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    show(page, site, "one006", tab="masks")
    page.wait_for_selector(".mask-row:has-text('GTV')")
    page.wait_for_selector(".mask-row:has-text('Lesion')")
    found = {"slices": violations()}
    page.goto(site.image("reportsi"))
    page.wait_for_selector(".document-line >> nth=3")
    found["report"] = violations()
    series = site.index.series.where("volumes > 0")[0].series_id
    page.goto(site.url(f"/volume/{series}/0"))
    page.wait_for_selector(".volume-page .mask-row:has-text('Lesion')")
    found["planes"] = violations()
    assert found == {"slices": [], "report": [], "planes": []}

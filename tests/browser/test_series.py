"""Series in the browser: grid by series, slices, gaps, cine, and planes with a crosshair."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from playwright.sync_api import expect

import wetread as wr
from wetread.boxes.stroke_log import StrokeLog
from wetread.testing.dicom import changed, dicom_file, element, picture
from wetread.testing.series import stack, write
from wetread.viewer.annotations import Writing

pytestmark = pytest.mark.apt("chromium", "chromium")

DRAWN = ".stage[data-drawn^='exact'], .stage[data-drawn^='smooth']"
SIZE, COUNT, STEP = 64, 40, 2.5


def ct(**more: Any) -> list[dict[str, Any]]:
    """CT whose stored value is 1000 + slice + column + 10 x row (modulo 100)."""
    slices = stack(COUNT, step=STEP, rows=SIZE, columns=SIZE, RescaleIntercept="-1024", **more)
    row, column = np.mgrid[:SIZE, :SIZE]
    for n, one in enumerate(slices):
        values = 1000 + n + column + 10 * (row % 100)
        one |= {"pixels": values.astype("<u2").tobytes(), "RescaleSlope": "1", "RescaleType": "HU"}
    return slices


def cine(frames: int = 75) -> bytes:
    values = np.repeat(np.arange(frames, dtype="<u2") * 40, 24 * 24).tobytes()
    more = [
        element("NumberOfFrames", str(frames)),
        element("PixelData", values, vr="OW"),
        element("Modality", "XA"),
    ]
    return dicom_file(changed(picture(90, 24, 24), *more))


def enhanced_mr() -> bytes:
    """One Enhanced MR file of two stacks: 6 axial and 4 sagittal slices of 64 x 64 pixels."""
    stacks = {"1": (6, ["1", "0", "0", "0", "1", "0"], 2), "2": (4, [*list("0100"), "0", "-1"], 0)}
    items = []
    for name, (count, orientation, axis) in stacks.items():
        for n in range(count):
            position = ["0", "0", "0"]
            position[axis] = str(4 * n)
            groups = {
                "FrameContentSequence": [element("StackID", name)],
                "PlanePositionSequence": [element("ImagePositionPatient", position)],
                "PlaneOrientationSequence": [element("ImageOrientationPatient", orientation)],
                "PixelMeasuresSequence": [element("PixelSpacing", ["1", "1"])],
            }
            macros = (element(key, [changed([], *inner)]) for key, inner in groups.items())
            items.append(sorted(macros, key=lambda one: one.tag))
    more = [
        element("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4.1"),
        element("Modality", "MR"),
        element("SeriesInstanceUID", "2.25.90"),
        element("NumberOfFrames", str(len(items))),
        element("PerFrameFunctionalGroupsSequence", items),
        element("PixelData", np.arange(len(items) * 64 * 64, dtype="<u2").tobytes(), vr="OW"),
    ]
    return dicom_file(changed(picture(90, 64, 64), *more))


@pytest.fixture(scope="module")
def series(
    tmp_path_factory: pytest.TempPathFactory, real_file: Callable[[str], Path], start_site: Any
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("series")
    write(folder / "whole", ct(SeriesInstanceUID="2.25.70"))
    other = ct(SeriesInstanceUID="2.25.71", SeriesDescription="other")[::4]
    write(
        folder / "other", [{**one, "SOPInstanceUID": f"2.25.72.{n}"} for n, one in enumerate(other)]
    )
    damaged = ct(FrameOfReferenceUID="2.25.5")
    copy = {**damaged[5], "SOPInstanceUID": "2.25.99"}
    write(folder / "damaged", [*damaged[:20], *damaged[21:], copy])
    (folder / "cine.dcm").write_bytes(cine())
    (folder / "enhanced.dcm").write_bytes(enhanced_mr())
    shutil.copy(real_file("reportsi.dcm"), folder)
    (folder / "notes.txt").write_text("no DICOM")
    site = start_site(wr.scan(folder, progress=False), title="series")
    site.images = {image.path: image for image in site.index}
    site.volume = whole(site).volume
    yield site
    site.handle.stop()


def whole(site: Any) -> Any:
    """The series of 40 slices without a gap."""
    return next(one for one in site.index.series if one.files == COUNT and one.volumes)


def show(page: Any, site: Any, path: str, **state: Any) -> None:
    page.goto(site.image(path, **state))
    page.wait_for_selector(DRAWN)
    page.wait_for_selector(".frames:not([hidden])")


def number(page: Any) -> str:
    return str(page.inner_text(".frames .number"))


def test_one_tile_per_series_opens_its_middle_slice(page: Any, series: Any) -> None:
    page.goto(series.url())
    page.wait_for_selector(".tile img")
    page.keyboard.press("s")
    page.until("document.querySelector('.total').textContent === '7 series'")
    page.wait_for_selector(".tile >> text=40 slices")
    texts = page.locator(".tile").all_inner_texts()
    assert any(re.search(r"whole\s+CT · 40 slices", text) for text in texts)
    damaged = page.locator(".tile", has_text="damaged")
    assert damaged.locator(".badge.error").get_attribute("title").startswith("SLICE_DUPLICATED")
    page.locator(".tile", has_text="whole").click()
    page.until("document.querySelector('.frames .number').textContent === '21 / 40'")
    expect(page.locator(".path")).to_have_text("whole/020.dcm")
    page.keyboard.press("ArrowLeft")  # the previous series
    page.until("!document.querySelector('.path').textContent.startsWith('whole')")
    page.keyboard.press("Escape")
    page.wait_for_selector(".tile[aria-selected='true']")
    page.until(lambda: "group=series" in page.address())


def test_studies_open_as_their_series(page: Any, series: Any) -> None:
    page.goto(series.url("/grid?group=study"))
    page.locator(".tile", has_text="3 series").click()
    page.until("document.querySelector('.total').textContent === '3 series'")
    expect(page.locator(".chips")).to_contain_text("md5(StudyInstanceUID)")


def test_slices_by_keys_wheel_and_slider(page: Any, series: Any, fetch_log: Any) -> None:
    show(page, series, "whole/010.dcm")
    page.until("document.querySelector('.frames .number').textContent === '11 / 40'")
    expect(page.locator(".slice-note")).to_have_text("125 mm")
    page.keyboard.press("ArrowDown")
    page.until("document.querySelector('.path').textContent === 'whole/011.dcm'")
    page.until(lambda: any(series.images["whole/014.dcm"].id in u for u, _ in fetch_log("/pixels")))
    page.mouse.move(300, 300)
    page.mouse.wheel(0, 150)
    page.until("document.querySelector('.frames .number').textContent === '15 / 40'")
    page.keyboard.press("End")
    page.until("document.querySelector('.path').textContent === 'whole/039.dcm'")
    page.fill(".frames input", "3")
    page.until("document.querySelector('.path').textContent === 'whole/003.dcm'")
    assert series.images["whole/003.dcm"].id in page.address()
    page.reload()
    page.wait_for_selector(DRAWN)
    page.until("document.querySelector('.frames .number').textContent === '4 / 40'")


def test_every_slice_shows_its_own_pixels(page: Any, series: Any) -> None:
    show(page, series, "whole/000.dcm", zoom=8)
    page.mouse.move(400, 300)
    for n in range(1, 6):
        page.keyboard.press("ArrowDown")
        page.until(f"document.querySelector('.path').textContent === 'whole/00{n}.dcm'")
        page.mouse.move(400 + n % 2, 300)
        page.until("/HU/.test(document.querySelector('.probe').textContent)")
        text = page.inner_text(".probe")
        found = re.search(r"stored (\d+).*?x (\d+), y (\d+)", text, re.DOTALL)
        stored, x, y = map(int, found.groups())
        assert series.images[f"whole/00{n}.dcm"].pixels()[y, x] == stored


def test_a_missing_and_a_doubled_slice_are_marked(page: Any, series: Any) -> None:
    show(page, series, "damaged/019.dcm", tab="info")
    page.wait_for_selector(".slice-note .badge >> text=SLICE_MISSING")
    expect(page.locator(".slice-mark.error")).to_have_count(1)
    expect(page.locator(".slice-mark.warning")).to_have_count(1)
    page.click("li.problem:has-text('SLICE_DUPLICATED') button")
    page.wait_for_selector(".slice-note .badge >> text=SLICE_DUPLICATED")
    page.until("document.querySelector('.path').textContent === 'damaged/039.dcm'")
    expect(page.locator(".frames button.word")).to_be_hidden()  # no volume, no planes


def test_cine_of_75_frames(page: Any, series: Any) -> None:
    show(page, series, "cine.dcm")
    page.until(lambda: number(page) == "1 / 75")
    page.keyboard.press("Space")
    page.until("document.querySelector('.frames .number').textContent === '6 / 75'")
    page.keyboard_now.press("Space")
    stopped = int(number(page).split()[0])
    page.keyboard.press("PageDown")
    assert number(page) == f"{min(stopped + 10, 75)} / 75"


def test_one_file_of_several_stacks(page: Any, series: Any) -> None:
    show(page, series, "enhanced.dcm")
    page.until("document.querySelector('.frames .number').textContent === '1 / 6'")
    names = page.locator(".stack-list option").all_inner_texts()
    assert [name.split(",")[0] for name in names] == ["1 · axial", "2 · sagittal"]
    page.select_option(".stack-list", "1")
    page.until("document.querySelector('.frames .number').textContent === '3 / 4'")
    page.keyboard.press("Home")
    page.until("document.querySelector('.frames .number').textContent === '1 / 4'")
    page.until("document.querySelector('.overlay').textContent.startsWith('AP')")
    page.keyboard.press("v")
    page.until("document.querySelector('.sagittal .corner').textContent.endsWith('/ 4')")
    page.wait_for_selector(".sagittal .stage[data-slice]")


def test_sides_of_the_patient(page: Any, series: Any) -> None:
    show(page, series, "whole/010.dcm")
    page.wait_for_selector(".overlay .side >> nth=3")
    sides = page.locator(".overlay .side").all_text_contents()
    assert sides[:4] == ["R", "L", "A", "P"]
    page.keyboard.press("a")
    assert page.locator(".overlay .side").all_text_contents()[:4] == ["P", "A", "R", "L"]
    page.keyboard.press("h")
    assert page.locator(".overlay .side").all_text_contents()[:4] == ["A", "P", "R", "L"]


def test_slices_keep_the_rotation(page: Any, series: Any) -> None:
    show(page, series, "whole/010.dcm", rotate=90)
    page.keyboard.press("ArrowDown")
    page.until("document.querySelector('.frames .number').textContent.startsWith('12 /')")
    page.wait_for_selector(DRAWN)
    expect(page.locator(".turned")).to_have_text("rotated 90°")
    page.until(lambda: "rotate=90" in page.address())
    page.keyboard.press("v")
    page.wait_for_selector(".axial .stage[data-slice]")
    page.until(lambda: "rotate" not in page.address())
    page.keyboard.press("v")
    page.wait_for_selector(".image-page:not([hidden])")
    expect(page.locator(".turned")).to_have_text("")


def open_planes(page: Any, site: Any, **state: Any) -> None:
    series_id = whole(site).series_id
    query = "&".join(f"{name}={value}" for name, value in state.items())
    page.goto(site.url(f"/volume/{series_id}/0" + (f"?{query}" if query else "")))
    for name in ("axial", "coronal", "sagittal"):
        page.wait_for_selector(f".{name} .stage[data-slice]")


def position(page: Any) -> list[float]:
    text = page.inner_text(".volume-page .probe span").replace("−", "-")
    return [float(v) for v in re.findall(r"-?[\d.]+", text)]


def test_a_click_gives_the_position_and_value_of_simpleitk(page: Any, series: Any) -> None:
    volume = series.volume
    image = SimpleITK.GetImageFromArray(volume.array)
    image.SetOrigin(volume.affine[:3, 3])
    image.SetSpacing(volume.spacing[::-1])
    image.SetDirection((volume.affine[:3, 2::-1] / volume.spacing[::-1]).ravel())
    open_planes(page, series)
    for name in ("axial", "coronal", "sagittal"):
        box = page.locator(f".{name} .stage").bounding_box()
        at = round(box["x"] + 0.45 * box["width"]), round(box["y"] + 0.4 * box["height"])
        page.mouse.click(*at)
        page.until(f"document.querySelector('.{name} .stage').contains(document.activeElement)")
        found = re.search(r"at=([-\d.,]+)", page.address())
        mm = [float(value) for value in found.group(1).split(",")]
        index = clicked_index(page, name, at, volume)
        assert mm == pytest.approx(image.TransformContinuousIndexToPhysicalPoint(index), abs=1e-3)
        page.until(lambda mm=mm: position(page) == pytest.approx(mm, abs=0.006))
        value = image.GetPixel(*(int(np.floor(v + 0.5)) for v in index))
        text = f"→ {value:g} HU".replace("-", "−")
        page.until(f"document.querySelector('.volume-page b').textContent.includes('{text}')")


def clicked_index(page: Any, name: str, at: Any, volume: Any) -> list[float]:
    """Continuous index (column, row, slice) of a click on the fitted plane."""
    here = page.inner_text(".volume-page .probe .quiet")
    slice_, row, column = (int(v) - 1 for v in re.findall(r"\d+", here))
    pixel, box = min(volume.spacing[1:]), page.locator(f".{name} .stage").bounding_box()
    height = {"axial": SIZE}.get(name, int(np.ceil((COUNT - 0.5) * STEP / pixel)))
    wide, high = page.eval_on_selector(f".{name} canvas", "one => [one.width, one.height]")
    zoom = min((wide - 24) / SIZE, (high - 24) / height)
    left = -round(SIZE / 2 * zoom - wide / 2)
    top = -round(height / 2 * zoom - high / 2)
    x = (at[0] - box["x"] - left) / zoom - 0.5
    y = (at[1] - box["y"] - top) / zoom - 0.5
    if name == "axial":
        return [x, y, slice_]
    depth = (height - 1 - y) * pixel / STEP
    return [x, row, depth] if name == "coronal" else [column, x, depth]


def test_wheel_and_keys_move_the_planes(page: Any, series: Any) -> None:
    open_planes(page, series)
    expect(page.locator(".axial .corner")).to_have_text("axial 20 / 40")
    page.mouse.move(300, 300)
    page.mouse.wheel(0, 100)
    page.until("document.querySelector('.axial .corner').textContent === 'axial 22 / 40'")
    page.until("document.querySelector('.axial .stage').dataset.slice === '18'")
    page.focus(".axial .stage")
    page.keyboard.press("PageUp")
    page.until("document.querySelector('.axial .corner').textContent === 'axial 21 / 40'")
    page.keyboard.press("ArrowRight")
    page.until("document.querySelector('.sagittal .corner').textContent === 'sagittal 34 / 64'")
    page.keyboard.press("ArrowUp")
    page.until("document.querySelector('.coronal .corner').textContent === 'coronal 32 / 64'")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # past the slider
    page.keyboard.press("Home")
    page.until("document.querySelector('.coronal .corner').textContent === 'coronal 1 / 64'")


def test_the_window_is_shared_and_the_address_restores_planes(page: Any, series: Any) -> None:
    open_planes(page, series, window="40,400", zoom=6, at="-10,-20,130")
    expect(page.locator(".volume-page .caption")).to_have_text("40/400")
    page.keyboard.press("4")
    page.until("document.querySelector('.volume-page .caption').textContent === 'lung −600/1500'")
    page.keyboard.press("w")
    page.mouse.move(300, 300)
    page.mouse.down()
    page.mouse.move(340, 320)
    page.mouse.up()
    caption, before = page.inner_text(".volume-page .caption"), page.address()
    assert caption.startswith("−")
    assert "zoom=6" in before
    assert "at=-10,-20,130" in before
    page.reload()
    page.wait_for_selector(".sagittal .stage[data-slice]")
    assert page.address() == before
    expect(page.locator(".volume-page .caption")).to_have_text(caption)
    page.keyboard.press("v")  # the slice through the crosshair
    page.until("document.querySelector('.path').textContent === 'whole/012.dcm'")
    page.wait_for_selector(".frames button.word:not([hidden])")
    page.keyboard.press("v")
    expect(page.locator(".axial .stage")).to_have_attribute("data-slice", "12")


def test_another_volume_keeps_the_crosshair(page: Any, series: Any) -> None:
    open_planes(page, series, at="-10,-20,130")
    names = page.locator(".volume-list option").all_inner_texts()
    assert len(names) == 2
    page.select_option(".volume-list", label=next(name for name in names if "10 slices" in name))
    page.until("document.querySelector('.axial .corner').textContent.endsWith('/ 10')")
    page.wait_for_selector(".axial .stage[data-slice='3']")
    page.until(lambda: position(page) == [-10, -20, 130])


def test_a_volume_above_the_limit_says_so(page: Any, series: Any, start_site: Any) -> None:
    settings = wr.Settings(volume_cache_bytes=1000)
    site = start_site(series.index, settings=settings)
    try:
        page.goto(site.url(f"/volume/{whole(series).series_id}/0"))
        page.wait_for_selector(".status .message >> text=only its slices are shown")
    finally:
        site.handle.stop()


@pytest.mark.apt("npm", "npm")
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_reports_no_violations(page: Any, series: Any, violations: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    show(page, series, "damaged/019.dcm", tab="info")
    page.wait_for_selector(".slice-note .badge")
    found = {"slices": violations()}
    page.goto(series.url("/grid?group=series"))
    page.wait_for_selector(".tile img")
    found["series"] = violations()
    open_planes(page, series)
    found["planes"] = violations()
    assert found == {"slices": [], "series": [], "planes": []}


@pytest.fixture
def writing(page: Any, series: Any, open_site: Callable[..., Any], tmp_path: Path) -> Any:
    """Viewer of a reader who draws boxes, at the slice `whole/010.dcm`."""
    site = open_site(series.index, writing=Writing(StrokeLog(tmp_path, "R1"), ("A",), blind=True))
    site.images = series.images
    show(page, site, "whole/010.dcm")
    page.wait_for_selector(".annotate[aria-busy=false]")
    page.until("document.querySelector('.frames .number').textContent === '11 / 40'")
    page.click("[aria-label^='Draw a box']")
    page.mouse.move(300, 300)
    page.mouse.down()
    page.mouse.move(380, 380)
    return site


def test_a_box_moved_by_keys_stays_on_its_slice(page: Any, writing: Any, tmp_path: Path) -> None:
    """The step is saved 0.4 s later, when another slice may be shown."""
    page.mouse.up()
    page.until(lambda: len(wr.read_boxes(tmp_path)) == 1)
    before = wr.read_boxes(tmp_path).corners
    page.keyboard.press("ArrowRight")
    page.mouse.wheel(0, 150)
    page.until("document.querySelector('.path').textContent !== 'whole/010.dcm'")
    page.until(lambda: (wr.read_boxes(tmp_path).corners != before).any())
    boxes = wr.read_boxes(tmp_path, images=writing.index).table
    assert boxes["image"].to_pylist() == [writing.images["whole/010.dcm"].id]


def test_a_drag_is_dropped_if_the_slice_changes(page: Any, writing: Any, tmp_path: Path) -> None:
    page.mouse.wheel(0, 150)
    page.until("document.querySelector('.path').textContent !== 'whole/010.dcm'")
    page.wait_for_selector(".annotate[aria-busy=false]")
    page.mouse.move(420, 420)
    page.mouse.up()
    page.click(".annotate .choice:has-text('No finding')")
    page.wait_for_selector(".saved[data-state=saved]")
    page.until(lambda: len(wr.read_boxes(tmp_path)) == 1)
    assert wr.read_boxes(tmp_path).table["kind"].to_pylist() == ["nothing"]

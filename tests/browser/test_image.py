"""Image page: windows, zoom, probe, ruler, frames, series, header, broken files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.apt("chromium", "chromium")

DRAWN = ".stage[data-drawn^='exact'], .stage[data-drawn^='smooth']"


def show(page: Any, site: Any, name: str, **state: Any) -> None:
    page.goto(site.image(name, **state))
    page.wait_for_selector(DRAWN)


LOG_DRAWN = """() => {
  const stage = document.querySelector(".stage"), log = window.drawn = [];
  const observer = new MutationObserver(() => log.push(stage.dataset.drawn ?? ""));
  observer.observe(stage, { attributes: true, attributeFilter: ["data-drawn"] });
}"""
"""A fast picture is soon replaced by a sharp one: both are in the list `drawn`."""


def still(page: Any) -> bytes:
    """Screenshot of the page, once two of them are equal."""
    shots = [b"", page.screenshot()]
    while shots[-2] != shots[-1]:
        page.wait_for_timeout(200)
        shots.append(page.screenshot())
    return shots[-1]


def caption(page: Any) -> str:
    return str(page.text_content(".caption"))


def field(page: Any, name: str) -> float:
    return float(page.input_value(f"[data-field={name}]"))


def drag(page: Any, dx: int, dy: int, at: tuple[int, int] = (400, 300)) -> None:
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0] + dx // 2, at[1] + dy // 2)
    page.mouse.move(at[0] + dx, at[1] + dy)
    page.mouse.up()


def test_dragging_changes_the_window_by_the_range(page: Any, mixed: Any) -> None:
    show(page, mixed, "linear")
    center, width = field(page, "center"), field(page, "width")
    drag(page, 64, -32)
    values = mixed.images["linear"].values()
    step = float(values.max() - values.min()) / 1024  # 1,024 pixels are the range of the image
    page.until(lambda: field(page, "width") == pytest.approx(width + 64 * step, abs=step))
    page.until(lambda: field(page, "center") == pytest.approx(center - 32 * step, abs=step))
    page.until(lambda: f"window={page.input_value('[data-field=center]')}," in page.address())


def test_drag_from_a_look_up_table_starts_at_auto(page: Any, mixed: Any) -> None:
    show(page, mixed, "vlut_04")
    page.until(lambda: caption(page).startswith("VOI LUT"))
    drag(page, 0, 64)
    values = mixed.images["vlut_04"].values()
    step = float(values.max() - values.min()) / 1024
    auto = mixed.images["vlut_04"].render("auto").view
    page.until(lambda: field(page, "width") == pytest.approx(auto.width, abs=1))
    page.until(lambda: field(page, "center") == pytest.approx(auto.center + 64 * step, abs=1))


def test_drag_with_windowing_on_the_server(page: Any, mixed: Any) -> None:
    show(page, mixed, "rtdose_1frame")
    width = field(page, "width")
    stage = page.locator(".stage")
    before = stage.screenshot()
    drag(page, 150, 100)
    page.until(lambda: field(page, "width") > width)
    page.until(lambda: stage.screenshot() != before)
    page.wait_for_selector(".stage:not([aria-busy])")


def test_typed_window(page: Any, mixed: Any) -> None:
    show(page, mixed, "CT_small")
    page.fill("[data-field=center]", "40")
    page.press("[data-field=center]", "Enter")
    page.fill("[data-field=width]", "400")
    page.press("[data-field=width]", "Enter")
    assert (field(page, "low"), field(page, "high")) == (-160, 239)  # PS3.3 C.11.2.1.2.1
    page.fill("[data-field=high]", "839")
    page.press("[data-field=high]", "Enter")
    assert (field(page, "center"), field(page, "width")) == (340, 1000)
    page.until(lambda: "window=340,1000" in page.address())
    page.fill("[data-field=width]", "-5")
    page.press("[data-field=width]", "Enter")
    page.until(lambda: field(page, "width") == 1000)


def test_window_keys(page: Any, mixed: Any) -> None:
    show(page, mixed, "CT_small")
    for key, text in (("4", "lung −600/1500"), ("3", "soft 40/400"), ("f", "full"), ("0", "auto")):
        page.keyboard.press(key)
        page.until(lambda text=text: caption(page).startswith(text))
    page.keyboard.press("1")
    expect(page.locator(".status .message")).to_contain_text("no window")


def test_ct_presets_are_for_ct_in_hu(page: Any, mixed: Any) -> None:
    show(page, mixed, "linear")
    before = caption(page)
    page.keyboard.press("4")
    page.until(lambda: caption(page) == before)
    expect(page.locator(".status .message")).to_contain_text("CT in HU")
    expect(page.locator(".window-list")).not_to_contain_text("lung")


def test_keys_are_ignored_while_typing(page: Any, mixed: Any) -> None:
    show(page, mixed, "CT_small")
    page.focus("[data-field=center]")
    page.keyboard.type("4i")
    page.until(lambda: caption(page).startswith("auto"))
    expect(page.locator("[aria-label^=Invert]")).to_have_attribute("aria-pressed", "false")


def test_zoom_at_the_pointer_and_back(page: Any, mixed: Any) -> None:
    show(page, mixed, "CT_small")
    page.mouse.move(300, 250)
    before = page.inner_text(".probe").splitlines()[1]
    fitted = page.inner_text(".zoom")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -240)
    page.keyboard.up("Control")
    page.until(lambda: page.inner_text(".zoom") != fitted)
    page.mouse.move(301, 250)
    page.mouse.move(300, 250)
    assert page.inner_text(".probe").splitlines()[1] == before
    page.keyboard.press("z")
    expect(page.locator(".zoom")).to_have_text("100 %")
    page.keyboard.press("+")
    expect(page.locator(".zoom")).to_have_text("150 %")
    page.keyboard.press("=")
    expect(page.locator(".zoom")).to_have_text(fitted)
    page.until(lambda: "zoom" not in page.address())


def test_probe_shows_stored_and_modality_values(page: Any, mixed: Any) -> None:
    show(page, mixed, "CT_small", zoom=4)
    page.mouse.move(333, 222)
    text = page.inner_text(".probe")
    stored, value, x, y, mm_x, mm_y = map(
        float,
        re.match(
            r"stored (\S+) → (\S+) HU\s+x (\d+), y (\d+)\s+([\d.]+), ([\d.]+) mm",
            text.replace("−", "-"),
        ).groups(),
    )
    image = mixed.images["CT_small"]
    assert image.pixels()[int(y), int(x)] == stored
    assert image.values()[int(y), int(x)] == value
    spacing = image.spacing
    assert mm_x == pytest.approx((x + 0.5) * spacing.column, rel=1e-3)
    assert mm_y == pytest.approx((y + 0.5) * spacing.row, rel=1e-3)


def test_ruler_in_mm(page: Any, mixed: Any) -> None:
    show(page, mixed, "CT_small", zoom=4)
    page.keyboard.press("m")
    drag(page, 120, 160)  # 30 and 40 pixels of the image
    column = mixed.images["CT_small"].spacing.column
    expect(page.locator(".ruler-text")).to_have_text(f"{50 * column:.1f} mm (PixelSpacing)")
    page.keyboard.press("Escape")
    expect(page.locator(".ruler-text")).to_have_count(0)


def test_ruler_without_spacing_is_in_pixels(page: Any, mixed: Any) -> None:
    show(page, mixed, "linear", zoom=4)
    page.keyboard.press("m")
    drag(page, 40, 0)
    expect(page.locator(".ruler-text")).to_have_text("10.0 px (no spacing in the header)")


def test_frames_by_keys_wheel_and_cine(page: Any, mixed: Any) -> None:
    show(page, mixed, "movie")

    def frame() -> str:
        return str(page.inner_text(".frames .number"))

    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.until(lambda: frame() == "3 / 6")
    page.mouse.move(300, 300)
    page.mouse.wheel(0, 100)
    page.until("document.querySelector('.frames .number').textContent === '5 / 6'")
    page.keyboard.press("Home")
    page.until(lambda: frame() == "1 / 6")
    page.keyboard.press("End")
    page.until(lambda: "frame=5" in page.address())
    page.keyboard.press("Space")
    page.until("document.querySelector('.frames .number').textContent === '2 / 6'")
    page.keyboard_now.press("Space")
    stopped = frame()
    page.wait_for_timeout(250)
    assert frame() == stopped


def test_auto_window_follows_the_frame(page: Any, mixed: Any) -> None:
    show(page, mixed, "rtdose", window="full", frame=14)
    direct = caption(page)
    show(page, mixed, "rtdose", window="full", frame=13)
    before = caption(page)
    page.keyboard.press("ArrowDown")
    page.until(f"document.querySelector('.caption').textContent === {json.dumps(direct)}")
    assert before != direct


def test_series_in_order(page: Any, mixed: Any) -> None:
    show(page, mixed, "stack2", window="500,900")
    page.keyboard.press("ArrowDown")
    page.until("document.querySelector('.path').textContent === 'stack3.dcm'")
    page.mouse.move(300, 300)
    page.mouse.wheel(0, -50)
    page.until("document.querySelector('.path').textContent === 'stack2.dcm'")
    page.until(lambda: "window=500,900" in page.address())


def test_next_image_follows_the_filter(page: Any, mixed: Any) -> None:
    ids = mixed.index.where("Modality = 'DX'").to_pandas()["path"].tolist()
    show(page, mixed, ids[0].removesuffix(".dcm"), where="Modality = 'DX'")
    page.until(f"document.querySelector('.position').textContent === '1 / {len(ids)}'")
    page.keyboard.press("ArrowRight")
    page.until(f"document.querySelector('.position').textContent === '2 / {len(ids)}'")
    page.until(f"document.querySelector('.path').textContent === {json.dumps(ids[1])}")
    page.go_back()
    page.until(f"document.querySelector('.position').textContent === '1 / {len(ids)}'")
    page.until(f"document.querySelector('.path').textContent === {json.dumps(ids[0])}")


def test_address_restores_the_view(page: Any, mixed: Any) -> None:
    show(page, mixed, "CT_small", window="-600,1500", zoom=5.5, x=60, y=70, tab="header", invert=1)
    before = page.address()
    page.wait_for_selector(".tree .element")
    page.wait_for_selector(".corner div")  # the series is known
    page.evaluate("document.querySelector('.stage').focus()")
    shot = still(page)
    page.reload()
    page.wait_for_selector(DRAWN)
    page.wait_for_selector(".tree .element")
    page.wait_for_selector(".corner div")  # the series is known
    page.evaluate("document.querySelector('.stage').focus()")
    assert page.address() == before
    page.until(lambda: page.screenshot() == shot)


def test_preview_then_required_scale(page: Any, phantoms: Any, fetch_log: Any) -> None:
    name = next(iter(phantoms.images))
    show(page, phantoms, name, zoom=0.25)
    called = [url for url, by in fetch_log("/images/") if by > 0]
    first, second = [url for url in called if "preview" in url or "pixels" in url][:2]
    assert "preview" in first
    assert "scale=4" in second
    page.keyboard.press("z")
    page.wait_for_selector(".stage[data-drawn='exact 1']")
    assert fetch_log("scale=1")


def test_header_with_search_and_sequences(page: Any, mixed: Any) -> None:
    show(page, mixed, "vlut_04")
    page.keyboard.press("t")
    page.wait_for_selector(".tree .element")
    page.keyboard.press("/")
    page.keyboard.type("lutdescr")
    page.until("document.querySelectorAll('.tree .element').length === 1")
    expect(page.locator(".tree details[open] >> text=LUTDescriptor")).to_be_visible()
    page.fill("[aria-label='Search the header']", "(0028,0010)"[1:-1])
    page.wait_for_selector(".tree .element:only-child .keyword >> text=Rows")


def test_header_masks_names_and_escapes_text(page: Any, mixed: Any) -> None:
    name = next(name for name in mixed.images if name.startswith("hostile"))
    show(page, mixed, name, tab="header")
    page.wait_for_selector(".tree .masked")
    expect(page.locator(".tree")).not_to_contain_text("onerror")
    expect(page.locator(".path")).to_contain_text("onerror")
    expect(page.locator("img[src=x]")).to_have_count(0)


@pytest.mark.parametrize(
    ("name", "code"),
    [("JPEG2000-embedded-sequence-delimiter", "UNDECODABLE"), ("README", "NOT_DICOM")],
)
def test_a_broken_file_shows_its_problem(page: Any, mixed: Any, name: str, code: str) -> None:
    page.goto(mixed.image(name))
    page.wait_for_selector(".no-image h2")
    assert code in page.inner_text(".image-page")
    page.keyboard.press("ArrowLeft")
    page.until(f"!document.querySelector('.path').textContent.startsWith('{name}')")


def test_dragging_draws_at_once(page: Any, phantoms: Any) -> None:
    show(page, phantoms, next(iter(phantoms.images)))
    page.evaluate(LOG_DRAWN)
    page.mouse.move(400, 300)
    page.mouse.down()
    page.mouse.move(480, 330)
    page.until("drawn.some((one) => one.startsWith('nearest'))")
    page.mouse.up()
    page.wait_for_selector(".stage[data-drawn^='smooth']")
    assert np.isfinite(field(page, "width"))


def test_the_next_image_is_prefetched_after_a_late_position(page: Any, phantoms: Any) -> None:
    held: list[Any] = []
    page.seconds = 1
    page.route("**/api/position*", lambda route: held.append(route))
    page.goto(phantoms.image(Path(phantoms.index[0].path).stem))
    page.wait_for_selector(DRAWN)
    page.until(lambda: held)
    with page.expect_response(lambda answer: f"{phantoms.index[1].id}/pixels" in answer.url):
        held[0].continue_()


def test_an_arrow_waits_for_the_position_in_the_list(page: Any, phantoms: Any) -> None:
    held: list[Any] = []
    page.seconds = 1
    page.route("**/api/position*", lambda route: held.append(route))
    page.goto(phantoms.image(Path(phantoms.index[0].path).stem))
    page.until(lambda: held)
    page.keyboard.press("ArrowRight")
    held[0].continue_()
    page.until(f"location.hash.includes('{phantoms.index[1].id}')")

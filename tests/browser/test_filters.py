"""Labels, readers, scores and outcomes on the page: facets, SQL, orders, boxes on thumbnails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

import wetread as wr
from wetread.boxes import Boxes
from wetread.testing.dicom import changed, dicom_file, element, picture
from wetread.viewer.handle import serve

pytestmark = pytest.mark.apt("chromium", "chromium")


def show(page: Any, site: Any, fragment: str = "/grid") -> None:
    page.goto(site.url(fragment))
    page.wait_for_selector(".tile .name")
    page.wait_for_selector("[data-column=label] .facet-value")


def total(page: Any, count: int, site: Any) -> None:
    text = f"{count} of {len(site.index)} rows"
    page.until(f"document.querySelector('.total').textContent === {json.dumps(text)}")


def images(boxes: Boxes, **values: str) -> set[str]:
    rows = boxes.table.to_pylist()
    return {row["image"] for row in rows if all(row[k] == v for k, v in values.items())}


def test_facets_of_labels_and_readers(page: Any, phantoms: Any) -> None:
    show(page, phantoms, "/grid?score=1")  # no predictions
    label = phantoms.readers.labels[0]
    value = page.locator("[data-column=label] .facet-value", has_text=label)
    count = len(images(phantoms.readers, label=label))
    assert int(value.locator(".number").inner_text()) == count
    value.click()
    total(page, count, phantoms)
    reader = page.locator("[data-column=reader] .facet-value").first
    name, number = (reader.locator("span").nth(n).inner_text() for n in (0, 1))
    reader.click()
    assert int(number) == len(images(phantoms.readers, label=label, reader=name))
    total(page, int(number), phantoms)
    page.go_back()
    total(page, count, phantoms)


def test_sql_by_boxes(page: Any, phantoms: Any) -> None:
    show(page, phantoms)
    page.keyboard.press("f")
    page.keyboard.type("boxes > 3")
    page.keyboard.press("Enter")
    ids = [row["image"] for row in phantoms.readers.table.to_pylist() if row["kind"] == "box"]
    total(page, sum(ids.count(id_) > 3 for id_ in set(ids)), phantoms)
    badges = page.locator(".tile .badge.boxes").all_inner_texts()
    assert all(int(text.split()[-1]) > 3 for text in badges)


def test_outcomes_follow_the_minimum_score(page: Any, phantoms: Any) -> None:
    show(page, phantoms)
    best = float(page.input_value(".thresholds [data-field=score]"))
    assert 0 < best < 1
    expect(page.locator(".thresholds")).to_contain_text("the best F1")
    page.locator("[data-column=outcome] .facet-value", has_text="FP").click()
    page.wait_for_selector(".condition >> text=outcome = 'FP'")
    page.fill(".thresholds [data-field=score]", "1")
    total(page, 0, phantoms)
    page.wait_for_selector(".empty >> text=No rows match")
    page.until(lambda: "score=1" in page.address())
    page.click(".empty button")
    page.wait_for_selector(".tile .name")


def test_orders_by_disagreement_and_misses(page: Any, phantoms: Any) -> None:
    show(page, phantoms)
    for order in ("disagreement", "false_positive", "missed", "boxes"):
        page.select_option("[aria-label=Order]", order)
        label = page.locator(f"option[value={order}]").inner_text()
        page.wait_for_selector(f".tile .quiet >> text={label}")
        lines = page.eval_on_selector_all(
            ".tile",
            "all => all.map(t => [+t.dataset.index, t.querySelector('.quiet').textContent])",
        )
        words = [line.split()[-1] for _, line in sorted(lines)]
        values = [float(word) for word in words if word != "–"]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) > 1


def test_boxes_on_thumbnails_by_key(page: Any, phantoms: Any) -> None:
    show(page, phantoms)
    page.wait_for_selector(".tile .outlines rect")
    first = page.locator(".tile:has(.outlines)").first
    picture, box = first.locator("img"), first.locator(".outlines rect").first
    outer, inner = picture.bounding_box(), box.bounding_box()
    assert outer["x"] <= inner["x"] + 2
    assert inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 2
    page.keyboard.press("b")
    page.until("document.querySelectorAll('.outlines').length === 0")
    page.until(lambda: "outlines=0" in page.address())
    page.reload()
    page.wait_for_selector(".tile img")
    expect(page.locator(".outlines")).to_have_count(0)
    page.click("[aria-label='Boxes on the thumbnails (B)']")
    page.wait_for_selector(".tile .outlines rect")


def crowd(index: wr.Index, count: int, highest: float) -> Boxes:
    """Many predictions on the first image."""
    rng = np.random.default_rng(1)
    corner, size = rng.uniform(0, 150, (count, 2)), rng.uniform(20, 90, (count, 2))
    sides = {"x0": corner[:, 0], "y0": corner[:, 1]}
    sides |= {"x1": corner[:, 0] + size[:, 0], "y1": corner[:, 1] + size[:, 1]}
    scores = highest * np.linspace(0.1, 1, count)
    names = [index[0].id] * count
    return Boxes.from_columns(
        {"image": names, "key": names, "label": ["Mass"] * count, "score": scores, **sides}
    )


def test_all_predictions_below_the_minimum(page: Any, phantoms: Any, open_site: Any) -> None:
    site = open_site(phantoms.index, phantoms.readers, crowd(phantoms.index, 100, 0.16))
    name = Path(phantoms.index[0].path).stem
    page.goto(site.image(name, score=0.3))
    page.wait_for_selector(".note >> text=100 of 100 below 0.30, highest 0.16")
    page.goto(site.url("/grid?score=0.3"))
    page.wait_for_selector(".thresholds >> text=100 of 100 below 0.30, highest 0.16")
    page.goto(site.image(name))  # none is right: ten per image
    page.wait_for_selector(".marks .fp")
    assert 10 <= page.locator(".marks .fp").count() <= 12


def test_names_thin_out_where_boxes_crowd(page: Any, phantoms: Any, open_site: Any) -> None:
    site = open_site(phantoms.index, phantoms.readers, crowd(phantoms.index, 60, 0.9))
    page.goto(site.image(Path(phantoms.index[0].path).stem, score=0))
    page.wait_for_selector(".marks .fp")
    page.until("document.querySelectorAll('.marks .fp').length === 60")
    page.wait_for_selector(".chip")
    boxes = [chip.bounding_box() for chip in page.locator(".chip").all()]
    assert 5 < len(boxes) <= 20
    for at, one in enumerate(boxes):
        for other in boxes[at + 1 :]:
            apart = (
                one["x"] + one["width"] <= other["x"] + 1
                or other["x"] + other["width"] <= one["x"] + 1
                or one["y"] + one["height"] <= other["y"] + 1
                or other["y"] + other["height"] <= one["y"] + 1
            )
            assert apart
    hidden = page.locator(".mark-row").last
    hidden.click()
    page.wait_for_selector(".mark.selected")


def test_a_stopped_server_is_reported_once(page: Any, phantoms: Any) -> None:
    handle = serve(phantoms.index, phantoms.readers, phantoms.found)
    port, token = handle.port, handle.token
    try:
        page.goto(f"http://127.0.0.1:{port}/#token={token}")
        page.wait_for_selector(".tile .outlines rect")
        page.wait_for_selector("[data-column=label] .facet-value")
        handle.stop()
        page.locator("[data-column=label] .facet-value").first.click()
        page.wait_for_selector(".banner:not([hidden]) >> text=does not respond")
        expect(page.locator(".no-thumbnail, .filter-error:not([hidden])")).to_have_count(0)
        assert page.locator("[data-column=label] .facet-value").count() > 0
        handle = serve(phantoms.index, phantoms.readers, phantoms.found, port=port, token=token)
        page.click(".banner-button")
        page.until("document.querySelector('.banner').hidden")
        page.wait_for_selector(".tile img")
        page.wait_for_selector("[data-column=label] .facet-value[aria-pressed=true]")
    finally:
        handle.stop()


def test_masked_values_say_how_to_show_them(page: Any, mixed: Any) -> None:
    page.goto(mixed.url("/grid?search=onerror%3Dalert%282%29"))
    page.wait_for_selector(".empty >> text=--show-phi")
    expect(page.locator(".facets")).to_contain_text("--show-phi")
    page.goto(mixed.image("linear", tab="header"))
    page.wait_for_selector(".tree .masked")
    page.fill("[aria-label='Search the header']", "smith")
    page.wait_for_selector("#panel-header [role=status] >> text=--show-phi")


def test_tiles_tell_files_apart(page: Any, mixed: Any) -> None:
    page.goto(mixed.url("/grid?search=movie"))
    page.wait_for_selector(".tile .name")
    expect(page.locator(".facts-line .quiet")).to_have_text("DX · 24 × 24 · no. 90 · 6 frames")
    page.goto(mixed.url("/grid?search=README"))
    page.wait_for_selector(".tile >> text=not DICOM: text file")
    page.goto(mixed.url("/grid?search=CT_small"))
    page.wait_for_selector(".facts-line >> text=CT · 128 × 128 · no. 1 · −75.7 mm")


def test_frames_missing_from_the_file_are_reported(
    page: Any, tmp_path: Path, open_site: Any
) -> None:
    values = np.repeat(np.arange(3, dtype="<u2") * 500, 24 * 24).tobytes()  # 3 of 6 frames
    more = [element("NumberOfFrames", "6"), element("PixelData", values, vr="OW")]
    (tmp_path / "cut.dcm").write_bytes(dicom_file(changed(picture(1, 24, 24), *more)))
    page.goto(open_site(wr.scan(tmp_path, progress=False)).image("cut"))
    page.wait_for_selector(".stage:is([data-drawn^=smooth], [data-drawn^=exact])")
    page.keyboard.press("End")
    page.wait_for_selector(".no-image:not([hidden]) >> text=frame 5 is missing")
    expect(page.locator(".frames")).to_be_visible()
    page.keyboard.press("Home")
    page.until("document.querySelector('.no-image').hidden")
    page.wait_for_selector(".stage:is([data-drawn^=smooth], [data-drawn^=exact])")


@pytest.mark.parametrize("width", [360, 600, 900, 1300, 2560])
def test_the_toolbar_fits(page: Any, phantoms: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    name = next(iter(phantoms.images))
    page.goto(phantoms.image(name, tab="boxes", window="-2095.125,3253.875"))
    page.wait_for_selector(".stage:is([data-drawn^=smooth], [data-drawn^=exact])")
    page.wait_for_selector(".tally")
    for button in page.locator(".image-page .bar :is(button, a, select, input)").all():
        if button.is_visible():
            box = button.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
    fields = page.locator(".image-page .field input").all()
    assert all(f.evaluate("f => f.scrollWidth <= f.clientWidth") for f in fields)


def test_the_label_of_the_ruler_stays_inside(page: Any, phantoms: Any) -> None:
    page.goto(phantoms.image(next(iter(phantoms.images))))
    page.wait_for_selector(".stage:is([data-drawn^=smooth], [data-drawn^=exact])")
    page.keyboard.press("m")
    stage = page.locator(".stage").bounding_box()
    right, bottom = stage["x"] + stage["width"], stage["y"] + stage["height"]
    for x, y in ((right - 3, bottom - 3), (stage["x"] + 3, stage["y"] + 3)):
        page.mouse.move(stage["x"] + 300, stage["y"] + 300)
        page.mouse.down()
        page.mouse.move(x, y)
        page.mouse.up()
        label = page.locator(".ruler .chip").bounding_box()
        assert stage["x"] <= label["x"]
        assert label["x"] + label["width"] <= right + 1
        assert stage["y"] <= label["y"]
        assert label["y"] + label["height"] <= bottom + 1

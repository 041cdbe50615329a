"""Take screenshots of the viewer in headless Chromium: docs/pictures/viewer-*.png.

Requires the extra `test` and Chromium: python docs/make_viewer_pictures.py
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import data_store
import highdicom as hd
import httpx
import numpy as np
import pyarrow.compute as pc
import pyarrow.csv
import pydicom
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from pydicom.sr.codedict import codes

import wetread as wr
from wetread.sample import write_sample
from wetread.testing.chromium import launch
from wetread.testing.series import stack, write
from wetread.viewer import Handle

PICTURES = Path(__file__).resolve().with_name("pictures")
MAX_BYTES = 500_000


def write_predictions(labels: Path, to: Path, seed: int = 7) -> Path:
    """Write synthetic predictions: one reader's boxes, moved; some missing, some added."""
    rng = np.random.default_rng(seed)
    rows = pyarrow.csv.read_csv(labels).to_pylist()
    names = sorted({row["class_name"] for row in rows} - {"No finding"})
    lines = ["image_id,class_name,x_min,y_min,x_max,y_max,score"]
    first: dict[str, str] = {}
    for row in rows:
        if first.setdefault(row["image_id"], row["rad_id"]) != row["rad_id"] or not row["x_max"]:
            continue
        if rng.random() < 0.22:
            continue
        x0, y0, x1, y1 = (float(row[name]) for name in ("x_min", "y_min", "x_max", "y_max"))
        spread = 0.06 * np.array([x1 - x0, y1 - y0] * 2)
        moved = np.maximum(np.array([x0, y0, x1, y1]) + rng.standard_normal(4) * spread, 0)
        lines.append(_line(row["image_id"], row["class_name"], moved, rng.beta(6, 2.5)))
        if rng.random() < 0.35:
            elsewhere = moved + rng.uniform(-90, 90, 2).repeat(2).reshape(2, 2).T.ravel()
            elsewhere = np.maximum(elsewhere, 0)
            if elsewhere[2] - elsewhere[0] > 12 and elsewhere[3] - elsewhere[1] > 12:
                label = names[rng.integers(len(names))]
                lines.append(_line(row["image_id"], label, elsewhere, rng.beta(4, 4)))
    to.write_text("\n".join(lines) + "\n")
    return to


def _line(key: str, label: str, corners: np.ndarray, score: float) -> str:
    return ",".join([key, label, *(f"{c:.1f}" for c in corners), f"{score:.3f}"])


@contextmanager
def opened(url: str, theme: str, width: int = 1360, height: int = 850) -> Iterator[Page]:
    """Open a page of the viewer."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=theme, device_scale_factor=1
        )
        page.goto(url)
        yield page
        browser.close()


def save(page: Page, name: str) -> None:
    """Save a screenshot as PNG with 256 colours."""
    page.mouse.move(2, 2)
    page.wait_for_timeout(500)
    path = PICTURES / name
    with Image.open(BytesIO(page.screenshot())) as picture:
        reduce_colours(picture.convert("RGB")).save(path, optimize=True)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SystemExit(f"{path} has {size} bytes, more than {MAX_BYTES}")
    print(f"{path.name}: {size:,} bytes", file=sys.stderr)


def reduce_colours(picture: Image.Image) -> Image.Image:
    """Quantise to 64 grey levels and the 192 most frequent colours, which keeps thin lines."""
    pixels = np.asarray(picture).reshape(-1, 3)
    coloured = pixels[np.ptp(pixels.astype(int), axis=1) > 6]
    colours, counts = np.unique(coloured, axis=0, return_counts=True)
    most = colours[np.argsort(-counts, kind="stable")[:192]]
    greys = np.linspace(0, 255, 64).round().astype(np.uint8)[:, None].repeat(3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([greys, most]).tobytes())
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def draw_grid(url: str, theme: str, name: str) -> None:
    """Take a screenshot of the grid with several facets."""
    with opened(url, theme) as page:
        for column in ("Modality", "problems", "read_status"):
            page.click(f"[data-column={column}] .facet-head")
        for column in ("PhotometricInterpretation", "PatientSex"):
            page.click(f"[data-column={column}] .facet-head")
        page.select_option(".add-facet", "Columns")
        page.locator("[data-column=part] .facet-value", has_text="train").click()
        page.keyboard.press("-")
        incomplete = "[...document.querySelectorAll('.tile')].some(t => !t.querySelector('img'))"
        while page.evaluate(incomplete):
            page.wait_for_timeout(200)
        page.evaluate("document.querySelector('.facets').scrollTop = 0")
        page.locator(".scroller").focus()
        page.keyboard.press("ArrowRight")
        save(page, name)


def draw_image(url: str, theme: str, name: str, keys: str = "") -> None:
    """Take a screenshot of an image, after pressing some keys."""
    with opened(url, theme) as page:
        page.wait_for_selector(".stage[data-drawn^=smooth]")
        page.wait_for_timeout(1500)
        for key in keys.split():
            page.keyboard.press(key)
            page.wait_for_timeout(300)
        save(page, name)


def draw_header(url: str, theme: str, name: str) -> None:
    """Take a screenshot of a header with functional groups and a search."""
    with opened(url, theme) as page:
        page.wait_for_selector(".stage[data-drawn^=smooth]")
        page.wait_for_selector(".tree .element")
        page.fill("[aria-label='Search the header']", "frame")
        save(page, name)


def draw_annotation(index: wr.Index, readers: wr.Boxes) -> None:
    """Take a screenshot of a reader who merges the boxes of others."""
    with tempfile.TemporaryDirectory() as folder:
        options: Any = {"reader": "Ann Lee", "write": folder, "show_others": True}
        with wr.view(index, readers, title="phantoms", **options) as viewer:
            keys = ". y . x . y"
            draw_image(at(viewer, richest(readers)), "dark", "annotate.png", keys)


def write_phantom(folder: Path) -> None:
    """Write a CT of ellipsoids and a SEG of three of them."""
    shape = (110, 200, 240)
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]].astype(np.float32)

    def ellipsoid(centre: Any, radii: Any) -> np.ndarray:
        axes = zip((z, y, x), centre, radii, strict=True)
        return np.asarray(sum(((axis - c) / r) ** 2 for axis, c, r in axes) < 1)

    body = ellipsoid((55, 100, 120), (1e3, 84, 112))
    liver = ellipsoid((62, 92, 78), (40, 48, 52)) & (x + 0.4 * y < 150)
    lesion = ellipsoid((64, 96, 62), (12, 11, 13))
    kidney = ellipsoid((48, 132, 170), (30, 18, 16)) & ~ellipsoid((48, 128, 156), (12, 8, 9))
    spine = ellipsoid((55, 150, 120), (1e3, 17, 17))
    values = np.select([~body, spine, lesion, liver, kidney], [-1000, 260, 30, 75, 130], 15)
    values = values + np.random.default_rng(0).normal(0, 14, shape)
    geometry = {"PixelSpacing": ["1.4", "1.4"], "RescaleIntercept": "-1024", "RescaleSlope": "1"}
    names = {"SeriesDescription": "phantom", "StudyDate": "20260101", "RescaleType": "HU"}
    window = {"WindowCenter": "50", "WindowWidth": "400", "BitsStored": 16, "HighBit": 15}
    slices = stack(shape[0], step=2.5, **geometry, **names, **window)
    for one, plane in zip(slices, values, strict=True):
        pixels = (plane + 1024).clip(0, 4095).astype("<u2").tobytes()
        one |= {"rows": shape[1], "columns": shape[2], "pixels": pixels}
    write(folder, slices)
    images = [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    absent = ("PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyTime")
    for one in images:
        for keyword in (*absent, "AccessionNumber", "ReferringPhysicianName", "Manufacturer"):
            one.setdefault(keyword, "")
        one.setdefault("PositionReferenceIndicator", "")
    organ = codes.SCT.Organ
    kinds = {"Liver": codes.SCT.Liver, "Lesion": codes.SCT.Lesion, "Left kidney": codes.SCT.Kidney}
    manual = hd.seg.SegmentAlgorithmTypeValues.MANUAL
    described = [
        hd.seg.SegmentDescription(number, label, organ, kind, manual)
        for number, (label, kind) in enumerate(kinds.items(), 1)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seg = hd.seg.Segmentation(
            images, np.stack([liver, lesion, kidney], -1), "BINARY", described,
            hd.UID(), 2, hd.UID(), 1, "wetread", "phantom", "1", "1",
        )  # fmt: skip
    seg.save_as(folder / "seg.dcm")


def draw_masks() -> None:
    """Take a screenshot of three planes with the segments of a SEG."""
    with tempfile.TemporaryDirectory() as temporary:
        write_phantom(Path(temporary))
        index = wr.scan(temporary, progress=False)
        series = index.series.where("volumes > 0")[0].series_id
        with wr.view(index, show_phi=True) as viewer:
            url = f"http://127.0.0.1:{viewer.port}/#/volume/{series}/0?token={viewer.token}"
            with opened(url, "dark") as page:
                page.wait_for_selector(".sagittal .stage[data-slice]")
                page.wait_for_selector(".mask-row:has-text('kidney')")
                page.locator(".axial .stage").click(position={"x": 250, "y": 360})
                page.wait_for_timeout(3000)
                save(page, "viewer-masks.png")


def main() -> None:
    """Take all screenshots."""
    draw_masks()
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_sample(Path(temporary, "phantoms"), 60, size=900, test=0, progress=False)
        predictions = write_predictions(folder / "train.csv", Path(temporary, "predictions.csv"))
        index = wr.scan(folder / "train", progress=False)
        readers, model = (
            wr.read_boxes(path, index) for path in (folder / "train.csv", predictions)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # phantoms have no patient id
            index = wr.split(index, readers)
        with wr.view(index, readers, title="phantoms") as viewer:
            draw_grid(viewer.url, "dark", "viewer-grid.png")
            draw_grid(viewer.url, "light", "viewer-grid-light.png")
            draw_image(at(viewer, richest(readers)), "dark", "viewer-readers.png")
            draw_image(at(viewer, richest(readers)), "light", "viewer-readers-light.png")
        draw_annotation(index, readers)
        with wr.view(index, readers, model, title="phantoms") as viewer:
            draw_image(at(viewer, worst(viewer)), "dark", "viewer-misses.png")
    real = Path(data_store.__file__).parent / "data" / "eCT_Supplemental.dcm"
    with wr.view(wr.scan([real], progress=False)) as viewer:
        draw_header(
            at(viewer, wr.scan([real], progress=False)[0].id, tab="header"),
            "dark",
            "viewer-header.png",
        )


def richest(boxes: wr.Boxes) -> str:
    """Image with the most boxes."""
    counts = pc.value_counts(boxes.table.filter(pc.equal(boxes.table["kind"], "box"))["image"])
    return str(counts.field("values")[int(counts.field("counts").to_numpy().argmax())])


def worst(viewer: Handle) -> str:
    """Image with the most predictions, and both false positives and false negatives."""

    def fetch(path: str) -> Any:
        url = f"http://127.0.0.1:{viewer.port}/api/{path}"
        return httpx.get(url, headers={"X-Wetread-Token": viewer.token}).json()

    def rank(image: Any) -> tuple[int, int]:
        boxes = fetch(f"images/{image['id']}/boxes")
        return min(image["fp"], image["fn"], 1), len(boxes["predictions"]) - image["fp"]

    return str(max(fetch("misses?iou=0.5&score=0.3")["images"], key=rank)["id"])


def at(viewer: Handle, image: str, **state: str) -> str:
    """Address of an image."""
    query = urlencode({**state, "token": viewer.token})
    return f"http://127.0.0.1:{viewer.port}/#/image/{image}?{query}"


if __name__ == "__main__":
    main()

"""Draw docs/pictures/report-light.png and report-dark.png: a report of phantoms, in Chromium.

Run with the packages of the extra `test` and apt's chromium: python docs/make_report_pictures.py
"""

from __future__ import annotations

import tempfile
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

import wetread as wr
from wetread.reports.build import build
from wetread.sample import write_sample
from wetread.testing.chromium import launch

PICTURES = Path(__file__).resolve().with_name("pictures")
IMAGES, WIDTH, HEIGHT = 160, 1400, 1120
SHOWN = {"light": "#pictures", "dark": "#predictions"}
"""CSS selector of the element at the top of each picture."""


def predict(truth: wr.Boxes, seed: int = 1) -> wr.Boxes:
    """Simulated predictions: most boxes, slightly shifted, and some false positives."""
    rng = np.random.default_rng(seed)
    rows = [r for r in truth.table.to_pylist() if r["kind"] == "box" and r["part"] == "valid"]
    boxes = []
    for row in rows:
        corners = np.array([row[name] for name in ("x0", "y0", "x1", "y1")])
        size = np.tile(corners[2:] - corners[:2], 2)
        if rng.random() < 0.82:
            moved = corners + rng.normal(0, 0.08, 4) * size
            boxes.append((row["key"], row["label"], *moved, rng.beta(6, 2)))
        if rng.random() < 0.5:
            moved = corners + np.tile(rng.normal(0, 0.7, 2) * size[:2], 2)
            moved = np.maximum(moved, 0)
            boxes.append((row["key"], str(rng.choice(truth.labels)), *moved, rng.beta(2, 4)))
    names = ("key", "label", "x0", "y0", "x1", "y1", "score")
    return wr.Boxes.from_columns(dict(zip(names, zip(*boxes, strict=True), strict=True)))


def make_report(folder: Path) -> Path:
    """Build a report of a phantom sample with readers, a split and predictions."""
    write_sample(folder, IMAGES, progress=False)
    wr.scan(folder / "train", folder / "train.index", progress=False)
    index = wr.Index.open(folder / "train.index").measure(progress=False)
    boxes = wr.read_boxes(folder / "train.csv", images=index)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # phantoms have no patient
        index = wr.split(index, boxes, {"train": 0.5, "valid": 0.5})
    truth = wr.read_boxes(folder / "train.csv", images=index).consensus()
    predict(truth).save(folder / "predictions.parquet")
    result = build(index, folder / "train.csv", folder / "predictions.parquet")
    return result.save(folder / "report.html")


def draw(report: Path, scheme: str, top: str) -> bytes:
    """Screenshot of the report, scrolled to a CSS selector."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        size = {"width": WIDTH, "height": HEIGHT}
        page = browser.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        page.goto(report.as_uri())
        page.evaluate("top => document.querySelector(top).scrollIntoView()", top)
        shot: bytes = page.screenshot()
        browser.close()
    return shot


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        report = make_report(Path(folder))
        for scheme, top in SHOWN.items():
            picture = Image.open(BytesIO(draw(report, scheme, top))).convert("RGB")
            small = picture.quantize(200, dither=Image.Dither.NONE)
            small.save(PICTURES / f"report-{scheme}.png", optimize=True)

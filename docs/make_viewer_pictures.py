"""Draws docs/pictures/viewer-*.png: the viewer in headless Chromium, over the phantom sample.

Run with the packages of the extra `test` and Debian's chromium: python docs/make_viewer_pictures.py
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.csv
from PIL import Image
from playwright.sync_api import Page, sync_playwright

import wetread as wr
from wetread.sample import write_sample

PICTURES = Path(__file__).resolve().with_name("pictures")
LARGEST = 500_000
CHROMIUM = {
    "executable_path": "/usr/bin/chromium",
    "args": [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ],
}


def write_predictions(labels: Path, to: Path, seed: int = 7) -> Path:
    """What a model might find: one reader's boxes moved, some missed, some of its own."""
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
def opened(viewer_url: str, theme: str, width: int, height: int) -> Iterator[Page]:
    """A page of the viewer."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=theme, device_scale_factor=1
        )
        page.goto(viewer_url)
        yield page
        browser.close()


def save(page: Page, name: str) -> None:
    """The page as a PNG of few colours, small enough for a repository."""
    page.mouse.move(2, 2)
    page.wait_for_timeout(600)
    path = PICTURES / name
    page.screenshot(path=path)
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=0)
    few.save(path, optimize=True)
    size = path.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{path} has {size} bytes, more than {LARGEST}")
    print(f"{path.name}: {size:,} bytes", file=sys.stderr)


def draw(url: str, theme: str, suffix: str) -> None:
    """The four pictures in one theme."""
    with opened(url, theme, 1440, 900) as page:
        page.wait_for_selector(".tile img")
        page.wait_for_function("document.querySelectorAll('.tile img').length >= 20")
        page.keyboard.press("ArrowRight")
        save(page, f"viewer-grid{suffix}.png")
        page.keyboard.press("Enter")
        page.wait_for_selector("[data-drawn^=smooth]")
        save(page, f"viewer-readers{suffix}.png")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder = write_sample(Path(name, "phantoms"), images=80, size=1600, test=0, progress=False)
        predictions = write_predictions(folder / "train.csv", Path(name, "predictions.csv"))
        index = wr.scan(folder / "train", progress=False)
        with wr.view(index, wr.read_boxes(folder / "train.csv", index), title="phantoms") as viewer:
            draw(viewer.url, "dark", "")

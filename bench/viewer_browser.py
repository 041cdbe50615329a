"""Time until a browser shows a large radiograph, and time of a step of a window drag.

    python bench/viewer_browser.py [--size 2952] [--repeat 5] [--only images|series] [--json FILE]

Headless Chromium without a GPU over loopback, with a canvas of 1600 x 1000 pixels. The images are
phantoms of 15 bits with noise, JPEG 2000 lossless, in separate files. Times start when an image is
opened, with a warm server: "fresh" is an image that was not prefetched, opened by its URL, until
its preview and its first 16-bit values are on the canvas; "next" is the next image of the list,
which the page has prefetched, opened by a key. A drag step is the main thread's work for one move
of the pointer: the table of 65,536 greys and the canvas. Shown is the median of the repeats.

Series: a CT of 275 x 512 x 512, "first slice" from its URL to the paint of 16-bit values, and the
slices painted per second while the wheel turns one slice per animation frame for 5 seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

import wetread as wr
from viewer import CT, write_ct
from wetread.sample.phantom import draw_phantom
from wetread.sample.write import make_file
from wetread.testing.chromium import launch
from wetread.viewer.handle import serve

WATCH = """
    window.seen = {start: 0};
    performance.setResourceTimingBufferSize(100000);
    window.responded = (path) => {
        const all = performance.getEntriesByType("resource");
        return all.find((entry) => entry.name.includes(path))?.responseEnd ?? 0;
    };
    window.open_ = (id) => {
        window.seen = {start: performance.now()};
        location.hash = `#/image/${id}?tab=off`;
    };
    addEventListener("keydown", (event) => {
        if (event.key === "ArrowRight") window.seen = {start: performance.now()};
    }, true);
    const context = CanvasRenderingContext2D.prototype;
    for (const [name, method] of [["preview", "drawImage"], ["pixels", "putImageData"]]) {
        const draw = context[method];
        context[method] = function (...values) {
            draw.apply(this, values);
            window.seen[name] ??= performance.now();
        };
    }
"""
STEPS = 100
TURNS = """
    async (milliseconds) => {
        const stage = document.querySelector(".stage");
        const context = CanvasRenderingContext2D.prototype, put = context.putImageData;
        const painted = new Set();
        context.putImageData = function (...values) {
            put.apply(this, values);
            painted.add(document.querySelector(".path").textContent);
        };
        const start = performance.now();
        while (performance.now() - start < milliseconds) {
            const turn = {deltaY: 50, bubbles: true, cancelable: true};
            stage.dispatchEvent(new WheelEvent("wheel", turn));
            await new Promise((done) => setTimeout(done, 1000 / 30));
        }
        context.putImageData = put;
        return (1000 * painted.size) / (performance.now() - start);
    }
"""


def write_images(folder: Path, count: int, size: int) -> None:
    """Write separate files of four images in turn, because encoding is slow."""
    files = []
    for number in range(min(count, 4)):
        phantom = draw_phantom(0, number, size)
        files.append(make_file(phantom, f"image{number}", 15, inverted=False))
    for number in range(count):
        (folder / f"{number:03}.dicom").write_bytes(files[number % len(files)])


def measure_fresh(page: Any, ids: list[str], at: int) -> dict[str, float]:
    """Times from the URL to the response and paint of the preview, and of stored values."""
    page.evaluate("id => window.open_(id)", ids[at])
    seen = wait_for_paint(page, ids[at + 1])
    responded = page.evaluate("path => window.responded(path)", f"/{ids[at]}/preview")
    seen["preview responded"] = responded - page.evaluate("window.seen.start")
    return {f"fresh, {name}": took for name, took in seen.items()}


def measure_next(page: Any, ids: list[str], at: int) -> dict[str, float]:
    """Time from the key to the first paint of stored values, which were prefetched."""
    page.keyboard.press("ArrowRight")
    return {f"next, {name}": took for name, took in wait_for_paint(page, ids[at + 1]).items()}


def wait_for_paint(page: Any, ahead: str) -> dict[str, float]:
    """Times of the paints, once the page is idle and has prefetched the image `ahead`."""
    page.wait_for_function("window.seen.pixels")
    page.wait_for_function("path => window.responded(path)", arg=f"/{ahead}/pixels")
    page.wait_for_timeout(500)
    seen = page.evaluate("window.seen")
    return {name: seen[name] - seen["start"] for name in ("preview", "pixels") if name in seen}


def measure_drag(page: Any) -> dict[str, float]:
    """Main-thread time of one step, and the interval between steps at full speed."""
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")

    def busy() -> float:
        metrics = client.send("Performance.getMetrics")["metrics"]
        return 1000 * float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))

    page.mouse.move(500, 400)
    page.mouse.down()
    page.mouse.move(510, 400)
    page.wait_for_timeout(400)
    before = busy()
    took = page.evaluate(
        """async (steps) => {
            const stage = document.querySelector(".stage");
            const start = performance.now();
            for (let i = 0; i < steps; i++) {
                const at = {clientX: 510 + i, clientY: 400, bubbles: true, pointerId: 1};
                stage.dispatchEvent(new PointerEvent("pointermove", at));
                await new Promise(requestAnimationFrame);
            }
            return performance.now() - start;
        }""",
        STEPS,
    )
    after = busy()
    page.mouse.up()
    return {"drag": (after - before) / STEPS, "drag, wall": took / STEPS}


def measure_series(playwright: Any, folder: Path, repeat: int) -> dict[str, list[float]]:
    """Time to the first slice of a CT, and slices per second while the wheel turns."""
    write_ct(folder, CT)
    index = wr.scan(folder, progress=False)
    ids = [image.id for image in index]
    times: dict[str, list[float]] = {}
    browser = launch(playwright)
    for round_ in range(repeat):
        with serve(index) as viewer:
            page = browser.new_page(viewport={"width": 1600, "height": 1076}, bypass_csp=True)
            page.set_default_timeout(120_000)
            page.add_init_script(WATCH)
            page.goto(f"http://127.0.0.1:{viewer.port}/#/image/{ids[-1]}?token={viewer.token}")
            page.wait_for_function("window.seen.pixels")  # the decoders are warm
            page.wait_for_timeout(1500)
            page.evaluate("id => window.open_(id)", ids[40 + 9 * round_])
            page.wait_for_function("window.seen.pixels")
            seen = page.evaluate("window.seen")
            for name in ("preview", "pixels"):
                if name in seen:
                    took = seen[name] - seen["start"]
                    times.setdefault(f"first slice, {name} (ms)", []).append(took)
            page.wait_for_timeout(1000)
            rate = page.evaluate(TURNS, 5000)
            times.setdefault("slices per second", []).append(rate)
            page.close()
    browser.close()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2952)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", choices=["images", "series"])
    parser.add_argument("--json", type=Path, help="write all times to this file")
    options = parser.parse_args()
    if options.only != "images":
        with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
            found = measure_series(playwright, Path(name), options.repeat)
        print(
            json.dumps({key: round(statistics.median(v), 1) for key, v in found.items()}, indent=2)
        )
    if options.only == "series":
        return
    measure_images(options)


def measure_images(options: argparse.Namespace) -> None:
    """Measure large radiographs; see the module."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        write_images(Path(name), 3 * options.repeat + 2, options.size)
        index = wr.scan(name, progress=False)
        ids = [image.id for image in index]
        with serve(index) as viewer:
            browser = launch(playwright)
            page = browser.new_page(viewport={"width": 1600, "height": 1076}, bypass_csp=True)
            page.set_default_timeout(120_000)
            page.add_init_script(WATCH)
            page.goto(
                f"http://127.0.0.1:{viewer.port}/#/image/{ids[0]}?tab=off&token={viewer.token}"
            )
            wait_for_paint(page, ids[1])
            size = page.evaluate(
                "(({width, height}) => [width, height])(document.querySelector('canvas'))"
            )
            for at in range(2, 3 * options.repeat, 3):  # the one after the last is fetched already
                found = measure_fresh(page, ids, at) | measure_next(page, ids, at + 1)
                for key, value in {**found, **measure_drag(page)}.items():
                    times.setdefault(key, []).append(value)
            browser.close()
    settings = {"canvas": size, "image": options.size}
    if options.json:
        options.json.write_text(json.dumps({**settings, "ms": times}, indent=1))
    medians = {f"{key} (ms)": round(statistics.median(all_), 1) for key, all_ in times.items()}
    print(json.dumps({**settings, **medians}, indent=2))


if __name__ == "__main__":
    main()

"""How soon a browser shows a large radiograph, and how long a step of a window drag takes.

    python bench/viewer_browser.py [--size 2952] [--repeat 5]

Headless Chromium without a GPU over loopback, at 1600 x 1000 pixels of canvas. The image is a
phantom of 15 bits with noise, JPEG 2000 lossless. Times are from the key that opens it, the server
warm (it has decoded another image before); a drag step is the main thread's work for one move of
the pointer: the table of 65,536 greys and the canvas. The median of the repeats is shown.
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
from wetread.sample.files import make_file
from wetread.sample.phantom import draw_phantom
from wetread.viewer.handle import serve

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
WATCH = """
    window.seen = {};
    const context = CanvasRenderingContext2D.prototype;
    for (const [name, method] of [["preview", "drawImage"], ["pixels", "putImageData"]]) {
        const draw = context[method];
        context[method] = function (...given) {
            draw.apply(this, given);
            window.seen[name] ??= performance.now();
        };
    }
    addEventListener("keydown", (event) => {
        if (event.key === "ArrowRight") window.seen = {start: performance.now()};
    }, true);
"""
STEPS = 100


def write_images(folder: Path, count: int, size: int) -> None:
    for number in range(count):
        phantom = draw_phantom(0, number, size)
        file = make_file(phantom, f"image{number}", 15, inverted=False)
        (folder / f"{number}.dicom").write_bytes(file)


def measure_opening(page: Any) -> dict[str, float]:
    """From the key to the first paint of the preview and of stored values, and to the last."""
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(
        ".stage[data-drawn^='smooth'][data-drawn$=' 1'], .stage[data-drawn^='smooth 2']"
    )
    seen = page.evaluate("window.seen")
    return {name: seen[name] - seen["start"] for name in ("preview", "pixels") if name in seen}


def measure_drag(page: Any) -> dict[str, float]:
    """Main-thread time of one step, and the time from step to step as fast as they come."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2952)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        write_images(Path(name), options.repeat + 1, options.size)
        index = wr.scan(name, progress=False)
        with serve(index.content) as viewer:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
            page = browser.new_page(viewport={"width": 1600, "height": 1076})
            page.add_init_script(WATCH)
            first = index[0].id
            page.goto(
                f"http://127.0.0.1:{viewer.port}/#/image/{first}?tab=off&token={viewer.token}"
            )
            page.wait_for_selector(".stage[data-drawn^='smooth']")
            size = page.evaluate(
                "(({width, height}) => [width, height])(document.querySelector('canvas'))"
            )
            for _ in range(options.repeat):
                page.wait_for_timeout(1500)
                for key, value in {**measure_opening(page), **measure_drag(page)}.items():
                    times.setdefault(key, []).append(value)
            browser.close()
    medians = {f"{key} (ms)": round(statistics.median(all_), 1) for key, all_ in times.items()}
    print(json.dumps({"canvas": size, "image": options.size, **medians}, indent=2))


if __name__ == "__main__":
    main()

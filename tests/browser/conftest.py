"""Chromium, and viewers of small data sets, each started once."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import numpy as np
import pytest

import wetread as wr
from wetread.sample import write_sample
from wetread.testing.chromium import launch
from wetread.testing.dicom import Element, changed, dicom_file, element, picture, rgb_form
from wetread.testing.idle import make_steps_wait
from wetread.viewer.guard import Guard
from wetread.viewer.handle import Handle, serve

REAL = (
    "CT_small.dcm",
    "MR_small.dcm",
    "examples_palette.dcm",
    "SC_rgb_small_odd.dcm",
    "rtdose_1frame.dcm",
    "rtdose.dcm",
    "liver_1frame.dcm",
    "mlut_18.dcm",
    "vlut_04.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm",
    "reportsi.dcm",
)
AXE = "axe-core@4.11"
SECONDS = 120
"""Upper bound of every wait; a browser on a busy machine takes many times as long."""
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    """Folder of the logs of the readers."""
    return tmp_path / "reads"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, headless; steps wait, and pages have the methods `until` and `address`."""
    from playwright.sync_api import Page, expect, sync_playwright

    expect.set_options(timeout=1000 * SECONDS)
    Page.until, Page.address = until, address  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        make_steps_wait(patch)
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def fetch_log(page: Any) -> Callable[[str], list[tuple[str, int]]]:
    """Fetches of the page whose URL contains a text: (URL, 1) at the call, (URL, -1) once read.

    Logged inside the page: Playwright's events lag behind it.
    """
    return lambda part: [(url, by) for url, by in page.read_now("fetchLog") if part in url]


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """New page; JavaScript errors and console errors fail the test."""
    context = chromium.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"{error}\n{error.stack}"))
    page.on("console", lambda message: errors.append(message.text) if is_error(message) else None)
    page.set_default_timeout(1000 * SECONDS)
    yield page
    context.close()
    assert not errors


def until(page: Any, condition: str | Callable[[], Any]) -> None:
    """Wait until a JavaScript expression or a function is true.

    Playwright's own `wait_for_function` needs eval, which the page's policy forbids.
    """
    end = time.monotonic() + SECONDS
    while not (page.read_now(condition) if isinstance(condition, str) else condition()):
        assert time.monotonic() < end, f"never true: {condition}"
        page.wait_for_timeout(20)


def address(page: Any) -> str:
    """Return the fragment, after making the page write it at once instead of after 0.2 s."""
    page.read_now("dispatchEvent(new Event('pagehide'))")
    return unquote_plus(str(page.read_now("location.hash")))


@pytest.fixture(scope="session", autouse=True)
def delayed_responses() -> Iterator[None]:
    """Delay every response with data at random, by up to WETREAD_DELAY seconds if that is set.

    A test that waits for one element and then reads another at once fails with it.
    """
    seconds = float(os.environ.get("WETREAD_DELAY", 0))
    respond = Guard.__call__

    async def delay(self: Guard, scope: Any, *channel: Any) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/static/"):
            await asyncio.sleep(random.uniform(0, seconds))
        await respond(self, scope, *channel)

    with pytest.MonkeyPatch.context() as patch:
        if seconds:
            patch.setattr(Guard, "__call__", delay)
        yield


def is_error(message: Any) -> bool:
    """True for an error of the page, except for failed requests."""
    return message.type == "error" and not message.text.startswith("Failed to load resource")


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Source of axe-core, from npm."""
    folder = tmp_path_factory.mktemp("axe")
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", AXE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture
def violations(page: Any, axe: str) -> Callable[[], list[str]]:
    """Violations of WCAG 2.1 A and AA on the page."""

    def find() -> list[str]:
        page.evaluate(axe)  # not a script element: the page's policy would refuse it
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
        result = page.evaluate("tags => axe.run({runOnly: tags})", tags)
        return [
            f"{one['id']}: {one['help']} ({node['html'][:120]}) {node['failureSummary'][:200]}"
            for one in result["violations"]
            for node in one["nodes"]
        ]

    return find


class Site:
    """A viewer, and its images by file name."""

    def __init__(self, handle: Handle, index: wr.Index) -> None:
        self.handle, self.index = handle, index
        self.images = {Path(image.path).stem: image for image in index}

    @property
    def token(self) -> str:
        return self.handle.token

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.handle.port}"

    def url(self, fragment: str = "/grid") -> str:
        """Address of a fragment, with the token."""
        return f"{self.origin}/#{fragment}{'&' if '?' in fragment else '?'}token={self.token}"

    def image(self, name: str, **state: Any) -> str:
        """Address of an image by its file name, with more state."""
        query = "&".join(f"{key}={value}" for key, value in state.items())
        return self.url(f"/image/{self.images[name].id}" + (f"?{query}" if query else ""))


def start(index: wr.Index, *sides: Any, **options: Any) -> Site:
    return Site(serve(index, *sides, **options), index)


@pytest.fixture(scope="session")
def start_site() -> Callable[..., Site]:
    """Start a viewer that the caller stops."""
    return start


@pytest.fixture
def open_site() -> Iterator[Callable[..., Site]]:
    """Start viewers that stop at the end of the test."""
    sites: list[Site] = []

    def open_(index: wr.Index, *sides: Any, **options: Any) -> Site:
        sites.append(start(index, *sides, **options))
        return sites[-1]

    yield open_
    for site in sites:
        site.handle.stop()


def ramp(number: int, *more: Element, rows: int = 40, columns: int = 64) -> bytes:
    """DICOM file with every bit pattern of a range, in random order."""
    rng = np.random.default_rng(number)
    values = rng.permutation(np.arange(rows * columns, dtype=np.uint16) * 25)
    pixels = element("PixelData", values.astype("<u2").tobytes(), vr="OW")
    form = changed(picture(number, rows, columns), element("BitsStored", 16), pixels)
    return dicom_file(changed([*form, element("HighBit", 15)], *more))


def stack(number: int, of: int = 4) -> bytes:
    """Image of a series, with a constant pixel value."""
    values = np.full((32, 32), 100 * number, "<u2").tobytes()
    return dicom_file(
        changed(
            picture(50, 32, 32),
            element("SOPInstanceUID", f"2.25.78.{number}"),
            element("SeriesInstanceUID", "2.25.77"),
            element("InstanceNumber", str(number)),
            element("PixelData", values, vr="OW"),
            element("PatientName", HOSTILE),
        )
    )


def movie(frames: int = 6) -> bytes:
    """Multi-frame file with a constant value per frame."""
    values = np.repeat(np.arange(frames, dtype="<u2") * 500, 24 * 24).tobytes()
    more = [element("NumberOfFrames", str(frames)), element("PixelData", values, vr="OW")]
    return dicom_file(changed(picture(90, 24, 24), *more))


SYNTHETIC: dict[str, Callable[[], bytes]] = {
    "linear": lambda: ramp(1),
    "exact": lambda: ramp(2, element("VOILUTFunction", "LINEAR_EXACT")),
    "sigmoid": lambda: ramp(3, element("VOILUTFunction", "SIGMOID")),
    "mono1": lambda: ramp(4, element("PhotometricInterpretation", "MONOCHROME1")),
    "signed": lambda: ramp(5, element("PixelRepresentation", 1)),
    "padding": lambda: ramp(6, element("PixelPaddingValue", 5000, vr="US")),
    "narrow": lambda: ramp(7, element("WindowWidth", "1"), element("WindowCenter", "9000")),
    "negative": lambda: ramp(8, element("RescaleSlope", "-0.37")),
    "movie": movie,
    **{f"stack{n}": (lambda n=n: stack(n)) for n in (1, 2, 3, 4)},
    f"hostile {HOSTILE.replace('/', '')}": lambda: ramp(9, element("PatientName", HOSTILE)),
}


def coordinates(number: int, *more: Element) -> bytes:
    """RGB image whose red is the column and whose green is the row of each pixel."""
    y, x = np.mgrid[:256, :256].astype("u1")
    pixels = element("PixelData", np.stack([x, y, 0 * x], axis=-1).tobytes(), vr="OB")
    return dicom_file(changed(picture(number, 256, 256), *rgb_form(), pixels, *more))


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> wr.Index:
    """Index of images whose colours are their coordinates."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "places.dcm").write_bytes(coordinates(70))
    aspect, spacing = element("PixelAspectRatio", "2\\1"), element("PixelSpacing", ["2", "1"])
    (folder / "aspect.dcm").write_bytes(coordinates(71, aspect))
    (folder / "spacing.dcm").write_bytes(coordinates(72, spacing))
    return wr.scan(folder, progress=False)


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory, real_file: Callable[[str], Path]) -> Any:
    """Viewer of files of every kind, real and synthetic, some without an image."""
    folder = tmp_path_factory.mktemp("mixed")
    for name in REAL:
        shutil.copy(real_file(name), folder)
    for name, make in SYNTHETIC.items():
        (folder / f"{name}.dcm").write_bytes(make())
    (folder / "README.txt").write_text("no DICOM")
    site = start(wr.scan(folder, progress=False), title="mixed")
    yield site
    site.handle.stop()


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Viewer of phantom radiographs with boxes of three readers and predictions."""
    folder = write_sample(tmp_path_factory.mktemp("phantoms"), 10, size=256, test=0, progress=False)
    index = wr.scan(folder / "train", progress=False)
    readers = wr.read_boxes(folder / "train.csv", index)
    found = wr.read_boxes(write_predictions(folder / "train.csv", folder / "found.csv"), index)
    site = start(index, readers, found, title="phantoms")
    site.readers, site.found = readers, found
    yield site
    site.handle.stop()


def write_predictions(labels: Path, to: Path) -> Path:
    """Write the readers' boxes, moved randomly, as predictions."""
    rng = np.random.default_rng(3)
    lines = ["image_id,class_name,x_min,y_min,x_max,y_max,score"]
    for line in labels.read_text().splitlines()[1:]:
        key, label, _, _, *corners = line.split(",")
        if corners[-1] == "":
            continue
        x0, y0, x1, y1 = map(float, corners)
        by = rng.choice([0.05, 0.3]) * min(x1 - x0, y1 - y0)
        x0, y0, x1, y1 = np.maximum(np.array([x0, y0, x1, y1]) + by * rng.standard_normal(4), 0)
        box = f"{x0:.1f},{y0:.1f},{max(x1, x0 + 4):.1f},{max(y1, y0 + 4):.1f}"
        lines.append(f"{key},{label},{box},{rng.uniform(0.05, 1):.3f}")
    to.write_text("\n".join(lines) + "\n")
    return to

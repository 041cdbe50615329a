"""Pixels of the canvas at 1:1 equal those of `Image.display`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wetread as wr

pytestmark = pytest.mark.apt("chromium", "chromium")

READ = """([columns, rows]) => {
    const canvas = document.querySelector("canvas");
    const left = -Math.round(columns / 2 - canvas.width / 2);
    const top = -Math.round(rows / 2 - canvas.height / 2);
    const {data} = canvas.getContext("2d").getImageData(left, top, columns, rows);
    let text = "";
    for (let i = 0; i < data.length; i++) text += String.fromCharCode(data[i]);
    return btoa(text);
}"""


def read_canvas(page: Any, rows: int, columns: int) -> np.ndarray:
    """Pixels of the image on the canvas at 1:1: uint8 (rows, columns, 3)."""
    import base64

    pixels = np.frombuffer(base64.b64decode(page.evaluate(READ, [columns, rows])), "u1")
    pixels = pixels.reshape(rows, columns, 4)
    assert (pixels[..., 3] == 255).all()
    return pixels[..., :3]


def shown(page: Any, site: Any, name: str, **state: Any) -> np.ndarray:
    page.set_viewport_size({"width": 1300, "height": 1300})
    page.goto(site.image(name, zoom=1, tab="off", **state))
    page.wait_for_selector('.stage[data-drawn="exact 1"]')
    rows, columns = site.images[name].shape[:2]
    return read_canvas(page, rows, columns)


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("linear", None),
        ("linear", "auto"),
        ("linear", "full"),
        ("linear", (700, 333.3)),
        ("exact", None),
        ("exact", (20000, 10.5)),
        ("sigmoid", None),
        ("sigmoid", (12345.6, 20000)),
        ("mono1", None),
        ("mono1", (30000, 20001)),
        ("signed", None),
        ("padding", "full"),
        ("narrow", None),
        ("negative", None),
        ("CT_small", "lung"),
        ("CT_small", "bone"),
        ("MR_small", None),
        ("mlut_18", None),
        ("mlut_18", "full"),
        ("vlut_04", None),
        ("vlut_04", "auto"),
        ("rtdose_1frame", None),
        ("rtdose_1frame", "full"),
        ("SC_rgb_small_odd", None),
        ("examples_palette", None),
    ],
)
def test_same_pixels(page: Any, mixed: Any, name: str, window: Any) -> None:
    state = {} if window is None else {"window": window}
    if isinstance(window, tuple):
        state = {"window": f"{window[0]},{window[1]}"}
    seen = shown(page, mixed, name, **state)
    expected = mixed.images[name].display(window)
    if expected.ndim == 2:
        expected = expected[..., None].repeat(3, axis=-1)
    np.testing.assert_array_equal(seen, expected)


def test_same_pixels_of_a_compressed_phantom(page: Any, phantoms: Any) -> None:
    for name in list(phantoms.images)[:2]:  # MONOCHROME2 and MONOCHROME1
        seen = shown(page, phantoms, name, show="")
        np.testing.assert_array_equal(seen[..., 1], phantoms.images[name].display())


def test_frames(page: Any, mixed: Any) -> None:
    for frame in (0, 4):
        seen = shown(page, mixed, "movie", frame=frame, window="full")
        np.testing.assert_array_equal(
            seen[..., 0], mixed.images["movie"].display("full", frame=frame)
        )


def test_inverted(page: Any, mixed: Any) -> None:
    plain = shown(page, mixed, "linear")
    page.keyboard.press("i")
    page.until(lambda: not np.array_equal(read_canvas(page, *plain.shape[:2]), plain))
    inverted = read_canvas(page, *plain.shape[:2])
    assert int(np.abs(inverted.astype(int) + plain - 255).max()) <= 1


def test_integer_zoom_repeats_pixels(page: Any, mixed: Any) -> None:
    page.goto(mixed.image("linear", zoom=3, tab="off"))
    page.wait_for_selector('.stage[data-drawn="exact 1"]')
    rows, columns = mixed.images["linear"].shape
    seen = read_canvas(page, 3 * rows, 3 * columns)[..., 0]
    expected = mixed.images["linear"].display().repeat(3, axis=0).repeat(3, axis=1)
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize(("codec", "drawn"), [("jpeg2000", "smooth"), ("jpeg", "exact")])
def test_position_of_reduced_pixels(
    page: Any,
    open_site: Any,
    tmp_path: Path,
    codec: str,
    drawn: str,
    write_disc: Any,
    find_disc: Any,
) -> None:
    """A disc stays in place at reduced resolutions, whose pixels may be shifted."""
    rows, columns = 2208, 1736
    center = write_disc(tmp_path / "disc.dcm", codec, rows, columns)
    site = open_site(wr.scan(tmp_path, progress=False))
    page.set_viewport_size({"width": 1300, "height": 1300})
    for scale in (4, 2):
        page.goto(site.image("disc", zoom=1 / scale, tab="off", window="full"))
        page.wait_for_selector(f'.stage[data-drawn="{drawn} {scale}"]')
        seen = read_canvas(page, rows // scale, columns // scale)[..., 0]
        assert find_disc(seen, rows, columns) == pytest.approx(center, abs=0.1)

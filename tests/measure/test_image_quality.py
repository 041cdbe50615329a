"""Image-quality metrics, on phantoms and modified phantoms."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest

import wetread as wr
from wetread.display.pipeline import Pipeline
from wetread.imaging import blur_gaussian
from wetread.measure.image_quality import quality_metrics
from wetread.pixels import Frame
from wetread.sample.phantom import draw_phantom


@pytest.fixture(scope="module")
def films() -> list[np.ndarray]:
    """Twelve phantoms of 12 bits."""
    drawn = (draw_phantom(5, number, 320).density for number in range(12))
    return [np.rint(4095 * density).astype(np.uint16) for density in drawn]


def look(values: np.ndarray, photometric: str = "MONOCHROME2") -> dict:
    bits = 8 * values.dtype.itemsize
    pipeline = Pipeline(photometric, "CR", invert=photometric == "MONOCHROME1")
    return quality_metrics(Frame(values, bits, photometric), pipeline)


def test_similar_images_have_equal_hashes(films: list[np.ndarray]) -> None:
    hashes = [look(film)["px_dhash"] for film in films]
    assert len(set(hashes)) == len(films)
    bits = np.array([list(bytes.fromhex(one)) for one in hashes], np.uint8)
    for film, mine in zip(films, bits, strict=True):
        lossy = imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode((film >> 4).astype("u1"), 85))
        other = np.frombuffer(bytes.fromhex(look(lossy)["px_dhash"]), np.uint8)
        apart = np.unpackbits(bits ^ other, axis=1).sum(axis=1)
        assert apart.argmin() == np.flatnonzero((bits == mine).all(axis=1))[0]
        assert apart.min() <= 4
    assert look(films[0])["px_dhash"] == look(films[0] * 3 + 100)["px_dhash"]


def test_an_inverted_film_has_bright_corners(films: list[np.ndarray]) -> None:
    for film in films:
        assert look(film)["px_corners"] < -0.1
        assert look(4095 - film)["px_corners"] > 0.1
        assert look(4095 - film, "MONOCHROME1")["px_corners"] == pytest.approx(
            look(film)["px_corners"], abs=0.01
        )


def test_a_border_is_measured(films: list[np.ndarray]) -> None:
    for film in films:
        inner = film[20:-20, 20:-20]
        inner = np.maximum(inner, 400)
        bordered = np.zeros((2 * inner.shape[0], 2 * inner.shape[1]), np.uint16)
        y, x = inner.shape[0] // 2, inner.shape[1] // 2
        bordered[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
        assert look(bordered)["px_border"] == pytest.approx(0.75, abs=0.03)
        assert look(inner)["px_border"] < 0.2


def test_a_blurred_film_is_less_sharp(films: list[np.ndarray]) -> None:
    for film in films:
        blurred = blur_gaussian(film, 3).astype(np.uint16)
        assert look(blurred)["px_sharpness"] < 0.25 * look(film)["px_sharpness"]


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (1, 3000)])
def test_small_images(shape: tuple[int, int]) -> None:
    found = look(np.zeros(shape, np.uint8))
    assert found["px_border"] == 1
    assert found["px_sharpness"] == found["px_corners"] == 0


def test_colour_and_palettes(real_file: object) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    assert quality_metrics(Frame(colour, 8, "RGB"), Pipeline("RGB", "US"))["px_sharpness"] > 0
    palette = Pipeline("PALETTE COLOR", "US", palette=np.zeros((4, 3), np.uint8))
    assert quality_metrics(Frame(colour[..., 0], 8, "PALETTE COLOR"), palette) == {}


def test_metrics_are_columns_of_measure(small_folder: Path) -> None:
    measured = wr.scan(small_folder, progress=False).measure(progress=False).to_pandas()
    done = measured[measured["px_status"] == "ok"]
    assert done[["px_dhash", "px_corners", "px_border", "px_sharpness"]].notna().all(axis=None)

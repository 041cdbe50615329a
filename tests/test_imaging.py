"""Operations on image arrays: formulas, shapes, regressions of fastai defects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from wetread import imaging
from wetread.common import tables
from wetread.errors import UsageError

RNG = np.random.default_rng(5)


def test_windowed_follows_the_standard() -> None:
    x = np.arange(-200, 300)
    expected = ((x - 39.5) / 399 + 0.5).clip(0, 1)
    np.testing.assert_allclose(imaging.windowed(x, (40, 400)), expected, atol=1e-6)


@pytest.mark.parametrize("width", [1, 0.5, 0])
def test_windowed_of_no_width_is_a_threshold_and_never_nan(width: float) -> None:
    assert imaging.windowed([98, 99, 100, 101], (100, width)).tolist() == [0, 0, 1, 1]


def test_freqhist_bins_hold_equally_many() -> None:
    values = RNG.normal(size=10_000)
    bins = imaging.freqhist_bins(values, 10)
    counts = np.histogram(values, bins)[0]
    assert len(bins) == 12
    assert (np.abs(counts[1:-1] - 1000) <= 1).all()
    assert imaging.freqhist_bins(np.full(9, 7)).tolist() == [7]
    with pytest.raises(UsageError):
        imaging.freqhist_bins(values, 0)


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "f4"])
def test_hist_scaled_spreads_the_greys_evenly(kind: str) -> None:
    values = (RNG.gamma(2, 12, (300, 300)) + 1).clip(0, 120).astype(kind)
    scaled = imaging.hist_scaled(values)
    assert (scaled.dtype, scaled.shape) == (np.float32, values.shape)
    assert 0 <= scaled.min() <= scaled.max() <= 1
    assert abs(scaled.mean() - 0.5) < 0.1
    expected = np.interp(values, b := imaging.freqhist_bins(values), np.linspace(0, 1, len(b)))
    np.testing.assert_allclose(scaled, expected, atol=1e-6)


def test_hist_scaled_of_a_constant_is_0() -> None:
    assert imaging.hist_scaled(np.full((3, 3), 9)).max() == 0


def test_blurs_keep_shape_and_mean_and_do_not_darken_edges() -> None:
    flat = np.full((40, 30), 5.0)
    for blurred in (imaging.blur_uniform(flat, 7), imaging.blur_gaussian(flat, 9)):
        assert blurred.shape == flat.shape
        np.testing.assert_allclose(blurred, 5, atol=1e-5)
    assert imaging.blur_uniform([[0, 3, 0]], 3).tolist() == [[1, 1, 1]]
    assert imaging.blur_uniform([[0, 4]], 1).tolist() == [[0, 4]]


@pytest.mark.parametrize("sigma", [2, 5, 20])
def test_blur_gaussian_is_near_the_gaussian(sigma: float) -> None:
    point = np.zeros((1, 301))
    point[0, 150] = 1
    x = np.arange(301) - 150
    exact = np.exp(-(x**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    blurred = imaging.blur_gaussian(point, sigma)[0]
    assert np.abs(blurred - exact).max() < 0.08 * exact.max()


def test_mask_from_blur_finds_the_body() -> None:
    body = np.full((100, 100), -1000.0)
    body[30:70, 20:80] = 50
    mask = imaging.mask_from_blur(body, (40, 400), sigma=0.03, threshold=0.2)
    box = imaging.mask_to_box(mask)
    assert box is not None
    assert np.abs(np.subtract(box, (20, 30, 80, 70))).max() <= 3


def test_mask_to_box_is_exact_and_none_for_nothing() -> None:
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:8] = True
    x0, y0, x1, y1 = imaging.mask_to_box(mask) or (0, 0, 0, 0)
    assert mask[y0:y1, x0:x1].shape == (3, 5)
    assert mask[y0:y1, x0:x1].all()
    assert imaging.mask_to_box(np.zeros((3, 3))) is None


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "f4"])
def test_crop_resize_keeps_the_type_and_any_shape(kind: str) -> None:
    values = np.add.outer(np.arange(40), np.arange(60)).astype(kind)
    cropped = imaging.crop_resize(values, (10, 5, 30, 15), (10, 20))
    assert cropped.dtype == values.dtype
    np.testing.assert_array_equal(cropped, values[5:15, 10:30])
    assert imaging.crop_resize(values, (0, 0, 60, 40), 16).shape == (16, 16)
    colour = np.stack([values] * 3, axis=-1)
    assert imaging.crop_resize(colour, (0, 0, 60, 40), (8, 9)).shape == (8, 9, 3)
    with pytest.raises(UsageError):
        imaging.crop_resize(values, (0, 0, 60, 40), 0)


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "f4"])
def test_shrink_averages_and_never_enlarges(kind: str) -> None:
    values = np.arange(64).reshape(8, 8).astype(kind)
    assert imaging.shrink(values, 8) is values
    assert imaging.shrink(values, 100) is values
    small = imaging.shrink(values, 2)
    means = values.astype(float).reshape(2, 4, 2, 4).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 0.5
    assert imaging.shrink(np.zeros((100, 1), kind), 10).shape == (10, 1)


def test_to_channels() -> None:
    x = RNG.integers(-1000, 1000, (20, 30))
    assert imaging.to_channels(x, [(40, 400), (-600, 1500)]).shape == (3, 20, 30)
    assert imaging.to_channels(x, [(40, 400)], bins=0).shape == (1, 20, 30)
    with pytest.raises(UsageError):
        imaging.to_channels(x, [], bins=0)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2"])
def test_a_look_up_is_the_function(kind: str) -> None:
    domain = imaging.all_values(np.dtype(kind))
    values = RNG.integers(np.iinfo(kind).min, np.iinfo(kind).max, 500, dtype=kind, endpoint=True)
    np.testing.assert_array_equal(imaging.look_up(domain * 3, values), values.astype(int) * 3)


@pytest.mark.parametrize("kind", ["f4", "f8", "u1", "i2", "u8"])
def test_a_table_may_have_any_type(kind: str) -> None:
    table, values = RNG.integers(0, 99, 65536).astype(kind), RNG.integers(0, 65536, (5, 7), "u2")
    found = imaging.look_up(table, values)
    assert found.dtype == kind
    np.testing.assert_array_equal(found, table[values])


INTEGERS = [f"{order}{kind}{size}" for order in "<>" for kind in "ui" for size in (1, 2, 4, 8)]
NUMBERS = st.sampled_from([*INTEGERS, "<f4", ">f8"])


@given(NUMBERS.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_side=0))))
def test_a_histogram_is_numpys_of_the_finite_values(values: np.ndarray) -> None:
    found, counts = imaging.histogram(values)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    expected, number = np.unique(finite, return_counts=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(counts, number)
    assert counts.dtype == np.int64
    assert found.dtype.itemsize == values.dtype.itemsize


@pytest.mark.parametrize("kind", ["u1", "i2", ">u2"])
def test_a_histogram_of_any_layout(kind: str) -> None:
    raw = RNG.integers(0, 256, 4001, "u1").tobytes()
    unaligned = np.frombuffer(raw, kind, 999, offset=1)  # bytes of a file, read-only
    for values in (unaligned, unaligned[::-3], unaligned.reshape(27, 37).T):
        found, counts = imaging.histogram(values)
        expected, number = np.unique(values, return_counts=True)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(counts, number)


def test_more_values_than_32_bits_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imaging, "_MOST", 7)
    assert imaging.histogram(np.full(20, -3, "i1"))[1].tolist() == [20]


def test_a_table_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="255 entries for 256 patterns"):
        tables.count(np.zeros(1, "u1"), np.zeros(255, "u4"))
    with pytest.raises(ValueError, match="256 entries for 65536 patterns"):
        tables.look_up(np.zeros(256, "u1"), np.zeros(1, "u2"), np.zeros(1, "u1"))

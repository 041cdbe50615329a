"""Statistics from histograms equal those of the arrays."""

from __future__ import annotations

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from wetread.display.pipeline import Pipeline, Window
from wetread.measure.statistics import COLUMNS, measure
from wetread.pixels import Frame

RNG = np.random.default_rng(7)


def make(values: np.ndarray, scale: int = 1) -> Frame:
    return Frame(values, 8 * values.dtype.itemsize, "MONOCHROME2", scale=scale)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_statistics_equal_numpy(kind: str) -> None:
    stored = RNG.integers(0, 120, (70, 80)).astype(kind)
    pipeline = Pipeline("MONOCHROME2", "CT", 2, -100, views=(Window(0, 100),), padding=(3, 5))
    row = measure([(make(stored), pipeline)])
    kept = stored[(stored < 3) | (stored > 5)].astype(float) * 2 - 100
    expected = {
        "px_min": kept.min(),
        "px_max": kept.max(),
        "px_mean": kept.mean(),
        "px_std": kept.std(),
        "px_p01": np.quantile(kept, 0.01),
        "px_p50": np.median(kept),
        "px_p99": np.quantile(kept, 0.99),
        "px_saturated_low": (kept == kept.min()).mean(),
        "px_saturated_high": (kept == kept.max()).mean(),
        "px_in_window": (np.abs(kept) <= 50).mean(),
        "px_padding": 1 - kept.size / stored.size,
        "raw_min": stored.min(),
        "raw_max": stored.max(),
        "raw_mean": stored.astype(float).mean(),
        "raw_std": stored.astype(float).std(),
        "px_scale": 1,
    }
    assert set(row) == set(COLUMNS)
    assert {k: row[k] for k in expected} == pytest.approx(expected)
    share = np.unique(stored, return_counts=True)[1] / stored.size
    assert row["px_entropy"] == pytest.approx(-(share * np.log2(share)).sum())


def test_frames_are_combined_with_their_own_rescale() -> None:
    a, b = RNG.integers(0, 99, (2, 20, 30)).astype("u2")
    row = measure([(make(a), Pipeline("", "PT", 1)), (make(b, 2), Pipeline("", "PT", 0.5))])
    both = np.concatenate([a.ravel(), b.ravel() * 0.5])
    assert row["px_mean"] == pytest.approx(both.mean())
    assert row["px_p50"] == pytest.approx(np.median(both))
    assert row["raw_mean"] == pytest.approx(np.concatenate([a, b]).mean())
    assert row["px_scale"] == 2
    assert row["px_in_window"] is None


def test_the_hash_is_of_the_stored_values() -> None:
    values = RNG.integers(0, 99, (4, 6)).astype("u2")
    pipeline = Pipeline("", "CT")

    def digest(array: np.ndarray) -> object:
        return measure([(make(array), pipeline)])["px_xxh3"]

    expected = xxhash.xxh3_128_hexdigest(b"<u2(4, 6)" + values.tobytes())
    assert digest(values) == digest(np.asfortranarray(values)) == expected
    assert digest(values) == digest(values.astype(">u2"))
    assert digest(values) != digest(values.reshape(6, 4))
    assert digest(values) != digest(values.astype("i2"))


KINDS = st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4"])
FRAMES = KINDS.flatmap(lambda kind: arrays.arrays(kind, st.tuples(*[st.integers(1, 9)] * 2)))


@given(FRAMES, st.sampled_from([(1, 0), (0.25, -1024), (-3, 7)]))
def test_statistics_of_any_integers_equal_numpys(
    stored: np.ndarray, rescale: tuple[float, float]
) -> None:
    slope, intercept = rescale
    row = measure([(make(stored), Pipeline("MONOCHROME2", "CT", slope, intercept))])
    values, raw = stored * float(slope) + intercept, stored.astype(float)
    assert (row["px_min"], row["px_max"]) == (values.min(), values.max())
    assert (row["raw_min"], row["raw_max"]) == (raw.min(), raw.max())
    numbers = [row[n] for n in ("px_mean", "px_std", "raw_mean", "raw_std", "px_p01", "px_p50")]
    quantiles = np.quantile(values, (0.01, 0.5))
    expected = [values.mean(), values.std(), raw.mean(), raw.std(), *quantiles]
    assert numbers == pytest.approx(expected, rel=1e-9, abs=1e-9 * np.abs(values).max())


def test_undefined_values_are_none() -> None:
    pipeline = Pipeline("", "CT", padding=(0, 9))
    row = measure([(make(np.zeros((2, 2), "u2")), pipeline)])
    assert (row["px_min"], row["px_padding"], row["raw_max"]) == (None, 1, 0)
    row = measure([(make(np.full((2, 2), np.nan, "f4")), Pipeline("", "CT"))])
    assert (row["px_min"], row["raw_mean"], row["px_scale"]) == (None, None, 1)
    assert set(measure([]).values()) == {None}


def test_a_constant_picture() -> None:
    row = measure([(make(np.full((2, 2), 7, "u1")), Pipeline("", "CT"))])
    assert (row["px_entropy"], row["px_std"], row["px_saturated_low"]) == (0, 0, 1)


def test_colour_counts_every_sample() -> None:
    values = RNG.integers(0, 255, (5, 6, 3)).astype("u1")
    row = measure([(Frame(values, 8, "RGB"), Pipeline("RGB", "US"))])
    assert row["px_mean"] == pytest.approx(values.mean())

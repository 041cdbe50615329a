"""Training cache: rows and pixels, damage, transforms of values and coordinates."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import wetread as wr
from wetread.cache.cache import MARKER, SCHEMA, STAMP, Cache
from wetread.cache.encode import encode
from wetread.cache.prepare import prepare
from wetread.cache.shards import shard_path
from wetread.errors import CacheError, NotFoundError

TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, real_files: list[Path]) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "train").mkdir()
    for path in real_files:
        if path.name in ("CT_small.dcm", "MR_small.dcm", "emri_small.dcm", "MR_truncated.dcm"):
            shutil.copy(path, folder / "train" / path.name)
    index = wr.scan(folder / "train", progress=False)
    prepare(index, folder / "cache", 48, workers=1, progress=False)
    return folder / "cache"


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Cache:
    """Copy of the cache, to be damaged."""
    return Cache.open(shutil.copytree(made, tmp_path / "cache"))


def test_rows_and_pixels(cache: Cache) -> None:
    rows = cache.rows
    assert rows.schema.equals(pa.schema([f for f in SCHEMA if f.name not in ("status", "text")]))
    assert rows["frame"].to_pylist() == [0, 0, *range(10)]
    assert len(cache) == 12
    assert cache.size == 48
    assert repr(cache).startswith("<Cache: 12 frames of at most 48 pixels in ")
    for i, row in enumerate(rows.to_pylist()):
        pixels = cache.read(i)
        assert pixels.shape == (row["height"], row["width"])
        assert pixels.dtype == np.uint16
        assert not pixels.flags.writeable
        values = pixels.astype(float) * row["scale"] + row["offset"]
        np.testing.assert_array_equal(cache.values(i), values.astype("f4"))
    with pytest.raises(IndexError):
        cache.read(12)


def test_shards_are_numpy_files(cache: Cache) -> None:
    row = cache.rows.to_pylist()[3]
    pixels = np.load(shard_path(cache.folder, row["shard"]))
    assert pixels.shape == (sum(cache.read(i).size for i in range(12)),)
    picture = pixels[row["place"] :][: row["height"] * row["width"]]
    np.testing.assert_array_equal(picture, cache.read(3).ravel())


def test_pickled_as_a_path(cache: Cache) -> None:
    cache.read(0)
    pickled = pickle.dumps(cache)
    assert len(pickled) < 1000
    np.testing.assert_array_equal(pickle.loads(pickled).read(5), cache.read(5))


def test_index_of_a_cache(cache: Cache) -> None:
    boxes = wr.Boxes.from_columns(
        {"key": ["CT_small", "emri_small.dcm", "other"], "label": ["A"] * 3}
    )
    image, frames, other = boxes.join(cache.index).table.to_pylist()
    assert image["image"] == cache.rows["id"][0].as_py()
    assert frames["image"] == cache.rows["id"][5].as_py()
    assert image["group"] == "1CT1"
    assert other["image"] is None


def test_verify_finds_one_changed_byte(cache: Cache) -> None:
    cache.verify()
    path = shard_path(cache.folder, cache.rows["shard"][0].as_py())
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CacheError, match=r"1 of 12 frames .* emri_small\.dcm frame 9"):
        Cache.open(cache.folder).verify()


def cut_shard(folder: Path) -> None:
    path = next(folder.glob("shards/*"))
    path.write_bytes(path.read_bytes()[:-1])


def change_table(folder: Path) -> None:
    path = next(folder.glob("tables/*"))
    path.write_bytes(path.read_bytes()[:-9] + bytes(9))


def unfinish(folder: Path) -> None:
    STAMP.write(folder / MARKER, {"size": 48, "table": None})


def change_marker(folder: Path, **values: Any) -> None:
    marker = json.loads((folder / MARKER).read_text())
    (folder / MARKER).write_text(json.dumps(marker | values))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut_shard, "is missing or truncated"),
        (lambda folder: next(folder.glob("shards/*")).unlink(), "is missing or truncated"),
        (change_table, "its hash differs"),
        (lambda folder: next(folder.glob("tables/*")).unlink(), "its hash differs"),
        (lambda folder: (folder / MARKER).unlink(), "is not a cache"),
        (lambda folder: (folder / MARKER).write_text("{"), "is damaged"),
        (lambda folder: change_marker(folder, schema=9), r"by wetread .* \(schema 9\)"),
        (unfinish, "run the same prepare again"),
    ],
)
def test_damage_is_reported(cache: Cache, damage: Any, says: str) -> None:
    damage(cache.folder)
    with pytest.raises(CacheError, match=says):
        Cache.open(cache.folder)


def test_missing_cache(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such cache"):
        Cache.open(tmp_path / "none")


@given(st.sampled_from(TYPES).flatmap(lambda t: arrays(t, (2, 3), elements=finite(t))))
def test_encoding_in_16_bits(values: np.ndarray) -> None:
    pixels, scale, offset = encode(values)
    again = pixels.astype(float) * scale + offset
    exact = values.astype(float)
    span = exact.max() - exact.min()
    if values.dtype.kind in "iu" and span <= 65535 and values.dtype.itemsize <= 4:
        assert scale == 1
        np.testing.assert_array_equal(again, exact)
    else:
        bound = 0.51 * span / 65535 + 1e-9 * np.abs(exact).max() + 1e-300
        np.testing.assert_allclose(again, exact, rtol=0, atol=bound)


def finite(type_: str) -> st.SearchStrategy[Any]:
    if type_[0] == "f":
        return st.floats(-(2.0**100), 2.0**100, width=32)
    limits = np.iinfo(type_)
    return st.integers(limits.min, limits.max) | st.integers(0, 100)

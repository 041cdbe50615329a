"""Encoding of pixels: lossless packing, compression, downscaling."""

from __future__ import annotations

import gzip
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from wetread.display.pipeline import Pipeline
from wetread.pixels import Frame
from wetread.viewer.encoding import compress, pack, reduce, to_jpeg, unpack

DTYPES = ("uint8", "int8", "uint16", "int16")


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=2, max_dims=2, max_side=9))
    )
)
def test_pack_and_unpack(values: np.ndarray) -> None:
    packed = pack(values)
    assert len(packed) == values.nbytes
    again = unpack(packed, *values.shape, values.dtype.name)
    assert again.dtype == values.dtype
    assert np.array_equal(again, values)


def test_pack_follows_the_specification() -> None:
    row = np.array([[3, 1, 65535]], np.uint16)
    # 3 -> 6, -2 -> 3, 65534 is -2 modulo 2^16 -> 3
    assert list(pack(row)) == [6, 3, 3, 0, 0, 0]
    assert list(pack(np.array([[-300]], np.int16))) == [599 % 256, 599 // 256]


@pytest.mark.parametrize(
    ("accepted", "name"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate", "gzip"),
        ("zstd;q=0, gzip;q=0.5", "gzip"),
        ("identity", ""),
        ("", ""),
        ("*", ""),
    ],
)
def test_compress_honours_accept_encoding(accepted: str, name: str) -> None:
    import imagecodecs

    data = bytes(range(256)) * 40
    packed, encoding = compress(data, accepted)
    undo = {"zstd": imagecodecs.zstd_decode, "gzip": gzip.decompress, "": bytes}[name]
    assert encoding == name
    assert undo(packed) == data


@pytest.mark.parametrize("times", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", [(16, 16), (17, 9), (3, 40), (12, 10, 3)])
def test_reduce_is_the_mean_of_blocks(times: int, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 4096, shape).astype(np.uint16)
    small = reduce(Frame(values, 12, "MONOCHROME2"), Pipeline("MONOCHROME2", "DX"), times)
    edges = [(0, -shape[0] % times), (0, -shape[1] % times), (0, 0)][: len(shape)]
    padded = np.pad(values, edges, mode="edge").astype(float)
    rows, columns = padded.shape[0] // times, padded.shape[1] // times
    blocks = padded.reshape(rows, times, columns, times, -1)
    expected = np.rint(blocks.mean(axis=(1, 3))).reshape(small.values.shape)
    assert np.array_equal(small.values, expected)
    assert small.values.dtype == values.dtype
    assert small.scale == times


def test_reduce_keeps_padding_apart() -> None:
    values = np.full((4, 4), 1000, np.int16)
    values[0, 0] = -2000
    chain = Pipeline("MONOCHROME2", "CT", padding=(-2000.0, -2000.0))
    small = reduce(Frame(values, 16, "MONOCHROME2"), chain, 2).values
    assert small.tolist() == [[-2000, 1000], [1000, 1000]]


def test_to_jpeg_is_near_the_picture() -> None:
    y, x = np.mgrid[0:64, 0:80]
    for picture in ((x + y).astype("u1"), np.stack([x, y, x], axis=-1).astype("u1")):
        again = np.asarray(Image.open(BytesIO(to_jpeg(picture))))
        assert again.shape == picture.shape
        assert np.abs(again.astype(int) - picture).max() < 8

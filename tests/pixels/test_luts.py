"""Look-up tables, also if data and descriptor disagree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import ExplicitVRLittleEndian

from wetread.pixels.luts import MOST, Table, first_mapped, fit_bits, read_palette, read_table

COLOURS = ("Red", "Green", "Blue")


def lut(count: int, first: int, bits: int, data: Any, vr: str = "OW") -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, "SS" if first < 0 else "US", [count, first, bits])
    item.add_new(0x00283006, vr, data)
    return item


def read(item: Dataset) -> Table:
    table = read_table(item, "LUTDescriptor", "LUTData")
    assert isinstance(table, Table), table
    return table


def words(*values: int) -> bytes:
    return np.array(values, "<u2").tobytes()


@pytest.mark.parametrize(
    ("item", "entries", "problems"),
    [
        (lut(3, 0, 16, words(1, 2, 300)), [1, 2, 300], 0),
        (lut(3, 0, 16, [1, 2, 300], "US"), [1, 2, 300], 0),
        (lut(4, 0, 8, bytes([1, 2, 3, 4])), [1, 2, 3, 4], 0),
        (lut(3, 0, 8, bytes([1, 2, 3, 0])), [1, 2, 3], 0),  # padded to even length
        (lut(4, 0, 8, [0x0201, 0x0403], "US"), [1, 2, 3, 4], 0),  # two in a word
        (lut(4, 0, 8, words(1, 2, 3, 4)), [1, 2, 3, 4], 0),  # one in a word
        (lut(4, 0, 16, bytes([1, 2, 3, 4])), [1, 2, 3, 4], 0),  # bytes, stated as words
        (lut(1, 0, 16, words(513)), [513], 0),
        (lut(8, 0, 16, words(1, 2, 3)), [1, 2, 3], 1),  # fewer than stated
        (lut(2, 0, 16, words(1, 2, 3)), [1, 2], 1),  # more than stated
        (lut(0, 0, 16, words(1, 2, 3)), [1, 2, 3], 1),  # 0 is 65,536
    ],
)
def test_entries(item: Dataset, entries: list[int], problems: int) -> None:
    table = read(item)
    assert table.entries.tolist() == entries
    assert len(table.problems) == problems


def test_65536_entries() -> None:
    table = read(lut(0, 0, 16, np.arange(MOST, dtype="<u2").tobytes()))
    assert (len(table.entries), table.problems) == (MOST, ())


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (Dataset(), "LUTDescriptor has 0 values, not 3"),
        (lut(3, 0, 16, b""), "LUTData has no entries"),
    ],
)
def test_an_unreadable_table_gives_the_reason(item: Dataset, text: str) -> None:
    assert read_table(item, "LUTDescriptor", "LUTData") == text


def test_a_descriptor_in_bytes_of_unknown_kind() -> None:
    item = lut(3, 0, 16, words(1, 2, 3))
    item.add_new(0x00283002, "OB", words(3, 65526, 16))
    table = read(item)
    assert (table.first, table.bits, table.entries.tolist()) == (65526, 16, [1, 2, 3])
    assert first_mapped(table, -100, 100) == -10


@pytest.mark.parametrize(
    ("stated", "count", "low", "high", "first"),
    [
        (-10, 100, -2048, 2047, -10),
        (65526, 100, -2048, 2047, -10),  # written as US
        (40000, 100, 0, 65535, 40000),
        (40000 - 65536, 100, 0, 65535, 40000),  # written as SS
        (-5, 4096, 0, 4095, -5),  # of unsigned values, yet meant
        (65536 - 1024, 4096, -1024, 3071, -1024),
        (40000, 30000, -1024, 64511, 40000),
        (0, 4096, -2048, 2047, 0),
    ],
)
def test_sign_of_the_first_value(stated: int, count: int, low: int, high: int, first: int) -> None:
    table = read(lut(count, stated, 16, bytes(2 * count)))
    assert first_mapped(table, low, high) == first


@pytest.mark.parametrize(
    ("bits", "top", "fitted"),
    [
        (16, 65535, 16),
        (12, 4095, 12),
        (12, 2048, 12),  # half of the range is in use: as stated
        (16, 4095, 12),
        (16, 1023, 10),
        (16, 32767, 15),
        (16, 255, 8),
        (8, 4095, 12),
        (8, 65535, 16),
        (10, 4095, 12),
        (0, 4095, 12),
        (32, 255, 8),
    ],
)
def test_bits_are_those_that_the_entries_need(bits: int, top: int, fitted: int) -> None:
    table = fit_bits(read(lut(2, 0, bits, words(0, top))))
    assert table.bits == fitted
    assert bool(table.problems) == (fitted != bits)


def test_a_table_of_zeros_keeps_its_bits() -> None:
    assert fit_bits(read(lut(2, 0, 12, words(0, 0)))).bits == 12
    assert fit_bits(read(lut(2, 0, 0, words(0, 0)))).bits == 1


# --- palettes -----------------------------------------------------------------------------------


def palette(bits: int, *channels: bytes, count: int, segmented: bool = False) -> Dataset:
    header = Dataset()
    for colour, data in zip(COLOURS, channels, strict=True):
        name = f"{colour}PaletteColorLookupTable"
        setattr(header, f"{name}Descriptor", [count % MOST, 0, bits])
        setattr(header, f"{'Segmented' * segmented}{name}Data", data)
    return header


def colours(header: Dataset) -> tuple[list[list[int]], list[str]]:
    found, _, problems = read_palette(header)
    assert found is not None, problems
    return found.tolist(), problems


BYTES = (bytes([0, 250]), bytes([0, 60]), bytes([0, 7]))
EXPECTED = [[0, 0, 0], [250, 60, 7]]


@pytest.mark.parametrize(
    ("bits", "size", "shift", "odd"),
    [
        (8, 1, 0, False),
        (8, 2, 0, False),  # one entry in a word
        (16, 2, 8, False),
        (16, 2, 0, True),  # 8-bit values, stated as 16
        (16, 1, 0, True),
        (8, 2, 8, True),  # 16-bit values, stated as 8
        (16, 2, 4, True),  # 12-bit values, stated as 16
        (0, 2, 8, True),
    ],
)
def test_palettes_with_any_stated_bits(bits: int, size: int, shift: int, odd: bool) -> None:
    channels = [
        (np.frombuffer(channel, "u1").astype(f"<u{size}") << shift).tobytes() for channel in BYTES
    ]
    found, problems = colours(palette(bits, *channels, count=2))
    assert found == EXPECTED
    assert bool(problems) == odd


def test_a_dark_palette_stays_dark() -> None:
    dark = [bytes([0, 20]), bytes([0, 3]), bytes(2)]
    assert colours(palette(8, *dark, count=2)) == ([[0, 0, 0], [20, 3, 0]], [])
    deep = [words(0, 0x3000), words(0, 0x0200), words(0, 0)]
    assert colours(palette(16, *deep, count=2)) == ([[0, 0, 0], [0x30, 2, 0]], [])


def test_colours_of_different_sizes_are_noted() -> None:
    header = palette(8, bytes(4), bytes(4), bytes(2), count=4)
    found, problems = colours(header)
    assert len(found) == 2
    assert any("different sizes" in problem for problem in problems)


SEGMENTS = [
    [0, 3, 0, 10, 20, 1, 5, 70],  # discrete, linear
    [0, 1, 5, 1, 7, 250],
    [0, 2, 9, 9, 1, 3, 0, 0, 3, 1, 2, 3],
]


@pytest.mark.parametrize(("bits", "size"), [(8, 1), (16, 2), (8, 2), (16, 1)])
def test_segments_as_pydicom_expands_them(bits: int, size: int) -> None:
    """Also where they are bytes, stated as 16 bits, or words, stated as 8."""
    right = [np.array(segments, f"<u{size}").tobytes() for segments in SEGMENTS]
    header = palette(8 * size, *right, count=8, segmented=True)
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    expected = apply_color_lut(np.arange(8), header)[..., :3]
    found, _, _ = read_palette(palette(bits, *right, count=8, segmented=True))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [1, 2])
def test_indirect_segments(size: int) -> None:
    """A copy of the ramp at byte `at`, which starts from the last value (PS3.3 C.7.9.2.3)."""
    at = 4 * size
    offset = np.frombuffer(at.to_bytes(4, "little"), f"<u{size}").tolist()
    segments = [0, 2, 10, 20, 1, 2, 40, 2, 1, *offset]
    data = np.array(segments, f"<u{size}").tobytes()
    found, _ = colours(palette(8 * size, data, data, data, count=6, segmented=True))
    assert [colour[0] for colour in found] == [10, 20, 30, 40, 40, 40]


@pytest.mark.parametrize(
    "segments", [[1, 5, 9], [2, 1, 0, 0], [7, 1, 1], [0, 1, 1, 2, 9, 0, 0], [0, 2, 5]]
)
def test_damaged_segments_end(segments: list[int]) -> None:
    data = words(*segments)
    found, _, problems = read_palette(palette(16, data, data, data, count=256, segmented=True))
    assert problems
    assert found is None or len(found) < 256

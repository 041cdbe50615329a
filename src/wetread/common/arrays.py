"""Arrow arrays from Python and NumPy values, without pandas.

The first call of `pyarrow.array` or `pyarrow.scalar` imports pandas (0.2 s, 34 MB) for any input.
A scan builds its arrays here instead, from buffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]


def array(
    values: Sequence[Any] | npt.NDArray[Any], kind: pa.DataType, nulls: Bools | None = None
) -> pa.Array:
    """Arrow array of type `kind`; None, or True in `nulls`, becomes null.

    `kind` is a boolean, number, date, time, text, binary, list or struct type. A NumPy array of
    the same type is not copied.

    >>> array([[1, None], None], pa.list_(pa.int32())).to_pylist()
    [[1, None], None]
    >>> array(np.arange(3), pa.int64(), np.array([False, True, False])).to_pylist()
    [0, None, 2]

    Raises:
        OverflowError, TypeError or ValueError: a value does not fit `kind`.
    """
    numeric = isinstance(values, np.ndarray) and values.dtype != object
    listed: list[Any] = [] if numeric else list(values)
    if nulls is None and (count := listed.count(None)):
        if count == len(listed):
            return pa.nulls(count, kind)
        nulls = np.fromiter((value is None for value in listed), np.bool_, len(listed))
    validity = None if nulls is None or not nulls.any() else _bits(~nulls)
    if pa.types.is_struct(kind):
        fields = [array([v and v[field.name] for v in listed], field.type) for field in kind]
        return pa.StructArray.from_arrays(fields, fields=list(kind))
    if pa.types.is_list(kind):
        bounds = _bounds(np.array([len(value or ()) for value in listed], np.int64))
        flat = array([*chain.from_iterable(value or () for value in listed)], kind.value_type)
        return pa.Array.from_buffers(kind, len(listed), [validity, bounds], children=[flat])
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _texts(listed, kind, validity)
    numbers = values if numeric else [0 if value is None else value for value in listed]
    given = np.asarray(numbers)
    if pa.types.is_boolean(kind):
        return pa.Array.from_buffers(kind, len(given), [validity, _bits(given)])
    with np.errstate(invalid="ignore"):  # a number beyond the type is found by comparison
        data = np.ascontiguousarray(given, buffer_type(kind))
    if data.dtype != given.dtype and not np.array_equal(data, given, equal_nan=True):
        raise ValueError(f"a value does not fit {kind}")
    return pa.Array.from_buffers(kind, len(data), [validity, pa.py_buffer(data)])


def scalar(value: Any, kind: pa.DataType) -> pa.Scalar:
    """Arrow scalar of type `kind`.

    >>> scalar(b"a", pa.binary())
    <pyarrow.BinaryScalar: b'a'>
    """
    return array([value], kind)[0]


def filled(column: pa.Array | pa.ChunkedArray, value: Any) -> npt.NDArray[Any]:
    """Numbers or booleans of a column as a NumPy array, with `value` instead of nulls.

    >>> filled(array([1, None], pa.int64()), -1).tolist()
    [1, -1]
    """
    column = whole_array(column)
    count, first = len(column), column.offset
    if pa.types.is_null(column.type):
        return np.full(count, value)
    validity, data = column.buffers()
    if pa.types.is_boolean(column.type):
        values = _unpack(data, first, count)
    else:
        kind = buffer_type(column.type)
        values = np.frombuffer(data or b"", kind, count, first * kind.itemsize)
    if column.null_count:
        values = np.where(_unpack(validity, first, count), values, value)
    return values


def is_among(values: npt.NDArray[Any], known: npt.NDArray[Any]) -> Bools:
    """True for the values that are among the sorted `known`, which is not empty.

    `numpy.isin` imports `numpy.ma` where `known` is far apart, 15 ms of a scan's start.

    >>> is_among(np.array([1, 2, 9]), np.array([2, 5])).tolist()
    [False, True, False]
    """
    found: Bools = known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
    return found


def ranges(first: Int64s, end: Int64s) -> Int64s:
    """Concatenated numbers from each `first` on, up to its `end`.

    >>> ranges(np.array([2, 7]), np.array([5, 8])).tolist()
    [2, 3, 4, 7]
    """
    counts = end - first
    before = np.cumsum(counts) - counts
    numbers: Int64s = np.repeat(first - before, counts) + np.arange(counts.sum())
    return numbers


def whole_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _texts(values: list[Any], kind: pa.DataType, validity: pa.Buffer | None) -> pa.Array:
    """Array of texts or bytes; the nulls of `validity` may be None."""
    is_text = pa.types.is_string(kind)
    if validity is not None:
        nothing = "" if is_text else b""
        values = [nothing if value is None else value for value in values]
    if is_text:
        joined = "".join(values)
        if joined.isascii():
            data = joined.encode()
        else:
            values = [value.encode() for value in values]
            data = b"".join(values)
    else:
        data = b"".join(values)
    bounds = _bounds(np.fromiter(map(len, values), np.int64, len(values)))
    return pa.Array.from_buffers(kind, len(values), [validity, bounds, pa.py_buffer(data)])


def buffer_type(kind: pa.DataType) -> np.dtype[Any]:
    """NumPy type of the values in an Arrow buffer."""
    if pa.types.is_temporal(kind):
        return np.dtype(f"i{kind.bit_width // 8}")
    buffer_type: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    return buffer_type


def _bits(flags: Bools) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def _unpack(bits: pa.Buffer, first: int, count: int) -> Bools:
    flags = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")
    return flags[first : first + count].astype(np.bool_)


def _bounds(lengths: npt.NDArray[np.int64]) -> pa.Buffer:
    """Offsets of consecutive values; OverflowError beyond 2 GiB."""
    total = int(lengths.sum())
    if total > 2**31 - 1:
        raise OverflowError(f"{total} bytes or values in one array")
    bounds = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=bounds[1:])
    return pa.py_buffer(bounds)

"""Values of the attributes that divide stacks, as codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import filled
from wetread.series.reading import Images
from wetread.series.slices import Ints, Slices
from wetread.series.stacks import DIVIDERS
from wetread.table.rows import IndexRows, fetch_rows

_FRAME_NAMES = {
    "AcquisitionNumber": ("FrameAcquisitionNumber",),
    "ImageType": ("FrameType",),
    "ContentTime": ("FrameReferenceDateTime", "ContentTime"),
    "TriggerTime": ("NominalCardiacTriggerDelayTime", "TriggerTime"),
    "b_value": ("DiffusionBValue",),
}
"""Columns of the table of frames with the value of an attribute; the first that has one."""
_COPY = ("SOPInstanceUID", "header_hash", "file_size", "pixel_length")
"""Columns that are equal for copies of one file."""


class Dividers:
    """Codes and values of the attributes of some slices."""

    def __init__(self, index: IndexRows, images: Images, slices: Slices, frames: pa.Table) -> None:
        rows = images.row[slices.row]
        table = fetch_rows(index, rows, [*DIVIDERS, *_COPY])
        record = pa.array(slices.record, mask=slices.record < 0)
        self._values: dict[str, pa.Array] = {}
        self.keys = np.full((len(slices), len(DIVIDERS)), -1, np.int64)
        """Code of each value, ascending with the values; -1 for null, (n, attributes)."""
        for column, name in enumerate(DIVIDERS):
            values = table[name].combine_chunks()
            of_frames = [
                frames[frame_name].combine_chunks()
                for frame_name in _FRAME_NAMES.get(name, (name,))
                if frame_name in frames.column_names
            ]
            if of_frames and frames.num_rows:
                taken = pc.coalesce(*of_frames).take(record)
                values = _coalesce(taken, values)
            self.keys[:, column] = encode(values)
            self._values[name] = values
        copies = [encode(table[name].combine_chunks()) for name in _COPY]
        copies.append(slices.frame)
        _, self.copy = np.unique(np.stack(copies, axis=1), axis=0, return_inverse=True)
        self.copy = np.where(copies[0] < 0, len(slices) + np.arange(len(slices)), self.copy.ravel())
        """Equal for copies of one file, (n,)."""

    def value(self, name: str, number: int) -> Any:
        """Value of an attribute in one slice."""
        return self._values[name][number].as_py()


def encode(column: pa.Array) -> Ints:
    """Codes of values, ascending with them; -1 for null.

    >>> encode(pa.array([2.5, None, 1.0, 2.5])).tolist()
    [1, -1, 0, 1]
    """
    if column.null_count == len(column):
        return np.full(len(column), -1, np.int64)
    if pa.types.is_list(column.type):
        column = _join(column)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    order = pc.sort_indices(column.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    codes = filled(column.indices, -1).astype(np.int64)
    return np.where(codes < 0, -1, rank[codes]) if len(rank) else codes


def _join(column: pa.Array) -> pa.Array:
    """Lists as texts with backslashes; empty lists are null."""
    texts = pc.cast(column, pa.list_(pa.string()))
    joined = pc.binary_join(texts, "\\")
    return pc.if_else(pc.equal(pc.list_value_length(column), 0), None, joined)


def _coalesce(values: pa.Array, other: pa.Array) -> pa.Array:
    """The values, or the others where they are null; as texts if the types differ."""
    if pa.types.is_null(other.type):
        return values
    if values.type != other.type:
        kind = _common_type(values.type, other.type)
        values, other = values.cast(kind), other.cast(kind)
    return pc.coalesce(values, other)


def _common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    numbers = all(pa.types.is_integer(t) or pa.types.is_floating(t) for t in (one, other))
    if numbers:
        return pa.float64()
    return one if pa.types.is_list(one) else pa.string()

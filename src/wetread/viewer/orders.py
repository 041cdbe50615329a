"""Stable orders of rows, with missing values last, and distinct numbers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_RANDOM = re.compile(r"random:([0-9]{1,9})")


def read_seed(order: str) -> int | None:
    """Seed of a random order; None for the name of a column.

    >>> read_seed("random:7"), read_seed("Modality")
    (7, None)
    """
    match = _RANDOM.fullmatch(order)
    return int(match[1]) if match else None


def sort_stably(keys: pa.ChunkedArray, desc: bool = False) -> NDArray[np.int64]:
    """Stable argsort of values; missing values last in either direction.

    >>> sort_stably(pa.chunked_array([["b", None, "a", "b"]]), desc=True).tolist()
    [0, 3, 2, 1]
    """
    missing = np.asarray(keys.is_null(nan_is_null=True))
    if pa.types.is_temporal(keys.type):
        keys = keys.cast(pa.int32() if keys.type.bit_width == 32 else pa.int64())
    elif not (pa.types.is_integer(keys.type) or pa.types.is_floating(keys.type)):
        texts = keys.dictionary_encode().combine_chunks()  # compares each distinct text once
        ranks = pc.rank(texts.dictionary, "ascending", tiebreaker="dense")
        keys = ranks.take(texts.indices)
    numbers = np.asarray(keys.fill_null(0))
    if desc:
        order = len(numbers) - 1 - np.argsort(numbers[::-1], kind="stable")[::-1]
    else:
        order = np.argsort(numbers, kind="stable")
    return np.concatenate([order[~missing[order]], np.flatnonzero(missing)])


def distinct(numbers: NDArray[Any]) -> NDArray[Any]:
    """Distinct integers, ascending; faster than `numpy.unique`, which hashes them.

    >>> distinct(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    ordered = np.sort(numbers)
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]

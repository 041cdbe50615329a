"""Registry of the columns found so far, with their numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wetread.headers.core.columns import number_tags
from wetread.headers.core.constants import LENGTH, TRIM_EQUALS, TRIM_LEFT
from wetread.headers.dictionary import DICTIONARY
from wetread.headers.schema import FAMILY_OF_VR, Column, column_of, pack_vr
from wetread.headers.walks import Elements

_MOST_STRANGE = 4000
"""Maximum number of columns for tags that are not in the dictionary."""
_TRIM = {"AE": TRIM_LEFT, "PN": TRIM_EQUALS}
_NO_VR = 65535
"""Packed VR that no element has."""
NO_CODE = 65535
"""Number of a tag without a column."""


class Registry:
    """Dense column numbers of the public tags found so far; a lookup is one gather.

    A hash of the tag gives its slot; a tag that shares a slot with another goes through a
    dictionary instead.
    """

    def __init__(self) -> None:
        self.columns: list[Column] = []
        self.family = np.zeros(65536, np.uint8)
        self.dual, self.is_list, self.unknown, self.trim = np.zeros((4, 65536), np.uint8)
        self.vrs = np.zeros((2, 65536), np.uint16)
        """First and last of the column's VRs, packed as in a file."""
        self.usual_vr = np.full(65536, _NO_VR, np.uint16)
        """The first one, if it alone decides how values are read; else _NO_VR."""
        self._strange = 0
        self._codes: dict[int, int] = {}
        self._slot_tag = np.zeros(65536, np.uint32)
        self._slot_code = np.zeros(65536, np.uint16)

    def codes_of(self, elements: Elements) -> npt.NDArray[np.uint16]:
        """Column numbers of elements; new tags are added, those of rows with few new tags first.

        A data set of invented tags therefore takes no columns from others. SKIPPED for elements
        without a column.
        """
        tags, rows = elements.tag, elements.row
        codes = np.empty(len(tags), np.uint16)
        missed = np.empty(len(tags), np.int64)
        slots = self._slot_tag, self._slot_code
        count = number_tags(tags, elements.depth, elements.bits, *slots, codes, missed)
        missed = missed[:count]
        if count:
            distinct, inverse = np.unique(tags[missed], return_inverse=True)
            fewest = np.full(len(distinct), len(tags))
            np.minimum.at(fewest, inverse, np.bincount(rows[missed])[rows[missed]])
            found = np.empty(len(distinct), np.uint16)
            for i in np.argsort(fewest, kind="stable"):
                found[i] = self._code_of(int(distinct[i]))
            codes[missed] = found[inverse]
        return codes

    def _code_of(self, tag: int) -> int:
        if tag in self._codes:
            return self._codes[tag]
        if tag not in DICTIONARY:
            if self._strange == _MOST_STRANGE:
                return NO_CODE
            self._strange += 1
        code = len(self.columns)
        column = column_of(tag)
        self.columns.append(column)
        self._codes[tag] = code
        self.family[code] = column.family
        self.dual[code] = set(column.vrs) == {"US", "SS"}
        self.is_list[code] = column.is_list
        self.trim[code] = _TRIM.get(column.vrs[0], 0)
        self.unknown[code] = not column.known
        self.vrs[:, code] = pack_vr(column.vrs[0]), pack_vr(column.vrs[-1])
        is_usual = column.family == FAMILY_OF_VR[column.vrs[0]] and column.family < LENGTH
        if is_usual and column.known and not self.dual[code]:
            self.usual_vr[code] = self.vrs[0, code]
        slot = (tag * 2654435769 & 0xFFFFFFFF) >> 16
        if self._slot_tag[slot] == 0:
            self._slot_tag[slot], self._slot_code[slot] = tag, code
        return code

    @property
    def full(self) -> bool:
        """True if the tags of the next block may not fit; then a new registry is needed."""
        return self._strange > _MOST_STRANGE // 10

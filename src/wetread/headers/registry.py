"""Registry of the columns found so far, with their numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom._dicom_dict import DicomDictionary

from wetread.headers.core.columns import number_tags
from wetread.headers.schema import Column, column_of, pack_vr
from wetread.headers.walks import Elements

_MOST_STRANGE = 4000
"""Maximum number of columns for tags that are not in the dictionary."""
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
        flags = np.zeros((5, 65536), np.bool_)
        self.dual, self.is_list, self.is_title, self.is_name, self.unknown = flags
        self.vr = np.zeros(65536, np.uint16)
        """The column's VR, packed as in a file."""
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
        if tag not in DicomDictionary:
            if self._strange == _MOST_STRANGE:
                return NO_CODE
            self._strange += 1
        code = len(self.columns)
        column = column_of(tag)
        self.columns.append(column)
        self._codes[tag] = code
        self.family[code] = column.family
        self.dual[code] = set(column.vrs) == {"US", "SS"}
        self.is_list[code], self.is_title[code] = column.is_list, column.vrs[0] == "AE"
        self.is_name[code] = column.vrs[0] == "PN"
        self.unknown[code] = not column.known
        self.vr[code] = pack_vr(column.vrs[0])
        slot = (tag * 2654435769 & 0xFFFFFFFF) >> 16
        if self._slot_tag[slot] == 0:
            self._slot_tag[slot], self._slot_code[slot] = tag, code
        return code

    @property
    def full(self) -> bool:
        """True if the tags of the next block may not fit; then a new registry is needed."""
        return self._strange > _MOST_STRANGE // 10

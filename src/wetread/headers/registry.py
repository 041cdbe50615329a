"""The columns met so far, numbered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wetread.headers.schema import Column, column_of, pack_vr


class Registry:
    """A dense number for every public tag met so far, found by one gather.

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
        self._codes: dict[int, int] = {}
        self._slot_tag = np.zeros(65536, np.uint32)
        self._slot_code = np.zeros(65536, np.uint16)

    def codes_of(self, tags: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
        """The numbers of tags; new ones are added."""
        slots = (tags * np.uint32(2654435769)) >> np.uint32(16)
        codes: npt.NDArray[np.uint16] = self._slot_code[slots]
        missed = np.flatnonzero(self._slot_tag[slots] != tags)
        if missed.size:
            distinct, inverse = np.unique(tags[missed], return_inverse=True)
            found = np.array([self._code_of(int(tag)) for tag in distinct], np.uint16)
            codes[missed] = found[inverse]
        return codes

    def _code_of(self, tag: int) -> int:
        if tag in self._codes:
            return self._codes[tag]
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
        """Near the end of its 65,536 numbers; a damaged data set may hold any tag."""
        return len(self.columns) > 50_000

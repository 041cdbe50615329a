"""Problems of the rows of a block, and the read status that they imply."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.common.arrays import array
from wetread.headers.schema import PROBLEM_TYPE, format_tag

STATUSES = ("ok", "repaired", "partial", "refused", "no_access", "timeout", "crashed", "not_dicom")
"""In order of precedence, the lowest first."""

# fmt: off
_CODES_OF = {
    "repaired": (
        "NO_META", "TSUID_INFERRED", "TSUID_UNKNOWN", "TSUID_WRONG", "DELIMITER", "BAD_VR",
        "TOO_DEEP",
    ),
    "partial": (
        "TRUNCATED", "LENGTH_CLIPPED", "LENGTH_WRAP", "RESYNC", "DEFLATE_DAMAGED", "HEADER_BUDGET",
        "PIXELS_ABSENT", "PIXELS_SHORT", "ELEMENT_LIMIT",
    ),
    "refused": ("BOMB", "NOT_A_FILE"),
    "no_access": ("NO_ACCESS", "BROKEN_LINK", "BAD_ARCHIVE"),
    "timeout": ("TIMEOUT",),
    "crashed": ("CRASHED",),
    "not_dicom": ("NOT_DICOM", "EMPTY_FILE"),
}
# fmt: on
_RANK_OF = {code: STATUSES.index(status) for status, codes in _CODES_OF.items() for code in codes}
_STOPPED = {*_CODES_OF["partial"], *_CODES_OF["refused"]}
_LIMIT = "PROBLEM_LIMIT"


class RowProblems:
    """Problems of rows in lists of equal length, one entry per problem."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.codes: list[str] = []
        self.tags: list[int] = []
        """-1 for none."""
        self.offsets: list[int] = []
        """Positions in the file; -1 for none."""
        self.texts: list[str] = []

    def find(self, row: int, code: str, text: str, tag: int = -1, offset: int = -1) -> None:
        """Note a problem."""
        self.find_all([row], code, text, tag, offset)

    def find_all(
        self, rows: list[int], code: str, text: str, tag: int = -1, offset: int = -1
    ) -> None:
        """Note the same problem of several rows."""
        count = len(rows)
        self.rows += rows
        self.codes += [code] * count
        self.tags += [tag] * count
        self.offsets += [offset] * count
        self.texts += [text] * count

    def extend(self, other: RowProblems) -> None:
        """Add other problems of the same rows."""
        self.rows += other.rows
        self.codes += other.codes
        self.tags += other.tags
        self.offsets += other.offsets
        self.texts += other.texts

    def known(self) -> set[tuple[int, str]]:
        """Rows and codes of the problems."""
        return set(zip(self.rows, self.codes, strict=True))

    def stopped(self) -> set[int]:
        """Rows of which a part was not read."""
        return {row for row, code in self.known() if code in _STOPPED}

    def statuses(self, rows: int) -> pa.StringArray:
        """The most severe status that the problems of each row imply."""
        rank_of = np.zeros(rows, np.int8)
        ranks = np.array([_RANK_OF.get(code, 0) for code in self.codes], np.int8)
        np.maximum.at(rank_of, np.array(self.rows, np.int64), ranks)
        return array(STATUSES, pa.string()).take(array(rank_of, pa.int8()))

    def column(self, rows: int, most: int) -> pa.ListArray:
        """The column `problems`: from the start of each file on, up to `most` and PROBLEM_LIMIT."""
        is_over = _LIMIT in self.codes or max(Counter(self.rows).values(), default=0) > most
        kept = self._limited(most) if is_over else self
        order = kept._order()
        at = order.tolist()
        tags = [None if (tag := kept.tags[i]) < 0 else format_tag(tag) for i in at]
        offsets = np.array(kept.offsets, np.int64)[order]
        fields = [
            array([kept.codes[i] for i in at], pa.string()),
            array(tags, pa.string()),
            array(offsets, pa.int64(), offsets < 0),
            array([kept.texts[i] for i in at], pa.string()),
        ]
        return list_of(np.array(kept.rows, np.int64)[order], fields, rows, PROBLEM_TYPE)

    def _order(self) -> npt.NDArray[np.int64]:
        """Places by row, then from the start of the file on; PROBLEM_LIMIT is the last one."""
        rank_of = {code: rank for rank, code in enumerate(sorted(set(self.codes) - {_LIMIT}))}
        codes = [rank_of.get(code, -1) for code in self.codes]
        last = [int(code == _LIMIT) for code in self.codes]
        return np.lexsort((self.tags, codes, self.offsets, last, self.rows))

    def _limited(self, most: int) -> RowProblems:
        """The first problems of each row, and PROBLEM_LIMIT if there are more."""
        kept = RowProblems()
        for row, group in groupby(self._order().tolist(), key=self.rows.__getitem__):
            own = list(group)
            known = [i for i in own if self.codes[i] != _LIMIT]
            for i in known[:most]:
                kept.find(row, self.codes[i], self.texts[i], self.tags[i], self.offsets[i])
            if len(known) > most or len(known) < len(own):
                kept.find(row, _LIMIT, f"more than {most} problems; the others are left out")
        return kept


def list_of(
    rows: npt.NDArray[np.int64], fields: list[pa.Array], count: int, kind: pa.ListType
) -> pa.ListArray:
    """A list column of structs for `count` rows, from fields of entries sorted by row."""
    bounds = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=count), out=bounds[1:])
    flat = pa.StructArray.from_arrays(fields, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(array(bounds, pa.int32()), flat).cast(kind)

"""Images of label files: the volume or slice that a file refers to, or that its grid fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from wetread.segments.contents import Fit, Found, LabelFile, Target
from wetread.series.affine import make_affine
from wetread.series.query import SeriesIndex
from wetread.series.table import Series, SeriesStack, SeriesTable
from wetread.settings import Settings
from wetread.table.query import query
from wetread.table.rows import IndexRows

_LABELS = ("SEG", "RTSTRUCT")
_SERIES_OF = """
SELECT DISTINCT SeriesInstanceUID AS uid FROM "index"
WHERE SOPInstanceUID IN (SELECT unnest($1)) AND SeriesInstanceUID IS NOT NULL
"""
_UIDS = 'SELECT id, SOPInstanceUID AS uid FROM "index" WHERE id IN (SELECT unnest($1))'
_HERE = 'SELECT SOPInstanceUID AS uid FROM "index" WHERE SOPInstanceUID IN (SELECT unnest($1))'
_MOST_UIDS = 10_000
"""References that are looked up in the index."""
_PROBLEMS_OF_PLACE = ("GRID_SHIFTED", "ORIENTATION_FLIPPED", "SLICE_ABSENT")
"""Problems of the volume that is nearest, by preference."""


class Images:
    """Series of an index, as targets of masks."""

    def __init__(self, index: IndexRows, settings: Settings = Settings()) -> None:
        self._index, self._settings = index, settings
        self.series = (
            index.series if isinstance(index, SeriesIndex) else SeriesTable(index, settings)
        )
        self._targets: dict[int, list[Target]] = {}

    def match(self, file: LabelFile) -> tuple[Fit | None, list[Found]]:
        """Find the volume or slice of a file.

        Returns:
            The place of its segments there, None without a target; and problems of the whole file.
        """
        refs = file.references
        numbers, named = self._find_series(file)
        if named and not numbers:
            text = f"series {named} is not in the index"
            return None, [Found("SERIES_ABSENT", text)]
        frame = refs.frame_of_reference
        alike = [n for n in numbers if not frame or self._frame_of(n) in (None, frame)]
        if numbers and not alike:
            other = self._frame_of(numbers[0])
            text = f"{frame}, that of the images is {other}"
            found = [Found("FRAME_OF_REFERENCE_DIFFERS", text)]
            if not named:
                return None, found
            fit, _ = self._choose(file, numbers, bool(named))
            return fit, found
        return self._choose(file, alike, bool(named))

    def _find_series(self, file: LabelFile) -> tuple[list[int], str]:
        """Numbers of the series that a file may be of, and the UID that it refers to."""
        refs = file.references
        uids = refs.series
        if not uids and refs.images:
            names = query(self._index, _SERIES_OF, [refs.images[:_MOST_UIDS]])
            uids = names["uid"].to_pylist()
            if not uids:
                return [], f"of image {refs.images[0]}"
        if uids:
            return [n for uid in uids for n in self._numbers.get(uid, [])], uids[0]
        inside = [n for n, names in enumerate(self._names) if any(x in file.name for x in names)]
        others = [n for n, row in enumerate(self._rows) if row["Modality"] not in _LABELS]
        return inside or others, ""

    def _choose(
        self, file: LabelFile, numbers: Iterable[int], named: bool
    ) -> tuple[Fit | None, list[Found]]:
        """Choose the target that a file fits, among those of some series."""
        numbers = list(numbers)
        fits = [file.fit(target) for n in numbers for target in self._targets_of(n)]
        if not fits:
            code = "SERIES_NO_VOLUME" if named else "SERIES_ABSENT"
            return None, [Found(code, self._explain(numbers, named)), *self._lost(file, numbers)]
        exact = [fit for fit in fits if not any(f.severity == "error" for f in fit.found)]
        if len(exact) > 1:
            some = ", ".join(fit.target.series["series_id"] for fit in exact[:3])
            return None, [Found("SERIES_AMBIGUOUS", f"it fits {len(exact)} volumes: {some}")]
        best = exact[0] if exact else min(fits, key=_badness)
        return best, list(best.found)

    def _explain(self, numbers: list[int], named: bool) -> str:
        if not numbers or not named:
            return "the index has no volume with its grid"
        try:
            self.series[numbers[0]].volume  # noqa: B018 - the error names the problems
        except Exception as error:  # noqa: BLE001 - only for its message
            return str(error)
        return "no volume"

    def _lost(self, file: LabelFile, numbers: list[int]) -> Iterator[Found]:
        """Images that the file refers to and that are not in the index."""
        refs = file.references.images[:_MOST_UIDS]
        if not refs or not numbers:
            return
        sql = (
            'SELECT SOPInstanceUID AS uid FROM "index" WHERE SOPInstanceUID IN (SELECT unnest($1))'
        )
        here = set(query(self._index, sql, [refs])["uid"].to_pylist())
        lost = [uid for uid in refs if uid not in here]
        if lost:
            text = f"{len(lost)} images that it refers to are not in the index, such as {lost[0]}"
            yield Found("SLICE_ABSENT", text)

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        names = ["series_id", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality", "volumes"]
        rows: list[dict[str, Any]] = self.series.table.select(names).to_pylist()
        return rows

    @cached_property
    def _numbers(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number, row in enumerate(self._rows):
            if row["SeriesInstanceUID"]:
                found.setdefault(row["SeriesInstanceUID"], []).append(number)
        return found

    @cached_property
    def _names(self) -> list[list[str]]:
        """Texts in the name of a file that say of which series it is."""
        return [
            [x for x in (row["series_id"], row["SeriesInstanceUID"]) if x] for row in self._rows
        ]

    def _frame_of(self, number: int) -> str | None:
        return self._rows[number]["FrameOfReferenceUID"] or None

    def _targets_of(self, number: int) -> list[Target]:
        if number not in self._targets:
            series = self.series[number]
            found = [self._make(series, stack) for stack in series.stacks]
            self._targets[number] = [target for target in found if target is not None]
        return self._targets[number]

    def _make(self, series: Series, stack: SeriesStack) -> Target | None:
        """Target of a stack; None if it is neither a volume nor a single slice."""
        single = len(stack.slices) == 1
        if not stack.is_volume and not single:
            return None
        if single:
            origin, orientation = np.array(stack.origin), np.array(stack.orientation)
            if not np.isfinite([*origin, *orientation, *stack.spacing[1:]]).all():
                return None
            normal = np.cross(orientation[:3], orientation[3:])
            spacing = np.array(stack.spacing[1:], np.float64)
            affine = make_affine(origin, origin + normal, 2, orientation, spacing)
        else:
            affine = stack.volume.affine
        uids = query(self._index, _UIDS, [sorted({s.id for s in stack.slices})])
        uid_of = dict(zip(uids["id"].to_pylist(), uids["uid"].to_pylist(), strict=True))
        places = {
            (uid, s.frame): k for k, s in enumerate(stack.slices) if (uid := uid_of.get(s.id))
        }
        slices = [(s.id, s.frame) for s in stack.slices]
        volume = stack.volume if stack.is_volume else None
        return Target(series.row, volume, stack.shape, affine, slices, places)


def _badness(fit: Fit) -> tuple[int, float]:
    """Number of problems of a place, those of small displacements first."""
    codes = [f.code for f in fit.found if f.severity == "error"]
    return len(codes), -sum(code in _PROBLEMS_OF_PLACE for code in codes)

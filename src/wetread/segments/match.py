"""Images of label files: the volume or slice that a file refers to, or that its grid fits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from wetread.common.text import counted
from wetread.segments.contents import Fit, LabelFile, Problem, Target
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
_KNOWN_UIDS = (
    'SELECT SOPInstanceUID AS uid FROM "index" WHERE SOPInstanceUID IN (SELECT unnest($1))'
)
MOST_UIDS = 10_000
"""References that are looked up in the index."""
_PROBLEMS_OF_PLACE = ("GRID_SHIFTED", "ORIENTATION_FLIPPED", "SLICE_ABSENT")
"""Errors of a mask that lies beside its volume: it is still likely to belong to it."""


class Candidates(NamedTuple):
    """Volumes and slices that a label file may lie on."""

    series: list[int]
    """Numbers of their series."""
    targets: list[Target]
    found: list[Problem]
    """Problems that are known without the pixels of the file."""


class Images:
    """Series of an index, as targets of masks.

    Args:
        index: rows of the images.
        settings: tolerances.
        series: the series of the index, if they are computed already.
    """

    def __init__(
        self,
        index: IndexRows,
        settings: Settings = Settings(),
        series: SeriesTable | None = None,
    ) -> None:
        self._index, self._settings = index, settings
        if series is None and isinstance(index, SeriesIndex):
            series = index.series
        self.series = SeriesTable(index, settings) if series is None else series
        self._targets: dict[int, list[Target]] = {}

    def match(self, file: LabelFile) -> tuple[Fit | None, list[Problem]]:
        """Find the volume or slice of a file.

        Returns:
            The place of its segments there, None without a target; and problems of the whole file.
        """
        candidates = self.candidates(file)
        return choose([file.fit(target) for target in candidates.targets], candidates.found)

    def candidates(self, file: LabelFile) -> Candidates:
        """Volumes and slices that a file may lie on, by its references; without its pixels."""
        numbers, named = self._find_series(file)
        if named and not numbers:
            return Candidates(
                [], [], [Problem("SERIES_ABSENT", f"series {named} is not in the index")]
            )
        frame = file.references.frame_of_reference
        alike = [n for n in numbers if not frame or self._frame_of(n) in (None, frame)]
        found = []
        if numbers and not alike:
            text = f"{frame}, that of the images is {self._frame_of(numbers[0])}"
            found.append(Problem("FRAME_OF_REFERENCE_DIFFERS", text))
        chosen = alike or (numbers if named else [])
        targets = [target for n in chosen for target in self._targets_of(n)]
        if not targets and not found:
            code = "SERIES_NO_VOLUME" if named else "SERIES_ABSENT"
            found = [
                Problem(code, self._explain(chosen, bool(named))),
                *self._missing_images(file, chosen),
            ]
        return Candidates(chosen, targets, found)

    def _find_series(self, file: LabelFile) -> tuple[list[int], str]:
        """Numbers of the series that a file may be of, and the UID that it refers to."""
        refs = file.references
        uids = refs.series
        if not uids and refs.images:
            names = query(self._index, _SERIES_OF, [refs.images[:MOST_UIDS]])
            uids = names["uid"].to_pylist()
            if not uids:
                return [], f"of image {refs.images[0]}"
        if uids:
            return [n for uid in uids for n in self._numbers.get(uid, [])], uids[0]
        inside = [
            n for n, names in enumerate(self._identifiers) if any(x in file.name for x in names)
        ]
        others = [n for n, row in enumerate(self._rows) if row["Modality"] not in _LABELS]
        return inside or others, ""

    def _explain(self, numbers: list[int], named: bool) -> str:
        if not numbers or not named:
            return "the index has no volume with its grid"
        try:
            self.series[numbers[0]].volume  # noqa: B018 - the error names the problems
        except Exception as error:  # noqa: BLE001 - only for its message
            return str(error)
        return "no volume"

    def _missing_images(self, file: LabelFile, numbers: list[int]) -> Iterator[Problem]:
        """Images that the file refers to and that are not in the index."""
        refs = file.references.images[:MOST_UIDS]
        if not refs or not numbers:
            return
        known = set(query(self._index, _KNOWN_UIDS, [refs])["uid"].to_pylist())
        missing = [uid for uid in refs if uid not in known]
        if missing:
            text = (
                f"{counted(len(missing), 'image that it refers to', 'are')} not in the index, "
                f"such as {missing[0]}"
            )
            yield Problem("SLICE_ABSENT", text)

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
    def _identifiers(self) -> list[list[str]]:
        """Identifiers of each series that the name of its label file may contain."""
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


def choose(fits: list[Fit], found: list[Problem]) -> tuple[Fit | None, list[Problem]]:
    """Choose the place that a file fits.

    Args:
        fits: its places on the candidates.
        found: problems of the candidates, which come first.

    Returns:
        The place, None if there is none or there are several; and problems of the whole file.
    """
    exact = [fit for fit in fits if not any(f.severity == "error" for f in fit.found)]
    if len(exact) > 1 and not found:
        some = ", ".join(fit.target.series["series_id"] for fit in exact[:3])
        return None, [Problem("SERIES_AMBIGUOUS", f"it fits {len(exact)} volumes: {some}")]
    if not fits:
        return None, found
    best = exact[0] if exact else min(fits, key=_error_count)
    return best, found or list(best.found)


def _error_count(fit: Fit) -> tuple[int, float]:
    """Sort key: number of errors; among equal ones, more of `_PROBLEMS_OF_PLACE` come first."""
    codes = [f.code for f in fit.found if f.severity == "error"]
    return len(codes), -sum(code in _PROBLEMS_OF_PLACE for code in codes)

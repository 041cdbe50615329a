"""Result of an evaluation: scores, confidence intervals and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from wetread.common.html import table_html
from wetread.common.text import counted, to_plain
from wetread.evaluation.calibration import ALL, Calibration

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """Score with its confidence interval, and the number of images and patients."""

    metric: str
    """Name of the metric."""
    value: float | None
    """Mean over the labels with ground truth; None without any."""
    interval: tuple[float, float] | None
    """95 % bootstrap confidence interval of `value`, resampled by patient; None if disabled."""
    per_label: pd.DataFrame
    """One row per label: score, confidence interval, number of boxes, and further columns."""
    images: int
    """Number of evaluated images."""
    patients: int
    """Number of their patients; that of the images if no patient group is known."""
    resamples: int = 0
    """Number of bootstrap resamples."""
    seed: int = 0
    """Random seed of the bootstrap."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further values of the metric: those of COCO's summary, the threshold, ..."""
    notes: tuple[str, ...] = ()
    """Caveats of the score."""
    groups: pd.DataFrame | None = None
    """One row per subgroup, as `score_groups` describes; None without `by`."""
    operating_points: pd.DataFrame | None = None
    """One row per part, subgroup and label, as `tabulate_points` describes; None without
    `threshold_from`."""
    calibration: Calibration | None = None
    """Calibration error and reliability of the scores; None unless they are between 0 and 1."""

    @property
    def map(self) -> float | None:
        """The value, as mean average precision."""
        return self.value

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON types; unknown values are null."""
        calibration = self.calibration
        plain = {
            "metric": self.metric,
            "value": self.value,
            "interval": self.interval and list(self.interval),
            "images": self.images,
            "patients": self.patients,
            "resamples": self.resamples,
            "seed": self.seed,
            "per_label": _to_rows(self.per_label.reset_index()),
            "details": dict(self.details),
            "notes": list(self.notes),
            "groups": _to_rows(self.groups),
            "operating_points": _to_rows(self.operating_points),
            "calibration": calibration and _to_rows(calibration.table.reset_index()),
            "reliability": calibration and _to_rows(calibration.bins),
        }
        known: dict[str, Any] = to_plain(plain)
        return known

    def __str__(self) -> str:
        return "\n\n".join(f"{head}\n{_print(table)}" for head, table in self._tables())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        shown = []
        for head, table in self._tables():
            rows = ([_round(cell) for cell in row] for row in table.itertuples(index=False))
            shown += [f"<p>{escape(line)}</p>" for line in head.splitlines()]
            shown.append(table_html([str(name) for name in table.columns], rows))
        return "".join(shown)

    def _tables(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Tables for display, each with its heading."""
        yield self._head(), self._shown().reset_index()
        if self.groups is not None:
            yield (
                "By subgroup, and difference to the other images (p adjusted by Holm):",
                (_shorten(self.groups, ["by", "group", "images", "patients"], _GROUP_VALUES)),
            )
        if self.operating_points is not None:
            names = ["part", "by", "group", "label", "images", "patients"]
            if not any(self.operating_points["by"]):
                names = ["part", "label", "images", "patients"]
            values = [name for name in _POINT_VALUES if name in self.operating_points]
            yield "Operating points:", _shorten(self.operating_points, names, values)

    def _head(self) -> str:
        """Score in one line, the calibration error, and the notes."""
        value = "no score" if self.value is None else f"{self.value:.4f}"
        interval = (
            f" (95 % CI: {self.interval[0]:.4f} to {self.interval[1]:.4f})" if self.interval else ""
        )
        counts = f"{counted(self.images, 'image')} of {counted(self.patients, 'group')}"
        lines = [f"{self.metric}: {value}{interval}, {counts}", *self.notes]
        if self.calibration is not None:
            error = format_interval(*self.calibration.table.loc[ALL, ["ece", "low", "high"]])
            lines.insert(1, f"calibration error (ECE): {error}")
        return "\n".join(lines)

    def _shown(self) -> pd.DataFrame:
        """Columns for display: without the intervals of further columns."""
        known = self.per_label.dropna(axis=1, how="all")
        return known[[name for name in known if not name.endswith(("_low", "_high"))]]


_GROUP_VALUES = ("value", "difference", "p_holm")
_POINT_VALUES = ("threshold", "sensitivity", "specificity", "false_positives", "precision")


def format_interval(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Value with its interval, if it has one.

    >>> format_interval(0.5, 0.4, 0.6), format_interval(0.5)
    ('0.500 (0.400 to 0.600)', '0.500')
    """
    if value != value:
        return "–"
    return f"{value:.3f}" + (f" ({low:.3f} to {high:.3f})" if low == low else "")


def _shorten(table: pd.DataFrame, names: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Columns for display: each value with its interval, or the reason why there is none."""
    shown = table[list(names)].copy()
    for name in values:
        prefix = "" if name == "value" else f"{name}_"
        bounds = [f"{prefix}{end}" for end in ("low", "high") if f"{prefix}{end}" in table]
        columns = zip(*(table[column] for column in (name, *bounds)), strict=True)
        shown[name] = [format_interval(*row) for row in columns]
    reason = table["status"].where(table["status"] != "ok", "")
    return shown.assign(note=reason) if any(reason) else shown


def _to_rows(table: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    return None if table is None else table.to_dict("records")


def _print(table: pd.DataFrame) -> str:
    return str(table.to_string(float_format="{:.3f}".format, index=False))


def _round(cell: Any) -> Any:
    return None if cell != cell else round(cell, 3) if isinstance(cell, float) else cell

"""Result of an evaluation: scores, confidence intervals and notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from wetread.common.html import table_html
from wetread.common.text import to_plain

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
    groups: int
    """Number of their patients; that of the images if no group is known."""
    resamples: int = 0
    """Number of bootstrap resamples."""
    seed: int = 0
    """Random seed of the bootstrap."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further values of the metric: those of COCO's summary, the threshold, ..."""
    notes: tuple[str, ...] = ()
    """Caveats of the score."""

    @property
    def map(self) -> float | None:
        """The value, as mean average precision."""
        return self.value

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON types; unknown values are null."""
        rows = self.per_label.reset_index().to_dict("records")
        plain = {
            "metric": self.metric,
            "value": self.value,
            "interval": self.interval and list(self.interval),
            "images": self.images,
            "groups": self.groups,
            "resamples": self.resamples,
            "seed": self.seed,
            "per_label": rows,
            "details": dict(self.details),
            "notes": list(self.notes),
        }
        known: dict[str, Any] = to_plain(plain)
        return known

    def __str__(self) -> str:
        return "\n".join([self._head(), self._shown().to_string(float_format="{:.3f}".format)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        shown = self._shown().reset_index()
        rows = ([_round(cell) for cell in row] for row in shown.itertuples(index=False))
        lines = "".join(f"<p>{escape(line)}</p>" for line in self._head().splitlines())
        return lines + table_html([str(name) for name in shown.columns], rows)

    def _head(self) -> str:
        """Score in one line, and the notes."""
        value = "no score" if self.value is None else f"{self.value:.4f}"
        interval = (
            f" (95 % CI: {self.interval[0]:.4f} to {self.interval[1]:.4f})" if self.interval else ""
        )
        counts = f"{self.images:,} images of {self.groups:,} groups"
        return "\n".join([f"{self.metric}: {value}{interval}, {counts}", *self.notes])

    def _shown(self) -> pd.DataFrame:
        """Columns for display: without the intervals of further columns."""
        known = self.per_label.dropna(axis=1, how="all")
        return known[[name for name in known if not name.endswith(("_low", "_high"))]]


def _round(cell: Any) -> Any:
    return None if cell != cell else round(cell, 3) if isinstance(cell, float) else cell

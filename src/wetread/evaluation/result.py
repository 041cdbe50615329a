"""What an evaluation says, for people and for machines."""

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
    """A score, how sure it is, and how many images and patients it rests on."""

    metric: str
    """As it was asked for."""
    value: float | None
    """The mean over the labels that have truth; None without any."""
    interval: tuple[float, float] | None
    """The 95 % interval of `value`, patients drawn anew; None if that was not asked for."""
    per_label: pd.DataFrame
    """A row a label: the figure with its interval, how many boxes, and what else there is."""
    images: int
    """That were judged."""
    groups: int
    """Their patients; as many as images where no group is known."""
    resamples: int = 0
    """How often patients were drawn anew for the intervals."""
    seed: int = 0
    """Of these draws."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else the metric has: the figures of COCO's summary, the threshold, ..."""
    notes: tuple[str, ...] = ()
    """What to know before quoting the figure."""

    @property
    def map(self) -> float | None:
        """The value, under the name of a mean average precision."""
        return self.value

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON takes it: null for what is not known."""
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
        """The figure in a line, and the notes."""
        value = "no truth" if self.value is None else f"{self.value:.4f}"
        sure = f" (95 %: {self.interval[0]:.4f} to {self.interval[1]:.4f})" if self.interval else ""
        rests = f"{self.images:,} images of {self.groups:,} groups"
        return "\n".join([f"{self.metric}: {value}{sure}, {rests}", *self.notes])

    def _shown(self) -> pd.DataFrame:
        """What fits a screen: intervals but the figure's own are in `per_label` alone."""
        known = self.per_label.dropna(axis=1, how="all")
        return known[[name for name in known if not name.endswith(("_low", "_high"))]]


def _round(cell: Any) -> Any:
    return None if cell != cell else round(cell, 3) if isinstance(cell, float) else cell

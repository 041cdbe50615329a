"""Figures of the benchmarks: name, value, peer and goal.

Each benchmark writes its figures with `--json FILE`; bench/all.py combines them into one page.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One row of the page. Higher is better for units that end in `/s`, else lower.

    `most` bounds the value; `least` bounds the ratio if there is a peer, else the value.
    """

    name: str
    value: float | None
    """wetread's value; None if it was not measured."""
    unit: str = ""
    peer: str = ""
    other: float | None = None
    """The peer's value, in the same unit; None if it was not measured."""
    least: float | None = None
    most: float | None = None
    note: str = ""
    """Remark, or the reason for a missing value."""
    why: str = ""
    """Reason why the goal is missed, shown only in that case."""

    @property
    def ratio(self) -> float | None:
        """Improvement over the peer, as a factor."""
        if not self.value or not self.other:
            return None
        up = self.unit.endswith("/s")
        return self.value / self.other if up else self.other / self.value

    @property
    def reached(self) -> bool | None:
        """True if the goal is reached; None without a goal or a value."""
        large = self.ratio if self.peer else self.value
        if self.least is not None:
            return None if large is None else large >= self.least
        if self.most is not None:
            return None if self.value is None else self.value <= self.most
        return None

    @property
    def goal(self) -> str:
        if self.least is not None:
            return f"at least {show(self.least, 'x' if self.peer else self.unit)}"
        return "" if self.most is None else f"at most {show(self.most, self.unit)}"


def show(number: float | None, unit: str) -> str:
    """Format with three significant figures and the unit; "" for None."""
    if number is None:
        return ""
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
    text = f"{number:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text} {unit}".rstrip()


def tabulate(figures: Sequence[Figure]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| | wetread | other | ratio | goal | |", "|---|---:|---:|---:|---:|---|"]
    for one in figures:
        other = f"{one.peer}: {show(one.other, one.unit) or 'not measured'}" if one.peer else ""
        verdict = {True: "reached", False: "**missed**", None: ""}[one.reached]
        remark = "; ".join(filter(None, (verdict, one.note)))
        cells = (
            one.name,
            show(one.value, one.unit),
            other,
            show(one.ratio, "x"),
            one.goal,
        )
        lines.append(f"| {' | '.join(cells)} | {remark} |")
    return lines


def save(path: Path | None, figures: Sequence[Figure], measured: Any) -> None:
    """Write the figures and the underlying numbers to the file of `--json`."""
    if path is not None:
        content = {"figures": [asdict(one) for one in figures], "measured": measured}
        path.write_text(json.dumps(content, indent=1))


def name_version(package: str) -> str:
    """Name and installed version of a package."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} (not installed)"

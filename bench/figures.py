"""A figure of a bench: what it is, what it came to, beside whom, and what it should be.

Every bench gives its figures by `--json FILE`; bench/all.py makes one page of them.
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
    """One row of a page. Seconds and bytes are better the fewer, what ends in `/s` the more.

    `most` bounds the value; `least` the ratio where there is a peer, else the value.
    """

    name: str
    value: float | None
    """wetread's; None where it could not be had."""
    unit: str = ""
    peer: str = ""
    other: float | None = None
    """The peer's, in the same unit; None where it could not be had."""
    least: float | None = None
    most: float | None = None
    note: str = ""
    """What else is to be said, or why a value is missing."""
    why: str = ""
    """Why the goal is missed, where it is known; said only then."""

    @property
    def ratio(self) -> float | None:
        """How many times as good as the peer."""
        if not self.value or not self.other:
            return None
        up = self.unit.endswith("/s")
        return self.value / self.other if up else self.other / self.value

    @property
    def reached(self) -> bool | None:
        """None where there is no goal, or nothing to hold against it."""
        large = self.ratio if self.peer else self.value
        if self.least is not None:
            return None if large is None else large >= self.least
        if self.most is not None:
            return None if self.value is None else self.value <= self.most
        return None

    @property
    def goal(self) -> str:
        if self.least is not None:
            return f"at least {tell(self.least, 'x' if self.peer else self.unit)}"
        return "" if self.most is None else f"at most {tell(self.most, self.unit)}"


def tell(number: float | None, unit: str) -> str:
    """Three figures and the unit; nothing for None."""
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
        beside = f"{one.peer}: {tell(one.other, one.unit) or 'not measured'}" if one.peer else ""
        verdict = {True: "reached", False: "**missed**", None: ""}[one.reached]
        remark = "; ".join(filter(None, (verdict, one.note)))
        cells = (one.name, tell(one.value, one.unit), beside, tell(one.ratio, "x"), one.goal)
        lines.append(f"| {' | '.join(cells)} | {remark} |")
    return lines


def save(path: Path | None, figures: Sequence[Figure], measured: Any) -> None:
    """Write the figures, and every number that they come from, where `--json` says."""
    if path is not None:
        said = {"figures": [asdict(one) for one in figures], "measured": measured}
        path.write_text(json.dumps(said, indent=1))


def name_version(package: str) -> str:
    """A package with the version that is installed."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} (not installed)"

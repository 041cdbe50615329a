"""Summary of a scan for the terminal: counts side by side, then the problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wetread.cli.output import SEVERITY_COLOURS, open_console
from wetread.common.text import counted, printable
from wetread.errors import PROBLEMS

if TYPE_CHECKING:
    from rich.table import Table

    from wetread.table.summary import Summary

STATUS_COLOURS = {"ok": "green", "repaired": "green", "not_dicom": "blue", "partial": "yellow"}
MOST = 8
"""Most values listed per column; the rest are summed."""


def print_summary(summary: Summary) -> None:
    """Print number of files and rate, statuses, modalities, transfer syntaxes and problems."""
    from rich.columns import Columns

    console = open_console()
    console.print(f"[bold]{counted(summary['files'], 'file')}[/]{_pace(summary)}")
    if not summary["files"]:
        return
    counts = [
        _counts("Status", summary["read_status"], STATUS_COLOURS, other="red"),
        _counts("Modality", summary["modality"]),
        _counts("Transfer syntax", _by_name(summary["transfer_syntax"])),
    ]
    console.print()
    console.print(Columns(counts, padding=(0, 4)))
    console.print()
    console.print(_problems(summary["problems"]) if summary["problems"] else "No problems.")


def _pace(summary: Summary) -> str:
    read, seconds = summary.get("read", 0), summary.get("seconds", 0)
    before = summary.get("before", 0)
    fewer = f", {before:,} before" if before > summary["files"] else ""
    if not read or not seconds:
        return fewer + (", none of them new or changed" if summary["files"] else "")
    rate = f" [dim]({read / seconds:,.0f} files/s)[/]" if seconds >= 1 else ""  # too short to tell
    return f"{fewer}, {read:,} read in {seconds:,.1f} s{rate}"


def _counts(
    title: str, counts: Mapping[str, int], colours: Mapping[str, str] | None = None, other: str = ""
) -> Table:
    """Table of values and counts, most frequent first."""
    from rich.text import Text

    table = _table(title, "")
    table.columns[0].max_width = 44
    table.columns[0].no_wrap = True
    for value, count in list(counts.items())[:MOST]:
        table.add_row(Text(printable(value), (colours or {}).get(value, other)), f"{count:,}")
    if not counts:
        table.add_row("[dim]in no file[/]", "")
    if rest := list(counts.values())[MOST:]:
        table.add_row(f"[dim]{counted(len(rest), 'other')}[/]", f"{sum(rest):,}")
    return table


def _problems(counts: Mapping[str, int]) -> Table:
    """Table of problem codes with count, severity and meaning, most severe first."""
    worst = list(SEVERITY_COLOURS)
    table = _table("Problems", "", "", "")
    for code in sorted(counts, key=lambda c: (worst.index(PROBLEMS[c].severity), -counts[c])):
        severity, meaning = PROBLEMS[code].severity, PROBLEMS[code].meaning
        coloured = f"[{SEVERITY_COLOURS[severity]}]{severity}[/]"
        table.add_row(code, f"{counts[code]:,}", coloured, f"[dim]{meaning}[/]")
    return table


def _table(*titles: str) -> Table:
    from rich.table import Table

    table = Table(*titles, box=None, pad_edge=False, header_style="bold")
    table.columns[1].justify = "right"
    return table


def _by_name(syntaxes: Mapping[str, int]) -> dict[str, int]:
    """Counts by name of the transfer syntax (PS3.6 A)."""
    from wetread.table.summary import name_uid

    return {name_uid(uid): count for uid, count in syntaxes.items()}

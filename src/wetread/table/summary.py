"""Summary of an index: counts per status, modality, transfer syntax and problem."""

from __future__ import annotations

from typing import Any

from wetread.common.text import counted, format_bytes
from wetread.table.query import query
from wetread.table.rows import IndexRows

WITH_HEADER = ("ok", "repaired", "partial")
"""Values of `read_status` of files whose header was read."""


_COUNTED = ("read_status", "modality", "transfer_syntax", "problems", "series_problems")


class Summary(dict[str, Any]):
    """Counts of an index: a dict of JSON values that prints as text.

    Keys: `root`, `files`, `bytes`, and counts per value in `read_status`, `modality`,
    `transfer_syntax` (UIDs) and `problems` (codes); after a scan `read` (number of files read),
    `seconds` and `before` (number of files in the index before); from `Index.summary` also
    `series`, `volumes` (regularly spaced ones) and counts per code in `series_problems`.
    """

    def __str__(self) -> str:
        lines = [
            f"{counted(self['files'], 'file')}, {format_bytes(self['bytes'])}, in {self['root']}"
        ]
        if "read" in self:
            rate = self["read"] / self["seconds"] if self["seconds"] else 0
            lines.append(f"read {self['read']:,} in {self['seconds']:.1f} s ({rate:,.0f} files/s)")
        if "series" in self:
            lines.append(f"{self['series']:,} series, {counted(self['volumes'], 'volume')}")
        for key in filter(self.__contains__, _COUNTED):
            counts = self[key]
            width = max((len(f"{n:,}") for n in counts.values()), default=0)
            lines += [f"\n{key.replace('_', ' ')}{'' if counts else ': none'}"]
            lines += [f"  {n:>{width},}  {_shown(key, value)}" for value, n in counts.items()]
        return "\n".join(lines)

    __repr__ = __str__


def summarise(index: IndexRows) -> Summary:
    """Count the rows of an index."""
    total = query(index, "SELECT coalesce(sum(file_size), 0)::BIGINT AS bytes FROM index")
    return Summary(
        root=index.root,
        files=len(index),
        bytes=total["bytes"][0].as_py(),
        read_status=_counts(index, "read_status", "index"),
        modality=_counts(index, "Modality", "index"),
        transfer_syntax=_counts(index, "transfer_syntax", "index"),
        problems=_counts(index, "code", "problems"),
        **{key: index.scan[key] for key in ("read", "seconds", "before") if key in index.scan},
    )


def count_without_pixels(index: IndexRows) -> dict[str, int]:
    """Number of the rows without pixels, by SOP class, or by status of those without a header."""
    sql = f"""
        SELECT CASE WHEN read_status IN {WITH_HEADER} THEN
            coalesce(nullif(SOPClassUID, ''), nullif(MediaStorageSOPClassUID, ''), 'no SOP class')
            ELSE read_status END AS value, count(*) AS n
        FROM index WHERE pixel_length IS NULL GROUP BY ALL
    """
    counts = [(name_uid(row["value"]), row["n"]) for row in query(index, sql).to_pylist()]
    return dict(sorted(counts, key=lambda pair: (-pair[1], pair[0])))


def say_without_pixels(index: IndexRows) -> list[str]:
    """Message on rows without pixels, if any: "2 files without pixels: RT Plan Storage 2"."""
    counts = count_without_pixels(index)
    listed = ", ".join(f"{name} {n:,}" for name, n in counts.items())
    return [f"{counted(sum(counts.values()), 'file')} without pixels: {listed}"] if counts else []


def _counts(index: IndexRows, column: str, table: str) -> dict[str, int]:
    """Count per value, the most frequent first."""
    sql = f"SELECT {column} AS value, count(*) AS n FROM {table} WHERE {column} <> ''"
    counts = query(index, f"{sql} GROUP BY ALL ORDER BY n DESC, value")
    return dict(zip(counts["value"].to_pylist(), counts["n"].to_pylist(), strict=True))


def name_uid(uid: str | None) -> str:
    """Name of a UID in the DICOM standard; the UID itself if it is not in it.

    >>> name_uid("1.2.840.10008.1.2.1"), name_uid("none at all"), name_uid(None)
    ('Explicit VR Little Endian', 'none at all', '')
    """
    from pydicom.config import IGNORE
    from pydicom.uid import UID

    return UID(uid, IGNORE).name if uid else ""


def _shown(key: str, value: str) -> str:
    return name_uid(value) if key == "transfer_syntax" else value

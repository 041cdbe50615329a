"""Subject of a report: an index with its boxes and predictions, queried by the sections."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from wetread.common.privacy import names_in
from wetread.common.text import counted
from wetread.reports import blocks
from wetread.reports.blocks import Mark, Request, Static, Tile
from wetread.reports.coverage import MAX_LENGTH, Coverage, cover
from wetread.reports.markup import Html, cut, el
from wetread.series.table import SeriesTable
from wetread.series.tables import slice_table
from wetread.table.query import RunQuery, name_column
from wetread.table.rows import IndexRows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wetread.boxes.collection import Boxes
    from wetread.segments.table import Segments

Links = Literal["command", "viewer"]
"""Way to open an image: a command, or a link to the viewer that serves the report."""
__all__ = [
    "MAX_LENGTH",
    "MAX_PARTS",
    "PIXELS",
    "Counts",
    "Links",
    "Subject",
    "name_column",
]
PIXELS = "pixel_length IS NOT NULL"
"""SQL condition for rows with an image."""
MAX_PARTS = 12
"""Maximum number of parts of a split."""
_MAX_TEXT = 400
MAX_VALUES = 20
"""Number of values listed per column."""
_RISKS = """
SELECT DISTINCT id FROM (SELECT id, unnest(problems) AS f FROM index) WHERE f.code =
'BURNED_IN_RISK'
"""


@dataclass
class Subject:
    """An index with its boxes and predictions."""

    index: IndexRows
    run_query: RunQuery
    """Open connection for queries, while the report is built."""
    boxes: Boxes | None = None
    """Labels of all readers, joined to the index."""
    truth: Boxes | None = None
    """Ground truth: the labels, or the consensus of several readers."""
    predictions: Boxes | None = None
    split: str | None = None
    """Column with the part of each row."""
    show_phi: bool = False
    links: Links = "command"
    sources: Mapping[str, str] = field(default_factory=dict)
    """File names of boxes and predictions, for displayed commands."""
    segments: Segments | None = None
    """Masks and contours on the volumes of the index."""

    def query(self, sql: str, **tables: pa.Table) -> list[dict[str, Any]]:
        """Rows of a SELECT statement; further tables may be passed by name."""
        rows: list[dict[str, Any]] = self.run_query(sql, **tables).to_pylist()
        return [{name: _bounded(value) for name, value in row.items()} for row in rows]

    @cached_property
    def series(self) -> SeriesTable:
        """Series of the index: the ones that every section counts."""
        return SeriesTable(self.index, progress=False)

    @cached_property
    def slices(self) -> pa.Table:
        """Slices of the series, as the table `slices`; see `slice_table`."""
        return slice_table(self.series.collection)

    def has(self, *columns: str) -> bool:
        """Return True if all of these columns exist."""
        return all(name in self.index.schema.names for name in columns)

    @cached_property
    def name(self) -> str:
        """Name of the index in displayed commands."""
        folder = self.index.folder
        return "INDEX" if folder is None else self._unless_patient(folder.name, "INDEX")

    @cached_property
    def title(self) -> str:
        """Name of the scanned folder, without its path, as reports are shared."""
        return self._unless_patient(Path(self.index.root).name or "data set", "data set")

    def _unless_patient(self, text: str, instead: str) -> str:
        """Name of a folder, or `instead` if it contains the name of a patient."""
        quoted = "'" + text.replace("'", "''") + "'"
        condition = names_in(self.index.schema.names, quoted)
        named = not self.show_phi and self.query(f"SELECT 1 FROM index WHERE {condition} LIMIT 1")
        return instead if named else text

    @property
    def names_files(self) -> bool:
        """True if file names may be shown."""
        return self.show_phi or not self.named_paths

    def shell(self, verb: str, options: str = "") -> str:
        """Command line of `wetread VERB` on the index."""
        return f"wetread {verb} {shlex.quote(self.name)} {options}".rstrip()

    def command(self, sql: str, boxes: bool = False) -> str:
        """Line that reproduces a figure: a command if the index is on disk, else Python.

        With `boxes`, the statement names the table of the label file.
        """
        sql = " ".join(sql.split())
        source = self.sources.get("boxes", "train.csv")
        if self.index.folder is None or self.index.chosen:
            return f"index.query({sql!r}{f', boxes={source!r}' * boxes})"
        given = f" --boxes {shlex.quote(source)}" * boxes
        return self.shell("query", f"{_quote(sql)}{given}")

    @cached_property
    def coverage(self) -> list[Coverage]:
        """Coverage of every element."""
        return list(cover(self.run_query, self.index.schema, self.show_phi))

    @cached_property
    def images(self) -> int:
        """Number of rows with pixels."""
        count: int = self.query(f"SELECT count(*) AS n FROM index WHERE {PIXELS}")[0]["n"]
        return count

    @cached_property
    def measured(self) -> bool:
        """True if pixels have been measured."""
        if not self.has("px_dhash"):  # measured by an older version
            return False
        return bool(self.query("SELECT count(px_status) AS n FROM index")[0]["n"])

    @cached_property
    def named_paths(self) -> int:
        """Number of paths with a patient's name, number or date of birth."""
        sql = f"SELECT count(*) AS n FROM index WHERE {names_in(self.index.schema.names)}"
        count: int = self.query(sql)[0]["n"]
        return count

    @cached_property
    def _risky(self) -> frozenset[str]:
        """Ids of images with a risk of burned-in names."""
        return frozenset(row["id"] for row in self.query(_RISKS))

    def shown_path(self, row: Mapping[str, Any]) -> str:
        """Path of a file, or its id if paths contain names."""
        if not self.names_files:
            return str(row["id"])
        return f"{row['path']} {row.get('member') or ''}".strip()

    def shown_text(self, row: Mapping[str, Any]) -> str:
        """Text of a problem; empty if it contains a file name that must not be shown."""
        text = row["text"] or ""
        if self.names_files:
            return text
        names = (
            row["path"],
            row.get("member"),
            row["path"].rpartition("/")[2],
            "/",
            "the first is",
        )
        return "" if any(name and name in text for name in names) else text

    def link(self, id_: str) -> Html:
        """Link that opens an image in the viewer; empty without a viewer."""
        if self.links == "viewer":
            return el("a", "open", href=f"./#/image/{id_}", aria_label=f"open image {id_}")
        return Html()

    def tile(
        self,
        row: Mapping[str, Any],
        note: str = "",
        crop: tuple[float, float, float, float] | None = None,
        marks: Sequence[Mark] = (),
        frame: int = 0,
        outlines: Sequence[NDArray[np.float64]] = (),
    ) -> Tile:
        """Thumbnail of a row with `id` and `path`, hidden if names may be burned in."""
        risky = row["id"] in self._risky and not self.show_phi
        hidden = "not shown: text may be burned in" if risky else ""
        request = Request(row["id"], crop, frame)
        path = self.shown_path(row)
        command = ""
        if self.links == "command" and self.index.folder is not None:
            command = self.shell("view", f"--at {row['id']}")
        return Tile(
            request, path, cut(note, 120), self.link(row["id"]), marks, outlines, hidden, command
        )

    def counts(self, expression: str, where: str = PIXELS) -> Counts:
        """Counts of the values of an SQL expression, most frequent first."""
        sql = (
            f"SELECT {expression} AS value, count(*) AS n FROM index WHERE {where} "
            "GROUP BY ALL ORDER BY n DESC, value"
        )
        rows = self.query(
            "SELECT CAST(value AS VARCHAR) AS value, n, CAST(sum(n) OVER () AS BIGINT) AS total, "
            f"count(*) OVER () AS kinds FROM ({sql}) ORDER BY n DESC, value LIMIT {MAX_VALUES}"
        )
        values = [(row["value"], row["n"]) for row in rows]
        total, kinds = (rows[0]["total"], rows[0]["kinds"]) if rows else (0, 0)
        return Counts(values, total, kinds, self.command(sql))


@dataclass(frozen=True)
class Counts:
    """Values and their counts."""

    values: list[tuple[str | None, int]]
    total: int
    kinds: int
    """Number of distinct values, including null."""
    command: str

    def table(self, caption: str, head: str, missing: str = "missing", **names: str) -> Static:
        """Table with bars; `names` are display names of values."""
        rows = []
        for value, n in self.values:
            shown = missing if value in (None, "") else cut(names.get(str(value), str(value)), 60)
            rows.append((shown, n, blocks.share(n, self.total)))
        if (rest := self.kinds - len(self.values)) > 0:
            others = self.total - sum(n for _, n in self.values)
            rows.append((counted(rest, "other"), others, blocks.share(others, self.total)))
        return blocks.table(caption, (head, "images", "share"), rows, self.command)

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON-compatible data."""
        listed = [[None if v is None else cut(v, 60), n] for v, n in self.values]
        others = self.total - sum(n for _, n in self.values)
        return {"values": listed, "others": others, "distinct": self.kinds}

    @property
    def known(self) -> bool:
        """True if any value is present."""
        return any(value not in (None, "") for value, _ in self.values)


def _bounded(value: Any) -> Any:
    """Value as text, truncated for display."""
    return cut(value, _MAX_TEXT) if isinstance(value, str) and len(value) > 99 else value


def _quote(sql: str) -> str:
    """Quote a statement for the shell, in double quotes if sufficient."""
    return shlex.quote(sql) if any(c in sql for c in '"$`\\!') else f'"{sql}"'

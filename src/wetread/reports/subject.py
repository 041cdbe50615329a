"""What a report is about, and how its sections ask."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from wetread.common.privacy import names_in
from wetread.reports import blocks
from wetread.reports.blocks import Mark, Request, Tile, Words
from wetread.reports.coverage import LONGEST, Coverage, cover
from wetread.reports.markup import Html, cut, el
from wetread.table.query import Ask, name_column
from wetread.table.rows import IndexRows

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes

Links = Literal["command", "viewer"]
"""How an image is opened: by the command that is shown, or by a link to the viewer that serves
the report."""
__all__ = [
    "LONGEST",
    "MOST_PARTS",
    "PIXELS",
    "Counts",
    "Links",
    "Subject",
    "name_column",
]
PIXELS = "pixel_length IS NOT NULL"
"""SQL: the row is an image."""
MOST_PARTS = 12
"""Parts of a split; a column with more values is none."""
_LONGEST_TEXT = 400
MOST_VALUES = 20
"""Values of a category that are listed."""
_RISKS = """
SELECT DISTINCT id FROM (SELECT id, unnest(problems) AS f FROM index) WHERE f.code =
'BURNED_IN_RISK'
"""


@dataclass
class Subject:
    """An index with its boxes and predictions."""

    content: IndexRows
    answer: Ask
    """What answers its queries, while the report is being made."""
    boxes: Boxes | None = None
    """Joined to the index, as they were read."""
    truth: Boxes | None = None
    """One opinion an image, made of them."""
    predictions: Boxes | None = None
    split: str | None = None
    """The column that says which part a row is in."""
    show_phi: bool = False
    links: Links = "command"
    sources: Mapping[str, str] = field(default_factory=dict)
    """What the boxes and the predictions are called in the lines that are shown."""

    def ask(self, sql: str, **tables: pa.Table) -> list[dict[str, Any]]:
        """The rows that one SELECT statement gives; other tables may be given by name."""
        rows: list[dict[str, Any]] = self.answer(sql, **tables).to_pylist()
        return [{name: _bounded(value) for name, value in row.items()} for row in rows]

    def has(self, *columns: str) -> bool:
        """Whether there are all of these columns."""
        return all(name in self.content.schema.names for name in columns)

    @cached_property
    def name(self) -> str:
        """The index, as a command line calls it."""
        folder = self.content.folder
        return "INDEX" if folder is None else self._told(folder.name, "INDEX")

    @cached_property
    def title(self) -> str:
        """What was scanned: the last part of its path, as a report is sent to others."""
        return self._told(Path(self.content.root).name or "data set", "data set")

    def _told(self, text: str, instead: str) -> str:
        """The name of a folder, unless it is that of a patient."""
        quoted = "'" + text.replace("'", "''") + "'"
        named = names_in(self.content.schema.names, quoted)
        told = not self.show_phi and self.ask(f"SELECT 1 FROM index WHERE {named} LIMIT 1")
        return instead if told else text

    @property
    def names_files(self) -> bool:
        """Whether files may be called by their names."""
        return self.show_phi or not self.named_paths

    def command(self, sql: str) -> str:
        """The line that gives a figure: a command where there is an index folder, else Python."""
        sql = " ".join(sql.split())
        if self.content.folder is None or self.content.chosen:
            return f"index.query({sql!r})"
        return f"wetread query {shlex.quote(self.name)} {_quote(sql)}"

    @cached_property
    def coverage(self) -> list[Coverage]:
        """What there is of every element."""
        return list(cover(self.answer, self.content.schema, self.show_phi))

    @cached_property
    def images(self) -> int:
        """How many rows have pixels."""
        count: int = self.ask(f"SELECT count(*) AS n FROM index WHERE {PIXELS}")[0]["n"]
        return count

    @cached_property
    def measured(self) -> bool:
        """Whether pixels have been measured."""
        if not self.has("px_look"):  # an index measured before there was one is measured again
            return False
        return bool(self.ask("SELECT count(px_status) AS n FROM index")[0]["n"])

    @cached_property
    def named_paths(self) -> int:
        """Paths that hold a patient's name, number or date of birth."""
        told = f"SELECT count(*) AS n FROM index WHERE {names_in(self.content.schema.names)}"
        count: int = self.ask(told)[0]["n"]
        return count

    @cached_property
    def _risky(self) -> frozenset[str]:
        """Images into which names may be burned."""
        return frozenset(row["id"] for row in self.ask(_RISKS))

    def shown_path(self, row: Mapping[str, Any]) -> str:
        """A file's path, or where paths hold names its id."""
        if not self.names_files:
            return str(row["id"])
        return f"{row['path']} {row.get('member') or ''}".strip()

    def shown_text(self, row: Mapping[str, Any]) -> str:
        """What a problem says, unless it names files and those are not to be named."""
        text = row["text"] or ""
        if self.names_files:
            return text
        told = (row["path"], row.get("member"), row["path"].rpartition("/")[2], "/", "the first is")
        return "" if any(one and one in text for one in told) else text

    def link(self, id_: str) -> Html:
        """How to open an image in the viewer."""
        if self.links == "viewer":
            return el("a", "open", href=f"./#/image/{id_}", aria_label=f"open image {id_}")
        return el("code", f"wetread view {shlex.quote(self.name)} --at {id_}", class_="open")

    def tile(
        self,
        row: Mapping[str, Any],
        said: str = "",
        crop: tuple[float, float, float, float] | None = None,
        marks: Sequence[Mark] = (),
        frame: int = 0,
    ) -> Tile:
        """A picture of a row with `id` and `path`; not of one with a risk of burned-in names."""
        risky = row["id"] in self._risky and not self.show_phi
        hidden = "not shown: text may be burned in" if risky else ""
        request = Request(row["id"], crop, frame)
        path = self.shown_path(row)
        return Tile(request, path, cut(said, 120), self.link(row["id"]), marks, hidden)

    def counts(self, expression: str, where: str = PIXELS) -> Counts:
        """How often each value of an SQL expression occurs, the most frequent first."""
        sql = (
            f"SELECT {expression} AS value, count(*) AS n FROM index WHERE {where} "
            "GROUP BY ALL ORDER BY n DESC, value"
        )
        found = self.ask(
            "SELECT CAST(value AS VARCHAR) AS value, n, CAST(sum(n) OVER () AS BIGINT) AS total, "
            f"count(*) OVER () AS kinds FROM ({sql}) ORDER BY n DESC, value LIMIT {MOST_VALUES}"
        )
        values = [(row["value"], row["n"]) for row in found]
        total, kinds = (found[0]["total"], found[0]["kinds"]) if found else (0, 0)
        return Counts(values, total, kinds, self.command(sql))


@dataclass(frozen=True)
class Counts:
    """Values and how often they occur."""

    values: list[tuple[str | None, int]]
    total: int
    kinds: int
    """Different values, null included."""
    command: str

    def table(self, caption: str, head: str, missing: str = "missing", **names: str) -> Words:
        """As a table with bars; `names` are what people call some values."""
        rows = []
        for value, n in self.values:
            shown = missing if value in (None, "") else cut(names.get(str(value), str(value)), 60)
            rows.append((shown, n, blocks.share(n, self.total)))
        if (rest := self.kinds - len(self.values)) > 0:
            others = self.total - sum(n for _, n in self.values)
            rows.append((f"{rest:,} others", others, blocks.share(others, self.total)))
        return blocks.table(caption, (head, "images", "share"), rows, self.command)

    def to_dict(self) -> dict[str, Any]:
        """For machines: value and count, and what is left out."""
        listed = [[None if v is None else cut(v, 60), n] for v, n in self.values]
        others = self.total - sum(n for _, n in self.values)
        return {"values": listed, "others": others, "distinct": self.kinds}

    @property
    def known(self) -> bool:
        """Whether there is any value."""
        return any(value not in (None, "") for value, _ in self.values)


def _bounded(value: Any) -> Any:
    """A value; of a text that no people would read to the end, the beginning."""
    return cut(value, _LONGEST_TEXT) if isinstance(value, str) and len(value) > 99 else value


def _quote(sql: str) -> str:
    """A statement as one word of a shell, in double quotes where that is enough."""
    return shlex.quote(sql) if any(c in sql for c in '"$`\\!') else f'"{sql}"'

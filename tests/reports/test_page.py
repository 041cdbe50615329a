"""HTML document: well-formed, self-contained, safe with hostile values, bounded in size."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import wetread as wr
from wetread.common.text import printable
from wetread.headers.schema import CORE
from wetread.reports import page
from wetread.reports.blocks import Section
from wetread.reports.build import MAX_BYTES, build
from wetread.reports.markup import Html, el, to_html
from wetread.testing.dicom import changed, dicom_file, element, picture

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</style></table></script><!--",
    "]]>&lt;b&gt;{{7*7}}",
    "\u202egnp.exe\u2066\u200b",
    "a\x00b\x1b[31mc\x07\x85\u2028",
    "javascript:alert(1)",
)
VOID = {"meta", "img", "br"}


class Checked(HTMLParser):
    """Parser that asserts correct nesting and collects tags and texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def check(text: str) -> Checked:
    """Assert the invariants of every page."""
    found = Checked(text)
    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = [a["href"] or "" for a in found.all("a")]
    assert all(t[1:] in ids for t in targets if t.startswith("#")), targets
    assert all(re.fullmatch(r"#\w+|\./#/image/[0-9a-f]{16}", t) for t in targets), targets
    sources = [a["src"] or "" for _, a in found.tags if "src" in a]
    assert all(s.startswith("data:image/jpeg;base64,") for s in sources)
    assert all(a.get("alt") for a in found.all("img"))
    assert [a.get("type") for a in found.all("script")] == ["application/json"]
    handlers = [
        name for _, a in found.tags for name in a if name.startswith("on") or name == "style"
    ]
    assert handlers == []
    assert {a.get("scope") for a in found.all("th")} <= {"row", "col"}
    assert len(found.all("caption")) == len(found.all("table"))
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(r"https?://", text)
    assert all(c.isprintable() or c == "\n" for c in text)
    return found


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'id="report-data">(.*?)</script>', text)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def synthetic(rows: int, columns: int, text: str = "value") -> wr.Index:
    """Index without files, with any number of rows and columns."""
    number = np.arange(rows)
    chance = np.random.default_rng(0)
    names = pa.array(np.char.mod("%016x", number))
    known: dict[str, Any] = {
        "id": names,
        "path": pa.array([f"{text} {n}.dcm" for n in number]),
        "path_bytes": pa.array([b"/"] + [None] * (rows - 1), pa.binary()),  # one path must exist
        "member": pa.array([""] * rows),
        "file_size": pa.array(chance.integers(1000, 10_000_000, rows)),
        "read_status": pa.array(chance.choice(["ok", "partial"], rows)),
        "decodable": pa.array(["yes"] * rows),
        "pixel_offset": pa.array(np.full(rows, 100)),
        "pixel_length": pa.array(chance.integers(1000, 10_000_000, rows)),
        "header_hash": pa.array(number),
        "Modality": pa.array(chance.choice([text, "CT", "MR"], rows)),
        "Manufacturer": pa.array([f"{text} {n % 997}" for n in number]),
        "PatientID": pa.array([f"{text} {n // 7}" for n in number]),
        "Rows": pa.array(chance.integers(1, 5000, rows).astype(np.int32)),
        "Columns": pa.array(chance.integers(1, 5000, rows).astype(np.int32)),
    }
    problem = {"code": "BAD_DATE", "tag": "0008,0020", "offset": 1, "text": text}
    known["problems"] = pa.array([[problem]] * rows, CORE.field("problems").type)
    table = pa.table(
        [known[f.name].cast(f.type) if f.name in known else pa.nulls(rows, f.type) for f in CORE],
        schema=CORE,
    )
    kinds = [
        pa.array([f"{text * 3}{n % 53}" for n in number]),
        pa.array(chance.integers(0, 90, rows)),
        pa.array([[text, str(n % 5)] for n in number]),
        pa.array(chance.random(rows).round(2)),
    ]
    for n in range(columns - len(CORE)):
        values = names if n == 0 else kinds[n % 4]
        metadata = {"tag": f"7fd1,{n:04x}", "vr": "CS", "vm": "1"}
        table = table.append_column(pa.field(f"Element{n}", values.type, metadata=metadata), values)
    return wr.Index("/nowhere/data", table.schema, rows=table)


def test_document_is_well_formed(reported: Path) -> None:
    index = wr.Index.open(reported / "train.index")
    sides = (reported / "train.csv", reported / "found.parquet")
    command, viewer = (
        build(index, *sides, links=links, workers=1)
        for links in ("command", "viewer")  # type: ignore[arg-type]
    )
    found = check(command.html)
    assert len(found.all("img")) > 20
    ids = set(index.to_pandas()["id"])
    shown = re.findall(r"wetread view train\.index --at ([0-9a-f]{16})", command.html)
    assert shown
    assert set(shown) <= ids
    found = check(viewer.html)
    linked = [t[10:] for a in found.all("a") if (t := a["href"] or "").startswith("./#/image/")]
    assert sorted(linked) == sorted(shown)
    assert "wetread view" not in viewer.html


def test_policy_allows_only_the_style_sheet(reported: Path) -> None:
    text = build(wr.Index.open(reported / "train.index"), workers=1).html
    style = re.search(r"<style>(.*?)</style>", text, re.S)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    (policy,) = (
        a["content"] for a in Checked(text).all("meta") if "http-equiv" in a
    )  # fmt: skip
    assert policy == page.policy()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_values_are_escaped(text: str) -> None:
    index = synthetic(30, 130, text)
    boxes = wr.Boxes.from_columns(
        {
            "image": index.table["id"].to_pylist() * 2,
            "key": index.table["id"].to_pylist() * 2,
            "label": [text] * 30 + ["other"] * 30,
            "reader": [text, "R2"] * 30,
            "x0": [1.0] * 60,
            "y0": [1.0] * 60,
            "x1": [900.0] * 60,
            "y1": [900.0] * 60,
        }
    )
    made = build(index, boxes, boxes.consensus(), show_phi=True)
    found = check(made.html)
    assert printable(text)[:30] in " ".join(found.texts)
    values = json.dumps(data_of(made.html), ensure_ascii=False)
    assert all(c.isprintable() for c in values)


def test_hostile_values_in_files_are_escaped(tmp_path: Path) -> None:
    for number, text in enumerate(HOSTILE):
        value = text.replace("\\", "").encode()[:60]
        more = [element(k, value) for k in ("PatientName", "Manufacturer", "StudyDescription")]
        name = f"{number} {printable(text).replace('/', '')}.dcm"
        (tmp_path / name).write_bytes(dicom_file(changed(picture(number, 8, 8), *more)))
    for show in (False, True):
        check(build(wr.scan(tmp_path, progress=False), show_phi=show, workers=1).html)


@pytest.mark.parametrize("text", ["<" * 60, "\U000e0001" * 60, "ü" * 60], ids=["<", "tag", "ü"])
def test_size_is_bounded(text: str) -> None:
    made = build(synthetic(300, 500, text), show_phi=True, workers=1)
    check(made.html)
    assert len(made.html.encode()) < 2_000_000


def test_a_hundred_thousand_rows_and_five_hundred_columns() -> None:
    index = synthetic(100_000, 500)
    made = build(index, workers=1)
    assert len(made.html.encode()) < 2_000_000
    columns = {row["column"]: row for row in made.data["sections"]["tags"]["columns"]}
    assert columns["Element0"]["distinct"] == 100_000
    assert columns["Element4"]["top"] == sorted(columns["Element4"]["top"], key=lambda p: -p[1])
    longest = max(len(v) for row in columns.values() for v, _ in row["top"])
    assert longest <= 40
    assert max(len(row["top"]) for row in columns.values()) == 5
    assert made.data["sections"]["problems"]["totals"]["files"] == 100_000


def test_thumbnails_stay_within_the_limit(reported: Path) -> None:
    index = wr.Index.open(reported / "train.index")
    empty = len(build(index[:0]).html.encode())
    whole = len(build(index, workers=1).html.encode())
    assert empty < whole < MAX_BYTES
    less = build(index, workers=1, size=whole - 20_000).html
    assert len(less.encode()) <= whole - 20_000
    assert "size limit of the report" in less


def test_escaping() -> None:
    assert (
        el("p", "<b>", Html("<i></i>"), title='"<') == '<p title="&quot;&lt;">&lt;b&gt;<i></i></p>'
    )
    assert to_html([1, "&"]) == "1&amp;"


def test_json_cannot_close_its_element() -> None:
    text = page.to_json({"a</script>": ["<!--", float("inf"), b"x", 1.23456789]})
    assert "<" not in text
    assert json.loads(text) == {"a</script>": ["<!--", None, "b'x'", 1.234568]}


def test_inputs_of_a_section() -> None:
    section = Section("one", "One <&>", ["headers", "split"])
    data = {"schema": "s", "provenance": {}, "sections": {}}
    found = Checked(page.assemble("<t>", "made", [section], {}, data))
    assert [a["title"] for a in found.all("abbr")] == ["uses headers only", "needs a split"]
    assert " One <&> " in found.texts

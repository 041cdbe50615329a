"""Order and words of the report: images and labels first, no commands outside of the queries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import wetread as wr
from wetread.reports.build import Report, build

LABELLED = ["labels", "readers", "predictions", "groups"]
OTHERS = [
    "problems",
    "files",
    "hierarchy",
    "origin",
    "formats",
    "geometry",
    "series",
    "windows",
    "tags",
    "privacy",
    "pixels",
    "split",
    "masks",
]


@pytest.fixture(scope="module")
def report(reported: Path) -> Report:
    index = wr.Index.open(reported / "train.index")
    return build(index, reported / "train.csv", reported / "found.parquet", workers=1)


@pytest.fixture(scope="module")
def unlabelled(reported: Path) -> Report:
    return build(wr.Index.open(reported / "train.index"), workers=1)


def test_pictures_and_labels_come_first(report: Report, unlabelled: Report) -> None:
    keys = ["pictures", *LABELLED, *OTHERS]
    assert list(report.data["sections"]) == keys
    assert re.findall(r'<section id="(\w+)"', report.html) == [*keys, "appendix"]
    assert list(unlabelled.data["sections"]) == ["pictures", *OTHERS, *LABELLED]


def test_the_sample_shows_boxes_of_readers(report: Report, reported: Path) -> None:
    sample = report.data["sections"]["pictures"]["sample"]
    boxes = wr.read_boxes(reported / "train.csv", images=wr.Index.open(reported / "train.index"))
    rows = [row for row in boxes.table.to_pylist() if row["kind"] == "box"]
    assert len(sample) == 12
    assert set(sample) <= {row["image"] for row in rows}
    (section,) = re.findall(r'<section id="pictures".*?</section>', report.html, re.DOTALL)
    drawn = sum(row["image"] in sample for row in rows)
    assert section.count('class="truth"') == drawn


def test_readers_in_natural_order(report: Report) -> None:
    readers = [row["reader"] for row in report.data["sections"]["readers"]["readers"]]
    assert readers == sorted(readers, key=lambda name: int(name[1:]))
    places = [report.html.index(f'<th scope="row">{name}</th>') for name in readers]
    assert places == sorted(places)


def test_no_commands_outside_of_the_queries(report: Report, unlabelled: Report) -> None:
    for page in (report.html, unlabelled.html):
        visible = re.sub(r"<(head|details|script).*?</\1>", "", page, flags=re.DOTALL)
        text = re.sub(r"<[^>]+>", " ", visible).replace("wetread report", "", 1)  # the title
        assert not re.search(r"wetread (view|query|scan|measure|report|split|evaluate)\b", text)
        assert "--" not in text

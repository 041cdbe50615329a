"""Section: images and boxes per reader, and inter-reader agreement."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from wetread.common.text import natural_key
from wetread.reports import blocks, charts
from wetread.reports.blocks import Section
from wetread.reports.markup import Fixed, cut, percent
from wetread.reports.sections.labels import MAX_IN_JSON, MAX_LABELS, in_python
from wetread.reports.subject import MAX_LENGTH, Subject

IOU = 0.4
"""Matching threshold of two boxes, as in the metric of VinBigData."""
_SHOWN_READERS, MAX_READERS = 12, 40
"""Readers with the most images: in the figure of pairs, and in the table."""
_READERS = """
SELECT reader, count(DISTINCT coalesce(image, key)) AS images,
    count(*) FILTER (WHERE kind <> 'nothing') AS boxes,
    count(DISTINCT CASE WHEN kind <> 'nothing' THEN coalesce(image, key) END) AS with_boxes
FROM boxes WHERE reader IS NOT NULL GROUP BY ALL ORDER BY images DESC, reader
"""
_BY = """
SELECT {keys}, CAST(sum(matched) AS BIGINT) AS matched,
    CAST(sum(boxes_a + boxes_b) AS BIGINT) AS boxes,
    2.0 * sum(matched) / nullif(sum(boxes_a + boxes_b), 0) AS matched_share,
    sum(mean_iou * matched) / nullif(sum(matched), 0) AS mean_iou,
    sum(kappa * images) FILTER (WHERE kappa IS NOT NULL)
        / nullif(sum(images) FILTER (WHERE kappa IS NOT NULL), 0) AS kappa
FROM agreement GROUP BY ALL ORDER BY {keys}
"""
_CONFUSED = f"""
WITH placed AS (
    SELECT coalesce(image, key) AS image, coalesce(frame, 0) AS frame, reader, label, x0, y0, x1,
        y1 FROM boxes WHERE kind = 'box' AND reader IS NOT NULL AND x1 > x0 AND y1 > y0
), pairs AS (
    SELECT least(a.label, b.label) AS label, greatest(a.label, b.label) AS other,
        greatest(least(a.x1, b.x1) - greatest(a.x0, b.x0), 0)
        * greatest(least(a.y1, b.y1) - greatest(a.y0, b.y0), 0) AS common,
        (a.x1 - a.x0) * (a.y1 - a.y0) + (b.x1 - b.x0) * (b.y1 - b.y0) AS areas
    FROM placed AS a JOIN placed AS b ON a.image = b.image AND a.frame = b.frame
        AND a.reader < b.reader
)
SELECT label, other, count(*) AS n FROM pairs WHERE common > {IOU} * (areas - common)
    AND label <> other GROUP BY ALL ORDER BY n DESC, label, other LIMIT 12
"""


def describe(subject: Subject) -> Section:
    """Images and boxes per reader, agreement by label and pair, confused labels."""
    section = Section("readers", "Readers", ["labels"])
    boxes = subject.boxes
    if boxes is None or len(boxes.readers) < 2:
        section.data = {"readers": 0 if boxes is None else len(boxes.readers)}
        section.add(blocks.prose("Agreement needs labels of two or more readers."))
        return section
    tables = {"boxes": boxes.table}
    most = subject.query(_READERS, **tables)  # by falling number of images
    each = sorted(most[:MAX_READERS], key=lambda row: natural_key(row["reader"]))
    rows = [
        (cut(row["reader"], MAX_LENGTH), row["images"], row["boxes"],
         Fixed(row["boxes"] / row["images"]),
         blocks.share(row["images"] - row["with_boxes"], row["images"]))
        for row in each
    ]  # fmt: skip
    head: tuple[str, ...] = ("reader", "images", "boxes", "boxes per image", "without a box")
    command = in_python(subject, 'boxes.to_pandas().groupby("reader")["image"].nunique()')
    section.add(blocks.table("Readers", head, rows, command))
    found = boxes.agreement(IOU)
    agreement = {"agreement": pa.Table.from_pandas(found, preserve_index=False)}
    by_label = subject.query(_BY.format(keys="label"), **agreement)
    by_pair = subject.query(_BY.format(keys="reader_a, reader_b"), **agreement)
    section.data = {
        "iou": IOU,
        "readers": sorted(most[:MAX_IN_JSON], key=lambda row: natural_key(row["reader"])),
        "by_label": by_label[:MAX_IN_JSON],
        "by_pair": by_pair[:MAX_IN_JSON],
    }
    _show_labels(subject, section, by_label)
    shown = {row["reader"] for row in most[:_SHOWN_READERS]}
    names: list[str] = [row["reader"] for row in each if row["reader"] in shown]
    _show_pairs(subject, section, names, by_pair)
    confused = subject.query(_CONFUSED, **tables)
    section.data["confused"] = [list(row.values()) for row in confused]
    lines = [(cut(r["label"], MAX_LENGTH), cut(r["other"], MAX_LENGTH), r["n"]) for r in confused]
    head = ("one reader", "other reader", "pairs of boxes")
    caption = f"Confused labels: boxes of two readers with an IoU over {IOU}"
    section.add(blocks.table(caption, head, lines, in_python(subject, f"boxes.agreement({IOU})")))
    return section


def _show_labels(subject: Subject, section: Section, by_label: list[dict[str, Any]]) -> None:
    rows = [
        (cut(row["label"] or "", MAX_LENGTH), row["boxes"], blocks.share(row["matched_share"], 1),
         Fixed(row["mean_iou"]), Fixed(row["kappa"]))
        for row in by_label[:MAX_LABELS]
    ]  # fmt: skip
    head = ("label", "boxes compared", "matched", "mean IoU of matched", "kappa of presence")
    caption = f"Agreement of all pairs of readers, by label (IoU over {IOU})"
    section.add(blocks.table(caption, head, rows, in_python(subject, f"boxes.agreement({IOU})")))


def _show_pairs(
    subject: Subject, section: Section, names: list[str], by_pair: list[dict[str, Any]]
) -> None:
    shares = {(row["reader_a"], row["reader_b"]): row["matched_share"] for row in by_pair}
    cells = [
        [shares.get((a, b), shares.get((b, a))) if a != b else None for b in names] for a in names
    ]
    if not any(value is not None for line in cells for value in line):
        return
    low, high = (f(v for line in cells for v in line if v is not None) for f in (min, max))
    label = f"Matched boxes of pairs of readers, from {percent(low)} to {percent(high)}"
    drawn = charts.heat(names, names, cells, label)
    few = (
        f" (the {len(names)} readers with most images)" if len(by_pair) and len(names) == 12 else ""
    )
    caption = f"Share of matched boxes per pair of readers{few}; empty: no common image"
    section.add(blocks.figure(caption, drawn, in_python(subject, f"boxes.agreement({IOU})")))

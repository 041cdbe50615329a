"""What the routes answer from: the rows, the images and the boxes of one index."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wetread import __version__
from wetread.boxes import Boxes
from wetread.boxes.consensus import Method
from wetread.common.privacy import kind_of_column
from wetread.display.render import PRESETS
from wetread.errors import PROBLEMS
from wetread.settings import Settings
from wetread.table.rows import IndexRows
from wetread.viewer.catalogue import Catalogue
from wetread.viewer.facets import kind_of
from wetread.viewer.header import MASK
from wetread.viewer.images import Images
from wetread.viewer.lru import Kept
from wetread.viewer.marks import Marks, count_misses
from wetread.viewer.thumbnails import Thumbs

PRESET_KEYS = {
    "soft": "3",
    "lung": "4",
    "mediastinum": "5",
    "bone": "6",
    "brain": "7",
    "stroke": "8",
    "liver": "9",
}
"""The key of each CT window."""
_THREADS = 4


class Viewer:
    """What the routes answer from: the rows, the images, the boxes of one index."""

    def __init__(
        self,
        content: IndexRows,
        boxes: Boxes | None = None,
        predictions: Boxes | None = None,
        *,
        consensus: Method = "wbf",
        title: str = "",
        show_phi: bool = False,
        thumbs: Path | None = None,
        settings: Settings = Settings(),
    ) -> None:
        self.report_key = secrets.token_urlsafe(32)
        self.title = title or Path(content.root).name
        self.masked = not show_phi
        self.method = consensus
        self.truth, self.found = Marks(boxes), Marks(predictions)
        self.catalogue = Catalogue(content, settings)
        self._kept = Kept(16)
        self.executor = ThreadPoolExecutor(_THREADS, "wetread-viewer")
        kept = Thumbs(thumbs, content.root, settings.thumb_bytes)
        self.images = Images(self.catalogue, kept, self.executor, settings)

    def close(self) -> None:
        """End processes and threads."""
        self.images.close()
        self.executor.shutdown(wait=True, cancel_futures=True)

    def is_masked(self, column: str) -> bool:
        """Whether the values of a column are not said."""
        field = self.catalogue.content.schema.field(column)
        return self.masked and kind_of_column(field) is not None

    def misses(self, iou: float, score: float) -> dict[str, dict[str, int]]:
        """The images where model and readers disagree; see `count_misses`."""

        def count() -> dict[str, dict[str, int]]:
            truth = self._kept.get("truth", lambda: self.truth.opinion(self.method))
            return count_misses(truth, self.found.boxes, iou, score)

        return self._kept.get((iou, score), count)

    def report(self) -> str:
        """The report of this index as HTML."""

        def build() -> str:
            from wetread.reports.build import build as build_report

            sides = [marks.boxes if marks.given else None for marks in (self.truth, self.found)]
            shown = not self.masked
            return build_report(self.catalogue.content, *sides, show_phi=shown, links="viewer").html

        return self._kept.get("report", build)


def about(viewer: Viewer) -> dict[str, Any]:
    """What there is to see."""
    viewer.catalogue.warm()
    columns = [
        {"name": field.name, "type": kind_of(field.type), "phi": viewer.is_masked(field.name)}
        for field in viewer.catalogue.content.schema
        if field.name not in ("path_bytes", "member_bytes")
    ]
    sides = (viewer.truth.boxes, viewer.found.boxes)
    labels = list(dict.fromkeys(label for boxes in sides for label in boxes.labels))
    readers = list(viewer.truth.boxes.readers)
    presets = [
        {"key": key, "name": name, "center": PRESETS[name][0], "width": PRESETS[name][1]}
        for name, key in PRESET_KEYS.items()
    ]
    return {
        "title": viewer.title,
        "version": __version__,
        "rows": len(viewer.catalogue),
        "images": viewer.catalogue.count_images(),
        "columns": columns,
        "readers": readers,
        "labels": labels,
        "boxes": viewer.truth.given,
        "predictions": viewer.found.given,
        "consensus": len(readers) > 1,
        "report": f"report?key={viewer.report_key}",
        "presets": presets,
        "masked": viewer.masked,
    }


def to_rows(viewer: Viewer, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as the page wants them."""
    counts = viewer.truth.count([row["id"] for row in rows])
    made = []
    for row, boxes in zip(rows, counts, strict=True):
        pixels = row.pop("pixel_length") is not None
        extra = row.pop("columns", {})
        made.append(
            {
                **row,
                "frames": row.pop("NumberOfFrames", None) or (1 if pixels else 0),
                "problems": row["problems"] or [],
                "worst": _worst(row["problems"] or []),
                "boxes": boxes,
                "part": row.get("part"),
                "has_pixels": pixels,
                "columns": {
                    name: MASK if viewer.is_masked(name) and value is not None else value
                    for name, value in extra.items()
                },
            }
        )
    return made


def _worst(codes: list[str]) -> str | None:
    """The severity of the worst problem."""
    found = {PROBLEMS[code].severity for code in codes if code in PROBLEMS}
    return next((severity for severity in ("error", "warning", "info") if severity in found), None)

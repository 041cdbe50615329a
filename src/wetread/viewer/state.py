"""Server state: rows, images and boxes of one index."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from wetread import __version__
from wetread.boxes import Boxes
from wetread.boxes.consensus import Method
from wetread.common.privacy import kind_of_column
from wetread.display.render import PRESETS
from wetread.settings import Settings
from wetread.table.rows import IndexRows
from wetread.viewer.annotations import Annotations, Writing
from wetread.viewer.catalogue import Catalogue
from wetread.viewer.facets import column_type
from wetread.viewer.header import MASK
from wetread.viewer.images import ImageServer
from wetread.viewer.marks import Marks
from wetread.viewer.masks import MaskServer
from wetread.viewer.memo import memoize
from wetread.viewer.series import SeriesCatalogue, severity_of
from wetread.viewer.thumbnails import ThumbnailCache
from wetread.viewer.volumes import VolumeCache, VolumeServer

PRESET_KEYS = {
    "soft": "3",
    "lung": "4",
    "mediastinum": "5",
    "bone": "6",
    "brain": "7",
    "stroke": "8",
    "liver": "9",
}
"""Key of each CT window."""
_THREADS = 4


class State:
    """Rows, images and boxes of one index, with the caches computed from them."""

    def __init__(
        self,
        index: IndexRows,
        boxes: Boxes | None = None,
        predictions: Boxes | None = None,
        *,
        consensus: Method = "wbf",
        title: str = "",
        show_phi: bool = False,
        thumbnails: Path | None = None,
        settings: Settings = Settings(),
        writing: Writing | None = None,
    ) -> None:
        if writing is not None and boxes is not None:
            others = pc.not_equal(boxes.table["reader"], writing.log.reader).fill_null(True)
            boxes = None if writing.blind else boxes.select(others.combine_chunks())
        self.report_key = secrets.token_urlsafe(32)
        self.title = title or Path(index.root).name
        self.masked = not show_phi
        self.marks = Marks(boxes, predictions, consensus)
        self.catalogue = Catalogue(index, settings, self.marks)
        self.annotations = Annotations(writing, self.catalogue, settings) if writing else None
        self.executor = ThreadPoolExecutor(_THREADS, "wetread-viewer")
        cache = ThumbnailCache(thumbnails, index.root, settings.thumb_bytes)
        self.images = ImageServer(self.catalogue, cache, self.executor, settings)
        self.series = SeriesCatalogue(self.catalogue, settings)
        volumes, decoder = VolumeCache(settings.volume_cache_bytes), self.images.decoder
        self.volumes = VolumeServer(self.series, decoder, self.executor, volumes)
        self.masks = MaskServer(self.catalogue, self.series, decoder, self.executor, volumes)
        self.misses = memoize(self.marks.misses, 16)
        self.report = memoize(self._build_report)

    def close(self) -> None:
        """Stop processes and threads."""
        self.images.close()
        self.catalogue.close()
        self.executor.shutdown(wait=True, cancel_futures=True)
        if self.annotations is not None:
            self.annotations.close()

    def is_masked(self, column: str) -> bool:
        """True if the values of a column of the index are masked."""
        schema = self.catalogue.index.schema
        if column not in schema.names:  # of the boxes
            return False
        return self.masked and kind_of_column(schema.field(column)) is not None

    def _build_report(self) -> str:
        """Report of the index as HTML."""
        from wetread.reports.build import build

        boxes = [
            side.boxes if side.available else None
            for side in (self.marks.truth, self.marks.predictions)
        ]
        return build(self.catalogue.index, *boxes, show_phi=not self.masked, links="viewer").html


def describe(state: State) -> dict[str, Any]:
    """Title, columns, readers, labels and presets of the page."""
    state.catalogue.warm()
    columns = [
        {"name": field.name, "type": column_type(field.type), "phi": state.is_masked(field.name)}
        for field in state.catalogue.index.schema
        if field.name not in ("path_bytes", "member_bytes")
    ]
    marks = state.marks
    sides = (marks.truth.boxes, marks.predictions.boxes)
    labels = list(dict.fromkeys(label for boxes in sides for label in boxes.labels))
    readers = list(marks.truth.boxes.readers)
    presets = [
        {"key": key, "name": name, "center": PRESETS[name][0], "width": PRESETS[name][1]}
        for name, key in PRESET_KEYS.items()
    ]
    return {
        "title": state.title,
        "version": __version__,
        "rows": len(state.catalogue),
        "images": state.catalogue.count_images(),
        "columns": columns,
        "readers": readers,
        "labels": labels,
        "box_columns": state.catalogue.box_columns,
        "image_columns": state.catalogue.image_columns,
        "boxes": marks.truth.available,
        "predictions": marks.predictions.available,
        "start": marks.start if marks.predictions.available else None,
        "consensus": len(readers) > 1,
        "report": f"report?key={state.report_key}",
        "presets": presets,
        "masked": state.masked,
        "masks": state.masks.count,
        "annotation": state.annotations.describe() if state.annotations else None,
    }


def to_rows(state: State, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as sent to the page."""
    counts = state.marks.truth.count([row["id"] for row in rows])
    tiles = []
    for row, boxes in zip(rows, counts, strict=True):
        pixels = row.pop("pixel_length") is not None
        extra = row.pop("columns", {})
        tiles.append(
            {
                **row,
                "frames": row.pop("NumberOfFrames", None) or (1 if pixels else 0),
                "problems": row["problems"] or [],
                "worst": _worst(row["problems"] or []),
                "boxes": boxes,
                "part": row.get("part"),
                "has_pixels": pixels,
                "columns": {
                    name: MASK if state.is_masked(name) and value is not None else value
                    for name, value in extra.items()
                },
            }
        )
    return tiles


def _worst(codes: list[str]) -> str | None:
    """Highest severity of some problems."""
    severities = {severity_of(code) for code in codes}
    return next((name for name in ("error", "warning", "info") if name in severities), None)

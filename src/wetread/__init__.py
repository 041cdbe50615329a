"""wetread: the first read of a DICOM data set.

>>> import wetread as wr
>>> index = wr.scan("train/")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wetread import errors, imaging
    from wetread.boxes.collection import Boxes
    from wetread.boxes.reading import read_boxes
    from wetread.cache.prepare import prepare
    from wetread.evaluation import evaluate
    from wetread.evaluation.shortcuts import shortcuts
    from wetread.evaluation.submission import submit
    from wetread.images.image import Image
    from wetread.index import Index, merge, open, read, scan, split  # noqa: A004
    from wetread.learn.run import Run
    from wetread.learn.training import train
    from wetread.reports.build import report
    from wetread.segments.reading import read_segments
    from wetread.segments.segment import Segment
    from wetread.segments.table import Segments
    from wetread.series.volume import Volume
    from wetread.settings import Settings
    from wetread.viewer import view
    from wetread.workers.dask import DaskEngine

__version__ = "0.1.0"
__all__ = [
    "Boxes",
    "DaskEngine",
    "Image",
    "Index",
    "Run",
    "Segment",
    "Segments",
    "Settings",
    "Volume",
    "errors",
    "evaluate",
    "imaging",
    "merge",
    "open",
    "prepare",
    "read",
    "read_boxes",
    "read_segments",
    "report",
    "scan",
    "shortcuts",
    "split",
    "submit",
    "train",
    "view",
]

_HOMES = {
    "Boxes": "boxes.collection",
    "DaskEngine": "workers.dask",
    "Image": "images.image",
    "Index": "index",
    "Run": "learn.run",
    "Segment": "segments.segment",
    "Segments": "segments.table",
    "Settings": "settings",
    "Volume": "series.volume",
    "evaluate": "evaluation",
    "merge": "index",
    "open": "index",
    "prepare": "cache.prepare",
    "read": "index",
    "read_boxes": "boxes.reading",
    "read_segments": "segments.reading",
    "report": "reports.build",
    "scan": "index",
    "shortcuts": "evaluation.shortcuts",
    "split": "index",
    "submit": "evaluation.submission",
    "train": "learn.training",
    "view": "viewer",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562): `import wetread` stays cheap."""
    if name not in __all__:
        raise AttributeError(f"module 'wetread' has no attribute {name!r}")
    home = import_module(f"wetread.{_HOMES.get(name, name)}")
    value = getattr(home, name) if name in _HOMES else home
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

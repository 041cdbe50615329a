"""Summary of an index with its series."""

from __future__ import annotations

from wetread.series.query import SeriesIndex
from wetread.series.tables import count_problems
from wetread.table.summary import Summary
from wetread.table.summary import summarise as count_rows


def summarise(index: SeriesIndex) -> Summary:
    """Count the rows of an index, its series, their volumes and problems."""
    collection = index.series.collection
    counts = {
        "series": len(collection.images.ids),
        "volumes": int(collection.volumes.sum()),
        "series_problems": count_problems(collection),
    }
    return Summary({**count_rows(index), **counts})

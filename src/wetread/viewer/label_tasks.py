"""Worker side of masks: read a label file, and place its masks on images, as runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from wetread.errors import LimitError
from wetread.images import batch
from wetread.segments.contents import Fit, LabelFile, Problem, Target, voxel_ml
from wetread.segments.match import MOST_UIDS, choose
from wetread.segments.reading import make_cache, open_labels
from wetread.segments.seg import SegFile
from wetread.segments.segment import find_alignment
from wetread.settings import Settings
from wetread.viewer import runs
from wetread.workers.heartbeat import heartbeat

THRESHOLD = 0.5
"""Least fraction of a voxel of a FRACTIONAL segment, as in `read_segments`."""
SHARE = 8
"""The runs of a file may take this fraction of `Settings.volume_cache_bytes`."""


def run(
    root: str, row: dict[str, Any], request: dict[str, Any], settings: Settings
) -> tuple[dict[str, Any], bytes]:
    """Run a task; returns metadata, which may hold a problem, and runs as bytes."""
    try:
        size = 8 * (row["file_size"] or 0) + 4 * settings.volume_cache_bytes // SHARE
        with batch.bounded_memory(settings.decode_bytes + size):
            heartbeat(settings.decode_seconds + (row["file_size"] or 0) / settings.decode_rate)
            file = open_labels(root, row, THRESHOLD, make_cache(), settings)
            return _STEPS[request["step"]](file, request, settings)
    except LimitError as error:
        return {"problem": ("refused", "SEGMENT_LIMIT", str(error))}, b""
    except BaseException as error:  # noqa: BLE001 - classified by `explain`
        return {"problem": tuple(batch.explain(error))}, b""


def _describe(
    file: LabelFile, request: dict[str, Any], settings: Settings
) -> tuple[dict[str, Any], bytes]:
    """Segments and references of a file, and the first frame of a SEG that is not empty."""
    references = asdict(file.references)
    references["images"] = references["images"][:MOST_UIDS]
    return {
        "kind": file.kind,
        "type": file.type if isinstance(file, SegFile) else "",
        "segments": [asdict(description) for description in file.descriptions],
        "references": references,
        "found": file.found,
        "first": file.find_first() if isinstance(file, SegFile) and request["first"] else None,
    }, b""


def _place(
    file: LabelFile, request: dict[str, Any], settings: Settings
) -> tuple[dict[str, Any], bytes]:
    """Masks on the images that the file fits among the targets of the request."""
    targets = [_target(one) for one in request["targets"]]
    known = [Problem(*one) for one in request["found"]]
    fits = [file.fit(target) for target in targets]
    fit, found = choose(fits, known)
    found = [*file.found, *found]
    numbers = [description.number for description in file.descriptions]
    collector = runs.Collector(settings.volume_cache_bytes // SHARE)
    if fit is not None and fit.is_placed:
        for number, k, mask in file.masks(fit, found):
            collector.add(number, k, mask)
    segments, parts = [], []
    for number, part in zip(numbers, collector.take(numbers), strict=True):
        own = [f for f in found if f.number in (None, number)]
        aligned = find_alignment(file, own, fit)
        segments.append(
            {"aligned": aligned, **_extend(part, fit)}
            | {"problems": [(f.code, f.severity, f.text) for f in own]}
        )
        parts.append(part if aligned is not False else part[:0])
    return {
        "target": None if fit is None else fits.index(fit),
        "segments": segments,
        "counts": [len(part) for part in parts],
    }, b"".join(part.tobytes() for part in parts)


def _extend(part: runs.Runs, fit: Fit | None) -> dict[str, Any]:
    """Voxels, volume, slices, and the slice with most voxels of a segment."""
    if fit is None:
        return {"voxels": None, "volume_ml": None, "slices": 0, "largest": None}
    by_slice = np.bincount(
        part["row"] // fit.target.shape[1], part["end"].astype(float) - part["first"]
    )
    scale = voxel_ml(fit.target.affine) if fit.target.shape[0] > 1 else None
    return {
        "voxels": runs.count(part),
        "volume_ml": None if scale is None else runs.count(part) * scale,
        "slices": int((by_slice > 0).sum()),
        "largest": int(by_slice.argmax()) if len(part) else None,
    }


def _frame(
    file: LabelFile, request: dict[str, Any], settings: Settings
) -> tuple[dict[str, Any], bytes]:
    """Masks of one frame of a SEG, in its own pixels."""
    if not isinstance(file, SegFile):
        return {"invalid": "only a SEG has frames of its own"}, b""
    places = {description.number: at for at, description in enumerate(file.descriptions)}
    masks = [(places[number], runs.encode(mask)) for number, mask in file.frame(request["frame"])]
    return {}, runs.to_wire(masks)


_STEPS = {"describe": _describe, "place": _place, "frame": _frame}


def pack_target(target: Target) -> dict[str, Any]:
    """Target as JSON, for the request of `place`."""
    return {
        "series_id": target.series["series_id"],
        "shape": list(target.shape),
        "affine": target.affine.tolist(),
        "places": [[uid, frame, k] for (uid, frame), k in target.places.items()],
    }


def _target(packed: dict[str, Any]) -> Target:
    slices, rows, columns = packed["shape"]
    places = {(uid, frame): k for uid, frame, k in packed["places"]}
    row = {"series_id": packed["series_id"]}
    affine = np.array(packed["affine"])
    return Target(row, None, (slices, rows, columns), affine, [], places)

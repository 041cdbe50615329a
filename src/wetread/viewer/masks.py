"""Masks of SEG and RTSTRUCT files on their images, for the page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import numpy as np
from cachetools import LRUCache

from wetread.errors import LimitError, NotFoundError, UsageError
from wetread.images import batch
from wetread.segments import rtstruct, seg
from wetread.segments.contents import LabelFile, References, Target, Unreadable
from wetread.segments.match import Candidates, Images
from wetread.settings import Settings
from wetread.table.query import query
from wetread.viewer import label_tasks, runs
from wetread.viewer.catalogue import Catalogue
from wetread.viewer.decoder import LATER, SOON, Decoder
from wetread.viewer.header import MASK
from wetread.viewer.memo import memoize
from wetread.viewer.series import SeriesCatalogue
from wetread.viewer.volumes import VolumeCache, find_cut, square_pixels
from wetread.viewer.worker import LABELS as KIND
from wetread.viewer.worker import ProblemError

T = TypeVar("T")
LABELS = dict.fromkeys(seg.SOP_CLASSES, "SEG") | dict.fromkeys(rtstruct.SOP_CLASSES, "RTSTRUCT")
"""Kind of a label file by its SOP class."""
MOST_FILES = 256
"""Label files that are read for a series."""
_DESCRIBED = 4 * MOST_FILES
"""Label files whose segments and references are kept."""
_MOST_PIXELS = 2**16 - 1
"""Rows and columns of a plane whose runs can be sent."""
_UID = re.compile(r"\b\d+(\.\d+){4,}")
_FILES = """
SELECT id, path, member, SOPClassUID, StudyInstanceUID AS study, FrameOfReferenceUID AS frame
FROM "index" WHERE SOPClassUID IN (SELECT unnest($1))
"""
_NEAR = ("StudyInstanceUID", "FrameOfReferenceUID")


class LabelRow(NamedTuple):
    """Label file of the index."""

    id: str
    name: str
    kind: str
    keys: tuple[str | None, str | None]
    """Study Instance UID and Frame of Reference UID."""


class PlacedMasks(NamedTuple):
    """Masks of a label file on their images."""

    segments: list[dict[str, Any]]
    """Measures and problems of each segment."""
    target: Target | None
    masks: runs.MaskRuns


class MaskServer:
    """Masks of one index; use from one event loop only.

    Label files are read by the worker processes. Their masks are kept as runs in the cache of
    volumes.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        series: SeriesCatalogue,
        decoder: Decoder,
        executor: Executor,
        cache: VolumeCache,
        settings: Settings = Settings(),
    ) -> None:
        self._catalogue, self._series, self._decoder = catalogue, series, decoder
        self._executor, self._cache = executor, cache
        self._files = memoize(self._list_files)
        self._images = memoize(lambda: Images(catalogue.index, settings, series.table))
        self._lock, self._one = Lock(), asyncio.Lock()
        self._described: LRUCache[str, dict[str, Any]] = LRUCache(_DESCRIBED)
        self._placed: LRUCache[str, tuple[list[dict[str, Any]], Target | None]] = LRUCache(
            _DESCRIBED
        )

    @property
    def count(self) -> int:
        """Number of label files in the index."""
        return len(self._files())

    # -- lists ----------------------------------------------------------------------------------

    async def over(self, series_id: str, stack: int) -> dict[str, Any]:
        """Label files that refer to a series.

        Returns:
            `files` of id, path, kind and error (null if the file can be read), and `more`, the
            number of files of the study that were not read.
        """
        near, more = await self._run(self._find_near, series_id)
        described = await asyncio.gather(*map(self._try_describe, near))
        files = []
        for file, (found, error) in zip(near, described, strict=True):
            if error is None and not await self._run(self._refers, found, series_id):
                continue
            files.append({"id": file.id, "path": file.name, "kind": file.kind, "error": error})
        return {"files": files, "more": more}

    async def segments(self, series_id: str, stack: int, id_: str) -> dict[str, Any]:
        """Segments of a label file on a stack; `text` says why none is drawn, if so."""
        found = await self.describe(id_)
        placed = await self._place_masks(id_)
        here = placed.target is not None and await self._run(
            self._is_on, placed.target, series_id, stack
        )
        elsewhere = placed.target is not None and not here
        return {
            "id": id_,
            "kind": found["kind"],
            "text": "on other slices of the series" if elsewhere else "",
            "segments": [] if elsewhere else _join(found["segments"], placed.segments),
        }

    async def alone(self, id_: str) -> dict[str, Any]:
        """Segments of a label file, and the image that it is shown over, if there is one."""
        found = await self.describe(id_)
        place, text = None, ""
        try:
            placed = await self._place_masks(id_)
            segments = _join(found["segments"], placed.segments)
            if placed.target is None:
                text = _explain(placed.segments)
            else:
                place = await self._run(self._find_slice, placed)
        except (ProblemError, LimitError) as error:
            segments, text = _join(found["segments"], []), str(error)
        return {
            "id": id_,
            "kind": found["kind"],
            "type": found["type"],
            "first": found["first"],
            "segments": segments,
            "place": place,
            "text": text,
        }

    # -- pixels ---------------------------------------------------------------------------------

    async def on_image(self, file: str, id_: str, frame: int) -> bytes:
        """Runs of the segments on an image, in its stored pixels; see `runs.WIRE`."""
        placed = await self._place_masks(file)
        return await self._run(_cut_image, placed, id_, frame)

    async def on_plane(self, file: str, series_id: str, stack: int, name: str, at: int) -> bytes:
        """Runs of the segments on a plane of a volume, in its pixels; see `runs.WIRE`."""
        placed = await self._place_masks(file)
        if placed.target is None or not await self._run(
            self._is_on, placed.target, series_id, stack
        ):
            return b""
        return await self._run(_cut_plane, placed.masks, placed.target, name, at)

    async def on_frame(self, id_: str, frame: int) -> bytes:
        """Runs of the segments on a frame of a SEG, in its own pixels; see `runs.WIRE`."""
        _, data = await self._ask(id_, {"step": "frame", "frame": frame}, SOON)
        return bytes(data)

    # -- files ----------------------------------------------------------------------------------

    def _list_files(self) -> dict[str, LabelRow]:
        index = self._catalogue.index
        if "SOPClassUID" not in index.schema.names:
            return {}
        rows = query(index, _with_columns(_FILES, index.schema.names), [list(LABELS)])
        return {
            row["id"]: LabelRow(
                row["id"],
                f"{row['path']} {row['member'] or ''}".strip(),
                LABELS[row["SOPClassUID"]],
                (row["study"], row["frame"]),
            )
            for row in rows.to_pylist()
        }

    def _find_near(self, series_id: str) -> tuple[list[LabelRow], int]:
        """Label files of the study or frame of reference of a series, or all of a small index."""
        row = self._series.series(series_id).row
        keys = [row[name] for name in _NEAR]
        files = list(self._files().values())
        if len(files) > MOST_FILES:
            pairs = [(file, zip(file.keys, keys, strict=True)) for file in files]
            files = [file for file, both in pairs if any(a and a == b for a, b in both)]
        return files[:MOST_FILES], max(0, len(files) - MOST_FILES)

    async def _try_describe(self, file: LabelRow) -> tuple[dict[str, Any], str | None]:
        try:
            return await self.describe(file.id), None
        except ProblemError as error:
            return {}, str(error)

    async def describe(self, id_: str) -> dict[str, Any]:
        """Segments and references of a label file; raises ProblemError."""
        if known := self._described.get(id_):
            return known
        found, _ = await self._ask(id_, {"step": "describe", "first": True}, LATER)
        self._described[id_] = found
        return found

    def _refers(self, found: dict[str, Any], series_id: str) -> bool:
        candidates = self._candidates(found)
        return any(
            self._series.collection.images.ids[number] == series_id for number in candidates.series
        )

    def _candidates(self, found: dict[str, Any]) -> Candidates:
        """Volumes and slices that a file refers to by UID."""
        file = _Described(found["references"])
        if not file.references.series and not file.references.images:
            return Candidates([], [], [])
        with self._lock:
            return self._images().candidates(file)

    async def _place_masks(self, id_: str) -> PlacedMasks:
        """Masks of a file on the images that it refers to, from the cache or a worker."""
        async with self._one:  # as each may take much memory
            return await self._find_masks(id_)

    async def _find_masks(self, id_: str) -> PlacedMasks:
        masks, known = self._cache.get(("masks", id_)), self._placed.get(id_)
        if isinstance(masks, runs.MaskRuns) and known is not None:
            return PlacedMasks(*known, masks)
        found = await self.describe(id_)
        candidates = await self._run(self._candidates, found)
        request = {
            "step": "place",
            "targets": [label_tasks.pack_target(target) for target in candidates.targets],
            "found": [tuple(one) for one in candidates.found],
        }
        self._cache.make_room(int(self._cache.maxsize) // label_tasks.SHARE)
        metadata, data = await self._ask(id_, request, SOON)
        chosen = metadata["target"]
        target = None if chosen is None else candidates.targets[chosen]
        ends = np.cumsum(metadata["counts"])[:-1]
        parts = np.split(np.frombuffer(data, runs.RUN), ends)
        shape = (0, 0, 0) if target is None else target.shape
        placed = PlacedMasks(metadata["segments"], target, runs.MaskRuns(shape, parts))
        self._placed[id_] = placed[:2]
        if placed.masks.nbytes <= self._cache.maxsize:
            self._cache["masks", id_] = placed.masks
        return placed

    def _is_on(self, target: Target, series_id: str, stack: int) -> bool:
        stacks = self._series.series(series_id).stacks
        if not 0 <= stack < len(stacks):
            raise NotFoundError("no such stack in this index")
        return target.slices == [(one.id, one.frame) for one in stacks[stack].slices]

    def _find_slice(self, placed: PlacedMasks) -> dict[str, Any]:
        """Slice with most voxels of the largest segment, else the middle one."""
        target = placed.target
        assert target is not None
        drawn = [one for one in placed.segments if one["largest"] is not None]
        k = len(target.slices) // 2
        if drawn:
            k = max(drawn, key=lambda one: one["voxels"])["largest"]
        id_, frame = target.slices[k]
        series_id = target.series["series_id"]
        stacks = range(len(self._series.series(series_id).stacks))
        stack = next(n for n in stacks if self._is_on(target, series_id, n))
        return {"series": series_id, "stack": stack, "id": id_, "frame": frame}

    async def _ask(
        self, id_: str, request: dict[str, Any], priority: int
    ) -> tuple[dict[str, Any], memoryview]:
        if id_ not in await self._run(self._files):
            raise NotFoundError("no such SEG or RTSTRUCT in this index")
        row = await self._run(self._catalogue.row, id_, batch.COLUMNS)
        assert row is not None
        return await self._decoder.run(row, {"kind": KIND, **request}, priority)

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)


class _Described(Unreadable):
    """References of a label file that a worker has read."""

    def __init__(self, references: dict[str, Any]) -> None:
        LabelFile.__init__(self, {"path": "", "member": ""})
        self.references = References(**references)


def _with_columns(sql: str, names: list[str]) -> str:
    """Query in which columns that the index lacks are null."""
    for name in _NEAR:
        if name not in names:
            sql = sql.replace(name, "NULL")
    return sql


def _join(described: list[dict[str, Any]], measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Segments with their measures."""
    unmeasured: dict[str, Any] = dict.fromkeys(("aligned", "voxels", "volume_ml", "largest"))
    unmeasured |= {"slices": 0, "problems": []}
    return [
        {
            **{name: one[name] for name in ("number", "label", "code", "colour")},
            **(measured[at] if measured else unmeasured),
        }
        for at, one in enumerate(described)
    ]


def _explain(segments: list[dict[str, Any]]) -> str:
    """Reason why a file has no place on images."""
    texts = [
        text for one in segments for _, severity, text in one["problems"] if severity == "error"
    ]
    return next(iter(texts), "it refers to no images")


def mask(found: dict[str, Any]) -> dict[str, Any]:
    """Replace the labels of segments, and UIDs in texts, which may identify a patient."""
    for segment in found["segments"]:
        segment["label"] = segment["label"] and MASK
        segment["problems"] = [
            (code, severity, _UID.sub(MASK, text)) for code, severity, text in segment["problems"]
        ]
    return {**found, "text": _UID.sub(MASK, found["text"])}


def _cut_image(placed: PlacedMasks, id_: str, frame: int) -> bytes:
    if placed.target is None or (id_, frame) not in placed.target.slices:
        return b""
    k, rows = placed.target.slices.index((id_, frame)), placed.masks.shape[1]

    def cut() -> Iterator[tuple[int, runs.Runs]]:
        for at, part in enumerate(placed.masks.runs):
            chosen = runs.select_slice(part, rows, k)
            if len(chosen):
                own = chosen.copy()
                own["row"] -= k * rows
                yield at, own

    return runs.to_wire(cut())


def _cut_plane(masks: runs.MaskRuns, target: Target, name: str, at: int) -> bytes:
    cut = find_cut(target.affine, target.shape, name, at)

    def cut_masks() -> Iterator[tuple[int, runs.Runs]]:
        for number, part in enumerate(masks.runs):
            plane = runs.cut(part, masks.shape, cut.through[0], at)
            if plane.any():
                pixels = square_pixels(plane, target.affine, cut)
                if max(pixels.shape) > _MOST_PIXELS:
                    raise UsageError("the plane is too large for masks")
                yield number, runs.encode(pixels)

    return runs.to_wire(cut_masks())

"""Table of the frames of multi-frame images, read from their functional groups.

A parameter of a frame is in its item of the Per-Frame Functional Groups Sequence, else in the
Shared one, else in the data set (PS3.3 C.7.6.16).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from wetread.common.arrays import array
from wetread.common.progress import Progress
from wetread.pixels.access import items, read_numbers, texts
from wetread.settings import Settings
from wetread.sources.find import path_and_member
from wetread.table.rows import IndexRows, fetch_rows

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from wetread.series.slices import Ints

_F, _I, _T = pa.float64(), pa.int64(), pa.string()
_CONTENT = "FrameContentSequence"
FIELDS: dict[str, tuple[str, pa.DataType]] = {
    "ImagePositionPatient": ("PlanePositionSequence", pa.list_(_F)),
    "ImageOrientationPatient": ("PlaneOrientationSequence", pa.list_(_F)),
    "PixelSpacing": ("PixelMeasuresSequence", pa.list_(_F)),
    "SliceThickness": ("PixelMeasuresSequence", _F),
    "SpacingBetweenSlices": ("PixelMeasuresSequence", _F),
    "StackID": (_CONTENT, _T),
    "InStackPositionNumber": (_CONTENT, _I),
    "TemporalPositionIndex": (_CONTENT, _I),
    "DimensionIndexValues": (_CONTENT, pa.list_(_I)),
    "FrameAcquisitionNumber": (_CONTENT, _I),
    "FrameAcquisitionDateTime": (_CONTENT, _T),
    "FrameReferenceDateTime": (_CONTENT, _T),
    "FrameType": ("", pa.list_(_T)),
    "EffectiveEchoTime": ("MREchoSequence", _F),
    "DiffusionBValue": ("MRDiffusionSequence", _F),
    "DiffusionDirectionality": ("MRDiffusionSequence", _T),
    "DiffusionGradientOrientation": (
        "MRDiffusionSequence/DiffusionGradientDirectionSequence",
        pa.list_(_F),
    ),
    "NominalPercentageOfCardiacPhase": ("CardiacSynchronizationSequence", _F),
    "NominalCardiacTriggerDelayTime": ("CardiacSynchronizationSequence", _F),
    "WindowCenter": ("FrameVOILUTSequence", pa.list_(_F)),
    "WindowWidth": ("FrameVOILUTSequence", pa.list_(_F)),
    "RescaleSlope": ("PixelValueTransformationSequence", _F),
    "RescaleIntercept": ("PixelValueTransformationSequence", _F),
    "RescaleType": ("PixelValueTransformationSequence", _T),
}
"""Columns of the table: the macro with the element, and the type (PS3.3 C.7.6.16.2, C.8.13.5)."""
VARYING = (
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "FrameType", "EffectiveEchoTime",
    "DiffusionBValue", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept",
    "RescaleType",
)  # fmt: skip
"""Columns that most images share among their frames."""
_TYPES = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence",
          "XRay3DFrameTypeSequence", "ParametricMapFrameTypeSequence")  # fmt: skip
SCHEMA = pa.schema(
    [("id", _T), ("frame", pa.int32()), *((name, kind) for name, (_, kind) in FIELDS.items())]
)
SOURCE = ("id", "path", "path_bytes", "member", "member_bytes", "file_size", "etag")
"""Columns of the index with which a file is opened."""
_ABSENT = object()
"""Element that is not there; None stands for one that cannot be read."""
_MOST_FRAMES = 1_000_000
"""Most frames of one image; more are a damaged number."""


def read_frames(
    index: IndexRows, rows: Ints, settings: Settings = Settings(), progress: bool = False
) -> pa.Table:
    """Read the functional groups of some images: one row per frame, in order.

    An image without functional groups per frame, or with a header that cannot be read, has no rows.

    Args:
        index: the index of the images.
        rows: row numbers of the images.
        settings: limits.
        progress: show a progress bar on stderr.

    Returns:
        `id`, `frame` from 0, and the columns `FIELDS`; null for absent and unreadable values.
    """
    sources = fetch_rows(index, rows, SOURCE).to_pylist()
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for source in Progress(progress and len(sources) > 1, len(sources)).track(sources):
        for record in _read_image(index.root, source, settings):
            for name, values in columns.items():
                values.append(record[name])
    arrays = [array(columns[field.name], field.type) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def read_source(root: str, source: Mapping[str, Any], settings: Settings) -> Dataset | None:
    """Read the header of a file with the columns `SOURCE`; None if it cannot be read."""
    from wetread.headers.dataset import read_dataset

    path, member = path_and_member(source)
    try:
        return read_dataset(root, path, member, settings, source["file_size"], source["etag"])
    except Exception:  # noqa: BLE001 - pydicom raises many kinds for damaged headers
        return None


def _read_image(
    root: str, source: Mapping[str, Any], settings: Settings
) -> Iterator[dict[str, Any]]:
    header = read_source(root, source, settings)
    if header is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shared = items(header, "SharedFunctionalGroupsSequence")[:1]
        per_frame = items(header, "PerFrameFunctionalGroupsSequence")[:_MOST_FRAMES]
        common = {name: _read(name, [*shared, header]) for name in FIELDS}
        stated = read_numbers(header, "NumberOfFrames").first or 0
        rest = int(min(stated, _MOST_FRAMES)) - len(per_frame)
        for number, group in enumerate([*per_frame, *[None] * rest] if per_frame else []):
            if group is None:  # a frame without groups: nothing is known of it
                yield {"id": source["id"], "frame": number, **dict.fromkeys(FIELDS)}
                continue
            values = {name: _read(name, [group]) for name in FIELDS}
            values = {n: common[n] if v is _ABSENT else v for n, v in values.items()}
            values = {n: None if v is _ABSENT else v for n, v in values.items()}
            yield {"id": source["id"], "frame": number, **values}


def _read(name: str, levels: list[Dataset]) -> Any:
    """Value of a column in the first data set that has it; None if it cannot be read there."""
    macro, kind = FIELDS[name]
    for level in levels:
        for group in _groups(level, macro):
            value = _convert(group, name, kind)
            if value is not _ABSENT:
                return value
    return _ABSENT


def _groups(level: Dataset, macro: str) -> list[Dataset]:
    """Items in which an element of a macro may be; the data set itself is the last."""
    if not macro:
        return [item for sequence in _TYPES for item in items(level, sequence)[:1]]
    found = [level]
    for sequence in macro.split("/"):
        found = [item for one in found for item in items(one, sequence)[:1]]
    return [*found, level]


def _convert(group: Dataset, name: str, kind: pa.DataType) -> Any:
    many = pa.types.is_list(kind)
    one = kind.value_type if many else kind
    if pa.types.is_string(one):
        values: list[Any] = [*texts(group, name)]
    else:
        numbers = read_numbers(group, name)
        if numbers.unreadable:
            return None
        whole = pa.types.is_integer(one)
        values = [int(n) if whole else n for n in numbers.values if n is not None]
    if not values:
        return _ABSENT
    return values if many else values[0]

"""DICOM Structured Reports of boxes: TID 1500 Measurement Report (PS3.16), with highdicom."""

from __future__ import annotations

import hashlib
import re
import uuid
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wetread.boxes.formats import check_complete, list_files
from wetread.boxes.join import joined
from wetread.boxes.problems import list_problems
from wetread.boxes.table import CORNERS, BoxTable, PathLike
from wetread.common.files import written
from wetread.common.progress import Progress
from wetread.common.text import counted
from wetread.errors import MissingExtraError, StorageError, UsageError
from wetread.table.query import query

if TYPE_CHECKING:
    import pandas as pd
    from pydicom import Dataset

    from wetread.table.rows import IndexRows

Row = dict[str, Any]
_NAMESPACE = uuid.UUID("6f3f1b52-7d0a-5a53-8a3c-1f0c5d0a9b11")
"""Namespace of generated UIDs (RFC 9562, version 5): the same name gives the same UID."""
_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_META = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID")
_SCHEME = "99WETREAD"
_RAW = "1.2.840.10008.5.1.4.1.1.66"
"""Raw Data Storage: SOP class of an image without one."""


def write_sr(
    boxes: BoxTable, folder: PathLike, index: IndexRows, progress: bool = True
) -> pd.DataFrame:
    """Write one report per image and reader, named by the image's id.

    Each box is a region of TID 1410 with its label as the finding and its score as the certainty;
    a row of kind "nothing" is a finding too. The reader is the observer: a person, or a device if
    the boxes have scores or no reader. Coordinates are 32-bit floats, as in SCOORD. The Patient ID
    is the only patient attribute in the report. UIDs are derived from the content: equal boxes
    give equal UIDs.

    Returns:
        Problems as in `Boxes.check`: UID_MADE for each image whose UIDs had to be generated.

    Warns:
        UserWarning: flags, which the report has no place for.

    Raises:
        MissingExtraError: highdicom is not installed.
        UsageError: a box without coordinates or label, an image that is not in the index, or a name
            that DICOM cannot store.
        StorageError: the folder cannot be written.
    """
    _import_highdicom()
    images = {row["id"]: row for row in _images(index)}
    reports: dict[tuple[str, str], list[Row]] = defaultdict(list)
    if boxes.flags:
        text = f"DICOM SR cannot store flags: {', '.join(boxes.flags)} are not written"
        warnings.warn(f"{text}; COCO and Pascal VOC store them", stacklevel=3)
    for row in joined(boxes.decided(), index).table.to_pylist():
        if row["image"] not in images:
            raise UsageError(f"{row['key']}: no image of the index has this key")
        if row["kind"] != "nothing":
            check_complete(row)
        reports[row["image"], row["reader"] or ""].append(row)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror}") from error
    problems = {}
    series: Counter[tuple[str, str]] = Counter()
    numbers = {reader: number for number, reader in enumerate(sorted({r for _, r in reports}))}
    with Progress(progress, len(reports), "reports") as bar:
        for (image, reader), rows in reports.items():
            source, missing = _evidence(images[image])
            series[source.StudyInstanceUID, reader] += 1
            report = _make_report(rows, source, reader or boxes.run or "")
            report.SeriesNumber = numbers[reader] + 1
            report.InstanceNumber = series[source.StudyInstanceUID, reader]
            with written(Path(folder) / f"{image}_{numbers[reader]:02}.dcm") as file:
                report.save_as(file, enforce_file_format=True)
            if missing:
                row = {"image": image, "key": rows[0]["key"]}
                problems[image] = "UID_MADE", row, f"no {', '.join(missing)}"
            bar.add(1)
    return list_problems(problems.values())


def _import_highdicom() -> Any:
    try:
        import highdicom
    except ImportError as error:
        raise MissingExtraError("DICOM SR", "sr") from error
    return highdicom


def _images(index: IndexRows) -> list[Row]:
    names = ", ".join(f'"{name}"' for name in ("id", "PatientID", *_UIDS, *_META))
    rows: list[Row] = query(
        index, f"SELECT {names} FROM index WHERE pixel_length IS NOT NULL"
    ).to_pylist()
    return rows


def _evidence(row: Row) -> tuple[Dataset, list[str]]:
    """Attributes of the image that its report refers to, and the UIDs that had to be generated."""
    from pydicom import Dataset

    source, missing = Dataset(), []
    for name, other in zip(_UIDS, (*_META, None, None), strict=True):
        uid = next((value for n in (name, other) if n and _is_uid(value := row[n])), None)
        if uid is None:
            missing.append(name)
            uid = _RAW if name == "SOPClassUID" else _make_uid(name, row["id"])
        setattr(source, name, uid)
    source.PatientID = row["PatientID"]
    for empty in ("PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(source, empty, None)
    source.StudyDate = source.StudyTime = None
    return source, missing


def _is_uid(text: str | None) -> bool:
    """Check a UID (PS3.5 9.1): numbers separated by dots, at most 64 characters."""
    return text is not None and len(text) <= 64 and bool(re.fullmatch(r"\d+(\.\d+)+", text))


def _make_uid(*names: str) -> str:
    """UID derived from names, under the root for UUIDs (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(names)).int}"


def _make_report(rows: Sequence[Row], source: Dataset, reader: str) -> Dataset:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    text = repr(
        [[row[name] for name in ("label", "score", "frame", "kind", *CORNERS)] for row in rows]
    )
    uid = _make_uid("report", source.SOPInstanceUID, reader, text)
    groups = [
        _make_group(row, source, sr.TrackingIdentifier(_make_uid("box", uid, number), number))
        for number, row in zip(map(str, range(1, len(rows) + 1)), rows, strict=True)
    ]
    device = not reader or any(row["score"] is not None for row in rows)
    content = sr.MeasurementReport(
        sr.ObservationContext(
            observer_person_context=None, observer_device_context=_observer(reader)
        )
        if device
        else sr.ObservationContext(observer_person_context=_observer(reader, person=True)),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    # highdicom rejects private SOP classes: use another one here and set the right one below.
    sop_class, source.SOPClassUID = source.SOPClassUID, _RAW
    report = sr.ComprehensiveSR(
        evidence=[source],
        content=content[0],
        series_instance_uid=_make_uid("series", source.StudyInstanceUID, reader),
        series_number=1,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer="wetread",
        is_complete=True,
        specific_character_set=None if f"{text}{reader}".isascii() else "ISO_IR 192",
    )
    for element in report.iterall():
        if element.keyword == "ReferencedSOPClassUID":
            element.value = sop_class
    return report


def _observer(reader: str, *, person: bool = False) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    if len(reader) > 62 or set(reader) & set("\\^="):
        raise UsageError(f"reader {reader!r}: DICOM names have at most 62 characters, no \\ ^ =")
    if person:
        return sr.ObserverContext(
            codes.DCM.Person, sr.PersonObserverIdentifyingAttributes(f"{reader}^")
        )
    device = sr.DeviceObserverIdentifyingAttributes(_make_uid("observer", reader), reader or None)
    return sr.ObserverContext(codes.DCM.Device, device)


def _make_group(row: Row, source: Dataset, tracking: Any) -> Any:
    """Measurement group of a box, a point, or a reading without a finding."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    frames = None if row["frame"] is None else [row["frame"] + 1]
    image = _RAW, source.SOPInstanceUID, frames
    scores = [] if row["score"] is None else [row["score"]]
    certainty = [
        sr.Measurement(codes.DCM.CertaintyOfFinding, score, codes.UCUM.NoUnits) for score in scores
    ]
    if row["kind"] == "nothing":
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking,
            finding_type=_nothing(),
            measurements=certainty,
            source_images=[sr.SourceImageForMeasurementGroup(*image)],
        )
    x0, y0, x1, y1 = (row[name] for name in CORNERS)
    point = row["kind"] == "point"
    outline = [(x0, y0)] if point else [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    region = sr.ImageRegion(
        "POINT" if point else "POLYLINE", np.array(outline), sr.SourceImageForRegion(*image)
    )
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking, region, finding_type=_finding(row["label"]), measurements=certainty
    )


def _nothing() -> Any:
    from pydicom.sr.coding import Code

    return Code("260415000", "SCT", "Not detected")


def _finding(label: str) -> Any:
    """Code of a label in our private coding scheme: a hash of the label."""
    from pydicom.sr.coding import Code

    if not 0 < len(label) <= 64:
        raise UsageError(f"label {label!r}: a DICOM code meaning has 1 to 64 characters")
    number = hashlib.blake2b(label.encode(), digest_size=8).hexdigest().upper()
    return Code(number, _SCHEME, label)


def read_sr(path: PathLike, images: IndexRows | None = None) -> BoxTable:
    """Boxes of one report or of a folder of them: planar regions, and findings without one.

    The key is the SOP Instance UID of the image. A region that is not a rectangle becomes its
    bounding box; the label is the finding, the reader the observer.

    Args:
        path: folder of `.dcm` files, or a file.
        images: index used to recognise the UIDs that `write_sr` generated.

    Raises:
        MissingExtraError: highdicom is not installed.
        UsageError: not a report of TID 1500, or an unsupported kind of region.
    """
    _import_highdicom()
    path = Path(path)
    files = [path] if path.is_file() else list_files(path, ".dcm").values()
    rows = [row for file in files for row in _read_report(file)]
    generated = {}
    for image in () if images is None else _images(images):
        source, missing = _evidence(image)
        if "SOPInstanceUID" in missing:
            generated[source.SOPInstanceUID] = image["id"]
    for row in rows:
        row["key"] = generated.get(row["key"], row["key"])
    names = ("key", "label", "kind", "reader", "score", "frame", *CORNERS)
    return BoxTable.from_columns({name: [row.get(name) for row in rows] for name in names})


def _read_report(file: Path) -> list[Row]:
    from highdicom.sr import srread

    try:
        content: Any = srread(file).content
        reader = _read_observer(content)
        groups = content.get_planar_roi_measurement_groups()
        rows = [_read_region(group) for group in groups]
        rows += [
            {"kind": "nothing", **_read_image(group.source_images[0])} | _read_score(group)
            for group in content.get_image_measurement_groups()
            if group.finding_type == _nothing()
        ]
    except UsageError as error:
        raise UsageError(f"{file.name}: {error}") from error
    except Exception as error:  # highdicom and pydicom raise many types on invalid files
        raise UsageError(f"{file.name} is not a report of TID 1500: {error}") from error
    return [{**row, "reader": reader} for row in rows]


def _read_observer(content: Any) -> str | None:
    for context in content.get_observer_contexts():
        name = context.observer_identifying_attributes.name
        if name:
            return str(name).rstrip("^")
    return None


def _read_score(group: Any) -> Row:
    from pydicom.sr.codedict import codes

    certainties = group.get_measurements(codes.DCM.CertaintyOfFinding)
    if not certainties:
        return {}
    return {"score": certainties[0].value / (100 if certainties[0].unit.value == "%" else 1)}


def _read_image(item: Any) -> Row:
    """Key and frame of the image that an item refers to."""
    source = item.ReferencedSOPSequence[0]
    frames = source.get("ReferencedFrameNumber")
    frames = [] if frames is None else np.atleast_1d(frames).tolist()
    if len(frames) > 1:
        raise UsageError(f"a region on {counted(len(frames), 'frame')}")
    return {"key": str(source.ReferencedSOPInstanceUID), "frame": frames[0] - 1 if frames else None}


def _read_region(group: Any) -> Row:
    roi = group.roi
    if roi is None or not hasattr(roi, "graphic_type"):
        raise UsageError("a region without SCOORD")
    points, kind = np.asarray(roi.value, float), roi.graphic_type.value
    if kind == "CIRCLE":  # the centre, and a point on it
        radius = np.hypot(*(points[1] - points[0]))
        points = points[0] + np.array([[-radius, -radius], [radius, radius]])
    elif kind not in ("POINT", "POLYLINE"):
        raise UsageError(f"a region of kind {kind}")
    x0, y0 = points.min(axis=0)
    x1, y1 = points.max(axis=0)
    row: Row = dict(zip(CORNERS, map(float, (x0, y0, x1, y1)), strict=True))
    label = None if group.finding_type is None else group.finding_type.meaning
    row |= {"label": label, "kind": "point" if kind == "POINT" else "box"}
    return row | _read_image(roi.ContentSequence[0]) | _read_score(group)

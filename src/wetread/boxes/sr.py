"""Boxes as DICOM Structured Reports: TID 1500, Measurement Report (PS3.16), by highdicom."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wetread.boxes.collection import Boxes, PathLike
from wetread.boxes.formats import check_place, list_files
from wetread.boxes.join import joined
from wetread.boxes.problems import list_problems
from wetread.boxes.table import CORNERS
from wetread.common.files import written
from wetread.common.progress import Progress
from wetread.errors import MissingExtraError, StorageError, UsageError
from wetread.table.query import query

if TYPE_CHECKING:
    import pandas as pd
    from pydicom import Dataset

    from wetread.table.rows import IndexRows

Row = dict[str, Any]
_MADE = uuid.UUID("6f3f1b52-7d0a-5a53-8a3c-1f0c5d0a9b11")
"""Under it, UIDs are made from names (RFC 9562, version 5): the same name, the same UID."""
_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_META = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID")
_SCHEME = "99WETREAD"
_RAW = "1.2.840.10008.5.1.4.1.1.66"
"""Raw Data Storage: the class of an image that has none."""


def write_sr(
    boxes: Boxes, folder: PathLike, index: IndexRows, progress: bool = True
) -> pd.DataFrame:
    """Writes a report for every image and reader, named by the image's id.

    Each box is a region of TID 1410 with its label as the finding and its score as the certainty;
    "nothing found" is a finding too. The reader is the observer: a person, or a device where the
    boxes have scores or no reader. Coordinates are kept in 32 bits, as SCOORD has them. Of the
    patient the report has the Patient ID and nothing else. UIDs are made from what the report says:
    the same boxes give the same UIDs, others give others.

    Returns:
        Problems as of `Boxes.check`: UID_MADE for each image whose UIDs had to be made up.

    Raises:
        MissingExtraError: highdicom is not installed.
        UsageError: a box without a place or a label, an image that the index does not have, or a
            name that DICOM cannot hold.
        StorageError: the folder cannot be written.
    """
    _import_highdicom()
    images = {row["id"]: row for row in _images(index)}
    reports: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in joined(boxes, index).table.to_pylist():
        if row["image"] not in images:
            raise UsageError(f"{row['key']}: no image of the index has this key")
        if row["kind"] != "nothing":
            check_place(row)
        reports[row["image"], row["reader"] or ""].append(row)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror}") from error
    made = {}
    series: Counter[tuple[str, str]] = Counter()
    numbers = {reader: number for number, reader in enumerate(sorted({r for _, r in reports}))}
    with Progress(progress, len(reports), "reports") as bar:
        for (image, reader), rows in reports.items():
            source, lacking = _evidence(images[image])
            series[source.StudyInstanceUID, reader] += 1
            report = _make_report(rows, source, reader or boxes.run or "")
            report.SeriesNumber = numbers[reader] + 1
            report.InstanceNumber = series[source.StudyInstanceUID, reader]
            with written(Path(folder) / f"{image}_{numbers[reader]:02}.dcm") as file:
                report.save_as(file, enforce_file_format=True)
            if lacking:
                named = {"image": image, "key": rows[0]["key"]}
                made[image] = "UID_MADE", named, f"no {', '.join(lacking)}"
            bar.add(1)
    return list_problems(made.values())


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
    """What a report must know of its image, and which UIDs had to be made up."""
    from pydicom import Dataset

    source, lacking = Dataset(), []
    for name, other in zip(_UIDS, (*_META, None, None), strict=True):
        found = next((uid for n in (name, other) if n and _is_uid(uid := row[n])), None)
        if found is None:
            lacking.append(name)
        setattr(source, name, found or (_RAW if name == "SOPClassUID" else _made(name, row["id"])))
    source.PatientID = row["PatientID"]
    for empty in ("PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(source, empty, None)
    source.StudyDate = source.StudyTime = None
    return source, lacking


def _is_uid(text: str | None) -> bool:
    """PS3.5 9.1: numbers with dots between, at most 64 characters."""
    return text is not None and len(text) <= 64 and bool(re.fullmatch(r"\d+(\.\d+)+", text))


def _made(*names: str) -> str:
    """A UID made from names, under the root for UUIDs (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_MADE, chr(0).join(names)).int}"


def _make_report(rows: Sequence[Row], source: Dataset, reader: str) -> Dataset:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    said = repr(
        [[row[name] for name in ("label", "score", "frame", "kind", *CORNERS)] for row in rows]
    )
    uid = _made("report", source.SOPInstanceUID, reader, said)
    groups = [
        _make_group(row, source, sr.TrackingIdentifier(_made("box", uid, str(number)), str(number)))
        for number, row in enumerate(rows, 1)
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
    # highdicom looks the image's class up and knows no private ones: it comes in afterwards.
    of_image, source.SOPClassUID = source.SOPClassUID, _RAW
    report = sr.ComprehensiveSR(
        evidence=[source],
        content=content[0],
        series_instance_uid=_made("series", source.StudyInstanceUID, reader),
        series_number=1,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer="wetread",
        is_complete=True,
        specific_character_set=None if f"{said}{reader}".isascii() else "ISO_IR 192",
    )
    for found in report.iterall():
        if found.keyword == "ReferencedSOPClassUID":
            found.value = of_image
    return report


def _observer(reader: str, *, person: bool = False) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    if len(reader) > 62 or set(reader) & set("\\^="):
        raise UsageError(f"reader {reader!r}: a name in DICOM has at most 62 characters, no \\ ^ =")
    if person:
        return sr.ObserverContext(
            codes.DCM.Person, sr.PersonObserverIdentifyingAttributes(f"{reader}^")
        )
    device = sr.DeviceObserverIdentifyingAttributes(_made("observer", reader), reader or None)
    return sr.ObserverContext(codes.DCM.Device, device)


def _make_group(row: Row, source: Dataset, tracking: Any) -> Any:
    """A box, a point, or that there is nothing."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    frames = None if row["frame"] is None else [row["frame"] + 1]
    image = _RAW, source.SOPInstanceUID, frames
    scores = [] if row["score"] is None else [row["score"]]
    certain = [
        sr.Measurement(codes.DCM.CertaintyOfFinding, score, codes.UCUM.NoUnits) for score in scores
    ]
    if row["kind"] == "nothing":
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking,
            finding_type=_nothing(),
            measurements=certain,
            source_images=[sr.SourceImageForMeasurementGroup(*image)],
        )
    x0, y0, x1, y1 = (row[name] for name in CORNERS)
    point = row["kind"] == "point"
    around = [(x0, y0)] if point else [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    region = sr.ImageRegion(
        "POINT" if point else "POLYLINE", np.array(around), sr.SourceImageForRegion(*image)
    )
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking, region, finding_type=_finding(row["label"]), measurements=certain
    )


def _nothing() -> Any:
    from pydicom.sr.coding import Code

    return Code("260415000", "SCT", "Not detected")


def _finding(label: str) -> Any:
    """The label as a code of our own scheme: a number for each text."""
    from pydicom.sr.coding import Code

    if not 0 < len(label) <= 64:
        raise UsageError(f"label {label!r}: a code's meaning in DICOM has 1 to 64 characters")
    number = hashlib.blake2b(label.encode(), digest_size=8).hexdigest().upper()
    return Code(number, _SCHEME, label)


def read_sr(path: PathLike, images: IndexRows | None = None) -> Boxes:
    """Boxes of a folder of reports, or of one: planar regions, and findings without one.

    The key is the SOP Instance UID of the image. A region that is no rectangle gives the box around
    it; the label is the finding, the reader the observer.

    Args:
        path: a folder of `.dcm` files, or a file.
        images: an index, by which UIDs that `write_sr` made up are told.

    Raises:
        MissingExtraError: highdicom is not installed.
        UsageError: a file that is no report of TID 1500, or a region of a kind that has no box.
    """
    _import_highdicom()
    place = Path(path)
    files = [place] if place.is_file() else list_files(place, ".dcm").values()
    rows = [row for file in files for row in _read_report(file)]
    made = {}
    for image in () if images is None else _images(images):
        source, lacking = _evidence(image)
        if "SOPInstanceUID" in lacking:
            made[source.SOPInstanceUID] = image["id"]
    for row in rows:
        row["key"] = made.get(row["key"], row["key"])
    names = ("key", "label", "kind", "reader", "score", "frame", *CORNERS)
    return Boxes.from_columns({name: [row.get(name) for row in rows] for name in names})


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
    except Exception as error:  # highdicom and pydicom raise what they like on a strange file
        raise UsageError(f"{file.name} is no report of TID 1500: {error}") from error
    return [{**row, "reader": reader} for row in rows]


def _read_observer(content: Any) -> str | None:
    for context in content.get_observer_contexts():
        name = context.observer_identifying_attributes.name
        if name:
            return str(name).rstrip("^")
    return None


def _read_score(group: Any) -> Row:
    from pydicom.sr.codedict import codes

    found = group.get_measurements(codes.DCM.CertaintyOfFinding)
    if not found:
        return {}
    share = 100 if found[0].unit.value == "%" else 1
    return {"score": found[0].value / share}


def _read_image(item: Any) -> Row:
    """Which image, and which frame, an item refers to."""
    source = item.ReferencedSOPSequence[0]
    frames = source.get("ReferencedFrameNumber")
    frames = [] if frames is None else np.atleast_1d(frames).tolist()
    if len(frames) > 1:
        raise UsageError(f"a region on {len(frames)} frames")
    return {"key": str(source.ReferencedSOPInstanceUID), "frame": frames[0] - 1 if frames else None}


def _read_region(group: Any) -> Row:
    roi = group.roi
    if roi is None or not hasattr(roi, "graphic_type"):
        raise UsageError("a region that is no SCOORD")
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
    what = {"label": label, "kind": "point" if kind == "POINT" else "box"}
    return row | what | _read_image(roi.ContentSequence[0]) | _read_score(group)

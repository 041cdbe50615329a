"""A CT, and label files of it: SEG written with highdicom, RTSTRUCT with pydicom, NIfTI."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

import wetread as wr

SHAPE = (8, 30, 20)
SPACING = (2.5, 0.8, 0.6)
ORIGIN = (-12.5, 40.25, -300.0)
AXIAL = (1.0, 0, 0, 0, 1, 0)
ENTROPY = "wetread tests"


def uid(*names: object) -> str:
    return str(generate_uid(entropy_srcs=[ENTROPY, *map(str, names)]))


@dataclass
class Scan:
    """A CT series on disk, and its geometry."""

    folder: Path
    slices: list[Dataset]
    affine: np.ndarray
    """(slice, row, column, 1) to LPS mm."""
    shape: tuple[int, int, int]
    index: wr.Index = field(init=False)

    def __post_init__(self) -> None:
        self.index = wr.scan(self.folder, workers=0, progress=False)

    def world(self, points: Any) -> np.ndarray:
        """LPS mm of voxel coordinates (n, 3)."""
        points = np.asarray(points, float)
        return points @ self.affine[:3, :3].T + self.affine[:3, 3]


def write_scan(
    folder: Path,
    shape: tuple[int, int, int] = SHAPE,
    spacing: Sequence[float] = SPACING,
    origin: Sequence[float] = ORIGIN,
    orientation: Sequence[float] = AXIAL,
    name: str = "one",
    frame_of_reference: str = "room",
) -> Scan:
    """Write a CT, one file per slice."""
    folder.mkdir(parents=True)
    row, column = np.reshape(orientation, (2, 3)).astype(float)
    normal = np.cross(row, column)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([spacing[0] * normal, spacing[1] * column, spacing[2] * row], axis=1)
    affine[:3, 3] = origin
    slices = []
    for k in range(shape[0]):
        ds = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(uid(name, k))
        ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "P1", "A^B", "", "O"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("study"), uid("series", name)
        ds.FrameOfReferenceUID = uid("frame", frame_of_reference)
        ds.StudyID, ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "1", "20260101", "120000", ""
        ds.ReferringPhysicianName, ds.Manufacturer, ds.PositionReferenceIndicator = "", "x", ""
        ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", 1, k + 1
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.ImagePositionPatient = [float(f"{v:.9g}") for v in affine[:3, 3] + k * affine[:3, 0]]
        ds.ImageOrientationPatient = [float(f"{v:.9g}") for v in orientation]
        ds.PixelSpacing, ds.SliceThickness = list(spacing[1:]), spacing[0]
        ds.Rows, ds.Columns, ds.SamplesPerPixel = *shape[1:], 1
        ds.PhotometricInterpretation, ds.PixelRepresentation = "MONOCHROME2", 1
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
        ds.RescaleIntercept, ds.RescaleSlope = 0, 1
        y, x = np.mgrid[: shape[1], : shape[2]]
        pixels = (100 * np.sin(x / 5) + 100 * np.cos(y / 4) + 10 * k).astype("<i2")
        ds.PixelData = pixels.tobytes()
        pydicom.dcmwrite(folder / f"{name}{k:03}.dcm", ds, enforce_file_format=True)
        slices.append(ds)
    return Scan(folder, slices, affine, shape)


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    """A CT of 8 slices, 30 rows and 20 columns."""
    return write_scan(tmp_path / "images")


@pytest.fixture
def make_scan(tmp_path: Path) -> Callable[..., Scan]:
    """See `write_scan`; each in a folder of its own."""

    def make(name: str = "one", **geometry: Any) -> Scan:
        return write_scan(tmp_path / f"images {name}", name=name, **geometry)

    return make


@pytest.fixture
def blob() -> np.ndarray:
    """A mask without symmetry, on slices 2 to 5."""
    mask = np.zeros(SHAPE, bool)
    mask[2:6, 5:12, 4:9] = True
    mask[3:5, 12:20, 6:8] = True
    mask[4, 7, 5] = False
    return mask


def describe(number: int, label: str) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(
        number,
        label,
        codes.SCT.Organ,
        codes.SCT.Liver,
        hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )


def make_seg(
    slices: list[Dataset], masks: np.ndarray, kind: str = "BINARY", labels: Sequence[str] = ()
) -> hd.seg.Segmentation:
    """SEG of masks: (slices, rows, columns), with a last axis of segments, or a label map."""
    count = masks.shape[3] if masks.ndim == 4 else max(1, int(masks.max()))
    names = [*labels, *(f"segment {n}" for n in range(len(labels) + 1, count + 1))]
    pixels = masks if masks.dtype.kind == "f" else masks.astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hd.seg.Segmentation(
            source_images=slices,
            pixel_array=pixels,
            segmentation_type=kind,
            segment_descriptions=[describe(n, name) for n, name in enumerate(names, 1)],
            series_instance_uid=uid("seg series", kind, labels),
            series_number=9,
            sop_instance_uid=uid("seg", kind, labels),
            instance_number=1,
            manufacturer="x",
            manufacturer_model_name="x",
            software_versions="1",
            device_serial_number="1",
            max_fractional_value=200,
        )


@pytest.fixture
def write_seg(tmp_path: Path) -> Callable[..., Path]:
    """Write a SEG; `change` edits the data set before."""

    def write(
        scan: Scan,
        masks: np.ndarray,
        kind: str = "BINARY",
        labels: Sequence[str] = (),
        change: Callable[[Dataset], None] | None = None,
        name: str = "seg.dcm",
    ) -> Path:
        seg = make_seg(scan.slices, masks, kind, labels)
        if change is not None:
            change(seg)
        path = tmp_path / "labels" / name
        path.parent.mkdir(exist_ok=True)
        seg.save_as(path)
        return path

    return write


def trace(mask: np.ndarray) -> list[np.ndarray]:
    """Rectangle around each run of a mask's row: (row, column) points; together they fill it."""
    contours = []
    for r, line in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.pad(line.astype(int), 1)))
        for c0, c1 in edges.reshape(-1, 2) - 0.5:
            contours.append(
                np.array([[r - 0.5, c0], [r - 0.5, c1], [r + 0.5, c1], [r + 0.5, c0]], float)
            )
    return contours


def contour_item(points: np.ndarray, kind: str, source: Dataset | None) -> Dataset:
    item = Dataset()
    item.ContourGeometricType = kind
    item.NumberOfContourPoints = len(points)
    item.ContourData = [f"{v:.6f}"[:16] for v in np.ravel(points)]
    if source is not None:
        image = Dataset()
        image.ReferencedSOPClassUID = source.SOPClassUID
        image.ReferencedSOPInstanceUID = source.SOPInstanceUID
        item.ContourImageSequence = [image]
    return item


def make_rtstruct(scan: Scan, regions: dict[str, list[tuple[int, np.ndarray, str]]]) -> FileDataset:
    """RTSTRUCT: of each region the slice, points (row, column) and type of its contours."""
    ds = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.481.3")
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(uid("rt", *regions))
    first = scan.slices[0]
    for name in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "StudyTime"):
        setattr(ds, name, getattr(first, name))
    ds.SeriesInstanceUID, ds.Modality, ds.StructureSetLabel = uid("rt series"), "RTSTRUCT", "RT"
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ContourImageSequence = [
        contour_item(np.zeros((0, 3)), "POINT", s).ContourImageSequence[0] for s in scan.slices
    ]
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = first.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    ds.ReferencedFrameOfReferenceSequence = [frame]
    ds.StructureSetROISequence, ds.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(regions.items(), 1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = number, name, "MANUAL"
        roi.ReferencedFrameOfReferenceUID = first.FrameOfReferenceUID
        drawn.ReferencedROINumber, drawn.ROIDisplayColor = number, [255, 0, 0]
        drawn.ContourSequence = [
            contour_item(scan.world(np.c_[np.full(len(p), k), p]), kind, scan.slices[k])
            for k, p, kind in contours
        ]
        ds.StructureSetROISequence.append(roi)
        ds.ROIContourSequence.append(drawn)
    return ds


@pytest.fixture
def write_rtstruct(tmp_path: Path) -> Callable[..., Path]:
    """Write an RTSTRUCT; `change` edits the data set before."""

    def write(
        scan: Scan,
        regions: dict[str, list[tuple[int, np.ndarray, str]]],
        change: Callable[[Dataset], None] | None = None,
        name: str = "rt.dcm",
    ) -> Path:
        ds = make_rtstruct(scan, regions)
        if change is not None:
            change(ds)
        path = tmp_path / "labels" / name
        path.parent.mkdir(exist_ok=True)
        pydicom.dcmwrite(path, ds, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def write_nifti(tmp_path: Path) -> Callable[..., Path]:
    """Write labels (slices, rows, columns) with an affine matrix to LPS mm as NIfTI."""

    def write(
        labels: np.ndarray, affine: np.ndarray, name: str = "labels.nii.gz", code: int = 1
    ) -> Path:
        ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]
        image = nibabel.Nifti1Image(np.asarray(labels, np.uint8).T, ras)
        image.set_sform(ras, code)
        image.set_qform(ras, code)
        path = tmp_path / "labels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(image, path)
        return path

    return write


@pytest.fixture
def outlines() -> Callable[[np.ndarray], list[tuple[int, np.ndarray, str]]]:
    """Contours of a mask, whose fill is the mask."""

    def draw(mask: np.ndarray) -> list[tuple[int, np.ndarray, str]]:
        return [
            (k, points, "CLOSED_PLANAR")
            for k in np.flatnonzero(mask.any(axis=(1, 2))).tolist()
            for points in trace(mask[k])
        ]

    return draw

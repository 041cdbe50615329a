"""From a DICOM tag to a typed column: names and types by the dictionary, never by the data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from wetread.headers.core.constants import (
    AT,
    DATE,
    DECIMAL,
    FD,
    FL,
    INTEGER,
    LENGTH,
    SEQUENCE,
    SL,
    SS,
    SV,
    TEXT,
    UL,
    US,
    UV,
)
from wetread.headers.dictionary import DICTIONARY, REPEATERS, TAG_OF, find_mask

FAMILY_OF_VR: dict[str, int] = {
    **dict.fromkeys(
        ["AE", "AS", "CS", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"], TEXT
    ),
    "DS": DECIMAL,
    "IS": INTEGER,
    "DA": DATE,
    "SQ": SEQUENCE,
    "US": US,
    "SS": SS,
    "UL": UL,
    "SL": SL,
    "UV": UV,
    "SV": SV,
    "FL": FL,
    "FD": FD,
    "AT": AT,
    **dict.fromkeys(["OB", "OD", "OF", "OL", "OV", "OW", "UN"], LENGTH),
}
LONG_FORM_VRS = frozenset(
    ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]
)
"""VRs whose explicit length has 32 bits (PS3.5 7.1.2)."""
SWAPPED_VRS = {"US": 2, "SS": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "UV": 8, "SV": 8}
"""VRs of binary numbers, and the size of their words in bytes (PS3.5 7.3)."""
UNSPLIT_VRS = frozenset(["LT", "ST", "UR", "UT"])
"""VRs in which a backslash is no separator (PS3.5 6.2)."""

ARROW_TYPES: dict[int, pa.DataType] = {
    TEXT: pa.string(),
    DECIMAL: pa.float64(),
    INTEGER: pa.int64(),
    DATE: pa.date32(),
    US: pa.int32(),
    SS: pa.int32(),
    UL: pa.int64(),
    SL: pa.int64(),
    UV: pa.uint64(),
    SV: pa.int64(),
    FL: pa.float64(),
    FD: pa.float64(),
    AT: pa.string(),
    LENGTH: pa.int64(),
}
LIST_TYPES = {family: pa.list_(kind) for family, kind in ARROW_TYPES.items()}

PROBLEM_TYPE = pa.list_(
    pa.struct(
        [("code", pa.string()), ("tag", pa.string()), ("offset", pa.int64()), ("text", pa.string())]
    )
)
INVALID_TYPE = pa.list_(pa.struct([("keyword", pa.string()), ("raw", pa.binary())]))
PRIVATE_TYPE = pa.list_(
    pa.struct(
        [
            ("tag", pa.string()),
            ("creator", pa.string()),
            ("vr", pa.string()),
            ("value", pa.string()),
        ]
    )
)

_UNITS = {
    "mm": "PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing SliceThickness "
    "SpacingBetweenSlices SliceLocation ImagePositionPatient DistanceSourceToDetector "
    "DistanceSourceToPatient DistanceSourceToEntrance ReconstructionDiameter "
    "DataCollectionDiameter TableHeight BodyPartThickness FocalSpots",
    "ms": "ExposureTime RepetitionTime EchoTime InversionTime FrameTime ActualFrameDuration",
    "kV": "KVP",
    "mA": "XRayTubeCurrent",
    "mAs": "Exposure",
    "µAs": "ExposureInuAs",
    "kg": "PatientWeight",
    "m": "PatientSize",
    "degree": "FlipAngle GantryDetectorTilt PositionerPrimaryAngle PositionerSecondaryAngle",
    "T": "MagneticFieldStrength",
    "MHz": "ImagingFrequency",
}
UNIT_OF = {keyword: unit for unit, keywords in _UNITS.items() for keyword in keywords.split()}


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One DICOM element as a column. Instances are cached and compared by identity."""

    tag: int
    name: str
    """The keyword, with a suffix for lengths and repeating groups."""
    vrs: tuple[str, ...]
    """The VRs that the dictionary allows; the first is the column's."""
    vm: str
    family: int
    is_list: bool
    known: bool = True
    """False for a public element that the dictionary does not have."""

    @property
    def type(self) -> pa.DataType:
        """The Arrow type."""
        return LIST_TYPES[self.family] if self.is_list else ARROW_TYPES[self.family]

    @property
    def splits(self) -> bool:
        """True if a backslash separates values."""
        return self.vrs[0] not in UNSPLIT_VRS

    def field(self) -> pa.Field:
        """The Arrow field, with tag, VR, VM and unit as metadata."""
        return pa.field(self.name, self.type, metadata=self._metadata())

    def derived_field(self) -> pa.Field | None:
        """Field with the parsed time or age; None for other columns."""
        if self.is_list or self.family != TEXT:
            return None
        if self.vrs[0] == "TM":
            return pa.field(f"{self.name}_parsed", pa.time64("us"), metadata=self._metadata())
        if self.vrs[0] == "DT":
            return pa.field(f"{self.name}_parsed", pa.timestamp("us"), metadata=self._metadata())
        if self.name == "PatientAge":
            metadata = {**self._metadata(), "unit": "year"}
            return pa.field("patient_age_years", pa.float64(), metadata=metadata)
        return None

    def _metadata(self) -> dict[str, str]:
        metadata = {"tag": format_tag(self.tag), "vr": " or ".join(self.vrs), "vm": self.vm}
        unit = UNIT_OF.get(self.name)
        return {**metadata, "unit": unit} if unit else metadata


def pack_vr(vr: str) -> int:
    """Two letters as the little-endian number they are in a file."""
    return ord(vr[0]) | ord(vr[1]) << 8


def unpack_vr(number: int) -> str:
    """The letters of `pack_vr`; empty for 0 (implicit)."""
    return chr(number & 0xFF) + chr(number >> 8) if number else ""


@lru_cache(maxsize=65536)
def format_tag(tag: int) -> str:
    """A tag as text.

    >>> format_tag(0x00280010)
    '0028,0010'
    """
    return f"{tag >> 16:04x},{tag & 0xFFFF:04x}"


@lru_cache(maxsize=65536)
def column_of(tag: int) -> Column:
    """The column that holds a public element (PS3.6).

    >>> column_of(0x00280010).name, column_of(0x00281050).is_list
    ('Rows', True)
    >>> column_of(0x60023000).name
    'OverlayData_6002_length'
    """
    vr, vm, keyword, known = _look_up(tag)
    vrs = tuple(vr.split(" or "))
    family = LENGTH if any(FAMILY_OF_VR.get(v) == LENGTH for v in vrs) else FAMILY_OF_VR[vrs[0]]
    is_list = vm != "1" and family not in (LENGTH, SEQUENCE) and vrs[0] not in UNSPLIT_VRS
    name = f"{keyword}_length" if family == LENGTH and known else keyword
    return Column(tag, name, vrs, vm, family, is_list, known)


def _look_up(tag: int) -> tuple[str, str, str, bool]:
    """VR, VM, name and whether the dictionary knows the tag."""
    entry = DICTIONARY.get(tag)
    if entry is not None and entry[4] and entry[0] in _USUAL_VRS:
        return entry[0], entry[1], entry[4], True
    mask = find_mask(tag)
    if mask is not None and REPEATERS[mask][4]:
        vr, vm, _, _, keyword = REPEATERS[mask]
        varying = tag >> 16 if "x" in mask[:4] else tag & 0xFFFF
        return vr, vm, f"{keyword}_{varying:04x}", True
    return "UN", "1", f"x_{tag >> 16:04x}_{tag & 0xFFFF:04x}", False


_USUAL_VRS = {entry[0] for entry in DICTIONARY.values()} - {"NONE", "OB or OW or NONE", ""}


@lru_cache(maxsize=65536)
def unknown_column(tag: int, *, text: bool) -> Column:
    """The column of a public element without a keyword: its text, or the length of its bytes."""
    name = f"x_{tag >> 16:04x}_{tag & 0xFFFF:04x}"
    if text:
        return Column(tag, name, ("UN",), "1", TEXT, False, False)
    return Column(tag, f"{name}_length", ("UN",), "1", LENGTH, False, False)


OWN_FIELDS: tuple[pa.Field, ...] = (
    pa.field("id", pa.string()),
    pa.field("path", pa.string()),
    pa.field("path_bytes", pa.binary()),
    pa.field("member", pa.string()),
    pa.field("member_bytes", pa.binary()),
    pa.field("file_size", pa.int64(), metadata={"unit": "byte"}),
    pa.field("mtime_ns", pa.int64(), metadata={"unit": "ns"}),
    pa.field("etag", pa.string()),
    pa.field("read_status", pa.string()),
    pa.field("problems", PROBLEM_TYPE),
    pa.field("invalid", INVALID_TYPE),
    pa.field("transfer_syntax", pa.string()),
    pa.field("decodable", pa.string()),
    pa.field("pixel_offset", pa.int64(), metadata={"unit": "byte"}),
    pa.field("pixel_length", pa.int64(), metadata={"unit": "byte"}),
    pa.field("header_hash", pa.int64()),
    pa.field("b_value", pa.float64(), metadata={"unit": "s/mm2"}),
    pa.field("mosaic_tiles", pa.int64()),
    pa.field("from_functional_groups", pa.list_(pa.string())),
)
"""wetread's own columns, in every table."""

OWN_MEANINGS = {
    "id": "16 hex digits of BLAKE2b(path, NUL, member): the key of boxes, predictions and links",
    "path": "path relative to the root of the index, with slashes",
    "path_bytes": "the bytes of a path that is not UTF-8, else null",
    "member": "name inside an archive, empty for plain files; the second one of a name ends in #2",
    "member_bytes": "the bytes of a member's name that is not UTF-8, else null",
    "file_size": "size of the file or of the archive's member",
    "mtime_ns": "time of the last change since 1970, of the archive for its members",
    "etag": "version tag (ETag) of an object in a bucket, else null",
    "read_status": "ok, repaired, partial, not_dicom, refused, no_access, timeout or crashed",
    "problems": "problems of the file; see problems.md",
    "invalid": "raw bytes of the values that do not parse",
    "transfer_syntax": "Transfer Syntax UID of the data, as stated or as detected",
    "decodable": "yes if the pixels can be decoded, else no; null without pixels",
    "pixel_offset": "offset of the value of the pixel element; null without one or if deflated",
    "pixel_length": "length of that value; -1 if undefined (encapsulated)",
    "header_hash": "upper half of XXH64 of the first bytes of the header, at most 8 KiB",
    "b_value": "diffusion b-value, from DiffusionBValue or the manufacturer's element",
    "mosaic_tiles": "number of slices that a mosaic holds as tiles (Siemens, UIH), else null",
    "from_functional_groups": "columns filled from functional groups: shared, or equal per frame",
    "private": "the private elements of the top level, on request",
    "sequences": "the sequences of the top level as DICOM JSON, on request",
    "patient_age_years": "PatientAge in years; null if unknown (000Y) or impossible",
}

# fmt: off
CORE_KEYWORDS = (
    "FileMetaInformationVersion", "MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID",
    "TransferSyntaxUID", "ImplementationVersionName", "SpecificCharacterSet", "ImageType",
    "SOPClassUID", "SOPInstanceUID", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate",
    "StudyTime", "SeriesTime", "AccessionNumber", "Modality", "PresentationIntentType",
    "Manufacturer", "InstitutionName", "StudyDescription", "SeriesDescription",
    "ManufacturerModelName", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "PatientAge", "PatientSize", "PatientWeight", "BodyPartExamined", "SliceThickness", "KVP",
    "SpacingBetweenSlices", "ProtocolName", "ExposureTime", "XRayTubeCurrent", "Exposure",
    "ImagerPixelSpacing", "PatientPosition", "ViewPosition", "StudyInstanceUID",
    "SeriesInstanceUID", "StudyID", "SeriesNumber", "InstanceNumber", "ImagePositionPatient",
    "ImageOrientationPatient", "FrameOfReferenceUID", "ImageLaterality", "SliceLocation",
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
    "Rows", "Columns", "PixelSpacing", "PixelAspectRatio", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelSpacingCalibrationType",
    "BurnedInAnnotation", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope",
    "RescaleType", "VOILUTFunction", "LossyImageCompression", "PresentationLUTShape",
)
# fmt: on


def fields_of(columns: Iterable[Column]) -> list[pa.Field]:
    """The fields of columns in order of tag, each followed by its parsed form."""
    fields: list[pa.Field] = []
    for column in sorted(columns, key=lambda c: (c.tag, c.name)):
        fields.append(column.field())
        if (derived := column.derived_field()) is not None:
            fields.append(derived)
    return fields


CORE_COLUMNS: tuple[Column, ...] = tuple(column_of(TAG_OF[keyword]) for keyword in CORE_KEYWORDS)
"""DICOM columns of every table."""

CORE: pa.Schema = pa.schema([*OWN_FIELDS, *fields_of(CORE_COLUMNS)])
"""The schema that every table starts with."""
CORE_NAMES = frozenset(CORE.names)


def unify(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """One schema that holds the fields of all: the core first, then the others by tag.

    >>> unify([CORE]).equals(CORE)
    True
    """
    others: dict[str, pa.Field] = {}
    for schema in schemas:
        for number, name in enumerate(schema.names):
            if name not in CORE_NAMES and name not in others:
                others[name] = schema.field(number)
    ordered = sorted(others.values(), key=lambda f: ((f.metadata or {}).get(b"tag", b"~"), f.name))
    return pa.schema([*CORE, *ordered])

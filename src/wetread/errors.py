"""Exceptions and problem codes.

Wrong *usage* raises:

    WetreadError
    ├── UsageError (also a ValueError)     an invalid argument; the message names the remedy
    │   ├── QueryError                     SQL that is not one SELECT, or an unknown column
    │   └── UnknownNameError               an unknown name; the message suggests similar ones
    ├── NotFoundError (also a FileNotFoundError)   no such folder, file or index
    ├── IndexFormatError                   not an index, damaged, or of another version
    ├── CacheError                         not a cache, unfinished, damaged or of another version
    ├── StorageError (also an OSError)     the disk is full or the folder cannot be written
    ├── EngineError                        the connection to the execution engine is lost
    ├── MissingExtraError (also an ImportError)    an extra is not installed
    ├── GeometryError                      slices or masks that are on no common grid of voxels
    └── DecodeError                        a file without header or pixels, or damaged ones
        ├── NoPixelsError                  a report, a plan or another object without image
        ├── AccessError (also an OSError)  a file that cannot be opened or read now
        └── LimitError                     pixels beyond a limit of `Settings`

Bad *data* never raises from a scan: it is a problem in the table, with a code of `PROBLEMS`; of
labels and splits, one of `BOX_PROBLEMS`; of series, one of `SERIES_PROBLEMS`; of masks and
contours, one of `SEGMENT_PROBLEMS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "error"]


class WetreadError(Exception):
    """Base class of wetread's exceptions."""


class UsageError(WetreadError, ValueError):
    """An invalid argument; the message names the remedy."""


class QueryError(UsageError):
    """SQL that is not one SELECT statement, or names an unknown column."""


class UnknownNameError(UsageError):
    """An unknown name; the message suggests similar ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        choices = list(known)
        similar = suggest(name, choices)
        listed = ", ".join(choices[:20]) + f" and {len(choices) - 20} more" * (len(choices) > 20)
        hint = f"did you mean {' or '.join(similar)}?" if similar else f"known: {listed}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")


class NotFoundError(WetreadError, FileNotFoundError):
    """No such folder, file or index."""


class IndexFormatError(WetreadError):
    """A folder that is not an index, or a damaged index, or one of another version."""


class CacheError(WetreadError):
    """A folder that is not a training cache, or an unfinished, damaged or incompatible one."""


class StorageError(WetreadError, OSError):
    """The disk is full, or the folder cannot be written."""


class EngineError(WetreadError):
    """The execution engine cannot be reached; completed files stay."""


def install_line(extra: str) -> str:
    """Return the command that installs an extra; wetread is installed from a clone.

    >>> install_line("train")
    "pip install '.[train]' in the clone of wetread"
    """
    return f"pip install '.[{extra}]' in the clone of wetread"


class MissingExtraError(WetreadError, ImportError):
    """An optional dependency is not installed; the message has the command that installs it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional dependency: {install_line(extra)}")


class GeometryError(WetreadError):
    """Slices that are not a regularly spaced volume, or a mask that is not aligned with its images.

    The message names the problems.
    """


class DecodeError(WetreadError):
    """No header or pixels, or none that can be decoded; the message names file and reason."""

    code = "UNDECODABLE"
    """Problem code when images are decoded in a batch."""


class NoPixelsError(DecodeError):
    """A valid DICOM object that is not an image, such as a report or a plan."""


class AccessError(DecodeError, OSError):
    """A file that cannot be opened or read now; another try may succeed."""

    code = "NO_ACCESS"


class LimitError(DecodeError):
    """Pixels beyond a limit of `Settings`."""

    code = "BOMB"


def suggest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names similar to `name`, ignoring case.

    >>> suggest("rows", ["Rows", "Columns"])
    ['Rows']
    """
    by_lower = {k.lower(): k for k in known}
    return [by_lower[m] for m in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]


@dataclass(frozen=True, slots=True)
class ProblemCode:
    """Kind of problem, with its severity and meaning."""

    code: str
    severity: Severity
    meaning: str
    """One sentence; `docs/problems.md` explains each."""


_Codes = tuple[tuple[str, Severity, str], ...]


def _by_code(codes: _Codes) -> dict[str, ProblemCode]:
    return {code: ProblemCode(code, severity, text) for code, severity, text in codes}


_CODES: _Codes = (
    # the file as a whole
    ("NOT_DICOM", "info", "Not a DICOM file; the text names its type if known."),
    ("EMPTY_FILE", "warning", "The file has no bytes."),
    ("NO_ACCESS", "error", "The file could not be opened or read."),
    ("NOT_A_FILE", "info", "A pipe, socket or device; never opened."),
    ("BAD_PATH", "info", "The file name is not UTF-8; its bytes are in path_bytes."),
    ("BROKEN_LINK", "warning", "A broken or circular symbolic link."),
    ("EXECUTABLE_PREAMBLE", "warning", "The preamble is the start of a program (CVE-2019-11687)."),
    ("CRASHED", "error", "Reading this file ended the worker process."),
    ("TIMEOUT", "error", "Reading this file took longer than the limit."),
    ("HEADER_BUDGET", "error", "The header is larger than the limit; read up to there."),
    ("BOMB", "error", "Compressed data expands beyond the limit; not read further."),
    ("BAD_ARCHIVE", "error", "An archive or a member of it that cannot be read."),
    # the encoding
    ("NO_PREAMBLE", "info", "No 128-byte preamble before the File Meta group."),
    ("NO_META", "warning", "No File Meta group."),
    ("META_LENGTH", "info", "The stated length of the File Meta group is wrong."),
    ("TSUID_INFERRED", "warning", "No Transfer Syntax UID; inferred from the bytes."),
    ("TSUID_UNKNOWN", "warning", "A Transfer Syntax UID that is not in the standard."),
    ("TSUID_WRONG", "warning", "The data are not in the stated Transfer Syntax."),
    ("DEFLATE_DAMAGED", "error", "The deflated data set ends early or is damaged."),
    # the elements
    ("TRUNCATED", "error", "The file ends before its data does."),
    ("LENGTH_CLIPPED", "error", "A length reaches beyond the file; clipped there."),
    ("LENGTH_WRAP", "error", "Pixel Data longer than a 32-bit length can express."),
    ("ODD_LENGTH", "info", "A value of odd length."),
    ("TAG_ORDER", "info", "Elements are not in ascending order."),
    ("DUPLICATE_TAG", "warning", "An element occurs more than once; the last is used."),
    ("VR_MISMATCH", "info", "The value representation differs from the dictionary."),
    ("BAD_VR", "warning", "A value representation that is not in the standard."),
    ("UN_SEQUENCE", "info", "A sequence written as UN of undefined length (CP-246)."),
    ("DELIMITER", "warning", "An item or sequence delimiter is missing or out of place."),
    ("ELEMENT_LIMIT", "error", "More elements than the limit; read up to there."),
    ("PROBLEM_LIMIT", "warning", "More problems than the limit; the others are left out."),
    ("TOO_DEEP", "error", "Sequences nested deeper than the limit; skipped."),
    ("RESYNC", "error", "Bytes that are not an element; reading stopped there."),
    # the values
    ("BAD_NUMBER", "warning", "A number that does not parse; raw bytes in `invalid`."),
    ("BAD_DATE", "warning", "A date that does not parse; raw bytes in `invalid`."),
    ("BAD_VALUE", "warning", "A value of the wrong length or kind; raw bytes in `invalid`."),
    ("OLD_DATE", "info", "A date in the form YYYY.MM.DD, from before 1993."),
    ("AGE_SUSPECT", "warning", "An age that is unknown, impossible or contradicts the dates."),
    ("VALUE_LIMIT", "warning", "A value longer than the limit; its first bytes in `invalid`."),
    ("VM_MISMATCH", "info", "More values than the dictionary allows."),
    ("CHARSET", "warning", "Text that is not in the stated character set."),
    ("FRAMES_VARY", "info", "Frames of one image that differ in a value that most images share."),
    # the pixels, according to the header
    ("PIXELS_ABSENT", "warning", "Rows and Columns, but no Pixel Data."),
    ("PIXELS_SHORT", "error", "Fewer pixel bytes than the header declares."),
    ("PIXELS_LONG", "info", "More pixel bytes than the header declares."),
    ("FRAMES_UNDECLARED", "warning", "Pixel bytes for more frames than the header declares."),
    ("BURNED_IN_RISK", "warning", "Identifying text may be burned into the image."),
    # the pixels, once decoded
    ("UNDECODABLE", "error", "Pixels that cannot be decoded."),
    ("BITS_MISMATCH", "warning", "The code-stream and Bits Stored or the sign disagree."),
    ("COLOR_TAG", "warning", "The code-stream is not in the stated colour space."),
    ("STREAM_CUT", "warning", "A truncated JPEG stream; the missing part is grey."),
    ("BAD_RESCALE", "error", "Rescale Slope, Intercept or Modality LUT that cannot be used."),
    ("BAD_WINDOW", "warning", "A window that cannot be used as written."),
    ("BAD_LUT", "warning", "A look-up table whose descriptor and data disagree."),
    ("BAD_PROFILE", "warning", "An ICC profile that cannot be used; colours are not converted."),
    # across files
    ("UID_CLASH", "warning", "Files with the same SOP Instance UID and different contents."),
    ("POSSIBLE_DUPLICATE", "info", "Files with equal headers and sizes."),
)

PROBLEMS = _by_code(_CODES)
"""All problem codes of files, in the order of `docs/problems.md`."""

_BOX_CODES: _Codes = (
    # the label file and the images
    ("NO_FILE", "error", "A label of an image that is not in the index."),
    ("NO_LABEL", "info", "An image of the index without a row in the label file."),
    ("IMAGE_CHANGED", "warning", "An image that has changed since it was annotated."),
    # each box
    ("BOX_OUTSIDE", "error", "A bounding box that extends outside its image."),
    ("BOX_CORNER", "warning", "All bounding boxes are in the upper left quarter of their images."),
    ("BOX_UNREADABLE", "error", "A row of the label file that cannot be read."),
    ("BOX_EMPTY", "error", "A bounding box without area, or without coordinates."),
    ("BOX_UNLABELLED", "error", "A bounding box without a label."),
    # the boxes of one reader on one image
    ("TWO_LABELS", "info", "A bounding box with several labels by one reader."),
    ("BOX_TWICE", "warning", "The same box, label and reader more than once."),
    ("NOTHING_AND_BOX", "warning", "A box and a 'No finding' row by one reader."),
    ("BOX_CONFLICT", "warning", "A box that two windows of its reader changed at once."),
    # the whole file
    ("LABEL_SPELLING", "warning", "Labels that differ in spelling only."),
    ("CLASS_CLASH", "warning", "A label with two ids, or an id with two labels."),
    ("READER_OUTLIER", "info", "A reader with far more or fewer boxes than the others."),
    # the output
    ("UID_MADE", "warning", "An image without UIDs; its report has generated ones."),
    ("LEAK_GROUP", "error", "Images of one patient in two parts of a split."),
    ("LEAK_PIXELS", "error", "The same image in two parts of a split."),
)

BOX_PROBLEMS = _by_code(_BOX_CODES)
"""All problem codes of boxes and splits, in the order of `docs/boxes.md`."""

_SERIES_CODES: _Codes = (
    # which files are a series
    ("SERIES_UID_MISSING", "warning", "Files without a Series Instance UID, grouped by folder."),
    ("SERIES_UID_CLASH", "warning", "A Series Instance UID of several patients or studies."),
    # images of another kind
    ("LOCALIZER_IN_SERIES", "info", "A localizer among other images."),
    ("MOSAIC", "info", "Images that hold all slices of a volume as tiles."),
    ("REPROJECTION", "info", "Projections of a PET volume from rotating directions."),
    ("FRAMES_UNPLACED", "warning", "A multi-frame image with frames without a position."),
    ("FRAMES_VARY", "info", "Frames of one image that differ in a value that most images share."),
    # slices that differ from the others
    ("ORIENTATION_MIXED", "warning", "A slice with another orientation."),
    ("MATRIX_MIXED", "warning", "A slice with another number of rows or columns."),
    ("PIXEL_SPACING_MIXED", "error", "A slice with another pixel spacing."),
    ("FRAME_OF_REFERENCE_MIXED", "error", "A slice with another frame of reference."),
    ("PIXEL_SPACING_MISSING", "error", "Slices without a usable pixel spacing."),
    # positions
    ("POSITION_MISSING", "error", "A slice without a usable position or orientation."),
    ("SLICE_MISSING", "error", "A gap as wide as one or more slices."),
    ("SLICE_DUPLICATED", "warning", "Several slices at one position."),
    ("SLICE_SHIFTED", "error", "A slice that is displaced in its plane."),
    ("SPACING_UNEVEN", "error", "Slices at uneven distances."),
    ("GANTRY_TILT", "warning", "Slices that are displaced along the gantry tilt."),
    # several volumes
    ("ACQUISITIONS_MIXED", "warning", "Several acquisitions at the same positions."),
)

SERIES_PROBLEMS = _by_code(_SERIES_CODES)
"""All problem codes of series, in the order of `docs/series.md`."""

_SEGMENT_CODES: _Codes = (
    # the file and its contents
    ("SEGMENT_UNREADABLE", "error", "A file, segment or frame that cannot be read."),
    ("SEGMENT_LIMIT", "error", "Values beyond a limit of Settings; left out."),
    ("SEGMENT_EMPTY", "warning", "A segment without voxels."),
    ("SEGMENT_UNDESCRIBED", "warning", "Pixels of a segment that the header does not describe."),
    ("SEGMENT_TWICE", "error", "Several segments with the same number."),
    ("SEGMENTS_OVERLAP", "info", "Segments of one file that share voxels."),
    # the images it refers to
    ("SERIES_ABSENT", "error", "Images that are not in the index."),
    ("SERIES_AMBIGUOUS", "error", "Several volumes that a mask without references fits."),
    ("SERIES_NO_VOLUME", "error", "Images that are not a regularly spaced volume."),
    ("SLICE_ABSENT", "error", "A slice of the segment that the images do not have."),
    ("SLICE_DOUBLED", "error", "Several masks or equal contours of a segment on one slice."),
    # its place in space
    ("FRAME_OF_REFERENCE_DIFFERS", "error", "Coordinates of another frame of reference."),
    ("AFFINES_DIFFER", "error", "A NIfTI file whose sform and qform disagree."),
    ("GRID_UNPLACED", "error", "A mask without a usable position, orientation or spacing."),
    ("ORIENTATION_DIFFERS", "error", "Axes that are rotated, or exchanged with each other."),
    ("ORIENTATION_FLIPPED", "error", "An axis that runs against that of the images."),
    ("GRID_SCALED", "error", "Another voxel size than that of the images."),
    ("GRID_SHIFTED", "error", "Voxels between those of the images, or displaced by some."),
    ("GRID_SIZE_DIFFERS", "error", "Another number of voxels than the images have."),
    # contours
    ("CONTOUR_OPEN", "warning", "A curve or a point, which has no area."),
    ("CONTOUR_UNREADABLE", "error", "A contour that is not a list of three or more points."),
    ("CONTOUR_CROSSED", "warning", "A contour that crosses or overlaps itself; filled even-odd."),
    ("CONTOURS_NESTED", "warning", "Contours of a slice that overlap; their union is taken."),
    ("CONTOUR_OFF_SLICE", "error", "A contour that lies in no slice of the images."),
    ("CONTOUR_OUTSIDE", "error", "A contour that extends outside the images."),
    ("CONTOUR_GAP", "info", "A slice without contour between slices with contours."),
    ("CONTOURS_UNVERIFIED", "info", "Contours checked by slice only, not for shifts within it."),
)

SEGMENT_PROBLEMS = _by_code(_SEGMENT_CODES)
"""All problem codes of masks and contours, in the order of `docs/segments.md`."""

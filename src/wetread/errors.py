"""What can go wrong, in two kinds.

Bad *usage* raises:

    WetreadError
    ├── UsageError (also a ValueError)     a wrong argument; says what to do instead
    │   ├── QueryError                     SQL that is not one SELECT, or an unknown column
    │   └── UnknownNameError               a name that does not exist, with the nearest ones
    ├── NotFoundError (also a FileNotFoundError)   no such folder, file or index
    ├── IndexFormatError                   not an index, or one written by another version
    ├── CacheError                         not a cache, unfinished, damaged or another version's
    ├── StorageError (also an OSError)     the disk is full or the folder cannot be written
    ├── EngineError                        the machines that were to do the work are lost
    ├── MissingExtraError (also an ImportError)    says the `pip install` line
    └── DecodeError                        a file without header or pixels, or damaged ones
        ├── AccessError (also an OSError)  a file that cannot be opened or read now
        └── LimitError                     pixels that grow beyond a limit of `Settings`

Bad *data* never raises from a scan: it is a finding in the table, one of `FINDINGS`; of
labels and splits, one of `BOX_FINDINGS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "error"]


class WetreadError(Exception):
    """Every exception wetread raises on purpose."""


class UsageError(WetreadError, ValueError):
    """An argument that cannot be right; the message says what to do instead."""


class QueryError(UsageError):
    """SQL that is not one SELECT statement, or names an unknown column."""


class UnknownNameError(UsageError):
    """A name that does not exist; the message names the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        choices = list(known)
        near = suggest(name, choices)
        listed = ", ".join(choices[:20]) + f" and {len(choices) - 20} more" * (len(choices) > 20)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {listed}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")


class NotFoundError(WetreadError, FileNotFoundError):
    """No such folder, file or index."""


class IndexFormatError(WetreadError):
    """A folder that is not an index, or one that another version of wetread wrote."""


class CacheError(WetreadError):
    """A folder that is not a cache of pictures, or one that is unfinished, damaged or foreign."""


class StorageError(WetreadError, OSError):
    """The disk is full, or the folder cannot be written."""


class EngineError(WetreadError):
    """The machines that were to do the work cannot be reached; what was written is kept."""


class MissingExtraError(WetreadError, ImportError):
    """An optional dependency is not installed; the message is the line that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: pip install 'wetread[{extra}]'")


class DecodeError(WetreadError):
    """No header or pixels, or none that can be decoded; the message says the file and why."""

    code = "UNDECODABLE"
    """The finding that it becomes where many images are decoded."""


class AccessError(DecodeError, OSError):
    """A file that cannot be opened or read now; another try may succeed."""

    code = "NO_ACCESS"


class LimitError(DecodeError):
    """Pixels that grow beyond a limit of `Settings`."""

    code = "BOMB"


def suggest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names close to `name`, letter case ignored.

    >>> suggest("rows", ["Rows", "Columns"])
    ['Rows']
    """
    by_lower = {k.lower(): k for k in known}
    return [by_lower[m] for m in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]


@dataclass(frozen=True, slots=True)
class FindingCode:
    """One kind of finding: what was seen in a file, and how bad it is."""

    code: str
    severity: Severity
    meaning: str
    """One sentence; `docs/findings.md` has a paragraph."""


_CODES: tuple[tuple[str, Severity, str], ...] = (
    # the file as a whole
    ("NOT_DICOM", "info", "The first bytes are not DICOM."),
    ("EMPTY_FILE", "warning", "The file has no bytes."),
    ("NO_ACCESS", "error", "The file could not be opened or read."),
    ("NOT_A_FILE", "info", "A pipe, socket or device, which is never opened."),
    ("BAD_PATH", "info", "The file name is not UTF-8; its bytes are in path_bytes."),
    ("BROKEN_LINK", "warning", "A symbolic link that leads nowhere or in a circle."),
    ("EXECUTABLE_PREAMBLE", "warning", "The preamble is the start of a program (CVE-2019-11687)."),
    ("CRASHED", "error", "Reading this file ended the worker process."),
    ("TIMEOUT", "error", "Reading this file took longer than the limit."),
    ("HEADER_BUDGET", "error", "The header is larger than the limit; read up to there."),
    ("BOMB", "error", "Compressed data grows beyond the limit; not read further."),
    ("BAD_ARCHIVE", "error", "An archive or a member of it that cannot be read."),
    # the encoding
    ("NO_PREAMBLE", "info", "No 128-byte preamble before the File Meta group."),
    ("NO_META", "warning", "No File Meta group."),
    ("META_LENGTH", "info", "The stated length of the File Meta group is wrong."),
    ("TSUID_INFERRED", "warning", "No Transfer Syntax UID; inferred from the bytes."),
    ("TSUID_UNKNOWN", "warning", "A Transfer Syntax UID that the standard does not know."),
    ("TSUID_WRONG", "warning", "The bytes are not in the Transfer Syntax that is stated."),
    ("DEFLATE_DAMAGED", "error", "The deflated data set ends early or is damaged."),
    # the elements
    ("TRUNCATED", "error", "The file ends before its data does."),
    ("LENGTH_CLIPPED", "error", "A length reaches beyond the file; clipped there."),
    ("LENGTH_WRAP", "error", "Pixel Data longer than a 32-bit length can say."),
    ("ODD_LENGTH", "info", "A value of odd length."),
    ("TAG_ORDER", "info", "Elements are not in ascending order."),
    ("DUPLICATE_TAG", "warning", "An element occurs more than once; the last is used."),
    ("VR_MISMATCH", "info", "The value representation is not the dictionary's."),
    ("BAD_VR", "warning", "A value representation that the standard does not know."),
    ("UN_SEQUENCE", "info", "A sequence written as UN of undefined length (CP-246)."),
    ("DELIMITER", "warning", "An item or sequence delimiter is missing or out of place."),
    ("ELEMENT_LIMIT", "error", "More elements than the limit; read up to there."),
    ("PROBLEM_LIMIT", "warning", "More problems than the limit; the others are left out."),
    ("TOO_DEEP", "error", "Sequences nested deeper than the limit; skipped."),
    ("RESYNC", "error", "Bytes that are no element; reading stopped there."),
    # the values
    ("BAD_NUMBER", "warning", "A number that does not parse; raw bytes in `invalid`."),
    ("BAD_DATE", "warning", "A date that does not parse; raw bytes in `invalid`."),
    ("BAD_VALUE", "warning", "A value of the wrong length or kind; raw bytes in `invalid`."),
    ("OLD_DATE", "info", "A date in the form YYYY.MM.DD of before 1993."),
    ("VALUE_LIMIT", "warning", "A value that is longer than the limit; its start in `invalid`."),
    ("VM_MISMATCH", "info", "More values than the dictionary allows."),
    ("CHARSET", "warning", "Text that is not in the stated character set."),
    # the pixels, as far as the header tells
    ("PIXELS_ABSENT", "warning", "Rows and Columns, but no Pixel Data."),
    ("PIXELS_SHORT", "error", "Fewer pixel bytes than the header announces."),
    ("PIXELS_LONG", "info", "More pixel bytes than the header announces."),
    ("FRAMES_UNDECLARED", "warning", "Pixel bytes for more frames than the header announces."),
    ("BURNED_IN_RISK", "warning", "Text with names may be burned into the picture."),
    # the pixels, once decoded
    ("UNDECODABLE", "error", "Pixels that cannot be decoded."),
    ("BITS_MISMATCH", "warning", "The code-stream and Bits Stored or the sign disagree."),
    ("COLOR_TAG", "warning", "The code-stream is not in the colour space that is stated."),
    ("STREAM_CUT", "warning", "A JPEG stream without its end; what it lacks is shown grey."),
    ("BAD_WINDOW", "warning", "A window without a width; shown as a threshold."),
    ("BAD_LUT", "warning", "A look-up table that is not as long as it says."),
    ("BAD_PROFILE", "warning", "An ICC profile that cannot be used; colours left as they are."),
    # across files
    ("UID_CLASH", "warning", "Two files have one SOP Instance UID and other contents."),
    ("POSSIBLE_DUPLICATE", "info", "Two files have equal headers and sizes."),
)

FINDINGS: dict[str, FindingCode] = {c: FindingCode(c, s, m) for c, s, m in _CODES}
"""Every finding code there is, in the order of `docs/findings.md`."""

_BOX_CODES: tuple[tuple[str, Severity, str], ...] = (
    # the label file and the images
    ("NO_FILE", "error", "A label of an image that the index does not have."),
    ("NO_LABEL", "info", "An image of the index that no row of the label file is about."),
    # each box
    ("BOX_OUTSIDE", "error", "A box that reaches outside its image."),
    ("BOX_EMPTY", "error", "A box without area, or without a place."),
    ("BOX_UNLABELLED", "error", "A box without a label."),
    # what one reader says of one image
    ("TWO_LABELS", "info", "One box that one reader gave several labels."),
    ("BOX_TWICE", "warning", "The same box, label and reader more than once."),
    ("NOTHING_AND_BOX", "warning", "A reader who found nothing, and drew a box."),
    # the whole file
    ("LABEL_SPELLING", "warning", "Labels that differ in spelling only."),
    ("CLASS_CLASH", "warning", "A label with two ids, or an id with two labels."),
    ("READER_OUTLIER", "info", "A reader who draws far more or fewer boxes."),
    # what is made of it
    ("UID_MADE", "warning", "An image without UIDs; its report has made-up ones."),
    ("LEAK_GROUP", "error", "Images of one patient on two sides of a split."),
    ("LEAK_PIXELS", "error", "The same picture on two sides of a split."),
)

BOX_FINDINGS: dict[str, FindingCode] = {c: FindingCode(c, s, m) for c, s, m in _BOX_CODES}
"""Every finding code of boxes and splits, in the order of `docs/boxes.md`."""

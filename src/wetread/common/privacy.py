"""Protected health information (PHI): values that report and viewer mask by default.

Only values of coded and technical elements are shown: codes (CS), numbers, and the texts of
`SHOWN`. All other values are masked: names and all of group 0010 except the sex, identifiers,
dates, UIDs, free text and private elements. This includes everything that PS3.15 E.1 removes or
replaces.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

Kind = Literal["person", "identifier", "date", "UID", "text"]
KINDS: dict[Kind, str] = {
    "person": "About a person: names and the patient's data",
    "identifier": "Identifiers and numbers of people, visits and devices",
    "date": "Dates and times",
    "UID": "UIDs of studies, series, instances",
    "text": "Free text, which may contain any of these",
}
SHOWN = frozenset(
    [
        "ConvolutionKernel",
        "DerivationDescription_length",
        "ImplementationClassUID",
        "ImplementationVersionName",
        "Manufacturer",
        "ManufacturerModelName",
        "MediaStorageSOPClassUID",
        "PatientSex",
        "PixelSpacingCalibrationDescription",
        "ReceiveCoilName",
        "RescaleType",
        "SOPClassUID",
        "SequenceName",
        "SoftwareVersions",
        "TransferSyntaxUID",
        "WindowCenterWidthExplanation",
    ]
)
"""Text elements that do not identify a patient; PatientSex, of group 0010, is a code."""
_TEXT = frozenset(["AE", "LO", "LT", "SH", "ST", "UC", "UN", "UR", "UT"])
_DATES = frozenset(["DA", "DT", "TM"])
_IDENTIFIERS = ("ID", "IDs", "Number", "Identifier", "IdentifierSequence")
_ANYTHING = frozenset(["invalid", "private", "sequences"])
"""Columns of the index that contain values of arbitrary elements."""


def kind_of(keyword: str, vr: str, tag: int) -> Kind | None:
    """Kind of identifying information in an element's values; None if they are shown.

    A sequence outside of group 0010 is shown, because its elements are classified one by one.

    Args:
        keyword: keyword of the element, or the name of its column.
        vr: value representation.
        tag: group and element as one number.

    >>> kind_of("PatientName", "PN", 0x00100010), kind_of("Rows", "US", 0x00280010)
    ('person', None)
    """
    if keyword in SHOWN:
        return None
    if vr == "PN" or tag >> 16 == 0x0010:
        return "person"
    if vr in _DATES:
        return "date"
    if vr == "UI":
        return "UID"
    if tag >> 16 & 1:
        return "text"  # the contents of private elements are unknown
    if vr in _TEXT and not keyword.endswith("_length"):
        return "identifier" if keyword.endswith(_IDENTIFIERS) else "text"
    return None


def kind_of_column(field: pa.Field) -> Kind | None:
    """Kind of identifying information in a column of an index; see `kind_of`.

    >>> kind_of_column(pa.field("Rows", pa.int32(), metadata={"tag": "0028,0010", "vr": "US"}))
    >>> kind_of_column(pa.field("private", pa.binary()))
    'text'
    """
    metadata = field.metadata or {}
    if b"tag" not in metadata:
        return "text" if field.name in _ANYTHING else None
    tag = int(metadata[b"tag"].replace(b",", b""), 16)
    return kind_of(field.name, metadata.get(b"vr", b"").decode(), tag)


NAMES_IN_PATHS = ("PatientName", "PatientID", "AccessionNumber", "PatientBirthDate")
"""Elements whose values are searched for in file names."""


PATH = "path || ' ' || coalesce(member, '')"
"""SQL expression: the path of a file and the name of its member in an archive."""


def names_in(columns: list[str], text: str = PATH) -> str:
    """SQL condition: a text contains the patient's name, ID or date of birth, or the accession no.

    Args:
        columns: columns of the index.
        text: SQL expression of the text.
    """
    path = f"lower({text})"
    values = []
    for name in NAMES_IN_PATHS:
        if name not in columns:
            continue
        if name == "PatientName":
            values += [f"split_part(PatientName, '^', {n})" for n in (1, 2)]
        elif name == "PatientBirthDate":
            values.append("strftime(PatientBirthDate, '%Y%m%d')")
        else:
            values.append(name)
    # Values of fewer than four characters occur in any path.
    tests = (f"(length(trim({v})) > 3 AND contains({path}, lower(trim({v}))))" for v in values)
    return " OR ".join(f"coalesce({test}, false)" for test in tests) or "false"

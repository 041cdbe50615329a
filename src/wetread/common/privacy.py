"""What report and viewer do not show unless asked to: values that may tell who a patient is.

Shown are values of coded and technical elements only: codes (CS), numbers, and the texts of
`SHOWN`. Everything else that a file can hold is masked, whatever it is called: names and all of
group 0010 but the sex, identifiers, dates, UIDs, free text and private elements (what PS3.15 E.1
removes or replaces is among them).
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

Kind = Literal["person", "identifier", "date", "UID", "text"]
KINDS: dict[Kind, str] = {
    "person": "About a person: names and the patient's data",
    "identifier": "Identifiers and numbers of people, visits, devices",
    "date": "Dates and times",
    "UID": "UIDs of studies, series, instances",
    "text": "Free text, which may hold any of them",
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
"""Elements of text that say nothing of a patient; PatientSex is of group 0010 and a code."""
_TEXT = frozenset(["AE", "LO", "LT", "SH", "ST", "UC", "UN", "UR", "UT"])
_DATES = frozenset(["DA", "DT", "TM"])
_IDENTIFIERS = ("ID", "IDs", "Number", "Identifier", "IdentifierSequence")
_ANYTHING = frozenset(["invalid", "private", "sequences"])
"""Columns of wetread's own that hold values of any element."""


def kind_of(keyword: str, vr: str, tag: int) -> Kind | None:
    """What the values of an element may tell of a patient; None where they are shown.

    A sequence outside of group 0010 is shown, as its elements are told one by one.

    Args:
        keyword: its keyword, or the name of its column.
        vr: its value representation.
        tag: group and element, as one number.

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
        return "text"  # nobody knows what private elements hold
    if vr in _TEXT and not keyword.endswith("_length"):
        return "identifier" if keyword.endswith(_IDENTIFIERS) else "text"
    return None


def kind_of_column(field: pa.Field) -> Kind | None:
    """The same of a column of an index, which has tag and VR in its metadata.

    >>> kind_of_column(pa.field("Rows", pa.int32(), metadata={"tag": "0028,0010", "vr": "US"}))
    >>> kind_of_column(pa.field("private", pa.binary()))
    'text'
    """
    said = field.metadata or {}
    if b"tag" not in said:
        return "text" if field.name in _ANYTHING else None
    tag = int(said[b"tag"].replace(b",", b""), 16)
    return kind_of(field.name, said.get(b"vr", b"").decode(), tag)


NAMES_IN_PATHS = ("PatientName", "PatientID", "AccessionNumber", "PatientBirthDate")
"""What is looked for in the names of files."""


PATH = "path || ' ' || coalesce(member, '')"
"""SQL: the path of a file, and of its member of an archive."""


def names_in(have: list[str], text: str = PATH) -> str:
    """SQL that is true where a text holds the patient's name, number or date of birth.

    Args:
        have: the columns of the index.
        text: an SQL expression.
    """
    path = f"lower({text})"
    values = []
    for name in NAMES_IN_PATHS:
        if name not in have:
            continue
        if name == "PatientName":
            values += [f"split_part(PatientName, '^', {n})" for n in (1, 2)]
        elif name == "PatientBirthDate":
            values.append("strftime(PatientBirthDate, '%Y%m%d')")
        else:
            values.append(name)
    # Fewer than four letters are found in any path.
    found = (f"(length(trim({v})) > 3 AND contains({path}, lower(trim({v}))))" for v in values)
    return " OR ".join(f"coalesce({one}, false)" for one in found) or "false"

"""What a report does not show unless it is asked to: values that may tell who a patient is.

Shown are values of coded and technical elements only: codes (CS), numbers, and the texts of
`SHOWN`. Everything else that a file can hold is masked, whatever it is called: names and all of
group 0010 but the sex, identifiers, dates, UIDs and free text (what PS3.15 E.1 removes or
replaces is among them).
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
MASKED = "masked"
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


def kind_of(field: pa.Field) -> Kind | None:
    """What the values of a column may tell of a patient; None where they are shown.

    Args:
        field: a column of an index, with tag and VR in its metadata; one of wetread's own has
            none, and is shown.

    >>> kind_of(pa.field("PatientName", pa.string(), metadata={"tag": "0010,0010", "vr": "PN"}))
    'person'
    >>> kind_of(pa.field("Rows", pa.int32(), metadata={"tag": "0028,0010", "vr": "US"}))
    """
    said = field.metadata or {}
    if b"tag" not in said or field.name in SHOWN:
        return None
    vr, tag = said.get(b"vr", b"").decode(), said[b"tag"].decode()
    if vr == "PN" or tag.startswith("0010"):
        return "person"
    if vr in _DATES:
        return "date"
    if vr == "UI":
        return "UID"
    if vr in _TEXT and not field.name.endswith("_length"):
        return "identifier" if field.name.endswith(_IDENTIFIERS) else "text"
    return None


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

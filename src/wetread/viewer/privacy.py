"""Which values may name a person, and what is shown in their place.

A viewer is for who has its token; what is masked is kept from those who look over a shoulder. It
is no de-identification: paths, pictures, dates, UIDs and descriptions are shown.
"""

from __future__ import annotations

MASK = "•••"
_SHOWN = frozenset(["PatientSex", "PatientAge", "PatientSize", "PatientWeight"])
"""Of group 0010, which is about the patient."""
_KEYWORDS = frozenset(
    [
        "AccessionNumber",
        "AcquisitionComments",
        "AdmissionID",
        "AdmittingDiagnosesDescription",
        "CurrentPatientLocation",
        "CustodialOrganizationSequence",
        "DeviceSerialNumber",
        "FillerOrderNumberImagingServiceRequest",
        "ImageComments",
        "InstitutionAddress",
        "InstitutionCodeSequence",
        "InstitutionName",
        "InstitutionalDepartmentName",
        "IssuerOfAdmissionID",
        "OperatorIdentificationSequence",
        "OrderCallbackPhoneNumber",
        "OrderEntererLocation",
        "PatientInstitutionResidence",
        "PatientState",
        "PerformedProcedureStepID",
        "PerformingPhysicianIdentificationSequence",
        "PersonAddress",
        "PersonTelecomInformation",
        "PersonTelephoneNumbers",
        "PhysiciansOfRecordIdentificationSequence",
        "PhysiciansReadingStudyIdentificationSequence",
        "PlacerOrderNumberImagingServiceRequest",
        "ReferencedPatientSequence",
        "ReferringPhysicianAddress",
        "ReferringPhysicianIdentificationSequence",
        "ReferringPhysicianTelephoneNumbers",
        "RequestAttributesSequence",
        "RequestedProcedureComments",
        "RequestedProcedureID",
        "RequestingService",
        "ResponsibleOrganization",
        "ScheduledProcedureStepID",
        "ServiceEpisodeID",
        "StationName",
        "StudyComments",
        "StudyID",
        "VisitComments",
    ]
)
"""Of other groups: what PS3.15 E.1 removes because it names a person, a place, a visit or an
order, or is free text about one. Names themselves are told by their VR."""
_OWN = frozenset(["invalid", "private", "sequences"])
"""Columns of an index that hold anything."""


def is_personal(keyword: str, vr: str, tag: int | None) -> bool:
    """Whether the values of an element, or of a column of the index, are masked.

    Private elements are: nobody knows what they hold.

    >>> is_personal("PatientID", "LO", 0x00100020), is_personal("Rows", "US", 0x00280010)
    (True, False)
    """
    if tag is None:
        return keyword in _OWN
    group, name = tag >> 16, keyword.removesuffix("_parsed").removesuffix("_length")
    if group % 2 or vr == "PN":
        return True
    if group == 0x0010:
        return name not in _SHOWN and name != "patient_age_years"
    return name in _KEYWORDS

"""Which elements may name a person, and what is shown in their place."""

from __future__ import annotations

from functools import cache

MASK = "•••"
_KEYWORDS = """
AccessionNumber AcquisitionComments AdditionalPatientHistory AdmissionID AdmittingDiagnosesDescription
ContentCreatorName ConsultingPhysicianName CountryOfResidence CurrentPatientLocation
CustodialOrganizationSequence DeceasedIndicator DeviceSerialNumber EthnicGroup FillerOrderNumberImagingServiceRequest
ImageComments InstitutionAddress InstitutionCodeSequence InstitutionName InstitutionalDepartmentName
IssuerOfPatientID MedicalAlerts MedicalRecordLocator MilitaryRank NameOfPhysiciansReadingStudy
Occupation OperatorIdentificationSequence OperatorsName OrderCallbackPhoneNumber OrderEnteredBy
OtherPatientIDs OtherPatientIDsSequence OtherPatientNames PatientAddress PatientBirthDate
PatientBirthName PatientBirthTime PatientComments PatientID PatientInstitutionResidence
PatientInsurancePlanCodeSequence PatientMotherBirthName PatientName PatientPrimaryLanguageCodeSequence
PatientReligiousPreference PatientState PatientTelecomInformation PatientTelephoneNumbers
PerformingPhysicianName PersonAddress PersonName PersonTelecomInformation PersonTelephoneNumbers
PhysiciansOfRecord PhysiciansReadingStudyIdentificationSequence PlacerOrderNumberImagingServiceRequest
ReferringPhysicianAddress ReferringPhysicianIdentificationSequence ReferringPhysicianName
ReferringPhysicianTelephoneNumbers RegionOfResidence RequestAttributesSequence RequestedProcedureComments
RequestedProcedureID RequestingPhysician RequestingService ResponsibleOrganization ResponsiblePerson
ReviewerName ScheduledPerformingPhysicianName ScheduledProcedureStepID ServiceEpisodeID
SmokingStatus SpecialNeeds StationName StudyComments StudyID StudyIDIssuer VerifyingObserverName
VisitComments
"""


@cache
def personal_keywords() -> frozenset[str]:
    """Keywords of the basic profile (PS3.15 E.1) that name a person, a place or an order."""
    return frozenset(_KEYWORDS.split())


def is_personal(keyword: str, vr: str = "") -> bool:
    """Whether an element's value, or a column of the index, is masked.

    Every person name is; private elements are the caller's to know.

    >>> is_personal("PatientID"), is_personal("Rows"), is_personal("Whoever", "PN")
    (True, False, True)
    """
    base = keyword.removesuffix("_parsed").removesuffix("_length")
    return vr == "PN" or base in personal_keywords() or base in ("invalid", "private", "sequences")

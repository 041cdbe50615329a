"""Functional group macros of multi-frame images: which element is in which sequences.

PS3.3 C.7.6.16.2, and those of CT (C.8.15.3), MR (C.8.13.5), PET (C.8.22.5), X-ray 3D (C.8.21.5),
parametric maps (C.8.32.3) and converted images (C.7.6.16.2.25).
"""

from __future__ import annotations

from wetread.headers.dictionary import TAG_OF

SHARED_GROUPS, PER_FRAME_GROUPS = 0x52009229, 0x52009230
_CONTENT = ("FrameContentSequence",)
_CONVERTED = (
    "UnassignedPerFrameConvertedAttributesSequence",
    "UnassignedSharedConvertedAttributesSequence",
)
"""Attributes of classic images that Legacy Converted Enhanced images keep as they were."""
_DIFFUSION = ("MRDiffusionSequence", *_CONVERTED)
_CARDIAC = ("CardiacSynchronizationSequence", *_CONVERTED)
_TYPES = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence",
          "XRay3DFrameTypeSequence", "ParametricMapFrameTypeSequence")  # fmt: skip
MACROS: dict[str, tuple[str, ...]] = {
    "ImagePositionPatient": ("PlanePositionSequence",),
    "ImageOrientationPatient": ("PlaneOrientationSequence",),
    "PixelSpacing": ("PixelMeasuresSequence",),
    "SliceThickness": ("PixelMeasuresSequence",),
    "SpacingBetweenSlices": ("PixelMeasuresSequence",),
    "StackID": _CONTENT,
    "InStackPositionNumber": _CONTENT,
    "TemporalPositionIndex": _CONTENT,
    "DimensionIndexValues": _CONTENT,
    "FrameAcquisitionNumber": _CONTENT,
    "FrameAcquisitionDateTime": _CONTENT,
    "FrameReferenceDateTime": _CONTENT,
    "FrameType": _TYPES,
    "EchoTime": _CONVERTED,
    "EffectiveEchoTime": ("MREchoSequence", *_CONVERTED),
    "DiffusionBValue": _DIFFUSION,
    "DiffusionDirectionality": _DIFFUSION,
    "DiffusionGradientOrientation": (
        "MRDiffusionSequence/DiffusionGradientDirectionSequence",
        *_CONVERTED,
    ),
    "TemporalPositionIdentifier": _CONVERTED,
    "TriggerTime": _CONVERTED,
    "ContentTime": _CONVERTED,
    "NominalPercentageOfCardiacPhase": _CARDIAC,
    "NominalCardiacTriggerDelayTime": _CARDIAC,
    "WindowCenter": ("FrameVOILUTSequence",),
    "WindowWidth": ("FrameVOILUTSequence",),
    "VOILUTFunction": ("FrameVOILUTSequence",),
    "RescaleSlope": ("PixelValueTransformationSequence",),
    "RescaleIntercept": ("PixelValueTransformationSequence",),
    "RescaleType": ("PixelValueTransformationSequence",),
}
"""Keyword of an element -> the sequences that may hold it; a slash separates nested ones."""
VARYING = (
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices",
    "FrameType", "EchoTime", "EffectiveEchoTime", "DiffusionBValue", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "RescaleSlope", "RescaleIntercept", "RescaleType",
)  # fmt: skip
"""Elements that most images share among their frames; the others tell frames apart."""


PATHS: dict[int, tuple[tuple[int, ...], ...]] = {
    TAG_OF[keyword]: tuple(tuple(TAG_OF[name] for name in path.split("/")) for path in paths)
    for keyword, paths in MACROS.items()
}
"""`MACROS` as tags."""
GROUP_TAGS = frozenset(
    {*PATHS, *(tag for paths in PATHS.values() for path in paths for tag in path)}
)
"""Elements and sequences that the walk keeps of functional groups."""

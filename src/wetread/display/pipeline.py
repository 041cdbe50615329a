"""Grey-scale pipeline of one frame: Modality LUT, VOI LUT or window, presentation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from wetread.errors import DecodeError
from wetread.pixels.access import Numbers, groups, items, present, read_numbers, text, texts
from wetread.pixels.form import transfer_syntax
from wetread.pixels.luts import first_mapped, fit_bits, read_palette, read_table

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Array = NDArray[Any]
Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
Notes = list[tuple[str, str]]
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_XA_XRF = ("1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.2")
"""X-Ray Angiographic and X-Ray Radiofluoroscopic Image Storage."""
_LOSSY = tuple(f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 53, 55, 81, 91, 93, 112, 203))
"""Lossy transfer syntaxes."""


@dataclass(frozen=True, slots=True)
class Window:
    """VOI window in modality values (PS3.3 C.11.2.1.2-3)."""

    center: float
    width: float
    function: Function = "LINEAR"
    name: str = ""
    """Explanation in the file, "auto", "full", or the name of a preset."""

    def __call__(self, values: Array) -> NDArray[np.float64]:
        """Map modality values to 0..1; a width of 0 or less is a threshold at the center.

        >>> Window(40, 400)(np.array([-161.0, 39.5, 241.0])).tolist()
        [0.0, 0.5, 1.0]
        """
        x = np.asarray(values, np.float64)
        if self.width <= 0:
            return (x > self.center).astype(np.float64)
        if self.function == "SIGMOID":
            # exp() overflows to infinity far below the center; the result is still 0.
            with np.errstate(over="ignore"):
                return 1 / (1 + np.exp(-4 * (x - self.center) / self.width))
        if self.function == "LINEAR" and self.width == 1:
            return (x > self.center - 0.5).astype(np.float64)
        # LINEAR requires a width of at least 1; a smaller one is read as LINEAR_EXACT.
        half = 0.5 if self.function == "LINEAR" and self.width > 1 else 0.0
        return np.clip((x - (self.center - half)) / (self.width - 2 * half) + 0.5, 0, 1)

    @property
    def label(self) -> str:
        """Label for a caption, such as "lung -600/1500"."""
        shape = "" if self.function == "LINEAR" else f" {self.function}"
        return f"{self.name} {self.center:.6g}/{self.width:.6g}{shape}".strip()


@dataclass(frozen=True, slots=True, eq=False)
class Lut:
    """Look-up table of a Modality or VOI LUT Sequence (PS3.3 C.11.1.1, C.11.2.1.1)."""

    first: int
    """Value mapped to the first entry. Smaller values map to it too, larger ones to the last."""
    bits: int
    entries: Array
    name: str = ""

    def __call__(self, values: Array) -> Array:
        """Map values to entries, as float64."""
        at = np.clip(np.asarray(values) - self.first, 0, len(self.entries) - 1)
        entries: Array = self.entries[at.astype(np.intp)].astype(np.float64)
        return entries

    @property
    def label(self) -> str:
        """Label for a caption."""
        return f"LUT {self.name}".strip()


View = Window | Lut
"""VOI transformation: a window or a look-up table."""


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """Parameters of the grey-scale pipeline of one frame, from stored values to display."""

    photometric: str
    modality: str
    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    scale_error: str = ""
    """Reason why modality values cannot be computed; "" if they can."""
    measure_only: bool = False
    """The Modality LUT is for measurement only: stored values are displayed."""
    units: str = ""
    """Unit of modality values: "HU", "US" (unspecified), "OD", "GY" ...; "" if unknown."""
    views: tuple[View, ...] = ()
    """VOI LUTs of the file, then its windows; the first is the default."""
    function: Function = "LINEAR"
    invert: bool = False
    """The largest value is black: MONOCHROME1, or Presentation LUT Shape INVERSE."""
    padding: tuple[float, float] | None = None
    """Smallest and largest stored value of padding."""
    palette: Array | None = None
    """Colours, uint8 (entries, 3)."""
    palette_first: int = 0
    """Stored value of the first entry of the palette."""
    icc: bytes | None = None
    sources: dict[str, str] = field(default_factory=dict)
    """Keyword of a parameter -> its source: "frame", "shared" or "header"."""
    notes: tuple[tuple[str, str], ...] = ()
    """Problems, as (code, text)."""

    def to_modality(self, stored: Array) -> NDArray[np.float64]:
        """Convert stored values to modality values, float64, by the LUT or slope and intercept.

        Raises:
            DecodeError: the Modality LUT or the rescale cannot be read.
        """
        self.check_scale()
        if self.modality_lut is not None:
            return np.asarray(self.modality_lut(stored), np.float64)
        if self.slope == 1 and self.intercept == 0:
            return np.asarray(stored, np.float64)
        return np.asarray(stored, np.float64) * self.slope + self.intercept

    def check_scale(self) -> None:
        """Raise DecodeError if modality values cannot be computed."""
        if self.scale_error:
            raise DecodeError(f"no modality values: {self.scale_error}; use pixels()")

    @property
    def for_display(self) -> Pipeline:
        """Pipeline for display, without a Modality LUT that is for measurement or unreadable."""
        if not (self.measure_only or self.scale_error):
            return self
        identity: dict[str, Any] = {"slope": 1.0, "intercept": 0.0, "modality_lut": None}
        return replace(self, **identity, units="", scale_error="", measure_only=False)

    def is_padding(self, stored: Array) -> NDArray[np.bool_]:
        """Return a mask of the stored values that are padding."""
        if self.padding is None:
            return np.zeros(np.shape(stored), bool)
        low, high = self.padding
        return (stored >= low) & (stored <= high)

    @property
    def windows(self) -> tuple[Window, ...]:
        """Windows among `views`."""
        return tuple(view for view in self.views if isinstance(view, Window))


def read_pipeline(header: Dataset, frame: int = 0) -> Pipeline:
    """Read the grey-scale pipeline of one frame from a header.

    Each parameter is taken from the functional group of the frame, else from the shared one, else
    from the top level. Bad data never raises: invalid parameters are left out, with a note.

    >>> from pydicom.dataset import Dataset
    >>> header = Dataset()
    >>> header.Modality, header.RescaleSlope, header.RescaleIntercept = "CT", 1, -1024
    >>> header.WindowCenter, header.WindowWidth = [40, -600], [400, 1500]
    >>> pipeline = read_pipeline(header)
    >>> pipeline.units, [view.label for view in pipeline.views]
    ('HU', ['40/400', '-600/1500'])
    """
    sources: dict[str, str] = {}
    notes: Notes = []
    _numbers(header, "NumberOfFrames", notes)  # if invalid, frames are counted in the pixel data
    stored = _stored_range(header)
    swapped = transfer_syntax(header) == _BIG_ENDIAN
    photometric = text(header, "PhotometricInterpretation") or "MONOCHROME2"
    voi = _group(header, frame, "FrameVOILUTSequence", "WindowCenter", "VOILUTSequence", sources)
    scale = _group(
        header,
        frame,
        "PixelValueTransformationSequence",
        "RescaleSlope",
        "RescaleIntercept",
        sources,
    )
    slope, intercept, error = _read_rescale(header, scale, stored, notes)
    modality_luts = _read_luts(header, "ModalityLUTSequence", stored, swapped, notes)
    if modality_luts:
        error = ""  # the LUT takes precedence
    elif any(present(one, "LUTData") for one in items(header, "ModalityLUTSequence")):
        error = "Modality LUT Sequence cannot be read"
    pipeline = Pipeline(
        photometric=photometric,
        modality=text(header, "Modality"),
        slope=slope,
        intercept=intercept,
        modality_lut=modality_luts[0] if modality_luts else None,
        scale_error=error,
        measure_only=_is_for_measuring(header),
        units="" if error else _read_units(header, scale),
        function=_read_function(voi, notes),
        invert=photometric == "MONOCHROME1" or text(header, "PresentationLUTShape") == "INVERSE",
        padding=_read_padding(header, stored, notes),
        icc=_read_profile(header),
        sources=sources,
    )
    if error:
        notes.append(("BAD_RESCALE", f"{error}: stored values are shown"))
    if not error or pipeline.measure_only:  # else the scale of the windows is unknown
        ends = pipeline.for_display.to_modality(np.array(stored))
        luts = _read_luts(voi, "VOILUTSequence", (ends.min(), ends.max()), swapped, notes)
        windows = _read_windows(voi, pipeline.function, notes) or _read_fraction(header, notes)
        pipeline = replace(pipeline, views=(*luts, *windows))
    if photometric == "PALETTE COLOR":
        palette, red, problems = read_palette(header, swapped)
        notes += [("BAD_LUT", problem) for problem in problems]
        first = first_mapped(red, *stored) if red else 0
        pipeline = replace(pipeline, palette=palette, palette_first=first)
    return replace(pipeline, notes=tuple(dict.fromkeys(notes)))


def _numbers(group: Dataset | None, keyword: str, notes: Notes) -> Numbers:
    """Read the numbers of an element; note deviations from the standard."""
    numbers = read_numbers(group, keyword)
    if numbers.problem:
        notes.append(("BAD_NUMBER", numbers.problem))
    return numbers


def _stored_range(header: Dataset) -> tuple[float, float]:
    """Return the smallest and largest stored value that the header allows."""
    numbers = (read_numbers(header, keyword).first for keyword in ("BitsStored", "BitsAllocated"))
    bits = next((int(n) for n in numbers if n is not None and 1 <= n <= 64), 16)
    if read_numbers(header, "PixelRepresentation").first == 1:
        return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1


def _group(
    header: Dataset, frame: int, sequence: str, keyword: str, other: str, sources: dict[str, str]
) -> Dataset | None:
    """Return the data set that holds a parameter of this frame; record its source."""
    for level, group in groups(header, frame, sequence):
        for name in (keyword, other):
            if present(group, name):
                sources[name] = level
                return group
    return None


def _read_rescale(
    header: Dataset, scale: Dataset | None, stored: tuple[float, float], notes: Notes
) -> tuple[float, float, str]:
    """Read slope and intercept, 1 and 0 if absent, and the reason if they are unusable."""
    slope = _numbers(scale, "RescaleSlope", notes)
    intercept = _numbers(scale, "RescaleIntercept", notes)
    if not slope.values:
        slope = _numbers(header, "DoseGridScaling", notes)
    for numbers in (slope, intercept):
        if numbers.values and numbers.first is None:
            return 1.0, 0.0, numbers.problem
    if slope.first == 0:
        return 1.0, 0.0, "Rescale Slope is 0"
    factor = 1.0 if slope.first is None else slope.first
    offset = 0.0 if intercept.first is None else intercept.first
    with np.errstate(over="ignore"):
        ends = (np.array(stored) * factor + offset).astype(np.float32)
    if ends[0] == ends[1] or not np.isfinite(ends).all():
        text = f"Rescale Slope {factor:g} and Intercept {offset:g}"
        return 1.0, 0.0, f"{text}: values exceed the range of float32, or are all equal"
    return factor, offset, ""


def _is_for_measuring(header: Dataset) -> bool:
    """Return True for angiograms, whose Modality LUT maps the image back to X-Ray intensity.

    They have one if Pixel Intensity Relationship is LOG or DISP (PS3.3 A.14.3, C.8.7.1.1.2).
    """
    kind = text(header, "SOPClassUID")
    is_xray = kind in _XA_XRF if kind else text(header, "Modality") in ("XA", "RF")
    return is_xray and text(header, "PixelIntensityRelationship").upper() != "LIN"


def _read_units(header: Dataset, scale: Dataset | None) -> str:
    if units := text(scale, "RescaleType") or text(header, "RescaleType"):
        return units.upper()
    if text(header, "DoseGridScaling"):
        return text(header, "DoseUnits").upper()
    if text(header, "Modality") == "PT":
        return text(header, "Units").upper()
    # The default unit of a CT image with a rescale is HU (PS3.3 C.8.2.1.1.1).
    is_ct = text(header, "Modality") == "CT" and read_numbers(scale, "RescaleIntercept").values
    return "HU" if is_ct and "LOCALIZER" not in texts(header, "ImageType") else ""


def _read_function(voi: Dataset | None, notes: Notes) -> Function:
    name = text(voi, "VOILUTFunction").upper()
    if name == "SIGMOID":
        return "SIGMOID"
    if name == "LINEAR_EXACT":
        return "LINEAR_EXACT"
    if name not in ("", "LINEAR"):
        notes.append(("BAD_WINDOW", f"VOI LUT Function {name[:40]!r} is unknown: LINEAR is used"))
    return "LINEAR"


def _read_windows(voi: Dataset | None, function: Function, notes: Notes) -> list[Window]:
    """Read pairs of center and width, each an alternative view (PS3.3 C.11.2.1.2)."""
    centers = _numbers(voi, "WindowCenter", notes).values
    widths = _numbers(voi, "WindowWidth", notes).values
    names = texts(voi, "WindowCenterWidthExplanation")
    if len(centers) != len(widths):
        notes.append(("BAD_WINDOW", f"{len(centers)} centers for {len(widths)} widths"))
    windows = []
    for i, (center, width) in enumerate(zip(centers, widths, strict=False)):
        if center is None or width is None or width <= 0:
            pair = ", ".join("unreadable" if n is None else f"{n:g}" for n in (center, width))
            notes.append(("BAD_WINDOW", f"center and width {pair}: no window"))
            continue
        if width < 1 and function == "LINEAR":
            notes.append(("BAD_WINDOW", f"width {width:g} of LINEAR: used as LINEAR_EXACT"))
        windows.append(Window(center, width, function, names[i] if i < len(names) else ""))
    return windows


def _read_fraction(header: Dataset, notes: Notes) -> list[Window]:
    """Return the window of a fractional segmentation: 0 to its maximum (PS3.3 C.8.20.2.3)."""
    if text(header, "SegmentationType") != "FRACTIONAL":
        return []
    top = _numbers(header, "MaximumFractionalValue", notes).first
    return [Window(top / 2, top, "LINEAR_EXACT", "fraction")] if top and top > 0 else []


def _read_luts(
    group: Dataset | None, keyword: str, range_: tuple[float, float], swapped: bool, notes: Notes
) -> list[Lut]:
    """Read the LUTs of a sequence, for input values in a range."""
    luts = []
    for item in items(group, keyword):
        name = text(item, "LUTExplanation") or text(item, "ModalityLUTType")
        table = read_table(item, "LUTDescriptor", "LUTData", swapped=swapped)
        if isinstance(table, str):
            notes.append(("BAD_LUT", table))
            continue
        # A Modality LUT returns its entries as they are, however few bits they use.
        if keyword != "ModalityLUTSequence" or table.needed > table.bits:
            table = fit_bits(table)
        notes += [("BAD_LUT", problem) for problem in table.problems]
        luts.append(Lut(first_mapped(table, *range_), table.bits, table.entries, name))
    return luts


def _read_padding(
    header: Dataset, stored: tuple[float, float], notes: Notes
) -> tuple[float, float] | None:
    """Read the range of padding values (PS3.3 C.7.5.1.1.2), with the sign of stored values.

    Lossy compression changes padding, so the range is widened.
    """
    keyword = "FloatPixelPadding" if present(header, "FloatPixelPaddingValue") else "PixelPadding"
    value = _numbers(header, f"{keyword}Value", notes).first
    limit = _numbers(header, f"{keyword}RangeLimit", notes).first
    if value is None:
        return None
    ends = [value, value if limit is None else limit]
    if keyword == "PixelPadding":
        words = np.array([int(n) & 0xFFFF for n in ends], "u2")
        ends = (words.view("i2") if stored[0] < 0 else words).tolist()
    margin = 0
    if keyword == "PixelPadding" and _is_lossy(header):
        margin = 16 if stored[1] - stored[0] > 1023 else 4
    return float(min(ends) - margin), float(max(ends) + margin)


def _is_lossy(header: Dataset) -> bool:
    """Return True if lossy compression was applied (PS3.3 C.7.6.1.1.5)."""
    flag = text(header, "LossyImageCompression")
    return flag == "01" or (flag != "00" and transfer_syntax(header) in _LOSSY)


def _read_profile(header: Dataset) -> bytes | None:
    for group in (header, *items(header, "OpticalPathSequence")[:1]):
        value = group.get("ICCProfile")
        if isinstance(value, bytes) and len(value) > 128:
            return value
    return None

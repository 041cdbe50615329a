"""The grey chain of one frame, as its header states it: Modality LUT -> VOI -> Presentation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from wetread.pixels.access import groups, integer, is_many, items, numbers, text, texts

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Array = NDArray[Any]
Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window in modality values (PS3.3 C.11.2.1.2-3)."""

    center: float
    width: float
    function: Function = "LINEAR"
    name: str = ""
    """The file's explanation, or what made it: "auto", "full", a preset."""

    def __call__(self, values: Array) -> NDArray[np.float64]:
        """Modality values onto 0..1; a width of 0 or less is a threshold at the center.

        >>> Window(40, 400)(np.array([-161.0, 39.5, 241.0])).tolist()
        [0.0, 0.5, 1.0]
        """
        x = np.asarray(values, np.float64)
        if self.width <= 0:
            return (x > self.center).astype(np.float64)
        if self.function == "SIGMOID":
            # exp() overflows to infinity far below the center, where the result is 0 all the same.
            with np.errstate(over="ignore"):
                return 1 / (1 + np.exp(-4 * (x - self.center) / self.width))
        if self.function == "LINEAR" and self.width == 1:
            return (x > self.center - 0.5).astype(np.float64)
        # LINEAR wants a width of 1 or more: files with less mean LINEAR_EXACT.
        half = 0.5 if self.function == "LINEAR" and self.width > 1 else 0.0
        return np.clip((x - (self.center - half)) / (self.width - 2 * half) + 0.5, 0, 1)

    @property
    def label(self) -> str:
        """For a caption: "lung -600/1500"."""
        shape = "" if self.function == "LINEAR" else f" {self.function}"
        return f"{self.name} {self.center:.6g}/{self.width:.6g}{shape}".strip()


@dataclass(frozen=True, slots=True, eq=False)
class Lut:
    """A look-up table of a Modality or VOI LUT Sequence (PS3.3 C.11.1.1, C.11.2.1.1)."""

    first: int
    """The value that the first entry is for; smaller ones take it too, as larger ones the last."""
    bits: int
    entries: Array
    name: str = ""

    def __call__(self, values: Array) -> Array:
        """The entry of every value, as float64."""
        at = np.clip(np.asarray(values) - self.first, 0, len(self.entries) - 1)
        entries: Array = self.entries[at.astype(np.intp)].astype(np.float64)
        return entries

    @property
    def label(self) -> str:
        """For a caption."""
        return f"LUT {self.name}".strip()


View = Window | Lut
"""One of the file's own ways to look at its values."""


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Every parameter that leads from stored values to a picture, for one frame."""

    photometric: str
    modality: str
    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    units: str = ""
    """Of modality values: "HU", "US" (unspecified), "OD", "GY" ...; "" where nothing says."""
    views: tuple[View, ...] = ()
    """The file's VOI LUTs, then its windows; the first is shown by default."""
    function: Function = "LINEAR"
    invert: bool = False
    """MONOCHROME1, or Presentation LUT Shape INVERSE: the largest value is black."""
    padding: tuple[float, float] | None = None
    """Stored values, first and last, that stand for no image."""
    palette: Array | None = None
    """uint8 (entries, 3), and the stored value of its first entry."""
    palette_first: int = 0
    icc: bytes | None = None
    found: dict[str, str] = field(default_factory=dict)
    """Parameter -> where it was found: "frame", "shared" or "header"."""
    notes: tuple[tuple[str, str], ...] = ()
    """Findings, as (code, text)."""

    def to_modality(self, stored: Array) -> NDArray[np.float64]:
        """Stored values -> modality values, float64: through the LUT, or slope and intercept."""
        if self.modality_lut is not None:
            return np.asarray(self.modality_lut(stored), np.float64)
        if self.slope == 1 and self.intercept == 0:
            return np.asarray(stored, np.float64)
        return np.asarray(stored, np.float64) * self.slope + self.intercept

    def is_padding(self, stored: Array) -> NDArray[np.bool_]:
        """Which stored values stand for no image."""
        if self.padding is None:
            return np.zeros(np.shape(stored), bool)
        low, high = self.padding
        return (stored >= low) & (stored <= high)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows among the views."""
        return tuple(view for view in self.views if isinstance(view, Window))


def read_chain(header: Dataset, frame: int = 0) -> Chain:
    """The chain of one frame.

    Every parameter comes from the frame's own functional group, else the shared one, else the top
    level. Never raises for bad data: what cannot be is left out, with a note.

    >>> from pydicom.dataset import Dataset
    >>> header = Dataset()
    >>> header.Modality, header.RescaleSlope, header.RescaleIntercept = "CT", 1, -1024
    >>> header.WindowCenter, header.WindowWidth = [40, -600], [400, 1500]
    >>> chain = read_chain(header)
    >>> chain.units, [view.label for view in chain.views]
    ('HU', ['40/400', '-600/1500'])
    """
    found: dict[str, str] = {}
    notes: list[tuple[str, str]] = []
    signed = integer(header, "PixelRepresentation") == 1
    photometric = text(header, "PhotometricInterpretation") or "MONOCHROME2"
    voi = _group(header, frame, "FrameVOILUTSequence", "WindowCenter", found, "VOILUTSequence")
    scale = _group(
        header, frame, "PixelValueTransformationSequence", "RescaleSlope", found, "RescaleIntercept"
    )
    slope, intercept = _read_rescale(header, scale)
    modality_lut = _first(_read_luts(header, "ModalityLUTSequence", signed, notes))
    # The first value of a VOI LUT is signed where modality values may be (PS3.3 C.11.2.1.1).
    below_zero = modality_lut is None and (signed or intercept < 0 or slope < 0)
    luts = _read_luts(voi, "VOILUTSequence", below_zero, notes)
    function = _read_function(voi)
    palette, palette_first = _read_palette(header, photometric, notes)
    return Chain(
        photometric=photometric,
        modality=text(header, "Modality"),
        slope=slope,
        intercept=intercept,
        modality_lut=modality_lut,
        units=_read_units(header, scale),
        views=(*luts, *_read_windows(voi, function, notes)),
        function=function,
        invert=photometric == "MONOCHROME1" or text(header, "PresentationLUTShape") == "INVERSE",
        padding=_read_padding(header, signed),
        palette=palette,
        palette_first=palette_first,
        icc=_read_profile(header),
        found=found,
        notes=tuple(notes),
    )


def _group(
    header: Dataset, frame: int, sequence: str, keyword: str, found: dict[str, str], other: str = ""
) -> Dataset | None:
    """The data set that holds a parameter for this frame, and a record of where that was."""
    for place, group in groups(header, frame, sequence):
        if keyword in group or (other and other in group):
            found[keyword if keyword in group else other] = place
            return group
    return None


def _first(luts: list[Lut]) -> Lut | None:
    return luts[0] if luts else None


def _read_rescale(header: Dataset, scale: Dataset | None) -> tuple[float, float]:
    slope = (*numbers(scale, "RescaleSlope"), *numbers(header, "DoseGridScaling"), 1.0)[0]
    intercept = (*numbers(scale, "RescaleIntercept"), 0.0)[0]
    return slope or 1.0, intercept


def _read_units(header: Dataset, scale: Dataset | None) -> str:
    if units := text(scale, "RescaleType") or text(header, "RescaleType"):
        return units.upper()
    if text(header, "DoseGridScaling"):
        return text(header, "DoseUnits").upper()
    # A CT image with a rescale is in HU unless it says otherwise (PS3.3 C.8.2.1.1.1).
    is_ct = text(header, "Modality") == "CT" and numbers(scale, "RescaleIntercept")
    return "HU" if is_ct and "LOCALIZER" not in texts(header, "ImageType") else ""


def _read_function(voi: Dataset | None) -> Function:
    name = text(voi, "VOILUTFunction").upper()
    return (
        "SIGMOID" if name == "SIGMOID" else "LINEAR_EXACT" if name == "LINEAR_EXACT" else "LINEAR"
    )


def _read_windows(
    voi: Dataset | None, function: Function, notes: list[tuple[str, str]]
) -> list[Window]:
    """Center and width go in pairs, each an alternative view (PS3.3 C.11.2.1.2)."""
    centers, widths = numbers(voi, "WindowCenter"), numbers(voi, "WindowWidth")
    names = texts(voi, "WindowCenterWidthExplanation")
    if len(centers) != len(widths):
        notes.append(("BAD_WINDOW", f"{len(centers)} centers for {len(widths)} widths"))
    windows = []
    for i, (center, width) in enumerate(zip(centers, widths, strict=False)):
        name = names[i] if i < len(names) else ""
        windows.append(Window(center, width, function, name))
        if width <= 0:
            notes.append(("BAD_WINDOW", f"width {width:g}: shown as a threshold at {center:g}"))
    return windows


def _read_luts(
    group: Dataset | None, keyword: str, signed: bool, notes: list[tuple[str, str]]
) -> list[Lut]:
    luts = []
    for item in items(group, keyword):
        name = text(item, "LUTExplanation") or text(item, "ModalityLUTType")
        table = _read_table(item, "LUTDescriptor", "LUTData", notes)
        if table is not None:
            first, bits, entries = table
            first = first - 65536 if signed and first > 32767 else first
            luts.append(Lut(first, bits, entries, name))
    return luts


def _read_table(
    item: Dataset, descriptor: str, data: str, notes: list[tuple[str, str]]
) -> tuple[int, int, Array] | None:
    """First value, bits and entries of a look-up table; None, with a note, where it has none."""
    head = [int(n) for n in numbers(item, descriptor)]
    entries = _read_entries(item, data, head)
    if len(head) != 3 or not len(entries) or not 1 <= head[2] <= 16:
        notes.append(("BAD_LUT", f"{data}: descriptor {head}, {len(entries)} entries"))
        return None
    announced, first, bits = head[0] & 0xFFFF or 65536, head[1], head[2]
    if len(entries) < announced:
        notes.append(("BAD_LUT", f"{data}: {len(entries)} entries of {announced}"))
    entries = entries[:announced]
    # Some files say 16 bits and hold 8: then 255 is the brightest they mean.
    return first, 8 if bits == 16 and entries.max() < 256 else bits, entries


def _read_entries(item: Dataset, keyword: str, head: list[int]) -> Array:
    try:
        value = item.get(keyword)
    except Exception:  # noqa: BLE001 - pydicom converts at access
        return np.zeros(0, "u2")
    if isinstance(value, bytes):
        # Entries of 8 bits may lie two to a word (PS3.3 C.11.1.1.1).
        packed = len(head) == 3 and len(value) < 2 * (head[0] & 0xFFFF or 65536)
        small = packed and head[2] <= 8
        return np.frombuffer(value, "u1" if small else "<u2", len(value) // (1 if small else 2))
    many = value if is_many(value) else () if value is None or value == "" else (value,)
    return np.array([int(n) & 0xFFFF for n in many], "u2")


def _read_palette(
    header: Dataset, photometric: str, notes: list[tuple[str, str]]
) -> tuple[Array | None, int]:
    """The palette as uint8 (entries, 3); segmented ones expanded by pydicom (PS3.3 C.7.9.2)."""
    if photometric != "PALETTE COLOR":
        return None, 0
    channels, first = [], 0
    for colour in ("Red", "Green", "Blue"):
        descriptor = f"{colour}PaletteColorLookupTableDescriptor"
        data = f"{colour}PaletteColorLookupTableData"
        if f"Segmented{data}" in header:
            return _read_segmented(header, notes)
        table = _read_table(header, descriptor, data, notes)
        if table is None:
            return None, 0
        first, bits, entries = table
        channels.append((entries >> bits - 8 if bits > 8 else entries).astype(np.uint8))
    size = min(len(channel) for channel in channels)
    return np.stack([channel[:size] for channel in channels], axis=-1), first


def _read_segmented(header: Dataset, notes: list[tuple[str, str]]) -> tuple[Array | None, int]:
    from pydicom.pixels.processing import apply_color_lut

    try:
        head = [int(n) for n in numbers(header, "RedPaletteColorLookupTableDescriptor")]
        indices = np.arange(head[1], head[1] + (head[0] or 65536))
        colours = apply_color_lut(indices, header)[..., :3]
        return (colours >> 8 if colours.dtype.itemsize > 1 else colours).astype("u1"), head[1]
    except Exception as error:  # noqa: BLE001 - damaged segments raise whatever comes
        notes.append(("BAD_LUT", f"segmented palette: {type(error).__name__}"))
        return None, 0


def _read_padding(header: Dataset, signed: bool) -> tuple[float, float] | None:
    """The range of padding values (PS3.3 C.7.5.1.1.2), in the sign of the stored values."""
    keyword = "FloatPixelPadding" if "FloatPixelPaddingValue" in header else "PixelPadding"
    ends = [*numbers(header, f"{keyword}Value")[:1], *numbers(header, f"{keyword}RangeLimit")[:1]]
    if not ends or not numbers(header, f"{keyword}Value"):
        return None
    if keyword == "PixelPadding":
        words = np.array([int(n) & 0xFFFF for n in ends], "u2")
        bits = integer(header, "BitsAllocated") or 16
        if bits == 16:
            ends = (words.view("i2") if signed else words).tolist()
    return float(min(ends)), float(max(ends))


def _read_profile(header: Dataset) -> bytes | None:
    for group in (header, *items(header, "OpticalPathSequence")[:1]):
        value = group.get("ICCProfile")
        if isinstance(value, bytes) and len(value) > 128:
            return value
    return None

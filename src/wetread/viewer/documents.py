"""Files without an image as text: structured reports, documents, presentation states, waveforms."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from wetread.common.text import counted
from wetread.pixels.access import items, read_numbers, text
from wetread.viewer.header import MASK

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_LINES, MAX_DEPTH, MAX_LENGTH = 2000, 32, 4000
"""Limits of lines, of nesting, and of the characters of a value."""
_STATE, _WAVEFORM = "1.2.840.10008.5.1.4.1.1.11.", "1.2.840.10008.5.1.4.1.1.9."
_FREE = {
    "TEXT": "TextValue",
    "PNAME": "PersonName",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
    "UIDREF": "UID",
}
"""Element of each Value Type whose values may identify a person."""


@dataclass(frozen=True, slots=True)
class Line:
    """Line of a document, indented by `depth`."""

    depth: int
    relation: str
    """Relationship Type to the line above with a smaller depth, such as CONTAINS."""
    name: str
    value: str
    masked: bool = False


def read_document(header: Dataset, masked: bool) -> dict[str, Any]:
    """Contents of a file without an image.

    Args:
        header: its header.
        masked: hide names, dates, UIDs and free text; codes and numbers are shown.

    Returns:
        `lines`, at most `MAX_LINES`, and `more`: True if the file has further ones.
    """
    kind = text(header, "SOPClassUID")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "ContentSequence" in header or "ConceptNameCodeSequence" in header:
            lines = _walk(header, masked, 0)
        elif "EncapsulatedDocument" in header:
            lines = _document(header, masked)
        elif kind.startswith(_STATE):
            lines = _state(header, masked)
        elif kind.startswith(_WAVEFORM):
            lines = _waveform(header)
        else:
            lines = iter(())
        found = list(islice(lines, MAX_LINES + 1))
    more = len(found) > MAX_LINES
    rows = [[one.depth, one.relation, one.name, one.value, one.masked] for one in found]
    return {"lines": rows[:MAX_LINES], "more": more}


def _walk(item: Dataset, masked: bool, depth: int) -> Iterator[Line]:
    """Lines of a content item and those below it (PS3.3 C.17.3), in order."""
    kind = text(item, "ValueType").upper()
    value = _VALUES.get(kind, _free)(item)
    hidden = masked and kind in _FREE and bool(value)
    name = _meaning(item, "ConceptNameCodeSequence") or kind.lower()
    relation = text(item, "RelationshipType") if depth else ""
    if "ReferencedContentItemIdentifier" in item:
        steps = read_numbers(item, "ReferencedContentItemIdentifier").values
        name, value = "see item", ".".join(f"{step:g}" for step in steps if step is not None)
    yield Line(depth, relation, name, MASK if hidden else value[:MAX_LENGTH], hidden)
    if depth < MAX_DEPTH:
        for below in items(item, "ContentSequence"):
            yield from _walk(below, masked, depth + 1)


def _meaning(item: Dataset, sequence: str) -> str:
    """Code Meaning of a coded entry, else its value."""
    code = next(iter(items(item, sequence)), None)
    if code is None:
        return ""
    return text(code, "CodeMeaning") or text(code, "CodeValue")


def _free(item: Dataset) -> str:
    return text(item, _FREE.get(text(item, "ValueType").upper(), "TextValue"))


def _number(item: Dataset) -> str:
    measured = next(iter(items(item, "MeasuredValueSequence")), None)
    if measured is None:
        reason = _meaning(item, "NumericValueQualifierCodeSequence")
        return reason or "no value"
    code = next(iter(items(measured, "MeasurementUnitsCodeSequence")), None)
    unit = "" if code is None else text(code, "CodeValue")
    if unit in ("1", "{no units}", "") or unit.startswith("{"):  # UCUM: a number without unit
        unit = ""
    return f"{text(measured, 'NumericValue')} {unit}".strip()


def _reference(item: Dataset) -> str:
    from pydicom.uid import UID

    found = []
    for one in items(item, "ReferencedSOPSequence"):
        frames = [f"{n:g}" for n in read_numbers(one, "ReferencedFrameNumber").values if n]
        uid = UID(text(one, "ReferencedSOPClassUID"))
        kind = uid.name if uid.name != uid else "object"
        found.append(kind + (f", frame {', '.join(frames[:8])}" if frames else ""))
    return "; ".join(found)


def _graphic(item: Dataset) -> str:
    values = len(read_numbers(item, "GraphicData").values)
    points = values // (3 if text(item, "ValueType").upper() == "SCOORD3D" else 2)
    return f"{text(item, 'GraphicType').lower()}, {counted(points, 'point')}"


_VALUES: dict[str, Callable[[Dataset], str]] = {
    "CONTAINER": lambda item: "",
    "CODE": lambda item: _meaning(item, "ConceptCodeSequence"),
    "NUM": _number,
    "IMAGE": _reference,
    "COMPOSITE": _reference,
    "WAVEFORM": _reference,
    "SCOORD": _graphic,
    "SCOORD3D": _graphic,
    "TCOORD": lambda item: text(item, "TemporalRangeType").lower(),
}


def _document(header: Dataset, masked: bool) -> Iterator[Line]:
    """Lines about an encapsulated PDF, CDA or model."""
    yield from _texts(header, masked, ("DocumentTitle", "Title"))
    if named := _meaning(header, "ConceptNameCodeSequence"):
        yield Line(0, "", "Kind of document", named)
    yield Line(0, "", "Type", text(header, "MIMETypeOfEncapsulatedDocument"))
    length = read_numbers(header, "EncapsulatedDocumentLength").first
    raw = header.get_item("EncapsulatedDocument")
    size = length or len(getattr(raw, "value", None) or b"") or getattr(raw, "length", 0)
    yield Line(0, "", "Size", f"{size:,.0f} bytes")


def _state(header: Dataset, masked: bool) -> Iterator[Line]:
    """Lines about a presentation state."""
    yield Line(0, "", "Label", text(header, "ContentLabel"))
    yield from _texts(header, masked, ("ContentDescription", "Description"))
    series = items(header, "ReferencedSeriesSequence")
    count = sum(len(items(one, "ReferencedImageSequence")) for one in series)
    yield Line(0, "", "Images", f"{count:,}")
    for layer in items(header, "GraphicAnnotationSequence"):
        for one in items(layer, "TextObjectSequence"):
            yield from _texts(one, masked, ("UnformattedTextValue", "Text"))
        if graphics := len(items(layer, "GraphicObjectSequence")):
            yield Line(0, "", "Graphics", f"{graphics:,}")


def _waveform(header: Dataset) -> Iterator[Line]:
    """Lines about the channels of a waveform."""
    for number, group in enumerate(items(header, "WaveformSequence"), 1):
        samples = read_numbers(group, "NumberOfWaveformSamples").first or 0
        rate = read_numbers(group, "SamplingFrequency").first
        value = f"{samples:,.0f} samples" + (f" at {rate:g} Hz" if rate else "")
        yield Line(0, "", f"Waveform {number}", value)
        for channel in items(group, "ChannelDefinitionSequence"):
            yield Line(1, "", "Channel", _meaning(channel, "ChannelSourceSequence"))


def _texts(header: Dataset, masked: bool, name: tuple[str, str]) -> Iterator[Line]:
    """Line with a text, if there is one."""
    keyword, label = name
    if value := text(header, keyword):
        yield Line(0, "", label, MASK if masked else value[:MAX_LENGTH], masked)

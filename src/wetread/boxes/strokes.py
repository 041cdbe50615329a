"""Strokes: the changes that a reader makes to the boxes of an image, and their replay.

A stroke puts, deletes or resolves one item of an image; an item is a box, a point, the rejection of
a box by somebody else, or the verdict on the image. Items have revisions: a stroke names the one
that it changes (`base`), and it is a conflict if another stroke was faster.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from wetread.errors import UsageError

VERSION = 1
"""Version of a line of a log."""
VERDICT = "verdict"
"""Item of an image that holds the verdict on it."""
VERDICTS = ("nothing", "unsure", "bad image")
"""Verdicts of a reader; "nothing" is "no finding"."""
SHAPES = ("box", "point", "reject")
OPERATIONS = ("put", "delete", "resolve")
SAVED, CONFLICT = "saved", "conflict"
MOST_LABEL, MOST_READER = 64, 62
"""Maximum lengths in characters: a code meaning and a name of DICOM (PS3.5 6.2)."""
MOST_FRAME = 2**31 - 1
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IMAGE = re.compile(r"[0-9a-f]{16}")
_UNIQUE = ("uuid", "op", "image", "item", "base")
_CONTENT = ("kind", "label", "frame", "corners", "target", "blind")


class Stroke(NamedTuple):
    """One change of one item."""

    uuid: str
    """Made by the browser: the same stroke sent twice is one."""
    op: str
    """put, delete, or resolve: close a conflict; its UUID is the item then."""
    image: str
    """Id of the index row."""
    item: str
    """UUID of the item; `VERDICT` for the verdict on the image."""
    base: int
    """Revision of the item that the stroke changes; 0 for a new item."""
    kind: str = ""
    """Of a put: box, point, reject, or one of VERDICTS."""
    label: str | None = None
    frame: int | None = None
    """From 0; None for the whole instance."""
    corners: tuple[float, ...] | None = None
    """x0, y0, x1, y1 in stored pixels, edges; equal corners for a point."""
    target: Mapping[str, Any] | None = None
    """Box by somebody else that was accepted, relabelled or rejected: from, label, corners."""
    blind: bool = True
    """False if the reader saw the boxes of others."""

    def to_json(self) -> dict[str, Any]:
        """Values for a line of the log, without those that are absent."""
        return {name: value for name, value in self._asdict().items() if value not in (None, "")}


def parse_stroke(data: Any) -> Stroke:
    """Validate a stroke from JSON.

    Raises:
        UsageError: names the first value that is missing or wrong.

    >>> parse_stroke({"op": "put"})
    Traceback (most recent call last):
    wetread.errors.UsageError: uuid None is not a UUID in lower case
    """
    if not isinstance(data, Mapping):
        raise UsageError("a stroke is a JSON object")
    unknown = sorted(set(data) - {*_UNIQUE, *_CONTENT})
    if unknown:
        raise UsageError(f"a stroke has no value {unknown[0][:40]!r}")
    op, item, base = (data.get(name) for name in ("op", "item", "base"))
    _check(_is_uuid(data.get("uuid")), "uuid", data.get("uuid"), "not a UUID in lower case")
    _check(op in OPERATIONS, "op", op, f"none of {', '.join(OPERATIONS)}")
    image = data.get("image")
    _check(isinstance(image, str) and _IMAGE.fullmatch(image), "image", image, "not an image id")
    _check(_is_uuid(item) or item == VERDICT, "item", item, "neither a UUID nor 'verdict'")
    _check(_is_count(base), "base", base, "not a revision")
    stroke = Stroke(*(data[name] for name in _UNIQUE))
    stroke = stroke._replace(blind=data.get("blind", True) is not False)
    return _parse_content(stroke, data) if op == "put" else stroke


def _parse_content(stroke: Stroke, data: Mapping[str, Any]) -> Stroke:
    kind = data.get("kind")
    known = VERDICTS if stroke.item == VERDICT else SHAPES
    _check(kind in known, "kind", kind, f"none of {', '.join(known)}")
    stroke = stroke._replace(kind=str(kind))
    if kind in VERDICTS:
        return stroke
    frame, target = data.get("frame"), data.get("target")
    _check(frame is None or _is_count(frame), "frame", frame, "not a frame number from 0")
    if target is not None:
        target = _parse_target(target)
    if kind == "reject":
        _check(target is not None, "target", target, "missing: name the box to reject")
        return stroke._replace(frame=frame, target=target)
    label = check_name(data.get("label"), "label", MOST_LABEL)
    corners = _parse_corners(data.get("corners"), str(kind))
    return stroke._replace(label=label, frame=frame, corners=corners, target=target)


def _parse_target(target: Any) -> dict[str, Any]:
    _check(isinstance(target, Mapping), "target", target, "not a JSON object")
    wrong = set(target) != {"from", "label", "corners"}
    _check(not wrong, "target", target, "not an object of from, label and corners")
    return {
        "from": check_name(target["from"], "target", MOST_READER),
        "label": check_name(target["label"], "label", MOST_LABEL),
        "corners": list(_parse_corners(target["corners"], "")),
    }


def _parse_corners(corners: Any, kind: str) -> tuple[float, ...]:
    numbers = corners if isinstance(corners, list | tuple) else ()
    finite = len(numbers) == 4 and all(
        isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers
    )
    _check(finite, "corners", corners, "not four numbers")
    x0, y0, x1, y1 = numbers
    if kind == "box":
        _check(x0 < x1 and y0 < y1, "corners", corners, "not a box: x0 < x1 and y0 < y1")
    if kind == "point":
        _check(x0 == x1 and y0 == y1, "corners", corners, "not a point: equal corners")
    return tuple(map(float, numbers))


def check_name(name: Any, what: str, most: int) -> str:
    """Validate the name of a label or a reader: printable, not blank, of at most `most` characters.

    Names are data: they are stored and shown as text, and are no part of a path.

    Raises:
        UsageError: invalid name.
    """
    _check(isinstance(name, str) and name.strip() == name and name, what, name, "no name")
    _check(len(name) <= most, what, name, f"longer than {most} characters")
    _check(name.isprintable(), what, name, "a name with invisible characters")
    return str(name)


def check_reader(name: Any) -> str:
    r"""Validate the name of a reader, which DICOM SR must be able to store.

    >>> check_reader("../R1")
    Traceback (most recent call last):
    wetread.errors.UsageError: reader '../R1' has one of the characters / \ ^ =
    """
    reader = check_name(name, "reader", MOST_READER)
    _check(not set(reader) & set("/\\^="), "reader", reader, "has one of the characters / \\ ^ =")
    return reader


def _check(valid: Any, name: str, value: Any, reason: str) -> None:
    if not valid:
        verb = "" if reason.startswith("has ") else "is "
        raise UsageError(f"{name} {repr(value)[:80]} {verb}{reason}")


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_FRAME


class Outcome(NamedTuple):
    """Result of a stroke."""

    status: str
    """SAVED or CONFLICT."""
    revision: int
    """Revision of the item afterwards."""


@dataclass(slots=True)
class Item:
    """Newest state of an item; `stroke` is None once it is deleted."""

    revision: int
    stroke: Stroke | None


@dataclass(slots=True)
class Replay:
    """State of the items of one reader after a number of strokes."""

    images: dict[str, dict[str, Item]] = field(default_factory=dict)
    """Items by image and id, deleted ones included."""
    conflicts: dict[str, dict[str, Stroke]] = field(default_factory=dict)
    """Unresolved strokes with a stale base, by image and UUID."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """Outcome of every stroke by UUID."""
    read: set[str] = field(default_factory=set)
    """Images with a box, a point or a verdict."""

    def judge(self, stroke: Stroke) -> Outcome:
        """Outcome that a stroke will have; see `apply`."""
        if stroke.uuid in self.outcomes:
            return self.outcomes[stroke.uuid]
        if stroke.op == "resolve":
            return Outcome(SAVED, 0)
        item = self.images.get(stroke.image, {}).get(stroke.item)
        revision = item.revision if item else 0
        if stroke.base != revision:
            return Outcome(CONFLICT, revision)
        return Outcome(SAVED, revision + 1)

    def apply(self, stroke: Stroke) -> Outcome:
        """Apply a stroke; one that was applied before changes nothing."""
        outcome = self.judge(stroke)
        if stroke.uuid in self.outcomes:
            return outcome
        self.outcomes[stroke.uuid] = outcome
        if stroke.op == "resolve":
            self.conflicts.get(stroke.image, {}).pop(stroke.item, None)
        elif outcome.status == CONFLICT:
            self.conflicts.setdefault(stroke.image, {})[stroke.uuid] = stroke
        else:
            items = self.images.setdefault(stroke.image, {})
            items[stroke.item] = Item(outcome.revision, stroke if stroke.op == "put" else None)
            if any(item.stroke and item.stroke.kind != "reject" for item in items.values()):
                self.read.add(stroke.image)
            else:
                self.read.discard(stroke.image)
        return outcome

    def marks(self, image: str) -> list[Stroke]:
        """Boxes, points and rejections of an image, in the order in which they were made."""
        items = self.images.get(image, {}).items()
        return [item.stroke for id_, item in items if item.stroke and id_ != VERDICT]

    def verdict(self, image: str) -> str | None:
        """Verdict on an image."""
        item = self.images.get(image, {}).get(VERDICT)
        return item.stroke.kind if item and item.stroke else None

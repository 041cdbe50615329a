"""Strokes as the browser sends them, for tests of logs and of the viewer."""

from __future__ import annotations

import uuid
from typing import Any

IMAGE = "0123456789abcdef"


def make_stroke(op: str = "put", **values: Any) -> dict[str, Any]:
    """Stroke with new UUIDs; by default a box on the image `IMAGE`.

    >>> stroke = make_stroke("delete", base=2)
    >>> stroke["op"], stroke["base"], "label" in stroke
    ('delete', 2, False)
    """
    made, item = str(uuid.uuid4()), str(uuid.uuid4())
    stroke: dict[str, Any] = {"uuid": made, "op": op, "image": IMAGE, "item": item, "base": 0}
    if op == "put" and values.get("item") != "verdict":
        stroke |= {"kind": "box", "label": "Nodule/Mass", "corners": [1, 2, 3.5, 4]}
    return stroke | values

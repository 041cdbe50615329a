"""Boxes: read, joined to images, checked, compared, merged and written."""

from __future__ import annotations

from wetread.boxes.collection import Boxes
from wetread.boxes.table import BOX_SCHEMA

__all__ = ["BOX_SCHEMA", "Boxes"]

"""Bounding boxes: read, join to images, check, compare, merge and write label files."""

from __future__ import annotations

from wetread.boxes.collection import Boxes
from wetread.boxes.table import BOX_SCHEMA

__all__ = ["BOX_SCHEMA", "Boxes"]

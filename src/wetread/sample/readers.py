"""Simulated readers, three per image, with misses, jitter, confusions and false positives."""

from __future__ import annotations

import numpy as np

from wetread.sample.lesions import CLASSES, MASS, OPACITY
from wetread.sample.shapes import Corners

Marked = list[tuple[str, Corners]]
"""(label, corners) of the boxes of one reader; empty for no finding."""
_FREQUENT = ("R8", "R9", "R10")
"""In VinBigData, three of seventeen readers wrote most rows."""
_OTHERS = tuple(f"R{number}" for number in (*range(1, 8), *range(11, 18)))
_MISSED, _IMAGINED, _CONFUSED, _JITTER = 0.12, 0.03, 0.08, 0.035
_SIMILAR = {MASS: OPACITY, OPACITY: MASS}


def read_image(
    truth: Marked, shape: tuple[int, int], rng: np.random.Generator
) -> dict[str, Marked]:
    """Boxes of three readers, by id, on an image of (rows, columns)."""
    trio = _FREQUENT if rng.random() < 0.6 else rng.choice(_OTHERS, 3, replace=False)
    return {str(reader): _read(truth, shape, rng) for reader in sorted(trio)}


def _read(truth: Marked, shape: tuple[int, int], rng: np.random.Generator) -> Marked:
    marked = []
    for label, corners in truth:
        if rng.random() < _MISSED:
            continue
        read = _SIMILAR.get(label, label) if rng.random() < _CONFUSED else label
        marked.append((read, _jitter(corners, shape, rng)))
    if rng.random() < _IMAGINED:
        rows, columns = shape
        x, y = rng.uniform(0.2, 0.6) * columns, rng.uniform(0.2, 0.6) * rows
        side = rng.uniform(0.1, 0.2) * columns
        label = str(rng.choice(list(CLASSES.values())))
        marked.append((label, _jitter((x, y, x + side, y + side), shape, rng)))
    return marked


def _jitter(corners: Corners, shape: tuple[int, int], rng: np.random.Generator) -> Corners:
    """Corners with noise, rounded to whole pixels inside the image."""
    x0, y0, x1, y1 = corners
    spread = np.array([x1 - x0, y1 - y0] * 2) * _JITTER
    moved = np.rint(np.array(corners) + rng.standard_normal(4) * spread)
    low = np.clip(moved[:2], 0, [shape[1] - 2, shape[0] - 2])
    high = np.clip(moved[2:], low + 2, [shape[1], shape[0]])
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])

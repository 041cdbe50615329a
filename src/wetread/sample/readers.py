"""Three simulated readers an image, who miss, jitter, confuse and imagine."""

from __future__ import annotations

import numpy as np

from wetread.sample.lesions import CLASSES, MASS, OPACITY

Corners = tuple[float, float, float, float]
Marked = list[tuple[str, Corners]]
"""(label, corners) of the boxes of one reader; none where nothing was found."""
_EAGER = ("R8", "R9", "R10")
"""In VinBigData three of seventeen readers wrote most rows."""
_OTHERS = tuple(f"R{number}" for number in (*range(1, 8), *range(11, 18)))
_MISSED, _IMAGINED, _CONFUSED, _JITTER = 0.12, 0.03, 0.08, 0.035
_ALIKE = {MASS: OPACITY, OPACITY: MASS}


def read_image(
    truth: Marked, shape: tuple[int, int], chance: np.random.Generator
) -> dict[str, Marked]:
    """What three readers, by id, mark on an image of (rows, columns)."""
    trio = _EAGER if chance.random() < 0.6 else chance.choice(_OTHERS, 3, replace=False)
    return {str(reader): _read(truth, shape, chance) for reader in sorted(trio)}


def _read(truth: Marked, shape: tuple[int, int], chance: np.random.Generator) -> Marked:
    marked = []
    for label, corners in truth:
        if chance.random() < _MISSED:
            continue
        said = _ALIKE.get(label, label) if chance.random() < _CONFUSED else label
        marked.append((said, _jitter(corners, shape, chance)))
    if chance.random() < _IMAGINED:
        rows, columns = shape
        x, y = chance.uniform(0.2, 0.6) * columns, chance.uniform(0.2, 0.6) * rows
        side = chance.uniform(0.1, 0.2) * columns
        label = str(chance.choice(list(CLASSES.values())))
        marked.append((label, _jitter((x, y, x + side, y + side), shape, chance)))
    return marked


def _jitter(corners: Corners, shape: tuple[int, int], chance: np.random.Generator) -> Corners:
    """Whole pixels, near the corners and inside the image."""
    x0, y0, x1, y1 = corners
    spread = np.array([x1 - x0, y1 - y0] * 2) * _JITTER
    moved = np.rint(np.array(corners) + chance.standard_normal(4) * spread)
    low = np.clip(moved[:2], 0, [shape[1] - 2, shape[0] - 2])
    high = np.clip(moved[2:], low + 2, [shape[1], shape[0]])
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])

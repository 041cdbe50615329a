"""Canvas and drawing primitives of phantoms: soft edges, ridges, noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.imaging import resize

Plane = NDArray[np.floating[Any]]
Corners = tuple[float, float, float, float]


@dataclass(eq=False)
class Phantom:
    """Canvas of a synthetic radiograph; `draw_phantom` draws one."""

    density: Plane
    """(rows, columns), from 0 (black) to 1 (white)."""
    x: Plane
    y: Plane
    rng: np.random.Generator
    lungs: list[Plane] = field(default_factory=list)
    """Masks of the right and the left lung: 1 inside, 0 outside."""
    boxes: list[tuple[str, Corners]] = field(default_factory=list)
    """(label, corners) of the lesions, in pixels, edge coordinates."""

    def mark(self, label: str, mask: NDArray[np.bool_]) -> None:
        """Add a lesion: the bounding box of a mask."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows) > 2 and len(columns) > 2:
            low, high = (float(columns[0]), float(rows[0])), (columns[-1] + 1.0, rows[-1] + 1.0)
            self.boxes.append((label, (*low, float(high[0]), float(high[1]))))


def step(distance: Plane, softness: float) -> Plane:
    """Smooth step from 0 to 1 at distance 0: a cubic, cheaper than tanh.

    >>> step(np.array([-1.0, 0.0, 1.0]), 0.1).tolist()
    [0.0, 0.5, 1.0]
    """
    t = np.clip(distance / (3 * softness) + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def bump(distance: Plane, width: float) -> Plane:
    """Soft ridge (Gaussian): 1 at distance 0, below 0.02 from twice the width."""
    return np.asarray(np.exp(-((distance / width) ** 2)), np.float32)


def clouds(rng: np.random.Generator, shape: tuple[int, ...], grain: int) -> Plane:
    """Smooth normal noise with features of about shape / grain pixels."""
    small = rng.standard_normal((grain + 2, grain + 2)).astype(np.float32)
    return np.asarray(resize(small, (shape[0], shape[1])), np.float32)

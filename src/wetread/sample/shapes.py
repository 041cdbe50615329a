"""What phantoms are drawn with: soft edges, clouds, and the planes they live in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.imaging import resize

Plane = NDArray[np.floating[Any]]


def step(distance: Plane, softness: float) -> Plane:
    """From 0 to 1 where the distance goes through 0: a cubic, which is cheaper than tanh.

    >>> step(np.array([-1.0, 0.0, 1.0]), 0.1).tolist()
    [0.0, 0.5, 1.0]
    """
    t = np.clip(distance / (3 * softness) + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def bump(distance: Plane, width: float) -> Plane:
    """A soft ridge: 1 at 0, and next to nothing from twice the width on."""
    return np.asarray(np.exp(-((distance / width) ** 2)), np.float32)


def clouds(chance: np.random.Generator, shape: tuple[int, ...], grain: int) -> Plane:
    """Normal noise whose features are about shape / grain pixels."""
    small = chance.standard_normal((grain + 2, grain + 2)).astype(np.float32)
    return np.asarray(resize(small, (shape[0], shape[1])), np.float32)

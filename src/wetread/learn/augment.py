"""Augmentation of radiographs, determined by seed, epoch and item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wetread.errors import UsageError


class Change(NamedTuple):
    """Augmentation of one image; the default is the identity."""

    zoom: float = 1.0
    shift_x: float = 0.0
    """As a share of the width of the image."""
    shift_y: float = 0.0
    flipped: bool = False
    contrast: float = 1.0
    """Factor of the distance from mid grey, after the window."""
    brightness: float = 0.0
    """Added after contrast."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise, added last."""
    noise_seed: int = 0


@dataclass(frozen=True, slots=True)
class Augment:
    """Ranges of the augmentation; each parameter is drawn uniformly from its range.

    No rotation, because the bounding box of a rotated box is larger, and no vertical flip, because
    radiographs are not acquired upside down.

    >>> Augment().draw(seed=0, epoch=3, item=7) == Augment().draw(seed=0, epoch=3, item=7)
    True
    """

    shift: float = 0.05
    """Maximum shift in each direction, as a share of width and height."""
    scale: float = 0.1
    """Maximum change of the zoom from 1."""
    contrast: float = 0.2
    """Maximum change of the contrast from 1."""
    brightness: float = 0.1
    """Maximum added or subtracted brightness, in the range 0 to 1."""
    noise: float = 0.02
    """Maximum standard deviation of Gaussian noise."""
    flip: float = 0.0
    """Probability of a horizontal flip; a flipped chest shows situs inversus."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            limit = 0.5 if name in ("shift", "scale") else 1
            if not 0 <= getattr(self, name) <= limit:
                raise UsageError(f"{name} must be from 0 to {limit}, not {getattr(self, name)}")

    def draw(self, seed: int, epoch: int, item: int) -> Change:
        """Draw the augmentation of an item in an epoch."""
        random = np.random.default_rng([seed, epoch, item])
        uniform = random.uniform(-1, 1, 5).tolist()
        flip, noise = random.uniform(0, 1, 2).tolist()
        return Change(
            zoom=1 + self.scale * uniform[0],
            shift_x=self.shift * uniform[1],
            shift_y=self.shift * uniform[2],
            flipped=flip < self.flip,
            contrast=1 + self.contrast * uniform[3],
            brightness=self.brightness * uniform[4],
            noise=self.noise * noise,
            noise_seed=int(random.integers(1 << 62)),
        )

"""Small changes to radiographs, the same ones for the same seed, epoch and item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wetread.errors import UsageError


class Change(NamedTuple):
    """What is done to one picture; by default nothing."""

    zoom: float = 1.0
    shift_x: float = 0.0
    """In shares of the picture's width."""
    shift_y: float = 0.0
    flipped: bool = False
    contrast: float = 1.0
    """Times the distance from mid grey, after the window."""
    brightness: float = 0.0
    """Added then."""
    noise: float = 0.0
    """Standard deviation of what is added last."""
    noise_seed: int = 0


@dataclass(frozen=True, slots=True)
class Augment:
    """How far pictures may be changed; every change is drawn evenly from its range.

    There is no rotation, as a box would have to grow with it, and no vertical flip, as nobody is
    X-rayed upside down.

    >>> Augment().draw(seed=0, epoch=3, item=7) == Augment().draw(seed=0, epoch=3, item=7)
    True
    """

    shift: float = 0.05
    """Up to so far each way, in shares of width and height."""
    scale: float = 0.1
    """Up to so much larger or smaller."""
    contrast: float = 0.2
    """Up to so much more or less."""
    brightness: float = 0.1
    """Up to so much added or taken, of the range 0 to 1."""
    noise: float = 0.02
    """Gaussian noise of up to this standard deviation."""
    flip: float = 0.0
    """How often left and right change sides. On a chest the heart would be on the wrong side."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 <= getattr(self, name) <= (0.5 if name in ("shift", "scale") else 1):
                raise UsageError(f"{name}={getattr(self, name)}: shares go from 0 to 1, or to 0.5")

    def draw(self, seed: int, epoch: int, item: int) -> Change:
        """The change of an item in an epoch."""
        chance = np.random.default_rng([seed, epoch, item])
        evenly = chance.uniform(-1, 1, 5).tolist()
        flip, noise = chance.uniform(0, 1, 2).tolist()
        return Change(
            zoom=1 + self.scale * evenly[0],
            shift_x=self.shift * evenly[1],
            shift_y=self.shift * evenly[2],
            flipped=flip < self.flip,
            contrast=1 + self.contrast * evenly[3],
            brightness=self.brightness * evenly[4],
            noise=self.noise * noise,
            noise_seed=int(chance.integers(1 << 62)),
        )

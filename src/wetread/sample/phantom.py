"""Phantom chest radiographs: computed anatomy, no patient's.

Coordinates: x from -1 (left edge) to 1, y from -1 (top) to 1 at the bottom, the patient's left on
the right as on a film; density from 0, black, to 1, white.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.imaging import blur_gaussian, resize
from wetread.sample import lesions

Plane = NDArray[np.floating[Any]]
Corners = tuple[float, float, float, float]
RIBS = 9


@dataclass(eq=False)
class Phantom:
    """A radiograph in the making; `draw_phantom` makes one."""

    density: Plane
    """(rows, columns)."""
    x: Plane
    y: Plane
    chance: np.random.Generator
    lungs: list[Plane] = field(default_factory=list)
    """Right and left: 1 inside, 0 outside."""
    boxes: list[tuple[str, Corners]] = field(default_factory=list)
    """(label, corners) in pixels, edges, of the lesions."""

    def mark(self, label: str, mask: NDArray[np.bool_]) -> None:
        """A lesion where the mask is true; its box is the smallest around it."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows) > 2 and len(columns) > 2:
            low, high = (float(columns[0]), float(rows[0])), (columns[-1] + 1.0, rows[-1] + 1.0)
            self.boxes.append((label, (*low, float(high[0]), float(high[1]))))


def draw_phantom(seed: int, number: int, size: int) -> Phantom:
    """A radiograph whose longer side is `size`, with its lesions; the same for the same numbers.

    >>> phantom = draw_phantom(0, 3, 64)
    >>> phantom.density.shape[0], 0.9 < float(phantom.density.max()) <= 1
    (64, True)
    """
    chance = np.random.default_rng([seed, number])
    aspect = chance.uniform(0.84, 1.0)
    shape = (size, round(size * aspect))
    # Anatomy is smooth: it is drawn at half the resolution.
    half = (-(-shape[0] // 2), -(-shape[1] // 2))
    phantom = _draw_body(half, chance)
    wanted = lesions.choose(chance)
    _draw_heart(phantom, large=lesions.HEART in wanted)
    _draw_lungs(phantom)
    _draw_vessels(phantom)
    lesions.draw(phantom, wanted)
    _draw_bones(phantom)
    density = resize(blur_gaussian(phantom.density, 0.6), shape)
    sx, sy = shape[1] / half[1], shape[0] / half[0]
    phantom.boxes = [
        (label, (x0 * sx, y0 * sy, x1 * sx, y1 * sy)) for label, (x0, y0, x1, y1) in phantom.boxes
    ]
    phantom.density = _expose(density, chance)
    return phantom


def step(distance: Plane, softness: float) -> Plane:
    """From 0 to 1 where the distance goes through 0."""
    return np.asarray(0.5 + 0.5 * np.tanh(distance / softness), np.float32)


def _draw_body(shape: tuple[int, int], chance: np.random.Generator) -> Phantom:
    """Torso, shoulders, neck, and the abdomen below."""
    rows, columns = shape
    tilt, shift = chance.normal(0, 0.02), chance.normal(0, 0.02)
    y, x = np.meshgrid(
        np.linspace(-1, 1, rows, dtype=np.float32),
        np.linspace(-1, 1, columns, dtype=np.float32),
        indexing="ij",
    )
    x = x + tilt * y + shift
    width = 0.93 + 0.05 * y + 0.35 * np.exp(-(((y + 0.62) / 0.2) ** 2))
    shoulder = -0.80 + 0.42 * np.clip(np.abs(x) - 0.28, 0, None) ** 1.4
    neck = step(0.30 - np.abs(x), 0.03) * step(-0.7 - y, 0.1)
    body = np.maximum(step(width - np.abs(x), 0.02) * step(y - shoulder, 0.03), neck)
    flesh = 0.50 + 0.16 * step(y - 0.62, 0.25) + 0.08 * np.abs(x) ** 3
    flesh -= 0.22 * step(np.abs(x) - (width - 0.10), 0.05)
    return Phantom(np.asarray(body * flesh, np.float32), x, y, chance)


def _draw_heart(phantom: Phantom, *, large: bool) -> None:
    """Mediastinum, aortic knob and heart; a large heart is a finding."""
    x, y, chance = phantom.x, phantom.y, phantom.chance
    growth = chance.uniform(1.32, 1.5) if large else chance.uniform(0.92, 1.05)
    turn = 0.55
    u, v = x - 0.13 * growth, y - 0.36
    across = (u * np.cos(turn) + v * np.sin(turn)) / (0.36 * growth)
    along = (v * np.cos(turn) - u * np.sin(turn)) / (0.27 * growth)
    heart = step(1 - np.sqrt(across**2 + along**2), 0.06)
    knob = step(0.10 - np.hypot(x - 0.13, (y + 0.22) * 0.9), 0.02)
    band = step(0.15 + 0.05 * y - np.abs(x - 0.01), 0.025)
    phantom.density += 0.18 * np.maximum(np.maximum(heart, knob), 0.85 * band)
    phantom.density *= 1 - 0.16 * step(0.035 - np.abs(x), 0.012) * step(-0.28 - y, 0.05)
    phantom.lungs = [np.maximum(np.maximum(heart, knob), band)]  # what the lungs leave free
    if large:
        phantom.mark(lesions.HEART, heart * step(y - 0.0, 0.01) > 0.5)


def _draw_lungs(phantom: Phantom) -> None:
    """Two dark fields, their domes below, with the texture of small vessels."""
    x, y, chance = phantom.x, phantom.y, phantom.chance
    taken = phantom.lungs.pop()
    base = chance.uniform(0.50, 0.64)
    rise = (y + 0.80) / 1.4
    side = 0.34 + 0.46 * (1 - np.exp(-3.4 * np.clip(rise, 0, None))) + 0.02 * y
    apex = -0.78 + 1.9 * (np.abs(x) - 0.33) ** 2
    texture = _smooth_noise(chance, x.shape, 40) * 0.018 + _smooth_noise(chance, x.shape, 9) * 0.02
    for sign, lift in ((-1, 0.05), (1, 0.0)):
        centre = 0.42 * sign
        dome = base - lift + 0.9 * np.clip(np.abs(x - centre) - 0.08, 0, None) ** 2
        mask = step(side - sign * x, 0.018) * step(sign * x - 0.10, 0.02)
        mask = mask * step(dome - y, 0.014) * step(y - apex, 0.02) * (1 - taken)
        phantom.lungs.append(np.asarray(mask, np.float32))
    both = phantom.lungs[0] + phantom.lungs[1]
    shade = 0.34 + 0.05 * y - texture
    phantom.density -= both * shade
    if chance.random() < 0.6:  # the air in the stomach
        air = step(0.11 - np.hypot((x - 0.42) * 0.8, y - base - 0.17), 0.02)
        phantom.density -= 0.2 * air * (1 - both)


def _smooth_noise(chance: np.random.Generator, shape: tuple[int, int], grain: int) -> Plane:
    """Normal noise whose features are about shape / grain pixels."""
    small = chance.standard_normal((grain + 2, grain + 2)).astype(np.float32)
    return np.asarray(resize(small, shape), np.float32)


def _draw_vessels(phantom: Phantom) -> None:
    """Branches from each hilum, thinner as they go."""
    from PIL import Image, ImageDraw

    rows, columns = phantom.density.shape
    chance = phantom.chance
    canvas = Image.new("F", (columns, rows))
    pen = ImageDraw.Draw(canvas)
    for sign in (-1, 1):
        for _ in range(34):
            place = np.array([0.17 * sign, chance.normal(0.02, 0.06)])
            heading = chance.uniform(-1.35, 1.35)
            for length in np.geomspace(1, 0.25, 9):
                turned = np.array([np.cos(heading) * sign, np.sin(heading)])
                end = place + 0.085 * length * turned
                ends = [*_to_pixels(place, rows, columns), *_to_pixels(end, rows, columns)]
                pen.line(ends, fill=0.10 * length, width=max(1, round(0.016 * length * columns)))
                place, heading = end, heading + chance.normal(0, 0.25)
    drawn = blur_gaussian(np.asarray(canvas), 0.006 * columns)
    phantom.density += drawn * (phantom.lungs[0] + phantom.lungs[1])


def _to_pixels(place: NDArray[Any], rows: int, columns: int) -> tuple[float, float]:
    return (place[0] + 1) / 2 * columns, (place[1] + 1) / 2 * rows


def _draw_bones(phantom: Phantom) -> None:
    """Ribs, clavicles, shoulder blades and spine, over everything: a film adds up."""
    x, y, chance = phantom.x, phantom.y, phantom.chance
    away = np.abs(x)
    bone = np.zeros_like(x)
    for number in range(RIBS):
        middle = -0.66 + 0.155 * number + chance.normal(0, 0.006)
        reach = min(0.84, 0.50 + 0.10 * number)
        width = 0.021 + 0.001 * number
        back = middle + 0.02 - 0.10 * np.sin(np.pi * np.clip(away / reach, 0, 1)) + 0.30 * away**2.5
        bone += 0.075 * _rib(y - back, width) * step(reach - away, 0.02) * step(away - 0.07, 0.02)
        front = back + 0.10 + 0.42 * np.clip(reach - away, 0, None) ** 1.2
        fade = np.clip((away - 0.24) / 0.25, 0, 1) * step(reach - away, 0.02)
        bone += 0.045 * _rib(y - front, width * 1.25) * fade * (number < RIBS - 1)
    collar = -0.66 - 0.10 * np.sin(2.6 * (away - 0.05)) + 0.02 * np.cos(9 * away)
    bone += 0.12 * _rib(y - collar, 0.026) * step(0.72 - away, 0.02) * step(away - 0.06, 0.02)
    blade = 0.76 - 0.25 * (y + 0.25) ** 2
    bone += 0.05 * _rib(away - blade, 0.02) * step(0.12 - np.abs(y + 0.33) + 0.2, 0.05)
    vertebra = 0.75 + 0.25 * np.cos(2 * np.pi * y / 0.15)
    bone += 0.055 * vertebra * step(0.075 - away, 0.012)
    body = phantom.density > 0.08
    phantom.density += bone * blur_gaussian(body, 2)


def _rib(distance: Plane, width: float) -> Plane:
    """A bar with brighter edges, as the cortex of a bone."""
    inside = step(width - np.abs(distance), 0.006)
    edge = np.exp(-(((np.abs(distance) - width) / 0.008) ** 2))
    return np.asarray(inside + 0.45 * edge, np.float32)


def _expose(density: Plane, chance: np.random.Generator) -> Plane:
    """Exposure, quantum noise, and at times the black edge of the collimator."""
    rows, columns = density.shape
    gain, offset = chance.uniform(0.92, 1.08), chance.uniform(-0.02, 0.04)
    exposed = np.clip(density, 0, None) * gain + offset
    grain = chance.standard_normal(density.shape, np.float32)
    exposed += grain * (0.008 + 0.010 * np.clip(exposed, 0, 1))
    if chance.random() < 0.3:
        edge = int(chance.uniform(0.01, 0.03) * rows)
        exposed[:edge] = exposed[-edge:] = 0.0
        exposed[:, : edge // 2] = exposed[:, columns - edge // 2 :] = 0.0
    return np.asarray(np.clip(exposed, 0, 1), np.float32)

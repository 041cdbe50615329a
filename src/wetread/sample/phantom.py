"""Phantom chest radiographs: computed anatomy, no patient's.

Coordinates: x from -1 (left edge) to 1, y from -1 (top) to 1 at the bottom, the patient's left on
the right as on a film; density from 0, black, to 1, white.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wetread.imaging import blur_gaussian, resize
from wetread.sample import lesions
from wetread.sample.shapes import Plane, bump, clouds, step

Corners = tuple[float, float, float, float]
RIBS = 10
_GAP = 0.15
"""From one rib to the next."""


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
    >>> bool((phantom.density == draw_phantom(0, 3, 64).density).all()), max(phantom.density.shape)
    (True, 64)
    """
    chance = np.random.default_rng([seed, number])
    shape = (size, round(size * chance.uniform(0.84, 1.0)))
    # Anatomy is smooth: it is drawn at half the resolution.
    half = (-(-shape[0] // 2), -(-shape[1] // 2))
    phantom = _draw_body(half, chance)
    wanted = lesions.choose(chance)
    _draw_heart(phantom, large=lesions.HEART in wanted)
    _draw_lungs(phantom)
    _draw_vessels(phantom)
    lesions.draw(phantom, wanted)
    _draw_bones(phantom)
    _draw_marker(phantom)
    sx, sy = shape[1] / half[1], shape[0] / half[0]
    phantom.boxes = [
        (label, (x0 * sx, y0 * sy, x1 * sx, y1 * sy)) for label, (x0, y0, x1, y1) in phantom.boxes
    ]
    phantom.density = _expose(resize(phantom.density, shape), chance)
    return phantom


def _draw_body(shape: tuple[int, int], chance: np.random.Generator) -> Phantom:
    """Torso, shoulders, neck, and the abdomen below; nobody stands or is built like another."""
    rows, columns = shape
    x: Plane = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    y: Plane = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = (x + chance.normal(0, 0.025) * y + chance.normal(0, 0.02)) * chance.uniform(0.95, 1.1)
    y = (y + chance.normal(0, 0.03)) * chance.uniform(0.94, 1.08)
    x, y = np.broadcast_arrays(x, y)
    away = np.abs(x) + np.float32(1e-3)
    width = 0.93 + 0.05 * y + 0.4 * bump(y + 0.55, 0.22)
    shoulder = -0.76 + 0.24 * (away - 0.5) - 0.09 * np.minimum(0.3 / away, 3) ** 4
    body = step(width - away, 0.02) * step(y - shoulder, 0.02)
    flesh = 0.46 + chance.uniform(0.12, 0.2) * step(y - 0.6, 0.25) + 0.08 * away**3
    flesh -= 0.24 * step(away - (width - 0.08), 0.05) + 0.2 * step(shoulder + 0.1 - y, 0.06)
    flesh += 0.015 * clouds(chance, shape, 7)
    if chance.random() < 0.5:  # breasts
        drop, size = chance.uniform(0.3, 0.42), chance.uniform(0.24, 0.32)
        round_ = step(1 - np.hypot((away - 0.5) / size, (y - drop) / size), 0.12)
        flesh += chance.uniform(0.03, 0.07) * round_
    return Phantom(np.asarray(body * flesh, np.float32), x, y, chance)


def _draw_heart(phantom: Phantom, *, large: bool) -> None:
    """Mediastinum, aortic knob and heart; a large heart is a finding."""
    x, y, chance = phantom.x, phantom.y, phantom.chance
    growth = chance.uniform(1.32, 1.5) if large else chance.uniform(0.9, 1.06)
    turn = chance.uniform(0.45, 0.65)
    u, v = x - 0.12 * growth, y - 0.34
    across = (u * np.cos(turn) + v * np.sin(turn)) / (0.35 * growth)
    along = (v * np.cos(turn) - u * np.sin(turn)) / (0.26 * growth)
    heart = step(1 - np.hypot(across, along), 0.09)
    waist = step(1 - np.hypot((x - 0.09) / 0.15, (y - 0.03) / 0.22), 0.12)
    knob = step(0.095 - np.hypot(x - chance.uniform(0.09, 0.13), (y + 0.24) * 0.85), 0.022)
    band = step(0.14 + 0.05 * y + 0.05 * bump(y + 0.8, 0.3) - np.abs(x - 0.01), 0.03)
    middle = np.maximum(np.maximum(heart, waist), np.maximum(knob, band))
    phantom.density += 0.2 * np.maximum(
        np.maximum(heart, 0.8 * waist), np.maximum(knob, 0.8 * band)
    )
    phantom.density -= 0.1 * step(0.04 - np.abs(x - 0.01), 0.012) * step(-0.24 - y, 0.05)  # trachea
    phantom.lungs = [middle]  # what the lungs leave free
    if large:
        phantom.mark(lesions.HEART, heart * step(y, 0.01) > 0.5)


def _draw_lungs(phantom: Phantom) -> None:
    """Two dark fields, their domes below, and the hila."""
    x, y, chance = phantom.x, phantom.y, phantom.chance
    away = np.abs(x)
    taken = phantom.lungs.pop()
    base, reach = chance.uniform(0.48, 0.64), chance.uniform(0.42, 0.48)
    rise = np.clip((y + 0.80) / 1.4, 0, None)
    side = 0.34 + reach * (1 - np.exp(-3.4 * rise)) + 0.02 * y
    apex = -0.78 + 1.9 * (away - 0.33) ** 2
    for sign, lift in ((-1, 0.05), (1, 0.0)):
        dome = base - lift + 0.9 * np.clip(np.abs(x - 0.42 * sign) - 0.08, 0, None) ** 2
        mask = step(side - sign * x, 0.02) * step(sign * x - 0.10, 0.02)
        mask = mask * step(dome - y, 0.016) * step(y - apex, 0.025) * (1 - taken)
        phantom.lungs.append(np.asarray(mask, np.float32))
    both = phantom.lungs[0] + phantom.lungs[1]
    texture = 0.012 * clouds(chance, x.shape, 44) + 0.012 * clouds(chance, x.shape, 10)
    hila = bump(np.hypot((away - 0.19) / 0.6, y - 0.0), 0.13)
    air = np.minimum(0.36 - 0.05 * y**2 - 0.1 * hila, 0.76 * phantom.density)
    phantom.density -= both * (air - texture)
    if chance.random() < 0.6:  # air in the stomach
        left, drop = chance.uniform(0.32, 0.45), chance.uniform(0.13, 0.17)
        bubble = step(1 - np.hypot((x - left) / 0.17, (y - base - drop) / 0.1), 0.2)
        phantom.density -= chance.uniform(0.08, 0.16) * bubble * (1 - both) * (1 - 0.6 * taken)


def _draw_vessels(phantom: Phantom) -> None:
    """Branches from each hilum, thinner as they go."""
    from PIL import Image, ImageDraw

    rows, columns = phantom.density.shape
    chance = phantom.chance
    canvas = Image.new("F", (columns, rows))
    pen = ImageDraw.Draw(canvas)
    ends = np.array([columns, rows]) / 2
    lengths = np.geomspace(1, 0.3, 8)
    steps = (0.085 * lengths)[:, None]
    for sign in (-1, 1):
        for _ in range(30):
            heading = chance.uniform(-1.4, 1.4) + np.cumsum(chance.normal(0, 0.22, len(lengths)))
            ways = steps * np.stack([np.cos(heading) * sign, np.sin(heading)], axis=1)
            start = np.array([0.17 * sign, chance.normal(0.02, 0.06)])
            places = (start + np.vstack([np.zeros(2), np.cumsum(ways, axis=0)]) + 1) * ends
            for length, place, end in zip(lengths, places, places[1:], strict=False):
                thick = max(1, round(0.014 * length * columns))
                pen.line((*place, *end), fill=0.13 * length, width=thick)
    drawn = blur_gaussian(np.asarray(canvas), 0.0035 * columns)
    phantom.density += drawn * (phantom.lungs[0] + phantom.lungs[1])


def _draw_bones(phantom: Phantom) -> None:
    """Ribs, clavicles, shoulder blades and spine, over everything: a film adds up."""
    x, y, chance = phantom.x, phantom.y, phantom.chance
    away = np.abs(x)
    slope = chance.uniform(0.24, 0.36)
    arch = 0.02 - 0.10 * np.sin(np.pi * np.clip(away / 0.8, 0, 1)) + slope * away**2.5
    inner = step(away - 0.07, 0.02) * (0.55 + 0.45 * np.clip(away / 0.3, 0, 1))
    low = 1 - 0.6 * step(y - 0.62, 0.1)
    back, reach = _ribs(y - arch, chance, 0.021)
    bone = 0.08 * back * step(reach - away, 0.02) * inner * low
    fall = arch + 0.07 + 0.42 * np.clip(0.82 - away, 0, None) ** 1.25
    front, reach = _ribs(y - fall, chance, 0.026)
    fade = np.clip((away - 0.26) / 0.25, 0, 1)
    bone += 0.045 * front * step(reach - away, 0.02) * fade * low
    collar = -0.66 - 0.10 * np.sin(2.6 * (away - 0.05)) + 0.02 * np.cos(9 * away)
    bone += 0.13 * _bar(y - collar, 0.024) * step(0.72 - away, 0.02) * step(away - 0.06, 0.02)
    blade = 0.76 - 0.25 * (y + 0.25) ** 2
    bone += 0.05 * _bar(away - blade, 0.02) * step(0.32 - np.abs(y + 0.33), 0.05)
    vertebra = 0.75 + 0.25 * np.cos(2 * np.pi * y / 0.15)
    bone += 0.06 * vertebra * step(0.075 - away, 0.015)
    phantom.density += bone * step(phantom.density - 0.08, 0.03)


def _ribs(down: Plane, chance: np.random.Generator, width: float) -> tuple[Plane, Plane]:
    """All ribs at once, as they lie `_GAP` apart, and how far from the middle each one reaches.

    Args:
        down: how far below the curve that they follow, where the first is at -0.66.
        chance: none lies quite where it should.
        width: half of that of a rib.
    """
    nearest = np.rint((down + 0.66) / _GAP).astype(np.int32)
    number = np.clip(nearest, 0, RIBS - 1)
    middle = -0.66 + _GAP * np.arange(RIBS) + chance.normal(0, 0.006, RIBS)
    reach = np.minimum(0.84, 0.50 + 0.10 * np.arange(RIBS)).astype(np.float32)
    rib = _bar(down - middle.astype(np.float32)[number], width) * (number == nearest)
    return rib, reach[number]


def _bar(distance: Plane, width: float) -> Plane:
    """A bar with brighter edges, as the cortex of a bone."""
    across = np.abs(distance)
    return np.asarray(step(width - across, 0.007) + 0.45 * bump(across - width, 0.008), np.float32)


def _draw_marker(phantom: Phantom) -> None:
    """The letter that tells left from right, as on most films."""
    from PIL import Image, ImageDraw, ImageFont

    rows, columns = phantom.density.shape
    chance = phantom.chance
    left, place = chance.random() < 0.5, chance.uniform(0.05, 0.09, 2)
    if chance.random() < 0.3:
        return
    canvas = Image.new("F", (columns, rows))
    at = columns * (1 - place[0] if left else place[0]), rows * place[1]
    font = ImageFont.load_default(max(6.0, 0.06 * columns))
    ImageDraw.Draw(canvas).text(at, "L" if left else "R", fill=1.0, font=font, anchor="mm")
    phantom.density += np.clip(0.85 - phantom.density, 0, None) * np.asarray(canvas)


def _expose(density: Plane, chance: np.random.Generator) -> Plane:
    """The film's tone curve, quantum noise, and at times the black edge of the collimator."""
    rows, columns = density.shape
    speed, fog = chance.uniform(1.4, 1.75), chance.uniform(0.0, 0.03)
    exposed = 1.12 * (1 - np.exp(-speed * np.clip(density, 0, None))) + fog
    grain = chance.standard_normal(density.shape, np.float32)
    grain[1:] += grain[:-1]  # a detector blurs
    grain[:, 1:] += grain[:, :-1]
    exposed += grain * (0.0015 + 0.002 * exposed)
    if chance.random() < 0.3:
        edge = int(chance.uniform(0.01, 0.03) * rows)
        exposed[:edge] = exposed[rows - edge :] = 0.0
        exposed[:, : edge // 2] = exposed[:, columns - edge // 2 :] = 0.0
    return np.asarray(np.clip(exposed, 0, 1), np.float32)

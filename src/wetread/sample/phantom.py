"""Synthetic chest radiographs (phantoms): computed anatomy, no patient data.

Coordinates: x from -1 (left edge) to 1, y from -1 (top) to 1 (bottom), the patient's left on the
right as on a film; density from 0 (black) to 1 (white).
"""

from __future__ import annotations

import numpy as np

from wetread.imaging import blur_gaussian, resize
from wetread.sample import lesions
from wetread.sample.shapes import Phantom, Plane, bump, clouds, step

RIBS = 10
_GAP = 0.15
"""Distance from one rib to the next."""


def draw_phantom(seed: int, number: int, size: int) -> Phantom:
    """Draw a radiograph with lesions; `size` is its longer side. Deterministic in its arguments.

    >>> phantom = draw_phantom(0, 3, 64)
    >>> bool((phantom.density == draw_phantom(0, 3, 64).density).all()), max(phantom.density.shape)
    (True, 64)
    """
    rng = np.random.default_rng([seed, number])
    shape = (size, round(size * rng.uniform(0.84, 1.0)))
    # Anatomy is smooth: drawn at half the resolution.
    half = (-(-shape[0] // 2), -(-shape[1] // 2))
    phantom = _draw_body(half, rng)
    labels = lesions.choose(rng)
    _draw_heart(phantom, large=lesions.HEART in labels)
    _draw_lungs(phantom)
    _draw_vessels(phantom)
    lesions.draw(phantom, labels)
    _draw_bones(phantom)
    _draw_marker(phantom)
    sx, sy = shape[1] / half[1], shape[0] / half[0]
    phantom.boxes = [
        (label, (x0 * sx, y0 * sy, x1 * sx, y1 * sy)) for label, (x0, y0, x1, y1) in phantom.boxes
    ]
    phantom.density = _expose(resize(phantom.density, shape), rng)
    return phantom


def _draw_body(shape: tuple[int, int], rng: np.random.Generator) -> Phantom:
    """Draw torso, shoulders, neck and abdomen, with random posture and build."""
    rows, columns = shape
    x: Plane = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    y: Plane = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = (x + rng.normal(0, 0.025) * y + rng.normal(0, 0.02)) * rng.uniform(0.95, 1.1)
    y = (y + rng.normal(0, 0.03)) * rng.uniform(0.94, 1.08)
    x, y = np.broadcast_arrays(x, y)
    away = np.abs(x) + np.float32(1e-3)
    width = 0.93 + 0.05 * y + 0.4 * bump(y + 0.55, 0.22)
    shoulder = -0.76 + 0.24 * (away - 0.5) - 0.09 * np.minimum(0.3 / away, 3) ** 4
    body = step(width - away, 0.02) * step(y - shoulder, 0.02)
    flesh = 0.46 + rng.uniform(0.12, 0.2) * step(y - 0.6, 0.25) + 0.08 * away**3
    flesh -= 0.24 * step(away - (width - 0.08), 0.05) + 0.2 * step(shoulder + 0.1 - y, 0.06)
    flesh += 0.015 * clouds(rng, shape, 7)
    if rng.random() < 0.5:  # breasts
        drop, size = rng.uniform(0.3, 0.42), rng.uniform(0.24, 0.32)
        round_ = step(1 - np.hypot((away - 0.5) / size, (y - drop) / size), 0.12)
        flesh += rng.uniform(0.03, 0.07) * round_
    return Phantom(np.asarray(body * flesh, np.float32), x, y, rng)


def _draw_heart(phantom: Phantom, *, large: bool) -> None:
    """Draw mediastinum, aortic knob and heart; a large heart is a finding."""
    x, y, rng = phantom.x, phantom.y, phantom.rng
    growth = rng.uniform(1.32, 1.5) if large else rng.uniform(0.9, 1.06)
    turn = rng.uniform(0.45, 0.65)
    u, v = x - 0.12 * growth, y - 0.34
    across = (u * np.cos(turn) + v * np.sin(turn)) / (0.35 * growth)
    along = (v * np.cos(turn) - u * np.sin(turn)) / (0.26 * growth)
    heart = step(1 - np.hypot(across, along), 0.09)
    waist = step(1 - np.hypot((x - 0.09) / 0.15, (y - 0.03) / 0.22), 0.12)
    knob = step(0.095 - np.hypot(x - rng.uniform(0.09, 0.13), (y + 0.24) * 0.85), 0.022)
    band = step(0.14 + 0.05 * y + 0.05 * bump(y + 0.8, 0.3) - np.abs(x - 0.01), 0.03)
    middle = np.maximum(np.maximum(heart, waist), np.maximum(knob, band))
    phantom.density += 0.2 * np.maximum(
        np.maximum(heart, 0.8 * waist), np.maximum(knob, 0.8 * band)
    )
    phantom.density -= 0.1 * step(0.04 - np.abs(x - 0.01), 0.012) * step(-0.24 - y, 0.05)  # trachea
    phantom.lungs = [middle]  # space that the lungs leave free
    if large:
        phantom.mark(lesions.HEART, heart * step(y, 0.01) > 0.5)


def _draw_lungs(phantom: Phantom) -> None:
    """Draw two dark lung fields, the diaphragm and the hila."""
    x, y, rng = phantom.x, phantom.y, phantom.rng
    away = np.abs(x)
    taken = phantom.lungs.pop()
    base, reach = rng.uniform(0.48, 0.64), rng.uniform(0.42, 0.48)
    rise = np.clip((y + 0.80) / 1.4, 0, None)
    side = 0.34 + reach * (1 - np.exp(-3.4 * rise)) + 0.02 * y
    apex = -0.78 + 1.9 * (away - 0.33) ** 2
    for sign, lift in ((-1, 0.05), (1, 0.0)):
        dome = base - lift + 0.9 * np.clip(np.abs(x - 0.42 * sign) - 0.08, 0, None) ** 2
        mask = step(side - sign * x, 0.02) * step(sign * x - 0.10, 0.02)
        mask = mask * step(dome - y, 0.016) * step(y - apex, 0.025) * (1 - taken)
        phantom.lungs.append(np.asarray(mask, np.float32))
    both = phantom.lungs[0] + phantom.lungs[1]
    texture = 0.012 * clouds(rng, x.shape, 44) + 0.012 * clouds(rng, x.shape, 10)
    hila = bump(np.hypot((away - 0.19) / 0.6, y - 0.0), 0.13)
    air = np.minimum(0.36 - 0.05 * y**2 - 0.1 * hila, 0.76 * phantom.density)
    phantom.density -= both * (air - texture)
    if rng.random() < 0.6:  # air in the stomach
        left, drop = rng.uniform(0.32, 0.45), rng.uniform(0.13, 0.17)
        bubble = step(1 - np.hypot((x - left) / 0.17, (y - base - drop) / 0.1), 0.2)
        phantom.density -= rng.uniform(0.08, 0.16) * bubble * (1 - both) * (1 - 0.6 * taken)


def _draw_vessels(phantom: Phantom) -> None:
    """Draw vessels: branches from each hilum that become thinner."""
    from PIL import Image, ImageDraw

    rows, columns = phantom.density.shape
    rng = phantom.rng
    canvas = Image.new("F", (columns, rows))
    pen = ImageDraw.Draw(canvas)
    ends = np.array([columns, rows]) / 2
    lengths = np.geomspace(1, 0.3, 8)
    steps = (0.085 * lengths)[:, None]
    for sign in (-1, 1):
        for _ in range(30):
            heading = rng.uniform(-1.4, 1.4) + np.cumsum(rng.normal(0, 0.22, len(lengths)))
            ways = steps * np.stack([np.cos(heading) * sign, np.sin(heading)], axis=1)
            start = np.array([0.17 * sign, rng.normal(0.02, 0.06)])
            points = (start + np.vstack([np.zeros(2), np.cumsum(ways, axis=0)]) + 1) * ends
            for length, point, end in zip(lengths, points, points[1:], strict=False):
                thick = max(1, round(0.014 * length * columns))
                pen.line((*point, *end), fill=0.13 * length, width=thick)
    drawn = blur_gaussian(np.asarray(canvas), 0.0035 * columns)
    phantom.density += drawn * (phantom.lungs[0] + phantom.lungs[1])


def _draw_bones(phantom: Phantom) -> None:
    """Draw ribs, clavicles, shoulder blades and spine; densities add up as in a projection."""
    x, y, rng = phantom.x, phantom.y, phantom.rng
    away = np.abs(x)
    slope = rng.uniform(0.24, 0.36)
    arch = 0.02 - 0.10 * np.sin(np.pi * np.clip(away / 0.8, 0, 1)) + slope * away**2.5
    inner = step(away - 0.07, 0.02) * (0.55 + 0.45 * np.clip(away / 0.3, 0, 1))
    low = 1 - 0.6 * step(y - 0.62, 0.1)
    back, reach = _ribs(y - arch, rng, 0.021)
    bone = 0.08 * back * step(reach - away, 0.02) * inner * low
    fall = arch + 0.07 + 0.42 * np.clip(0.82 - away, 0, None) ** 1.25
    front, reach = _ribs(y - fall, rng, 0.026)
    fade = np.clip((away - 0.26) / 0.25, 0, 1)
    bone += 0.045 * front * step(reach - away, 0.02) * fade * low
    collar = -0.66 - 0.10 * np.sin(2.6 * (away - 0.05)) + 0.02 * np.cos(9 * away)
    bone += 0.13 * _bar(y - collar, 0.024) * step(0.72 - away, 0.02) * step(away - 0.06, 0.02)
    blade = 0.76 - 0.25 * (y + 0.25) ** 2
    bone += 0.05 * _bar(away - blade, 0.02) * step(0.32 - np.abs(y + 0.33), 0.05)
    vertebra = 0.75 + 0.25 * np.cos(2 * np.pi * y / 0.15)
    bone += 0.06 * vertebra * step(0.075 - away, 0.015)
    phantom.density += bone * step(phantom.density - 0.08, 0.03)


def _ribs(down: Plane, rng: np.random.Generator, width: float) -> tuple[Plane, Plane]:
    """All ribs, `_GAP` apart, and the reach of each from the middle.

    Args:
        down: distance below the curve of the ribs; the first is at -0.66.
        rng: for small random offsets.
        width: half the width of a rib.
    """
    nearest = np.rint((down + 0.66) / _GAP).astype(np.int32)
    number = np.clip(nearest, 0, RIBS - 1)
    middle = -0.66 + _GAP * np.arange(RIBS) + rng.normal(0, 0.006, RIBS)
    reach = np.minimum(0.84, 0.50 + 0.10 * np.arange(RIBS)).astype(np.float32)
    rib = _bar(down - middle.astype(np.float32)[number], width) * (number == nearest)
    return rib, reach[number]


def _bar(distance: Plane, width: float) -> Plane:
    """Bar with brighter edges, like the cortex of a bone."""
    across = np.abs(distance)
    return np.asarray(step(width - across, 0.007) + 0.45 * bump(across - width, 0.008), np.float32)


def _draw_marker(phantom: Phantom) -> None:
    """Draw the side marker, L or R, as on most films."""
    from PIL import Image, ImageDraw, ImageFont

    rows, columns = phantom.density.shape
    rng = phantom.rng
    left, margin = rng.random() < 0.5, rng.uniform(0.05, 0.09, 2)
    if rng.random() < 0.3:
        return
    canvas = Image.new("F", (columns, rows))
    at = columns * (1 - margin[0] if left else margin[0]), rows * margin[1]
    font = ImageFont.load_default(max(6.0, 0.06 * columns))
    ImageDraw.Draw(canvas).text(at, "L" if left else "R", fill=1.0, font=font, anchor="mm")
    phantom.density += np.clip(0.85 - phantom.density, 0, None) * np.asarray(canvas)


def _expose(density: Plane, rng: np.random.Generator) -> Plane:
    """Apply the film's tone curve, quantum noise and, in some images, black collimator edges."""
    rows, columns = density.shape
    speed, fog = rng.uniform(1.4, 1.75), rng.uniform(0.0, 0.03)
    exposed = 1.12 * (1 - np.exp(-speed * np.clip(density, 0, None))) + fog
    grain = rng.standard_normal(density.shape, np.float32)
    grain[1:] += grain[:-1]  # a detector blurs
    grain[:, 1:] += grain[:, :-1]
    exposed += grain * (0.0015 + 0.002 * exposed)
    if rng.random() < 0.3:
        edge = int(rng.uniform(0.01, 0.03) * rows)
        exposed[:edge] = exposed[rows - edge :] = 0.0
        exposed[:, : edge // 2] = exposed[:, columns - edge // 2 :] = 0.0
    return np.asarray(np.clip(exposed, 0, 1), np.float32)

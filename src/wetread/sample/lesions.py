"""Lesions of phantoms: five VinBigData classes, simple enough to be learnt from few images."""

from __future__ import annotations

import numpy as np

from wetread.sample.shapes import Phantom, bump, clouds, step

HEART, OPACITY, MASS = "Cardiomegaly", "Lung Opacity", "Nodule/Mass"
EFFUSION, PNEUMOTHORAX = "Pleural effusion", "Pneumothorax"
CLASSES = {3: HEART, 7: OPACITY, 8: MASS, 10: EFFUSION, 12: PNEUMOTHORAX}
_NORMAL = 0.4
"""Fraction of images without a finding."""


def choose(rng: np.random.Generator) -> list[str]:
    """Choose the labels of one image; none for a normal one."""
    if rng.random() < _NORMAL:
        return []
    count = rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15])
    return [str(label) for label in rng.permutation(list(CLASSES.values()))[:count]]


def draw(phantom: Phantom, labels: list[str]) -> None:
    """Draw lesions of the lungs, at most one of a kind per lung; the heart has been drawn."""
    # A large heart leaves no space for fluid on its side.
    sides = np.array([1, 0]) if HEART in labels else phantom.rng.permutation(2)
    if PNEUMOTHORAX in labels:
        _draw_pneumothorax(phantom, int(sides[0]))
    if EFFUSION in labels:
        _draw_effusion(phantom, int(sides[1]))
    if MASS in labels:
        _draw_round(phantom, int(sides[1 if PNEUMOTHORAX in labels else 0]), MASS)
    if OPACITY in labels:
        _draw_round(phantom, int(sides[0 if EFFUSION in labels else 1]), OPACITY)


def _draw_round(phantom: Phantom, side: int, label: str) -> None:
    """Draw a mass, lobed and of one density, or an opacity, a cloud."""
    rng, x, y = phantom.rng, phantom.x, phantom.y
    mass = label == MASS
    column = (0.46 + rng.uniform(-0.1, 0.1)) * (1, -1)[side == 0]
    row = rng.uniform(-0.42, -0.12) if mass else rng.uniform(0.08, 0.26)
    across = rng.uniform(0.085, 0.15) if mass else rng.uniform(0.17, 0.25)
    height = across * rng.uniform(0.8, 1.15)
    u, v = (x - column) / across, (y - row) / height
    distance = np.hypot(u, v)
    if mass:
        angle = np.arctan2(v, u)
        for lobes, depth in ((2, 0.07), (3, 0.05), (7, 0.02)):
            lobe = depth * np.cos(lobes * angle + rng.uniform(0, 6))
            distance -= lobe * np.minimum(distance, 1)
        shape = step(1 - distance, 0.1) * (0.8 + 0.2 * np.clip(1.2 - distance, 0, 1))
        phantom.density += 0.25 * shape * phantom.lungs[side]
    else:
        cloud = clouds(rng, x.shape, 12)
        shape = np.clip(1.35 - distance, 0, 1) * np.clip(0.75 + 0.35 * cloud, 0.2, 1.3)
        phantom.density += np.asarray(0.24 * shape * phantom.lungs[side], np.float32)
    phantom.mark(label, (distance < 1) & (phantom.lungs[side] > 0.5))


def _draw_effusion(phantom: Phantom, side: int) -> None:
    """Draw fluid at the base of a lung, as white as the abdomen, higher along its side."""
    rng, x, y = phantom.rng, phantom.x, phantom.y
    level = rng.uniform(0.18, 0.36)
    climb = 0.9 * np.clip(np.abs(x) - 0.35, 0, None) ** 1.5
    fluid = step(y - (level - climb), 0.045) * np.clip(6 * phantom.lungs[side], 0, 1)
    phantom.density += (np.maximum(phantom.density, 0.54) - phantom.density) * fluid
    phantom.mark(EFFUSION, (fluid > 0.5) & (phantom.lungs[side] > 0.5))


def _draw_pneumothorax(phantom: Phantom, side: int) -> None:
    """Draw air around a collapsed lung: black, without vessels, outside a thin white line."""
    rng, x, y = phantom.rng, phantom.x, phantom.y
    sign = (-1, 1)[side]
    depth, floor = rng.uniform(0.16, 0.24), rng.uniform(0.0, 0.25)
    line = 0.80 - depth - 0.34 * np.exp(-3.4 * np.clip((y + 0.80) / 1.4, 0, None))
    line = line - 0.06 * (y + 0.3)
    outside = step(sign * x - line, 0.012) * step(floor - y, 0.06) * phantom.lungs[side]
    edge = bump(sign * x - line, 0.011) * step(floor - y, 0.03)
    dark = np.minimum(phantom.density, 0.05)
    phantom.density += np.asarray((dark - phantom.density) * 0.85 * outside, np.float32)
    phantom.density += np.asarray(0.12 * edge * phantom.lungs[side], np.float32)
    phantom.mark(PNEUMOTHORAX, outside > 0.5)

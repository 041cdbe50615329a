"""Five findings, under VinBigData's names and ids, plain enough to be learnt from few images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetread.sample.shapes import bump, clouds, step

if TYPE_CHECKING:
    from wetread.sample.phantom import Phantom

HEART, OPACITY, MASS = "Cardiomegaly", "Lung Opacity", "Nodule/Mass"
EFFUSION, PNEUMOTHORAX = "Pleural effusion", "Pneumothorax"
CLASSES = {3: HEART, 7: OPACITY, 8: MASS, 10: EFFUSION, 12: PNEUMOTHORAX}
_NORMAL = 0.4
"""Share of images without a finding."""


def choose(chance: np.random.Generator) -> list[str]:
    """The labels of one image; none for a normal one."""
    if chance.random() < _NORMAL:
        return []
    count = chance.choice([1, 2, 3], p=[0.5, 0.35, 0.15])
    return [str(label) for label in chance.permutation(list(CLASSES.values()))[:count]]


def draw(phantom: Phantom, wanted: list[str]) -> None:
    """Draws what is in the lungs, so that nothing hides another; the heart is there already."""
    # A large heart leaves no room for fluid on its side.
    sides = np.array([1, 0]) if HEART in wanted else phantom.chance.permutation(2)
    if PNEUMOTHORAX in wanted:
        _draw_pneumothorax(phantom, int(sides[0]))
    if EFFUSION in wanted:
        _draw_effusion(phantom, int(sides[1]))
    if MASS in wanted:
        _draw_round(phantom, int(sides[1 if PNEUMOTHORAX in wanted else 0]), MASS)
    if OPACITY in wanted:
        _draw_round(phantom, int(sides[0 if EFFUSION in wanted else 1]), OPACITY)


def _draw_round(phantom: Phantom, side: int, label: str) -> None:
    """A mass has a lobed edge and one density; an opacity is a cloud."""
    chance, x, y = phantom.chance, phantom.x, phantom.y
    mass = label == MASS
    column = (0.46 + chance.uniform(-0.1, 0.1)) * (1, -1)[side == 0]
    row = chance.uniform(-0.42, -0.12) if mass else chance.uniform(0.08, 0.26)
    across = chance.uniform(0.085, 0.15) if mass else chance.uniform(0.17, 0.25)
    height = across * chance.uniform(0.8, 1.15)
    u, v = (x - column) / across, (y - row) / height
    distance = np.hypot(u, v)
    if mass:
        angle = np.arctan2(v, u)
        for lobes, depth in ((2, 0.07), (3, 0.05), (7, 0.02)):
            lobe = depth * np.cos(lobes * angle + chance.uniform(0, 6))
            distance -= lobe * np.minimum(distance, 1)
        shape = step(1 - distance, 0.1) * (0.8 + 0.2 * np.clip(1.2 - distance, 0, 1))
        phantom.density += 0.25 * shape * phantom.lungs[side]
    else:
        cloud = clouds(chance, x.shape, 12)
        shape = np.clip(1.35 - distance, 0, 1) * np.clip(0.75 + 0.35 * cloud, 0.2, 1.3)
        phantom.density += np.asarray(0.24 * shape * phantom.lungs[side], np.float32)
    phantom.mark(label, (distance < 1) & (phantom.lungs[side] > 0.5))


def _draw_effusion(phantom: Phantom, side: int) -> None:
    """Fluid fills the base of a lung, as white as the abdomen, and climbs its side."""
    chance, x, y = phantom.chance, phantom.x, phantom.y
    level = chance.uniform(0.18, 0.36)
    climb = 0.9 * np.clip(np.abs(x) - 0.35, 0, None) ** 1.5
    fluid = step(y - (level - climb), 0.045) * np.clip(6 * phantom.lungs[side], 0, 1)
    phantom.density += (np.maximum(phantom.density, 0.54) - phantom.density) * fluid
    phantom.mark(EFFUSION, (fluid > 0.5) & (phantom.lungs[side] > 0.5))


def _draw_pneumothorax(phantom: Phantom, side: int) -> None:
    """Air around a lung that has drawn back: black, without vessels, behind a thin white line."""
    chance, x, y = phantom.chance, phantom.x, phantom.y
    sign = (-1, 1)[side]
    depth, floor = chance.uniform(0.16, 0.24), chance.uniform(0.0, 0.25)
    line = 0.80 - depth - 0.34 * np.exp(-3.4 * np.clip((y + 0.80) / 1.4, 0, None))
    line = line - 0.06 * (y + 0.3)
    outside = step(sign * x - line, 0.012) * step(floor - y, 0.06) * phantom.lungs[side]
    edge = bump(sign * x - line, 0.011) * step(floor - y, 0.03)
    dark = np.minimum(phantom.density, 0.05)
    phantom.density += np.asarray((dark - phantom.density) * 0.85 * outside, np.float32)
    phantom.density += np.asarray(0.12 * edge * phantom.lungs[side], np.float32)
    phantom.mark(PNEUMOTHORAX, outside > 0.5)

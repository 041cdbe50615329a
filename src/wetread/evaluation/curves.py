"""Hits and misses of a label's boxes as the score that is asked of them falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wetread.evaluation.bootstrap import Flags, Floats, Ints
from wetread.evaluation.cases import Cases


@dataclass(frozen=True)
class Curve:
    """One label's boxes by falling score.

    Boxes of equal score enter together, as they would at any threshold: so a curve depends neither
    on the order of rows nor on the names of images.
    """

    image: Ints
    """(n): whose box it is."""
    hit: Floats
    """(n, m): 1 where it found one, for each of m ways to match."""
    ends: Ints
    """(k): the last box of every score."""
    truth: Ints
    """(t): the image of every box of the truth."""

    def count(self, weights: Floats) -> tuple[Floats, Floats, float]:
        """Hits (k, m) and boxes (k) up to every score, and the boxes there are to find.

        Args:
            weights: (images) how many times each image counts.
        """
        weight = weights[self.image]
        hits = np.cumsum(weight[:, None] * self.hit, axis=0)[self.ends]
        return hits, np.cumsum(weight)[self.ends], float(weights[self.truth].sum())


def draw_curves(cases: Cases, hit: Flags, kept: Flags | None = None) -> list[Curve]:
    """The curve of every label.

    Args:
        cases: what is judged.
        hit: (predictions, m) which boxes found one, for each of m ways to match.
        kept: (predictions) which boxes count; None: all.
    """
    curves = []
    for found, truth in zip(cases.of_label(cases.found), cases.of_label(cases.truth), strict=True):
        if kept is not None:
            found = found[kept[found]]
        found = found[np.argsort(-cases.found.score[found], kind="stable")]
        ends = np.flatnonzero(np.diff(cases.found.score[found], append=-np.inf))
        image, expected = cases.found.image[found], cases.truth.image[truth]
        curves.append(Curve(image, hit[found].astype(float), ends, expected))
    return curves


def precisions(hits: Floats, boxes: Floats) -> Floats:
    """(k, m): the best precision there is at this recall or a higher one."""
    precision = np.divide(hits, boxes[:, None], out=np.zeros_like(hits), where=boxes[:, None] > 0)
    return np.maximum.accumulate(precision[::-1], axis=0)[::-1]

"""How long judging takes beside faster-coco-eval, on the same boxes, in one run, by CPU time.

python bench/judge.py                   # 15,000 images x 10 boxes x 14 labels
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from wetread.boxes.collection import Boxes
from wetread.evaluation import evaluate
from wetread.testing.boxes import make_boxes

LABELS = 14


def peer(found: Boxes, truth: Boxes, voc: bool) -> Callable[[], float]:
    """faster-coco-eval on plain dictionaries that are there before the clock starts."""
    rows = [_dictionaries(side) for side in (truth, found)]
    images = [{"id": key} for key in sorted({row["image_id"] for row in rows[0]})]
    categories = [{"id": number, "name": name} for number, name in enumerate(truth.labels)]

    def run() -> float:
        base = {"images": images, "categories": categories}
        sides = [COCO({**base, "annotations": [dict(row) for row in side]}) for side in rows]
        judge = COCOeval_faster(*sides, "bbox", print_function=lambda *_: None)
        if voc:
            judge.params.iouThrs = np.array([0.4])
            judge.params.recThrs = np.linspace(0, 1, 20001)
            judge.params.maxDets = [1, 10, 1000]
        judge.evaluate()
        judge.accumulate()
        precision = judge.eval["precision"][:, :, :, 0, -1]
        return float(precision[precision > -1].mean())

    return run


def _dictionaries(boxes: Boxes) -> list[dict]:
    rows = zip(
        *(boxes.table[name].to_pylist() for name in ("key", "label", "x0", "y0", "x1", "y1")),
        boxes.table["score"].fill_null(1.0).to_pylist(),
        strict=True,
    )
    return [
        {
            "id": number,
            "image_id": int(key, 16),
            "category_id": int(label.split()[1]),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": 0,
            "score": score,
        }
        for number, (key, label, x0, y0, x1, y1, score) in enumerate(rows, start=1)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=15_000)
    parser.add_argument("--boxes", type=int, default=10, help="of the truth, an image")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--resamples", type=int, default=1000, help="for the last rows")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    options = parser.parse_args()
    found, truth = make_boxes(options.images, options.boxes, LABELS)

    def ours(metric: str, resamples: int = 0) -> Callable[[], float]:
        return lambda: evaluate(found, truth, metric, resamples=resamples).value or 0.0

    contenders = {
        "faster-coco-eval, VOC 2010 at .4": (peer(found, truth, voc=True), options.rounds),
        "wetread voc2010@0.4": (ours("voc2010@0.4"), options.rounds),
        "faster-coco-eval, COCO": (peer(found, truth, voc=False), options.rounds),
        "wetread coco": (ours("coco"), options.rounds),
        "wetread rsna-pneumonia": (ours("rsna-pneumonia"), options.rounds),
        "wetread froc": (ours("froc"), options.rounds),
        "wetread classification": (ours("classification"), options.rounds),
        "wetread voc2010@0.4, intervals": (ours("voc2010@0.4", options.resamples), 1),
        "wetread coco, intervals of 100": (ours("coco", 100), 1),
    }
    took: dict[str, list[float]] = {name: [] for name in contenders}
    value = {}
    for number in range(options.rounds):
        for name, (run, rounds) in contenders.items():
            if number < rounds:
                begun = time.process_time()
                value[name] = run()
                took[name].append(time.process_time() - begun)
    if options.json:
        options.json.write_text(json.dumps({"cpu_seconds": took, "value": value}, indent=1))
    print(
        f"{options.images:,} images, {len(truth):,} boxes of the truth, {len(found):,} predicted\n"
    )
    print("| | CPU s, median | minimum | figure |\n|---|---:|---:|---:|")
    for name, seconds in took.items():
        print(f"| {name} | {median(seconds):.2f} | {min(seconds):.2f} | {value[name]:.6f} |")
    for mine, other in (
        ("wetread voc2010@0.4", "faster-coco-eval, VOC 2010 at .4"),
        ("wetread coco", "faster-coco-eval, COCO"),
    ):
        print(f"\n{mine}: {median(took[mine]) / median(took[other]):.2f} x {other}")


if __name__ == "__main__":
    main()

"""CPU time of evaluation, compared with faster-coco-eval on the same boxes; time of subgroups.

python bench/judge.py                   # 15,000 images x 10 boxes x 14 labels
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from figures import Figure, name_version, save, tabulate
from wetread.boxes.collection import Boxes
from wetread.evaluation import evaluate
from wetread.evaluation.shortcuts import shortcuts
from wetread.table.rows import IndexRows
from wetread.testing.boxes import make_boxes, make_classified, make_index

LABELS = 14
COLUMNS = 8


def peer(found: Boxes, truth: Boxes, voc: bool) -> Callable[[], float]:
    """faster-coco-eval; its input dictionaries are built before timing starts."""
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


def measure_groups(images: int, resamples: int) -> list[Figure]:
    """AUC of one label by the values of 8 columns, and from them alone; two images per patient."""
    found, truth = make_classified(images)
    random = np.random.default_rng(0)
    names = [f"c{number}" for number in range(COLUMNS)]
    columns = {
        name: random.choice(list("abcd")[: 2 + n % 3], images) for n, name in enumerate(names)
    }
    keys = truth.table["key"].to_pylist()
    index = make_index(keys, {"PatientID": [f"p{n // 2}" for n in range(images)], **columns})
    size = f"{images:,} images x {COLUMNS} columns x {resamples:,} resamples, wall"
    return [
        Figure(f"{name}: {size}", seconds, "s", most=30.0 if images <= 15_000 else None)
        for name, seconds in (
            ("AUC by subgroup", _time_groups(found, truth, index, names, resamples)),
            ("`shortcuts`", _time_shortcuts(index, truth, names, resamples)),
        )
    ]


def _time_groups(
    found: Boxes, truth: Boxes, index: IndexRows, names: list[str], resamples: int
) -> float:
    begun = time.perf_counter()
    evaluate(found, truth, "classification", by=names, index=index, resamples=resamples)
    return time.perf_counter() - begun


def _time_shortcuts(index: IndexRows, truth: Boxes, names: list[str], resamples: int) -> float:
    begun = time.perf_counter()
    shortcuts(index, truth, columns=names, resamples=resamples, progress=False)
    return time.perf_counter() - begun


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
    parser.add_argument("--boxes", type=int, default=10, help="true boxes per image")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--resamples", type=int, default=1000, help="for the last rows")
    parser.add_argument("--long", action="store_true", help="COCO with intervals too: minutes more")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    found, truth = make_boxes(options.images, options.boxes, LABELS)

    def ours(metric: str, resamples: int = 0) -> Callable[[], float]:
        return lambda: evaluate(found, truth, metric, resamples=resamples).value or 0.0

    peers = {"`voc2010@0.4`": "their VOC 2010 at .4", "`coco`": "their COCO"}
    contenders = {
        "their VOC 2010 at .4": (peer(found, truth, voc=True), options.rounds),
        "`voc2010@0.4`": (ours("voc2010@0.4"), options.rounds),
        "their COCO": (peer(found, truth, voc=False), options.rounds),
        "`coco`": (ours("coco"), options.rounds),
        "`rsna-pneumonia`": (ours("rsna-pneumonia"), options.rounds),
        "`froc`": (ours("froc"), options.rounds),
        "`classification`": (ours("classification"), options.rounds),
        f"`voc2010@0.4`, {options.resamples:,} bootstrap resamples": (
            ours("voc2010@0.4", options.resamples),
            1,
        ),
    }
    if options.long:
        contenders["`coco`, 100 bootstrap resamples"] = (ours("coco", 100), 1)
    took: dict[str, list[float]] = {name: [] for name in contenders}
    value = {}
    for number in range(options.rounds):
        for name, (run, rounds) in contenders.items():
            if number < rounds:
                begun = time.process_time()
                value[name] = run()
                took[name].append(time.process_time() - begun)
    figures = [
        Figure(
            f"{name}, {options.images:,} images, {len(truth):,} boxes: CPU",
            median(seconds),
            "s",
            peer=name_version("faster-coco-eval") if name in peers else "",
            other=median(took[peers[name]]) if name in peers else None,
            least=0.5 if name in peers else None,
            note=f"gives {value[name]:.6f}"
            + (f", the peer {value[peers[name]]:.6f}" if name in peers else ""),
        )
        for name, seconds in took.items()
        if name not in peers.values()
    ]
    figures += measure_groups(options.images, options.resamples)
    save(options.json, figures, {"cpu_seconds": took, "value": value})
    print("\n".join(tabulate(figures)))


if __name__ == "__main__":
    main()

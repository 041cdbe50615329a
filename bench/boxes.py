"""CPU time of the consensus of three readers, compared with ensemble-boxes.

python bench/boxes.py                   # 15,000 images x 3 readers
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from ensemble_boxes import weighted_boxes_fusion

import wetread as wr
from figures import Figure, name_version, save, tabulate
from wetread.boxes.collection import Boxes
from wetread.sample import write_sample
from wetread.testing.boxes import SIDE, make_boxes

READERS, LABELS, IOU = 3, 14, 0.4
PEER = "their WBF"


def make_readers(images: int, boxes: int) -> Boxes:
    """Boxes of three simulated readers, each with 25 % misses and jittered corners."""
    truth = make_boxes(images, boxes, LABELS)[1]

    def read(number: int) -> Boxes:
        random = np.random.default_rng(number)
        seen = truth.select(random.random(len(truth)) < 0.75)
        corners = seen.corners + random.normal(0, 5, (len(seen), 4))
        columns = dict(zip(("x0", "y0", "x1", "y1"), corners.clip(0, SIDE).T, strict=True))
        score = random.permutation(np.linspace(0.5, 1, len(seen)))
        return seen.replace({**columns, "score": score, "reader": [f"R{number}"] * len(seen)})

    return Boxes.concat([read(number) for number in range(READERS)])


def peer(boxes: Boxes) -> Callable[[], int]:
    """ensemble-boxes, image by image; its input lists are built before timing starts."""
    names = ("key", "reader", "label", "score")
    rows = zip(*(boxes.table[n].to_pylist() for n in names), boxes.corners / SIDE, strict=True)
    images = defaultdict(lambda: {f"R{n}": ([], [], []) for n in range(READERS)})
    for key, reader, label, score, corners in rows:
        boxes_, scores, labels = images[key][reader]
        boxes_.append(corners.tolist())
        scores.append(score)
        labels.append(int(label.split()[1]))
    lists = [tuple(zip(*readers.values(), strict=True)) for readers in images.values()]
    return lambda: sum(len(weighted_boxes_fusion(*one, iou_thr=IOU)[0]) for one in lists)


def measure_reports(images: int) -> Figure:
    """DICOM SR of phantoms with the boxes of three simulated readers."""
    import highdicom  # noqa: F401  (the import is not timed)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder, images, size=64, test=0, progress=False)
        index = wr.scan(folder / "train", workers=0, progress=False)
        boxes = wr.read_boxes(folder / "train.csv", images=index)
        begun = time.perf_counter()
        boxes.to_dicom_sr(folder / "sr", index)
        seconds = time.perf_counter() - begun
        reports = sum(path.is_file() for path in (folder / "sr").rglob("*"))
    return Figure(f"DICOM SR of {reports} readings of phantoms", reports / seconds, "reports/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=15_000)
    parser.add_argument("--boxes", type=int, default=3, help="true boxes per image")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    boxes = make_readers(options.images, options.boxes)
    contenders: dict[str, Callable[[], int]] = {
        PEER: peer(boxes),
        "consensus, `wbf`": lambda: len(boxes.consensus("wbf", IOU)),
        "consensus, `majority`": lambda: len(boxes.consensus("majority", IOU)),
        "consensus, `nms`": lambda: len(boxes.consensus("nms", IOU)),
        "`agreement`": lambda: len(boxes.agreement(IOU)),
        "`check`": lambda: len(boxes.check()),
    }
    took: dict[str, list[float]] = {name: [] for name in contenders}
    results = {}
    for _ in range(options.rounds):
        for name, run in contenders.items():
            begun = time.process_time()
            results[name] = run()
            took[name].append(time.process_time() - begun)
    figures = [measure_reports(max(4, options.images // 300))]
    for name, seconds in took.items():
        if name != PEER:
            comparison = {
                "peer": name_version("ensemble-boxes"),
                "other": median(took[PEER]),
                "most": 10,
            }
            figures.append(
                Figure(
                    f"{name} of {len(boxes):,} boxes, {options.images:,} images: CPU",
                    median(seconds),
                    "s",
                    note=f"{results[name]:,} rows",
                    **(comparison if "`wbf`" in name else {}),
                )
            )
    save(options.json, figures, {"cpu_seconds": took, "results": results})
    print("\n".join(tabulate(figures)))


if __name__ == "__main__":
    main()

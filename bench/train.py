"""Training time and scores of the two small models on phantoms.

    python bench/train.py [--images 200] [--epochs 5]

Phantoms are easier than patients: the scores only show that training works.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import wetread as wr
from figures import Figure, save, tabulate
from wetread.sample import write_sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # phantoms have no patients
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options)
    save(options.json, figures, {})
    print("\n".join(tabulate(figures)))


def measure(folder: Path, options: argparse.Namespace) -> list[Figure]:
    write_sample(folder, options.images, size=options.size, progress=False)
    index, test = (wr.scan(folder / part, progress=False) for part in ("train", "test"))
    truth = wr.read_boxes(folder / "train.csv", images=index).consensus("majority")
    truth_test = wr.read_boxes(folder / "test_truth.csv", images=test)
    start = time.perf_counter()
    cache = wr.prepare(index, folder / "train.cache", options.size, progress=False).split(truth)
    held_out = wr.prepare(test, folder / "test.cache", options.size, progress=False)
    images = len(cache) + len(held_out)
    prepared = images / (time.perf_counter() - start)
    figures = [
        Figure(f"`prepare` of {images} phantoms of {options.size} pixels", prepared, "images/s")
    ]
    ways: dict[str, dict[str, Any]] = {
        "detect": {"epochs": options.epochs, "size": options.size, "batch": 8},
        "classify": {"epochs": 3 * options.epochs, "size": options.size // 2, "batch": 16},
    }
    fixed = {"seed": options.seed, "augment": False}
    for task, how in ways.items():
        wall, cpu = time.perf_counter(), time.process_time()
        run = wr.train(cache, truth, task, to=folder / task, **how, **fixed, progress=False)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        metric = "voc2010@0.4" if task == "detect" else "classification"
        found = run.predict(held_out, progress=False)
        score = wr.evaluate(found, truth_test, metric, resamples=0).value
        figures.append(
            Figure(
                f"`{task}`: {run.config['steps']} steps of {how['batch']} at {how['size']} pixels",
                wall,
                "s",
                note=f"{cpu:.0f} CPU s on {run.config['threads']} threads, "
                f"{run.metrics['epoch'].nunique()} rounds of validation; {metric} {score:.3f} "
                f"on {len(held_out)} held-out phantoms",
            )
        )
    return figures


if __name__ == "__main__":
    main()

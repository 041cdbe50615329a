"""How long the two small models take to learn phantoms, and what they come to.

    python bench/train.py [--images 200] [--steps 100] [--threads 2]

Phantoms are easier than patients: the scores say that the path works, the seconds what it costs.
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
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, help="default: the cores that are free")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the numbers there")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # phantoms have no patients
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), asked)
    save(asked.json, figures, {})
    print("\n".join(tabulate(figures)))


def measure(folder: Path, asked: argparse.Namespace) -> list[Figure]:
    write_sample(folder, asked.images, size=asked.size, progress=False)
    index, test = (wr.scan(folder / part, progress=False) for part in ("train", "test"))
    truth = wr.read_boxes(folder / "train.csv", images=index).consensus("majority")
    answers = wr.read_boxes(folder / "test_truth.csv", images=test)
    start = time.perf_counter()
    cache = wr.prepare(index, folder / "train.cache", asked.size, progress=False).split(truth)
    held_out = wr.prepare(test, folder / "test.cache", asked.size, progress=False)
    images = len(cache) + len(held_out)
    prepared = images / (time.perf_counter() - start)
    figures = [
        Figure(f"`prepare` of {images} phantoms of {asked.size} pixels", prepared, "images/s")
    ]
    ways: dict[str, dict[str, Any]] = {
        "detect": {"steps": asked.steps, "size": asked.size, "batch": 8},
        "classify": {"steps": asked.steps * 3 // 2, "size": asked.size // 2, "batch": 16},
    }
    for task, how in ways.items():
        how |= {"threads": asked.threads, "seed": asked.seed, "augment": False, "progress": False}
        wall, cpu = time.perf_counter(), time.process_time()
        run = wr.train(cache, truth, task, to=folder / task, **how)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        metric = "voc2010@0.4" if task == "detect" else "classification"
        found = run.predict(held_out, progress=False)
        score = wr.evaluate(found, answers, metric, resamples=0).value
        figures.append(
            Figure(
                f"`{task}`: {how['steps']} steps of {how['batch']} at {how['size']} pixels",
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

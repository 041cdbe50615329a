"""`DataFrame.from_dicoms` of the drop-in, compared with fastai.medical.imaging.

python bench/drop_in.py                  # needs wetread[test]

Each runs in its own process, imported and warm, on one thread; the rounds alternate.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).parent]
# Last: modules in this folder have the names of measured packages.
sys.path.append(str(Path(__file__).parent))

MODULES = ("fastai.medical.imaging", "wetread.fastai")


class Case(NamedTuple):
    """Files of one comparison, and its options."""

    name: str
    write: Callable[[Path, int], list[str]]
    count: int
    px_summ: bool
    least: float | None
    """Goal of the speed-up; None where the codec dominates both."""


def write_films(folder: Path, count: int) -> list[str]:
    """VinBigData form: 17 elements, JPEG 2000 that is not decoded, 20 to 50 KB per file."""
    from corpus import write_films

    return write_films(folder, count)


def write_small(folder: Path, count: int) -> list[str]:
    """512 x 512 pixels of 12 bits, uncompressed."""
    return [_write(folder, i, 512, 512, compressed=False) for i in range(count)]


def write_large(folder: Path, count: int) -> list[str]:
    """2560 x 2048 pixels of 12 bits, uncompressed."""
    return [_write(folder, i, 2560, 2048, compressed=False) for i in range(count)]


def write_compressed(folder: Path, count: int) -> list[str]:
    """2952 x 2744 pixels of 14 bits, JPEG 2000 lossless."""
    return [_write(folder, i, 2952, 2744, compressed=True) for i in range(count)]


def _write(folder: Path, number: int, rows: int, columns: int, *, compressed: bool) -> str:
    import numpy as np

    from wetread.sample.phantom import draw_phantom
    from wetread.sample.write import encode
    from wetread.testing.dicom import EXPLICIT, JPEG2000, changed, dicom_file, element, radiograph

    bits = 14 if compressed else 12
    density = draw_phantom(0, number, max(rows, columns)).density
    noise = np.random.default_rng(number).normal(0, 0.004, (rows, columns))
    pixels = np.clip(np.resize(density, (rows, columns)) + noise, 0, 1)
    stored = np.rint(pixels * ((1 << bits) - 1)).astype("<u2")
    data = [b"", encode(stored, bits)] if compressed else stored.tobytes()
    film = changed(
        radiograph(17, rows=rows, columns=columns),
        element("BitsStored", bits),
        element("HighBit", bits - 1),
        element("PixelData", data, vr="OB" if compressed else "OW"),
    )
    path = folder / f"{number:04}.dcm"
    path.write_bytes(dicom_file(film, JPEG2000 if compressed else EXPLICIT))
    return str(path)


CASES = (
    Case("VinBigData form, `px_summ=False`", write_films, 1000, False, 50),
    Case("512 x 512, uncompressed, `px_summ=True`", write_small, 200, True, 4),
    Case("2560 x 2048, uncompressed, `px_summ=True`", write_large, 20, True, 4),
    Case("2952 x 2744, JPEG 2000, `px_summ=True`", write_compressed, 4, True, None),
)


def work(module: str, listed: Path, px_summ: bool) -> None:
    """Build the table once per line on stdin (runs in the measured process)."""
    import importlib

    import pandas as pd
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    paths = [Path(line) for line in listed.read_text().splitlines()]
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(json.dumps({"error": f"not installed: {error.name}"}), flush=True)
        return
    pd.DataFrame.from_dicoms(paths[:100], px_summ=px_summ)
    print(json.dumps({}), flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        frame = pd.DataFrame.from_dicoms(paths, px_summ=px_summ)
        seconds = time.perf_counter() - begun
        print(json.dumps({"seconds": seconds, "shape": frame.shape}), flush=True)


def measure(listed: Path, px_summ: bool, rounds: int) -> Iterator[tuple[list[float], str]]:
    """Yield for each module the seconds of its rounds, and the shape of its table or an error."""
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, "--worker", module, listed, str(int(px_summ))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for module in MODULES
    ]
    took: list[list[float]] = [[] for _ in workers]
    responses = [json.loads(worker.stdout.readline() or '{"error": "ended"}') for worker in workers]
    for _ in range(rounds):
        for i, worker in enumerate(workers):
            if "error" not in responses[i]:
                print("go", file=worker.stdin, flush=True)
                responses[i] = json.loads(worker.stdout.readline() or '{"error": "ended"}')
                took[i].append(responses[i].get("seconds", 0))
    for i, worker in enumerate(workers):
        worker.stdin.close()
        worker.wait()
        yield took[i], responses[i].get("error") or "{} x {}".format(*responses[i]["shape"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1, help="factor for the number of files")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        module, listed, px_summ = options.worker
        work(module, Path(listed), px_summ == "1")
        return
    from figures import Figure, name_version, save, tabulate

    found, figures = {}, []
    for case in CASES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "files"
            folder.mkdir()
            count = max(2, round(case.count * options.scale))
            listed = Path(name) / "list"
            listed.write_text("\n".join(case.write(folder, count)))
            (theirs, why), (ours, shape) = measure(listed, case.px_summ, options.rounds)
        found[case.name] = {"fastai": theirs, "wetread": ours, "files": count}
        figures.append(
            Figure(
                f"`from_dicoms` of {count:,} files, {case.name}, per file",
                1000 * median(ours) / count if ours else None,
                "ms",
                peer=name_version("fastai"),
                other=1000 * median(theirs) / count if theirs else None,
                least=case.least,
                note=f"fastai: {why}; here {shape}",
            )
        )
    save(options.json, figures, found)
    print("\n".join(tabulate(figures)))


if __name__ == "__main__":
    main()

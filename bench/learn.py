"""Images per second of a training epoch, from a cache or from files: python bench/learn.py.

200 phantom radiographs, JPEG 2000 lossless, one DataLoader worker, batches of 8; every contender
yields float32 (1, size, size). Peers read the files once, the cache is read several times, of
which the best counts; the private memory of its worker is sampled throughout.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
from PIL import Image
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from torch.utils.data import DataLoader, Dataset

import wetread as wr
from figures import Figure, name_version, save, tabulate
from wetread.learn.dataset import CacheDataset
from wetread.sample import write_sample

WANTED = 20
GROWTH = 100
"""Limit of the growth of private memory during an epoch, in MB."""


class ByPydicom(Dataset[torch.Tensor]):
    """As in typical notebooks: both LUTs, invert, scale to 0..1, resize."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> torch.Tensor:
        header = pydicom.dcmread(self.paths[i])
        values = apply_voi_lut(apply_modality_lut(header.pixel_array, header), header)
        values = values.astype(np.float32)
        if header.PhotometricInterpretation == "MONOCHROME1":
            values = values.max() - values
        values = (values - values.min()) / (np.ptp(values) or 1)
        picture = Image.fromarray(values).resize((self.size, self.size), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(picture))[None]


class ByFastai(ByPydicom):
    """fastai's PILDicom.create and Resize; a copy of its code if fastai is not installed."""

    def __getitem__(self, i: int) -> torch.Tensor:
        picture = open_as_fastai(self.paths[i])
        picture = picture.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(picture).astype(np.float32))[None] / 65535


def find_fastai() -> tuple[str, Callable[[Path], Any]]:
    try:
        from fastai.medical.imaging import PILDicom
    except ImportError:
        return "fastai's PILDicom by its lines", open_by_its_lines
    return f"{name_version('fastai')}, PILDicom", PILDicom.create


def open_by_its_lines(path: Path) -> Any:
    picture = Image.fromarray(pydicom.dcmread(path).pixel_array)
    picture.load()
    return picture


_fastai, open_as_fastai = find_fastai()


def private(pid: int) -> float:
    """Private memory of a process in MB (RssAnon)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def run(data: Dataset[Any], workers: int = 1) -> tuple[float, float]:
    """Images per second, from the start of the worker, and the growth of its memory in MB."""
    loader = DataLoader(data, batch_size=8, num_workers=workers, collate_fn=list)
    start = time.perf_counter()
    batches = iter(loader)
    seen = len(next(batches))
    (worker,) = batches._workers  # type: ignore[attr-defined]
    before = peak = private(worker.pid)
    for batch in batches:
        seen += len(batch)
        peak = max(peak, private(worker.pid))
    return seen / (time.perf_counter() - start), peak - before


def make_files(folder: Path, images: int, distinct: int, side: int) -> list[Path]:
    """Write `images` files to a folder, some of them copies: drawing phantoms is slow."""
    write_sample(folder / "drawn", min(images, distinct), size=side, test=0, progress=False)
    drawn = sorted((folder / "drawn/train").glob("*.dicom"))
    (folder / "train").mkdir()
    for number in range(images):
        shutil.copy(drawn[number % len(drawn)], folder / "train" / f"{number:05}.dicom")
    return sorted((folder / "train").iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--distinct", type=int, default=20, help="phantoms that are drawn")
    parser.add_argument("--side", type=int, default=2560, help="longest side of a file")
    parser.add_argument("--cache", type=int, default=1024, help="size of the cache")
    parser.add_argument("--size", type=int, default=512, help="size of an item")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = make_files(folder, options.images, options.distinct, options.side)
        index = wr.scan(folder / "train", workers=0, progress=False)
        start = time.perf_counter()
        cache = wr.prepare(index, folder / "cache", size=options.cache, progress=False)
        once = time.perf_counter() - start
        peers = {
            _fastai: run(ByFastai(paths, options.size))[0],
            f"{name_version('pydicom')} in a Dataset": run(ByPydicom(paths, options.size))[0],
        }
        files = f"{options.images} radiographs of {options.side} pixels"
        figures = [Figure(f"`prepare` of {files}, once", len(cache) / once, "images/s")]
        for kind, data in (
            (f"items of {options.size}", CacheDataset(cache, size=options.size)),
            (
                f"items of {options.size}, augmented",
                CacheDataset(cache, size=options.size, augment=True),
            ),
            (f"items of {options.cache}", CacheDataset(cache)),
        ):
            title = f"an epoch of {files}, {kind}"
            rounds = [run(data) for _ in range(options.rounds)]
            speed, growth = max(r[0] for r in rounds), max(r[1] for r in rounds)
            for peer, its in peers.items():
                figures.append(Figure(title, speed, "images/s", peer=peer, other=its, least=WANTED))
            figures.append(
                Figure(f"{title}: growth of the worker's private memory", growth, "MB", most=GROWTH)
            )
    save(options.json, figures, {})
    print("\n".join(tabulate(figures)))


if __name__ == "__main__":
    main()

"""Training data: a cache, its ground truth, and the part of each image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.boxes.collection import Boxes
from wetread.boxes.consensus import check_readers
from wetread.boxes.join import joined
from wetread.boxes.table import CORNERS
from wetread.cache.cache import Cache
from wetread.errors import UsageError
from wetread.evaluation.images import TRAIN
from wetread.learn.targets import NO_PARTS, check_part

if TYPE_CHECKING:
    from torch import Tensor

    from wetread.cache.cache import WindowOption
    from wetread.learn.augment import Augment
    from wetread.learn.dataset import CacheDataset
    from wetread.learn.detector import Target
    from wetread.table.rows import IndexRows

VALID = "valid"
SPLIT = pa.schema(
    [
        ("id", pa.string()),
        ("group", pa.string()),
        ("part", pa.string()),
        ("file_size", pa.int64()),
        ("hash", pa.string()),
    ]
)
"""One row per image of a run: patient group, part, and fingerprints of the file and pixels."""
_SAMPLE = 200
"""Number of items for the mean and standard deviation."""


@dataclass(frozen=True)
class TrainingData:
    """A cache, its ground truth, and the part of each image."""

    cache: Cache
    truth: Boxes
    """One set of boxes per image, with `part` and `group` as in `split`."""
    split: pa.Table
    """One row per image; see SPLIT."""

    def has(self, part: str) -> bool:
        """True if the ground truth mentions an image of the part."""
        return part in self.truth.table["part"].unique().to_pylist()

    def examples(
        self,
        part: str,
        size: int,
        window: WindowOption,
        augment: bool | Augment = False,
        seed: int = 0,
    ) -> Examples:
        """Images of a part that the ground truth mentions; other images are unread."""
        from wetread.learn.dataset import CacheDataset

        return Examples(CacheDataset(self.cache, self.truth, part, size, window, augment, seed))

    def truth_of(self, part: str) -> Boxes:
        """Ground truth of a part."""
        return self.truth.select(pc.equal(self.truth.table["part"], part).fill_null(False))


@dataclass(frozen=True, eq=False)
class Examples:
    """Items of a `CacheDataset`, with the classes of each image in its target."""

    dataset: CacheDataset

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the augmentation."""
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        import torch

        image, target = self.dataset[item]
        return image, {**target, "present": torch.from_numpy(self.dataset.labels[item].copy())}

    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation of the pixels, over an evenly spaced sample of items."""
        sample = np.unique(np.linspace(0, len(self) - 1, min(len(self), _SAMPLE)).round())
        sums = np.zeros(3)
        for item in sample.astype(int).tolist():
            pixels = self[item][0].numpy().astype(np.float64)
            sums += pixels.size, pixels.sum(), (pixels**2).sum()
        mean = sums[1] / sums[0]
        return float(mean), float(np.sqrt(max(sums[2] / sums[0] - mean**2, 1e-8)))


def check_truth(truth: Boxes, images: IndexRows | Cache) -> Boxes:
    """Ground truth joined to an index or a cache, and checked.

    Raises:
        UsageError: no image is known, several readers per image, or no box.
    """
    boxes = joined(truth.decided(), images.index if isinstance(images, Cache) else images)
    check_readers(boxes.table)
    if not pc.any(pc.not_equal(boxes.table["kind"], "nothing")).as_py():
        raise UsageError("the ground truth has no boxes to train on")
    return boxes


def read_data(cache: Cache, truth: Boxes) -> TrainingData:
    """Training data of a split cache, or of a ground truth with parts.

    Raises:
        UsageError: no image of the boxes is in the cache, or in the part "train"; no image has a
            part, or one has two.
    """
    known = cache.rows["id"].combine_chunks().unique()
    truth = truth.select(pc.is_in(truth.table["image"], value_set=known))
    if not len(truth):
        raise UsageError("no image of the boxes is in the cache: join them to its index")
    split = _read_split(cache, truth)
    at = pc.index_in(truth.table["image"], value_set=split["id"].combine_chunks())
    truth = truth.replace({name: split[name].take(at) for name in ("group", "part")})
    data = TrainingData(cache, truth, split)
    if not data.has(TRAIN):
        raise UsageError(f'no image with boxes is in the part "{TRAIN}"; see wetread.split')
    return data


def _read_split(cache: Cache, truth: Boxes) -> pa.Table:
    """One row per image, see SPLIT; group and part are those of the cache, else of the truth."""
    names = SPLIT.names[1:]
    first = cache.rows.group_by("id", use_threads=False)
    first = first.aggregate([(name, "first") for name in names]).rename_columns(SPLIT.names)
    boxes = truth.table.filter(truth.table["part"].is_valid())
    at = pc.index_in(first["id"], value_set=boxes["image"].combine_chunks())
    if first["part"].null_count == len(first):
        for name in ("group", "part"):
            column = boxes[name].take(at)
            first = first.set_column(SPLIT.get_field_index(name), name, column)
    if first["part"].null_count == len(first):
        raise UsageError(NO_PARTS)
    cached = first["part"].take(pc.index_in(boxes["image"], value_set=first["id"].combine_chunks()))
    for one, other in zip(boxes["part"].to_pylist(), cached.to_pylist(), strict=True):
        check_part(one, other)
    return first.cast(SPLIT)


def known_parts(cache: Cache, split: pa.Table) -> dict[str, str | None]:
    """Part of each image of a cache in a run, by id; of new images, the part in the cache.

    Images are identified by id and file size, as another folder may have a file of the same name.
    An image with the pixels of a training image counts as one, whatever its name; this is detected
    if both caches have the same size.
    """
    rows = split.to_pylist()
    own = {(row["id"], row["file_size"]): row["part"] for row in rows}
    trained = {row["hash"] for row in rows if row["part"] == TRAIN}
    columns = (cache.rows[name].to_pylist() for name in ("id", "file_size", "hash", "part"))
    return {
        id_: TRAIN if hash_ in trained else own.get((id_, size), part)
        for id_, size, hash_, part in zip(*columns, strict=True)
    }


def hash_split(split: pa.Table) -> str:
    """Fingerprint of the images, their pixels and parts, in order: 16 hex digits."""
    text = json.dumps(split.to_pydict())
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def hash_truth(boxes: Boxes) -> str:
    """Fingerprint of the boxes, in any order: 16 hex digits."""
    names = ("image", "frame", "label", *CORNERS, "kind")
    rows = sorted(map(repr, zip(*(boxes.table[n].to_pylist() for n in names), strict=True)))
    text = json.dumps([boxes.classes, rows])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def class_ids(boxes: Boxes, names: tuple[str, ...]) -> list[list[str]]:
    """(id, name) of each class, in the order of the model's labels."""
    known: Mapping[str, Any] = {name: id_ for id_, name in boxes.classes}
    return [[str(known.get(name, number)), name] for number, name in enumerate(names)]

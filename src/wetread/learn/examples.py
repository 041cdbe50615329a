"""What is learnt from: the pictures of a cache, one truth of them, and which are for what."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.boxes.collection import Boxes
from wetread.boxes.consensus import check_readers
from wetread.boxes.join import joined
from wetread.boxes.reading import open_boxes
from wetread.boxes.table import CORNERS
from wetread.cache.cache import Cache
from wetread.errors import UsageError
from wetread.evaluation.images import TRAIN
from wetread.splits import split_rows

if TYPE_CHECKING:
    from torch import Tensor

    from wetread.cache.cache import Window
    from wetread.learn.augment import Augment
    from wetread.learn.dataset import Images
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
"""Of every image of a run: whose it is, what it was for, and how to know it again."""
_SEEN = 200
"""Pictures from which the mean and the deviation are taken."""


@dataclass(frozen=True)
class Material:
    """Pictures, their truth, and which are for what."""

    cache: Cache
    truth: Boxes
    """One opinion an image, with `part` and `group` as in the split."""
    split: pa.Table
    """A row an image; see SPLIT."""

    def has(self, part: str) -> bool:
        """Whether the truth mentions an image of the part."""
        return part in self.truth.table["part"].unique().to_pylist()

    def items(
        self, part: str, size: int, window: Window, augment: bool | Augment = False, seed: int = 0
    ) -> Examples:
        """The images of a part that the truth mentions: on others there may be anything."""
        return Examples(self.cache.dataset(self.truth, part, size, window, augment, seed))

    def truth_of(self, part: str) -> Boxes:
        """The truth of a part."""
        return self.truth.select(pc.equal(self.truth.table["part"], part).fill_null(False))


@dataclass(frozen=True, eq=False)
class Examples:
    """Items of a cache's data set, with the classes of each image in its target."""

    data: Images

    def set_epoch(self, epoch: int) -> None:
        """What is drawn at random is drawn anew for this epoch."""
        self.data.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, item: int) -> tuple[Tensor, Target]:
        import torch

        image, target = self.data[item]
        return image, {**target, "present": torch.from_numpy(self.data.labels[item].copy())}

    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation of the pixels, from some pictures spread over all."""
        chosen = np.unique(np.linspace(0, len(self) - 1, min(len(self), _SEEN)).round())
        sums = np.zeros(3)
        for item in chosen.astype(int).tolist():
            pixels = self[item][0].numpy().astype(np.float64)
            sums += pixels.size, pixels.sum(), (pixels**2).sum()
        mean = sums[1] / sums[0]
        return float(mean), float(np.sqrt(max(sums[2] / sums[0] - mean**2, 1e-8)))


def read_truth(images: IndexRows | Cache, truth: Boxes | str | os.PathLike[str]) -> Boxes:
    """One opinion an image, joined to an index or a cache: checked before anything is decoded.

    Raises:
        UsageError: boxes that know none of the images, several readers an image, or no box.
    """
    index = images.index if isinstance(images, Cache) else images
    boxes = joined(open_boxes(truth), index)
    check_readers(boxes.table)
    if not pc.any(pc.not_equal(boxes.table["kind"], "nothing")).as_py():
        raise UsageError("the truth has no box: there is nothing to learn")
    return boxes


def read_material(cache: Cache, boxes: Boxes) -> Material:
    """Pictures with their truth, split where they are not.

    Parts are those of the index that the cache was made of; without any, patients are split anew
    as `wetread.split` does it, always in the same way, pictures that are equal in the cache
    staying together.

    Raises:
        UsageError: boxes of other images, or none of an image in the part "train".

    Warns:
        UserWarning: patients that are not known.
    """
    known = cache.rows["id"].combine_chunks().unique()
    boxes = boxes.select(pc.is_in(boxes.table["image"], value_set=known))
    if not len(boxes):
        raise UsageError("the boxes know no image that is in the cache: join them to its index")
    split = _split(cache, boxes)
    at = pc.index_in(boxes.table["image"], value_set=split["id"].combine_chunks())
    marked = boxes.replace({name: split[name].take(at) for name in ("group", "part")})
    material = Material(cache, marked, split)
    if not material.has(TRAIN):
        raise UsageError(f'no image with boxes is in the part "{TRAIN}"; see wetread.split')
    return material


def _split(cache: Cache, truth: Boxes) -> pa.Table:
    """A row an image; see SPLIT."""
    rows = cache.rows.select(["id", "group", "part", "file_size", "hash"])
    first = rows.group_by("id", use_threads=False)
    first = first.aggregate([(name, "first") for name in rows.column_names[1:]])
    images = first.rename_columns([name.removesuffix("_first") for name in first.column_names])
    if images["part"].null_count == len(images):
        images = _split_anew(cache, images, truth)
    return images.select(SPLIT.names).cast(SPLIT)


def _split_anew(cache: Cache, images: pa.Table, truth: Boxes) -> pa.Table:
    """The images with the parts and groups that `wetread.split` gives to the cache's."""
    from dataclasses import replace

    rows = cache.index.rows
    assert rows is not None
    at = pc.index_in(rows["id"], value_set=images["id"].combine_chunks())
    # Pictures are told apart by their pixels in the cache: no file is read again.
    rows = rows.append_column("px_hash", images["hash"].take(at))
    rows = rows.append_column("px_scale", pa.nulls(len(rows), pa.int32()))
    found = split_rows(replace(cache.index, schema=rows.schema, rows=rows), truth).rows
    assert found is not None
    at = pc.index_in(images["id"], value_set=found["id"].combine_chunks())
    for name in ("group", "part"):
        images = images.set_column(images.column_names.index(name), name, found[name].take(at))
    return images


def known_parts(cache: Cache, split: pa.Table) -> dict[str, str | None]:
    """The part in which a run had each image of a cache, by id; where it had none, the index's.

    An image is the same if its id and the size of its file are, as another folder may have a file
    of the same name. One with the pixels of a training image is a training image, whatever its
    name; that is seen where both caches have one size.
    """
    rows = split.to_pylist()
    own = {(row["id"], row["file_size"]): row["part"] for row in rows}
    learnt = {row["hash"] for row in rows if row["part"] == TRAIN}
    columns = (cache.rows[name].to_pylist() for name in ("id", "file_size", "hash", "part"))
    return {
        id_: TRAIN if hash_ in learnt else own.get((id_, size), part)
        for id_, size, hash_, part in zip(*columns, strict=True)
    }


def hash_split(split: pa.Table) -> str:
    """16 hex digits of the images, their pictures and what each is for, in their order."""
    said = json.dumps(split.to_pydict())
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


def hash_truth(boxes: Boxes) -> str:
    """16 hex digits of what the boxes say, in whatever order."""
    names = ("image", "frame", "label", *CORNERS, "kind")
    rows = sorted(map(repr, zip(*(boxes.table[n].to_pylist() for n in names), strict=True)))
    said = json.dumps([boxes.classes, rows])
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


def class_ids(boxes: Boxes, names: tuple[str, ...]) -> list[list[str]]:
    """(id, name) of the classes that are learnt, in the order of their labels."""
    known: Mapping[str, Any] = {name: id_ for id_, name in boxes.classes}
    return [[str(known.get(name, number)), name] for number, name in enumerate(names)]

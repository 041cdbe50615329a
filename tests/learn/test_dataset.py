"""Items are display images with boxes in the right place, deterministic in the seed."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import wetread as wr
from wetread.boxes.collection import Boxes
from wetread.cache.cache import Cache
from wetread.cache.prepare import prepare
from wetread.errors import UnknownNameError, UsageError
from wetread.learn.augment import Augment, Change
from wetread.learn.dataset import CacheDataset
from wetread.learn.rasterise import Placement, draw, sum_blocks
from wetread.sample import write_sample
from wetread.testing import dicom_file, element, picture
from wetread.testing.dicom import changed

STILL = Augment(shift=0, scale=0, contrast=0, brightness=0, noise=0)
ROWS, COLUMNS = 60, 90
BLOCKS = (1976.5, 3001)
"""The window in which the block is 1 and what is around it 0."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Six images of 60 x 90: dark, with a bright block; the odd ones MONOCHROME1."""
    folder = tmp_path_factory.mktemp("train")
    for number in range(6):
        stored = np.full((ROWS, COLUMNS), 1000, "u2")
        stored[20:40, 30 + 5 * number : 60 + 5 * number] = 3000
        stored = 4000 - stored if number % 2 else stored
        elements = changed(
            picture(number),
            element("PhotometricInterpretation", f"MONOCHROME{1 if number % 2 else 2}"),
            element("Rows", ROWS),
            element("Columns", COLUMNS),
            element("PixelData", stored.astype("<u2").tobytes(), vr="OW"),
        )
        (folder / f"{number}.dcm").write_bytes(dicom_file(elements))
    index = wr.scan(folder, progress=False)
    return prepare(index, folder / "cache", 64, workers=1, progress=False)


@pytest.fixture(scope="module")
def data(cache: Cache) -> CacheDataset:
    """Data set that a test may change."""
    return CacheDataset(cache, truth(), window=BLOCKS)


def test_labels_are_read_with_the_images_of_the_cache(cache: Cache, tmp_path: Path) -> None:
    truth().to_yolo(tmp_path / "labels", cache.index)
    data = CacheDataset(cache, tmp_path / "labels")
    assert data.labels.tolist() == CacheDataset(cache, truth()).labels.tolist()


def truth(**more: list[object]) -> Boxes:
    """Blocks 0 and 1, two boxes on 3, "nothing" on 2; no rows for 4 and 5."""
    columns: dict[str, list[object]] = {
        "key": ["0", "1", "2", "3", "3"],
        "label": ["Block", "Block", None, "Block", "Other"],
        "kind": ["box", "box", "nothing", "box", "box"],
        "x0": [30, 35, None, 45, 0],
        "y0": [20, 20, None, 20, 0],
        "x1": [60, 65, None, 75, 9.5],
        "y1": [40, 40, None, 40, 7.25],
    }
    return Boxes.from_columns({**columns, **more})


def test_targets_in_the_format_of_torchvision(cache: Cache) -> None:
    data = CacheDataset(cache, truth())
    assert data.classes == ("Block", "Other")
    assert data.rows.tolist() == [0, 1, 2, 3]
    assert data.labels.tolist() == [[1, 0], [1, 0], [0, 0], [1, 1]]
    image, target = data[3]
    assert (image.dtype, tuple(image.shape)) == (torch.float32, (1, 64, 64))
    assert {n: (v.dtype, tuple(v.shape)) for n, v in target.items()} == {
        "boxes": (torch.float32, (2, 4)),
        "labels": (torch.int64, (2,)),
        "image_id": (torch.int64, ()),
    }
    assert target["labels"].tolist() == [1, 2]
    assert int(target["image_id"]) == 3
    nothing = data[2][1]
    assert (nothing["boxes"].dtype, tuple(nothing["boxes"].shape)) == (torch.float32, (0, 4))
    assert (nothing["labels"].dtype, tuple(nothing["labels"].shape)) == (torch.int64, (0,))
    assert repr(data) == "<CacheDataset: 4 items of size 64, 4 boxes of 2 classes>"
    with pytest.raises(IndexError):
        data[4]


def test_boxes_to_ignore_are_no_targets(cache: Cache) -> None:
    data = CacheDataset(cache, truth(ignore=[False, True, False, True, False]))
    assert data.rows.tolist() == [0, 1, 2, 3]
    assert [data[i][1]["labels"].tolist() for i in range(4)] == [[1], [], [], [2]]


def test_torchvision_model_accepts_items(cache: Cache) -> None:
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    model = ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3
    ).train()
    items = [CacheDataset(cache, truth(), augment=True)[i] for i in range(4)]
    losses = model([image.expand(3, -1, -1) for image, _ in items], [t for _, t in items])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_all_images_without_a_truth(cache: Cache) -> None:
    data = CacheDataset(cache)
    assert (len(data), data.classes, data.labels.shape) == (6, (), (6, 0))
    assert tuple(data[5][1]["boxes"].shape) == (0, 4)


@pytest.mark.parametrize("size", [64, 48, 32, 21])
def test_boxes_match_the_image_and_transform_back(cache: Cache, size: int) -> None:
    boxes = truth()
    data = CacheDataset(cache, boxes, size=size, window=BLOCKS)
    corners = {0: (30, 20, 60, 40), 1: (35, 20, 65, 40), 3: (45, 20, 75, 40)}
    for i, stored in corners.items():
        image, target = data[i]
        x0, y0, x1, y1 = np.rint(target["boxes"][0].numpy()).astype(int)
        assert image[0, y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].min() > 0.9
        image[0, y0 - 1 : y1 + 1, x0 - 1 : x1 + 1] = 0
        assert image.max() < 0.1
        np.testing.assert_allclose(data.to_stored(target["boxes"], i)[0], stored, atol=1e-3)
    assert data[0][0][0, round(size * ROWS / COLUMNS) + 1 :].max() == 0


@given(st.integers(0, 2**40), st.integers(0, 99), st.integers(16, 64), st.sampled_from([0, 1]))
@settings(deadline=None, max_examples=60)
def test_boxes_follow_the_augmentation(
    data: CacheDataset, seed: int, epoch: int, size: int, flip: int
) -> None:
    data.augment = Augment(shift=0.2, scale=0.3, contrast=0, brightness=0, noise=0, flip=flip)
    data.seed, data.size = seed, size
    data.set_epoch(epoch)
    for i, stored in {0: (30, 20, 60, 40), 1: (35, 20, 65, 40)}.items():
        image, target = data[i]
        (box,) = target["boxes"].numpy()
        assert (box >= 0).all()
        assert (box <= size).all()
        x0, y0 = np.ceil(box[:2]).astype(int) + 1
        x1, y1 = np.floor(box[2:]).astype(int) - 1
        if x0 < x1 and y0 < y1:
            assert image[0, y0:y1, x0:x1].min() > 0.9
        image[0, max(0, y0 - 3) : y1 + 3, max(0, x0 - 3) : x1 + 3] = 0
        assert image.max() < 0.1
        back = data.to_stored(box, i)[0]
        whole = (box > 0) & (box < size)
        np.testing.assert_allclose(back[whole], np.array(stored)[whole], atol=0.01)


def test_augmentation_is_determined_by_seed_epoch_and_item(cache: Cache) -> None:
    data = CacheDataset(cache, truth(), augment=True, seed=3)
    first = [data[i][0] for i in range(4)]
    again = CacheDataset(cache, truth(), augment=True, seed=3)
    assert all(torch.equal(again[i][0], first[i]) for i in reversed(range(4)))
    data.set_epoch(1)
    assert not any(torch.equal(data[i][0], first[i]) for i in range(4))
    data.set_epoch(0)
    assert torch.equal(data[2][0], first[2])
    assert not torch.equal(CacheDataset(cache, truth(), augment=True, seed=4)[0][0], first[0])
    assert all(((image >= 0) & (image <= 1)).all() for image in first)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    data[0]
    assert torch.equal(torch.get_rng_state(), state)


def test_identity_augmentation(cache: Cache) -> None:
    plain, still = CacheDataset(cache, truth()), CacheDataset(cache, truth(), augment=STILL)
    assert all(torch.equal(plain[i][0], still[i][0]) for i in range(4))


def test_boxes_are_clipped_and_dropped_for_training_only(cache: Cache) -> None:
    boxes = truth(x0=[-10, 35, None, 45, 0], x1=[200, 65, None, 75, 1.5])
    plain, still = CacheDataset(cache, boxes), CacheDataset(cache, boxes, augment=STILL)
    assert plain[0][1]["boxes"][0, 0] < 0
    assert plain[3][1]["labels"].tolist() == [1, 2]
    assert still[0][1]["boxes"][0].tolist()[::2] == [0, 64]
    assert still[3][1]["labels"].tolist() == [1]


@pytest.mark.parametrize(
    "name",
    ["CT_small", "MR_small", "693_J2KI", "JPEG2000", "mlut_18", "MR-SIEMENS-DICOM-WithOverlays"],
)
def test_images_equal_display(name: str, real_files: list[Path], tmp_path: Path) -> None:
    path = next(path for path in real_files if path.name == f"{name}.dcm")
    shutil.copy(path, tmp_path)
    index = wr.scan(tmp_path / path.name, progress=False)
    cache = prepare(index, tmp_path / "cache", 1024, workers=1, progress=False)
    image, rows = index[0], cache.rows.to_pylist()[0]
    width = np.ptp(image.values()) / 2
    numbers = (float(image.values().mean()), float(width))
    for window in ("auto", "file", numbers):
        item = CacheDataset(cache, window=window)[0][0][0].numpy()
        shown = "1" if window == "file" and rows["view"] else window
        shown = "auto" if shown == "file" else shown
        seen = image.display(window=shown) / 255
        part = item[: seen.shape[0], : seen.shape[1]]
        kept = ~image.padding()
        np.testing.assert_allclose(part[kept], seen[kept], atol=0.51 / 255)
        assert part[~kept].max(initial=0) == 0


def test_windows_by_their_formulas(tmp_path: Path) -> None:
    values = np.arange(0, 4096, dtype="<u2").reshape(64, 64)
    for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        for width in ("1", "2000"):
            elements = changed(
                picture(),
                element("Rows", 64),
                element("Columns", 64),
                element("PixelData", values.tobytes(), vr="OW"),
                element("WindowCenter", "2000"),
                element("WindowWidth", width),
                element("VOILUTFunction", function),
            )
            (tmp_path / f"{function} {width}.dcm").write_bytes(dicom_file(elements))
    index = wr.scan(tmp_path, progress=False)
    cache = prepare(index, tmp_path / "cache", 64, workers=1, progress=False)
    data = CacheDataset(cache, window="file")
    for i, image in enumerate(index.images):
        seen = image.display(window="1") / 255
        np.testing.assert_allclose(data[i][0][0].numpy(), seen, atol=0.51 / 255, err_msg=image.path)


def test_reduced_pixels_are_means(cache: Cache) -> None:
    assert cache.read(0).shape == (43, 64)
    means = cache.values(0)[:42].reshape(21, 2, 32, 2).mean((1, 3))
    item = CacheDataset(cache, size=32, window=(2000, 6000))[0][0][0].numpy()
    np.testing.assert_allclose(item[:21], np.clip((means - 1999.5) / 5999 + 0.5, 0, 1), atol=1e-5)
    blocks = np.arange(35, dtype="u2").reshape(5, 7)
    np.testing.assert_array_equal(sum_blocks(blocks, 3), [[72, 99]])


def test_image_shifted_out_is_black() -> None:
    out = np.zeros((8, 8), np.float32)
    draw(np.ones((4, 4), "u2"), Placement(1, 1, 9, 0), np.array([0, 1, 0]), out, Change())
    assert out.max() == 0


def test_frames(real_files: list[Path], tmp_path: Path) -> None:
    path = next(path for path in real_files if path.name == "emri_small.dcm")
    shutil.copy(path, tmp_path)
    index = wr.scan(tmp_path / path.name, progress=False)
    cache = prepare(index, tmp_path / "cache", 64, workers=1, progress=False)
    box = {"x0": [1, 2], "y0": [1, 2], "x1": [5, 6], "y1": [5, 6]}
    boxes = Boxes.from_columns(
        {"key": ["emri_small"] * 2, "frame": [3, 7], "label": ["A", "B"], **box}
    )
    data = CacheDataset(cache, boxes)
    assert data.rows.tolist() == [3, 7]
    assert data.labels.tolist() == [[1, 0], [0, 1]]
    everywhere = CacheDataset(cache, boxes.replace({"frame": [None, 7]}))
    assert len(everywhere) == 10
    assert everywhere[7][1]["labels"].tolist() == [1, 2]
    with pytest.warns(UserWarning, match="1 image of the ground truth is not in the cache"):
        CacheDataset(cache, boxes.replace({"frame": [3, 99]}))


def test_parts(cache: Cache) -> None:
    parts = ["train", "valid", "train", "valid", "valid"]
    joined = truth().join(cache.index).replace({"part": parts})
    assert CacheDataset(cache, joined, part="valid").rows.tolist() == [1, 3]
    assert CacheDataset(cache, joined, part="valid")[1][1]["labels"].tolist() == [1, 2]
    with pytest.raises(UnknownNameError, match="unknown part 'test'"):
        CacheDataset(cache, joined, part="test")
    with pytest.raises(UsageError, match="no image has a part: call wr"):
        CacheDataset(cache, truth(), part="train")


def test_different_parts_in_truth_and_cache_are_an_error(tmp_path: Path, cache: Cache) -> None:
    shutil.copytree(cache.folder.parent, tmp_path / "train")
    index = wr.split(wr.scan(tmp_path / "train/*.dcm", progress=False), seed=1)
    split = prepare(index, tmp_path / "cache", 64, workers=1, progress=False)
    boxes = truth().join(index)
    assert (
        CacheDataset(split, part="valid").rows.tolist()
        == CacheDataset(split, boxes, part="valid").rows.tolist()
    )
    only = boxes.select(np.array([part == "train" for part in boxes.table["part"].to_pylist()]))
    with pytest.raises(UsageError, match="no image of the ground truth is in part 'valid'"):
        CacheDataset(split, only, part="valid")
    swapped = {"train": "valid", "valid": "train"}
    other = boxes.replace({"part": [swapped[p] for p in boxes.table["part"].to_pylist()]})
    with pytest.raises(UsageError, match="split, join and prepare again"):
        CacheDataset(split, other, part="train")


def test_bad_usage(cache: Cache) -> None:
    readers = truth(reader=["R1", "R1", "R1", "R1", "R2"])
    with pytest.raises(UsageError, match=r"1 image .* several readers.*consensus\(\).* --cons"):
        CacheDataset(cache, readers)
    assert len(CacheDataset(cache, readers.consensus())) == 4
    with pytest.raises(UsageError, match="size 65: the cache has size 64"):
        CacheDataset(cache, size=65)
    with pytest.raises(UnknownNameError, match="unknown window 'lung'"):
        CacheDataset(cache, window="lung")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="give \\(center, width\\)"):
        CacheDataset(cache, window=(40, 0))
    with pytest.raises(UsageError, match="no image of the ground truth is in the cache"):
        CacheDataset(cache, truth().join(cache.index).replace({"image": ["0123456789abcdef"] * 5}))
    with pytest.raises(UsageError, match="1 box has no label"):
        CacheDataset(cache, truth(label=["Block", None, None, "Block", "Other"]))
    with pytest.warns(UserWarning, match="1 image of the ground truth is not in the cache"):
        CacheDataset(cache, truth(key=["0", "1", "2", "3", "away"]))
    with pytest.raises(UsageError, match=r"shift must be from 0 to 0\.5, not 2"):
        Augment(shift=2)
    with pytest.warns(UserWarning, match="1 box without an area"):
        data = CacheDataset(cache, truth(x1=[30, 65, None, 75, 9.5]))
    assert tuple(data[0][1]["boxes"].shape) == (0, 4)
    with pytest.warns(UserWarning, match="2 points without an extent"):
        points = CacheDataset(cache, truth(kind=["point", "box", "nothing", "box", "point"]))
    assert points.labels.tolist() == [[1, 0], [1, 0], [0, 0], [1, 1]]
    assert points[3][1]["labels"].tolist() == [1]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_loader_workers_give_equal_items(cache: Cache, method: str) -> None:
    data = CacheDataset(cache, truth(), augment=True)
    data.set_epoch(2)
    here = [data[i] for i in range(4)]
    assert len(pickle.dumps(data)) < 5_000
    loader = DataLoader(
        data, batch_size=2, num_workers=1, collate_fn=list, multiprocessing_context=method
    )
    there = [item for batch in loader for item in batch]
    for (image, target), (other, same) in zip(here, there, strict=True):
        assert torch.equal(image, other)
        assert all(torch.equal(target[name], same[name]) for name in target)


def test_memory_of_an_epoch(tmp_path: Path) -> None:
    write_sample(tmp_path, 6, size=64, test=0, progress=False)
    for number, path in enumerate(sorted((tmp_path / "train").iterdir())):
        for copy in range(40):
            shutil.copy(path, tmp_path / "train" / f"{number} {copy}.dicom")
    index = wr.scan(tmp_path / "train", progress=False)
    cache = prepare(index, tmp_path / "cache", 64, workers=1, progress=False)
    data: CacheDataset = CacheDataset(cache, augment=True)
    data[0]
    before = private()
    for i in range(len(data)):
        data[i]
    assert private() - before < 2 * 2**20  # the pictures are 2 MB, and were mapped


def private() -> int:
    """Private memory of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

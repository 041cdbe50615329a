"""Runs: files, resuming, predictions, errors."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import wetread as wr
from wetread.boxes.collection import Boxes
from wetread.cache.cache import Cache
from wetread.errors import CacheError, NotFoundError, UsageError
from wetread.learn.checkpoint import load_tensors
from wetread.learn.dataset import CacheDataset
from wetread.learn.detector import Detector, Shape
from wetread.learn.examples import check_truth, known_parts, read_data
from wetread.learn.run import Run
from wetread.testing.forks import Fork

pytestmark = pytest.mark.filterwarnings("ignore:split by image:UserWarning")

SMALL: dict[str, Any] = {
    "size": 64, "batch": 4, "epochs": 1.5, "augment": True, "progress": False,
}  # fmt: skip
FILES = (
    "best.safetensors calibration.json config.json curves.csv curves.png examples.png "
    "last.safetensors metrics.parquet split.parquet state.safetensors truth.parquet valid.parquet"
)


@pytest.fixture(scope="session")
def test_index(phantoms: Path) -> wr.Index:
    return wr.scan(phantoms / "test", workers=0, progress=False)


@pytest.fixture(scope="session")
def detector(cache: Cache, truth: Boxes, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return wr.train(cache, truth, to=tmp_path_factory.mktemp("runs") / "detect", **SMALL)


@pytest.fixture(scope="session")
def classifier(cache: Cache, truth: Boxes, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "classify"
    return wr.train(cache, truth, "classify", to=out, **SMALL)


def same(one: Path, two: Path) -> bool:
    """True if two runs are equal bit for bit."""
    for name in ("last", "best", "state"):
        (a, one_data), (b, two_data) = (load_tensors(p / f"{name}.safetensors") for p in (one, two))
        if one_data != two_data or any(not torch.equal(a[key], b[key]) for key in a):
            return False
    tables = (pq.read_table(path / "metrics.parquet") for path in (one, two))
    return next(tables).equals(next(tables))


def test_the_folder(detector: Run) -> None:
    assert sorted(path.name for path in detector.path.iterdir()) == FILES.split()
    config = json.loads((detector.path / "config.json").read_text())
    assert config["size"] == 64
    assert config["classes"][0] == ["3", "Cardiomegaly"]
    assert config["wetread"] == wr.__version__
    assert (config["threads"], config["world"]) == (1, 1)
    assert len(config["index_hash"]) == 16
    assert 0 < config["mean"] < 1
    with Image.open(detector.path / "curves.png") as picture:
        assert len(np.unique(np.asarray(picture))) > 10
    lines = (detector.path / "curves.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,step,loss,lr,")
    assert len(lines) == 1 + 2  # 6 steps of 4 are two epochs of 19 images


def test_open(detector: Run) -> None:
    again = Run.open(detector.path)
    assert again.id == detector.id
    assert again.classes == detector.classes
    assert "small to detect Cardiomegaly" in repr(again)
    frame = again.metrics
    assert frame[frame["name"] == "loss"]["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert {row["part"] for row in again.split.to_pylist()} == {"train", "valid"}
    assert set(again.truth.table["part"].to_pylist()) == {"train", "valid"}
    assert set(again.valid.table["part"].to_pylist()) == {"valid"}
    one, two = (run.model().state_dict() for run in (detector, again))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_temperature_is_fitted_on_held_out_images(
    classifier: Run, test_index: wr.Index, cache: Cache
) -> None:
    from wetread.evaluation import calibrate
    from wetread.evaluation.calibration import scale_scores

    temperature = classifier.temperature
    assert temperature == calibrate(classifier.valid, classifier.truth, "classification")
    plain = classifier.predict(test_index, progress=False)
    scaled = classifier.predict(test_index, calibrated=True, progress=False)
    before, after = (boxes.table["score"].to_numpy() for boxes in (plain, scaled))
    assert after == pytest.approx(scale_scores(before, temperature))
    assert scaled.run == plain.run
    with pytest.raises(UsageError, match="without a filter"):
        classifier.predict(test_index, calibrated=True, filter=classifier, progress=False)


def test_no_patient_is_in_two_parts(detector: Run) -> None:
    split = detector.split.to_pandas()
    assert split.groupby("group")["part"].nunique().max() == 1
    assert len(split) == 24


def test_duplicates_are_in_one_part(cache: Cache, truth: Boxes) -> None:
    """Two images with the same pixels in the cache, under other names."""
    rows = cache.rows.to_pylist()
    hashes = [row["hash"] for row in rows]
    hashes[1::2] = hashes[::2]
    other = cache.take(pa.array(range(len(cache))))
    other.__dict__["rows"] = cache.rows.set_column(
        cache.rows.column_names.index("hash"), "hash", pa.array(hashes)
    )
    split = other.split(truth).rows
    parts = dict(zip(split["id"].to_pylist(), split["part"].to_pylist(), strict=True))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    assert all(parts[a["id"]] == parts[b["id"]] for a, b in pairs)
    assert len(set(parts.values())) == 2


def test_equal_options_give_equal_runs(
    detector: Run, cache: Cache, truth: Boxes, tmp_path: Path
) -> None:
    again = wr.train(cache, truth, to=tmp_path / "again", **SMALL)
    assert again.id == detector.id
    assert same(again.path, detector.path)
    changed = (detector.path / "last.safetensors").stat().st_mtime_ns
    wr.train(cache, truth, to=detector.path, **SMALL)
    assert (detector.path / "last.safetensors").stat().st_mtime_ns == changed


HELD = """
import signal, time
from wetread.cli import main
from wetread.learn import loop
real = loop.save_state
def save(state, *rest):
    real(state, *rest)
    while not (state.parents[1] / "go").exists():
        time.sleep(0.01)
loop.save_state = save
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
"""A command that waits after an epoch until a signal has been sent to it."""


@pytest.mark.parametrize(
    ("how", "code"),
    [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 1)],
)
def test_resumed_run_equals_an_uninterrupted_one(
    how: signal.Signals, code: int, detector: Run, cache: Cache, truth: Boxes, tmp_path: Path
) -> None:
    """The process is killed; the same command resumes and finishes."""
    truth.save(tmp_path / "truth.parquet")
    out = tmp_path / "run"
    command = ["train", str(cache.folder)]
    command += [str(tmp_path / "truth.parquet"), "-o", str(out), "--size", "64", "--batch", "4"]
    command += ["--epochs", "1.5"]
    process = Fork(HELD, command, tmp_path, {})
    while not (out / "state.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(how)
    (tmp_path / "go").touch()
    process.communicate()
    assert process.returncode == code
    assert load_tensors(out / "state.safetensors")[1]["step"] < 6
    run = wr.train(cache, truth, to=out, **SMALL)
    assert run.id == detector.id
    assert same(out, detector.path)
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == FILES.split()


def test_predictions_are_in_stored_pixels(detector: Run, test_index: wr.Index) -> None:
    found = detector.predict(test_index, progress=False)
    table = found.table
    assert found.run == detector.id
    assert found.classes == detector.classes
    assert {*table["image"].to_pylist()} == {*test_index.table["id"].to_pylist()}
    keys = {Path(path).stem for path in test_index.table["path"].to_pylist()}
    assert {*table["key"].to_pylist()} == keys
    assert set(table["part"].to_pylist()) == {None}
    boxes = found.select(pa.array([kind == "box" for kind in table["kind"].to_pylist()]))
    assert len(boxes)
    sizes = {row["id"]: (row["Columns"], row["Rows"]) for row in test_index.table.to_pylist()}
    for row in boxes.table.to_pylist():
        columns, rows = sizes[row["image"]]
        assert 0 <= row["x0"] < row["x1"] <= columns
        assert 0 <= row["y0"] < row["y1"] <= rows
        assert 0 < row["score"] <= 1


class Sure(torch.nn.Module):
    """Model that finds the lower right quarter of every second image, else nothing."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images: list[torch.Tensor], targets: Any = None) -> Any:
        if self.training:
            return {"loss": (self.weight - 1) ** 2}
        half, whole = self.size / 2, float(self.size)
        box = torch.tensor([[half, half, whole, whole], [whole - 1, 0, whole, 1]])
        bright = [image[0, 5, 5] > 2 for image in images]
        none = {"boxes": box[:0], "labels": torch.zeros(0), "scores": torch.zeros(0)}
        one = {"boxes": box, "labels": torch.tensor([1, 2]), "scores": torch.tensor([0.4, 0.9])}
        return [none if b or self.size == 32 else one for b in bright]


def build(shape: Shape) -> Detector:
    return Sure(shape.size)


def test_custom_model(cache: Cache, truth: Boxes, tmp_path: Path) -> None:
    run = wr.train(cache, truth, to=tmp_path / "own", model=build, **SMALL)
    with pytest.raises(UsageError, match=r"test_run:build"):
        Run.open(run.path)
    found = Run.open(run.path, build).predict(cache, progress=False).table.to_pylist()
    rows = {row["id"]: row for row in cache.rows.to_pylist()}
    for one in found:
        row = rows[one["image"]]
        # Padding is cut off: the item is a square, the picture is not.
        scale = 64 / max(row["rows"], row["columns"])
        assert one["label"] == run.classes[0][1]
        assert one["x0"] == pytest.approx(32 / scale, abs=0.5)
        assert (one["x1"], one["y1"]) == (row["columns"], row["rows"])
    assert len(found) == len(rows)
    # What lies in the padding alone is no box, and without one there is a row that says so.
    small = {**SMALL, "size": 32}
    run = wr.train(cache, truth, to=tmp_path / "none", model=build, **small)
    nothing = run.predict(cache, progress=False).table.to_pylist()
    assert {(row["kind"], row["score"], row["x0"]) for row in nothing} == {("nothing", None, None)}
    assert len(nothing) == len(rows)


def test_training_images_are_marked_and_not_evaluated(
    detector: Run, cache: Cache, truth: Boxes
) -> None:
    found = detector.predict(cache, progress=False)
    parts = {row["id"]: row["part"] for row in detector.split.to_pylist()}
    pairs = zip(*(found.table[n].to_pylist() for n in ("image", "part")), strict=True)
    assert all(parts[image] == part for image, part in pairs)
    with pytest.raises(UsageError, match='are of the part "train"'):
        wr.evaluate(found, truth)
    held = found.select(pa.array([part == "valid" for part in found.table["part"].to_pylist()]))
    result = wr.evaluate(held, detector.truth, "voc2010@0.4", resamples=0)
    assert result.images == result.patients == detector.config["images"]["valid"]


def test_file_of_equal_name_and_other_size_is_another_image(detector: Run, unsplit: Cache) -> None:
    split = detector.split
    sizes = pa.array([size + 1 for size in split["file_size"].to_pylist()])
    hashes = pa.array(["elsewhere"] * len(split))
    columns = split.column_names
    other = split.set_column(columns.index("file_size"), "file_size", sizes)
    assert set(known_parts(unsplit, split).values()) == {"train", "valid"}
    # A copy under another name is known by its pixels.
    copied = {id_ for id_, part in known_parts(unsplit, other).items() if part == "train"}
    assert copied == {row["id"] for row in split.to_pylist() if row["part"] == "train"}
    other = other.set_column(columns.index("hash"), "hash", hashes)
    assert set(known_parts(unsplit, other).values()) == {None}


def test_predictions_of_a_classifier(classifier: Run, test_index: wr.Index, phantoms: Path) -> None:
    found = classifier.predict(test_index, progress=False)
    rows = found.table.to_pylist()
    assert len(rows) == 6 * (5 + 1)
    assert all(0 <= row["score"] <= 1 for row in rows)
    sizes = {row["id"]: (row["Columns"], row["Rows"]) for row in test_index.table.to_pylist()}
    assert all(
        (row["x0"], row["y0"], row["x1"], row["y1"]) == (0, 0, *sizes[row["image"]])
        for row in rows
        if row["kind"] == "box"
    )
    truth = wr.read_boxes(phantoms / "test_truth.csv", images=test_index)
    result = wr.evaluate(found, truth, "classification", resamples=0)
    assert "No finding" in result.per_label.index


def test_the_filter_of_two_runs(
    detector: Run, classifier: Run, test_index: wr.Index, tmp_path: Path
) -> None:
    chosen = detector.thresholds(classifier)
    assert 0 <= chosen.low <= chosen.high <= 1
    assert chosen.value is not None
    assert chosen.before is not None
    assert chosen.value >= chosen.before
    found = detector.predict(test_index, filter=classifier, thresholds=(1.0, 1.0), progress=False)
    assert {(row["kind"], row["score"]) for row in found.table.to_pylist()} == {("nothing", 1.0)}
    wr.submit(found, tmp_path / "submission.csv", "vinbigdata", images=test_index)
    lines = (tmp_path / "submission.csv").read_text().splitlines()
    assert all(line.endswith(",14 1 0 0 1 1") for line in lines[1:])
    with pytest.raises(UsageError, match="a detector run and a classifier run"):
        detector.thresholds(detector)


def test_parts_of_the_index_are_used(phantoms: Path, tmp_path: Path) -> None:
    index = wr.scan(phantoms / "train", workers=0, progress=False)
    boxes = wr.read_boxes(phantoms / "train.csv", images=index).consensus()
    index = wr.split(index, boxes, parts={"train": 0.5, "valid": 0.25, "test": 0.25})
    wr.prepare(index, tmp_path / "cache", 64, workers=1, progress=False)
    boxes.save(tmp_path / "boxes.parquet")
    how = {**SMALL, "to": tmp_path / "run", "model": build}
    run = wr.train(tmp_path / "cache", tmp_path / "boxes.parquet", **how)
    wanted = dict(zip(*(index.table[n].to_pylist() for n in ("id", "part")), strict=True))
    assert {row["id"]: row["part"] for row in run.split.to_pylist()} == wanted
    assert sum(run.config["images"].values()) == sum(p != "test" for p in wanted.values())
    assert set(run.valid.table["image"].to_pylist()) == {
        id_ for id_, part in wanted.items() if part == "valid"
    }


def test_last_weights_are_the_best_without_validation_images(
    phantoms: Path, tmp_path: Path
) -> None:
    index = wr.scan(phantoms / "train", workers=0, progress=False)
    boxes = wr.read_boxes(phantoms / "train.csv", images=index).consensus()
    index = wr.split(index, boxes, parts={"train": 0.8, "test": 0.2})
    cache = wr.prepare(index, size=64, workers=1, progress=False)
    run = wr.train(cache, boxes, to=tmp_path / "run", model=build, **SMALL)
    assert not (run.path / "valid.parquet").exists()
    best, last = (load_tensors(run.path / f"{name}.safetensors") for name in ("best", "last"))
    assert best[1] == last[1]


def test_errors_name_the_missing_step(
    unsplit: Cache, cache: Cache, truth: Boxes, test_index: wr.Index, tmp_path: Path
) -> None:
    how = {**SMALL, "to": tmp_path / "run"}
    with pytest.raises(UsageError, match=r"no image has a part: call wr\.split"):
        wr.train(unsplit, truth, **how)
    with pytest.raises(UsageError, match=r"is not a cache: wr\.prepare\(index, folder\)"):
        wr.train(test_index, truth, **how)  # type: ignore[arg-type]
    with pytest.raises(CacheError, match=r"is not a cache: .*; wr\.prepare\(index, folder\)"):
        wr.train(tmp_path, truth, **how)
    parts = truth.table["part"].to_pylist()
    other = truth.join(cache.index).replace({"part": ["elsewhere"] * len(parts)})
    with pytest.raises(UsageError, match="part 'elsewhere' in the ground truth and"):
        wr.train(cache, other, **how)
    assert not (tmp_path / "run").exists()


def test_boxes_with_parts_need_no_split_cache(
    unsplit: Cache, cache: Cache, truth: Boxes, tmp_path: Path
) -> None:
    run = wr.train(unsplit, truth.join(cache.index), to=tmp_path / "run", model=build, **SMALL)
    assert {*run.split["part"].to_pylist()} == {"train", "valid"}
    assert run.split.equals(read_data(cache, truth).split)


def test_other_options_need_another_folder(detector: Run, cache: Cache, truth: Boxes) -> None:
    with pytest.raises(UsageError, match=r"has a run with batch = 4, not 2: use the same options"):
        wr.train(cache, truth, to=detector.path, **{**SMALL, "batch": 2})
    columns = {name: truth.table[name] for name in truth.table.column_names}
    labels = [label and "Unknown" for label in truth.table["label"].to_pylist()]
    other = Boxes.from_columns({**columns, "label": labels})
    with pytest.raises(UsageError, match=r"has a run with classes = .*Cardiomegaly.*Unknown"):
        wr.train(cache, other, to=detector.path, **SMALL)


def test_several_readers_are_an_error(phantoms: Path, cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--consensus wbf"):
        wr.train(cache, phantoms / "train.csv", to=tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("frames", "readers", "several"),
    [
        ([None, None], ["R1", "R2"], True),
        ([None, None], [None, "R1"], True),
        ([0, 0], ["R1", "R2"], True),
        ([0, 1], ["R1", "R2"], False),
    ],
)
@pytest.mark.filterwarnings("ignore:1 image of the ground truth is not in the cache:UserWarning")
def test_same_error_for_several_readers_everywhere(
    cache: Cache, truth: Boxes, frames: list[int | None], readers: list[str | None], several: bool
) -> None:
    """Before anything is decoded, by the data set, and by `wetread.evaluate`."""
    place = truth.table["kind"].to_pylist().index("box")
    two = truth.select(np.arange(len(truth)) == place)
    two = Boxes(pa.concat_tables([two.table, two.table]))
    two = two.replace({"frame": frames, "reader": readers})
    found = two.replace({"reader": [None, None], "score": [0.5, 0.5]})
    checks: list[Callable[[], object]] = [
        lambda: check_truth(two, cache),
        lambda: CacheDataset(cache, two),
        lambda: wr.evaluate(found, two, "voc2010@0.4", resamples=0, allow_train=True),
    ]
    for check in checks:
        with pytest.raises(UsageError, match="several readers") if several else nullcontext():
            check()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "segment"}, "unknown task 'segment'"),
        ({"model": "big"}, "unknown model to detect 'big'"),
        ({"size": 16}, "size must be at least 32"),
        ({"epochs": 0}, "epochs must be above 0"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"lr": 11.0}, "lr must be above 0"),
        ({"device": "cuda:7"}, "no device 'cuda:7'"),
        ({"size": 128}, "size 128"),
        ({"window": "lungs"}, "lungs"),
        ({"precision": "float8"}, "unknown precision 'float8'"),
        ({"weights": "nowhere.pth"}, "nowhere.pth: no such file"),
    ],
)
def test_wrong_usage(
    changes: dict[str, Any], message: str, cache: Cache, truth: Boxes, tmp_path: Path
) -> None:
    with pytest.raises((UsageError, NotFoundError), match=message):
        wr.train(cache, truth, to=tmp_path / "run", **{**SMALL, **changes})
    assert not (tmp_path / "run").exists()


def test_boxes_of_other_images(cache: Cache, truth: Boxes, tmp_path: Path) -> None:
    keys = Boxes.from_columns({"key": ["elsewhere"], "label": ["ILD"], **{
        name: [1.0 + number] for number, name in enumerate(("x0", "y0", "x1", "y1"))
    }})  # fmt: skip
    with pytest.raises(UsageError, match="no image of the index matches a key"):
        wr.train(cache, keys, to=tmp_path, **SMALL)
    joined = keys.replace({"image": ["0" * 16]})
    with pytest.raises(UsageError, match="no image of the boxes is in the cache"):
        wr.train(cache, joined, to=tmp_path, **SMALL)
    normal = truth.select(pa.array([k == "nothing" for k in truth.table["kind"].to_pylist()]))
    with pytest.raises(UsageError, match="no boxes to train on"):
        wr.train(cache, normal, to=tmp_path, **SMALL)


def test_folders_without_a_run(tmp_path: Path, detector: Run) -> None:
    with pytest.raises(NotFoundError, match="no such folder"):
        Run.open(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"is not a run of wetread train: it has no config\.json"):
        Run.open(tmp_path)
    (tmp_path / "config.json").write_text('{"format": "wetread-run", "schema": 99}')
    with pytest.raises(UsageError, match=r"\(schema 99\)"):
        Run.open(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UsageError, match="is damaged"):
        Run.open(tmp_path)
    (tmp_path / "config.json").write_bytes((detector.path / "config.json").read_bytes())
    with pytest.raises(NotFoundError, match=r"best\.safetensors"):
        Run.open(tmp_path).model()
    with pytest.raises(NotFoundError, match="has not yet written it"):
        _ = Run.open(tmp_path).metrics


def test_undecodable_files_are_listed_in_a_warning(
    detector: Run, phantoms: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    for number, path in enumerate(sorted((phantoms / "test").iterdir())[:3]):
        data = path.read_bytes()
        (folder / path.name).write_bytes(data[: len(data) // 2] + bytes(9) if number == 1 else data)
    index = wr.scan(folder, workers=0, progress=False)
    with pytest.warns(UserWarning, match="1 files or frames cannot be decoded"):
        found = detector.predict(index, progress=False)
    assert len(set(found.table["image"].to_pylist())) == 2

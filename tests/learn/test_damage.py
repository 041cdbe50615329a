"""Damaged files of a run and of a cache: an error that names the file."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import wetread as wr
from wetread.cache.cache import MARKER, Cache
from wetread.cache.cache import STAMP as CACHE_STAMP
from wetread.cache.prepare import prepare
from wetread.cli import main
from wetread.errors import CacheError, NotFoundError, UsageError
from wetread.learn.run import Run
from wetread.learn.run_folder import CALIBRATION, STAMP
from wetread.testing.dicom import dicom_file, element, picture

CONFIG: dict[str, Any] = {
    "id": "0123456789abcdef",
    "task": "detect",
    "model": "small",
    "classes": [["0", "Mass"], ["1", "Nodule"]],
    "size": 64,
    "mean": 0.5,
    "std": 0.2,
    "window": "auto",
    "precision": "float32",
    "threads": 1,
    "images": {"train": 3, "valid": 1},
}


def make_run(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    STAMP.write(folder / "config.json", config)
    return folder


def test_valid_config(tmp_path: Path) -> None:
    for window in ("auto", "file", [40, 400.5]):
        run = Run.open(make_run(tmp_path / "run", {**CONFIG, "window": window}))
        assert (run.size, run.classes) == (64, (("0", "Mass"), ("1", "Nodule")))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classes", [[str(i), f"c{i}"] for i in range(100_000)]),
        ("classes", 3_000_000),
        ("classes", []),
        ("classes", [["0"]]),
        ("classes", [[0, "Mass"]]),
        ("classes", {"0": "Mass"}),
        ("size", 10**9),
        ("size", "64"),
        ("size", True),
        ("size", 0),
        ("mean", None),
        ("mean", float("nan")),
        ("std", 0),
        ("task", ["detect"]),
        ("model", 7),
        ("window", [40]),
        ("images", 3),
        ("threads", 1.5),
    ],
)
@pytest.mark.parametrize("missing", [False, True])
def test_invalid_values(tmp_path: Path, name: str, value: Any, missing: bool) -> None:
    config = {**CONFIG, name: value}
    if missing:
        del config[name]
    folder = make_run(tmp_path / "run", config)
    with pytest.raises(
        UsageError, match=rf"config\.json is damaged: invalid {name}; .* new folder"
    ):
        Run.open(folder)


def test_every_damaged_config(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", CONFIG) / "config.json"
    whole, draw = path.read_bytes(), random.Random(0)
    damaged = [
        b"",
        whole[:99],
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 99_999,
        whole.replace(b"64", b"65"),
    ]
    for _ in range(100):
        data, at = bytearray(whole), draw.randrange(8 * len(whole))
        data[at // 8] ^= 1 << at % 8
        damaged.append(bytes(data))
    for data in damaged:
        path.write_bytes(data)
        try:
            config = Run.open(path.parent).config
        except UsageError as error:
            content = str(error)
            assert "config.json" in content
        else:
            assert {name: config[name] for name in CONFIG} == CONFIG
    done = CliRunner().invoke(
        main, ["predict", str(path.parent), "x", "-o", str(tmp_path / "p.parquet")]
    )
    assert "Traceback" not in done.output
    assert done.exit_code == 2


def test_other_damaged_files_of_a_run(tmp_path: Path) -> None:
    run = Run.open(make_run(tmp_path / "run", CONFIG))
    names = {"metrics": lambda: run.metrics, "split": lambda: run.split, "truth": lambda: run.truth}
    for name, read in {**names, "valid": lambda: run.valid}.items():
        for data in (b"", b"PAR1", b"not Parquet", bytes(100)):
            (run.path / f"{name}.parquet").write_bytes(data)
            with pytest.raises(UsageError, match=rf"{name}\.parquet"):
                read()


def test_a_damaged_temperature(tmp_path: Path) -> None:
    run = Run.open(make_run(tmp_path / "run", CONFIG))
    with pytest.raises(NotFoundError, match=r"calibration\.json"):
        _ = run.temperature
    STAMP.write(run.path / CALIBRATION, {"temperature": None})
    assert run.temperature is None
    for value in (0, -1.0, "2", True, [1]):
        STAMP.write(run.path / CALIBRATION, {"temperature": value})
        with pytest.raises(UsageError, match="invalid temperature"):
            _ = run.temperature
    for data in (b"", b"{}", b"not JSON"):
        (run.path / CALIBRATION).write_bytes(data)
        with pytest.raises(UsageError, match=r"calibration\.json is damaged"):
            _ = run.temperature


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("cache")
    (top / "in").mkdir()
    for number in range(2):
        data = dicom_file([element("PatientID", f"P{number}"), *picture(number, 8 + number)])
        (top / "in" / f"{number}.dcm").write_bytes(data)
    index = wr.scan(top / "in", workers=0, progress=False)
    prepare(index, top / "cache", 8, workers=1, progress=False)
    return top / "cache"


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "cache"))


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": cut,
    "zeros": lambda data: bytes(len(data)),
    "another": lambda data: data[:40] + b"\xff" + data[41:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("file", [MARKER, "tables/*.parquet", "shards/*.npy"])
def test_damaged_files_of_a_cache(cache: Path, file: str, damage: Callable[[bytes], bytes]) -> None:
    [path] = cache.glob(file)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CacheError, match=path.name):
        Cache.open(cache).read(0)


def test_shard_header_of_another_shape_or_type(cache: Path) -> None:
    [path] = (cache / "shards").iterdir()
    pixels, whole = np.load(path), path.read_bytes()
    for other in (pixels.reshape(2, -1), pixels.view("<i2"), pixels[:70]):
        np.save(path, other)
        path.write_bytes(path.read_bytes().ljust(len(whole), b"\0"))
        with pytest.raises(CacheError, match=r"\.npy is damaged"):
            Cache.open(cache).read(1)
    path.write_bytes(whole.replace(b"(", b"(9"))
    with pytest.raises(CacheError, match=r"\.npy cannot be read"):
        Cache.open(cache).read(0)


def test_changed_marker(cache: Path) -> None:
    content = json.loads((cache / MARKER).read_text())
    for name, value in (("table", 3), ("hash", None), ("size", "8"), ("root", [])):
        CACHE_STAMP.write(cache / MARKER, {**content, name: value})
        with pytest.raises(CacheError, match=f"{MARKER} is damaged"):
            Cache.open(cache)

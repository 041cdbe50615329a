"""Exported files contain display or stored values; the manifest has the transform back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image as Pillow

import wetread as wr
from wetread.errors import StorageError, UnknownNameError, UsageError
from wetread.images.export import SCHEMA, export_images
from wetread.index import Index

NAMES = ("CT_small", "MR_small", "MR_truncated", "693_J2KI", "SC_rgb", "US1_J2KR", "rtplan")
FRAMES = ("emri_small_jpeg_2k_lossless", "eCT_Supplemental", "parametric_map_float", "rtdose")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, real_files: list[Path]) -> Index:
    folder = tmp_path_factory.mktemp("train")
    names = {f"{name}.dcm" for name in (*NAMES, *FRAMES)}
    for path in real_files:
        if path.name in names:
            shutil.copy(path, folder / path.name)
    return wr.scan(folder, progress=False)


def read(path: Path) -> np.ndarray:
    return np.load(path) if path.suffix == ".npy" else np.asarray(Pillow.open(path))


@pytest.mark.parametrize("format_", ["png16", "tiff", "npy"])
def test_stored_values_can_be_restored(index: Index, tmp_path: Path, format_: str) -> None:
    lines = index.export(tmp_path, format=format_, workers=1, progress=False)
    assert {p.name for p in tmp_path.iterdir()} == {*lines["file"].dropna(), "manifest.csv"}
    images = {image.id: image for image in index.images}
    assert set(lines["id"]) == set(images)
    exact = 0
    for line in lines.itertuples():
        image = images[line.id]
        assert line.path == image.path
        if line.status != "ok":
            assert image.path == "MR_truncated.dcm"
            assert line.text.startswith("UNDECODABLE: ")
            continue
        assert line.file.startswith(line.id)
        pixels = read(tmp_path / line.file)
        assert pixels.shape[:2] == (line.rows, line.columns) == image.shape[:2]
        if line.photometric == "RGB":
            np.testing.assert_array_equal(pixels, image.display(frame=line.frame))
            continue
        values = pixels.astype(float) * line.slope + line.intercept
        expected = image.values(line.frame)
        wanted = 1e-6 if line.exact else 1e-4
        np.testing.assert_allclose(values, expected, rtol=wanted, atol=wanted * np.ptp(expected))
        exact += line.exact
    assert exact >= 15
    assert lines.groupby("id")["frame"].apply(list)[
        next(i.id for i in index if i.path.startswith("emri"))
    ] == list(range(10))


@pytest.mark.parametrize("format_", ["png8", "jpg"])
def test_display_formats_equal_display(index: Index, tmp_path: Path, format_: str) -> None:
    ct = index.where("path LIKE 'CT%' OR path LIKE 'SC%'")
    lines = ct.export(tmp_path, 100, format_, "auto", workers=1, progress=False)
    for line, image in zip(lines.itertuples(), ct.images, strict=True):
        pixels, shown = read(tmp_path / line.file), image.display("auto", 100)
        assert pixels.shape == shown.shape
        assert np.abs(pixels.astype(int) - shown).mean() <= (0 if format_ == "png8" else 2)
    assert lines["window"][0].startswith("auto")
    assert lines["photometric"].to_list() == ["MONOCHROME2", "RGB"]


def test_a_window_that_does_not_apply_is_a_row_with_a_reason(index: Index, tmp_path: Path) -> None:
    grey = index.where("path LIKE 'CT%' OR path LIKE 'MR_small%'")
    lines = grey.export(tmp_path, format="jpg", window="lung", workers=1, progress=False)
    assert lines["status"].to_list() == ["ok", "failed"]
    assert "for CT in HU" in lines["text"][1]


def test_coordinates_can_be_transformed_back(index: Index, tmp_path: Path) -> None:
    us = index.where("path LIKE 'US1%' OR path LIKE '693%'")
    lines = us.export(tmp_path, size=100, format="npy", workers=1, progress=False)
    for line, image in zip(lines.itertuples(), us.images, strict=True):
        pixels = read(tmp_path / line.file)
        assert max(pixels.shape[:2]) == 100
        rows, columns = image.shape[:2]
        assert (line.scale_y * rows, line.scale_x * columns) == pytest.approx(pixels.shape[:2])
        assert not line.exact


def test_crops_are_whole_pixels(index: Index, tmp_path: Path) -> None:
    ct = index.where("path LIKE 'CT_small%'")
    options: dict[str, Any] = {"workers": 1, "progress": False}
    (line,) = ct.export(
        tmp_path / "a", None, "npy", crop=(10.5, 20, 50, 60.2), **options
    ).itertuples()
    assert (line.left, line.top, line.columns, line.rows, line.exact) == (10, 20, 40, 41, True)
    values = np.load(tmp_path / "a" / line.file) * line.slope + line.intercept
    np.testing.assert_array_equal(values, ct[0].values()[20:61, 10:50])
    crops = {ct[0].id: (100.0, 0.0, 999.0, 64.0)}
    (line,) = ct.export(tmp_path / "b", 32, "png8", crop=crops, **options).itertuples()
    assert (line.left, line.columns, line.rows) == (100, 14, 32)
    assert line.scale_x == pytest.approx(14 / 28)
    far = ct.export(tmp_path / "c", crop=(500, 0, 600, 5), **options)
    assert far["status"][0] == "failed"
    assert "outside the image of 128 x 128 pixels" in far["text"][0]


def test_the_manifest_is_a_file_too(index: Index, tmp_path: Path) -> None:
    lines = index.export(tmp_path, size=64, workers=1, progress=False)
    kept = pd.read_csv(tmp_path / "manifest.csv", keep_default_na=False, na_values=[""])
    assert list(kept.columns) == SCHEMA.names
    assert kept["file"].dropna().to_list() == lines["file"].dropna().to_list()
    assert not list(tmp_path.glob(".tmp*"))


def test_an_image_that_crashes_its_worker_is_a_row(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wetread.images.export import _failed

    (tmp_path / f"{index.images[0].id}_0001.png").write_bytes(b"half of it")
    image = index.images.table.slice(0, 1)
    image = image.append_column("name", image["id"])
    line = _failed(tmp_path, "png16")(image, "crashed", "the worker ended: SIGSEGV").to_pylist()[0]
    assert (line["status"], line["file"], line["path"]) == ("crashed", None, index.images[0].path)
    assert line["text"] == "CRASHED: the worker ended: SIGSEGV"
    assert not list(tmp_path.iterdir())


def test_bad_usage(index: Index, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean png8"):
        index.export(tmp_path, format="png9")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="png16 keeps all values and takes no window"):
        index.export(tmp_path, window="lung")
    with pytest.raises(UsageError, match="size must be at least 1"):
        index.export(tmp_path, size=0)
    with pytest.raises(UsageError, match="a name or"):
        index.export(tmp_path, format="jpg", window=40)  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        index.export(tmp_path / "file" / "below", progress=False)
    none = index.where("path LIKE 'rtplan%'")
    assert export_images(none, tmp_path / "none", progress=False).num_rows == 0


def test_missing_frames_are_one_row(real_file: Callable[[str], Path], tmp_path: Path) -> None:
    header = pydicom.dcmread(real_file("MR_small.dcm"))
    header.NumberOfFrames = 1_000_000
    (tmp_path / "train").mkdir()
    header.save_as(tmp_path / "train" / "lie.dcm")
    index = wr.scan(tmp_path / "train", progress=False)
    lines = index.export(tmp_path / "png", workers=1, progress=False)
    assert lines["status"].to_list() == ["ok", "failed"]
    assert lines["frame"].to_list() == [0, 1]
    assert lines["text"][1] == "UNDECODABLE: 999,999 of 1,000,000 frames are missing"
    measured = index.measure(workers=1, progress=False).to_pandas()
    assert measured["px_status"].to_list() == ["partial"]


def test_files_of_an_earlier_export_are_replaced(index: Index, tmp_path: Path) -> None:
    def files() -> set[str]:
        return {path.name for path in tmp_path.iterdir()}

    (tmp_path / "own.png").write_bytes(b"mine")
    pictures = index.where("path IN ('CT_small.dcm', 'MR_small.dcm')")
    pictures.export(tmp_path, progress=False, workers=1)
    assert len(files()) == 4
    manifest = pictures[:1].export(tmp_path, format="jpg", progress=False, workers=1)
    assert files() == {"own.png", "manifest.csv", *manifest["file"]}
    (tmp_path / "manifest.csv").write_text("id,file\n1,own.png\n")  # of another program
    pictures[1:].export(tmp_path, progress=False, workers=1)
    assert {"own.png", *manifest["file"]} <= files()

"""`prepare`: values and coordinates are kept; resuming, failures and limits."""

from __future__ import annotations

import gc
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from imagecodecs import jpeg8_encode

import wetread as wr
from wetread.cache import prepare as module
from wetread.cache.cache import MARKER, Cache
from wetread.cache.folder import STORE
from wetread.cache.prepare import prepare
from wetread.cache.shards import ShardReader, ShardWriter, close_shard, shard_path, shard_sizes
from wetread.display.render import SAMPLE
from wetread.errors import CacheError, StorageError, UsageError
from wetread.index import Index
from wetread.sample.write import encode
from wetread.settings import Settings
from wetread.testing import damages, dicom_file, element, picture
from wetread.testing.dicom import JPEG2000, changed

Watch = Callable[[], list[str]]
NAMES = (
    "CT_small",
    "MR_small",
    "MR_truncated",
    "693_J2KI",
    "MR-SIEMENS-DICOM-WithOverlays",
    "mlut_18",
    "emri_small_jpeg_2k_lossless",
    "eCT_Supplemental",
    "rtplan",
)
ROUNDED = ("parametric_map_float", "rtdose", "SC_rgb", "examples_palette")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, real_files: list[Path]) -> Path:
    """Real images: several transfer syntaxes, multi-frame, float, colour, truncated; and a plan."""
    folder = tmp_path_factory.mktemp("train")
    names = {f"{name}.dcm" for name in (*NAMES, *ROUNDED)}
    for path in real_files:
        if path.name in names:
            shutil.copy(path, folder / path.name)
    return folder


@pytest.fixture
def few(folder: Path, tmp_path: Path) -> Path:
    """Some of them, in a folder that may be changed."""
    (few := tmp_path / "few").mkdir()
    for name in ("CT_small", "MR_small", "MR_truncated", "693_J2KI"):
        shutil.copy2(folder / f"{name}.dcm", few)
    return few


def make(index: Index, to: Path, size: int = 1024) -> Cache:
    return prepare(index, to, size, workers=1, progress=False)


def test_every_frame_keeps_its_values(folder: Path, tmp_path: Path) -> None:
    index = wr.scan(folder, progress=False)
    cache = make(index, tmp_path / "cache", 4096)
    images = {image.id: image for image in index.images}
    wanted = [
        (image.id, frame)
        for image in index.images
        if image.path != "MR_truncated.dcm"
        for frame in range(image.frames)
    ]
    assert list(zip(*(cache.rows[n].to_pylist() for n in ("id", "frame")), strict=True)) == wanted
    assert {row["path"] for row in cache.left_out.to_pylist()} == {"MR_truncated.dcm"}
    assert cache.left_out["text"][0].as_py().startswith("UNDECODABLE: ")
    for i, row in enumerate(cache.rows.to_pylist()):
        image = images[row["id"]]
        stored = image.pixels(row["frame"])
        assert (row["height"], row["width"]) == (row["rows"], row["columns"]) == stored.shape[:2]
        assert (row["scale_x"], row["scale_y"]) == (1, 1)
        if Path(image.path).stem in ("SC_rgb", "examples_palette"):
            seen = image.display(frame=row["frame"]) @ [0.299, 0.587, 0.114]
            np.testing.assert_allclose(cache.values(i), seen, atol=1)
            continue
        expected, kept = image.values(row["frame"]), ~image.padding(row["frame"])
        if Path(image.path).stem in ROUNDED:
            span = np.ptp(expected) / 65535
            np.testing.assert_allclose(cache.values(i)[kept], expected[kept], atol=span)
        else:
            np.testing.assert_array_equal(cache.values(i)[kept], expected[kept])


def test_padding_gets_the_darkest_value(tmp_path: Path) -> None:
    values = np.full((8, 8), 700, "u2")
    values[0], values[1] = 4000, 200
    more = element("PixelPaddingValue", 4000), element("PixelData", values.tobytes(), vr="OW")
    for number, photometric in ((1, "MONOCHROME1"), (2, "MONOCHROME2")):
        elements = changed(picture(), *more, element("PhotometricInterpretation", photometric))
        (tmp_path / f"{number}.dcm").write_bytes(dicom_file(elements))
    cache = make(wr.scan(tmp_path, progress=False), tmp_path / "cache")
    assert [cache.read(i)[0, 0] for i in (0, 1)] == [700, 200]
    assert [cache.values(i)[1, 0] for i in (0, 1)] == [200 * 1.5 - 1024] * 2


@pytest.mark.parametrize("codec", ["jpeg2000", "jpeg", "none"])
@pytest.mark.parametrize(("rows", "columns"), [(1001, 733), (803, 1206)])
def test_positions_at_every_size(tmp_path: Path, codec: str, rows: int, columns: int) -> None:
    """Also at reduced resolutions, whose sizes are rounded up and whose grids are shifted."""
    y, x = np.mgrid[:rows, :columns] + 0.5
    places = [(111.3, 90.2), (columns - 95.7, rows - 120.4)]
    near = [np.hypot(x - cx, y - cy) for cx, cy in places]
    blobs = sum(np.exp(-(distance**2) / (2 * 22**2)) for distance in near)
    stored = np.rint(blobs * (240 if codec == "jpeg" else 4000)).astype("u2")
    write_picture(tmp_path / "blobs.dcm", stored, codec)
    index = wr.scan(tmp_path, progress=False)
    for size in (700, 400, 160):
        cache = make(index, tmp_path / f"{size}.cache", size)
        row = cache.rows.to_pylist()[0]
        assert max(row["height"], row["width"]) == size
        values = cache.values(0).astype(float)
        v, u = (np.mgrid[: row["height"], : row["width"]] + 0.5).reshape(2, *values.shape)
        for cx, cy in places:
            mine = np.hypot(u / row["scale_x"] - cx, v / row["scale_y"] - cy) < 80
            weight = (values * mine) / (values * mine).sum()
            assert (u * weight).sum() / row["scale_x"] == pytest.approx(cx, abs=0.5)
            assert (v * weight).sum() / row["scale_y"] == pytest.approx(cy, abs=0.5)


def write_picture(path: Path, stored: np.ndarray, codec: str) -> None:
    bits = 8 if codec == "jpeg" else 12
    shape = [element("Rows", stored.shape[0]), element("Columns", stored.shape[1])]
    depth = [element("BitsAllocated", 8 if bits == 8 else 16), element("BitsStored", bits)]
    unscaled = changed(picture(), without=("RescaleSlope", "RescaleIntercept"))
    plain = changed(unscaled, *shape, *depth, element("HighBit", bits - 1))
    if codec == "jpeg2000":
        data, syntax = [b"", encode(stored, bits)], JPEG2000
    elif codec == "jpeg":
        stream = jpeg8_encode(stored.astype("u1"), level=98)
        data, syntax = [b"", stream + b"\0" * (len(stream) % 2)], "1.2.840.10008.1.2.4.50"
    else:
        data, syntax = stored.tobytes(), "1.2.840.10008.1.2.1"
    pixels = element("PixelData", data, vr="OW" if codec == "none" else "OB")
    path.write_bytes(dicom_file(changed(plain, pixels), syntax))


def test_automatic_window_equals_display(real_file: Callable[[str], Path], tmp_path: Path) -> None:
    index = wr.scan(real_file("RG3_J2KR.dcm"), progress=False)
    assert max(index[0].shape) > SAMPLE
    for size in (SAMPLE // 2, 1024, 4096):
        row = make(index, tmp_path / str(size), size).rows.to_pylist()[0]
        view = index[0].render("auto").view
        assert (row["auto_low"] + row["auto_high"]) / 2 == view.center
        assert row["auto_high"] - row["auto_low"] == view.width


def test_resume_after_kill(few: Path, tmp_path: Path, watch_decoding: Watch) -> None:
    for n in range(30):
        shutil.copy(few / "CT_small.dcm", few / f"{n}.dcm")
    index, to = wr.scan(few, tmp_path / "index", progress=False), tmp_path / "cache"
    script = (
        "import wetread as wr\nfrom wetread.settings import Settings\n"
        f"index = wr.Index.open({str(tmp_path / 'index')!r})\n"
        f"wr.prepare(index, {str(to)!r}, 64, 1, settings=Settings(part_seconds=0))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(wr.__path__[0]).parent)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment) as process:
        while not list(to.glob("commits/*.parquet")):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    before = set(to.glob("commits/*.parquet"))
    with pytest.raises(CacheError, match="not finished"):
        Cache.open(to)
    paths = watch_decoding()
    cache = make(index, to, 64)
    assert before
    assert 0 < len(paths) < len(index.images)
    alone = make(index, tmp_path / "alone", 64)
    where = ["shard", "place"]
    assert cache.rows.drop_columns(where).equals(alone.rows.drop_columns(where))
    assert cache.left_out.equals(alone.left_out)
    cache.verify()
    assert not list(to.glob("commits/*"))
    shards = {f"{name}.npy" for name in cache.rows["shard"].to_pylist()}
    assert {path.name for path in to.glob("shards/*")} == shards


def test_only_new_and_changed_files_are_decoded(
    few: Path, tmp_path: Path, watch_decoding: Watch
) -> None:
    to = tmp_path / "cache"
    before = make(wr.scan(few, progress=False), to, 64)
    paths = watch_decoding()
    marker = (to / MARKER).stat()
    assert make(wr.scan(few, progress=False), to, 64).rows.equals(before.rows)
    assert not paths
    assert (to / MARKER).stat().st_mtime_ns == marker.st_mtime_ns
    shutil.copy(few / "MR_small.dcm", few / "new.dcm")
    os.utime(few / "CT_small.dcm", ns=(1, 1))
    after = make(wr.scan(few, progress=False), to, 64)
    assert paths == ["CT_small.dcm", "new.dcm"]
    assert after.index_hash != before.index_hash
    after.verify()
    assert after.rows["path"].to_pylist() == [*before.rows["path"].to_pylist(), "new.dcm"]


def test_parts_are_added_without_decoding(few: Path, tmp_path: Path, watch_decoding: Watch) -> None:
    index, to = wr.scan(few, progress=False), tmp_path / "cache"
    assert make(index, to, 64).rows["part"].null_count == 3
    index = wr.split(index)
    paths = watch_decoding()
    rows = make(index, to, 64).rows
    assert not paths
    known = dict(index.to_pandas()[["id", "part"]].dropna().itertuples(index=False))
    assert rows["part"].to_pylist() == [known[id_] for id_ in rows["id"].to_pylist()]


def test_another_size_or_data_set_is_an_error(few: Path, tmp_path: Path) -> None:
    index, to = wr.scan(few, progress=False), tmp_path / "cache"
    make(index, to, 64)
    with pytest.raises(UsageError, match="of size 64, not 32: choose another folder"):
        make(index, to, 32)
    with pytest.raises(UsageError, match="1 image that the index does not have, such as CT_small"):
        make(index.where("path <> 'CT_small.dcm'"), to, 64)
    assert len(Cache.open(to)) == 3


def test_unreadable_files_are_retried(few: Path, tmp_path: Path) -> None:
    index, to = wr.scan(few, progress=False), tmp_path / "cache"
    (few / "CT_small.dcm").rename(tmp_path / "away")
    left = make(index, to, 64).left_out.to_pylist()
    assert [(row["path"], row["status"]) for row in left] == [
        ("CT_small.dcm", "no_access"),
        ("MR_truncated.dcm", "failed"),
    ]
    (tmp_path / "away").rename(few / "CT_small.dcm")
    cache = make(index, to, 64)
    assert cache.left_out["path"].to_pylist() == ["MR_truncated.dcm"]
    assert cache.rows["path"][1].as_py() == "CT_small.dcm"


def test_crashing_decoders_lose_one_image_each(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("crash", "hang", "panic", "greedy")
    for word in words:
        shutil.copy(few / "CT_small.dcm", few / f"{word}.dcm")
    monkeypatch.setattr(module, "FUNCTION", "wetread.testing.decoders:prepare_badly")
    index = wr.scan(few, progress=False)
    limits = Settings(decode_seconds=5)
    cache = prepare(index, tmp_path / "c", 64, workers=1, progress=False, settings=limits)
    left = {row["path"]: (row["status"], row["text"]) for row in cache.left_out.to_pylist()}
    assert {word: left[f"{word}.dcm"][0] for word in words} == {
        "crash": "crashed",
        "hang": "timeout",
        "panic": "failed",
        "greedy": "refused",
    }
    assert left["crash.dcm"][1].startswith("CRASHED: ")
    assert sorted(cache.rows["path"].to_pylist()) == [
        "693_J2KI.dcm",
        "CT_small.dcm",
        "MR_small.dcm",
    ]
    cache.verify()


def test_undecodable_frames_are_left_out(folder: Path, tmp_path: Path) -> None:
    data = bytearray((folder / "emri_small_jpeg_2k_lossless.dcm").read_bytes())
    second = data.index(b"\xff\x4f\xff\x51", data.index(b"\xff\x4f\xff\x51") + 4)
    data[second : second + 4] = bytes(4)
    (tmp_path / "bad.dcm").write_bytes(data)
    index = wr.scan(tmp_path / "bad.dcm", progress=False)
    cache = make(index, tmp_path / "cache")
    assert cache.left_out["frame"].to_pylist() == [1]
    assert cache.rows["frame"].to_pylist() == [n for n in range(index[0].frames) if n != 1]


def test_temporary_folder_is_deleted_with_the_cache(few: Path) -> None:
    cache = wr.prepare(wr.scan(few, progress=False), size=32, workers=1, progress=False)
    folder = cache.folder
    copy = pickle.loads(pickle.dumps(cache))
    assert len(copy) == 3
    del copy
    gc.collect()
    assert folder.is_dir()
    cache.verify()
    del cache
    gc.collect()
    assert not folder.exists()


def test_disk_space_is_printed_and_checked(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    index = wr.scan(few, progress=False)
    prepare(index, tmp_path / "a", 64, workers=1)
    printed = capfd.readouterr().err
    assert "4 of 4 images take 32.0 kB in" in printed
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, 30_000))
    with pytest.raises(StorageError, match=r"29\.3 kB are free: choose another disk or size"):
        make(index, tmp_path / "b", 64)


def test_number_of_frames_is_limited_by_file_size(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    next(d for d in damages() if d.name == "pixel_bombs").make(tmp_path / "bombs")
    index = wr.scan(tmp_path / "bombs", progress=False).where("path LIKE '%frames.dcm'")
    assert set(index.query("SELECT NumberOfFrames n FROM index")["n"]) == {2**31 - 1}
    prepare(index, tmp_path / "cache", 64, workers=1)
    printed = re.search("([0-9]) of [0-9] images take [^ ]+ ([a-zA-Z]+) in", capfd.readouterr().err)
    assert printed is not None
    assert printed[1] == "6"
    assert printed[2] in ("bytes", "kB")


def test_full_disk_is_reported_and_finished_images_are_kept(few: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    index, to = wr.scan(few, progress=False), tmp_path / "cache"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match="the disk is full"):
            make(index, to, 64)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    make(index, to, 64).verify()
    assert len(list(to.glob("shards/*"))) == 1


def test_concurrent_prepare_is_an_error(few: Path, tmp_path: Path) -> None:
    index, to = wr.scan(few, progress=False), tmp_path / "cache"
    with (
        STORE.locked(to, {"size": 64, "table": None}),
        pytest.raises(StorageError, match="another prepare is writing"),
    ):
        make(index, to, 64)


def test_images_per_shard(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    writer = ShardWriter(tmp_path, frames=2)
    places = [writer.write(np.full((2, 3), number, "u2")) for number in range(5)]
    writer.close()
    assert [line["place"] for line in places] == [0, 6, 0, 6, 0]
    assert len({line["shard"] for line in places}) == 3
    lines = [{**place, "height": 2, "width": 3} for place in places]
    table = pa.Table.from_pylist(lines)
    for shard, size in shard_sizes(table).items():
        close_shard(shard_path(tmp_path, shard), size)
    pictures = ShardReader(tmp_path, table)
    assert [pictures.read(i).tolist() for i in range(5)] == [[[i] * 3] * 2 for i in range(5)]
    shutil.rmtree(tmp_path / "shards")
    assert pictures.read(1).max() == 1  # it is mapped
    with pytest.raises(CacheError, match="cannot be read"):
        pickle.loads(pickle.dumps(pictures)).read(1)


def test_cache_without_images(few: Path, tmp_path: Path) -> None:
    cache = make(wr.scan(few / "MR_truncated.dcm", progress=False), tmp_path / "cache")
    assert (len(cache), len(cache.left_out)) == (0, 1)
    cache.verify()


def test_bad_usage(few: Path, tmp_path: Path) -> None:
    index = wr.scan(few, progress=False)
    with pytest.raises(UsageError, match="size must be at least 1"):
        make(index, tmp_path / "c", 0)
    with pytest.raises(UsageError, match="workers must be at least 1"):
        prepare(index, tmp_path / "c", workers=0, progress=False)
    with pytest.raises(UsageError, match="no row has pixels"):
        make(index.where("false"), tmp_path / "c")
    with pytest.raises(CacheError, match="has files and is not a cache"):
        make(index, few)

"""Equal tables, however the files are read. Buckets: test_buckets.py."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from distributed import Client, LocalCluster

import wetread as wr
from wetread.settings import Settings
from wetread.testing.dicom import dicom_file, picture

OF_THE_SOURCE = {"id", "path", "path_bytes", "member", "mtime_ns"}
"""What a file in an archive has otherwise."""
NAMES = ("CT_small.dcm", "JPEG2000.dcm", "MR_truncated.dcm", "image_dfl.dcm", "no_meta.dcm")
NAMES += (
    "ExplVR_BigEnd.dcm",
    "eCT_Supplemental.dcm",
    "rtplan.dcm",
    "emri_small_jpeg_2k_lossless.dcm",
)


@pytest.fixture(scope="module")
def folder(real_file: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real files and phantoms, and some that are no DICOM, in folders that sort oddly."""
    folder = tmp_path_factory.mktemp("same") / "train"
    for n, name in enumerate(NAMES):
        path = folder / ("a", "a b", "a-b", "ü")[n % 4] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(real_file(name).read_bytes())
    for n in range(30):
        content = dicom_file(picture(n)) if n % 7 else b"no DICOM"[: n % 3]
        (folder / f"{n}.dcm").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def expected(folder: Path) -> pa.Table:
    return wr.scan(folder, progress=False, workers=0).table


def by_processes(folder: Path, to: Path) -> wr.Index:
    settings = Settings(part_files=7)
    return wr.scan(folder, to / "x.index", progress=False, workers=2, settings=settings)


def by_shards(folder: Path, to: Path) -> wr.Index:
    for number in (2, 0, 1):
        wr.scan(folder, to / "x.index", shard=f"{number}/3", progress=False, workers=0)
    return wr.merge(to / "x.index")


def by_dask(count: int) -> Callable[[Path, Path], wr.Index]:
    """Scan with workers in threads; those of test_dask.py are processes."""
    options = {"threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}

    def scan(folder: Path, to: Path) -> wr.Index:
        with LocalCluster(n_workers=count, **options) as cluster, Client(cluster) as client:
            engine, settings = wr.DaskEngine(client), Settings(part_files=4)
            return wr.scan(folder, to / "x.index", progress=False, engine=engine, settings=settings)

    return scan


@pytest.mark.parametrize(
    "way",
    [by_processes, by_shards, by_dask(1), by_dask(4)],
    ids=["processes", "shards", "dask of 1", "dask of 4"],
)
def test_the_same_table(
    way: Callable[[Path, Path], wr.Index], folder: Path, expected: pa.Table, tmp_path: Path
) -> None:
    assert way(folder, tmp_path).table.equals(expected)


@pytest.mark.parametrize("name", ["train.zip", "train.tar.gz"])
def test_the_same_table_of_an_archive(
    name: str, folder: Path, expected: pa.Table, tmp_path: Path
) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    if name.endswith("zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder))
    else:
        with tarfile.open(tmp_path / name, "w:gz") as archive:
            for path in files:
                archive.add(path, path.relative_to(folder))
    found = wr.scan(tmp_path / name, progress=False, workers=0).table
    assert found["member"].equals(expected["path"])
    assert set(found.column_names) == set(expected.column_names)
    for column in set(expected.column_names) - OF_THE_SOURCE:
        assert found[column].equals(expected[column]), column

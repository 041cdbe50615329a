"""DaskEngine on a real cluster of separate processes: equal tables, whatever dies."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster

import wetread as wr
from wetread.cache.cache import Cache
from wetread.common.progress import Progress
from wetread.errors import EngineError, StorageError, UsageError
from wetread.learn import inference
from wetread.settings import Settings
from wetread.testing.dicom import changed, dicom_file, element, picture

OBEY = "wetread.testing.tasks:obey"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Client]:
    """Client of two workers in separate processes, restarted when they end."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def client(cluster: Client) -> Client:
    """The client, once both workers are up: the previous test may have killed them."""
    cluster.wait_for_workers(2, timeout=250)
    return cluster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train").mkdir()
    for n in range(60):
        content = dicom_file(picture(n)) if n % 7 else b"no DICOM"
        (tmp_path / "train" / f"{n:02}.dcm").write_bytes(content)
    return tmp_path / "train"


def task(start: int, *do: str | None) -> pa.Table:
    return pa.table({"row": range(start, start + len(do)), "do": pa.array(do, pa.string())})


def failed(row: pa.Table, status: str, text: str) -> pa.Table:
    assert row.num_rows == 1
    return row.append_column("status", pa.array([status])).append_column("text", pa.array([text]))


def run(engine: wr.DaskEngine, *tasks: pa.Table, **options: Any) -> list[dict[str, Any]]:
    tables = engine.map(OBEY, tasks, options, failed)
    return sorted((row for t in tables for row in t.to_pylist()), key=lambda row: row["row"])


def test_every_row_comes_back_once(client: Client) -> None:
    rows = run(wr.DaskEngine(client), *(task(10 * n, *[None] * 10) for n in range(9)))
    assert [row["row"] for row in rows] == list(range(90))
    assert os.getpid() not in {row["pid"] for row in rows}


def test_task_that_kills_workers_is_split_down_to_the_row(client: Client) -> None:
    rows = run(wr.DaskEngine(client), task(0, None, "kill", None), task(3, None))
    assert [row["row"] for row in rows] == list(range(4))
    assert [row.get("status") for row in rows] == [None, "crashed", None, None]


def test_row_by_row_a_crash_or_timeout_leaves_the_dask_worker_alive(client: Client) -> None:
    workers = set(client.run(os.getpid).values())
    engine = wr.DaskEngine(client).limited(2.0, each=True)
    rows = run(engine, task(0, None, "kill", "sleep", None), seconds=30)
    assert [row.get("status") for row in rows] == [None, "crashed", "timeout", None]
    assert set(client.run(os.getpid).values()) == workers


def test_exceptions_of_the_function_are_raised_in_the_client(client: Client) -> None:
    with pytest.raises(KeyError, match="requested"):
        run(wr.DaskEngine(client), task(0, "raise"))


def test_the_same_table(client: Client, folder: Path, tmp_path: Path) -> None:
    settings = Settings(part_files=16)
    expected = wr.scan(folder, progress=False, workers=0).table
    engine = wr.DaskEngine(client)
    index = wr.scan(folder, tmp_path / "x.index", engine=engine, progress=False, settings=settings)
    assert index.table.equals(expected)
    in_memory = wr.scan(folder, engine=engine, progress=False, settings=settings)
    assert in_memory.table.equals(expected)
    mine = wr.scan(folder, progress=False).measure(progress=False).table
    assert index.measure(progress=False, engine=engine).table.equals(mine)


def test_the_same_cache(client: Client, folder: Path, tmp_path: Path) -> None:
    index = wr.scan(folder, progress=False, workers=0)
    here = wr.prepare(index, tmp_path / "a.cache", size=64, progress=False)
    engine = wr.DaskEngine(client)
    there = wr.prepare(index, tmp_path / "b.cache", size=64, progress=False, engine=engine)
    assert there.rows["id"].equals(here.rows["id"])
    assert there.rows["hash"].equals(here.rows["hash"])
    there.verify()


@pytest.mark.filterwarnings("ignore:split by image:UserWarning")
def test_the_same_predictions(
    client: Client,
    phantoms: Path,
    phantom_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of an index and of a cache, with the filter, a truncated file and several frames."""
    cache = Cache.open(phantom_cache)
    truth = wr.read_boxes(phantoms / "train.csv", images=cache.index).consensus("majority")
    cache = cache.split(truth)
    how: dict[str, Any] = {"size": 64, "batch": 4, "epochs": 0.25, "progress": False}
    run = wr.train(cache, truth, to=tmp_path / "detect", **how)
    normal = wr.train(cache, truth, "classify", to=tmp_path / "classify", **how)
    folder = tmp_path / "test"
    for number, path in enumerate(sorted((phantoms / "test").iterdir())):
        data = path.read_bytes()
        (folder / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        to = folder / f"{number % 2}" / f"{number // 2}.dcm"  # names that repeat
        to.write_bytes(data[: len(data) // 2] if number == 1 else data)
    one = {e.tag: e for e in picture(3, 64, 64)}
    pixels = element("PixelData", one[0x7FE00010].value * 3, "OW")
    frames = changed(one.values(), element("NumberOfFrames", "3"), pixels)
    (folder / "frames.dcm").write_bytes(dicom_file(frames))
    index = wr.scan(folder, workers=0, progress=False)
    monkeypatch.setattr(inference, "_TASK_IMAGES", 4)
    engine = wr.DaskEngine(client)
    options: dict[str, Any] = {"batch": 2, "progress": False, "filter": normal}
    options["thresholds"] = (0.1, 0.9)
    for images in (index, cache):  # the second with the detector alone, which is quicker
        if images is cache:
            del options["filter"], options["thresholds"]
        with warnings.catch_warnings(record=True) as mine:
            warnings.simplefilter("always")
            expected = run.predict(images, **options)
        with warnings.catch_warnings(record=True) as theirs:
            warnings.simplefilter("always")
            found = run.predict(images, engine=engine, **options)
        assert [str(w.message) for w in mine] == [str(w.message) for w in theirs]
        assert bool(mine) == (images is index)
        assert (found.run, found.classes) == (expected.run, expected.classes)
        assert_alike(found.table, expected.table)
    assert set(client.run(models_loaded).values()) == {2}, "once per process, not once per image"


def models_loaded() -> int:
    """Number of models this worker has loaded (runs in the worker)."""
    return inference._load.cache_info().misses


def assert_alike(one: pa.Table, other: pa.Table) -> None:
    """Equal rows, but for the last digits: sums depend on the number of threads."""
    assert len(one) == len(other) > 0
    for name in other.column_names:
        if pa.types.is_floating(other[name].type):
            numbers = [table[name].to_numpy() for table in (one, other)]
            np.testing.assert_allclose(*numbers, rtol=1e-4, atol=1e-3)
        else:
            assert one[name].equals(other[name]), name


def test_tasks_of_a_killed_worker_are_tried_again(client: Client, tmp_path: Path) -> None:
    victim, log = next(iter(client.run(os.getpid).values())), tmp_path / "log"
    tasks = [task(4 * n, "sleep", None, None, None) for n in range(12)]
    options = {"seconds": 0.5, "log": str(log)}
    results = wr.DaskEngine(client).map(OBEY, tasks, options, failed)
    rows = next(results).to_pylist()
    os.kill(victim, signal.SIGKILL)
    rows += [row for table in results for row in table.to_pylist()]
    assert sorted(row["row"] for row in rows) == list(range(48))
    assert not [row for row in rows if row.get("status")]
    # Its current task, and one that was done but not yet returned.
    assert len(tasks) <= len(log.read_text().split()) <= len(tasks) + 2


def test_client_holds_only_tasks_under_way(client: Client) -> None:
    """Memory stays flat: sources are taken as results come, and results are released."""
    taken = 0

    def tasks() -> Iterator[pa.Table]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield task(number, None)

    ahead = 2 * sum(client.nthreads().values()) + 1
    for done, _ in enumerate(wr.DaskEngine(client).map(OBEY, tasks(), {}, failed), 1):
        assert taken <= done + ahead
        assert len(client.futures) <= ahead
    assert (taken, done) == (40, 40)


def test_progress_comes_from_the_futures(
    client: Client, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While files are still read, those whose tasks are done are counted."""
    under_way = []
    monkeypatch.setattr(Progress, "add", lambda _, n: under_way.append((n, len(client.futures))))
    engine, settings = wr.DaskEngine(client), Settings(part_files=6)
    wr.scan(folder, tmp_path / "x.index", engine=engine, settings=settings)
    counts = [count for count, _ in under_way if count]
    assert counts == [6] * 10
    assert max(futures for _, futures in under_way) > 1


@pytest.mark.apt("mount", "mount")
def test_full_disk_is_an_error_and_the_next_run_resumes(
    client: Client, folder: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(small)]
    if os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk is made by root, where it may mount; the next test makes none")
    try:
        engine, settings = wr.DaskEngine(client), Settings(part_files=4)
        to = small / "x.index"
        with pytest.raises(StorageError, match="No space left"):
            wr.scan(folder, to, engine=engine, progress=False, settings=settings)
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        index = wr.scan(folder, to, engine=engine, progress=False, settings=settings)
        assert 0 < index.scan["read"] < 60
        assert index.table.equals(wr.scan(folder, progress=False, workers=0).table)
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def fill_disk(tables: int | None) -> None:
    """Simulate a full disk after `tables` tables (runs in a worker); None: reset."""
    kind: Any = pq.ParquetWriter
    kind.real = getattr(kind, "real", kind.write_table)
    left = iter(range(tables or 0))

    def write(self: Any, *table: Any, **options: Any) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        kind.real(self, *table, **options)

    kind.write_table = kind.real if tables is None else write


def test_full_disk_of_workers_and_the_next_run(
    client: Client, folder: Path, tmp_path: Path
) -> None:
    engine, settings = wr.DaskEngine(client), Settings(part_files=4)
    client.run(fill_disk, 3)
    with pytest.raises(StorageError, match="No space left"):
        wr.scan(folder, tmp_path / "x", engine=engine, progress=False, settings=settings)
    client.run(fill_disk, None)
    index = wr.scan(folder, tmp_path / "x", engine=engine, progress=False, settings=settings)
    assert 0 < index.scan["read"] < 60
    assert index.table.equals(wr.scan(folder, progress=False, workers=0).table)


def test_no_file_goes_through_the_scheduler(
    client: Client, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far fewer bytes are sent than the files have."""
    (folder / "big.dcm").write_bytes(dicom_file(picture(1)) + bytes(20_000_000))
    sent = []
    submit = Client.submit

    def spy(self: Client, function: Any, data: bytes, *rest: Any, **options: Any) -> Any:
        sent.append(len(data))
        return submit(self, function, data, *rest, **options)

    monkeypatch.setattr(Client, "submit", spy)
    engine, settings = wr.DaskEngine(client), Settings(part_files=16)
    wr.scan(folder, tmp_path / "x.index", engine=engine, progress=False, settings=settings)
    assert len(sent) == 4
    assert sum(sent) < 10_000


def test_killed_client_resumes(client: Client, folder: Path, tmp_path: Path) -> None:
    """The first run is killed with SIGKILL after some parts; the second reads only the others."""
    to, address = tmp_path / "x.index", client.scheduler.address
    code = f"""
import os, signal
import wetread as wr
from wetread.settings import Settings
from wetread.common.progress import Progress
from wetread.table import scan
real, seen = scan._part_of, []
def count(summary):
    seen.append(1)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(summary)
scan._part_of = count
engine = wr.DaskEngine({address!r})
settings = Settings(part_files=6)
wr.scan({str(folder)!r}, {str(to)!r}, engine=engine, progress=False, settings=settings)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    while any(client.processing().values()):
        time.sleep(0.1)
    engine, settings = wr.DaskEngine(client), Settings(part_files=6)
    index = wr.scan(folder, to, engine=engine, progress=False, settings=settings)
    assert index.scan["read"] < 60
    assert index.table.equals(wr.scan(folder, progress=False, workers=0).table)


def test_unreachable_scheduler_and_invisible_folder(client: Client) -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(EngineError, match="cannot connect to a scheduler"),
    ):
        wr.DaskEngine("tcp://127.0.0.1:9")
    with pytest.raises(UsageError, match="cannot find /nowhere"):
        wr.DaskEngine(client).check("/nowhere", None)


def test_scheduler_that_dies_is_an_error(tmp_path: Path) -> None:
    address_file = tmp_path / "scheduler.json"
    command = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    command += ["--scheduler-file", str(address_file)]
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "dask", *command], stderr=subprocess.DEVNULL
    )
    try:
        while not address_file.exists():
            assert scheduler.poll() is None
            time.sleep(0.05)
        with Client(scheduler_file=str(address_file), timeout=250) as lonely:
            engine = wr.DaskEngine(lonely, start_seconds=0.1)
            with pytest.raises(UsageError, match="has no workers"):
                engine.check(str(tmp_path), None)
            results = engine.map(OBEY, [task(0, None)], {}, failed)
            threading.Timer(0.5, scheduler.kill).start()
            with pytest.raises(EngineError, match="the connection to the scheduler is lost"):
                list(results)
    finally:
        scheduler.kill()
        scheduler.wait()

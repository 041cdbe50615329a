"""Scans on disk: rescans, interruptions, kills and full disks."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import wetread
from wetread.errors import IndexFormatError, NotFoundError, StorageError, UsageError
from wetread.index import Index, scan
from wetread.settings import Settings
from wetread.table import parts
from wetread.table import scan as rooms

SMALL = Settings(part_files=8, compact_rows=32)


@pytest.fixture
def folder(small_folder: Path) -> Path:
    """A hundred files in folders whose sorted names are not the sorted paths."""
    one = (small_folder / "MR_small.dcm").read_bytes()
    for i in range(94):
        below = small_folder / ("a", "a.b", "c/d")[i % 3]
        below.mkdir(parents=True, exist_ok=True)
        (below / f"{i:03d}.dcm").write_bytes(one if i % 7 else b"no DICOM")
    return small_folder


def scan_to(folder: Path, to: Path, settings: Settings = SMALL, **options: object) -> Index:
    return scan(folder, to, workers=0, progress=False, settings=settings, **options)  # type: ignore


def read(index: Index) -> int:
    return int(index.summary()["read"])


def names_of_parts(to: Path) -> set[str]:
    return {path.stem for path in (to / "parts").iterdir()}


def test_memory_disk_and_workers_give_the_same_table(folder: Path, tmp_path: Path) -> None:
    whole = scan(folder, progress=False)
    paths = whole.table["path"].to_pylist()
    assert len(whole) == 100
    assert paths == sorted(paths, key=os.fsencode)
    assert scan_to(folder, tmp_path / "a").table == whole.table
    several = scan(folder, tmp_path / "b", workers=2, progress=False, settings=SMALL)
    assert several.table == whole.table
    assert scan(folder, workers=2, progress=False, settings=SMALL).table == whole.table
    assert Index.open(tmp_path / "b").table == whole.table


def test_parts_are_compacted_in_order(folder: Path, tmp_path: Path) -> None:
    scan_to(folder, tmp_path / "to")
    generation = parts.read_state(tmp_path / "to").generation
    assert generation is not None
    assert [part.rows for part in generation.parts] == [25] * 4
    firsts = [part.first for part in generation.parts]
    assert firsts == sorted(firsts)
    assert names_of_parts(tmp_path / "to") == {part.name for part in generation.parts}
    assert len(list((tmp_path / "to" / "commits").iterdir())) == 1


def test_large_parts_stay_as_they_were_written(folder: Path, tmp_path: Path) -> None:
    settings = Settings(part_files=8, compact_rows=16)
    whole = scan_to(folder, tmp_path / "to", settings)
    generation = parts.read_state(tmp_path / "to").generation
    assert generation is not None
    assert [part.rows for part in generation.parts] == [8] * 12 + [4]
    (folder / "a.b" / "new").write_bytes(b"new")
    before = names_of_parts(tmp_path / "to")
    again = scan_to(folder, tmp_path / "to", settings)
    assert len(names_of_parts(tmp_path / "to") - before) == 1
    assert again.table == scan(folder, progress=False).table != whole


def test_a_rescan_reads_new_and_changed_files_and_drops_deleted_ones(
    folder: Path, tmp_path: Path
) -> None:
    to = tmp_path / "to"
    assert read(scan_to(folder, to)) == 100
    before = names_of_parts(to)
    assert read(scan_to(folder, to)) == 0
    assert names_of_parts(to) == before

    (folder / "a" / "000.dcm").write_bytes(b"changed")
    (folder / "a" / "new.dcm").write_bytes(b"new")
    (folder / "a.b" / "001.dcm").unlink()
    again = scan_to(folder, to)
    assert read(again) == 2
    assert again.table == scan(folder, progress=False).table
    assert names_of_parts(to) & before  # those that nothing happened to


def test_all_files_can_be_deleted(folder: Path, tmp_path: Path) -> None:
    scan_to(folder, tmp_path / "to")
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(UsageError, match=r"not mounted.* keeps its 100 rows; .*replace=True"):
        scan_to(folder, tmp_path / "to")
    with pytest.warns(UserWarning, match="no files"):
        assert len(scan_to(folder, tmp_path / "to", replace=True)) == 0
    assert names_of_parts(tmp_path / "to") == set()


def test_random_changes_give_what_a_fresh_scan_gives(folder: Path, tmp_path: Path) -> None:
    choose = random.Random(7)
    for step in range(12):
        files = [path for path in folder.rglob("*") if path.is_file()]
        for path in choose.sample(files, choose.randrange(12)):
            path.unlink()
        for path in choose.sample(files, choose.randrange(12)):
            path.parent.joinpath(f"{choose.randrange(999)}.x").write_bytes(b"%d" % step)
        for path in choose.sample(files, choose.randrange(6)):
            path.write_bytes(b"changed %d" % step)
        settings = Settings(part_files=choose.choice((3, 8, 64)), compact_rows=24)
        again = scan_to(folder, tmp_path / "to", settings)
        assert again.table == scan(folder, progress=False).table
        generation = parts.read_state(tmp_path / "to").generation
        assert generation is not None
        assert max(part.rows for part in generation.parts) <= 24


def test_unreadable_files_are_tried_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = rooms.read_headers

    def locked(*args: object, **options: object) -> pa.Table:
        rows = real(*args, **options)  # type: ignore[arg-type]
        place = rows.column_names.index("read_status")
        wanted = ["no_access", "timeout", "crashed"]
        status = [*wanted, *rows["read_status"].to_pylist()[3:]]
        return rows.set_column(place, rows.field(place), pa.array(status))

    with monkeypatch.context() as patch:
        patch.setattr(rooms, "read_headers", locked)
        scan_to(folder, tmp_path / "to", Settings())
    again = scan_to(folder, tmp_path / "to")
    assert read(again) == 3
    assert again.table == scan(folder, progress=False).table


def test_other_options_or_another_root_read_all_again(folder: Path, tmp_path: Path) -> None:
    scan_to(folder, tmp_path / "to")
    private = scan_to(folder, tmp_path / "to", private=True)
    assert read(private) == 100
    assert "private" in private.columns
    moved = folder.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match=r"replace=True.*root=FOLDER"):
        scan_to(moved, tmp_path / "to", private=True)
    assert read(scan_to(moved, tmp_path / "to", private=True, replace=True)) == 100


def test_a_scan_of_fewer_files_does_not_drop_the_others(folder: Path, tmp_path: Path) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    scan_to(folder, tmp_path / "to")
    for fewer in (paths[0], paths[:3], folder / "**" / "*.dcm"):
        with pytest.raises(UsageError, match="which this scan would replace"):
            scan_to(fewer, tmp_path / "to")  # type: ignore[arg-type]
    assert len(scan_to(paths[0], tmp_path / "to", replace=True)) == 1
    assert len(scan_to(folder, tmp_path / "to")) == len(paths)


def test_deleted_files_of_a_list_are_dropped(folder: Path, tmp_path: Path) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())[:3]
    scan_to(paths, tmp_path / "to")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="would replace"):
        scan_to(paths[:2], tmp_path / "to")  # type: ignore[arg-type]
    paths[2].unlink()
    assert len(scan_to(paths[:2], tmp_path / "to")) == 2  # type: ignore[arg-type]


def test_an_index_of_another_folder_is_not_replaced(small_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_bytes(b"not DICOM")
    before = scan_to(small_folder, tmp_path / "to")
    with pytest.raises(UsageError, match=r"is the index of .*choose another folder"):
        scan_to(tmp_path / "other", tmp_path / "to")
    assert scan_to(small_folder, tmp_path / "to").table == before.table
    above = scan_to(small_folder.parent, tmp_path / "to")  # has all of its files
    assert {small_folder.name} < {path.split("/")[0] for path in above.table["path"].to_pylist()}


def test_members_of_archives_are_kept(small_folder: Path, tmp_path: Path) -> None:
    name = shutil.make_archive(str(tmp_path / "all"), "zip", small_folder)
    to = tmp_path / "to"
    assert read(scan_to(Path(name), to)) == 6
    again = scan_to(Path(name), to)
    assert read(again) == 0
    assert again.table == scan(name, progress=False).table
    assert set(again.table["path"].to_pylist()) == {"all.zip"}


def test_an_index_inside_the_folder_is_no_source(folder: Path) -> None:
    assert len(scan_to(folder, folder / "own.index")) == 100
    assert read(scan_to(folder, folder / "own.index")) == 0


SCRIPT = """
import sys, wetread
from wetread.settings import Settings
from wetread.table import scan
print("ready", flush=True)
wetread.scan(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]), progress=False,
             settings=Settings(part_files=8, compact_rows=16))
"""


def killed(folder: Path, to: Path, workers: int, after: float) -> bool:
    """Scan in a process that is killed some seconds after the start; true if it was."""
    home = Path(wetread.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(to), str(workers)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(home)},
    )
    with process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(after)
        process.kill()
    return process.returncode != 0


def test_a_scan_killed_at_any_moment_resumes(folder: Path, tmp_path: Path) -> None:
    choose = random.Random(20)
    start = time.monotonic()
    scan_to(folder, tmp_path / "timed", Settings(part_files=4, compact_rows=16))
    longest = 1.2 * (time.monotonic() - start)
    first = tmp_path / "first"
    kills = 0
    for moment in range(20):
        to = tmp_path / f"to{moment}"
        if moment % 3:  # a rescan; else the first scan
            shutil.copytree(first, to)
            for path in choose.sample(sorted(folder.rglob("*.dcm")), 20):
                path.write_bytes(b"%d" % moment)
            (folder / f"{choose.random()}").write_bytes(b"new")
        workers, after = 2 * (moment % 5 == 0), choose.random() * longest
        if killed(folder, to, workers, after):
            kills += 1
        else:  # it takes less time than it did
            longest = after
        whole = scan(folder, progress=False).table
        again = scan_to(folder, to)
        assert again.table == whole, f"moment {moment}"
        assert read(scan_to(folder, to)) == 0
        if moment == 0:
            shutil.copytree(to, first)
    assert kills > 5


def test_an_interrupted_scan_resumes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "to"
    real = rooms.read_headers
    calls = iter(range(99))

    def stopping(*args: object, **options: object) -> pa.Table:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return real(*args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(rooms, "read_headers", stopping)
        with pytest.raises(KeyboardInterrupt):
            scan_to(folder, to)
    with pytest.raises(IndexFormatError, match="did not finish"):
        Index.open(to)
    assert read(scan_to(folder, to)) == 100 - 5 * 8


@pytest.mark.parametrize("place", [0, 3, 11, 22, 27, 31, 34])
def test_a_full_disk_damages_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    to = tmp_path / "to"
    before = scan_to(folder, to).table
    for path in sorted(folder.rglob("*.dcm"))[::2]:
        path.write_bytes(b"changed")
    real = os.fsync
    calls = iter(range(999))

    def full(handle: int) -> None:
        if next(calls) == place:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        try:
            scan_to(folder, to)
        except StorageError as error:
            assert "disk is full" in str(error)  # noqa: PT017
            # Where only the last sync of the folder failed, the new table is there.
            after = scan(folder, progress=False).table
            assert Index.open(to).table in (before, after)
            assert not list(to.rglob(".tmp-*"))
    assert scan_to(folder, to).table == scan(folder, progress=False).table


def test_a_full_disk_in_a_worker(folder: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match="disk is full"):
            scan(folder, tmp_path / "to", workers=2, progress=False, settings=SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_other_folders_are_left_alone(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexFormatError, match="is not an index"):
        scan_to(folder, folder)
    with pytest.raises(IndexFormatError, match="is a file; an index is a folder"):
        scan_to(folder, folder / "README.txt")
    with pytest.raises(StorageError, match="cannot read or write"):
        scan_to(folder, folder / "README.txt" / "below")
    assert not (tmp_path / "none").exists()
    with pytest.raises(NotFoundError):
        scan_to(tmp_path / "nothing", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert len(scan(folder, progress=False)) == 100


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o500)
    with pytest.raises(StorageError, match="cannot read or write"):
        scan_to(folder, shut / "to")


def test_an_index_of_another_version_is_left_alone(folder: Path, tmp_path: Path) -> None:
    to = tmp_path / "to"
    scan_to(folder, to)
    marker = to / "wetread-index.json"
    marker.write_text('{"format": "wetread-index", "schema": 99, "wetread": "9.0"}')
    before = sorted(to.rglob("*"))
    for use in (lambda: scan_to(folder, to), lambda: Index.open(to)):
        with pytest.raises(IndexFormatError, match=r"written by wetread 9\.0 \(schema 99\)"):
            use()
    assert sorted(to.rglob("*")) == before


def test_two_scans_do_not_write_one_index(folder: Path, tmp_path: Path) -> None:
    scan_to(folder, tmp_path / "to")
    with (
        parts.locked(tmp_path / "to"),
        pytest.raises(StorageError, match="another scan"),
    ):
        scan_to(folder, tmp_path / "to")


def test_a_lost_part_is_read_again(folder: Path, tmp_path: Path) -> None:
    to = tmp_path / "to"
    whole = scan_to(folder, to).table
    one, two, *_ = sorted((to / "parts").iterdir())
    one.unlink()
    two.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="is damaged: .* read again"):
        again = scan_to(folder, to)
    assert again.table == whole
    assert read(again) == 50


def test_a_source_that_ends_the_worker_is_a_row(folder: Path, tmp_path: Path) -> None:
    class Engine:
        def limited(self, timeout: float) -> Engine:
            return self

        def check(self, root: str, to: str | None) -> None:
            pass

        def map(self, _: str, tasks: object, options: dict, failed: object) -> object:
            for task in tasks:  # type: ignore[attr-defined]
                yield failed(task.slice(0, 1), "crashed", "SIGSEGV")  # type: ignore[operator]
                yield rooms.scan_part(task.slice(1), options)

    options: dict[str, Any] = {"engine": Engine(), "settings": SMALL, "progress": False}
    for index in (scan(folder, tmp_path / "to", **options), scan(folder, **options)):
        assert len(index) == 100
        assert index.summary()["read_status"]["crashed"] == 13
        assert (
            index.query("SELECT count(*) AS n FROM problems WHERE code = 'CRASHED'")["n"][0] == 13
        )


def test_slow_sources_make_smaller_tasks() -> None:
    pace = rooms._Pace(Settings(part_files=1000, part_seconds=1.0))
    batch = pa.RecordBatch.from_arrays(
        [pa.array([None] * 1500, f.type) for f in rooms.SOURCE_SCHEMA], schema=rooms.SOURCE_SCHEMA
    )
    tasks = pace.tasks([batch, batch])
    assert next(tasks).num_rows == 1000
    pace.note(1000, 10.0)
    assert next(tasks).num_rows == 100
    pace.note(100, 0.01)
    assert [task.num_rows for task in tasks] == [1000, 900]

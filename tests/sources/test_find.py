from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from wetread.errors import NotFoundError, UsageError
from wetread.sources import find as module
from wetread.sources.find import SOURCE_SCHEMA, find, open_source


def rows(what: Any, **options: Any) -> list[dict[str, Any]]:
    found = []
    for batch in find(what, **options).batches:
        assert batch.schema == SOURCE_SCHEMA
        assert 0 < batch.num_rows <= options.get("size", 8192)
        found += batch.to_pylist()
    keys = [(row["path"], row["member"]) for row in found]
    assert keys == sorted(set(keys))
    return found


def paths(what: Any, **options: Any) -> list[str]:
    return [os.fsdecode(row["path"]) for row in rows(what, **options)]


def problems(what: Any) -> dict[str, str | None]:
    return {os.fsdecode(row["path"]): row["problem"] for row in rows(what)}


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_the_order_is_that_of_the_full_paths(tmp_path: Path) -> None:
    names = ["a.dcm", "a/1", "a/b/2", "a-b/3", "a0", "B", ".hidden/4", "._x.dcm", "é", "a.b/c"]
    fill(tmp_path, *names)
    expected = sorted(names, key=os.fsencode)
    assert paths(tmp_path) == expected
    for size in (1, 3):
        assert paths(tmp_path, size=size) == expected


def test_sizes_and_times_only_on_request(tmp_path: Path) -> None:
    fill(tmp_path, "a", "b/c")
    (tmp_path / "link").symlink_to("a")
    assert {(row["file_size"], row["mtime_ns"]) for row in rows(tmp_path)} == {(None, None)}
    for row in rows(tmp_path, stat=True):
        stat = (tmp_path / os.fsdecode(row["path"])).stat()
        assert (row["file_size"], row["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns)


def test_a_file_a_list_and_a_glob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a/1.dcm", "a/2.txt", "b/c/3.dcm", "b/.4.dcm", "b[1].dcm")
    a, b = tmp_path / "a", tmp_path / "b"
    assert find(a / "1.dcm").root == str(a)
    assert paths(a / "1.dcm") == ["1.dcm"]
    assert paths(str(tmp_path / "b[1].dcm")) == ["b[1].dcm"]  # it exists: no glob
    assert paths([b / "c", a / "1.dcm", a / "1.dcm", b]) == ["a/1.dcm", "b/.4.dcm", "b/c/3.dcm"]
    assert find([a, b / "c"]).root == str(tmp_path)
    assert paths(f"{tmp_path}/**/*.dcm") == ["a/1.dcm", "b/.4.dcm", "b/c/3.dcm", "b[1].dcm"]
    assert paths(f"{tmp_path}/?") == ["a/1.dcm", "a/2.txt", "b/.4.dcm", "b/c/3.dcm"]
    monkeypatch.chdir(a)
    assert find("../b/c").root == str(b / "c")
    assert paths(iter([Path("1.dcm"), "../b"])) == ["a/1.dcm", "b/.4.dcm", "b/c/3.dcm"]


def test_missing_sources(tmp_path: Path) -> None:
    for what in (tmp_path / "gone", f"{tmp_path}/*.dcm", [tmp_path, tmp_path / "gone"]):
        with pytest.raises(NotFoundError, match=r"no such file or folder|no file matches"):
            find(what)
    assert paths(tmp_path) == paths([]) == []
    fill(tmp_path, "a")
    for name in ("", f"{tmp_path}/gone/..", f"{tmp_path}/gone/../a", f"{tmp_path}/a/"):
        with pytest.raises(NotFoundError, match="no such file or folder"):
            find([name])


def test_an_index_is_no_source(tmp_path: Path) -> None:
    fill(tmp_path, "a", "train.index/wetread-index.json", "train.index/parts/0.parquet")
    assert paths(tmp_path) == ["a"]
    assert paths(f"{tmp_path}/*") == ["a"]
    with pytest.raises(UsageError, match="is an index"):
        find(tmp_path / "train.index")


def test_links_are_followed_once(tmp_path: Path) -> None:
    tree, other = tmp_path / "tree", tmp_path / "other"
    fill(tree, "a/1", "z/2")
    fill(other, "3", "sub/4")
    for link, target in (
        ("a/up", ".."),
        ("a/self", "."),
        ("a/above", "../.."),  # find -L calls that a loop too
        ("again", "a"),
        ("b", "../other/sub"),
        ("c", "../other"),
        ("d", "../other"),
        ("file", "a/1"),
    ):
        (tree / link).symlink_to(target)
    (other / "back").symlink_to(tree)
    assert paths(tree) == ["a/1", "b/4", "c/3", "file", "z/2"]
    assert paths([tree / "a", tree / "d"]) == ["a/1", "d/3", "d/back/file", "d/back/z/2", "d/sub/4"]
    assert paths([tree / "again", tree / "a"]) == ["a/1"]
    assert paths(tree / "again") == ["1"]


def test_only_regular_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # socket names are short
    os.mkfifo("pipe.zip")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        Path("device").symlink_to("/dev/zero")
        Path("nowhere").symlink_to("gone")
        Path("circle").symlink_to("circle")
        assert problems(".") == {
            "circle": "BROKEN_LINK",
            "device": "NOT_A_FILE",
            "nowhere": "BROKEN_LINK",
            "pipe.zip": "NOT_A_FILE",
            "socket": "NOT_A_FILE",
        }
        assert problems("pipe.zip") == {"pipe.zip": "NOT_A_FILE"}
        assert problems(["nowhere"]) == {"nowhere": "BROKEN_LINK"}
    for name in (b"pipe.zip", b"device"):
        with pytest.raises(OSError, match="not a regular file"):
            open_source(".", name, b"")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/b\xff"
    os.mkdir(folder)
    with open(folder + b"/\xe9.dcm", "wb") as file:
        file.write(b"found")
    assert [row["path"] for row in rows(tmp_path, stat=True)] == [b"b\xff/\xe9.dcm"]
    origin = find(os.fsdecode(folder))
    [batch] = origin.batches
    with open_source(origin.root, batch["path"][0].as_py(), b"") as file:
        assert file.read() == b"found"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    fill(tmp_path, "a/1", "a-/2", "b/3")
    listed, tries = module._list_folder, []

    def fail(path: bytes) -> Any:
        if path.endswith(b"/a/"):
            tries.append(path)
            return [], [], code
        return listed(path)

    monkeypatch.setattr(module, "_list_folder", fail)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    assert problems(tmp_path) == {"a-/2": None, "a/": "NO_ACCESS", "b/3": None}
    assert len(tries) == (3 if code == errno.EIO else 1)
    assert problems(tmp_path / "a") == {"./": "NO_ACCESS"}


def test_folders_are_listed_alike_with_and_without_the_compiled_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, *(f"{i:03}{'x' * 200}" for i in range(300)), "folder/1", ".hidden", "\udcff")
    for name, target in (("link", "001"), ("broken", "none"), ("circle", "circle"), ("to", ".")):
        (tmp_path / name).symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    found = []
    for lists in (module.LISTS, 0):
        monkeypatch.setattr(module, "LISTS", lists)
        folders = [tmp_path, tmp_path / "folder", tmp_path / "none", tmp_path / ".hidden"]
        found.append([module._list_folder(os.fsencode(folder) + b"/") for folder in folders])
    compiled, scanned = ([(sorted(f), sorted(o), e) for f, o, e in one] for one in found)
    assert compiled == scanned


def test_a_file_deleted_before_stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a", "b", "c")
    listed = module._list_folder

    def vanish(path: bytes) -> Any:
        found = listed(path)
        (tmp_path / "b").unlink()
        return found

    monkeypatch.setattr(module, "_list_folder", vanish)
    found = rows(tmp_path, stat=True)
    assert [(row["path"], row["file_size"], row["problem"]) for row in found] == [
        (b"a", 1, None),
        (b"b", None, "NO_ACCESS"),
        (b"c", 1, None),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is locked for the superuser")
def test_an_unreadable_folder(tmp_path: Path) -> None:
    fill(tmp_path, "a/1", "b")
    (tmp_path / "a").chmod(0)
    try:
        assert problems(tmp_path) == {"a/": "NO_ACCESS", "b": None}
    finally:
        (tmp_path / "a").chmod(0o755)


def test_folders_deeper_than_the_stack(tmp_path: Path) -> None:
    home = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path)
        for _ in range(1200):
            os.mkdir("d")
            os.chdir("d")
        Path("file").touch()
        assert paths(tmp_path) == ["d/" * 1200 + "file"]
        os.unlink("file")
    finally:
        while Path("../d").exists():  # or pytest cannot tidy up
            os.chdir("..")
            os.rmdir("d")
        os.fchdir(home)
        os.close(home)


def test_the_walk_reads_ahead_no_more_than_necessary(tmp_path: Path) -> None:
    fill(tmp_path, "a/1", "b/2", "c/3")
    batches = find(tmp_path, size=1).batches
    assert next(batches)["path"] == pa.array([b"a/1"], pa.binary())
    fill(tmp_path, "c/4")
    assert sum(batch.num_rows for batch in batches) == 3

from __future__ import annotations

import gzip
import io
import os
import random
import re
import subprocess
import tarfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import wetread as wr
from wetread.cache.prepare import prepare
from wetread.settings import MIB, Settings
from wetread.sources.archives import ArchiveError
from wetread.sources.find import find, open_source
from wetread.testing.dicom import dicom_file, element, picture

Found = dict[tuple[str, str], str | None]
MEMBERS = {"b/2.dcm": b"two" * 999, "a.dcm": b"one", "../up": b"", "/absolute": b"4"}


def read_member(root: str, path: bytes, member: bytes, limit: int, *settings: Settings) -> bytes:
    with open_source(root, path, member, *settings) as file:
        return file.read(limit)


def found(what: Path, settings: Settings = Settings()) -> Found:
    rows = [row for b in find(what, settings=settings).batches for row in b.to_pylist()]
    keys = [(row["path"], row["member"]) for row in rows]
    assert keys == sorted(set(keys))
    names = [tuple(os.fsdecode(row[name]) for name in ("path", "member")) for row in rows]
    codes = [row["problem"] and row["problem"].partition(": ")[0] for row in rows]
    return dict(zip(names, codes, strict=True))


def make_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        archive.mkdir("folder")
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    return path


def make(path: Path, members: dict[str, bytes]) -> Path:
    return (make_zip if path.suffix.lower() == ".zip" else make_tar)(path, members)


@pytest.mark.parametrize("name", ["x.zip", "X.ZIP", "x.tar", "x.tar.gz", "x.tgz"])
def test_members_are_read_in_place(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    archive = make(tmp_path / "in" / name, MEMBERS)
    (tmp_path / "in" / "z").touch()
    relative = f"in/{name}"
    expected: Found = {(relative, member): None for member in sorted(MEMBERS)}
    assert found(tmp_path) == {**expected, ("in/z", ""): None}
    assert list(found(archive)) == [(name, member) for member in sorted(MEMBERS)]
    [batch] = find(archive).batches
    assert batch["file_size"].to_pylist() == [len(MEMBERS[m]) for m in sorted(MEMBERS)]
    assert set(batch["mtime_ns"].to_pylist()) == {archive.stat().st_mtime_ns}
    for member, data in MEMBERS.items():
        source = str(tmp_path), relative.encode(), member.encode()
        assert read_member(*source, MIB) == data
        assert read_member(*source, 2) == data[:2]
        with open_source(*source) as file:
            assert file.seek(0, os.SEEK_END) == len(data)
            assert file.seek(-min(8, len(data)), os.SEEK_END) == file.tell()
            assert file.read() == data[-8:]
            assert file.seek(1) == 1
            assert file.read() == data[1:]
    assert not (tmp_path.parent / "up").exists()


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
def test_archives_are_recognised_by_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for content in (b"", b"text", bytes(128) + b"DICM", bytes(9999)):
        path.write_bytes(content)
        assert found(path) == {(name, ""): None}
    assert found(make(path, {})) == {(name, ""): None}  # an empty one is not lost either


def make_tar_of(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def make_zip_of(path: Path, members: list[tuple[bytes, bytes]], utf8: bool = False) -> Path:
    """Zip with arbitrary bytes as names, as other tools write them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, data) in enumerate(members):
            stand_in = zipfile.ZipInfo(f"{number:x}".rjust(len(name), "?")[: len(name)])
            with archive.open(stand_in, "w") as member:
                member.write(data)
    whole, at = bytearray(path.read_bytes()), 0
    for number, (name, _) in enumerate(members * 2):
        local = number < len(members)
        at = whole.index(b"PK\3\4" if local else b"PK\1\2", at)
        whole[at + (7 if local else 9)] |= 8 * utf8
        at += 30 if local else 46
        whole[at : at + len(name)] = name
    path.write_bytes(whole)
    return path


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
def test_members_of_equal_names_are_all_listed(tmp_path: Path, name: str) -> None:
    members = [("a", b"1"), ("b", b"2"), ("a#2", b"3"), ("a", b"4"), ("a", b"5")]
    if name == "x.zip":
        make_zip_of(tmp_path / name, [(key.encode(), data) for key, data in members])
    else:
        make_tar_of(tmp_path / name, members)
    there = found(tmp_path / name)
    read = {m: read_member(str(tmp_path), name.encode(), m.encode(), 9) for _, m in there}
    assert read == {"a": b"1", "a#2": b"3", "a#3": b"4", "a#4": b"5", "b": b"2"}


NAMES = [
    "tête/I1".encode("cp437"),
    "张三/I1".encode("gbk"),
    "画像/I1".encode("shift_jis"),
    "Müller/I1".encode("latin-1"),
    "Иванов/I1".encode("koi8-r"),
    "김/I1".encode("cp949"),
    "tête".encode(),
    bytes([*range(1, 47), *range(48, 256)]),
    b"DICOM\\I1",
    b"C:\\data\\I1",
    b"/absolute/I1",
    b"../../up",
    b"a\0b",
    b"folder/",
    b"folder\\",
]


@pytest.mark.parametrize("utf8", [False, True])
def test_zip_names_of_any_bytes(tmp_path: Path, utf8: bool) -> None:
    """The UTF-8 flag may be wrong; names that end like a folder are members if they have data."""
    path = make_zip_of(tmp_path / "x.zip", [(name, name * 2) for name in NAMES], utf8)
    assert [os.fsencode(member) for _, member in found(path)] == sorted(NAMES)
    for name in NAMES:
        assert read_member(str(tmp_path), b"x.zip", name, MIB) == name * 2


def test_folders_and_nameless_members_of_a_zip(tmp_path: Path) -> None:
    members = [(b"a/", b""), (b"b\\", b""), (b"", b"1"), (b"c", b"")]
    path = make_zip_of(tmp_path / "x.zip", members)
    assert [member for _, member in found(path)] == ["#1", "c"]
    assert read_member(str(tmp_path), b"x.zip", b"#1", 9) == b"1"


def test_a_name_that_differs_from_the_directory(tmp_path: Path) -> None:
    path = make_zip_of(tmp_path / "x.zip", [(b"a/1", b"one")])
    path.write_bytes(path.read_bytes().replace(b"a/1", b"b\\1", 1))  # the local one
    assert read_member(str(tmp_path), b"x.zip", b"a/1", 9) == b"one"


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_tar_names_of_any_bytes(tmp_path: Path, form: int) -> None:
    names = [name for name in NAMES if not name.endswith(b"/") and b"\0" not in name]
    names = [name for name in names if len(name) < 100]
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz", format=form) as tar:
        for name in names * 2:
            text = name.decode("utf-8", "surrogateescape")
            info = tarfile.TarInfo(text)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name))
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.LNKTYPE, names[0].decode("utf-8", "surrogateescape")
        tar.addfile(info)
    keys = sorted([*names, *(name + b"#2" for name in names), b"link"])
    assert [os.fsencode(member) for _, member in found(tmp_path / "x.tar.gz")] == keys
    for key in keys:
        data = read_member(str(tmp_path), b"x.tar.gz", key, MIB)
        assert data == (names[0] if key == b"link" else key.removesuffix(b"#2"))


@pytest.mark.apt("tar", "tar")
def test_file_archived_twice_by_tar_is_one_member(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    subprocess.run(["tar", "cf", "x.tar", "a", "a"], cwd=tmp_path, check=True)
    assert list(found(tmp_path / "x.tar")) == [("x.tar", "a")]


def test_members_of_any_name_from_scan_to_cache(tmp_path: Path) -> None:
    """Rows, pixels, measurements, export, cache and a second scan find each member."""
    pictures = [
        dicom_file([*picture(number), element("PatientID", f"P{number}")]) for number in range(5)
    ]
    names = ["画像/1".encode("shift_jis"), b"DICOM/1", b"DICOM/1", b"t\x88te", "tête".encode()]
    make_zip_of(tmp_path / "in.zip", list(zip(names, pictures, strict=True)), utf8=True)
    index = wr.scan(tmp_path / "in.zip", tmp_path / "index", workers=0)
    assert sorted(index.table["PatientID"].to_pylist()) == [f"P{number}" for number in range(5)]
    assert len(set(index.table["id"].to_pylist())) == 5
    assert index.problems().query("code == 'BAD_ARCHIVE'").empty
    for image in index:
        number = int(image.row["PatientID"][1:])
        assert image.header.PatientID == f"P{number}"
        assert image.pixels().shape == (8, 8)
    assert wr.scan(tmp_path / "in.zip", tmp_path / "index", workers=0).summary()["read"] == 0
    measured = index.measure(workers=1, progress=False)
    assert measured.table["px_status"].to_pylist() == ["ok"] * 5
    assert set(measured.export(tmp_path / "out", workers=1, progress=False)["status"]) == {"ok"}
    assert len(prepare(measured, tmp_path / "cache", workers=1, progress=False)) == 5


def test_changed_archive_is_reopened(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"a": b"old"})
    assert read_member(str(tmp_path), b"x.zip", b"a", 9) == b"old"
    make_zip(path, {"a": b"newer", "b": b""})
    assert read_member(str(tmp_path), b"x.zip", b"a", 9) == b"newer"
    path.write_bytes(b"")
    with pytest.raises(ArchiveError, match="no longer an archive"):
        read_member(str(tmp_path), b"x.zip", b"a", 9)


def test_unreadable_members_of_a_zip(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"locked": b"secret", "fine": b"data"})
    data = bytearray(path.read_bytes())
    for start in (data.index(b"locked") - 30, data.rindex(b"locked") - 46):
        data[start + (6 if data[start + 2] == 3 else 8)] |= 1
    path.write_bytes(data)
    assert found(path) == {("x.zip", "fine"): None, ("x.zip", "locked"): "BAD_ARCHIVE"}
    for member in (b"locked", b"absent"):
        with pytest.raises(ArchiveError) as caught:
            read_member(str(tmp_path), b"x.zip", member, 9)
        assert caught.value.code == "BAD_ARCHIVE"
    make_zip(path, {"a": b"1"}, zipfile.ZIP_BZIP2)
    assert found(path) == {("x.zip", "a"): "BAD_ARCHIVE"}
    path.write_bytes(bytes(data[:-30]))
    assert found(path) == {("x.zip", ""): "BAD_ARCHIVE"}


def change_zip(path: Path, at: int, value: int) -> None:
    """Set one byte of every entry of the directory."""
    data = bytearray(path.read_bytes())
    for entry in re.finditer(b"PK\x01\x02", bytes(data)):
        data[entry.start() + at] = value
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda path: change_zip(path, 8, 1), "encrypted: extract it with its password"),
        (lambda path: change_zip(path, 8, 0x20), "a patch, not a file"),
        (lambda path: change_zip(path, 10, 9), "compressed by deflate64; only deflate is read"),
        (lambda path: change_zip(path, 10, 77), "compressed by method 77; only"),
        (lambda path: change_zip(path, 16, 255), "Bad CRC-32 for file 'a'"),
        (lambda path: os.truncate(path, 60), "not a readable zip: truncated: the directory"),
        (lambda path: change_zip(path, 34, 1), "on another disk of a multi-disk archive"),
    ],
)
def test_the_reason_of_a_bad_zip(
    tmp_path: Path, damage: Callable[[Path], object], text: str
) -> None:
    path = make_zip(tmp_path / "x.zip", {"a": b"1" * 99})
    damage(path)
    (told,) = wr.scan(tmp_path, progress=False).problems("BAD_ARCHIVE")["text"]
    assert re.search(text, told)


def test_the_reason_of_a_bad_tar(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tgz", {"1": random.Random(2).randbytes(99_999)})
    os.truncate(path, 60_000)
    (told,) = wr.scan(tmp_path, progress=False).problems("BAD_ARCHIVE")["text"]
    assert told == "truncated: the compressed data end early"


def test_a_wrong_checksum_in_a_zip(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"a": b"datadata"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"datadata", b"datadatA"))
    with pytest.raises(ArchiveError) as caught:
        read_member(str(tmp_path), b"x.zip", b"a", 99)
    assert caught.value.code == "BAD_ARCHIVE"


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"aaaa": b"1", "é": b"2"})
    path.write_bytes(path.read_bytes().replace(b"aaaa", b"\x82\xa0\xe9a"))  # Shift JIS
    make_tar(tmp_path / "x.tar", {"b\udcff": b"3"})
    rows = [row for b in find(tmp_path).batches for row in b.to_pylist()]
    members = {"\u00e9".encode(): b"2", b"\x82\xa0\xe9a": b"1", b"b\xff": b"3"}
    assert {row["member"] for row in rows} == set(members)
    for row in rows:
        assert read_member(str(tmp_path), row["path"], row["member"], 9) == members[row["member"]]


def test_bombs(tmp_path: Path) -> None:
    small = replace(Settings(), member_bytes=MIB, member_ratio=100)
    members = {"large": random.Random(1).randbytes(MIB + 1), "zeros": bytes(200_000)}
    make_zip(tmp_path / "x.zip", members)
    assert set(found(tmp_path / "x.zip", small).values()) == {"BOMB"}
    with pytest.raises(ArchiveError) as caught:
        read_member(str(tmp_path), b"x.zip", b"zeros", 9, small)
    assert caught.value.code == "BOMB"
    make_tar(tmp_path / "x.tar", members)
    assert found(tmp_path / "x.tar", small) == {
        ("x.tar", "large"): "BOMB",
        ("x.tar", "zeros"): None,
    }
    make_tar(tmp_path / "x.tgz", {"a": b"1", "zeros": bytes(9 * MIB), "z": b"2"})
    assert found(tmp_path / "x.tgz", small)["x.tgz", ""] == "BOMB"
    assert found(tmp_path / "x.tgz", small)["x.tgz", "a"] is None
    assert read_member(str(tmp_path), b"x.tgz", b"a", 9, small) == b"1"


def test_a_gzip_bomb_ends_early(tmp_path: Path) -> None:
    block = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = tarfile.TarInfo("bomb")
    head.size = 3 * 1024**3
    pieces = [block.compress(head.tobuf()), block.flush(zlib.Z_FULL_FLUSH)]
    zeros = zlib.compressobj(9, zlib.DEFLATED, -15)
    mib = zeros.compress(bytes(MIB)) + zeros.flush(zlib.Z_FULL_FLUSH)
    (tmp_path / "x.tgz").write_bytes(b"".join(pieces) + mib * 3072)
    start = time.process_time()
    assert found(tmp_path)["x.tgz", ""] == "BOMB"
    assert time.process_time() - start < 3


def cut(data: bytes) -> bytes:
    return data[: data.index(b"2.dcm") + 700]


def scribble(data: bytes) -> bytes:
    at = data.index(b"2.dcm")
    return data[:at] + b"\xff" * 300 + data[at + 300 :]


@pytest.mark.parametrize("damage", [cut, scribble])
@pytest.mark.parametrize("gzipped", [False, True])
def test_a_damaged_tar(tmp_path: Path, damage: Callable[[bytes], bytes], gzipped: bool) -> None:
    path = make_tar(tmp_path / "x.tar", {"1.dcm": b"1" * 999, "2.dcm": b"2" * 999})
    data = damage(path.read_bytes())
    path.write_bytes(gzip.compress(data) if gzipped else data)
    rows = found(path)
    assert rows.pop(("x.tar", "")) == "BAD_ARCHIVE"
    assert rows.pop(("x.tar", "1.dcm")) is None
    assert read_member(str(tmp_path), b"x.tar", b"1.dcm", 9999) == b"1" * 999
    if damage is cut:
        assert rows == {("x.tar", "2.dcm"): None}
        assert read_member(str(tmp_path), b"x.tar", b"2.dcm", 9999) == b"2" * 188


def test_truncated_or_damaged_gzip(tmp_path: Path) -> None:
    data = random.Random(2).randbytes(99_999)
    path = make_tar(tmp_path / "x.tgz", {"1": data, "2": data})
    packed = path.read_bytes()
    for damaged in (packed[:120_000], packed[:120_000] + bytes(9) + packed[120_009:]):
        path.write_bytes(damaged)
        assert found(path)["x.tgz", ""] == "BAD_ARCHIVE"
        assert read_member(str(tmp_path), b"x.tgz", b"1", MIB) == data
    path.write_bytes(packed[:20])
    assert found(path) == {("x.tgz", ""): "BAD_ARCHIVE"}


def test_invalid_tar_headers(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    first = tarfile.TarInfo("first").tobuf()
    for kind, size in ((tarfile.REGTYPE, -4096), (tarfile.XHDTYPE, -512), (tarfile.XHDTYPE, 2**40)):
        lie = tarfile.TarInfo("lie")
        lie.type, lie.size = kind, size
        path.write_bytes(first + lie.tobuf(tarfile.GNU_FORMAT) + bytes(9999))
        rows = found(path)
        assert rows["x.tar", ""] == "BAD_ARCHIVE"
        assert rows["x.tar", "first"] is None


def test_links_and_devices_in_a_tar(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind, target in (
            ("a/soft", tarfile.SYMTYPE, "../b/data"),
            ("b", tarfile.DIRTYPE, ""),
            ("b/data", tarfile.REGTYPE, ""),
            ("hard", tarfile.LNKTYPE, "b/data"),
            ("folder", tarfile.SYMTYPE, "b"),
            ("nowhere", tarfile.SYMTYPE, "/etc/passwd"),
            ("pipe", tarfile.FIFOTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, target, 4 * (kind == tarfile.REGTYPE)
            archive.addfile(info, io.BytesIO(b"data"))
    assert found(tmp_path / "x.tar") == {
        ("x.tar", "a/soft"): None,
        ("x.tar", "b/data"): None,
        ("x.tar", "hard"): None,
        ("x.tar", "nowhere"): "BROKEN_LINK",
        ("x.tar", "pipe"): "NOT_A_FILE",
    }
    for name in (b"a/soft", b"hard"):
        assert read_member(str(tmp_path), b"x.tar", name, 9) == b"data"


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz"])
def test_any_order_from_many_threads(tmp_path: Path, name: str) -> None:
    few = Settings(gzip_checkpoints=4)
    chance = random.Random(3)
    members = {f"{i:03}": chance.randbytes(chance.randrange(1, 300_000)) for i in range(80)}
    path = make(tmp_path / name, members)
    if name == "x.tgz":  # gzip files may follow each other
        data = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(data[:MIB]) + gzip.compress(data[MIB:]) + bytes(99))
    order = [*members] * 2
    chance.shuffle(order)

    def read(member: str) -> bool:
        data = read_member(str(tmp_path), name.encode(), member.encode(), MIB, few)
        return data == members[member]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, order))

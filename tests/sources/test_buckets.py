"""Objects of a bucket give the same rows as files of a folder, or rows with the error."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import wetread as wr
from wetread.errors import DecodeError, IndexFormatError, NotFoundError, StorageError, UsageError
from wetread.images.image import Image
from wetread.settings import Settings
from wetread.sources import buckets
from wetread.sources.buckets import Listed, open_bucket
from wetread.testing.dicom import dicom_file, picture

BUCKET = "wetread-test"
_NOT_COMPARED = {"mtime_ns", "etag"}
Client = Any


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Separate disk cache per test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path, real_file: Any) -> Path:
    """Real files of several encodings, short and long, and some that are not DICOM."""
    names = ("CT_small.dcm", "JPEG2000.dcm", "MR_truncated.dcm", "image_dfl.dcm", "no_meta.dcm")
    more = (
        "ExplVR_BigEnd.dcm",
        "eCT_Supplemental.dcm",
        "rtplan.dcm",
        "emri_small_jpeg_2k_lossless.dcm",
    )
    (tmp_path / "train" / "sub folder").mkdir(parents=True)
    for name in names + more:
        shutil.copy(real_file(name), tmp_path / "train")
    (tmp_path / "train" / "sub folder" / "ü %20.dcm").write_bytes(dicom_file(picture()))
    (tmp_path / "train" / "notes.txt").write_text("no DICOM")
    (tmp_path / "train" / "empty.dcm").write_bytes(b"")
    return tmp_path / "train"


def upload(client: Client, folder: Path, prefix: str) -> str:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        key = f"{prefix}/{path.relative_to(folder).as_posix()}"
        client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    return f"s3://{BUCKET}/{prefix}"


def test_view_opens_an_index_in_a_bucket_and_scans_other_objects(s3: Client, folder: Path) -> None:
    from wetread.cli.view import _open

    url = upload(s3, folder, "seen")
    index = wr.scan(url, f"s3://{BUCKET}/seen.index", progress=False)
    for what in (url, f"s3://{BUCKET}/seen.index"):
        assert wr.Index.of(_open(what, progress=False)).table["id"].equals(index.table["id"])


def test_a_bucket_and_a_folder_give_the_same_table(s3: Client, folder: Path) -> None:
    url = upload(s3, folder, "same")
    s3.put_object(Bucket=BUCKET, Key="same/sub folder/", Body=b"")  # as consoles make them
    s3.put_object(Bucket=BUCKET, Key="same-but-not/x.dcm", Body=b"")
    mine = wr.scan(folder, progress=False, private=True, sequences=True).table
    theirs = wr.scan(url, progress=False, private=True, sequences=True).table
    assert mine.column_names == theirs.column_names
    for name in mine.column_names:
        if name not in _NOT_COMPARED:
            assert mine[name].equals(theirs[name]), name
    assert theirs["etag"].null_count == 0
    assert theirs["mtime_ns"].null_count == 0


def test_many_long_headers_go_on_in_lockstep(s3: Client, tmp_path: Path) -> None:
    long = (
        b"\x09\0\x10\0LO\x08\0WETREAD " + b"\x09\0\x01\x10UN\0\0" + (40_000).to_bytes(4, "little")
    )
    for n in range(12):
        path = tmp_path / f"{n:02}.dcm"
        content = dicom_file(picture(n))
        at = content.index(b"\x10\0\x10\0PN") if b"\x10\0\x10\0PN" in content else None
        path.write_bytes(
            content if at is None else content[:at] + long + bytes(40_000) + content[at:]
        )
    url = upload(s3, tmp_path, "long")
    mine, theirs = (wr.scan(what, progress=False).table for what in (tmp_path, url))
    for name in set(mine.column_names) - _NOT_COMPARED:
        assert mine[name].equals(theirs[name]), name


def test_images_are_read_by_range(s3: Client, folder: Path) -> None:
    url = upload(s3, folder, "images")
    near, far = (wr.scan(what, progress=False) for what in (folder, url))
    for one, other in zip(near.images, far.images, strict=True):
        assert str(one.header) == str(other.header)
        if one.row["decodable"] == "yes" and one.row["read_status"] == "ok":
            assert np.array_equal(one.display(), other.display()), one.path


def test_measured_in_workers(s3: Client, folder: Path) -> None:
    url = upload(s3, folder, "measured")
    mine, theirs = (
        wr.scan(what, progress=False).measure(workers=1, progress=False).table
        for what in (folder, url)
    )
    for name in mine.column_names:
        if name.startswith("px_") and name != "px_text":
            assert mine[name].equals(theirs[name]), name


def test_a_rescan_reads_what_has_changed(s3: Client, folder: Path, tmp_path: Path) -> None:
    url = upload(s3, folder, "again")
    first = wr.scan(url, to=tmp_path / "a.index", progress=False)
    same = wr.scan(url, to=tmp_path / "a.index", progress=False)
    assert same.scan["read"] == 0
    s3.put_object(Bucket=BUCKET, Key="again/notes.txt", Body=dicom_file(picture()))
    s3.delete_object(Bucket=BUCKET, Key="again/empty.dcm")
    changed = wr.scan(url, to=tmp_path / "a.index", progress=False)
    assert changed.scan["read"] == 1
    assert len(changed) == len(first) - 1
    assert changed.where("path = 'notes.txt'").table["read_status"].to_pylist() == ["ok"]


def test_one_object(s3: Client, folder: Path) -> None:
    url = upload(s3, folder, "one")
    image = wr.read(f"{url}/CT_small.dcm")
    assert image.header == wr.read(folder / "CT_small.dcm").header
    with pytest.raises(NotFoundError, match="no objects at"):
        wr.scan(f"s3://{BUCKET}/nowhere", progress=False)


def test_keys_without_a_name_are_rows_like_others(
    s3: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """obstore lists neither them nor the other keys of their page."""
    monkeypatch.setattr(buckets, "_PAGE", 3)
    url = upload(s3, folder, "nameless")
    strange = ["/CT_small.dcm", "MR//a.dcm", "MR/../a.dcm", "rtplan.dcm/./x", "zz//"]
    for key in strange:
        s3.put_object(Bucket=BUCKET, Key=f"nameless/{key}", Body=dicom_file(picture()))
    s3.put_object(Bucket=BUCKET, Key="nameless/sub folder/", Body=b"")
    table = wr.scan(url, progress=False).table
    rows = {row["path"]: row for row in table.to_pylist()}
    assert table["path"].to_pylist() == sorted(rows, key=str.encode)
    seen = wr.scan(folder, progress=False).table
    assert set(rows) == {*seen["path"].to_pylist(), *(key.removesuffix("/") for key in strange)}
    for key in strange:
        row = rows[key.removesuffix("/")]
        assert row["read_status"] == "no_access"
        assert "an empty or relative segment" in row["problems"][0]["text"]
    assert sum(row["read_status"] == "no_access" for row in rows.values()) == len(strange)


def test_opened_objects_are_cached_on_disk(
    s3: Client, folder: Path, machines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = upload(s3, folder, "kept")
    index = wr.scan(url, progress=False)
    images = [image for image in index.images if image.row["read_status"] == "ok"]
    first = [image.display() for image in images]

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a request")

    with monkeypatch.context() as patch:
        for name in ("get", "get_range", "head"):
            patch.setattr(f"obstore.{name}", refuse)
        again = [Image(image.root, image.row).display() for image in images]
        assert len(first) > 3
        assert all(map(np.array_equal, first, again))
        machines("b")
        with pytest.raises(AssertionError, match="a request"):
            images[0].display()


def test_an_object_that_changed_since_the_scan(s3: Client, folder: Path, machines: Any) -> None:
    """The cache holds the version of the index; two versions are never mixed."""
    url = upload(s3, folder, "changed")
    index = wr.scan(url, progress=False)
    images = {image.path: image for image in index}
    ct = images["CT_small.dcm"]
    before = ct.pixels()
    for name in ("CT_small.dcm", "MR_truncated.dcm"):
        s3.put_object(Bucket=BUCKET, Key=f"changed/{name}", Body=dicom_file(picture()))
    assert np.array_equal(ct.pixels(), before)
    with pytest.raises(DecodeError, match="has changed since it was listed"):
        images["MR_truncated.dcm"].pixels(short=True)
    machines("b")
    with pytest.raises(DecodeError, match="has changed since it was listed"):
        ct.pixels()


def test_more_images_than_the_cache_holds_are_not_cached(
    s3: Client, folder: Path, machines: Any, tmp_path: Path
) -> None:
    index = wr.scan(upload(s3, folder, "many"), progress=False)

    def cached() -> int:
        return len([path for path in (tmp_path / "a").rglob("objects/*/*") if path.is_file()])

    for limit, few in ((50_000, True), (10**9, False)):
        settings = Settings(object_cache_bytes=limit)
        wr.prepare(index, size=32, workers=1, progress=False, settings=settings)
        assert (cached() == 0) == few


def test_a_scan_lists_its_index_twice(
    s3: Client, folder: Path, machines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    to, listed = f"s3://{BUCKET}/listed.index", []
    real = buckets.Bucket.pages

    def pages(self: buckets.Bucket) -> Iterator[list[Listed]]:
        listed.append(self.url)
        return real(self)

    monkeypatch.setattr(buckets.Bucket, "pages", pages)
    for _ in range(2):
        wr.scan(folder, to, progress=False, workers=0, settings=Settings(part_files=3))
        assert listed == [to, to]
        listed.clear()


def test_an_index_in_the_bucket_is_skipped(s3: Client, folder: Path, tmp_path: Path) -> None:
    wr.scan(folder, to=tmp_path / "x.index", progress=False)
    (folder / "x.index").symlink_to(tmp_path / "x.index")
    url = upload(s3, folder, "index")
    shutil.copytree(tmp_path / "x.index", folder / "y.index")
    upload(s3, folder, "index")
    assert not [p for p in wr.scan(url, progress=False).table["path"].to_pylist() if "index" in p]


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Switch to another machine: one with an empty cache."""

    def go_to(name: str) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))

    go_to("a")
    return go_to


def keys_below(client: Client, prefix: str) -> list[str]:
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", [])
    return [one["Key"].removeprefix(f"{prefix}/") for one in listed]


def test_index_in_a_bucket(s3: Client, folder: Path, machines: Any) -> None:
    to = f"s3://{BUCKET}/kept.index"
    made = wr.scan(folder, to, progress=False, workers=0)
    machines("b")
    opened = wr.Index.open(to)
    assert opened.table.equals(made.table)
    assert opened.where("Rows > 100").query("SELECT count(*) AS n FROM index")["n"][0] > 0
    (folder / "new.dcm").write_bytes(dicom_file(picture(5)))
    again = wr.scan(folder, to, progress=False, workers=0)
    assert again.scan["read"] == 1
    measured = again.measure(progress=False)
    machines("a")  # whose copy is of yesterday
    assert wr.Index.open(to).table.equals(measured.table)
    commits = [key for key in keys_below(s3, "kept.index") if key.startswith("commits/")]
    assert len(commits) == 1, "what no generation names is swept away there too"


def test_workers_write_to_the_bucket_and_the_next_run_resumes(
    s3: Client, folder: Path, machines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wetread.table import scan

    to, settings = f"s3://{BUCKET}/stopped.index", Settings(part_files=3)
    part_of, seen = scan._part_of, []

    def stop_at_second(summary: Any) -> Any:
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return part_of(summary)

    with monkeypatch.context() as patch:
        patch.setattr(scan, "_part_of", stop_at_second)
        with pytest.raises(KeyboardInterrupt):
            wr.scan(folder, to, progress=False, workers=0, settings=settings)
    machines("b")  # the first one is lost with its disk
    index = wr.scan(folder, to, progress=False, workers=0, settings=settings)
    assert 0 < index.scan["read"] < len(index)
    assert index.table.equals(wr.scan(folder, progress=False).table)


def test_one_of_two_concurrent_scans_fails(
    s3: Client, folder: Path, machines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wetread.table import scan

    to = f"s3://{BUCKET}/race.index"
    compact = scan.compact

    def be_late(*rest: Any) -> Any:
        monkeypatch.setattr(scan, "compact", compact)
        machines("b")
        wr.scan(folder, to, progress=False, workers=0)
        machines("a")
        return compact(*rest)

    monkeypatch.setattr(scan, "compact", be_late)
    with pytest.raises(StorageError, match="another scan of it has finished meanwhile"):
        wr.scan(folder, to, progress=False, workers=0)
    assert len(wr.Index.open(to)) == len(wr.scan(folder, progress=False))


def test_shards_in_a_bucket(s3: Client, folder: Path, machines: Any) -> None:
    to = f"s3://{BUCKET}/shards.index"
    for number in range(3):
        machines(f"job{number}")
        wr.scan(folder, to, shard=f"{number}/3", progress=False, workers=0)
    machines("last")
    assert wr.merge(to).table.equals(wr.scan(folder, progress=False).table)


def test_other_objects_are_not_copied_as_an_index(s3: Client, folder: Path, tmp_path: Path) -> None:
    url = upload(s3, folder, "images")
    for ask in (wr.Index.open, wr.merge, lambda to: wr.scan(folder, to, progress=False)):
        with pytest.raises(IndexFormatError, match=rf"^{url} is not an index: .* choose a new"):
            ask(url)
    assert not list((tmp_path / "home").rglob("*.dcm"))


def test_bad_usage(s3: Client) -> None:
    with pytest.raises(UsageError, match="names no bucket"):
        wr.scan("s3://", progress=False)
    with pytest.raises(UsageError, match="one URL at a time"):
        wr.scan([f"s3://{BUCKET}", "train/"], progress=False)
    with pytest.raises(StorageError, match=r"cannot be listed|does not exist|not there"):
        wr.scan("s3://no-such-bucket-here", progress=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9/a.dcm", "connection refused"),
        ("http://a.invalid/a.dcm", "its host name"),
    ],
)
def test_an_unreachable_store(url: str, reason: str) -> None:
    with pytest.raises(StorageError, match=f"the store cannot be reached: {reason}"):
        wr.scan(url, settings=Settings(retries=0, request_seconds=3))


def test_missing_credentials_name_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(UsageError, match="--anonymous or 's3://anonymous@idc-open-data/a'"):
        wr.scan("s3://idc-open-data/a", progress=False)


def test_a_listing_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten million keys: pages are requested only as they are consumed."""
    requested = 0

    def pages(self: buckets.Bucket) -> Iterator[list[Listed]]:
        nonlocal requested
        for page in range(10_000):
            requested += 1
            yield [Listed(f"{page:05}/{n:04}.dcm", 1, 0, "e") for n in range(1000)]

    monkeypatch.setattr(buckets.Bucket, "pages", pages)
    monkeypatch.setattr(buckets, "_open_store", lambda *_: None)
    open_bucket.cache_clear()
    from wetread.sources.find import find

    batches = find("s3://anonymous@stub/all", size=8192).batches
    for n in range(1, 5):
        assert len(next(batches)) == 8192
        assert requested <= 8.192 * n + 2
    open_bucket.cache_clear()


class _Faulty(BaseHTTPRequestHandler):
    """Serve files by range, with the fault that the name of the file states."""

    protocol_version = "HTTP/1.1"
    content = dicom_file(picture())
    tries: ClassVar[dict[str, int]] = {}

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        name = self.path.rpartition("/")[2]
        content = self.server.files.get(name, self.content)  # type: ignore[attr-defined]
        start, stop = 0, len(content)
        if range_ := self.headers.get("Range"):
            first, _, last = range_.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last) + 1, len(content))
        self.tries[name] = self.tries.get(name, 0) + (1 if body else 0)
        if "gone" in name and body:
            return self.answer(404, b"")
        if "locked" in name and body:
            return self.answer(403, b"secret")
        if "slow" in name and body:
            time.sleep(3)
        if "reset" in name and body:
            self.close_connection = True
            return self.connection.close()
        if "passing" in name and body and self.tries[name] == 1:
            return self.answer(503, b"")
        self.send_response(206 if range_ else 200)
        self.send_header("Content-Length", str(stop - start))
        if range_:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        self.send_header("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT")
        self.end_headers()
        if body:
            cut = (stop - start) // 2 if "cut" in name else stop - start
            self.wfile.write(content[start : start + cut])
            if "cut" in name:
                self.close_connection = True
                self.connection.close()
        return None

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def faulty() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Faulty)
    server.daemon_threads = True
    server.files = {}  # type: ignore[attr-defined]
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = [
        f"{kind}.dcm" for kind in ("cut", "gone", "good", "locked", "passing", "reset", "slow")
    ]
    server.files["all.txt"] = "\r\n".join(names).encode()  # type: ignore[attr-defined]
    _Faulty.tries.clear()
    yield f"http://127.0.0.1:{server.server_port}/data"
    server.shutdown()
    server.server_close()


def test_faults_are_rows_and_never_stop_the_run(faulty: str) -> None:
    settings = Settings(request_seconds=1.0, retries=1)
    index = wr.scan(f"{faulty}/all.txt", progress=False, workers=0, settings=settings)
    rows = {row["path"]: row for row in index.table.to_pylist()}
    status = {path.removesuffix(".dcm"): row["read_status"] for path, row in rows.items()}
    assert status == {
        "cut": "no_access",
        "gone": "no_access",
        "good": "ok",
        "locked": "no_access",
        "passing": "ok",
        "reset": "no_access",
        "slow": "no_access",
    }
    texts = {path: row["problems"][0]["text"] for path, row in rows.items() if row["problems"]}
    assert texts["gone.dcm"] == "the object no longer exists"
    assert texts["locked.dcm"] == "permission denied"
    assert "secret" not in str(texts)
    assert rows["good.dcm"]["file_size"] == len(_Faulty.content)


def test_one_object_over_http(faulty: str) -> None:
    assert wr.read(f"{faulty}/good.dcm").shape == wr.read(f"{faulty}/other.dcm").shape

"""Index in a bucket: a local copy that downloads and uploads new files.

An object store has no append, no rename and no lock. An index needs none of them: except for the
marker, its files are written once, under unique names. Parts are uploaded before the commit that
names them, and a commit only if none of that name exists.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from wetread.common.disk_cache import cache_folder
from wetread.common.files import TEMPORARY, storage_errors, whole_file
from wetread.errors import IndexFormatError, NotFoundError, StorageError
from wetread.sources.buckets import Bucket, is_url, open_bucket
from wetread.sources.find import INDEX_MARKER

T = TypeVar("T")
_OWN = r"(parts|commits)/"
"""Files that are deleted from the copy if they are no longer in the bucket."""
_MARKERS = rf"(shards/[^/]+/)?{re.escape(INDEX_MARKER)}"
"""Markers of an index, and of the shards of one."""
_CONFLICT = "another scan of it has finished meanwhile; scan again"
_FOLDER, _ADDRESS = "index", "url.txt"


def local_folder(to: str | bytes | os.PathLike[str]) -> Path:
    """Local folder of an index: the folder itself, or the copy of an index in a bucket."""
    if not is_url(to):
        return Path(os.path.abspath(os.fsdecode(to)))
    url = os.fsdecode(to).rstrip("/")
    home = cache_folder("indexes")
    if home is None:
        raise StorageError(f"{url}: no cache folder for a local copy; set XDG_CACHE_HOME")
    folder = home / blake2b(url.encode(), digest_size=12).hexdigest()
    with storage_errors(folder):
        (folder / _FOLDER).mkdir(parents=True, exist_ok=True)
        (folder / _ADDRESS).write_text(url)
    return folder / _FOLDER


def is_index(path: str | bytes | os.PathLike[str]) -> bool:
    """True for an index folder, here or in a bucket."""
    if not is_url(path):
        return os.path.exists(os.path.join(os.fsdecode(path), INDEX_MARKER))
    try:
        return bool(open_bucket(os.fsdecode(path)).stat(INDEX_MARKER))
    except OSError:  # whatever opens it next explains the failure
        return False


def address_of(folder: Path) -> str | None:
    """URL of the index that a folder is a copy of; None for a folder that is no copy."""
    file = folder.parent / _ADDRESS
    return file.read_text() if folder.name == _FOLDER and file.is_file() else None


def pull(folder: Path) -> None:
    """Update a copy from the bucket; does nothing for a folder that is no copy.

    Raises:
        IndexFormatError: the URL is not an index; nothing is copied.
        StorageError: the bucket cannot be read, or the disk is full.
    """
    url = address_of(folder)
    if url is None:
        return
    bucket = open_bucket(url)

    def get(key: str, size: int) -> None:
        path = folder / key
        if path.exists() and path.stat().st_size == size:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(bucket.read(key, 0, size))

    with storage_errors(url):
        remote = _list_remote(bucket)
        if remote and not any(re.fullmatch(_MARKERS, key) for key in remote):
            raise IndexFormatError(
                f"{url} is not an index: it has files and no {INDEX_MARKER}; choose a new folder"
            )
        for key in _list_local(folder) - set(remote):
            if re.match(_OWN, key):
                (folder / key).unlink(missing_ok=True)
        for key in sorted(remote, key=_rank):
            if _rank(key)[0]:
                get(key, remote[key])
        parts = [key for key in remote if not _rank(key)[0]]
        list(bucket.pool.map(get, parts, [remote[key] for key in parts]))


def fetch(folder: Path, keys: list[str]) -> None:
    """Download files of the bucket; does nothing for a folder that is no copy.

    Raises:
        StorageError: one is missing, because another scan has finished meanwhile.
    """
    url = address_of(folder)
    if url is None:
        return
    bucket = open_bucket(url)

    def get(key: str) -> None:
        with whole_file(folder / key) as file:
            file.write(bucket.read_all(key))

    with storage_errors(url):
        try:
            list(bucket.pool.map(get, keys))
        except FileNotFoundError as error:
            raise StorageError(f"{url}: {_CONFLICT}") from error


def push(folder: Path, generation: str) -> None:
    """Upload new files, the generation last, and delete remote files that are not here.

    Does nothing for a folder that is no copy.

    Raises:
        StorageError: the bucket cannot be written, or another scan has finished meanwhile.
    """
    url = address_of(folder)
    if url is None:
        return
    bucket = open_bucket(url)
    with storage_errors(url):
        remote, local = set(_list_remote(bucket)), _list_local(folder)
        last = f"commits/{generation}.json"
        _upload(bucket, folder, local - remote - {last})
        later = any(key > last for key in remote if key.startswith("commits/generation-"))
        if later or not bucket.create(last, (folder / last).read_bytes()):
            raise StorageError(f"{url}: {_CONFLICT}")
        bucket.remove(sorted(remote - local, key=_rank, reverse=True))


def push_marker(folder: Path, marker: str) -> None:
    """Upload the marker of an index; does nothing for a folder that is no copy."""
    if (url := address_of(folder)) is not None:
        with storage_errors(url):
            _upload(open_bucket(url), folder, {marker})


def push_part(url: str, write: Callable[[Path], T]) -> T:
    """Run `write(folder)` on an empty folder and upload its files; returns its result."""
    with tempfile.TemporaryDirectory(prefix="wetread-") as name:
        folder = Path(name)
        for name in ("parts", "commits"):
            (folder / name).mkdir()
        result = write(folder)
        with storage_errors(url):
            _upload(open_bucket(url), folder, _list_local(folder))
    return result


def _upload(bucket: Bucket, folder: Path, keys: set[str]) -> None:
    """Upload parts in parallel, then one by one the files that name them; none is overwritten."""

    def create(key: str) -> bool:
        return bucket.create(key, (folder / key).read_bytes())

    parts = {key for key in keys if not _rank(key)[0]}
    list(bucket.pool.map(create, parts))
    for key in sorted(keys - parts, key=_rank):
        create(key)


def _rank(key: str) -> tuple[int, str]:
    """Sort key of a file: parts, then commits, the generation last."""
    return (0 if key.endswith(".parquet") else 2 if "generation-" in key else 1), key


def _list_remote(bucket: Bucket) -> dict[str, int]:
    """Sizes of the files of the index in the bucket, by key."""
    try:
        return {item.key: item.size for page in bucket.pages() for item in page}
    except FileNotFoundError as error:
        raise NotFoundError(f"{bucket.url}: no such bucket") from error


def _list_local(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix() for p in files if not p.name.startswith(TEMPORARY)}

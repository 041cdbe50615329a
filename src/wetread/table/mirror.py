"""An index in a bucket: a copy on this machine's disk that fetches and sends what is new.

An object store has no append, no rename and no lock. An index needs none of them: but for the
marker its files are written once, under names of their own. Parts are sent before the commit that
names them, and a commit only if nobody has sent one of that name.
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
_OWN = re.compile(r"(parts|commits)/")
"""What is gone from the bucket is removed here only where all of it was sent."""
_MARKERS = re.compile(rf"(shards/[^/]+/)?{re.escape(INDEX_MARKER)}")
"""What an index has, or one that is to be merged."""
_FASTER = "another scan of it has finished meanwhile; scan again"
_FOLDER, _ADDRESS = "index", "url.txt"


def local_folder(to: str | bytes | os.PathLike[str]) -> Path:
    """Where an index is on this machine: the folder itself, or the copy of one in a bucket."""
    if not is_url(to):
        return Path(os.path.abspath(os.fsdecode(to)))
    url = os.fsdecode(to).rstrip("/")
    home = cache_folder("indexes")
    if home is None:
        raise StorageError(f"{url}: no folder for a copy of it; set XDG_CACHE_HOME to one")
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
    """The URL that a folder is the copy of; None where it is an index itself."""
    said = folder.parent / _ADDRESS
    return said.read_text() if folder.name == _FOLDER and said.is_file() else None


def pull(folder: Path) -> None:
    """Makes a copy what the bucket has now; does nothing for a folder that is no copy.

    Raises:
        IndexFormatError: what the bucket has there is no index; nothing is copied.
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
        there = _list(bucket)
        if there and not any(map(_MARKERS.fullmatch, there)):
            raise IndexFormatError(
                f"{url} is not an index: it has files and no {INDEX_MARKER}; choose a new folder "
                "for one"
            )
        for key in _local(folder) - set(there):
            if _OWN.match(key):
                (folder / key).unlink(missing_ok=True)
        # What names parts comes after them, so that the copy is never ahead of itself.
        for key in sorted(there, key=_rank):
            if _rank(key)[0]:
                get(key, there[key])
        parts = [key for key in there if not _rank(key)[0]]
        list(bucket.pool.map(get, parts, [there[key] for key in parts]))


def fetch(folder: Path, keys: list[str]) -> None:
    """Brings files that are known to be in the bucket; does nothing for a folder that is no copy.

    Raises:
        StorageError: one is not there, as another scan has finished meanwhile.
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
            raise StorageError(f"{url}: {_FASTER}") from error


def push(folder: Path, generation: str) -> None:
    """Sends what the bucket has not, a new generation last, and removes what is gone here.

    Does nothing for a folder that is no copy.

    Raises:
        StorageError: the bucket cannot be written, or another scan was faster.
    """
    url = address_of(folder)
    if url is None:
        return
    bucket = open_bucket(url)
    with storage_errors(url):
        there, here = set(_list(bucket)), _local(folder)
        last = f"commits/{generation}.json"
        _send(bucket, folder, here - there - {last})
        later = any(key > last for key in there if key.startswith("commits/generation-"))
        if later or not bucket.create(last, (folder / last).read_bytes()):
            raise StorageError(f"{url}: {_FASTER}")
        bucket.remove(sorted(there - here, key=_rank, reverse=True))


def push_marker(folder: Path, marker: str) -> None:
    """Sends the file that says what the others are; does nothing for a folder that is no copy."""
    if (url := address_of(folder)) is not None:
        with storage_errors(url):
            _send(open_bucket(url), folder, {marker})


def push_part(url: str, write: Callable[[Path], T]) -> T:
    """Runs `write(folder)` on an empty folder and sends what it has written; gives its result."""
    with tempfile.TemporaryDirectory(prefix="wetread-") as made:
        folder = Path(made)
        for name in ("parts", "commits"):
            (folder / name).mkdir()
        result = write(folder)
        with storage_errors(url):
            _send(open_bucket(url), folder, _local(folder))
    return result


def _send(bucket: Bucket, folder: Path, keys: set[str]) -> None:
    """Parts at once, then one by one what names them; what is there already stays."""

    def create(key: str) -> bool:
        return bucket.create(key, (folder / key).read_bytes())

    parts = {key for key in keys if not _rank(key)[0]}
    list(bucket.pool.map(create, parts))
    for key in sorted(keys - parts, key=_rank):
        create(key)


def _rank(key: str) -> tuple[int, str]:
    """Parts first, then what names them, the generation last."""
    return (0 if key.endswith(".parquet") else 2 if "generation-" in key else 1), key


def _list(bucket: Bucket) -> dict[str, int]:
    """Sizes of the files of the index, by key."""
    try:
        return {one.key: one.size for page in bucket.pages() for one in page}
    except FileNotFoundError as error:
        raise NotFoundError(f"{bucket.url}: no such bucket") from error


def _local(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix() for p in files if not p.name.startswith(TEMPORARY)}

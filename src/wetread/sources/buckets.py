"""List and range-read objects of buckets: S3, Google Cloud Storage, Azure, plain https.

A URL is `s3://bucket/folder`; `s3://anonymous@bucket/folder` sends no credentials, as public
buckets require. Errors name keys and URLs, never request headers.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

from wetread.common.disk_cache import DiskCache, cache_folder, disk_cache
from wetread.errors import MissingExtraError, NotFoundError, StorageError, UsageError
from wetread.settings import KIB, Settings

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az", "https", "http")
ANONYMOUS = "anonymous"
"""User name in a URL for which no credentials are sent."""
_UNNAMED = "a key with an empty or relative segment, which cannot be read: copy it to another key"
_CHANGED = "the object has changed since it was listed: scan again"
_PAGE = 1000
"""Keys per page of a listing."""
_BUFFER = 256 * KIB
"""Bytes per request when a stream is read in small pieces."""
_STATUS = re.compile(r"status code: (\d+ [A-Za-z ]+)", re.I)
_UNREACHED = (
    (re.compile(r"failed to lookup address|dns error"), "its host name is unknown"),
    (re.compile(r"operation timed out"), "no answer in time"),
    (re.compile(r'Os \{[^}]*message: "([^"]+)"'), "{}"),
    (re.compile(r"(certificate[^\",)\n]*)", re.I), "{}"),
    (re.compile(r"kind: (Connect|Timeout|Request)\b"), "no connection"),
)
"""Reasons for which a server cannot be reached, as obstore's exceptions show them."""


class Listed(NamedTuple):
    """Entry of a listing."""

    key: str
    """Relative to the URL."""
    size: int
    mtime_ns: int
    etag: str | None


def is_url(what: object) -> bool:
    """Return True for the URL of a bucket or a web server, False for a path.

    >>> is_url("s3://bucket/train"), is_url("train/"), is_url("C:/train")
    (True, False, False)
    """
    text = os.fsdecode(what) if isinstance(what, str | bytes | os.PathLike) else ""
    return text.partition("://")[0] in SCHEMES and "://" in text


def with_anonymous(url: str) -> str:
    """Return the URL for access without credentials.

    >>> with_anonymous("s3://idc-open-data/abc")
    's3://anonymous@idc-open-data/abc'
    """
    scheme, _, rest = url.partition("://")
    return url if rest.startswith(f"{ANONYMOUS}@") else f"{scheme}://{ANONYMOUS}@{rest}"


class Bucket:
    """Objects below a URL. Use `open_bucket`, which creates one per process and URL."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self._store = _open_store(url, settings)
        self._settings = settings

    def pages(self) -> Iterator[list[Listed]]:
        """Yield all objects in pages, sorted by the bytes of their keys, without folder markers.

        Raises:
            OSError: the listing failed and is incomplete.
        """
        waiting: Listed | None = None
        with _os_errors(self.url):
            for page in self._list():
                found = [*([] if waiting is None else [waiting]), *page]
                if not found:
                    continue
                # A marker, "folder/", is listed without its slash, right before its contents.
                pairs = pairwise(found)
                yield [one for one, after in pairs if not _is_marker(one, after)]
                waiting = found[-1]
        if waiting is not None:
            yield [waiting]

    def _list(self) -> Iterator[list[Listed]]:
        """Yield all entries in pages; in S3 also keys that obstore cannot represent."""
        import obstore

        last = ""
        try:
            for page in obstore.list(self._store, chunk_size=_PAGE):
                yield [_listed(meta) for meta in page]
                last = page[-1]["path"] if page else last
        except obstore.exceptions.InvalidPathError:
            if urlsplit(self.url).scheme != "s3":
                raise
            for found in _list_by_boto(self.url, last):
                yield [one for one in found if one.key != last]

    def stat(self, key: str) -> Listed:
        """Entry of one object, by a request; FileNotFoundError or another OSError on failure."""
        import obstore

        with _os_errors(key):
            return _listed(obstore.head(self._store, key))

    def read(self, key: str, start: int, length: int, etag: str | None = None) -> bytes:
        """Read a range of an object; fewer bytes only at its end.

        OSError on failure, or if the object no longer has the given `etag`.
        """
        import obstore

        if length <= 0:
            return b""
        with _os_errors(key):
            if etag is None:
                return bytes(obstore.get_range(self._store, key, start=start, length=length))
            response = obstore.get(self._store, key, options={"range": (start, start + length)})
            current = response.meta["e_tag"]
            if current is not None and current.strip('"') != etag.strip('"'):  # some lack the "
                raise OSError(errno.ESTALE, _CHANGED, key)
            return bytes(response.bytes())

    def read_all(self, key: str) -> bytes:
        """Read a whole object; OSError on failure."""
        import obstore

        with _os_errors(key):
            return bytes(obstore.get(self._store, key).bytes())

    def create(self, key: str, content: bytes) -> bool:
        """Create an object atomically; False if it exists."""
        import obstore

        with _os_errors(key):
            try:
                obstore.put(self._store, key, content, mode="create")
            except obstore.exceptions.AlreadyExistsError:
                return False
        return True

    def remove(self, keys: list[str]) -> None:
        """Delete objects; missing ones are ignored."""
        import obstore

        for key in keys:
            with _os_errors(key):
                obstore.delete(self._store, key)

    def open(self, key: str, size: int | None = None, etag: str | None = None) -> BinaryIO:
        """Open one object as a seekable stream, fetched as it is read; close it.

        `size` saves a request. With `etag`, another version of the object raises OSError, and the
        bytes read are cached on disk (`Settings.object_cache_bytes`).
        """
        return io.BufferedReader(_ObjectFile(self, key, size, etag), _BUFFER)

    @property
    def cache(self) -> DiskCache:
        """Disk cache of ranges of known object versions, shared between processes."""
        return disk_cache(cache_folder("objects"), self._settings.object_cache_bytes)

    @functools.cached_property
    def pool(self) -> ThreadPoolExecutor:
        """Threads for concurrent requests (`Settings.requests`)."""
        return ThreadPoolExecutor(self._settings.requests, "wetread-request")


@functools.lru_cache(maxsize=16)
def open_bucket(url: str, settings: Settings = Settings()) -> Bucket:
    """Return the bucket or folder of a URL; makes no request.

    Raises:
        MissingExtraError: the extra `cloud` is not installed.
        UsageError: the URL names no bucket, or there are no credentials.
    """
    return Bucket(url.rstrip("/"), settings)


def _open_store(url: str, settings: Settings) -> ObjectStore:
    try:
        from obstore.store import HTTPStore, from_url
    except ImportError as error:
        raise MissingExtraError(url, "cloud") from error
    parts = urlsplit(url)
    if not parts.hostname:
        raise UsageError(f"{url!r} names no bucket: write {parts.scheme}://BUCKET/FOLDER")
    anonymous = parts.username == ANONYMOUS
    plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    client: Any = {
        "timeout": timedelta(seconds=settings.request_seconds),
        "connect_timeout": timedelta(seconds=min(10.0, settings.request_seconds)),
    }
    retry: Any = {
        "max_retries": settings.retries,
        "retry_timeout": timedelta(seconds=4 * settings.request_seconds),
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5)},
    }
    if parts.scheme in ("https", "http"):
        client["allow_http"] = parts.scheme == "http"
        return HTTPStore.from_url(plain, client_options=client, retry_config=retry)
    options: dict[str, Any] = {"client_options": client, "retry_config": retry}
    if anonymous:
        options["skip_signature"] = True
    elif parts.scheme == "s3":
        options["credential_provider"] = _find_credentials(url)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    if parts.scheme == "s3" and endpoint:
        options["endpoint"] = endpoint
        client["allow_http"] = endpoint.startswith("http://")
    if parts.scheme == "s3":
        options.setdefault("region", _find_region())
    return from_url(plain, **options)


def _find_region() -> str:
    names = ("AWS_REGION", "AWS_DEFAULT_REGION")
    return next(filter(None, map(os.environ.get, names)), "us-east-1")


def _find_credentials(url: str) -> Any:
    """Credentials as boto3 finds them: environment, ~/.aws, role (obstore alone skips ~/.aws)."""
    try:
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise MissingExtraError(url, "cloud") from error
    session = boto3.Session()
    if session.get_credentials() is None:
        raise UsageError(
            f"no AWS credentials for {url}; for a public bucket use --anonymous "
            f"or {with_anonymous(url)!r}"
        )
    return Boto3CredentialProvider(session)


def _listed(meta: Any) -> Listed:
    mtime = int(meta["last_modified"].timestamp() * 1_000_000) * 1000
    return Listed(meta["path"], meta["size"], mtime, meta["e_tag"])


def _list_by_boto(url: str, after: str) -> Iterator[list[Listed]]:
    """Yield the S3 objects after a key, whatever their keys; slower than obstore.

    Keys that obstore cannot represent cannot be read either: their rows have a problem.
    """
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    parts = urlsplit(url)
    unsigned = Config(signature_version=UNSIGNED) if parts.username == ANONYMOUS else None
    client = boto3.client("s3", region_name=_find_region(), config=unsigned)
    folder = f"{parts.path.strip('/')}/".lstrip("/")
    request = {"Bucket": parts.hostname, "Prefix": folder, "StartAfter": folder + after}
    try:
        for page in client.get_paginator("list_objects_v2").paginate(**request):
            yield [
                _listed(
                    {
                        "path": one["Key"].removeprefix(folder).removesuffix("/"),
                        "size": one["Size"],
                        "last_modified": one["LastModified"],
                        "e_tag": one["ETag"],
                    }
                )
                for one in page.get("Contents", ())
                if one["Key"] != folder
            ]
    except (BotoCoreError, ClientError) as error:
        raise OSError(errno.EREMOTEIO, "unexpected response of the store", url) from error


def _is_marker(one: Listed, after: Listed) -> bool:
    return one.size == 0 and after.key.startswith(f"{one.key}/")


class _os_errors:  # noqa: N801 - used as a function
    """Context manager that turns obstore's exceptions into the OSErrors of files, in one line."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        if self._name[:1] == "/" or self._name[-1:] == "/":  # obstore drops the slash
            raise OSError(errno.EINVAL, _UNNAMED, self._name)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from obstore import exceptions

        if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
            raise PermissionError(errno.EACCES, "permission denied", self._name) from None
        if isinstance(error, FileNotFoundError):
            text = "the object no longer exists"
            raise FileNotFoundError(errno.ENOENT, text, self._name) from None
        unnamed = isinstance(error, ValueError) and "not parse path" in str(error)
        if unnamed or isinstance(error, exceptions.InvalidPathError):
            raise OSError(errno.EINVAL, _UNNAMED, self._name) from None
        if isinstance(error, exceptions.BaseError):
            text = _explain(str(error))
            if text.endswith("416 Range Not Satisfiable"):  # it has become shorter
                raise OSError(errno.ESTALE, _CHANGED, self._name) from None
            raise OSError(errno.EREMOTEIO, text, self._name) from None


def _explain(text: str) -> str:
    """Text of an exception of obstore in one line."""
    if status := _STATUS.search(text):
        return f"unexpected response of the store: {status[1]}"
    for pattern, reason in _UNREACHED:
        if found := pattern.search(text):
            named = reason.format(*(group.lower() for group in found.groups()))
            return f"the store cannot be reached: {named}"
    return "unexpected response of the store"


class _ObjectFile(io.RawIOBase):
    """One object as an unbuffered file; wrap it in a buffer to combine small reads."""

    def __init__(self, bucket: Bucket, key: str, size: int | None, etag: str | None) -> None:
        self._bucket, self._key, self._size, self._etag, self._at = bucket, key, size, etag, 0
        self.name = f"{bucket.url}/{key}"

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    @property
    def size(self) -> int:
        """Size in bytes."""
        if self._size is None:
            self._size = self._bucket.stat(self._key).size
        return self._size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        self._at = max(0, offset + (self.size if start is None else start))
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._read(min(len(view), self.size - self._at))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read(self, length: int) -> bytes:
        if self._etag is None or length <= 0:
            return self._bucket.read(self._key, self._at, length)
        cache, name = self._bucket.cache, f"{self.name} {self._etag} {self._at} {length}"
        if (data := cache.get(name)) is None:
            data = self._bucket.read(self._key, self._at, length, self._etag)
            cache.put(name, data)
        return data


def find_objects(url: str, settings: Settings) -> tuple[str, Iterator[list[Listed]]]:
    """Resolve a URL: the folder that keys are relative to, and pages of its objects, sorted.

    The URL is that of a bucket, of a folder in one, of one object, or (https has no listing) of a
    manifest: a text file (`.txt`) with one address per line, in its folder or below. A missing
    object of a manifest has no etag and a size of -1.

    Raises NotFoundError if there is nothing.
    """
    folder = open_bucket(url, settings)
    pages = folder.pages() if urlsplit(url).scheme not in ("https", "http") else iter(())
    try:
        return folder.url, chain([next(pages)], pages)
    except StopIteration:  # no folder
        pass
    except OSError as error:
        raise StorageError(f"{url} cannot be listed: {error.strerror}") from error
    above, _, name = folder.url.rpartition("/")
    parent = open_bucket(above, settings)
    try:
        found = [parent.stat(name)]
    except FileNotFoundError as error:
        raise NotFoundError(f"no objects at {url}") from error
    except OSError as error:
        raise StorageError(f"{url}: {error.strerror}") from error
    if name.endswith(".txt") and urlsplit(url).scheme in ("https", "http"):
        lines = parent.read(name, 0, found[0].size).decode().splitlines()
        return parent.url, iter([_read_manifest(parent, lines)])
    return parent.url, iter([found])


def _read_manifest(folder: Bucket, lines: list[str]) -> list[Listed]:
    """Entries of the objects in a manifest."""

    def stat(key: str) -> Listed:
        try:
            return folder.stat(key)
        except OSError:
            return Listed(key, -1, 0, None)

    keys = {line.strip().removeprefix(f"{folder.url}/") for line in lines} - {""}
    if elsewhere := sorted(key for key in keys if is_url(key)):
        raise UsageError(f"the manifest names {elsewhere[0]}, which is not below {folder.url}")
    return list(folder.pool.map(stat, sorted(keys, key=str.encode)))

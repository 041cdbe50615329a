"""Atomic files, a lock on a file, checksums, and error messages of the file system."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from wetread.errors import NotFoundError, StorageError

TEMPORARY = ".tmp-"
"""Prefix of the names of files that are being written."""
MANIFEST = "manifest.csv"
"""Table of the files of an export."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def storage_errors(folder: Path | str) -> Iterator[None]:
    """Turn an OSError into a StorageError that names the folder and the reason."""
    try:
        yield
    except (StorageError, NotFoundError):
        raise
    except OSError as error:
        if error.errno in _FULL:
            reason = "the disk is full; completed files are kept"
        else:
            reason = f"cannot read or write there: {error.strerror or error}"
        raise StorageError(f"{folder}: {reason}") from error


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file atomically: it appears under its name once written and synced, or never."""
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def written(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write a file atomically, as `whole_file`; StorageError if it cannot be written."""
    try:
        with whole_file(Path(path)) as file:
            yield file
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def checksum(path: Path) -> str:
    """CRC-32 and size of a file: three times as fast as a hash; detects damage, not tampering.

    Every burst of errors of up to 32 bits is detected, others with 1 - 2**-32 probability.
    """
    crc, size = 0, 0
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            crc, size = zlib.crc32(piece, crc), size + len(piece)
    return f"{crc:08x}-{size}"


def hash_file(path: Path) -> str:
    """32 hex digits of BLAKE2b over the bytes of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def sync_folder(folder: Path) -> None:
    """Flush a folder to disk, so that a new file in it survives a crash of the system."""
    if os.name == "nt":  # a folder cannot be synced on Windows
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def take_lock(file: BinaryIO) -> bool:
    """Lock an open file without waiting; False if another process holds the lock.

    The system releases the lock when the process ends, however it ends. File systems without locks
    count as locked. (filelock's fallback there is a lock file, which survives SIGKILL.)
    """
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(1 << 20)  # past the end: on Windows locked bytes cannot be read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return True

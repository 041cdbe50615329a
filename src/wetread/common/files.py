"""Files that are whole or not there, a lock, and what the system refuses in plain words."""

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
"""How the name of a file starts that is not whole yet."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def storage_errors(folder: Path | str) -> Iterator[None]:
    """Says in plain words what the operating system refuses."""
    try:
        yield
    except (StorageError, NotFoundError):
        raise
    except OSError as error:
        if error.errno in _FULL:
            said = "the disk is full; what is complete there is kept"
        else:
            said = f"cannot read or write there: {error.strerror or error}"
        raise StorageError(f"{folder}: {said}") from error


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name once it is written and synced, or never."""
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def written(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A `whole_file`; StorageError where it cannot be."""
    try:
        with whole_file(Path(path)) as file:
            yield file
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def checksum(path: Path) -> str:
    """CRC-32 and size of a file: three times as fast as a hash, and no protection against intent.

    Every error of up to 32 bits in a row is detected, others but for one in 4 billion.
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


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot sync a folder, and need not
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def take_lock(file: BinaryIO) -> bool:
    """Takes the lock that the system gives back however the process ends."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(1 << 20)  # past the end, as Windows lets nobody read what is locked
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network file systems have no locks: then nobody can tell.
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return True

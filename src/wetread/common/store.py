"""Folders with a marker file that one process at a time writes: the index and the cache."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wetread.common.files import TEMPORARY, storage_errors, take_lock
from wetread.common.stamp import Stamp
from wetread.errors import StorageError


def is_store(folder: str | os.PathLike[str]) -> bool:
    """Return True for the folder of an index or a cache, which has a marker file."""
    return next(Path(folder).glob("wetread-*.json"), None) is not None


@dataclass(frozen=True, slots=True)
class Store:
    """A kind of folder: its marker, the subfolders in it, and the file that is locked."""

    stamp: Stamp
    marker: str
    """Name of the file that identifies the folder."""
    lock: str
    """Name of the file that a writer locks."""
    subfolders: tuple[str, ...]
    noun: str
    """Noun for error messages, with its article: "a cache"."""
    writer: str
    """Operation that writes it: "prepare"."""
    allowed: tuple[str, ...] = ()
    """Names of other files that a folder without marker may have."""

    @contextlib.contextmanager
    def locked(self, folder: Path, content: dict[str, Any]) -> Iterator[None]:
        """Create the folder if needed, with `content` in its marker, and lock it.

        Raises:
            WetreadError: `stamp.failure`: the folder has other files, or is of another version.
            StorageError: it cannot be written, or another process is writing it.
        """
        if folder.is_file():
            raise self.stamp.failure(
                f"{folder} is a file; {self.noun} is a folder: choose a new one"
            )
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / self.marker).exists():
                names = {entry.name for entry in folder.iterdir()} - {*self.allowed, self.lock}
                if not all(name.startswith(TEMPORARY) for name in names):
                    raise self.stamp.failure(
                        f"{folder} has files and is not {self.noun}: choose a new folder"
                    )
                self.stamp.write(folder / self.marker, content)
            self.stamp.read(folder / self.marker)
            for name in self.subfolders:
                (folder / name).mkdir(exist_ok=True)
            file = open(folder / self.lock, "ab")  # noqa: SIM115  (open until the writer ends)
        with file:
            if not take_lock(file):
                raise StorageError(
                    f"{folder}: another {self.writer} is writing this {self.noun.split()[-1]}"
                )
            yield

    def sweep(self, folder: Path, keep: Mapping[str, Collection[str]]) -> None:
        """Delete files that nothing refers to: names to keep by subfolder, without suffix."""
        for subfolder, names in keep.items():
            for entry in (folder / subfolder).iterdir():
                if entry.stem not in names:
                    with contextlib.suppress(OSError):  # Windows: open in another process
                        entry.unlink()

"""One row of an index, opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from wetread.errors import UsageError

if TYPE_CHECKING:
    from pydicom import Dataset

_WITH_HEADER = ("ok", "repaired", "partial")


class Image:
    """One file or member of an archive; nothing but its row is read before it is asked for."""

    def __init__(self, root: str, row: dict[str, Any]) -> None:
        self.root = root
        self.row = row
        """The row of the index, by column."""

    @property
    def id(self) -> str:
        """The key of the row: 16 hex digits, stable over scans and machines."""
        return str(self.row["id"])

    @property
    def path(self) -> str:
        """The path below `root`."""
        return str(self.row["path"])

    @property
    def header(self) -> Dataset:
        """The file's elements without its pixels, as pydicom has them.

        Raises:
            UsageError: the file has no header that can be read; the message says why.
        """
        from wetread.headers.dataset import read_dataset

        if self.row["read_status"] not in _WITH_HEADER:
            found = "; ".join(f"{f['code']}: {f['text']}" for f in self.row["findings"] or [])
            raise UsageError(f"{self.path} has no header ({self.row['read_status']}; {found})")
        path = self.row["path_bytes"] or self.path.encode()
        return read_dataset(self.root, path, os.fsencode(self.row["member"]))

    def __repr__(self) -> str:
        said = [self.row.get(k) for k in ("Modality", "Rows", "Columns")]
        member = f" {self.row['member']}" if self.row["member"] else ""
        kind = f"{said[0] or ''} {said[2]} x {said[1]}" if said[1] else self.row["read_status"]
        return f"<Image {self.path}{member}: {kind.strip()}>"

"""Every limit of wetread, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Settings:
    """The limits that wetread keeps; make another one to change them.

    Sizes are in bytes; a `KIB` is 1024 of them, a `MIB` 1024 `KIB`, a `GIB` 1024 `MIB`.

    >>> Settings(block_files=512).block_files
    512
    """

    block_files: int = 4096
    """Files that are read and converted together."""
    block_bytes: int = 64 * MIB
    """Header bytes in memory after which a block takes no more files."""
    windows: tuple[int, int] = (8 * KIB, 64 * KIB)
    """Bytes of a file that are read first, and where the header goes on."""
    part_files: int = 8192
    """Sources in a task, which becomes one part of the index on disk."""
    part_seconds: float = 30.0
    """A task that took longer makes the next ones smaller."""
    compact_rows: int = 100_000
    """Rows in a part once the scan is complete."""
    header_bytes: int = 64 * MIB
    """Header bytes read from one file, deflated ones counted after inflation."""
    header_elements: int = 2_000_000
    """Elements of one file, those in sequences counted."""
    value_items: int = 65_536
    """Values of one element; one with more is null, with its first bytes in `invalid`."""
    value_bytes: int = 1 * MIB
    """Bytes of one value, as above; of pixels and the like, which are no column, any number."""
    row_problems: int = 256
    """Problems of one file; the others are left out."""
    member_bytes: int = 4 * GIB
    """Size of an archive member."""
    member_ratio: int = 1000
    """Growth of an archive member when inflated."""
    slow_open_seconds: float = 0.0005
    """An open slower than this (a mean over the first files of a block) calls in threads."""
    io_threads: int = 32
    """Threads that read where opening a file waits."""
    retries: int = 3
    """Tries at a file after a passing I/O error."""
    requests: int = 128
    """Requests to an object store under way at once, in each worker."""
    request_seconds: float = 30.0
    """Time that an object store may take for one request."""
    object_window: int = 16 * KIB
    """Bytes of an object that are asked for first."""
    object_bytes: int = 256 * KIB
    """Objects up to this size are fetched whole."""
    kept_bytes: int = 4 * GIB
    """Bytes of objects that are kept on this machine's disk, as images are opened; 0 for none."""
    frame_bytes: int = 2 * GIB
    """Size of one decoded frame."""
    frame_ratio: int = 1000
    """Growth of a frame of more than `free_bytes` when decoded."""
    free_bytes: int = 64 * MIB
    """Decoded frames up to this size may grow by any ratio: a blank image compresses well."""
    decode_seconds: float = 10.0
    """Time that a worker may spend on a frame."""
    decode_rate: float = 10e6
    """Bytes of a decoded frame for which it may take a second more."""
    decode_bytes: int = 512 * MIB
    """Memory that a file may take in a worker, beside eight of its frames."""

    filter_seconds: float = 10.0
    """Time that a filter in the viewer may take; one value that is huge can hold it up longer."""
    viewer_bytes: int = 384 * MIB
    """Decoded frames that the viewer keeps."""
    thumb_bytes: int = 512 * MIB
    """Thumbnails that the viewer keeps on disk."""

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Settings:
        """What `dataclasses.asdict` made, on the other side of a pipe.

        >>> Settings.from_json({"windows": [8192, 65536]}).windows
        (8192, 65536)
        """
        limits: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in said.items()
        }
        return cls(**limits)

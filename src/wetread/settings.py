"""Limits of scanning, decoding and the viewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of scanning, decoding and the viewer; immutable.

    Sizes are in bytes: `KIB` = 1024 bytes, `MIB` = 1024 `KIB`, `GIB` = 1024 `MIB`.

    >>> Settings(part_files=512).part_files
    512
    """

    block_bytes: int = 64 * MIB
    """Size of the headers in memory above which a task is read in several blocks."""
    windows: tuple[int, int] = (4 * KIB, 64 * KIB)
    """Bytes of a file in the first read, and the most in a further one, which doubles the total."""
    part_files: int = 6144
    """Maximum number of sources per task; a task writes one part of the index."""
    part_seconds: float = 30.0
    """Target duration of a task; the size of the next tasks adapts to it."""
    compact_rows: int = 100_000
    """Maximum number of rows in a part of a finished scan."""
    header_bytes: int = 64 * MIB
    """Maximum size of a header, after inflation if it is deflated."""
    header_elements: int = 2_000_000
    """Maximum number of elements in a header, including those in sequences."""
    value_items: int = 65_536
    """Maximum number of values of an element; null if exceeded, with its start in `invalid`.

    Likewise of elements with a column, of which further ones are left out.
    """
    value_bytes: int = 1 * MIB
    """Maximum size of a value, likewise; pixels and other bytes without a column are exempt."""
    row_bytes: int = 2 * MIB
    """Maximum size of all values of a row that become columns; further ones are left out."""
    row_problems: int = 256
    """Maximum number of problems in a row; further ones are left out."""
    member_bytes: int = 4 * GIB
    """Maximum size of an archive member."""
    member_ratio: int = 1000
    """Maximum compression ratio of an archive member."""
    gzip_checkpoints: int = 512
    """Positions in a gzipped tar from which members can be read, of 40 KiB of memory each."""
    slow_open_seconds: float = 0.0005
    """Mean time to open a file above which a block of files is read by threads."""
    io_threads: int = 32
    """Number of threads for slow file systems."""
    retries: int = 3
    """Number of attempts after a transient I/O error."""
    requests: int = 128
    """Concurrent requests to an object store, per worker."""
    request_seconds: float = 30.0
    """Time limit for one request to an object store."""
    object_window: int = 16 * KIB
    """Bytes of an object in the first request."""
    object_bytes: int = 256 * KIB
    """Maximum size of an object that is downloaded whole."""
    object_cache_bytes: int = 4 * GIB
    """Size of the disk cache for objects of opened images; 0 disables it."""
    frame_bytes: int = 2 * GIB
    """Maximum size of one decoded frame."""
    frame_ratio: int = 1000
    """Maximum compression ratio of a frame of more than `free_bytes`."""
    free_bytes: int = 64 * MIB
    """Size of a decoded frame up to which any ratio is allowed: a blank image compresses well."""
    decode_seconds: float = 10.0
    """Time limit for decoding a frame in a worker."""
    decode_rate: float = 10e6
    """Bytes of a decoded frame per additional second of the time limit."""
    decode_bytes: int = 512 * MIB
    """Memory limit of a worker per file, in addition to eight of its frames."""
    volume_bytes: int = 4 * GIB
    """Maximum size of the array of a volume; larger volumes are read in parts."""

    spacing_tolerance: float = 0.01
    """Deviation of a slice distance from the mean, as a fraction of it: IDC and highdicom."""
    in_plane_tolerance_mm: float = 0.1
    """Range of the lateral positions of the slices of a volume: IDC."""
    orthogonality_tolerance: float = 0.01
    """Deviation of the row and column vectors and their cross product from length 1: IDC."""
    orientation_tolerance: float = 1e-4
    """Deviation of a direction cosine from the most frequent one of the series: dcm2niix."""
    position_tolerance_mm: float = 0.001
    """Distance of slices at one position: above float32 rounding at 1 m, below any slice spacing.

    A hundredth of the slice distance, if that is larger.
    """

    grid_tolerance: float = 0.05
    """Distance of a mask's voxels from those of the images, in voxels, up to which they are equal.

    Coordinates of DICOM are decimals, those of NIfTI float32.
    """
    contour_tolerance: float = 0.1
    """Distance of a contour from its slice, as a fraction of the slice distance."""
    contour_points: int = 100_000
    """Maximum number of points of a contour; a longer one is left out."""
    segments: int = 65_536
    """Maximum number of segments of a file, of which further ones are left out."""

    filter_seconds: float = 10.0
    """Time limit for a filter in the viewer."""
    filter_bytes: int = 2 * GIB
    """Memory limit for a filter in the viewer, in addition to the columns that it names."""
    client_seconds: float = 5.0
    """Time limit for the arrival of a request to the viewer; the connection is closed then."""
    viewer_bytes: int = 384 * MIB
    """Size of the viewer's cache of decoded frames."""
    volume_cache_bytes: int = 1 * GIB
    """Size of the viewer's cache of volumes; a larger volume has no planes."""
    thumb_bytes: int = 512 * MIB
    """Size of the viewer's disk cache of thumbnails."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """Convert from the result of `dataclasses.asdict`, after a round trip through JSON.

        >>> Settings.from_json({"windows": [4096, 65536]}).windows
        (4096, 65536)
        """
        limits: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**limits)

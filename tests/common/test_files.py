"""Messages of file system errors."""

from __future__ import annotations

import errno

import pytest

from wetread.common.files import storage_errors
from wetread.errors import StorageError


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "cannot read or write there: no permission"),  # as a bucket is read here too
        (errno.ENOSPC, "the disk is full; completed files are kept"),
    ],
)
def test_storage_errors(number: int, reason: str) -> None:
    url = "s3://some/where"
    with pytest.raises(StorageError, match=f"^{url}: {reason}$"), storage_errors(url):
        raise OSError(number, "no permission")

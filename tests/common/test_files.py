"""What the system refuses, said in words."""

from __future__ import annotations

import errno

import pytest

from wetread.common.files import storage_errors
from wetread.errors import StorageError


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "cannot read or write there: not for you"),  # as a bucket is read here too
        (errno.ENOSPC, "the disk is full; what is complete there is kept"),
    ],
)
def test_what_the_system_refuses(number: int, said: str) -> None:
    url = "s3://some/where"
    with pytest.raises(StorageError, match=f"^{url}: {said}$"), storage_errors(url):
        raise OSError(number, "not for you")

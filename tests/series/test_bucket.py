"""Series of an index of a bucket."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wetread as wr
from wetread.errors import AccessError

BUCKET = "series"


def test_series_of_a_bucket(s3: Any, scan_series: Callable[..., wr.Index], ct: Any) -> None:
    rows = ct(9)
    local = scan_series([*rows, {**rows[4], "SOPInstanceUID": "2.25.99"}])
    s3.create_bucket(Bucket=BUCKET)
    for path in Path(local.root).iterdir():
        s3.upload_file(str(path), BUCKET, f"images/{path.name}")
    index = wr.scan(f"s3://{BUCKET}/images", workers=0, progress=False)
    assert index.series.table.equals(local.series.table)
    assert index.series["volumes"].tolist() == [1]
    volume = index.series[0].volume
    np.testing.assert_array_equal(volume.array, local.series[0].volume.array)
    assert [one.id for one in volume.slices] == [one.id for one in local.series[0].volume.slices]


def test_an_object_that_is_gone_names_itself(
    s3: Any, scan_series: Callable[..., wr.Index], ct: Any
) -> None:
    local, folder = scan_series(ct(40)), uuid.uuid4().hex  # no object of it is in the disk cache
    for path in Path(local.root).iterdir():
        s3.upload_file(str(path), BUCKET, f"{folder}/{path.name}")
    index = wr.scan(f"s3://{BUCKET}/{folder}", workers=0, progress=False)
    s3.delete_object(Bucket=BUCKET, Key=f"{folder}/0-038.dcm")
    before = list(warnings.filters)
    volume = index.series[0].volume
    with pytest.raises(AccessError, match=r"^0-038.dcm: the object no longer exists"):
        volume.read()
    wanted = local.series[0].volume.read(slice(0, 38))
    np.testing.assert_array_equal(volume.read(slice(0, 38)), wanted)
    assert warnings.filters == before

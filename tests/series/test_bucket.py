"""Series of an index of a bucket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import wetread as wr

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

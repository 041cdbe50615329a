"""The columns with IDC's names equal IDC's SQL, ported to DuckDB by hand.

The original is `volume_geometry_index.sql` of idc-index-data 25.0.5 (MIT licence). What differs:
BigQuery's arrays are DuckDB's lists, which begin at 1, SAFE_CAST is TRY_CAST, SAFE_DIVIDE a CASE,
and ANY_VALUE takes the first slice. An absent element is an empty array there; this port gives it
no text, so that a value that no slice has is not consistent.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pydicom
import pydicom.data
import pytest

import wetread as wr

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
RELATIVE, IN_PLANE, ORTHOGONAL = 0.01, 0.1, 0.01
COLUMNS = (
    "single_orientation", "orthogonal_orientation", "unique_slice_positions",
    "consistent_in_plane_row", "consistent_in_plane_col", "consistent_pixel_spacing",
    "consistent_image_dimensions", "uniform_slice_spacing", "obliquity_degrees",
    "regularly_spaced_3d_volume", "origin_patient", "slice_spacing_mm",
)  # fmt: skip
SQL = f"""
WITH rawData AS (
    SELECT SeriesInstanceUID, SOPInstanceUID,
        TRY_CAST(ipp[1] AS DOUBLE) AS ippX, TRY_CAST(ipp[2] AS DOUBLE) AS ippY,
        TRY_CAST(ipp[3] AS DOUBLE) AS ippZ, array_to_string(iop, '/') AS iop,
        TRY_CAST(iop[1:3] AS DOUBLE[]) AS x_vector, TRY_CAST(iop[4:6] AS DOUBLE[]) AS y_vector,
        array_to_string(spacing, '/') AS pixelSpacing, rows_ AS pixelRows, columns_ AS pixelColumns
    FROM instances
    WHERE SOPClassUID IN ('1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.5.1.4.1.1.4',
            '1.2.840.10008.5.1.4.1.1.128')
        AND SeriesInstanceUID NOT IN (
            SELECT SeriesInstanceUID
            FROM (SELECT SeriesInstanceUID, unnest(kind) AS t FROM instances)
            WHERE t = 'LOCALIZER' OR t LIKE '%MIP%')
), crossProduct AS (
    SELECT SOPInstanceUID, SeriesInstanceUID,
        x_vector[2] * y_vector[3] - x_vector[3] * y_vector[2] AS cx,
        x_vector[3] * y_vector[1] - x_vector[1] * y_vector[3] AS cy,
        x_vector[1] * y_vector[2] - x_vector[2] * y_vector[1] AS cz
    FROM rawData
), joined AS (
    SELECT *, sqrt(cx * cx + cy * cy + cz * cz) AS crossProductMagnitude,
        ippX * cx + ippY * cy + ippZ * cz AS slicePosition,
        ippX * x_vector[1] + ippY * x_vector[2] + ippZ * x_vector[3] AS inPlaneRow,
        ippX * y_vector[1] + ippY * y_vector[2] + ippZ * y_vector[3] AS inPlaneCol
    FROM rawData JOIN crossProduct USING (SOPInstanceUID, SeriesInstanceUID)
), sliceProjection AS (
    SELECT *,
        LEAD(slicePosition) OVER (PARTITION BY SeriesInstanceUID ORDER BY slicePosition NULLS FIRST)
            - slicePosition AS slice_interval,
        CASE WHEN count(*) OVER series > 1 THEN
            (max(slicePosition) OVER series - min(slicePosition) OVER series)
            / (count(*) OVER series - 1) END AS expected_spacing
    FROM joined WINDOW series AS (PARTITION BY SeriesInstanceUID)
), geometryChecks AS (
    SELECT SeriesInstanceUID,
        count(DISTINCT iop) = 1 AND count(iop) = count(*) AS single_orientation,
        count(DISTINCT pixelSpacing) = 1 AND count(pixelSpacing) = count(*)
            AS consistent_pixel_spacing,
        count(DISTINCT SOPInstanceUID) = count(DISTINCT slicePosition) AS unique_slice_positions,
        count(DISTINCT pixelRows) = 1 AND count(DISTINCT pixelColumns) = 1
            AS consistent_image_dimensions,
        min(crossProductMagnitude) BETWEEN 1 - {ORTHOGONAL} AND 1 + {ORTHOGONAL}
            AND max(crossProductMagnitude) BETWEEN 1 - {ORTHOGONAL} AND 1 + {ORTHOGONAL}
            AS orthogonal_orientation,
        max(inPlaneRow) - min(inPlaneRow) < {IN_PLANE} AS consistent_in_plane_row,
        max(inPlaneCol) - min(inPlaneCol) < {IN_PLANE} AS consistent_in_plane_col,
        max(abs(slice_interval - expected_spacing)) < {RELATIVE} * abs(any_value(expected_spacing))
            AS uniform_slice_spacing,
        round(acos(greatest(abs(any_value(cx)), abs(any_value(cy)), abs(any_value(cz)))
            / any_value(crossProductMagnitude)) * 180 / acos(-1), 2) AS obliquity_degrees,
        arg_min([ippX, ippY, ippZ], slicePosition) AS first_, any_value(expected_spacing) AS step
    FROM (FROM sliceProjection ORDER BY slicePosition NULLS LAST) GROUP BY SeriesInstanceUID
), geometryFlags AS (
    SELECT *, single_orientation AND orthogonal_orientation AND unique_slice_positions
        AND consistent_in_plane_row AND consistent_in_plane_col AND consistent_pixel_spacing
        AND consistent_image_dimensions AND uniform_slice_spacing AS regularly_spaced_3d_volume
    FROM geometryChecks
)
SELECT *, CASE WHEN regularly_spaced_3d_volume THEN first_ END AS origin_patient,
    CASE WHEN regularly_spaced_3d_volume THEN step END AS slice_spacing_mm
FROM geometryFlags
"""


def texts(dataset: pydicom.Dataset, keyword: str) -> list[str] | None:
    """Decimal Strings as they are in the file."""
    value = dataset.get(keyword)
    if not value:
        return None
    return [str(getattr(v, "original_string", v)) for v in value]


def idc(folder: Path) -> dict[str, dict[str, Any]]:
    """IDC's row of each series."""
    rows = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                d = pydicom.dcmread(path, stop_before_pixels=True)
            except pydicom.errors.InvalidDicomError:
                continue
        if "SeriesInstanceUID" not in d or d.SOPClassUID == "1.2.840.10008.1.3.10":
            continue
        kind = d.get("ImageType")
        rows.append(
            {
                "SeriesInstanceUID": str(d.SeriesInstanceUID),
                "SOPInstanceUID": str(d.SOPInstanceUID),
                "SOPClassUID": str(d.SOPClassUID),
                "ipp": texts(d, "ImagePositionPatient"),
                "iop": texts(d, "ImageOrientationPatient"),
                "spacing": texts(d, "PixelSpacing"),
                "rows_": d.get("Rows"),
                "columns_": d.get("Columns"),
                "kind": [str(v) for v in ([kind] if isinstance(kind, str) else kind or [])],
            }
        )
    lists = pa.list_(pa.string())
    schema = pa.schema(
        [*((n, pa.string()) for n in ("SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")),
         *((n, lists) for n in ("ipp", "iop", "spacing")),
         ("rows_", pa.int64()), ("columns_", pa.int64()), ("kind", lists)]
    )  # fmt: skip
    with duckdb.connect() as connection:
        connection.register("instances", pa.Table.from_pylist(rows, schema))
        found = connection.sql(SQL).to_arrow_table().to_pylist()
    return {row["SeriesInstanceUID"]: row for row in found}


def compare(folder: Path) -> int:
    """Assert that wetread's columns are IDC's wherever there is a row; the number of rows."""
    index = wr.scan(folder, workers=0, progress=False)
    ours = {row["SeriesInstanceUID"]: row for row in index.series.table.to_pylist()}
    theirs = idc(folder)
    for uid, row in theirs.items():
        for name in COLUMNS:
            expected, value = row[name], ours[uid][name]
            if isinstance(expected, float):
                expected = None if math.isnan(expected) else pytest.approx(expected, abs=1e-9)
            assert value == expected, (uid, name)
    return len(theirs)


def test_real_series() -> None:
    if not (SHARED / "series").is_dir():
        pytest.skip("no series beside the project")
    assert compare(SHARED / "series") == 12


def test_series_of_pydicom() -> None:
    folder = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests"
    assert compare(folder) > 5


def remove(key: str, *numbers: int) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**r, key: None} if n in numbers or not numbers else r for n, r in enumerate(rows)]

    return change


def put(key: str, value: Any, *numbers: int) -> Callable[..., list[dict[str, Any]]]:
    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, key: value} if n in numbers else row for n, row in enumerate(rows)]

    return change


MADE: dict[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]]]] = {
    "clean": lambda rows: rows,
    "one": lambda rows: rows[:1],
    "two": lambda rows: rows[:2],
    "missing": lambda rows: rows[:4] + rows[5:],
    "twice": lambda rows: [*rows, rows[3]],
    "twice, new UID": lambda rows: [*rows, {**rows[3], "SOPInstanceUID": "2.25.77"}],
    "one UID": lambda rows: [{**row, "SOPInstanceUID": "2.25.77"} for row in rows],
    "spacing": put("PixelSpacing", ["0.7", "0.8"], 2),
    "no spacing on one": remove("PixelSpacing", 2),
    "rows": put("rows", 8, 2),
    "position missing": remove("ImagePositionPatient", 5),
    "positions missing": remove("ImagePositionPatient"),
    "orientation missing": remove("ImageOrientationPatient", 5),
    "one position": put("ImagePositionPatient", ["0", "0", "0"], *range(9)),
    "shifted": put("ImagePositionPatient", ["-15", "-30", "102"], 2),
    "oblong": put("ImageOrientationPatient", ["2", "0", "0", "0", "1", "0"], *range(9)),
    "not orthogonal": put("ImageOrientationPatient", ["1", "0", "0", "1", "0", "0"], 1),
    "other text": put("ImageOrientationPatient", ["0.9999999", "0", "0", "0", "1", "0"], 1),
    "localizer": put("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"], 1),
    "MR": put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4", *range(9)),
    "secondary capture": put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7", *range(9)),
}


@pytest.mark.parametrize("name", MADE)
def test_made_series(name: str, scan_series: Callable[..., wr.Index], ct: Any) -> None:
    index = scan_series(MADE[name](ct(9)))
    assert compare(Path(index.root)) == (name not in ("localizer", "secondary capture"))


def test_a_screenshot_is_no_slice(scan_series: Callable[..., wr.Index], ct: Any) -> None:
    rows = ct(9)
    capture = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "ImagePositionPatient": None}
    index = scan_series([*rows, {**rows[0], **capture, "SOPInstanceUID": "2.25.77"}])
    assert compare(Path(index.root)) == 1
    (series,) = index.series
    assert (series.files, series.row["slices"], len(series.volumes)) == (10, 9, 1)
    assert not len(index.series.problems())

"""Pages, positions and facets of rows agree with pandas, in memory and on disk."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import wetread as wr
from wetread.errors import QueryError, UnknownNameError
from wetread.headers.schema import CORE
from wetread.settings import MIB, Settings
from wetread.table.parts import Generation, Options, commit_generation, locked, write_part
from wetread.table.query import where
from wetread.table.rows import IndexRows, fetch
from wetread.viewer.catalogue import Catalogue, RowQuery
from wetread.viewer.facets import count_values
from wetread.viewer.memo import memoize
from wetread.viewer.orders import sort_stably

ROWS = 200


def make_rows() -> pa.Table:
    """Synthetic rows with ties, missing values, lists and a quote in a path."""
    values: dict[str, list[Any]] = {
        "id": [f"{((n + 1) * 0x9E3779B97F4A7C15) % 2**64:016x}" for n in range(ROWS)],
        "path": [
            f"study-{n // 10:03d}/image {n:04d}{chr(39) if n == 7 else ''}.dcm" for n in range(ROWS)
        ],
        "member": [""] * ROWS,
        "read_status": ["ok" if n % 9 else "not_dicom" for n in range(ROWS)],
        "Modality": [None if n % 9 == 0 else ("CT", "MR", "DX")[n % 3] for n in range(ROWS)],
        "Rows": [None if n % 9 == 0 else 256 + n % 50 for n in range(ROWS)],
        "Columns": [None if n % 9 == 0 else 512 for n in range(ROWS)],
        "pixel_length": [None if n % 9 == 0 else 100 for n in range(ROWS)],
        "KVP": [float("nan") if n == 5 else None if n % 4 == 0 else n / 7 for n in range(ROWS)],
        "SeriesInstanceUID": [f"1.2.{n % 3}" for n in range(ROWS)],
        "InstanceNumber": [ROWS - n for n in range(ROWS)],
        "SeriesDescription": [
            ("Thorax", "thorax lateral", None, "Knie")[n % 4] for n in range(ROWS)
        ],
        "SOPInstanceUID": [f"1.2.840.{n}" for n in range(ROWS)],
        "WindowCenter": [[] if n % 5 == 0 else [40.0, float(n % 2)] for n in range(ROWS)],
        "problems": [
            [{"code": "TRUNCATED", "tag": None, "offset": None, "text": "x"}] * (n % 3)
            for n in range(ROWS)
        ],
        "StudyDate": [None if n % 9 == 0 else 18000 + n for n in range(ROWS)],
    }
    arrays = []
    for field in CORE:
        column = values.get(field.name, [None] * ROWS)
        wide = pa.int32() if pa.types.is_date(field.type) else field.type
        arrays.append(pa.array(column, wide).cast(field.type))
    return pa.table(arrays, schema=CORE)


@pytest.fixture(scope="module", params=["memory", "disk", "where"])
def content(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> IndexRows:
    rows = make_rows()
    if request.param == "memory":
        return IndexRows("/data", CORE, rows=rows)
    folder = tmp_path_factory.mktemp("index")
    options = Options("/data")
    with locked(folder):
        parts = [write_part(folder, rows.slice(at, 70), options) for at in range(0, ROWS, 70)]
        commit_generation(folder, Generation(1, options, CORE, tuple(parts), {}))
    opened = IndexRows.open(folder)
    return where(opened, "true") if request.param == "where" else opened


@pytest.fixture(scope="module")
def catalogue(content: IndexRows) -> Iterator[Catalogue]:
    with closing(Catalogue(content)) as catalogue:
        yield catalogue


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_rows().to_pandas()


def ids(catalogue: Catalogue, row_query: RowQuery) -> list[str]:
    page = catalogue.page(row_query, 0, 500, [])
    assert page["total"] == len(page["rows"])
    return [row["id"] for row in page["rows"]]


def test_pages_are_the_rows_in_order(catalogue: Catalogue, frame: pd.DataFrame) -> None:
    page = catalogue.page(RowQuery(), 65, 10, ["KVP", "StudyDate"])
    assert (page["total"], page["offset"]) == (ROWS, 65)
    assert [row["path"] for row in page["rows"]] == frame["path"][65:75].to_list()
    assert page["rows"][1]["columns"]["KVP"] == pytest.approx(66 / 7)
    assert page["rows"][0]["problems"] == ["TRUNCATED"]
    assert catalogue.page(RowQuery(), ROWS, 10, [])["rows"] == []


def test_tiles_of_many_rows_are_in_the_order_of_the_index() -> None:
    ids = [f"{n:016x}" for n in range(200_000)]
    columns = {
        "id": ids,
        "path": ids,
        "ImagePositionPatient": [[0.0, 0.0, n] for n in range(200_000)],
    }
    arrays = [pa.array(columns.get(f.name, [None] * len(ids)), f.type) for f in CORE]
    index = IndexRows("/data", CORE, rows=pa.table(arrays, schema=CORE))
    with closing(Catalogue(index)) as catalogue:
        rows = catalogue.page(RowQuery(), 150_000, 500, [])["rows"]
    assert [row["id"] for row in rows] == ids[150_000:150_500]


@pytest.mark.parametrize(
    ("where", "query"),
    [
        ("Rows > 280", "Rows > 280"),
        ("Modality = 'CT' -- a comment", "Modality == 'CT'"),
        ("Modality IS NULL", "Modality.isna()"),
        ("index.Rows > 280 OR KVP < 3", "Rows > 280 or KVP < 3"),
        ("Rows = (SELECT max(Rows) FROM index)", "Rows == Rows.max()"),
        ("false", "Rows != Rows and Rows > 0"),
    ],
)
def test_where(catalogue: Catalogue, frame: pd.DataFrame, where: str, query: str) -> None:
    assert ids(catalogue, RowQuery(where)) == frame.query(query)["id"].to_list()


@pytest.mark.parametrize(
    ("search", "count"),
    [("study-003", 10), ("STUDY-003", 10), ("THORAX", 100), ("'", 1), ("%", 0), ("1.2.840.77", 1)],
)
def test_search_is_a_plain_substring(catalogue: Catalogue, search: str, count: int) -> None:
    assert len(ids(catalogue, RowQuery("", search))) == count


def test_search_finds_an_id(catalogue: Catalogue, frame: pd.DataFrame) -> None:
    assert ids(catalogue, RowQuery("", frame["id"][33])) == [frame["id"][33]]


@pytest.mark.parametrize(
    "column", ["Rows", "KVP", "Modality", "StudyDate", "path", "SeriesDescription", "read_status"]
)
@pytest.mark.parametrize("desc", [False, True])
def test_order_is_stable_with_missing_last(
    catalogue: Catalogue, frame: pd.DataFrame, column: str, desc: bool
) -> None:
    ordered = frame.sort_values(column, ascending=not desc, kind="stable", na_position="last")
    assert ids(catalogue, RowQuery(order=column, desc=desc)) == ordered["id"].to_list()


def test_order_of_lists(catalogue: Catalogue, frame: pd.DataFrame) -> None:
    counts = frame["problems"].map(len)
    ordered = frame.loc[counts.sort_values(ascending=False, kind="stable").index]
    assert ids(catalogue, RowQuery(order="problems", desc=True)) == ordered["id"].to_list()
    assert len(ids(catalogue, RowQuery(order="WindowCenter"))) == ROWS


def test_position_and_neighbours(catalogue: Catalogue, frame: pd.DataFrame) -> None:
    row_query = RowQuery("Rows > 280", "", "KVP", True)
    ordered = ids(catalogue, row_query)
    for offset in (0, 17, len(ordered) - 1):
        found = catalogue.position(row_query, ordered[offset])
        assert found["offset"] == offset
        assert found["previous"] == (ordered[offset - 1] if offset else None)
        assert found["next"] == (ordered[offset + 1] if offset + 1 < len(ordered) else None)
    absent = {"offset": None, "total": len(ordered), "previous": None, "next": None}
    assert catalogue.position(row_query, frame["id"][0]) == absent
    assert catalogue.position(row_query, "0" * 16) == absent


def test_row_and_fetch(catalogue: Catalogue, content: IndexRows, frame: pd.DataFrame) -> None:
    row = catalogue.row(frame["id"][150], ["Rows", "no such column"])
    assert row is not None
    assert (row["path"], row["Rows"]) == (frame["path"][150], 256)
    assert catalogue.row("0" * 16) is None
    numbers = [199, 3, 3, 70, 0]
    found = fetch(catalogue.index, numbers, ["path", "Rows"])
    assert found["path"].to_pylist() == frame["path"][numbers].to_list()
    assert fetch(catalogue.index, [], ["path"]).num_rows == 0


def test_series_by_instance_number(catalogue: Catalogue, frame: pd.DataFrame) -> None:
    mine = frame[(frame["SeriesInstanceUID"] == "1.2.1") & frame["pixel_length"].notna()]
    ordered = mine.sort_values("InstanceNumber")["id"].to_list()
    found = catalogue.series(ordered[5])
    assert found == {
        "position": 5,
        "count": len(ordered),
        "previous": ordered[4],
        "next": ordered[6],
    }
    assert catalogue.series(frame["id"][0])["count"] == 1  # a row without pixels


def test_positions_follow_the_order(catalogue: Catalogue, frame: pd.DataFrame) -> None:
    some = [*frame["id"][[20, 5, 100]], "0" * 16]
    assert catalogue.positions(RowQuery(desc=True), some) == [
        (frame["id"][number], ROWS - 1 - number) for number in (100, 20, 5)
    ]


@pytest.mark.parametrize("where", ["", "Rows > 270"])
@pytest.mark.parametrize("column", ["Modality", "Columns", "SeriesDescription", "read_status"])
def test_facets_of_values(
    catalogue: Catalogue, frame: pd.DataFrame, column: str, where: str
) -> None:
    chosen = frame.query(where) if where else frame
    facet = catalogue.facet(column, RowQuery(where))
    counts = chosen[column].value_counts()
    assert facet["kind"] == "values"
    assert dict(facet["values"]) == counts.to_dict()
    assert [count for _, count in facet["values"]] == sorted(counts, reverse=True)
    assert (facet["missing"], facet["other"]) == (chosen[column].isna().sum(), 0)


def test_facets_of_numbers_and_dates(catalogue: Catalogue, frame: pd.DataFrame) -> None:
    found = catalogue.facet("KVP", RowQuery("", "thorax"))
    chosen = frame[frame["SeriesDescription"].str.lower().str.contains("thorax", na=False)]["KVP"]
    assert found["kind"] == "histogram"
    assert len(found["bins"]) == 40
    assert sum(count for *_, count in found["bins"]) == chosen.notna().sum()
    assert found["missing"] == chosen.isna().sum()
    assert (found["bins"][0][0], found["bins"][-1][1]) == (chosen.min(), chosen.max())
    dates = catalogue.facet("StudyDate", RowQuery())
    assert (dates["bins"][0][0], dates["missing"]) == ("2019-04-15", 23)


def test_facets_of_lists_include_conditions(catalogue: Catalogue) -> None:
    for column, value, count in (("problems", "TRUNCATED", 133), ("WindowCenter", 40.0, 160)):
        found = catalogue.facet(column, RowQuery())
        shown = {value: (count, condition) for value, count, condition in found["values"]}
        assert shown[value][0] == count
        assert len(ids(catalogue, RowQuery(shown[value][1]))) == count


def test_facets_show_at_most_50_values() -> None:
    column = pa.chunked_array([[f"value {n % 60:02d}" for n in range(90)]])
    found = count_values(column)
    assert len(found["values"]) == 50
    assert found["values"][0] == ["value 00", 2]
    assert found["other"] + sum(count for _, count in found["values"]) == 90


def test_sort_stably_supports_every_type() -> None:
    for values in ([3, None, 1], ["b", None, "a"], [True, None, False], [2.0, float("nan"), 1.0]):
        column = pa.chunked_array([values])
        assert sort_stably(column).tolist() == [2, 0, 1]
        assert sort_stably(column, desc=True).tolist() == [0, 2, 1]
    binary = pa.chunked_array([pa.array([b"b", None, b"a"])])
    assert sort_stably(binary).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    "where",
    [
        "1) UNION ALL SELECT (2",
        "true; DROP VIEW index",
        "Rows FROM index WHERE (true",
        "true GROUP BY 1",
        "true LIMIT 1",
        "EXISTS (INSERT INTO index VALUES (1))",
        "read_text('/etc/passwd') IS NOT NULL",
        "(SELECT count(*) FROM read_csv('/etc/passwd')) > 0",
        "(SELECT count(*) FROM '/etc/passwd') > 0",
        "(SELECT count(*) FROM glob('/*')) > 0",
        "NoSuchColumn = 1",
        "(",
        "'",
    ],
)
def test_invalid_where_is_rejected(catalogue: Catalogue, where: str) -> None:
    with pytest.raises(QueryError):
        catalogue.page(RowQuery(where), 0, 10, [])


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("Rows > (SELECT sum(range) FROM range(1000000000000))", "stopped after 0.3 s"),
        ("list_sum(range(300000000)) > Rows", "stopped "),  # one value, which DuckDB never leaves
        ("length(repeat('x', 3000000000)) > Rows", "stopped |Out of Memory|Cannot"),
    ],
)
def test_filters_over_a_limit_are_stopped(catalogue: Catalogue, where: str, reason: str) -> None:
    settings = Settings(filter_seconds=0.3, filter_bytes=256 * MIB)
    with closing(Catalogue(catalogue.index, settings)) as limited:
        begun = time.monotonic()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(2):  # errors are not cached
            with pytest.raises(QueryError, match=reason):
                limited.page(RowQuery(where), 0, 10, [])
        assert time.monotonic() - begun < 20
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 1024  # KiB
        every = RowQuery("Rows > 0")
        assert limited.page(every, 0, 10, []) == catalogue.page(every, 0, 10, [])


@pytest.mark.parametrize("name", ["", "x", 'Rows" DESC, "Rows', "Rows; DROP TABLE x", "1"])
def test_unknown_columns_are_rejected(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(UnknownNameError):
        catalogue.facet(name, RowQuery())
    with pytest.raises(UnknownNameError):
        catalogue.page(RowQuery(), 0, 10, [name])
    if name:
        with pytest.raises(UnknownNameError):
            catalogue.page(RowQuery(order=name), 0, 10, [])


def test_memoize_computes_once_for_all_threads() -> None:
    calls: list[int] = []

    def slow(value: int) -> int:
        calls.append(value)
        time.sleep(0.1)
        return -value

    memoized = memoize(slow, 2)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(memoized, [1, 2] * 4)) == [-1, -2] * 4
    assert sorted(calls) == [1, 2]


def test_an_empty_index(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no files"):
        index = wr.scan(tmp_path, progress=False)
    with closing(Catalogue(index)) as catalogue:
        assert catalogue.page(RowQuery("true", "x", "Rows"), 0, 10, ["Rows"])["rows"] == []
        assert catalogue.facet("Rows", RowQuery())["values"] == []
        assert catalogue.position(RowQuery(), "0" * 16)["offset"] is None
        assert catalogue.count_images() == 0

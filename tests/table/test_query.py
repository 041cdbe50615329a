"""Queries: allowed and rejected SQL, and equal results in memory and on disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from wetread.boxes.reading import read_boxes
from wetread.common.stamp import Stamp
from wetread.errors import IndexFormatError, NotFoundError, QueryError, UnknownNameError
from wetread.index import Index, scan
from wetread.settings import Settings
from wetread.testing.dicom import dicom_file, picture


@pytest.fixture(params=["memory", "disk"])
def index(request: pytest.FixtureRequest, small_folder: Path, tmp_path: Path) -> Index:
    to = None if request.param == "memory" else tmp_path / "to"
    settings = Settings(part_files=2, compact_rows=4)
    return scan(small_folder, to, workers=0, progress=False, settings=settings)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.csv"
    path.write_text("a,b\n1,2\n")
    return path


def test_select(index: Index) -> None:
    counts = index.query("SELECT Modality, count(*) AS n FROM index GROUP BY ALL ORDER BY ALL")
    assert counts.values.tolist()[:2] == [["CT", 1], ["MR", 2]]
    assert index.query("FROM index;").shape == (6, len(index.columns))
    assert index.query("SELECT code FROM problems JOIN problem_codes USING (code)").shape[0] >= 2


def test_integers_and_sums_keep_their_digits(index: Index) -> None:
    frame = index.query("SELECT mtime_ns, Rows, sum(Rows) OVER () AS s FROM index")
    assert frame["mtime_ns"].to_list() == index.table["mtime_ns"].to_pylist()
    assert str(frame["Rows"].dtype) == "Int64"
    assert str(frame["s"].dtype) == "int64"


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW index",
        "DROP VIEW index",
        "CREATE TABLE x AS SELECT 1",
        "INSERT INTO index VALUES (1)",
        "WITH a AS (INSERT INTO problem_codes VALUES (1) RETURNING *) SELECT * FROM a",
        "COPY index TO '{secret}'",
        "ATTACH '{secret}'",
        "SET enable_external_access = true",
        "PRAGMA database_list; SELECT 1",
        "EXPLAIN SELECT 1",
        "INSTALL httpfs",
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM secret",
        "SELECT * FROM nothing",
        "SELECT no_such_function(Rows) FROM index",
        "SELECT ?",
        "SELEC",
    ],
)
def test_other_statements_are_rejected(index: Index, secret: Path, sql: str) -> None:
    with pytest.raises(QueryError):
        index.query(sql.format(secret=secret))
    assert secret.read_text() == "a,b\n1,2\n"


def test_a_file_in_sql_is_joined_in_pandas(index: Index, secret: Path) -> None:
    with pytest.raises(QueryError, match=r"reads no files .* index.to_pandas\(\).merge"):
        index.query(f"SELECT * FROM '{secret}'")


@pytest.mark.parametrize("sql", ["SELECT Rowz FROM index", "SELECT i.rowz FROM index AS i"])
def test_unknown_columns_are_suggested(index: Index, sql: str) -> None:
    with pytest.raises(QueryError, match=r"unknown column '[Rr]owz'; did you mean Rows"):
        index.query(sql)
    with pytest.raises(QueryError, match="did you mean Rows"):
        index.where("Rowz > 1")


@pytest.mark.parametrize("expression", ["path", "error(path)", "path::DATE > '2020-01-01'"])
def test_an_error_quotes_no_value(index: Index, expression: str) -> None:
    with pytest.raises(
        QueryError, match=r"^(Conversion|Invalid Input) Error in some row; "
    ) as caught:
        index.where(expression).table  # noqa: B018
    assert "dcm" not in str(caught.value)


def test_where(index: Index) -> None:
    images = index.where("Rows > 100 OR Rows = 64 -- all of them")
    some = images.where("Modality = 'MR'")
    assert some.table["path"].to_pylist() == ["MR_small.dcm", "MR_truncated.dcm"]
    assert some.table.schema == index.table.schema
    assert [image.path for image in some] == ["MR_small.dcm", "MR_truncated.dcm"]
    assert some[-1].path == "MR_truncated.dcm"
    assert some[1:].table == some.table.slice(1)
    assert len(some) == some.summary()["files"] == 2
    assert "read" not in some.summary()
    assert set(some.problems()["path"]) == {"MR_small.dcm", "MR_truncated.dcm"}
    assert len(index.where("Rows > (SELECT min(Rows) FROM index)")) == len(images) - 2
    assert len(index.where("false")) == len(index.where("false").table) == 0


@pytest.mark.parametrize(
    "expression",
    [
        "1) UNION ALL SELECT (1",
        "1) UNION ALL SELECT * FROM index --",
        "true) UNION ALL (SELECT * FROM index WHERE true",
        "true) OR (true) GROUP BY (1",
        "true) LIMIT (1",
        "true), (true",
        "true; SELECT 1",
        "true) FROM index WHERE (true",
        "(WITH a AS (INSERT INTO problem_codes VALUES (1) RETURNING *) SELECT true)",
        "count(*) > 1",
        "Rows = 'abc'",
        "",
        "/*",
    ],
)
def test_where_is_one_expression(index: Index, expression: str) -> None:
    with pytest.raises(QueryError):
        index.where(expression).table  # noqa: B018


def test_problems(index: Index) -> None:
    found = index.problems()
    columns = ["path", "member", "id", "code", "severity", "tag", "offset", "text"]
    assert list(found.columns) == columns
    assert found["severity"].isin(["info", "warning", "error"]).all()
    truncated = index.problems(code="TRUNCATED")
    assert truncated["path"].to_list() == ["MR_truncated.dcm"]
    with pytest.raises(UnknownNameError, match="did you mean TRUNCATED"):
        index.problems(code="TRUNCATE")


def test_errors_of_open(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such index"):
        Index.open(tmp_path / "none")
    with pytest.raises(IndexFormatError, match="is not an index"):
        Index.open(tmp_path)
    (tmp_path / "wetread-index.json").write_text("[]")
    with pytest.raises(IndexFormatError, match="damaged"):
        Index.open(tmp_path)


def test_an_index_that_was_scanned_again(small_folder: Path, tmp_path: Path) -> None:
    old = scan(small_folder, tmp_path / "to", progress=False)
    shutil.copy(small_folder / "CT_small.dcm", small_folder / "b.dcm")
    new = scan(small_folder, tmp_path / "to", progress=False)
    with pytest.raises(NotFoundError, match="open it again"):
        old.table  # noqa: B018
    assert len(new.table) == 7


def test_an_index_is_opened_while_a_scan_of_it_finishes(
    small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to, read, waiting = tmp_path / "to", Stamp.read, [1]
    scan(small_folder, to, progress=False)
    (small_folder / "new.dcm").write_bytes(dicom_file(picture()))

    def read_late(self: Stamp, path: Path) -> dict[str, Any]:
        if "generation" in path.name and waiting:
            waiting.clear()
            scan(small_folder, to, progress=False)
        return read(self, path)

    monkeypatch.setattr(Stamp, "read", read_late)
    assert len(Index.open(to)) == 7


def test_commits_of_an_unfinished_scan_are_not_opened(small_folder: Path, tmp_path: Path) -> None:
    scan(small_folder, tmp_path / "to", progress=False)
    (tmp_path / "to" / "commits" / "0.json").symlink_to("swept")
    assert len(Index.open(tmp_path / "to")) == 6


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(
        "image_id,class_name,rad_id,x_min,y_min,x_max,y_max\nCT_small,Mass,R1,1,1,9,9\n"
        "CT_small,Mass,R2,2,2,9,9\nMR_small,No finding,R1,,,,\nelsewhere,Mass,R1,1,1,2,2\n"
    )
    return path


def test_boxes_are_a_table(index: Index, labels: Path) -> None:
    sql = (
        "SELECT path, label, count(*) AS n FROM boxes JOIN index USING (id) GROUP BY ALL ORDER BY 1"
    )
    expected = [["CT_small.dcm", "Mass", 2], ["MR_small.dcm", None, 1]]
    for boxes in (labels, read_boxes(labels), read_boxes(labels, index)):
        rows = index.query(sql, boxes).astype(object)
        assert rows.where(rows.notna(), None).values.tolist() == expected
    assert index.query("SELECT count(*) AS n FROM boxes WHERE id IS NULL", labels)["n"][0] == 1
    with pytest.raises(QueryError, match=r"unknown table 'boxes'; .*and boxes with boxes=FILE"):
        index.query(sql)
    with pytest.raises(QueryError, match="only SELECT"):
        index.query("DROP VIEW boxes", labels)


def test_where_with_boxes(index: Index, labels: Path) -> None:
    """The selection outlives the table of boxes."""
    chosen = index.where("id IN (SELECT id FROM boxes WHERE label = 'Mass')", labels)
    assert chosen["path"].tolist() == ["CT_small.dcm"]
    assert chosen.where("Modality = 'CT'")["path"].tolist() == ["CT_small.dcm"]
    assert len(index.where("id IN (SELECT id FROM boxes WHERE label = 'Other')", labels)) == 0
    with pytest.raises(QueryError, match="unknown table 'boxes'"):
        index.where("id IN (SELECT id FROM boxes)")

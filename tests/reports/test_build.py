"""Content of the report, compared with pandas and with plain loops."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom.data
import pytest

import wetread as wr
from wetread.errors import StorageError, UnknownNameError, UsageError
from wetread.reports.build import Report, build
from wetread.series.query import query


@pytest.fixture(scope="module")
def report(reported: Path) -> Report:
    index = wr.Index.open(reported / "train.index")
    return build(index, reported / "train.csv", reported / "found.parquet", workers=1)


@pytest.fixture(scope="module")
def sections(report: Report) -> dict[str, Any]:
    sections: dict[str, Any] = report.data["sections"]
    return sections


@pytest.fixture(scope="module")
def frame(reported: Path) -> pd.DataFrame:
    return wr.Index.open(reported / "train.index").to_pandas("keep")


@pytest.fixture(scope="module")
def boxes(reported: Path) -> wr.Boxes:
    return wr.read_boxes(reported / "train.csv", images=wr.Index.open(reported / "train.index"))


@pytest.fixture(scope="module")
def real(real_files: list[Path]) -> tuple[wr.Index, dict[str, Any], str]:
    index = wr.scan(os.path.commonpath(real_files[:90]), progress=False, private=True)
    report = build(index, workers=1)
    return index, report.data["sections"], report.html


def counted(values: pd.Series[Any]) -> dict[Any, int]:
    return {
        None if key != key else key: int(n) for key, n in values.value_counts(dropna=False).items()
    }


def test_totals_and_statuses(sections: dict[str, Any], frame: pd.DataFrame) -> None:
    totals = sections["problems"]["totals"]
    assert totals["files"] == totals["images"] == len(frame) == 30
    assert totals["bytes"] == frame["file_size"].sum()
    assert dict(sections["files"]["read_status"]["values"]) == counted(frame["read_status"])
    assert sections["formats"]["counts"]["monochrome1"] == 15
    assert sum(row["n"] for row in sections["formats"]["matrix"]) == 30


def test_real_files_as_pandas(
    real: tuple[wr.Index, dict[str, Any], str],
) -> None:
    index, sections, _ = real
    frame = index.to_pandas("keep")
    images = frame[frame["pixel_length"].notna()]
    problems = index.problems()
    expected = problems.groupby("code").agg(n=("id", "size"), files=("id", "nunique"))
    listed = sections["problems"]["problems"]
    assert {r["code"]: (r["n"], r["files"]) for r in listed} == {
        code: (row["n"], row["files"]) for code, row in expected.iterrows()
    }
    worst = ["error", "warning", "info"]
    assert [r["severity"] for r in listed] == sorted(
        (r["severity"] for r in listed), key=worst.index
    )
    totals = sections["problems"]["totals"]
    for name, column in (("patients", "PatientID"), ("studies", "StudyInstanceUID")):
        assert totals[name] == frame[column].replace("", None).nunique()
    series = sections["series"]["totals"]
    assert totals["series"] == series["series"] == len(index.series)
    with_images = series["series"] - series["without_images"]
    assert sections["hierarchy"]["levels"]["series"]["units"] == with_images
    source = sections["geometry"]["spacing_source"]["values"]
    has, imager = (images[c].notna() for c in ("PixelSpacing", "ImagerPixelSpacing"))
    assert dict(source)["no spacing"] == int((~has & ~imager).sum())
    windows = dict(sections["windows"]["windows"]["values"])
    lengths = images["WindowCenter"].map(lambda v: 0 if v is None else len(v))
    assert windows["no window"] == int((lengths == 0).sum())
    assert windows["several windows"] == int((lengths > 1).sum())
    sizes = images.groupby(["Columns", "Rows"]).size()
    assert {(w, h): n for w, h, n in sections["geometry"]["sizes"]} == {
        (int(w), int(h)): n for (w, h), n in sizes.items() if w and h
    }
    assert sections["hierarchy"]["odd"]["images without Patient ID"] == int(
        (images["PatientID"].fillna("").str.strip() == "").sum()
    )


def test_coverage_as_pandas(real: tuple[wr.Index, dict[str, Any], str]) -> None:
    index, sections, _ = real
    frame = index.to_pandas("keep")
    columns = {row["column"]: row for row in sections["tags"]["columns"]}
    assert len(columns) > 100
    for name, row in columns.items():
        values = frame[name].dropna()
        texts = values.map(lambda v: tuple(v) if isinstance(v, np.ndarray | list) else v)
        assert row["present"] == len(values), name
        assert row["distinct"] == texts.nunique(), name
        assert [n for _, n in row["top"]] == sorted((n for _, n in row["top"]), reverse=True)
        if not row["masked"]:
            assert [n for _, n in row["top"]] == texts.value_counts().head(5).tolist(), name
    absent = [n for n in frame if n not in columns and index.schema.field(n).metadata]
    assert (
        not frame[[n for n in absent if "_parsed" not in n and n != "patient_age_years"]]
        .drop(columns=["file_size", "mtime_ns", "pixel_offset", "pixel_length"])
        .notna()
        .any(axis=None)
    )


def test_private_elements_by_creator(real: tuple[wr.Index, dict[str, Any], str]) -> None:
    index, sections, _ = real
    rows = [
        e for cell in index.to_pandas("keep")["private"] for e in (() if cell is None else cell)
    ]
    assert sum(n for *_, n in sections["tags"]["private"]) == len(rows)


def test_inverted_and_similar_images(tmp_path: Path) -> None:
    from wetread.sample.phantom import draw_phantom
    from wetread.testing.dicom import changed, dicom_file, element, picture

    def write(name: str, number: int, density: np.ndarray) -> None:
        stored = np.rint(4095 * density).astype("<u2")
        film = picture(number, *stored.shape)
        pixels = element("PixelData", stored.tobytes(), vr="OW")
        (tmp_path / name).write_bytes(dicom_file(changed(film, element("Modality", "CR"), pixels)))

    films = [draw_phantom(1, number, 128).density for number in range(4)]
    for number, film in enumerate(films):
        write(f"{number}.dcm", number, film)
    write("5 copy of 0.dcm", 5, films[0] * 0.9)
    write("6 inverted.dcm", 6, 1 - films[1])
    index = wr.scan(tmp_path, progress=False).measure(progress=False)
    sections = build(index, workers=1).data["sections"]["pixels"]
    assert sections["equal"] == []
    assert sections["alike"] == [[index[0].id, 2]]
    assert sections["odd"]["inverted"] == 1


def test_pixel_statistics(sections: dict[str, Any], frame: pd.DataFrame) -> None:
    assert sections["pixels"]["measured"]
    odd = sections["pixels"]["odd"]
    assert odd["bright"] == int((frame["px_saturated_high"] > 0.1).sum())
    assert odd["constant"] == 0
    (row,) = sections["pixels"]["medians"]
    assert row["px_p50"] == pytest.approx(frame["px_p50"].median())


def test_parts_leaks_and_shift(sections: dict[str, Any], frame: pd.DataFrame) -> None:
    parts = {row["part"]: row["images"] for row in sections["split"]["parts"]}
    assert parts == counted(frame["part"])
    assert sections["split"]["leaks"] == {}
    shift = sections["split"]["shift"]
    shares = [
        frame[frame["part"] == part]["PatientSex"].fillna("").value_counts(normalize=True)
        for part in ("train", "valid")
    ]
    distance = shares[0].sub(shares[1], fill_value=0).abs().sum() / 2
    assert shift["categories"]["PatientSex"] == pytest.approx(distance)
    a, b = (frame[frame["part"] == part]["patient_age_years"] for part in ("train", "valid"))
    difference = abs(a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2)
    assert shift["numbers"]["age"]["difference"] == pytest.approx(difference)
    assert {"Modality", "Manufacturer"} <= set(shift["unknown"])


def test_leaks(small_folder: Path) -> None:
    for name in ("CT_small.dcm", "MR_small.dcm"):
        (small_folder / f"again_{name}").write_bytes((small_folder / name).read_bytes())
    index = wr.scan(small_folder, progress=False)
    table = index.table
    side = ["a" if path.startswith("again") else "b" for path in table["path"].to_pylist()]
    index = _with(index, "side", side)
    sections = build(index, split="side", workers=1)
    expected = index.leaks("side")["code"].value_counts()
    assert sections.data["sections"]["split"]["leaks"] == expected.to_dict() != {}
    assert "images of one patient (or study) in several parts" in sections.html


def _with(index: wr.Index, name: str, values: list[Any]) -> Any:
    from dataclasses import replace

    import pyarrow as pa

    rows = index.table.append_column(name, pa.array(values))
    return replace(index, rows=rows, schema=rows.schema, folder=None)


def test_labels_are_counted(sections: dict[str, Any], boxes: wr.Boxes, reported: Path) -> None:
    drawn = boxes.to_pandas()
    drawn = drawn[drawn["kind"] == "box"]
    grouped = drawn.groupby("label")
    assert {label: (i, n) for label, i, n in sections["labels"]["labels"]} == {
        label: (of["image"].nunique(), len(of)) for label, of in grouped
    }
    for part, of in drawn.groupby("part"):
        assert {label: n for label, n, _ in sections["labels"]["parts"][part] if n} == (
            of.groupby("label")["image"].nunique().to_dict()
        )
    assert np.sum(sections["labels"]["places"]) == len(drawn)
    checked = boxes.check(wr.Index.open(reported / "train.index"))
    assert sections["labels"]["problems"] == checked["code"].value_counts().to_dict()


def test_positions_of_boxes(sections: dict[str, Any], boxes: wr.Boxes,
                                            frame: pd.DataFrame) -> None:  # fmt: skip
    sizes = frame.set_index("id")[["Rows", "Columns"]]
    drawn = boxes.to_pandas()
    drawn = drawn[drawn["kind"] == "box"].join(sizes, on="image")
    x = np.clip(((drawn["x0"] + drawn["x1"]) / 2 / drawn["Columns"] * 24).astype(int), 0, 23)
    y = np.clip(((drawn["y0"] + drawn["y1"]) / 2 / drawn["Rows"] * 24).astype(int), 0, 23)
    expected = np.zeros((24, 24), int)
    np.add.at(expected, (y, x), 1)
    assert np.array_equal(sections["labels"]["places"], expected)


def test_agreement_of_readers(sections: dict[str, Any], boxes: wr.Boxes) -> None:
    agreement = boxes.agreement(0.4)
    for row in sections["readers"]["by_label"]:
        of = agreement[agreement["label"] == row["label"]]
        share = 2 * of["matched"].sum() / (of["boxes_a"] + of["boxes_b"]).sum()
        assert row["matched_share"] == pytest.approx(share)
        known = of.dropna(subset=["kappa"])
        if len(known):
            kappa = np.average(known["kappa"], weights=known["images"])
            assert row["kappa"] == pytest.approx(kappa)
    each = boxes.to_pandas().groupby("reader")["image"].nunique()
    assert {
        row["reader"]: row["images"] for row in sections["readers"]["readers"]
    } == each.to_dict()


def overlap(a: Any, b: Any) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return wide * high / (both - wide * high)


def test_confused_labels_by_loop(sections: dict[str, Any], boxes: wr.Boxes) -> None:
    rows = [row for row in boxes.table.to_pylist() if row["kind"] == "box"]
    found: dict[tuple[str, str], int] = {}
    for place, a in enumerate(rows):
        for b in rows[:place]:
            same = a["image"] == b["image"] and a["reader"] != b["reader"]
            corners = [[row[c] for c in ("x0", "y0", "x1", "y1")] for row in (a, b)]
            if same and a["label"] != b["label"] and overlap(*corners) > 0.4:
                pair = tuple(sorted((a["label"], b["label"])))
                found[pair] = found.get(pair, 0) + 1
    assert {(a, b): n for a, b, n in sections["readers"]["confused"]} == found


def test_scores_of_predictions_as_evaluate(
    sections: dict[str, Any], boxes: wr.Boxes, reported: Path
) -> None:
    index = wr.Index.open(reported / "train.index")
    found = wr.Boxes.open(reported / "found.parquet").join(index)
    truth = boxes.consensus()
    result = wr.evaluate(found, truth, "voc2010@0.4", resamples=0)
    assert sections["predictions"]["ap"]["value"] == result.map
    froc = wr.evaluate(found, truth, "froc@0.4", resamples=0)
    assert sections["predictions"]["froc"]["value"] == froc.value
    low, high = sections["predictions"]["ap"]["interval"]
    assert low <= result.map <= high
    for name, curve in sections["predictions"]["curves"].items():
        assert curve["recall"] == sorted(curve["recall"]), name


def test_misses_and_calibration_by_loop(
    sections: dict[str, Any], boxes: wr.Boxes, reported: Path
) -> None:
    index = wr.Index.open(reported / "train.index")
    found = wr.Boxes.open(reported / "found.parquet").join(index).table.to_pylist()
    truth = [
        row for row in boxes.consensus().table.to_pylist()
        if row["kind"] == "box" and row["part"] == "valid"
    ]  # fmt: skip
    names = ("x0", "y0", "x1", "y1")
    taken: set[int] = set()
    hits: list[tuple[float, bool]] = []
    near: set[int] = set()
    for row in sorted(found, key=lambda row: -row["score"]):
        mine = [
            (overlap([row[c] for c in names], [t[c] for c in names]), -place)
            for place, t in enumerate(truth)
            if t["image"] == row["image"] and t["label"] == row["label"]
        ]
        near |= {-place for iou, place in mine if iou > 0.4}
        best, place = max(mine, default=(0.0, 1))
        hit = best > 0.4 and -place not in taken
        if hit:
            taken.add(-place)
        hits.append((row["score"], hit))
    misses = sections["predictions"]["misses"]
    assert misses["false_positives"] == sum(not hit for _, hit in hits)
    assert misses["false_negatives"] == len(truth) - len(near)
    bins = sections["groups"]["calibration"]["bins"]
    assert sum(n for *_, n in bins) == len(found)
    for score, share, n in bins:
        inside = [(s, h) for s, h in hits if np.ceil(s * 10) == np.ceil(score * 10)]
        assert n == len(inside)
        assert share == pytest.approx(np.mean([h for _, h in inside]))


def commands(page: str) -> list[str]:
    return sorted(
        {html.unescape(c) for c in re.findall(r"<pre[^>]*><code>(.*?)</code>", page, re.S)}
    )


def test_every_displayed_query_runs(
    report: Report, reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reported)
    index = wr.Index.open("train.index")
    queries = [shlex.split(c) for c in commands(report.html) if c.startswith("wetread query")]
    assert len(queries) > 40
    for _, verb, name, sql, *options in queries:
        assert (verb, name) == ("query", "train.index")
        index.query(sql, boxes=options[1] if options[:1] == ["--boxes"] else None)
    assert sum("--boxes" in one for one in queries) >= 4
    lines = [c for c in commands(report.html) if c.startswith(("import", "index."))]
    assert len(lines) > 3
    for code in lines:
        exec(code, {"index": index})


def test_queries_of_an_index_in_memory_are_python(
    real: tuple[wr.Index, dict[str, Any], str],
) -> None:
    index, _, page = real
    lines = [c for c in commands(page) if c.startswith("index.query")]
    assert len(lines) > 30
    for code in lines:
        eval(code, {"index": index})


def test_first_query_gives_the_first_figures(report: Report, reported: Path) -> None:
    index = wr.Index.open(reported / "train.index")
    first = re.search(r'id="problems".*?<pre[^>]*><code>(.*?)</code>', report.html, re.S)
    assert first
    (row,) = query(index, shlex.split(html.unescape(first[1]))[3]).to_pylist()
    assert row == report.data["sections"]["problems"]["totals"]


def test_write_the_file(reported: Path, tmp_path: Path) -> None:
    index = wr.Index.open(reported / "train.index")
    path = wr.report(index, to=tmp_path / "r.html", workers=1, progress=False)
    page = path.read_text()
    assert page.startswith("<!DOCTYPE html>")
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page)
    assert found
    data = json.loads(found[1])
    assert data["schema"] == "wetread.report/2"
    assert data["provenance"]["rows"] == 30
    assert "No label file was given." in page
    command = "wetread report train.index --boxes train.csv -o report.html"
    shown = f'<summary>Command</summary><pre tabindex="0"><code>{command}</code></pre>'
    assert f'<details class="how" open="">{shown}' in page
    assert "No predictions were given." in page
    with pytest.raises(StorageError, match="cannot be written"):
        wr.report(index, to=tmp_path / "no" / "r.html", workers=1, progress=False)


def test_fingerprint_depends_on_the_rows(reported: Path) -> None:
    index = wr.Index.open(reported / "train.index")
    prints = [
        build(part, workers=1).data["provenance"]["fingerprint"]
        for part in (index[:2], index[1::-1], index[:1])
    ]
    assert prints[0] == prints[1] != prints[2]


def test_index_without_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no DICOM")
    for index in (wr.scan(tmp_path, progress=False), wr.scan(tmp_path, progress=False)[:0]):
        report = build(index)
        assert report.data["sections"]["problems"]["totals"]["images"] == 0
        assert len(re.findall("<section", report.html)) == 19


def test_predictions_that_cannot_be_scored(reported: Path, boxes: wr.Boxes) -> None:
    index = wr.Index.open(reported / "train.index")
    everywhere = boxes.consensus()
    other = everywhere.replace({"label": ["another"] * len(everywhere)})
    report = build(index, boxes, other, workers=1)
    assert "no label in common" in report.data["sections"]["predictions"]["error"]
    assert "could not be scored" in report.html
    alone = build(index, None, everywhere, workers=1)
    assert "without a label file, so they cannot be scored" in alone.html


def test_training_images_are_excluded_and_counted(reported: Path, boxes: wr.Boxes) -> None:
    index = wr.Index.open(reported / "train.index")
    everywhere = boxes.consensus()
    train = np.array(everywhere.table["part"].to_pylist()) == "train"
    held = everywhere.select(~train)
    expected = wr.evaluate(held, everywhere, "voc2010@0.4", resamples=0)
    count = len(set(everywhere.select(train).images.to_pylist()))
    report = build(index, boxes, everywhere, workers=1)
    sections = report.data["sections"]["predictions"]
    assert (sections["left_out"], sections["ap"]["value"]) == (count, expected.value)
    assert sections["ap"]["images"] == expected.images
    assert f"{count} images of the part train are excluded" in report.html
    alone = build(index, boxes, everywhere.select(train), workers=1)
    assert alone.data["sections"]["predictions"] == {"left_out": count}


def test_labels_without_boxes(reported: Path, boxes: wr.Boxes) -> None:
    index = wr.Index.open(reported / "train.index")[:3]
    none = boxes.select(np.zeros(len(boxes), bool))
    kinds = np.array(boxes.table["kind"].to_pylist())
    for few in (none, boxes.select(kinds == "nothing")):
        sections = build(index, few, few, workers=1).data["sections"]
        assert sections["labels"]["totals"]["boxes"] == 0
        assert sections["labels"]["labels"] == []
    incomplete = boxes.replace({"kind": ["box"] * len(boxes)})
    sections = build(index, incomplete, workers=1).data["sections"]
    assert sections["labels"]["problems"]["BOX_EMPTY"] == (kinds == "nothing").sum()
    boxes = boxes.select(kinds == "box")
    points = boxes.replace({"kind": ["point"] * len(boxes)})
    sections = build(index, points, points.consensus(), workers=1).data["sections"]
    assert sections["labels"]["totals"]["boxes"] == len(boxes)
    assert "error" in sections["predictions"]


def test_wrong_usage(reported: Path, boxes: wr.Boxes) -> None:
    index = wr.Index.open(reported / "train.index")
    with pytest.raises(UnknownNameError, match="did you mean part"):
        build(index, split="prt")
    others = wr.Boxes.from_columns({"key": ["x"], "label": ["y"]})
    with pytest.raises(UsageError, match="no image of the index matches a key"):
        build(index, others)
    many = build(index, boxes, split="path", workers=1)
    assert "more than 12 values: not a split" in many.html


def test_boxes_read_before_the_split_get_parts(reported: Path) -> None:
    index = wr.Index.open(reported / "train.index")
    unjoined = wr.read_boxes(reported / "train.csv")
    report = build(index, unjoined, workers=1)
    assert set(report.data["sections"]["labels"]["parts"]) == {"train", "valid"}


def test_series(tmp_path: Path) -> None:
    folder = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests"
    index = wr.scan(folder, workers=0, progress=False)
    report = build(index, workers=1)
    section = report.data["sections"]["series"]
    assert section["totals"]["series"] == len(index.series)
    assert section["totals"]["volumes"] == index.series["volumes"].sum()
    codes = {row["code"]: row["n"] for row in section["problems"]}
    assert codes == counted(index.series.problems()["code"])
    assert "A slice with another orientation." in report.html


def test_progress_covers_the_sections(
    reported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They take longer than the thumbnails if a series is large."""
    monkeypatch.setattr("wetread.common.progress._LINE_SECONDS", 0)
    build(wr.Index.open(reported / "train.index"), workers=1, progress=True)
    assert "sections" in capsys.readouterr().err

"""What a report says, held to what pandas, scikit-learn's kin and the eye of a loop say."""

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
import pytest

import wetread as wr
from wetread.errors import StorageError, UnknownNameError, UsageError
from wetread.reports.build import Report, build
from wetread.reports.sections import SECTIONS
from wetread.table.query import query

KEYS = [
    "problems",
    "files",
    "hierarchy",
    "origin",
    "formats",
    "geometry",
    "windows",
    "tags",
    "privacy",
    "pixels",
    "split",
    "labels",
    "readers",
    "predictions",
]


@pytest.fixture(scope="module")
def made(reported: Path) -> Report:
    index = wr.Index.open(reported / "train.index")
    return build(index, reported / "train.csv", reported / "found.parquet", workers=1)


@pytest.fixture(scope="module")
def said(made: Report) -> dict[str, Any]:
    sections: dict[str, Any] = made.data["sections"]
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
    made = build(index, workers=1)
    return index, made.data["sections"], made.html


def counted(values: pd.Series[Any]) -> dict[Any, int]:
    return {
        None if key != key else key: int(n) for key, n in values.value_counts(dropna=False).items()
    }


def test_the_sections_are_the_fifteen_in_order(made: Report) -> None:
    assert list(made.data["sections"]) == KEYS
    assert len(SECTIONS) == len(KEYS) == 14
    found = re.findall(r'<section id="(\w+)"', made.html)
    assert found == [*KEYS, "appendix"]


def test_totals_and_statuses(said: dict[str, Any], frame: pd.DataFrame) -> None:
    totals = said["problems"]["totals"]
    assert totals["files"] == totals["images"] == len(frame) == 30
    assert totals["bytes"] == frame["file_size"].sum()
    assert dict(said["files"]["read_status"]["values"]) == counted(frame["read_status"])
    assert said["formats"]["counts"]["monochrome1"] == 15
    assert sum(row["n"] for row in said["formats"]["matrix"]) == 30


def test_of_real_files_it_says_what_pandas_says(
    real: tuple[wr.Index, dict[str, Any], str],
) -> None:
    index, said, _ = real
    frame = index.to_pandas("keep")
    images = frame[frame["pixel_length"].notna()]
    problems = index.problems()
    expected = problems.groupby("code").agg(n=("id", "size"), files=("id", "nunique"))
    listed = said["problems"]["problems"]
    assert {r["code"]: (r["n"], r["files"]) for r in listed} == {
        code: (row["n"], row["files"]) for code, row in expected.iterrows()
    }
    worst = ["error", "warning", "info"]
    assert [r["severity"] for r in listed] == sorted(
        (r["severity"] for r in listed), key=worst.index
    )
    totals = said["problems"]["totals"]
    for name, column in (
        ("patients", "PatientID"), ("studies", "StudyInstanceUID"), ("series", "SeriesInstanceUID")
    ):  # fmt: skip
        assert totals[name] == frame[column].replace("", None).nunique()
    source = said["geometry"]["spacing_source"]["values"]
    has, imager = (images[c].notna() for c in ("PixelSpacing", "ImagerPixelSpacing"))
    assert dict(source)["no spacing"] == int((~has & ~imager).sum())
    windows = dict(said["windows"]["windows"]["values"])
    lengths = images["WindowCenter"].map(lambda v: 0 if v is None else len(v))
    assert windows["no window"] == int((lengths == 0).sum())
    assert windows["several windows"] == int((lengths > 1).sum())
    sizes = images.groupby(["Columns", "Rows"]).size()
    assert {(w, h): n for w, h, n in said["geometry"]["sizes"]} == {
        (int(w), int(h)): n for (w, h), n in sizes.items() if w and h
    }
    assert said["hierarchy"]["odd"]["images without Patient ID"] == int(
        (images["PatientID"].fillna("").str.strip() == "").sum()
    )


def test_coverage_is_that_of_the_table(real: tuple[wr.Index, dict[str, Any], str]) -> None:
    index, said, _ = real
    frame = index.to_pandas("keep")
    columns = {row["column"]: row for row in said["tags"]["columns"]}
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
    index, said, _ = real
    rows = [
        e for cell in index.to_pandas("keep")["private"] for e in (() if cell is None else cell)
    ]
    assert sum(n for *_, n in said["tags"]["private"]) == len(rows)


def test_pictures_that_are_inverted_or_look_alike(tmp_path: Path) -> None:
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
    said = build(index, workers=1).data["sections"]["pixels"]
    assert said["equal"] == []
    assert said["alike"] == [[index[0].id, 2]]
    assert said["odd"]["inverted"] == 1


def test_what_the_pixels_are_like(said: dict[str, Any], frame: pd.DataFrame) -> None:
    assert said["pixels"]["measured"]
    odd = said["pixels"]["odd"]
    assert odd["bright"] == int((frame["px_saturated_high"] > 0.1).sum())
    assert odd["constant"] == 0
    (row,) = said["pixels"]["medians"]
    assert row["px_p50"] == pytest.approx(frame["px_p50"].median())


def test_parts_leaks_and_shift(said: dict[str, Any], frame: pd.DataFrame) -> None:
    parts = {row["part"]: row["images"] for row in said["split"]["parts"]}
    assert parts == counted(frame["part"])
    assert said["split"]["leaks"] == {}
    shift = said["split"]["shift"]
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


def test_a_leak_is_said(small_folder: Path) -> None:
    for name in ("CT_small.dcm", "MR_small.dcm"):
        (small_folder / f"again_{name}").write_bytes((small_folder / name).read_bytes())
    index = wr.scan(small_folder, progress=False)
    table = index.table
    side = ["a" if path.startswith("again") else "b" for path in table["path"].to_pylist()]
    content = _with(index, "side", side)
    said = build(content, split="side", workers=1)
    expected = content.leaks("side")["code"].value_counts()
    assert said.data["sections"]["split"]["leaks"] == expected.to_dict() != {}
    assert "images of one patient (or study) in several parts" in said.html


def _with(index: wr.Index, name: str, values: list[Any]) -> Any:
    from dataclasses import replace

    import pyarrow as pa

    rows = index.table.append_column(name, pa.array(values))
    return replace(index, rows=rows, schema=rows.schema, folder=None)


def test_labels_are_counted(said: dict[str, Any], boxes: wr.Boxes, reported: Path) -> None:
    drawn = boxes.to_pandas()
    drawn = drawn[drawn["kind"] == "box"]
    grouped = drawn.groupby("label")
    assert {label: (i, n) for label, i, n in said["labels"]["labels"]} == {
        label: (of["image"].nunique(), len(of)) for label, of in grouped
    }
    for part, of in drawn.groupby("part"):
        assert {label: n for label, n, _ in said["labels"]["parts"][part] if n} == (
            of.groupby("label")["image"].nunique().to_dict()
        )
    assert np.sum(said["labels"]["places"]) == len(drawn)
    checked = boxes.check(wr.Index.open(reported / "train.index"))
    assert said["labels"]["problems"] == checked["code"].value_counts().to_dict()


def test_places_of_boxes_are_where_they_are(said: dict[str, Any], boxes: wr.Boxes,
                                            frame: pd.DataFrame) -> None:  # fmt: skip
    sizes = frame.set_index("id")[["Rows", "Columns"]]
    drawn = boxes.to_pandas()
    drawn = drawn[drawn["kind"] == "box"].join(sizes, on="image")
    x = np.clip(((drawn["x0"] + drawn["x1"]) / 2 / drawn["Columns"] * 24).astype(int), 0, 23)
    y = np.clip(((drawn["y0"] + drawn["y1"]) / 2 / drawn["Rows"] * 24).astype(int), 0, 23)
    expected = np.zeros((24, 24), int)
    np.add.at(expected, (y, x), 1)
    assert np.array_equal(said["labels"]["places"], expected)


def test_readers_agree_as_agreement_says(said: dict[str, Any], boxes: wr.Boxes) -> None:
    agreement = boxes.agreement(0.4)
    for row in said["readers"]["by_label"]:
        of = agreement[agreement["label"] == row["label"]]
        share = 2 * of["matched"].sum() / (of["boxes_a"] + of["boxes_b"]).sum()
        assert row["matched_share"] == pytest.approx(share)
        known = of.dropna(subset=["kappa"])
        if len(known):
            kappa = np.average(known["kappa"], weights=known["images"])
            assert row["kappa"] == pytest.approx(kappa)
    each = boxes.to_pandas().groupby("reader")["image"].nunique()
    assert {row["reader"]: row["images"] for row in said["readers"]["readers"]} == each.to_dict()


def overlap(a: Any, b: Any) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return wide * high / (both - wide * high)


def test_labels_taken_for_each_other_by_hand(said: dict[str, Any], boxes: wr.Boxes) -> None:
    rows = [row for row in boxes.table.to_pylist() if row["kind"] == "box"]
    found: dict[tuple[str, str], int] = {}
    for place, a in enumerate(rows):
        for b in rows[:place]:
            same = a["image"] == b["image"] and a["reader"] != b["reader"]
            corners = [[row[c] for c in ("x0", "y0", "x1", "y1")] for row in (a, b)]
            if same and a["label"] != b["label"] and overlap(*corners) > 0.4:
                pair = tuple(sorted((a["label"], b["label"])))
                found[pair] = found.get(pair, 0) + 1
    assert {(a, b): n for a, b, n in said["readers"]["confused"]} == found


def test_predictions_are_judged_as_evaluate_does(
    said: dict[str, Any], boxes: wr.Boxes, reported: Path
) -> None:
    index = wr.Index.open(reported / "train.index")
    found = wr.Boxes.open(reported / "found.parquet").join(index)
    truth = boxes.consensus()
    result = wr.evaluate(found, truth, "voc2010@0.4", resamples=0)
    assert said["predictions"]["ap"]["value"] == result.map
    froc = wr.evaluate(found, truth, "froc@0.4", resamples=0)
    assert said["predictions"]["froc"]["value"] == froc.value
    low, high = said["predictions"]["ap"]["interval"]
    assert low <= result.map <= high
    for name, curve in said["predictions"]["curves"].items():
        assert curve["recall"] == sorted(curve["recall"]), name


def test_misses_and_calibration_by_hand(
    said: dict[str, Any], boxes: wr.Boxes, reported: Path
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
    misses = said["predictions"]["misses"]
    assert misses["false_positives"] == sum(not hit for _, hit in hits)
    assert misses["false_negatives"] == len(truth) - len(near)
    bins = said["predictions"]["calibration"]["bins"]
    assert sum(n for *_, n in bins) == len(found)
    for score, share, n in bins:
        inside = [(s, h) for s, h in hits if int(min(s * 10, 9)) == int(min(score * 10, 9))]
        assert n == len(inside)
        assert share == pytest.approx(np.mean([h for _, h in inside]))


def commands(page: str) -> list[str]:
    return sorted(
        {html.unescape(c) for c in re.findall(r"<pre[^>]*><code>(.*?)</code>", page, re.S)}
    )


def test_every_query_shown_gives_an_answer(
    made: Report, reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reported)
    index = wr.Index.open("train.index")
    queries = [shlex.split(c) for c in commands(made.html) if c.startswith("wetread query")]
    assert len(queries) > 40
    for _, verb, name, sql in queries:
        assert (verb, name) == ("query", "train.index")
        query(index, sql)
    lines = [c for c in commands(made.html) if c.startswith(("import", "index."))]
    assert len(lines) > 5
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


def test_the_first_query_gives_the_first_figures(made: Report, reported: Path) -> None:
    index = wr.Index.open(reported / "train.index")
    first = re.search(r"<pre[^>]*><code>(.*?)</code>", made.html, re.S)
    assert first
    (row,) = query(index, shlex.split(html.unescape(first[1]))[3]).to_pylist()
    assert row == made.data["sections"]["problems"]["totals"]


def test_the_file(reported: Path, tmp_path: Path) -> None:
    index = wr.Index.open(reported / "train.index")
    path = wr.report(index, to=tmp_path / "r.html", workers=1, progress=False)
    page = path.read_text()
    assert page.startswith("<!DOCTYPE html>")
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page)
    assert found
    data = json.loads(found[1])
    assert data["schema"] == "wetread.report/1"
    assert data["provenance"]["rows"] == 30
    assert "No label file was given." in page
    assert "No predictions were given." in page
    with pytest.raises(StorageError, match="cannot be written"):
        wr.report(index, to=tmp_path / "no" / "r.html", workers=1, progress=False)


def test_fingerprint_is_of_the_rows(reported: Path) -> None:
    index = wr.Index.open(reported / "train.index")
    prints = [
        build(part, workers=1).data["provenance"]["fingerprint"]
        for part in (index[:2], index[1::-1], index[:1])
    ]
    assert prints[0] == prints[1] != prints[2]


def test_without_anything(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no DICOM")
    for index in (wr.scan(tmp_path, progress=False), wr.scan(tmp_path, progress=False)[:0]):
        made = build(index)
        assert made.data["sections"]["problems"]["totals"]["images"] == 0
        assert len(re.findall("<section", made.html)) == 15


def test_predictions_that_cannot_be_judged(reported: Path, boxes: wr.Boxes) -> None:
    index = wr.Index.open(reported / "train.index")
    everywhere = boxes.consensus()
    strange = everywhere.replace({"label": ["another"] * len(everywhere)})
    made = build(index, boxes, strange, workers=1)
    assert "no label in common" in made.data["sections"]["predictions"]["error"]
    assert "could not be judged" in made.html
    alone = build(index, None, everywhere, workers=1)
    assert "no label file to judge them by" in alone.html


def test_images_of_the_part_train_are_left_out_and_counted(reported: Path, boxes: wr.Boxes) -> None:
    index = wr.Index.open(reported / "train.index")
    everywhere = boxes.consensus()
    train = np.array(everywhere.table["part"].to_pylist()) == "train"
    held = everywhere.select(~train)
    expected = wr.evaluate(held, everywhere, "voc2010@0.4", resamples=0)
    count = len(set(everywhere.select(train).images.to_pylist()))
    made = build(index, boxes, everywhere, workers=1)
    said = made.data["sections"]["predictions"]
    assert (said["left_out"], said["ap"]["value"]) == (count, expected.value)
    assert said["ap"]["images"] == expected.images
    assert f"{count} images of the part train are left out" in made.html
    assert "--allow-train" in made.html
    alone = build(index, boxes, everywhere.select(train), workers=1)
    assert alone.data["sections"]["predictions"] == {"left_out": count}


def test_labels_of_nothing(reported: Path, boxes: wr.Boxes) -> None:
    index = wr.Index.open(reported / "train.index")[:3]
    none = boxes.select(np.zeros(len(boxes), bool))
    kinds = np.array(boxes.table["kind"].to_pylist())
    for few in (none, boxes.select(kinds == "nothing")):
        said = build(index, few, few, workers=1).data["sections"]
        assert said["labels"]["totals"]["boxes"] == 0
        assert said["labels"]["labels"] == []
    placeless = boxes.replace({"kind": ["box"] * len(boxes)})
    said = build(index, placeless, workers=1).data["sections"]
    assert said["labels"]["problems"]["BOX_EMPTY"] == (kinds == "nothing").sum()
    boxes = boxes.select(kinds == "box")
    points = boxes.replace({"kind": ["point"] * len(boxes)})
    said = build(index, points, points.consensus(), workers=1).data["sections"]
    assert said["labels"]["totals"]["boxes"] == len(boxes)
    assert "error" in said["predictions"]


def test_wrong_use(reported: Path, boxes: wr.Boxes) -> None:
    index = wr.Index.open(reported / "train.index")
    with pytest.raises(UnknownNameError, match="did you mean part"):
        build(index, split="prt")
    others = wr.Boxes.from_columns({"key": ["x"], "label": ["y"]})
    with pytest.raises(UsageError, match="no image of the index has a key"):
        build(index, others)
    many = build(index, boxes, split="path", workers=1)
    assert "more than 12 values, so it is no split" in many.html


def test_boxes_read_before_the_split_get_their_parts(reported: Path) -> None:
    index = wr.Index.open(reported / "train.index")
    unjoined = wr.read_boxes(reported / "train.csv")
    made = build(index, unjoined, workers=1)
    assert set(made.data["sections"]["labels"]["parts"]) == {"train", "valid"}

"""Submission files: formats, errors, and reading them back."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wetread as wr
from wetread.boxes.kaggle import OPACITY, VINBIGDATA
from wetread.errors import NotFoundError, StorageError, UnknownNameError, UsageError
from wetread.evaluation import evaluate
from wetread.evaluation.submission import FORMS, submit
from wetread.testing.dicom import dicom_file, picture

HERE = {"kind": "box", "label": "Cardiomegaly", "x0": 1, "y0": 2, "x1": 7.5, "y1": 8, "score": 0.25}
LABEL = {"vinbigdata": "Cardiomegaly", "rsna-pneumonia": OPACITY, "siim-covid": OPACITY}
BY_FORM = pytest.mark.parametrize("form", FORMS)


def boxes_of(*rows, **every):
    full = [{**HERE, **every, **row} for row in rows]
    names = dict.fromkeys(name for row in full for name in row)
    return wr.Boxes.from_columns({name: [row.get(name) for row in full] for name in names})


def nothing(key, score=None):
    return {"key": key, "kind": "nothing", "label": None, "score": score}


def written(path):
    with open(path, newline="") as file:
        return dict(list(csv.reader(file)))


@pytest.fixture
def index(tmp_path):
    """Three images of 8 x 8, the first two of one study; a text file, and a truncated file."""
    folder = tmp_path / "test"
    folder.mkdir()
    for number, name in enumerate(("a", "b", "c")):
        elements = picture(number)
        if name == "b":
            elements = [e for e in elements if e.tag != 0x0020000D]
            elements = sorted([*elements, picture(0)[7]], key=lambda e: e.tag)
        (folder / f"{name}.dicom").write_bytes(dicom_file(elements))
    (folder / "README.txt").write_text("no DICOM")
    return wr.scan(folder, progress=False)


def test_vinbigdata_has_every_image_once(index, tmp_path):
    found = boxes_of(
        {"key": "a"}, {"key": "a", "score": 0.5, "label": "Aortic enlargement"}, nothing("b", 0.75)
    )
    frame = submit(found, tmp_path / "s.csv", "vinbigdata", images=index)
    assert (tmp_path / "s.csv").read_text() == (
        "image_id,PredictionString\n"
        "a,0 0.5 1 2 7.5 8 3 0.25 1 2 7.5 8\n"
        "b,14 0.75 0 0 1 1\n"
        "c,14 1 0 0 1 1\n"
    )
    assert frame["image_id"].tolist() == ["a", "b", "c"]


def test_rsna_has_sizes_and_empty_fields(index, tmp_path):
    submit(boxes_of({"key": "a", "label": OPACITY}), tmp_path / "s.csv", "rsna-pneumonia", index)
    text = (tmp_path / "s.csv").read_text()
    assert text == "patientId,PredictionString\na,0.25 1 2 6.5 6\nb,\nc,\n"


def test_siim_has_images_and_studies(index, tmp_path):
    found = boxes_of(
        {"key": "a"},
        {"key": "b_image"},
        {"key": "2.25.1002.1_study", "label": "typical", "score": 0.9},
        {"key": "2.25.1002.1_study", "label": "atypical", "score": 0.05},
        label=OPACITY,
    )
    submit(found, tmp_path / "s.csv", "siim-covid", images=index)
    assert written(tmp_path / "s.csv") == {
        "id": "PredictionString",
        "a_image": "opacity 0.25 1 2 7.5 8",
        "b_image": "opacity 0.25 1 2 7.5 8",
        "c_image": "none 1 0 0 1 1",
        "2.25.1000.1_study": "negative 1 0 0 1 1",
        "2.25.1002.1_study": "typical 0.9 0 0 1 1 atypical 0.05 0 0 1 1",
    }


def test_score_of_nothing_is_written_next_to_boxes(tmp_path):
    found = boxes_of({"key": "a"}, nothing("a", 0.4))
    submit(found, tmp_path / "s.csv", "vinbigdata")
    assert written(tmp_path / "s.csv")["a"] == "3 0.25 1 2 7.5 8 14 0.4 0 0 1 1"


def test_images_by_name_and_by_default(tmp_path):
    found = boxes_of({"key": "b"}, {"key": "a"})
    assert submit(found, tmp_path / "s.csv", "vinbigdata")["image_id"].tolist() == ["b", "a"]
    named = submit(found, tmp_path / "s.csv", "vinbigdata", images=["c", "a", "b"])
    assert named["image_id"].tolist() == ["c", "a", "b"]
    assert named["PredictionString"][0] == "14 1 0 0 1 1"


def test_predictions_may_be_joined_or_in_a_file(index, tmp_path):
    found = boxes_of({"key": "a"}, {"key": "b.dicom"})
    joined = found.join(index)
    joined.save(tmp_path / "found.parquet")
    one, other = (
        submit(given, tmp_path / "s.csv", "vinbigdata", images=index)
        for given in (found, tmp_path / "found.parquet")
    )
    assert one.equals(other)
    assert one["PredictionString"].tolist()[2] == "14 1 0 0 1 1"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"key": "d"}, "not in the test set \\(d\\)"),
        ({"x1": 8.5}, "outside their image \\(a\\)"),
        ({"y0": -0.5}, "outside"),
        ({"x1": 1}, "empty"),
        ({"x0": None}, "empty"),
        ({"y1": np.inf}, "outside"),
        ({"score": None}, "finite score"),
        ({"score": np.inf}, "finite score"),
        ({"frame": 2}, "later frames"),
        ({"reader": "other run"}, "2 runs"),
        ({"kind": "point", "x1": 1, "y1": 2}, "empty"),
    ],
)
def test_invalid_predictions_are_not_written(index, tmp_path, row, message):
    found = (
        boxes_of({"reader": "run"} if "reader" in row else {}, row, key="a")
        if ("key" not in row)
        else boxes_of(row)
    )
    with pytest.raises(UsageError, match=message):
        submit(found, tmp_path / "s.csv", "vinbigdata", images=index)
    assert not (tmp_path / "s.csv").exists()


@BY_FORM
def test_unknown_label_is_an_error(tmp_path, form):
    with pytest.raises(UnknownNameError, match="label of"):
        submit(boxes_of({"key": "a", "label": "Fracture"}), tmp_path / "s.csv", form)


def test_a_label_of_a_study_is_one_of_four(tmp_path):
    found = boxes_of({"key": "a_study", "label": OPACITY})
    with pytest.raises(UnknownNameError, match="label of a study"):
        submit(found, tmp_path / "s.csv", "siim-covid")


def test_invalid_image_names(tmp_path):
    found = boxes_of({"key": "a"})
    with pytest.raises(UsageError, match="more than once: a"):
        submit(found, tmp_path / "s.csv", "vinbigdata", images=["a", "a"])
    with pytest.raises(NotFoundError, match="no such index"):
        submit(found, tmp_path / "s.csv", "vinbigdata", images="test.index")
    with pytest.raises(UsageError, match="without a key"):
        submit(boxes_of({"key": None}), tmp_path / "s.csv", "vinbigdata")
    with pytest.raises(UnknownNameError, match="format of submission"):
        submit(found, tmp_path / "s.csv", "vindr")


def test_two_files_of_one_name_are_an_error(index, tmp_path):
    more = tmp_path / "test" / "again"
    more.mkdir()
    (more / "a.dcm").write_bytes(dicom_file(picture(9)))
    both = wr.scan(tmp_path / "test", progress=False)
    with pytest.raises(UsageError, match="several files of the index have the name a"):
        submit(boxes_of({"key": "b"}), tmp_path / "s.csv", "vinbigdata", images=both)


def test_unreadable_files_are_listed(index, tmp_path):
    (tmp_path / "test" / "d.dicom").write_bytes(dicom_file(picture(3))[:200])
    index = wr.scan(tmp_path / "test", progress=False)
    with pytest.warns(UserWarning, match=r"1 file .* no row: d\.dicom"):
        frame = submit(boxes_of({"key": "a"}), tmp_path / "s.csv", "vinbigdata", images=index)
    assert frame["image_id"].tolist() == ["a", "b", "c"]


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        submit(boxes_of({"key": "a"}), tmp_path / "none" / "s.csv", "vinbigdata")


quarters = st.integers(0, 16_000).map(lambda n: n / 4)
scores = st.integers(0, 10**6).map(lambda n: n / 10**6)


@st.composite
def predictions(draw, form):
    """Boxes on some images, "nothing" on others, no rows for the rest."""
    rows = []
    for key in draw(st.lists(st.text("0123456789abcdef", min_size=1), unique=True, max_size=5)):
        for _ in range(draw(st.integers(0, 3))):
            x0, y0, width, height = (draw(quarters) for _ in range(4))
            label = draw(st.sampled_from([*VINBIGDATA.values()])) if form == "vinbigdata" else None
            rows.append(
                {
                    "key": key,
                    "label": label or OPACITY,
                    "score": draw(scores),
                    "x0": x0,
                    "y0": y0,
                    "x1": x0 + width + 0.25,
                    "y1": y0 + height + 0.25,
                }
            )
        rows += [nothing(key, draw(scores))] * draw(st.booleans())
    return rows


@BY_FORM
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_round_trip(tmp_path_factory, form, data):
    rows = data.draw(predictions(form))
    keys = sorted({row["key"] for row in rows} | {"silent"})
    path = tmp_path_factory.mktemp("s") / "s.csv"
    blank = {"x0": None, "y0": None, "x1": None, "y1": None}
    rows = [{**row, **blank} if "kind" in row else row for row in rows]
    submit(boxes_of(*rows) if rows else boxes_of().select([]), path, form, images=keys)
    for name in ("submission", None):
        back = wr.read_boxes(path, format=name)
        assert sorted(set(back.table["key"].to_pylist())) == keys
        assert count_rows(back.table.to_pylist()) == count_rows(
            [*boxes_of(*rows).table.to_pylist()], form, keys
        )


def count_rows(rows, form=None, keys=()):
    """Counts of distinct rows; with a form, as its file represents them."""
    names = ("key", "kind", "label", "score", "x0", "y0", "x1", "y1")
    if form == "rsna-pneumonia":  # which has no score for nothing
        present = {row["key"] for row in rows if row["kind"] == "box"}
        rows = [row for row in rows if row["kind"] == "box"]
        rows += [{"key": key, "kind": "nothing"} for key in keys if key not in present]
    elif form:
        present = {row["key"] for row in rows}
        rows += [
            {"key": key, "kind": "nothing", "score": 1.0} for key in keys if key not in present
        ]
    return Counter(tuple(row.get(name) for name in names) for row in rows)


def test_score_equals_that_of_the_file(tmp_path):
    """`evaluate` treats images without predictions as `submit` writes them."""
    truth = boxes_of({"key": "a"}, nothing("b"), nothing("c"), {"key": "d"})
    found = boxes_of({"key": "a"}, {"key": "b", "score": 0.1}, nothing("d", 0.3))
    path = Path(tmp_path / "s.csv")
    submit(found, path, "vinbigdata", images=sorted(set(truth.table["key"].to_pylist())))
    handed_in, ours = (evaluate(one, truth, "vinbigdata", resamples=0) for one in (path, found))
    assert ours.value == handed_in.value
    assert ours.per_label["ap"]["No finding"] == 0.5

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wetread as wr
from wetread.boxes import Boxes, delimited
from wetread.errors import UsageError

VINBIGDATA = """\
image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max
50a4,No finding,14,R11,,,,
21a1,Cardiomegaly,3,R10,691.0,1375.0,1653.0,1831.0
9a5f,Aortic enlargement,0,R7,1264.0,743.0,1611.0,1019.0
"""
RSNA = """\
patientId,x,y,width,height,Target
0004,,,,,0
0043,264.0,152.0,213.0,379.0,1
0043,562.0,152.0,256.0,453.0,1
"""
SIIM = """\
id,boxes,label,StudyInstanceUID
000a_image,"[{'x': 789.25, 'y': 582.5, 'width': 1026.75, 'height': 1917.25}]",\
opacity 1 789.25 582.5 1816.0 2499.75,5776
000c_image,,none 1 0 0 1 1,ff0879
"""
MAMMO = """\
study_id,series_id,image_id,laterality,finding_categories,finding_birads,xmin,ymin,xmax,ymax,split
s1,e1,m1,L,"['Mass', 'Suspicious Calcification']",BI-RADS 4,10,20,110.5,220.5,training
s1,e1,m2,L,['No Finding'],,,,,,test
"""
SPINE = """\
image_id,rad_id,series_id,study_id,lesion_type,xmin,ymin,xmax,ymax
a1,rad2,e,s,Osteophytes,545,1015,683,1073
a2,rad1,e,s,No finding,,,,
"""


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read(text: str | bytes, format: Any = None) -> Boxes:
        path = tmp_path / "labels.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return wr.read_boxes(path, format=format)

    return read


def rows(boxes: Boxes, *names: str) -> list[tuple[Any, ...]]:
    table = boxes.table.select(names or ["key", "label", "kind", "x0", "y0", "x1", "y1"])
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_vinbigdata(read: Any) -> None:
    boxes = read(VINBIGDATA)
    assert boxes.dialect == "vinbigdata"
    assert rows(boxes) == [
        ("50a4", None, "nothing", None, None, None, None),
        ("21a1", "Cardiomegaly", "box", 691, 1375, 1653, 1831),
        ("9a5f", "Aortic enlargement", "box", 1264, 743, 1611, 1019),
    ]
    assert boxes.readers == ("R7", "R10", "R11")
    assert boxes.classes == (("0", "Aortic enlargement"), ("3", "Cardiomegaly"))


def test_rsna_has_widths_and_heights(read: Any) -> None:
    boxes = read(RSNA)
    assert boxes.dialect == "rsna-pneumonia"
    assert rows(boxes) == [
        ("0004", None, "nothing", None, None, None, None),
        ("0043", "Lung Opacity", "box", 264, 152, 477, 531),
        ("0043", "Lung Opacity", "box", 562, 152, 818, 605),
    ]
    assert boxes.readers == ()


def test_siim_columns_must_agree(read: Any) -> None:
    boxes = read(SIIM)
    assert boxes.dialect == "siim-covid"
    assert rows(boxes) == [
        ("000a", "Lung Opacity", "box", 789.25, 582.5, 1816.0, 2499.75),
        ("000c", None, "nothing", None, None, None, None),
    ]
    boxes = read(SIIM.replace("'width': 1026.75", "'width': 1816.0"))
    assert rows(boxes, "key", "flags", "x0")[0] == (
        "000a",
        ["unreadable: the columns label and boxes of line 2 do not agree"],
        None,
    )


def test_vindr_mammo_has_a_list_of_labels(read: Any) -> None:
    boxes = read(MAMMO)
    assert boxes.dialect == "vindr"
    assert rows(boxes) == [
        ("m1", "Mass", "box", 10, 20, 110.5, 220.5),
        ("m1", "Suspicious Calcification", "box", 10, 20, 110.5, 220.5),
        ("m2", None, "nothing", None, None, None, None),
    ]
    assert rows(boxes, "part") == [("train",), ("train",), ("test",)]


def test_literals_are_never_executed(read: Any, tmp_path: Path) -> None:
    canary = tmp_path / "ran"
    for text in (
        MAMMO.replace("['No Finding']", f"\"[open('{canary}', 'w')]\""),
        SIIM.replace("[{'x'", f"[open('{canary}', 'w'), {{'x'"),
        MAMMO.replace("['No Finding']", "[" * 500),
    ):
        boxes = read(text)
        assert boxes.check()["code"].tolist()[0] == "BOX_UNREADABLE"
        assert boxes.corners[-1 if "m2" in text else 0].tolist() == pytest.approx(
            [np.nan] * 4, nan_ok=True
        )
    assert not canary.exists()


def test_vindr_spine_and_cxr(read: Any) -> None:
    assert rows(read(SPINE))[0] == ("a1", "Osteophytes", "box", 545, 1015, 683, 1073)
    assert read(SPINE).readers == ("rad1", "rad2")
    without = VINBIGDATA.replace("class_id,", "").replace("14,", "").replace("3,R", "R")
    without = without.replace("0,R7", "R7")
    assert read(without).dialect == "vindr"
    assert rows(read(without)) == rows(read(VINBIGDATA))


@pytest.mark.parametrize(
    "spelled",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace(",", " , ").encode(),
        lambda text: text.replace(",,,,", ",nan,NaN,None,").encode(),
        lambda text: (text + "\n\n").encode(),
        lambda text: text.replace("No finding,14", "NO FINDING,14").encode(),
    ],
    ids=["BOM", "Windows", "spaces", "NaN", "blank lines", "capitals"],
)
def test_variants_of_csv(read: Any, spelled: Any) -> None:
    boxes = read(spelled(VINBIGDATA))
    assert rows(boxes) == rows(read(VINBIGDATA))
    assert boxes.classes == read(VINBIGDATA).classes


def test_gzip(tmp_path: Path, read: Any) -> None:
    (tmp_path / "train.csv.gz").write_bytes(gzip.compress(RSNA.encode()))
    assert rows(wr.read_boxes(tmp_path / "train.csv.gz")) == rows(read(RSNA))


@pytest.mark.parametrize("place", ["0,0,1,1", "0,0,0,0", ",,,"])
def test_placeholder_boxes_of_nothing_are_removed(read: Any, place: str) -> None:
    boxes = read(VINBIGDATA.replace("R11,,,,", f"R11,{place}"))
    assert rows(boxes)[0] == ("50a4", None, "nothing", None, None, None, None)


def test_other_boxes_of_nothing_are_kept_and_reported(read: Any) -> None:
    boxes = read(VINBIGDATA.replace("R11,,,,", "R11,5,6,7,8"))
    assert rows(boxes)[0] == ("50a4", None, "nothing", 5, 6, 7, 8)
    assert boxes.check()["code"].tolist() == ["NOTHING_AND_BOX"]


def test_labels_without_a_box_are_kept_and_reported(read: Any) -> None:
    for text in (
        VINBIGDATA.replace("691.0,1375.0,1653.0,1831.0", ",,,"),
        RSNA.replace("264.0,152.0,213.0,379.0", ",,,"),
    ):
        boxes = read(text)
        assert len(boxes) == 3
        assert boxes.check()["code"].tolist() == ["BOX_EMPTY"]
    assert read(VINBIGDATA.replace("Cardiomegaly", "")).check()["code"].tolist() == [
        "BOX_UNLABELLED"
    ]


def test_scores_of_predictions(read: Any) -> None:
    lines = VINBIGDATA.splitlines()
    for name in ("score", "confidence"):
        text = "\n".join([lines[0] + f",{name}", lines[1] + ",", lines[2] + ",0.75"])
        assert rows(read(text), "score") == [(None,), (0.75,)]


def test_submissions(read: Any) -> None:
    boxes = read("image_id,PredictionString\na,0 0.5 10 20 30 40 13 0.25 1 2 3 4\nb,14 1 0 0 1 1\n")
    assert boxes.dialect == "submission"
    assert rows(boxes, "key", "label", "kind", "score", "x0", "x1") == [
        ("a", "Aortic enlargement", "box", 0.5, 10, 30),
        ("a", "Pulmonary fibrosis", "box", 0.25, 1, 3),
        ("b", None, "nothing", 1.0, None, None),
    ]
    assert len(boxes.classes) == 14
    boxes = read("patientId,PredictionString\na,0.5 10 20 30 40\nb,\n")
    assert rows(boxes) == [
        ("a", "Lung Opacity", "box", 10, 20, 40, 60),
        ("b", None, "nothing", None, None, None, None),
    ]
    siim = "id,PredictionString\na_study,negative 1 0 0 1 1\nb_image,opacity 0.5 1 2 3 4\n"
    assert rows(read(siim), "key", "score", "x1") == [("b", 0.5, 3)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name,left\na,1\n",
            "no columns of a box .*(top, right, bottom are missing).*its columns: na",
        ),
        ("patientId,x,y,width,height,PredictionString\n", "matches several formats, give format="),
        ("image,label,xmn,ymin,xmax,ymax\n", "'xmin': did you mean xmn"),
        ("image label xmin ymin xmax ymax\na b 1 2 3 4\n", "separated by another character"),
        (RSNA.replace("\n0", "\nx,0"), "no row can be read: line 2 has 7 fields, the first line 6"),
        ("x,y,x\n1,2,3\n", "two columns have the same name; its columns: x, y, x"),
        ("", "is empty"),
        (b"\xff\xfe\x00", "not a text file in UTF-8"),
        ("größe,b\n".encode("cp1252"), "not a text file in UTF-8: .*; save it as UTF-8"),
        (b"\x1f\x8b\x08", "not a text file in UTF-8"),
        ("image_id,PredictionString\na,0 0.5 10\n", "3 numbers, which is not a multiple of 6"),
        ("image_id,PredictionString\na,x 0.5 1 2 3 4\n", "line 2: invalid literal for int"),
        ("image_id,PredictionString\na,1 nan 1 2 3 4\n", "'nan' is not a number"),
    ],
)
def test_invalid_files(read: Any, text: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (VINBIGDATA.replace("691.0", "691;0"), "x_min of line 3 is not a number"),
        (VINBIGDATA.replace("691.0", "inf"), "x_min of line 3 is not a number"),
        (RSNA.replace("213.0,379.0,1", "213.0"), "line 3 has 4 fields, the first line 6"),
        (RSNA.replace("213.0,379.0,1", "213.0,3,1,1"), "line 3 has 7 fields, the first line 6; q"),
        (SIIM.replace("opacity 1 789", "opacity 1 1 789"), "label of line 2: .*six words per box"),
        ("image_id,PredictionString\na,0 0.5 10\nb,\n", "PredictionString of line 2: 3 numbers"),
    ],
)
def test_a_row_that_cannot_be_read_is_a_problem(read: Any, text: str, reason: str) -> None:
    boxes = read(text)
    problems = boxes.check()
    assert problems["code"].tolist() == ["BOX_UNREADABLE"]
    assert re.match(reason, problems["text"][0])
    assert len(boxes) == len(text.splitlines()) - 1
    assert problems["key"].tolist() == [key for key, flags in rows(boxes, "key", "flags") if flags]


def test_class_ids_of_pandas(read: Any, shared_case: Any) -> None:
    floats = read(VINBIGDATA.replace(",14,", ",14.0,").replace(",3,", ",3.0,"))
    assert floats.classes == read(VINBIGDATA).classes
    assert read(VINBIGDATA.replace(",3,R10", ",three,R10")).classes == (
        ("0", "Aortic enlargement"),
        ("three", "Cardiomegaly"),
    )
    boxes = wr.read_boxes(shared_case("19") / "float_ids.csv")
    assert boxes.classes == (("8", "Nodule/Mass"),)
    assert boxes.corners[0].tolist() == [1, 1, 3, 3]


def test_a_given_format_must_match(read: Any) -> None:
    assert read(VINBIGDATA, "vindr").dialect == "vindr"
    with pytest.raises(
        UsageError, match=r"not have the format rsna-pneumonia: height, .*its columns: image_id"
    ):
        read(VINBIGDATA, "rsna-pneumonia")


def test_files_without_rows(read: Any) -> None:
    for text in (VINBIGDATA, RSNA, SIIM, MAMMO, SPINE):
        assert len(read(text.splitlines()[0] + "\n")) == 0


place = st.floats(0, 5000, allow_nan=False).map(lambda v: round(v, 3))
name = st.text("abcXYZ 0-9_/", min_size=1, max_size=12).map(str.strip).filter(bool)


@settings(deadline=None)
@given(st.lists(st.tuples(name, name, name, place, place, place, place), min_size=1, max_size=20))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, written: list[Any]) -> None:
    """A VinBigData table written by pandas."""
    import pandas as pd

    columns = ["image_id", "class_name", "rad_id", "x_min", "y_min", "x_max", "y_max"]
    frame = pd.DataFrame(written, columns=columns)
    ids = {label: number for number, label in enumerate(sorted(set(frame["class_name"])))}
    frame["class_id"] = frame["class_name"].map(ids)
    path = tmp_path_factory.mktemp("labels") / "train.csv"
    frame.to_csv(path, index=False)
    boxes = wr.read_boxes(path)
    assert rows(boxes, "key", "label", "reader") == [row[:3] for row in written]
    assert np.array_equal(boxes.corners, np.array([row[3:] for row in written]))
    assert boxes.classes == tuple((str(number), label) for label, number in ids.items())


LONG = (
    "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n"
    "a,Cardiomegaly,3,R1,1,2,3,4\n"
    "b,No finding,14,R1,,,,\n\n"
    "a,Aortic enlargement,0,R2,1,2,3,4\n"
    "c,Cardiomegaly,3,R2,1,2,3,{}\n"
)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_result_does_not_depend_on_the_chunk_size(
    read: Any, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    whole = read(LONG.format(4))
    monkeypatch.setattr(delimited, "ROWS", rows)
    assert read(LONG.format(4)).table.equals(whole.table, check_metadata=True)
    assert whole.classes == (("0", "Aortic enlargement"), ("3", "Cardiomegaly"))
    vindr = read(LONG.format(4).replace("class_id", "other"))
    assert vindr.classes == (("0", "Aortic enlargement"), ("1", "Cardiomegaly"))
    for text, reason in (
        ("four", "y_max of line 6 is not a number: 'four'"),
        ("4,5", "line 6 has 9 fields, the first line 8; quote texts that contain the delimiter"),
    ):
        assert read(LONG.format(text)).table["flags"].to_pylist()[-1] == [f"unreadable: {reason}"]
    assert len(read(LONG.splitlines()[0] + "\n")) == 0


SPINE_POINTS = """\
study_id,series_id,instance_number,condition,level,x,y
4003253,702807833,8,Spinal Canal Stenosis,L1/L2,322.5,227
4003253,702807833,9,Left Foraminal Narrowing,L4/L5,10,20
4003253,1054713880,8,Spinal Canal Stenosis,L1/L2,30,oops
"""
ANEURYSMS = """\
SeriesInstanceUID,SOPInstanceUID,coordinates,location
1.2.3,1.2.3.1,"{'x': 258.5, 'y': 261}",Other Posterior Circulation
1.2.3,1.2.3.2,"{'f': 7, 'x': 8, 'y': 9}",Basilar Tip
1.2.3,1.2.3.3,"__import__('os').abort()",Basilar Tip
"""


def test_points_of_rsna_2024(read: Any, make_index: Any) -> None:
    """Joined by study, series and instance number: of the header, or as the files lie."""
    boxes = read(SPINE_POINTS)
    assert boxes.dialect == "rsna-spine"
    assert rows(boxes, "label", "kind", "x0", "y0", "x1", "y1")[:2] == [
        ("Spinal Canal Stenosis L1/L2", "point", 323, 227.5, 323, 227.5),
        ("Left Foraminal Narrowing L4/L5", "point", 10.5, 20.5, 10.5, 20.5),
    ]
    assert boxes.check()["code"].tolist() == ["BOX_UNREADABLE"]
    files = ("4003253/702807833/8", "4003253/702807833/9", "4003253/1054713880/8", "1/1/8")
    index = make_index({f"train_images/{name}.dcm": {} for name in files})
    names = dict(zip(index["id"], index["path"], strict=True))
    joined = boxes.join(index).table["image"].to_pylist()
    assert [names[id_].removeprefix("train_images/") for id_ in joined] == [
        f"{name}.dcm" for name in files[:3]
    ]


def test_points_are_joined_by_header(read: Any, make_index: Any) -> None:
    series = {"StudyInstanceUID": "4003253", "SeriesInstanceUID": "702807833"}
    index = make_index({f"x{n}.dcm": {**series, "InstanceNumber": n} for n in (8, 9)})
    two = read(SPINE_POINTS).select(np.array([True, True, False])).join(index)
    names = dict(zip(index["id"], index["path"], strict=True))
    assert [names[id_] for id_ in two.table["image"].to_pylist()] == ["x8.dcm", "x9.dcm"]
    assert [len(two.on(image)) for image in index] == [1, 1]


def test_points_of_rsna_2025(read: Any, make_index: Any) -> None:
    boxes = read(ANEURYSMS)
    assert boxes.dialect == "rsna-aneurysm"
    assert rows(boxes, "key", "label", "frame", "x0", "y1")[:2] == [
        ("1.2.3.1", "Other Posterior Circulation", None, 259, 261.5),
        ("1.2.3.2", "Basilar Tip", 7, 8.5, 9.5),
    ]
    assert boxes.check()["code"].tolist() == ["BOX_UNREADABLE"]
    index = make_index({"a.dcm": {"SOPInstanceUID": "1.2.3.1"}, "b.dcm": {"SOPInstanceUID": "9"}})
    assert boxes.join(index).table["image"].to_pylist()[0] == index[0].id
    assert boxes.join(index).check(index)["code"].tolist()[0] == "NO_FILE"

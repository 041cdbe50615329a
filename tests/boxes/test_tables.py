"""Label files as people write them: read right, or refused with what to do."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wetread as wr
from wetread.boxes import Boxes
from wetread.boxes.columns import map_roles
from wetread.errors import UnknownNameError, UsageError

Make = Callable[..., wr.Index]
ONE = [("a", "mass", 1, 2, 4, 6)]
XY = "image,label,x,y,w,h\na,mass,1,2,3,4\n"
CORNERS = "image,label,xmin,ymin,xmax,ymax\na,mass,1,2,4,6\n"
FIRST, SECOND = "{'x': 1, 'y': 2, 'w': 3, 'h': 4}", "{'x': 5, 'y': 6, 'w': 1, 'h': 1}"
NOTHING = ("b", None, None, None, None, None)
TWO = [*ONE, ("a", "mass", 5, 6, 6, 7), NOTHING]

READ: dict[str, tuple[str | bytes, Any]] = {
    "corners": (CORNERS, ONE),
    "size": (XY, ONE),
    "BOM": (b"\xef\xbb\xbf" + XY.encode(), ONE),
    "UTF-16 LE": (XY.encode("utf-16"), ONE),
    "UTF-16 BE": (b"\xfe\xff" + XY.encode("utf-16-be"), ONE),
    "gzip": (gzip.compress(XY.encode()), ONE),
    "Windows lines": (XY.replace("\n", "\r\n"), ONE),
    "old Mac lines": (XY.replace("\n", "\r"), ONE),
    "semicolon": (XY.replace(",", ";"), ONE),
    "tab": (XY.replace(",", "\t"), ONE),
    "bar": (XY.replace(",", "|"), ONE),
    "decimal comma": (
        "image;label;x;y;w;h\na;mass;1,5;2;3,25;4\n",
        [("a", "mass", 1.5, 2, 4.75, 6)],
    ),
    "sep of Excel": ("sep=;\n" + XY.replace(",", ";"), ONE),
    "quoted": ('"image","label","x","y","w","h"\n"a","mass","1","2","3","4"\n', ONE),
    "comma in a label": (
        XY.replace("mass", '"mass, ""large"""'),
        [("a", 'mass, "large"', 1, 2, 4, 6)],
    ),
    "spaces": (XY.replace(",", " , "), ONE),
    "blank lines": ("\n\n" + XY.replace("\n", "\n\n") + ",,,,,\n", ONE),
    "empty columns of Excel": ("image,label,x,y,w,h,,\na,mass,1,2,3,4,,\n", ONE),
    "index of pandas": (",image,label,x,y,w,h\n0,a,mass,1,2,3,4\n", ONE),
    "Unnamed: 0": ("Unnamed: 0,image,label,x,y,w,h\n0,a,mass,1,2,3,4\n", ONE),
    "more columns": ("image,label,age,x,y,w,h,view\na,mass,44,1,2,3,4,PA\n", ONE),
    "other order": ("h,w,y,x,label,image\n4,3,2,1,mass,a\n", ONE),
    "capitals": ("Image_ID,Class Name,X_Min,Y-Min,xMax,YMAX\na,mass,1,2,4,6\n", ONE),
    "x1 y1 x2 y2": ("filename,class,x1,y1,x2,y2\na,mass,1,2,4,6\n", ONE),
    "x0 y0 x1 y1": ("filename,class,x0,y0,x1,y1\na,mass,1,2,4,6\n", ONE),
    "left top": ("file,finding,left,top,right,bottom\na,mass,1,2,4,6\n", ONE),
    "left top width": ("file,finding,left,top,width,height\na,mass,1,2,3,4\n", ONE),
    "CVAT": ("name,label,xtl,ytl,xbr,ybr\na,mass,1,2,4,6\n", ONE),
    "prefix": ("file_name,category,bbox_x,bbox_y,bbox_width,bbox_height\na,mass,1,2,3,4\n", ONE),
    "centres": ("image,label,x_center,y_center,width,height\na,mass,2.5,4,3,4\n", ONE),
    "cx cy": ("image,label,cx,cy,w,h\na,mass,2.5,4,3,4\n", ONE),
    "TensorFlow": (
        "filename,width,height,class,xmin,ymin,xmax,ymax\na,512,512,mass,1,2,4,6\n",
        ONE,
    ),
    "RetinaNet": (
        "path,x1,y1,x2,y2,class\na,1,2,4,6,mass\nb,,,,,\n",
        [*ONE, NOTHING],
    ),
    "NIH": (
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\na.png,mass,1,2,3,4,,,\n",
        [("a.png", "mass", 1, 2, 4, 6)],
    ),
    "NaN rows": (XY + "b,NaN,nan,NaN,,\n", [*ONE, NOTHING]),
    "no finding": (XY + "b,No finding,,,,\n", [*ONE, NOTHING]),
    "none": (XY + "b,none,0,0,0,0\n", [*ONE, NOTHING]),
    "floats as ids": (
        "image_id,class_id,label,x,y,w,h\n7.0,3.0,mass,1,2,3,4\n",
        [("7.0", "mass", 1, 2, 4, 6)],
    ),
    "class ids only": (
        "image,class_id,x,y,w,h\na,3.0,1,2,3,4\n",
        [("a", "3", 1, 2, 4, 6)],
    ),
    "exponents": (XY.replace("1,2,3,4", "1e0,2.0E0,3.,4"), ONE),
    "formula guard": (XY.replace("a,", "'=a,"), [("=a", "mass", 1, 2, 4, 6)]),
    "several boxes in a cell": (f'image,label,boxes\na,mass,"[{FIRST}, {SECOND}]"\nb,,\n', TWO),
    "a label per box": (
        f"image,label,boxes\na,\"['mass', 'ILD']\",\"[{FIRST}, {SECOND}]\"\n",
        [*ONE, ("a", "ILD", 5, 6, 6, 7)],
    ),
    "JSON in a cell": (
        'image,label,bbox\na,mass,"{""x"": 1, ""y"": 2, ""w"": 3, ""h"": 4}"\n',
        ONE,
    ),
    "Windows path": (
        XY.replace("a,", "C:\\data\\a.png,"),
        [("C:\\data\\a.png", "mass", 1, 2, 4, 6)],
    ),
    "one bad row": (
        XY + "b,mass,one,2,3,4\nc,mass,1,2,3,4\n",
        [*ONE, ("b", "mass", *(None,) * 4), ("c", "mass", 1, 2, 4, 6)],
    ),
    "a short row": (XY + "b,mass,1\n", [*ONE, ("b", "mass", *(None,) * 4)]),
    "no label": ("image,x,y,w,h,mass\na,1,2,3,4,1\n", [("a", None, 1, 2, 4, 6)]),
    "zeros kept for Excel": (
        XY.replace("a,", '"=""007""",'),
        [("007", "mass", 1, 2, 4, 6)],
    ),
    "one bad frame": (
        XY.replace("h\n", "h,frame\n").replace("4\n", "4,\n")
        + "".join(f"b,mass,1,2,3,4,{frame}\n" for frame in ("2.5", "-1", "9999999999", "x")),
        [*ONE, *[("b", "mass", *(None,) * 4)] * 4],
    ),
    "one bad list": (
        f'image,label,boxes\na,mass,"{FIRST}"\nb,mass,"(1, 2)(3, 4)"\n',
        [*ONE, ("b", "mass", *(None,) * 4)],
    ),
    "non-ASCII": (XY.replace("mass", "Größe 肺"), [("a", "Größe 肺", 1, 2, 4, 6)]),
}
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "Latin-1": (XY.replace("mass", "Größe").encode("latin-1"), "save it as UTF-8"),
    "UTF-16 without mark": (XY.encode("utf-16-le"), "save it as UTF-8"),
    "spaces as separators": (XY.replace(",", " "), "separated by another character"),
    "list of four": ('image,label,bbox\na,mass,"[1, 2, 3, 4]"\n', "give form=xywh, form=xyxy"),
    "text of four": ("image,label,bbox\na,mass,1 2 3 4\n", "give form="),
    "shares": ("image,label,xmin,ymin,xmax,ymax\na,m,.1,.2,.3,.4\n", "give normalised=True"),
    "misspelled": ("image,label,xmn,ymin,xmax,ymax\na,m,1,2,3,4\n", "'xmin': did you mean xmn"),
    "no image": ("label,x,y,w,h\nm,1,2,3,4\n", "no column names the image.*its columns: label, x"),
    "no box": ("image,label\na,m\n", "no columns of a box.*its columns: image, label"),
    "no header": ("a,mass,1,2,3,4\nb,mass,1,2,3,4\n", "the first line must name the columns"),
    "same name twice": ("image,x,x\na,1,2\n", "two columns have the same name"),
    "no row": (XY.replace("1,2,3,4", "a,b,c,d"), "no row can be read: x of line 2 is not a number"),
    "percentages": (XY.replace("1,2,3,4", "1%,2%,3%,4%"), "x of line 2 is not a number: '1%'"),
    "text that is no list": (
        'image,label,boxes\na,mass,"(1, 2)(3, 4)"\n',
        r"boxes of line 2: '\(1, 2\)\(3, 4\)' is not a list or dictionary",
    ),
    "JSON lines": (
        '{"image": "a", "x": 1}\n{"image": "b", "x": 1}\n',
        "give the DataFrame, pandas.read_json",
    ),
    "workbook": (b"PK\x03\x04\x14\0\xff", "is an Excel workbook .*read_excel"),
    "older workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Excel workbook"),
    "empty": ("", "is empty"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\xff", "UTF-8"),
}


def rows(boxes: Boxes) -> list[tuple[Any, ...]]:
    names = ("key", "label", "x0", "y0", "x1", "y1")
    return list(zip(*(boxes.table[name].to_pylist() for name in names), strict=True))


@pytest.mark.parametrize(("text", "expected"), READ.values(), ids=READ)
def test_read_right(tmp_path: Path, text: str | bytes, expected: Any) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert rows(wr.read_boxes(path)) == expected


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_what_to_do(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=message) as refused:
        wr.read_boxes(path)
    assert str(path) in str(refused.value)


def test_there_are_fifty() -> None:
    assert len(READ) + len(REFUSED) >= 50


@pytest.mark.parametrize(
    ("slots", "form", "numbers"),
    [
        ("x0 y0 x1 y1", None, "1 2 4 6"),
        ("x0 y0 x1 y1", "xywh", "1 2 3 4"),
        ("x y w h", None, "1 2 3 4"),
        ("cx cy w h", None, "2.5 4 3 4"),
        ("x y width height", "cxcywh", "2.5 4 3 4"),
    ],
)
def test_a_map_of_columns(tmp_path: Path, slots: str, form: Any, numbers: str) -> None:
    columns = {"image": "id", "label": "what", **dict(zip(slots.split(), "pqrs", strict=True))}
    frame = pd.DataFrame(
        [["a", "mass", *map(float, numbers.split())]], columns=["id", "what", *"pqrs"]
    )
    frame.to_csv(tmp_path / "own.csv", index=False)
    for source in (tmp_path / "own.csv", frame):
        assert rows(wr.read_boxes(source, columns=columns, form=form)) == ONE
    assert rows(Boxes.from_pandas(frame, columns, form)) == ONE


def test_boxes_of_a_cell_with_a_form() -> None:
    for cell in ([1, 2, 3, 4], np.array([1.0, 2, 3, 4]), "[1, 2, 3, 4]", "1 2 3 4", [[1, 2, 3, 4]]):
        frame = pd.DataFrame({"image": ["a"], "label": ["mass"], "bbox": [cell]})
        assert rows(wr.read_boxes(frame, form="xywh")) == ONE
    several = pd.DataFrame(
        {"image": ["a"], "label": [["m", "n"]], "bbox": [[[1, 2, 4, 6], [0, 0, 1, 1]]]}
    )
    assert rows(wr.read_boxes(several, form="xyxy")) == [
        ("a", "m", 1, 2, 4, 6),
        ("a", "n", 0, 0, 1, 1),
    ]


def test_shares_of_the_image(make_index: Make, tmp_path: Path) -> None:
    index = make_index({"a.dcm": {"rows": 40, "columns": 80}})
    text = "image,label,cx,cy,w,h\na,mass,0.5,0.5,0.5,0.25\nb,mass,0.5,0.5,0.5,0.25\n"
    (tmp_path / "own.csv").write_text(text.replace("b,mass,0.5,0.5,0.5,0.25\n", ""))
    boxes = wr.read_boxes(tmp_path / "own.csv", index, normalised=True)
    assert rows(boxes) == [("a", "mass", 20, 15, 60, 25)]
    with pytest.raises(UsageError, match="normalised=True needs images=index"):
        wr.read_boxes(tmp_path / "own.csv", normalised=True)
    assert wr.read_boxes(tmp_path / "own.csv", normalised=False).corners[0, 0] == 0.25
    (tmp_path / "own.csv").write_text("image,label,cx,cy,w,h\na,mass,50,50,50,25\n")
    with pytest.raises(UsageError, match=r"coordinates are up to 75: .* image_size=\(100, 100\)"):
        wr.read_boxes(tmp_path / "own.csv", index, normalised=True)
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(UsageError, match="unknown size of image 'b'"):
        wr.read_boxes(tmp_path / "own.csv", index, normalised=True)


def test_sizes_that_a_table_states_are_checked(make_index: Make, tmp_path: Path) -> None:
    index = make_index({"a.dcm": {"rows": 40, "columns": 80}})
    text = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,{},{},mass,1,2,4,6\n"
    (tmp_path / "own.csv").write_text(text.format(80, 40))
    assert rows(wr.read_boxes(tmp_path / "own.csv", index)) == [("a.jpg", *ONE[0][1:])]
    (tmp_path / "own.csv").write_text(text.format(40, 20))
    with pytest.raises(UsageError, match=r"another size than in the label file: 'a.jpg'"):
        wr.read_boxes(tmp_path / "own.csv", index)
    boxes = wr.read_boxes(tmp_path / "own.csv", index, image_size=(20, 40))
    assert boxes.corners.tolist() == [[2, 4, 8, 12]]


def test_points() -> None:
    """Whole numbers are the centres of pixels."""
    frame = pd.DataFrame({"image": ["a"], "label": ["L4"], "x": [10], "y": [20]})
    (row,) = wr.read_boxes(frame).table.to_pylist()
    assert (row["kind"], row["x0"], row["y0"], row["x1"], row["y1"]) == (
        "point",
        10.5,
        20.5,
        10.5,
        20.5,
    )


def test_other_columns_are_kept() -> None:
    frame = pd.DataFrame(
        {
            "image": ["a", "a"], "label": ["m", "m"], "x": [1, 1], "y": [2, 2], "w": [3, 3],
            "h": [4, 4], "reader": ["R1", None], "score": [0.5, np.nan], "frame": [3, pd.NA],
            "difficult": [1, 0], "split": ["training", "test"], "class_id": [7.0, 7.0],
        }
    )  # fmt: skip
    boxes = wr.read_boxes(frame)
    assert boxes.classes == (("7", "m"),)
    for name, values in {
        "reader": ["R1", None], "score": [0.5, None], "frame": [3, None], "ignore": [True, False],
        "part": ["train", "test"],
    }.items():  # fmt: skip
        assert boxes.table[name].to_pylist() == values


def test_json_lines_by_pandas(tmp_path: Path) -> None:
    """Lines of JSON, read as the error for them recommends."""
    line = '{"image": "007", "label": "mass", "bbox": [1, 2, 3, 4]}'
    (tmp_path / "own.jsonl").write_text(f"{line}\n{line}\n")
    frame = pd.read_json(tmp_path / "own.jsonl", lines=True, dtype=False)
    assert rows(wr.read_boxes(frame, form="xywh")) == [("007", "mass", 1, 2, 4, 6)] * 2


def test_a_column_of_any_name_and_many_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("image,{x},y,w,h\n" + "a,one,2,3,4\n" * 30_000 + "b,1,2,3,4")
    boxes = wr.read_boxes(tmp_path / "own.csv", columns={"x": "{x}", "y": "y", "w": "w", "h": "h"})
    flags = boxes.table["flags"].to_pylist()
    assert flags[0] == ["unreadable: {x} of line 2 is not a number: 'one'"]
    assert [bool(f) for f in flags] == [True] * 30_000 + [False]


number = st.floats(-1e6, 1e6)
box = st.tuples(
    st.text("abc ,;'\"=ß", min_size=1, max_size=5).map(str.strip).filter(bool),
    st.sampled_from(["mass", "ILD, left", "größer"]),
    st.none() | st.sampled_from(["R1", "R2"]),
    *[number] * 4,
    st.none() | st.floats(0, 1),
    st.booleans(),
    st.lists(st.sampled_from(["truncated", "difficult"]), max_size=2),
    st.none() | st.integers(0, 9),
)


@settings(max_examples=20)
@given(st.lists(box, max_size=6))
def test_to_pandas_and_back(drawn: list[Any]) -> None:
    names = ("key", "label", "reader", "x0", "y0", "x1", "y1", "score", "ignore", "flags", "frame")
    boxes = Boxes.from_columns({n: [row[i] for row in drawn] for i, n in enumerate(names)})
    for again in (
        Boxes.from_pandas(boxes.to_pandas()),
        wr.read_boxes(boxes.to_pandas()),
    ):
        assert again.table.to_pylist() == boxes.table.to_pylist()


@pytest.mark.parametrize("column", ["kind", "ignore", "flags", "frame", "score", "x0"])
def test_one_odd_cell_of_to_pandas_is_one_row(column: str) -> None:
    frame = Boxes.from_pandas(pd.DataFrame([ONE[0]] * 2, columns=["image", "label", *"xywh"]))
    odd = frame.to_pandas().astype(object)
    odd.loc[0, column] = "(1"
    boxes = Boxes.from_pandas(odd)
    assert rows(boxes) == [("a", "mass", *(None,) * 4), ("a", "mass", 1, 2, 5, 8)]
    assert boxes.check()["code"].tolist() == ["BOX_UNREADABLE"]


@settings(max_examples=40)
@given(st.text(st.sampled_from("image,label;xywh\n\t\"'[]{}:0123.5 "), max_size=80))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("labels") / "a.csv"
    for start in ("", "image,label,x,y,w,h\n", "image;label;boxes\n"):
        path.write_text(start + text)
        with contextlib.suppress(UsageError):
            wr.read_boxes(path).check()


def test_bad_usage(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": ["a"], "label": ["m"], "x": [1], "y": [2], "w": [3], "h": [4]})
    for options, message in (
        ({"columns": {"image": "imag"}}, "unknown column 'imag'; did you mean image"),
        ({"columns": {"picture": "image"}}, "unknown role of a column 'picture'"),
        ({"form": "xyhw"}, "unknown form 'xyhw'; did you mean"),
        ({"columns": {"x0": "x", "y0": "y", "x1": "w"}}, "columns= lacks y1: a box has four"),
        ({"normalised": True, "image_size": 5}, "image_size does not apply"),
    ):
        with pytest.raises(UsageError, match=message):
            wr.read_boxes(frame, **options)  # type: ignore[arg-type]
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(
        UsageError, match="columns, form and normalised are for tables, not for coco"
    ):
        wr.read_boxes(tmp_path / "a.json", form="xywh")
    with pytest.raises(UnknownNameError):
        map_roles(["a"], {"image": "b"}, None)

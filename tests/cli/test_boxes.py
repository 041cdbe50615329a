from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import wetread as wr
from wetread.boxes import Boxes
from wetread.cli import main

LABELS = """\
image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max
a,ILD,5,R1,10,10,30,30
a,ILD,5,R2,10,10,30,32
a,No finding,14,R3,,,,
b,Mass,8,R1,0,0,99,20
"""


@pytest.fixture
def folder(
    make_index: Callable[..., wr.Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Current folder with labels.csv and pictures.index."""
    make_index({f"{n}.dcm": {} for n in "ab"}, tmp_path / "pictures.index")
    (tmp_path / "labels.csv").write_text(LABELS)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["boxes", *arguments])


IMAGES = ("--images", "pictures.index")


@pytest.mark.usefixtures("folder")
def test_counts() -> None:
    result = run("labels.csv")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        '3 boxes, 1 "nothing found", on 2 images (vinbigdata)',
        "        2  ILD",
        "        1  Mass",
        "3 readers, by rows: R1 2, R2 1, R3 1",
    ]


@pytest.mark.usefixtures("folder")
def test_boxes_without_a_label_are_counted() -> None:
    Path("own.csv").write_text("file,xmin,ymin,xmax,ymax,ILD\na,1,2,3,4,1\n")
    assert (
        "1  without a label: name its column with --columns label=COLUMN" in run("own.csv").output
    )


@pytest.mark.usefixtures("folder")
def test_json_output() -> None:
    result = run("labels.csv", *IMAGES, "--check", "--agreement", "--consensus", "wbf", "--json")
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert output["labels"] == {"ILD": 2, "Mass": 1}
    assert [row["code"] for row in output["problems"]] == ["BOX_OUTSIDE"]
    pair = next(row for row in output["agreement"] if row["reader_b"] == "R2")
    assert (pair["label"], pair["matched"], pair["kappa"]) == ("ILD", 1, None)
    assert (output["consensus"]["boxes"], output["consensus"]["nothing"]) == (2, 0)
    assert output["consensus"]["readers"] == {}


@pytest.mark.usefixtures("folder")
def test_text_output() -> None:
    lines = run("labels.csv", *IMAGES, "--check", "--agreement", "--consensus", "nms").output
    assert "error    BOX_OUTSIDE  b, Mass, R1, 0, 0, 99, 20 in 60 x 40 pixels" in lines
    assert "matched_share" in lines
    assert '2 boxes, 0 "nothing found", on 2 images' in lines
    assert "No problems." in run("labels.csv", "--check").output


@pytest.mark.usefixtures("folder")
def test_fail_on() -> None:
    assert run("labels.csv", *IMAGES, "--fail-on", "box_outside").exit_code == 3
    assert run("labels.csv", *IMAGES, "--fail-on", "BOX_EMPTY").exit_code == 0
    assert run("labels.csv", *IMAGES, "--fail-on", "any").exit_code == 3
    result = run("labels.csv", "--fail-on", "TRUNCATED")
    assert result.exit_code == 2
    assert "unknown problem code" in result.output


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("out", "to"),
    [
        ("out.parquet", None),
        ("out.json", None),
        ("out.json", "coco"),
        ("out", "yolo"),
        ("out", "voc"),
        ("out", "dicom-sr"),
        ("out", "annotations"),
    ],
)
def test_every_output_format(out: str, to: str | None) -> None:
    forms = [] if to is None else ["--to", to]
    forms += ["--reader", "R1"] if to == "annotations" else []
    written = run("labels.csv", *IMAGES, "--consensus", "wbf", "-o", out, *forms)
    assert written.exit_code == 0, written.output
    assert f"Written to {out}" in written.output
    again = wr.read_boxes(out, wr.Index.open("pictures.index"))
    places = dict(zip(again.table["label"].to_pylist(), again.corners.tolist(), strict=True))
    assert set(places) == {"ILD", "Mass"}
    assert places["ILD"] == pytest.approx([10, 10, 30, 31])


@pytest.mark.usefixtures("folder")
def test_problems_of_writing_are_printed() -> None:
    from wetread.testing.dicom import changed, dicom_file, picture

    bare = changed(picture(3, 40, 60), without=["StudyInstanceUID"])
    Path("pictures", "a.dcm").write_bytes(dicom_file(bare))
    wr.scan("pictures", "pictures.index", workers=0, progress=False)
    result = run("labels.csv", *IMAGES, "-o", "sr", "--to", "dicom-sr", "--fail-on", "UID_MADE")
    assert "UID_MADE  a, no StudyInstanceUID" in result.output
    assert result.exit_code == 3


@pytest.mark.usefixtures("folder")
def test_several_runs_are_ensembled() -> None:
    for name, score in (("one", 0.9), ("two", 0.5)):
        row = {"key": ["a"], "label": ["ILD"], "score": [score]}
        place = {"x0": [1], "y0": [1], "x1": [9], "y1": [9]}
        Boxes.from_columns({**row, **place}).save(f"{name}.parquet")
    result = run("one.parquet", "two.parquet", "--consensus", "wbf", "-o", "both.parquet")
    assert result.exit_code == 0, result.output
    assert Boxes.open("both.parquet").table["score"].to_pylist() == pytest.approx([0.7])


@pytest.mark.usefixtures("folder")
def test_image_size_scales_boxes() -> None:
    for size, end in (("30", 60), ("20x20", 90)):
        run("labels.csv", *IMAGES, "--image-size", size, "-o", "out.parquet")
        assert Boxes.open("out.parquet").corners[0, 2] == end


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument"),
        (("none.csv",), "no such file"),
        (("labels.csv", "--images", "none.index"), "none.index"),
        (("labels.csv", "--format", "cocoo"), "did you mean coco"),
        (("labels.csv", "--image-size", "1x2x3"), "give the longest side or ROWSxCOLUMNS"),
        (("labels.csv", "--image-size", "30"), "needs --images INDEX"),
        (("labels.csv", "--consensus", "vote"), "unknown consensus 'vote'"),
        (("labels.csv", "--iou", "2", "--consensus", "wbf"), "iou must be"),
        (("labels.csv", "-o", "out"), "a .parquet, a .json, or a folder with --to"),
        (("labels.csv", "-o", "out.json", "--to", "yolo"), "a .parquet, a .json, or a folder"),
        (("labels.csv", "-o", "out", "--to", "voc"), "--to voc needs --images"),
        (("labels.csv", "--to", "voc"), "add -o OUT"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output.replace("\n", " ")
    assert not Path("out").exists()


@pytest.mark.usefixtures("folder")
def test_long_lists_of_problems_are_truncated() -> None:
    lines = [f"x{n},ILD,5,R1,1,1,1,1" for n in range(30)]
    Path("labels.csv").write_text("\n".join([LABELS.splitlines()[0], *lines]))
    result = run("labels.csv", "--check")
    assert result.output.count("error    BOX_EMPTY") == 20
    assert "BOX_EMPTY  10 more; --json lists all" in result.output
    assert len(json.loads(run("labels.csv", "--check", "--json").stdout)["problems"]) == 30


@pytest.mark.usefixtures("folder")
def test_control_characters_in_labels_are_escaped() -> None:
    Path("labels.csv").write_text(LABELS.replace("Mass", "\x1b[2J"))
    assert "\\x1b[2J" in run("labels.csv", *IMAGES, "--check").output
    assert "\x1b" not in run("labels.csv", *IMAGES, "--check").output


@pytest.mark.usefixtures("folder")
def test_any_table_by_a_map_of_its_columns() -> None:
    Path("own.csv").write_text("scan;what;p;q;r;s\na;Mass;0,5;0,5;0,5;0,25\n")
    columns = ("--columns", "image=scan,label=what,cx=p,cy=q,w=r,h=s", *IMAGES)
    result = run("own.csv", *columns, "--normalised", "-o", "own.parquet")
    assert result.exit_code == 0, result.output
    assert Boxes.open("own.parquet").corners.tolist() == [[15, 15, 45, 25]]
    assert "give --normalised" in run("own.csv", *columns).output
    pixels = run("own.csv", *columns, "--pixels", "-o", "own.parquet")
    assert pixels.exit_code == 0, pixels.output
    assert Boxes.open("own.parquet").corners.tolist() == [[0.25, 0.375, 0.75, 0.625]]
    Path("list.csv").write_text('image,label,bbox\na,Mass,"[1, 2, 3, 4]"\n')
    assert "give --form xywh" in run("list.csv", *IMAGES).output
    assert run("list.csv", "--form", "xywh").exit_code == 0
    assert run("own.csv", "--columns", "image").exit_code == 2

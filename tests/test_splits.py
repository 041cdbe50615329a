from __future__ import annotations

import random
import warnings
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wetread as wr
from wetread.boxes import Boxes
from wetread.errors import UnknownNameError, UsageError
from wetread.splits import assign
from wetread.testing import dicom_file, element, picture
from wetread.testing.dicom import DEFLATED, changed

Make = Callable[..., wr.Index]
HALVES = {"left": 0.5, "right": 0.5}


def sides(index: wr.Index, column: str = "part") -> dict[str, Any]:
    return dict(zip(*(index.table[name].to_pylist() for name in ("path", column)), strict=True))


def patients(count: int, images: int = 2, **more: Any) -> dict[str, dict[str, Any]]:
    return {
        f"{p}-{n}.dcm": {"PatientID": f"P{p}", **more} for p in range(count) for n in range(images)
    }


def test_no_patient_is_in_two_parts(make_index: Make) -> None:
    index = wr.split(make_index(patients(10)))
    found = sides(index)
    assert set(found.values()) == {"train", "valid"}
    assert Counter(found.values()) == {"train": 16, "valid": 4}
    assert all(found[f"{p}-0.dcm"] == found[f"{p}-1.dcm"] for p in range(10))
    assert index.query('SELECT DISTINCT "group" AS g FROM index ORDER BY g')["g"].tolist() == [
        f"P{p}" for p in range(10)
    ]
    assert index.schema.field("group").metadata == {
        b"by": b"PatientID",
        b"why": b"every image has one",
        b"seed": b"0",
    }
    assert index.leaks().empty


def test_identical_pixels_stay_together(make_index: Make) -> None:
    """Identical pixels in files of two patients that differ in everything else."""
    pictures = patients(12, 1)
    for p in range(0, 12, 2):
        for name in (f"{p}-0.dcm", f"{p + 1}-0.dcm"):
            pictures[name]["pixels"] = bytes([p, 1]) * 2400
            pictures[name]["StudyDescription"] = "x" * (2 * p)
    index = wr.split(make_index(pictures), parts=HALVES)
    found = sides(index)
    assert all(found[f"{p}-0.dcm"] == found[f"{p + 1}-0.dcm"] for p in range(0, 12, 2))
    assert Counter(found.values()) == {"left": 6, "right": 6}
    assert index.leaks().empty
    # they are still two groups each
    assert index.query('SELECT count(DISTINCT "group") AS n FROM index')["n"][0] == 12


def test_chains_of_patients_and_pictures_stay_together(make_index: Make) -> None:
    pictures = patients(4, 2)
    same = bytes([7, 7]) * 2400, bytes([8, 8]) * 2400
    pictures["0-0.dcm"]["pixels"] = pictures["1-0.dcm"]["pixels"] = same[0]
    pictures["1-1.dcm"]["pixels"] = pictures["2-0.dcm"]["pixels"] = same[1]
    found = sides(wr.split(make_index(pictures), parts=HALVES))
    assert len({found[f"{p}-{n}.dcm"] for p in range(3) for n in range(2)}) == 1
    assert len({found[f"3-{n}.dcm"] for n in range(2)}) == 1


def test_measured_pixels_are_compared_across_transfer_syntaxes(
    real_file: Callable[[str], Path], tmp_path: Path, make_index: Make
) -> None:
    make_index(patients(4, 1))
    names = ("MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm")
    for name in names:
        (tmp_path / "pictures" / name).write_bytes(real_file(name).read_bytes())
    index = wr.scan(tmp_path / "pictures", workers=0, progress=False)
    measured = index.measure(workers=1, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sides(wr.split(measured, folds=4, by="SOPInstanceUID"), "fold")
    assert len({found[name] for name in names}) == 1


def test_measured_and_unmeasured_images_are_compared(make_index: Make, tmp_path: Path) -> None:
    index = make_index(patients(3, 1), tmp_path / "i").measure(workers=1, progress=False)
    new = pydicom.dcmread(tmp_path / "pictures" / "0-0.dcm")
    new.PatientID = "New"
    new.save_as(tmp_path / "pictures" / "new.dcm")
    index = wr.scan(tmp_path / "pictures", tmp_path / "i", workers=0, progress=False)
    assert index.table["px_xxh3"].null_count == 1
    found = sides(wr.split(index, folds=3), "fold")
    assert found["0-0.dcm"] == found["new.dcm"]


def test_members_of_archives_are_compared(tmp_path: Path, make_index: Make) -> None:
    pictures = patients(4, 1)
    pictures["0-0.dcm"]["pixels"] = pictures["1-0.dcm"]["pixels"] = bytes([7, 7]) * 2400
    make_index(pictures)
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((tmp_path / "pictures").iterdir()):
            archive.write(path, path.name)
    index = wr.split(wr.scan(tmp_path / "all.zip", progress=False), parts=HALVES)
    found = dict(index.query("SELECT member, part FROM index").itertuples(index=False))
    assert found["0-0.dcm"] == found["1-0.dcm"]
    (tmp_path / "all.zip").write_bytes(b"PK\x05\x06 damaged")
    assert len(sides(wr.split(index, parts=HALVES))) == 1  # an archive that cannot be read any more


def test_deflated_pixels_of_undefined_length(tmp_path: Path, make_index: Make) -> None:
    """Their position in the file is unknown."""
    make_index(patients(4, 1))
    for number, name in enumerate(("x.dcm", "y.dcm"), 5):
        pixels = element("PixelData", [b"", bytes(4800)], vr="OB")
        elements = changed(picture(number, 40, 60), pixels, element("PatientID", name))
        (tmp_path / "pictures" / name).write_bytes(dicom_file(elements, DEFLATED))
    index = wr.scan(tmp_path / "pictures", workers=0, progress=False)
    extents = index.where("pixel_length < 0").table.select(["pixel_offset", "pixel_length"])
    assert extents.to_pylist() == 2 * [{"pixel_offset": None, "pixel_length": -1}]
    index = wr.split(index, parts=HALVES)
    assert set(sides(index).values()) == {"left", "right"}
    assert index.leaks().empty


@pytest.mark.parametrize(
    ("elements", "by", "why"),
    [
        ({"PatientID": None}, "StudyInstanceUID", "PatientID is absent or blank; images of one"),
        ({"PatientID": "X"}, "StudyInstanceUID", "PatientID is the same everywhere; images of one"),
        (
            {"PatientID": "", "StudyInstanceUID": None},
            "image",
            "PatientID and StudyInstanceUID are absent or blank; images of one patient may be in",
        ),
    ],
)
def test_warning_without_patients(
    make_index: Make, elements: dict[str, Any], by: str, why: str
) -> None:
    index = make_index({f"{n}.dcm": elements for n in range(5)})
    with pytest.warns(UserWarning, match=f"split by {by}: {why}"):
        split = wr.split(index)
    how = split.schema.field("group").metadata
    assert how[b"by"].decode() == by
    assert how[b"why"].decode().startswith(why)


def test_by_another_column(make_index: Make) -> None:
    index = make_index(patients(6, 2))
    for n, name in enumerate(sorted(patients(6, 2))):
        assert name == f"{n // 2}-{n % 2}.dcm"
    split = wr.split(index, by="InstanceNumber", parts=HALVES)
    assert split.schema.field("group").metadata[b"by"] == b"InstanceNumber"
    assert not split.leaks().empty  # a patient's images have different numbers
    assert split.leaks(by="InstanceNumber").empty
    assert not wr.split(index, by="path", parts=HALVES).leaks(by="PatientID").empty
    with pytest.raises(UnknownNameError, match="did you mean PatientID"):
        wr.split(index, by="PatientId")


def labelled(index: wr.Index, counts: dict[str, int]) -> Boxes:
    """Boxes with so many images per label, and "nothing" on the others."""
    ids = index.table["id"].to_pylist()
    rows = []
    for number, id_ in enumerate(ids):
        labels = [label for label, count in counts.items() if number % len(ids) < count]
        rows += [(id_, label, "box") for label in labels] or [(id_, None, "nothing")]
    names = ("image", "label", "kind")
    return Boxes.from_columns({n: [row[i] for row in rows] for i, n in enumerate(names)})


def test_labels_are_spread_evenly(make_index: Make) -> None:
    index = make_index(patients(50, 1))
    boxes = labelled(index, {"common": 40, "some": 20, "rare": 5})
    split = wr.split(index, boxes)
    part = dict(split.query("SELECT id, part FROM index").itertuples(index=False))
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in boxes.table.to_pylist():
        counts[row["label"] or "nothing"][part[row["image"]]] += 1
    for label, share in (("common", 8), ("some", 4), ("rare", 1), ("nothing", 2)):
        assert counts[label]["valid"] == share, label


def test_folds(make_index: Make) -> None:
    split = wr.split(make_index(patients(10)), folds=5)
    assert Counter(sides(split, "fold").values()) == dict.fromkeys(range(5), 4)
    assert set(sides(split).values()) == {None}
    assert split.leaks("fold").empty
    with pytest.raises(UsageError, match="no image has a 'part'; after a split into folds"):
        split.leaks()


def test_result_does_not_depend_on_the_order(make_index: Make) -> None:
    index = make_index(patients(20, 1))
    first = sides(wr.split(index))
    assert sides(wr.split(index)) == first
    assert sides(wr.split(index[::-1])) == first
    assert sides(wr.split(index, seed=1)) != first
    boxes = labelled(index, {"A": 8, "B": 3})
    places = random.Random(0).sample(range(len(boxes)), len(boxes))
    shuffled = Boxes(boxes.table.take(places))
    assert sides(wr.split(index, shuffled)) == sides(wr.split(index, boxes))


def test_rows_without_pixels_are_in_no_part(small_folder: Path) -> None:
    index = wr.scan(small_folder, progress=False)
    found = sides(wr.split(index, parts=HALVES))
    assert found["rtplan.dcm"] is None
    assert found["README.txt"] is None
    assert {found["CT_small.dcm"], found["JPEG2000.dcm"]} <= set(HALVES)


def test_split_of_an_index_on_disk(make_index: Make, tmp_path: Path) -> None:
    index = make_index(patients(5), tmp_path / "kept.index")
    found = sides(wr.split(index))
    again = wr.Index.open(tmp_path / "kept.index")
    assert sides(again) == found
    assert again.schema.field("group").metadata[b"by"] == b"PatientID"
    # another split takes its place
    wr.split(again, folds=2)
    again = wr.Index.open(tmp_path / "kept.index")
    assert set(sides(again).values()) == {None}
    assert set(sides(again, "fold").values()) == {0, 1}


@pytest.fixture
def planted(make_index: Make, tmp_path: Path) -> wr.Index:
    """Index with leaks: patient 0, and an image shared by patients 1 and 2."""
    from wetread.splits import _store  # as the split of another version would write it

    pictures = patients(4, 2)
    pictures["1-0.dcm"]["pixels"] = pictures["2-0.dcm"]["pixels"] = bytes([9, 9]) * 2400
    index = make_index(pictures)
    import pyarrow as pa

    given = {"0-0.dcm": "valid", "1-0.dcm": "valid", "1-1.dcm": "valid"}
    names = index.table["path"].to_pylist()
    part = pa.table({"id": index.table["id"], "part": [given.get(n, "train") for n in names]})
    return _store(index, part)


def test_planted_leaks_are_found(planted: wr.Index) -> None:
    leaks = planted.leaks()
    assert leaks[["code", "shared", "part", "path"]].values.tolist() == [
        ["LEAK_GROUP", "P0", "train", "0-1.dcm"],
        ["LEAK_GROUP", "P0", "valid", "0-0.dcm"],
        ["LEAK_PIXELS", "1-0.dcm", "train", "2-0.dcm"],
        ["LEAK_PIXELS", "1-0.dcm", "valid", "1-0.dcm"],
    ]
    ids = dict(planted.query("SELECT path, id FROM index").itertuples(index=False))
    assert leaks["id"].tolist() == [ids[path] for path in leaks["path"]]


def test_wrong_usage(make_index: Make, small_folder: Path) -> None:
    index = make_index(patients(3, 1))
    for parts in ({"a": 1.0}, {"a": 0.5, "b": 0.4}, {"a": 1.2, "b": -0.2}):
        with pytest.raises(UsageError, match="add up to 1"):
            wr.split(index, parts=parts)
    with pytest.raises(UsageError, match="parts or folds, not both"):
        wr.split(index, parts=HALVES, folds=2)
    with pytest.raises(UsageError, match="folds must be at least 2"):
        wr.split(index, folds=1)
    with pytest.raises(UsageError, match="3 groups cannot be split into 4 parts"):
        wr.split(index, folds=4)
    with pytest.raises(UsageError, match=r"call boxes.join\(index\)"):
        wr.split(index, Boxes.from_columns({"key": ["a"]}))
    with pytest.raises(UsageError, match="no image to split"):
        wr.split(wr.scan(small_folder / "README.txt", progress=False))
    with pytest.raises(UnknownNameError, match="part"):
        index.leaks()


groups = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 4)), min_size=3, max_size=40
)


@settings(deadline=None)
@given(groups, st.sampled_from([(0.8, 0.2), (0.5, 0.3, 0.2), (0.25,) * 4]), st.integers(0, 9))
def test_sizes_of_parts(rows: Any, shares: tuple[float, ...], seed: int) -> None:
    counts = np.array([[min(a, n), min(b, n), n] for a, b, n in rows], np.int64)
    rank = np.random.default_rng(seed).permutation(len(counts))
    part = assign(counts, np.array(shares), rank)
    if len(counts) >= len(shares):
        assert set(part) == set(range(len(shares)))
    # no part is off by more than one group of each label, and one
    for number, share in enumerate(shares):
        images = counts[part == number, -1].sum()
        assert abs(images - share * counts[:, -1].sum()) <= 3 * counts[:, -1].max() + len(shares)

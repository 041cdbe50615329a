"""Columns from functional groups, held to what pydicom finds in every frame."""

from __future__ import annotations

import copy
import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pydicom
import pydicom.data
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

import wetread as wr
from wetread.headers.macros import MACROS, VARYING
from wetread.headers.reading import read_headers
from wetread.settings import Settings
from wetread.sources.find import SOURCE_SCHEMA

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
EXPLICIT, IMPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
)  # fmt: skip
VALUES: dict[str, Any] = {
    "ImagePositionPatient": [-10, 5, 2.5],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": [0.5, 0.6],
    "SliceThickness": 2.5,
    "SpacingBetweenSlices": 3,
    "StackID": "1",
    "InStackPositionNumber": 7,
    "TemporalPositionIndex": 1,
    "DimensionIndexValues": [1, 2],
    "FrameAcquisitionNumber": 4,
    "FrameAcquisitionDateTime": "20200131101530.5",
    "FrameReferenceDateTime": "20200131101531",
    "FrameType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"],
    "EchoTime": 90,
    "EffectiveEchoTime": 90.5,
    "TemporalPositionIdentifier": 3,
    "TriggerTime": 40,
    "ContentTime": "101530",
    "DiffusionBValue": 0.0,
    "DiffusionDirectionality": "NONE",
    "DiffusionGradientOrientation": [0.0, 0.0, 1.0],
    "NominalPercentageOfCardiacPhase": 12.5,
    "NominalCardiacTriggerDelayTime": 350.0,
    "WindowCenter": [40, 300],
    "WindowWidth": [400, 1500],
    "VOILUTFunction": "SIGMOID",
    "RescaleSlope": 2,
    "RescaleIntercept": -1024,
    "RescaleType": "HU",
}
"""A value for every element of the macros."""


def put(group: Dataset, keyword: str, value: Any, macro: int = 0) -> None:
    """Set an element in its macro."""
    paths = MACROS[keyword]
    for sequence in paths[macro % len(paths)].split("/"):
        if sequence not in group:
            setattr(group, sequence, Sequence([Dataset()]))
        group = group[sequence][0]
    setattr(group, keyword, value)


def image(
    shared: dict[str, Any] | None, frames: list[dict[str, Any]] | None, macro: int = 0
) -> Dataset:
    """Enhanced MR of 2 x 2 pixels."""
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4.1", "2.25.1"
    data_set.Modality, data_set.PatientID = "MR", "P1"
    data_set.Rows = data_set.Columns = 2
    data_set.BitsAllocated = data_set.BitsStored = 16
    data_set.HighBit, data_set.PixelRepresentation, data_set.SamplesPerPixel = 15, 0, 1
    data_set.PhotometricInterpretation = "MONOCHROME2"
    data_set.NumberOfFrames = len(frames or [{}])
    for name, items in (("Shared", [shared] if shared is not None else []), ("PerFrame", frames)):
        if items is None:
            continue
        groups = [Dataset() for _ in items]
        for group, values in zip(groups, items, strict=True):
            for keyword, value in values.items():
                put(group, keyword, value, macro)
        setattr(data_set, f"{name}FunctionalGroupsSequence", Sequence(groups))
    data_set.PixelData = bytes(8 * len(frames or [{}]))
    return data_set


def written(data_set: Dataset, syntax: str = EXPLICIT, undefined: bool = False) -> bytes:
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    data_set.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    for element in data_set.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined
    file = io.BytesIO()
    pydicom.dcmwrite(file, data_set, enforce_file_format=True)
    return file.getvalue()


Scan = Callable[..., dict[str, Any]]


@pytest.fixture
def scan_one(tmp_path: Path) -> Scan:
    def scan(data: Dataset | bytes, **options: Any) -> dict[str, Any]:
        data = data if isinstance(data, bytes) else written(data)
        (tmp_path / "one.dcm").write_bytes(data)
        (row,) = wr.scan(tmp_path, workers=0, progress=False, **options).table.to_pylist()
        return row

    return scan


def codes(row: dict[str, Any]) -> list[str]:
    return [problem["code"] for problem in row["problems"]]


def check_all(row: dict[str, Any]) -> None:
    """The row has all of `VALUES`."""
    for keyword, value in VALUES.items():
        assert row[keyword] == value, keyword
    assert row["from_functional_groups"] == sorted(VALUES, key=pydicom.datadict.tag_for_keyword)
    assert (row["b_value"], codes(row), row["read_status"]) == (0.0, [], "ok")


@pytest.mark.parametrize("where", ["shared", "per frame", "both"])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize("undefined", [False, True], ids=["lengths", "delimiters"])
def test_every_element_of_the_macros(
    where: str, syntax: str, undefined: bool, scan_one: Scan
) -> None:
    shared = {k: v for n, (k, v) in enumerate(VALUES.items()) if where != "both" or n % 2}
    frames = [{k: v for k, v in VALUES.items() if where != "both" or k not in shared}] * 3
    empty: list[dict[str, Any]] = [{}, {}, {}]
    data_set = image({} if where == "per frame" else shared, empty if where == "shared" else frames)
    data = written(data_set, syntax, undefined)
    check_all(scan_one(data))
    check_all(scan_one(data, private=True, sequences=True))
    check_all(scan_one(data, settings=Settings(windows=(64, 64))))


@pytest.mark.parametrize("keyword", MACROS)
def test_every_macro_that_has_an_element(keyword: str, scan_one: Scan) -> None:
    for macro in range(len(MACROS[keyword])):
        row = scan_one(image({keyword: VALUES[keyword]}, None, macro))
        assert row[keyword] == VALUES[keyword]


@pytest.mark.parametrize("keyword", VALUES)
def test_values_that_differ_are_null(keyword: str, scan_one: Scan) -> None:
    frames = [dict(VALUES) for _ in range(4)]
    value = frames[2][keyword]
    other = [*value[:-1], other_of(value[-1])] if isinstance(value, list) else other_of(value)
    frames[2][keyword] = other
    row = scan_one(image({}, frames))
    assert row.get(keyword) is None
    assert len(row["from_functional_groups"]) == len(VALUES) - 1
    assert codes(row) == ["FRAMES_VARY"] * (keyword in VARYING)
    if keyword in VARYING:
        (problem,) = row["problems"]
        assert problem["text"] == f"frames differ in {keyword}"
        assert problem["tag"] == "5200,9230"


def other_of(value: Any) -> Any:
    return value + 1 if not isinstance(value, str) else f"{value[:-1]}2"


def test_a_value_that_some_frames_lack(scan_one: Scan) -> None:
    row = scan_one(image({}, [{"DiffusionBValue": 0.0}, {}]))
    assert (row["b_value"], codes(row)) == (None, ["FRAMES_VARY"])
    shared = scan_one(image({"DiffusionBValue": 0.0}, [{"DiffusionBValue": 0.0}, {}]))
    assert (shared["b_value"], codes(shared)) == (0.0, [])
    other = scan_one(image({"DiffusionBValue": 1.0}, [{"DiffusionBValue": 0.0}, {}]))
    assert (other["b_value"], codes(other)) == (None, ["FRAMES_VARY"])


def test_fewer_items_than_frames(scan_one: Scan) -> None:
    data_set = image({"RescaleSlope": 2}, [{"PixelSpacing": [1, 1]}] * 3)
    data_set.NumberOfFrames = 5
    data_set.PixelData = bytes(40)
    row = scan_one(data_set)
    assert (row["PixelSpacing"], row["RescaleSlope"]) == (None, 2)
    assert codes(row) == ["FRAMES_VARY"]


def test_numbers_are_equal_however_they_are_written(scan_one: Scan) -> None:
    frames = [{"PixelSpacing": ["0.5", "1"]}, {"PixelSpacing": ["0.50 ", "1.0"]}]
    assert scan_one(image({}, frames))["PixelSpacing"] == [0.5, 1]


def test_the_data_set_comes_first(scan_one: Scan) -> None:
    data_set = image({"PixelSpacing": [1, 1], "SliceThickness": 2}, [{}])
    data_set.PixelSpacing, data_set.SliceThickness = [3, 4], None
    row = scan_one(data_set)
    assert (row["PixelSpacing"], row["SliceThickness"]) == ([3, 4], 2)
    assert row["from_functional_groups"] == ["SliceThickness"]
    assert codes(row) == []


def test_empty_groups(scan_one: Scan) -> None:
    for data_set in (image({}, []), image(None, [{}, {}]), image({"PixelSpacing": None}, [{}])):
        row = scan_one(data_set)
        assert (row["PixelSpacing"], row["from_functional_groups"], codes(row)) == (None, [], [])


def test_elements_outside_their_macro_do_not_count(scan_one: Scan) -> None:
    """Philips nests classic elements in a private sequence of every frame."""
    data_set = image({"SliceThickness": 2}, [{"RescaleSlope": 2}, {"RescaleSlope": 2}])
    inner = Dataset()
    inner.RescaleSlope, inner.PixelSpacing = 5, [9, 9]
    put(inner, "WindowCenter", 7)
    for group in (
        *data_set.PerFrameFunctionalGroupsSequence, *data_set.SharedFunctionalGroupsSequence,
    ):  # fmt: skip
        block = group.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
        block.add_new(0x0F, "SQ", Sequence([copy.deepcopy(inner)]))
        group.PixelSpacing = [8, 8]  # directly in the item
        group.PlanePositionSequence = Sequence([copy.deepcopy(inner)])
    for undefined in (False, True):
        row = scan_one(written(data_set, undefined=undefined))
        names = row["from_functional_groups"]
        assert (row["RescaleSlope"], names) == (2, ["SliceThickness", "RescaleSlope"])


def test_a_value_that_does_not_parse(scan_one: Scan) -> None:
    data = written(image({"SliceThickness": "22222"}, [{}])).replace(b"22222", b"thick")
    row = scan_one(data)
    assert (row["SliceThickness"], codes(row)) == (None, ["BAD_NUMBER"])
    assert row["invalid"] == [{"keyword": "SliceThickness", "raw": b"thick "}]


@pytest.mark.parametrize("undefined", [False, True], ids=["lengths", "delimiters"])
def test_cut_files(undefined: bool, scan_one: Scan) -> None:
    data = written(image({"RescaleSlope": 2}, [{"PixelSpacing": [1, 1]}] * 9), undefined=undefined)
    start = data.index(b"\x00\x52\x30\x92")
    for end in range(start + 12, data.index(b"\xe0\x7f\x10\x00"), 7):
        row = scan_one(data[:end])
        assert row["RescaleSlope"] == 2
        assert row["PixelSpacing"] is None
        assert row["read_status"] == "partial"


def test_more_elements_than_the_limit(scan_one: Scan) -> None:
    """Groups with a length are left, and the pixels are found behind them."""
    data = written(image({"RescaleSlope": 2}, [{"PixelSpacing": [1, 1]}] * 50))
    row = scan_one(data, settings=Settings(header_elements=60))
    assert (row["RescaleSlope"], row["PixelSpacing"]) == (2, None)
    assert "ELEMENT_LIMIT" in codes(row)
    assert data[row["pixel_offset"] :] == bytes(8 * 50)


def test_many_frames_with_long_values(scan_one: Scan) -> None:
    frames = [{"StackID": "1", "PixelSpacing": [1, 1]}] * 2000
    assert scan_one(image({}, frames))["PixelSpacing"] == [1, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        long = written(image({"FrameType": ["A" * 16] * 5000}, [{}]))
    assert "FrameType" not in scan_one(long)  # over the limit of values


def test_frames_are_not_counted_as_elements_of_the_row(scan_one: Scan) -> None:
    data_set = image({}, [{"PixelSpacing": [1, 1]}] * 400)
    data_set.add_new(0x60000010, "US", 5)  # behind the groups
    row = scan_one(data_set, settings=Settings(value_items=1000))
    assert (row["PixelSpacing"], row["OverlayRows_6000"], codes(row)) == ([1, 1], 5, [])


def test_reading_without_groups(tmp_path: Path) -> None:
    """As the drop-in for fastai reads: elements of the top level alone."""
    (tmp_path / "a.dcm").write_bytes(written(image({"PixelSpacing": [1, 1]}, [{}])))
    sources = pa.Table.from_pylist([{"path": b"a.dcm", "member": b""}], SOURCE_SCHEMA)
    table = read_headers(str(tmp_path), sources, groups=False)
    assert table["PixelSpacing"][0].as_py() is None


def test_rows_of_a_block_do_not_mix(tmp_path: Path) -> None:
    """Plain files, groups and members of an archive in one block."""
    plain = image(None, None)
    plain.PixelSpacing = [9, 9]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for n in range(4):
            data = written(image({"PixelSpacing": [n + 1, 1]}, [{"SliceThickness": n}] * 2))
            (tmp_path / f"{n}.dcm").write_bytes(data)
            (tmp_path / f"{n} plain.dcm").write_bytes(written(plain))
            archive.writestr(f"{n}.dcm", data)
    index = wr.scan(tmp_path, workers=0, progress=False)
    tight = wr.scan(tmp_path, workers=0, progress=False, settings=Settings(block_bytes=2000))
    assert tight.table.equals(index.table)
    for row in index.table.to_pylist():
        number = int((row["member"] or row["path"])[0])
        wanted = ([9, 9], None) if "plain" in row["path"] else ([number + 1, 1], number)
        assert (row["PixelSpacing"], row["SliceThickness"]) == wanted, row["path"]
    assert len(index.where("PixelSpacing[1] < 1.5")) == 2
    assert len(index.where("list_contains(from_functional_groups, 'PixelSpacing')")) == 8


# --- real files -------------------------------------------------------------------------------


def value_of(group: Dataset, keyword: str) -> Any:
    """Value of an element in its macro, None if absent or empty."""
    for path in MACROS[keyword]:
        inner: Dataset | None = group
        for sequence in path.split("/"):
            inner = next(iter(inner.get(sequence) or ()), None) if inner is not None else None
        if inner is not None and not is_empty(inner.get(keyword)):
            return inner.get(keyword)
    return None


def is_empty(value: Any) -> bool:
    return value is None or (hasattr(value, "__len__") and not len(value))


def plain(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)
    return [plain(one) for one in value] if hasattr(value, "__iter__") else float(value)


def expected(header: Dataset, keyword: str) -> Any:
    """Value of the data set, or the one of all frames; else None."""
    if not is_empty(header.get(keyword)):
        return plain(header.get(keyword))
    shared = [value_of(g, keyword) for g in header.get("SharedFunctionalGroupsSequence", [])[:1]]
    frames = [value_of(g, keyword) for g in header.get("PerFrameFunctionalGroupsSequence", [])]
    frames += [None] * (int(header.get("NumberOfFrames") or 1) - len(frames))
    values = [shared[0] if one is None and shared else one for one in frames]
    first = values[0]
    same = first is not None and all(one == first for one in values)
    return plain(first) if same else None


def real_files() -> Iterator[Path]:
    folders = [SHARED / "series", SHARED / "cases" / "33-enhanced-geometry-null"]
    folders += [SHARED / "conformance", Path(pydicom.data.__file__).parent]
    for folder in folders:
        yield from sorted(path for path in folder.rglob("*") if path.is_file())


def test_real_files_have_the_values_of_pydicom() -> None:
    seen = 0
    for path in real_files():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True)
            except Exception:  # noqa: BLE001 - not DICOM, or damaged
                continue
            if not {"SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"} & {
                *header.dir()
            }:
                continue
            index = wr.scan([path], workers=0, progress=False)
            (row,) = index.table.to_pylist()
            seen += 1
            for keyword in MACROS:
                value = row.get(keyword)
                value = value if isinstance(value, list | str) or value is None else float(value)
                wanted = expected(header, keyword)
                if isinstance(value, list) and not isinstance(wanted, list):
                    wanted = None if wanted is None else [wanted]
                assert value == wanted, (path, keyword)
    assert seen >= 3

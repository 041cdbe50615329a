"""Volumes: values, geometry, parts, limits, and slices that cannot be read."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import wetread as wr
from wetread.errors import DecodeError, GeometryError, LimitError, NotFoundError, UsageError
from wetread.series.table import SeriesTable
from wetread.settings import Settings
from wetread.testing.dicom import BIG_ENDIAN, DEFLATED, IMPLICIT, changed, dicom_file, element
from wetread.testing.pixel_files import CODECS, encode_rle, even

Rows = list[dict[str, Any]]
Scan = Callable[..., wr.Index]
Make = Callable[..., Rows]
SHAPE = (8, 8)


def words(rows: Rows, kind: str = "<u2") -> Rows:
    """Rows whose pixels are all different, across the slices too."""
    return [
        {**row, "pixels": (np.arange(64).reshape(SHAPE) + 64 * n).astype(kind).tobytes()}
        for n, row in enumerate(rows)
    ]


def expected(index: wr.Index) -> np.ndarray:
    """Modality values by pydicom, in the order of the positions along z."""
    files = [pydicom.dcmread(path) for path in Path(index.root).iterdir()]
    files.sort(key=lambda file: file.ImagePositionPatient[2])
    return np.stack(
        [
            file.pixel_array * float(file.get("RescaleSlope", 1))
            + float(file.get("RescaleIntercept", 0))
            for file in files
        ]
    )


def test_values_and_geometry(scan_series: Scan, ct: Make) -> None:
    index = scan_series(words(ct(12, step=2.5))[::-1])
    volume = index.series[0].volume
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, expected(index))
    assert volume.array is volume.array
    assert volume.stored.dtype == np.uint16
    assert volume.stored[3, 2, 1] == 64 * 3 + 8 * 2 + 1
    assert volume.shape == volume.array.shape == (12, 8, 8)
    assert volume.spacing == pytest.approx((2.5, 0.7, 0.7))
    assert volume.affine.tolist() == [
        [0, 0, 0.7, -20],
        [0, 0.7, 0, -30],
        [2.5, 0, 0, 100],
        [0, 0, 0, 1],
    ]
    assert [one.position for one in volume.slices] == [100 + 2.5 * n for n in range(12)]
    assert repr(volume) == "<Volume: CT, 12 x 8 x 8, 2.5 x 0.7 x 0.7 mm>"
    assert np.asarray(volume).shape == (12, 8, 8)


@pytest.mark.parametrize("slope", ["1", "1.5", "0.00390625", "2.37"])
@pytest.mark.parametrize("intercept", ["0", "-1024", "0.5"])
def test_values_equal_those_of_images(
    slope: str, intercept: str, scan_series: Scan, ct: Make
) -> None:
    index = scan_series(words(ct(5, RescaleSlope=slope, RescaleIntercept=intercept)))
    volume = index.series[0].volume
    np.testing.assert_array_equal(volume.array, np.stack([image.values() for image in index]))
    np.testing.assert_allclose(volume.array, expected(index), rtol=1e-6)


def test_a_rescale_per_slice(scan_series: Scan, ct: Make) -> None:
    rows = [
        {**row, "RescaleSlope": f"{1 + n / 100}", "RescaleIntercept": str(-n)}
        for n, row in enumerate(words(ct(6)))
    ]
    index = scan_series(rows)
    np.testing.assert_array_equal(index.series[0].volume.array, expected(index).astype(np.float32))


def test_an_absent_rescale_among_others(scan_series: Scan, ct: Make) -> None:
    rows = words(ct(6, RescaleSlope="2", RescaleIntercept="-7"))
    rows[0] |= {"RescaleSlope": None, "RescaleIntercept": None}
    rows[3] |= {"RescaleSlope": None}
    rows[4] |= {"RescaleSlope": "2,5"}  # a decimal comma is read as a point
    index = scan_series(rows)
    volume = index.series[0].volume
    np.testing.assert_array_equal(volume.array, np.stack([image.values() for image in index]))
    assert volume.array[3, 0, 0] == 64 * 3 - 7
    assert volume.array[4, 0, 0] == 64 * 4 * 2.5 - 7


def test_an_unreadable_rescale_names_its_slice(scan_series: Scan, ct: Make) -> None:
    rows = words(ct(6, RescaleSlope="2"))
    rows[4]["RescaleSlope"] = "steep"
    volume = scan_series(rows).series[0].volume
    with pytest.raises(DecodeError, match=r"^0-004.dcm: no modality values: .*'steep'"):
        volume.array  # noqa: B018
    assert volume.stored[4, 0, 0] == 64 * 4
    rows[4]["RescaleSlope"] = "0"
    with pytest.raises(DecodeError, match=r"^0-004.dcm: no modality values: .* is 0"):
        scan_series(rows).series[0].volume.array  # noqa: B018


def test_a_modality_lut_in_one_slice(scan_series: Scan, ct: Make) -> None:
    rows = words(ct(6))
    lut = [element("LUTDescriptor", [512, 0, 16]), element("LUTData", list(range(1000, 1512)))]
    rows[4]["ModalityLUTSequence"] = [[lut[0], lut[1]]]
    volume = scan_series(rows).series[0].volume
    assert volume.array[4, 0, 0] == 1000 + 64 * 4
    assert volume.array[5, 0, 0] == 1.5 * 64 * 5 - 1024


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_transfer_syntaxes(syntax: str, scan_series: Scan, ct: Make) -> None:
    index = scan_series(words(ct(5)))
    wanted = expected(index)
    for path in Path(index.root).iterdir():
        rewrite(path, syntax)
    index = wr.scan(index.root, workers=0, progress=False)
    np.testing.assert_array_equal(index.series[0].volume.array, wanted)


def rewrite(path: Path, syntax: str, **more: Any) -> None:
    """Write a file of `ct` again in another transfer syntax."""
    file = pydicom.dcmread(path)
    elements = [
        element(one.keyword, list(one.value) if one.VM > 1 else one.value, vr=one.VR)
        for one in file
        if one.VR != "SQ"
    ]
    new = [element(name, value) for name, value in more.items()]
    path.write_bytes(dicom_file(changed(elements, *new), syntax))


def test_signs_of_slices_may_differ(scan_series: Scan, ct: Make) -> None:
    rows = words(ct(4))
    rows[2] |= {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15}
    rows[2]["pixels"] = np.full(SHAPE, -5, "<i2").tobytes()
    volume = scan_series(rows).series[0].volume
    assert volume.stored.dtype == np.int32
    assert volume.stored[:, 0, 0].tolist() == [0, 64, -5, 192]


@pytest.mark.parametrize(
    ("codec", "cores"),
    [("jpeg2000", "1"), *((name, "3") for name in CODECS if name not in ("jpeg", "jpegxl-jpeg"))],
)
def test_compressed_slices(
    codec: str, cores: str, scan_series: Scan, ct: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", cores)
    rows = words(ct(20, rows=64, columns=64))
    pictures = [
        (np.arange(4096).reshape(64, 64) % 500 + n).astype(np.uint16) for n in range(len(rows))
    ]
    for row, picture in zip(rows, pictures, strict=True):
        row["pixels"] = picture.tobytes()
    index = scan_series(rows)
    syntax, encode = CODECS[codec]
    for path, picture in zip(sorted(Path(index.root).iterdir()), pictures, strict=True):
        rewrite(path, syntax, PixelData=[b"", even(encode(picture))])
    index = wr.scan(index.root, workers=0, progress=False)
    assert set(index["transfer_syntax"]) == {syntax}
    volume = index.series[0].volume
    np.testing.assert_array_equal(volume.stored, np.stack(pictures))
    np.testing.assert_array_equal(volume.array, np.stack(pictures) * 1.5 - 1024)
    bad = Path(index.root, "0-013.dcm")
    stream = bytes(encode(pictures[13]))
    rewrite(bad, syntax, PixelData=[b"", stream[: len(stream) // 4 * 2]])
    with pytest.raises(DecodeError, match=r"^0-013.dcm: "):
        wr.scan(index.root, workers=0, progress=False).series[0].volume.array  # noqa: B018


def test_a_stream_in_an_uncompressed_file_among_others(scan_series: Scan, ct: Make) -> None:
    """The pixel element is as long as uncompressed pixels, but holds an RLE stream."""
    rows = [{**row, "rows": 64, "columns": 64, "pixels": bytes(8192)} for row in ct(5)]
    picture = (np.arange(4096).reshape(64, 64) // 64).astype(np.uint16)
    rows[3]["pixels"] = encode_rle(picture).ljust(8192, b"\0")
    index = scan_series(rows)
    volume = index.series[0].volume
    np.testing.assert_array_equal(volume.stored[3], index[3].pixels())
    np.testing.assert_array_equal(volume.stored[3], picture)


def test_parts(scan_series: Scan, ct: Make) -> None:
    volume = scan_series(words(ct(9))).series[0].volume
    np.testing.assert_array_equal(volume.read(slices=slice(2, 5)), volume.array[2:5])
    np.testing.assert_array_equal(volume.read(slice(None, None, -4), stored=True)[:, 0, 0],
                                  volume.stored[::-4, 0, 0])  # fmt: skip
    with pytest.raises(UsageError, match=r"selects none of 9 slices"):
        volume.read(slice(20, 30))
    with pytest.raises(UsageError, match=r"slices=slice\(100, 150\)"):
        volume.read(3)  # type: ignore[arg-type]


def test_the_limit_names_size_and_remedy(scan_series: Scan, ct: Make) -> None:
    index = scan_series(words(ct(9)))
    settings = Settings(volume_bytes=5 * 64 * 4)
    volume = SeriesTable(index, settings)[0].volume
    with pytest.raises(LimitError) as caught:
        volume.array  # noqa: B018
    assert "9 slices of 8 x 8 need" in str(caught.value)
    assert "volume.read(slices=slice(0, 5))" in str(caught.value)
    assert volume.read(slices=slice(0, 5)).shape == (5, 8, 8)
    assert volume.stored.shape == (9, 8, 8)  # half the size


def test_a_cut_slice_names_itself(scan_series: Scan, ct: Make) -> None:
    index = scan_series(words(ct(9)))
    path = Path(index.root, "0-004.dcm")
    path.write_bytes(path.read_bytes()[:-50])
    for again in (index, wr.scan(index.root, workers=0, progress=False)):
        volume = again.series[0].volume
        with pytest.raises(DecodeError, match=r"^0-004.dcm: frame 0 is truncated"):
            volume.array  # noqa: B018
        assert volume.read(short=True)[4, -1, -1] == -1024
        assert volume.read(slices=slice(5, 9)).shape[0] == 4


def test_frames_that_the_header_does_not_state(scan_series: Scan, ct: Make) -> None:
    rows = words(ct(6))
    rows[2]["pixels"] *= 2
    volume = scan_series(rows).series[0].volume
    with pytest.raises(DecodeError, match=r"^0-002.dcm: 2 frames, the header states 1"):
        volume.read()


def test_a_slice_that_is_gone_names_itself(scan_series: Scan, ct: Make) -> None:
    index = scan_series(words(ct(9)))
    volume = index.series[0].volume
    Path(index.root, "0-004.dcm").unlink()
    with pytest.raises(NotFoundError, match=r"^0-004.dcm: the file no longer exists"):
        volume.array  # noqa: B018


def test_a_file_that_has_changed_since_the_scan(scan_series: Scan, ct: Make) -> None:
    index = scan_series(words(ct(5)))
    path = Path(index.root, "0-003.dcm")
    rewrite(path, "1.2.840.10008.1.2.1", RescaleSlope="3.5")  # as long as before
    assert index.series[0].volume.array[3, 0, 0] == 3.5 * 64 * 3 - 1024
    rewrite(path, "1.2.840.10008.1.2.1", Rows=4, PixelData=bytes(64))
    with pytest.raises(DecodeError, match=r"^0-003.dcm: 4 x 8 pixels, the index states 8 x 8"):
        index.series[0].volume.array  # noqa: B018
    rewrite(path, "1.2.840.10008.1.2.1", PatientComments="moved")
    with pytest.raises(DecodeError, match=r"^0-003.dcm: no pixel element"):
        index.series[0].volume.array  # noqa: B018


@pytest.mark.parametrize("form", ["disk", "where", "zip"])
def test_every_form_of_an_index(form: str, scan_series: Scan, ct: Make, tmp_path: Path) -> None:
    index = scan_series(words(ct(6)))
    wanted = index.series[0].volume.array
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in Path(index.root).iterdir():
                archive.write(path, path.name)
        same = wr.scan(tmp_path / "all.zip", workers=0, progress=False)
    else:
        same = wr.scan(index.root, tmp_path / "to", workers=0, progress=False)
        same = same.where("true") if form == "where" else wr.Index.open(tmp_path / "to")
    np.testing.assert_array_equal(same.series[0].volume.array, wanted)


def test_colour_has_stored_values_only(scan_series: Scan, ct: Make) -> None:
    pixels = bytes(range(192))
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0,
              "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "pixels": pixels}  # fmt: skip
    volume = scan_series([row | colour for row in ct(4)]).series[0].volume
    assert volume.shape == (4, 8, 8)
    assert volume.stored.shape == (4, 8, 8, 3)
    assert volume.stored[2].tobytes() == pixels
    with pytest.raises(DecodeError, match=r"^0-000.dcm: a colour image has no modality values"):
        volume.array  # noqa: B018
    assert "data:image/jpeg" in volume._repr_html_()


def test_palette_has_stored_values_only(scan_series: Scan, ct: Make, tmp_path: Path) -> None:
    table = np.arange(256, dtype="<u2").tobytes()
    colour: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name in ("Red", "Green", "Blue"):
        colour[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        colour[f"{name}PaletteColorLookupTableData"] = table
    volume = scan_series([row | colour for row in words(ct(4))]).series[0].volume
    assert volume.stored[3, 0, 1] == 193
    with pytest.raises(DecodeError, match=r"^0-000.dcm: a colour image has no modality values"):
        volume.read()
    with pytest.raises(DecodeError, match="a colour image has no modality values"):
        volume.save(tmp_path / "a.nii")
    assert not (tmp_path / "a.nii").exists()


def test_no_volume(scan_series: Scan, ct: Make) -> None:
    rows = ct()
    series = scan_series(rows[:20] + rows[21:]).series[0]
    assert series.volumes == []
    for one in (series, series.stacks[0]):
        with pytest.raises(GeometryError) as caught:
            one.volume  # noqa: B018
        assert "SLICE_MISSING: 0-019.dcm: 1 slice is missing between" in str(caught.value)
    assert not hasattr(series.stacks[0], "array")


def test_many_problems_are_counted(scan_series: Scan, ct: Make) -> None:
    rows = [row for n, row in enumerate(ct()) if n % 5]
    with pytest.raises(GeometryError, match=r"and 2 more, see problems\(\)$"):
        scan_series(rows).series[0].volume  # noqa: B018


def test_one_slice_is_no_volume(scan_series: Scan, ct: Make) -> None:
    with pytest.raises(GeometryError, match="1 slice without regular distances"):
        scan_series(ct(1)).series[0].volume  # noqa: B018


def test_several_volumes(scan_series: Scan, ct: Make) -> None:
    rows = [
        {**row, "AcquisitionNumber": str(n), "SOPInstanceUID": f"2.25.9.{n}.{at}"}
        for n in (1, 2)
        for at, row in enumerate(words(ct(5)))
    ]
    for row in rows[5:]:
        row["pixels"] = bytes(128)
    series = scan_series(rows).series[0]
    with pytest.raises(UsageError, match=r"2 volumes>: choose one of them, as volumes\[0\]"):
        series.volume  # noqa: B018
    assert [one.divided_by for one in series.volumes] == [
        {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}
    ]  # fmt: skip
    assert [one.stored.max() for one in series.volumes] == [319, 0]


def test_a_copy_is_left_out(scan_series: Scan, ct: Make) -> None:
    index = scan_series(words(ct(6)))
    wanted = index.series[0].volume.array
    shutil.copy(Path(index.root, "0-002.dcm"), Path(index.root, "1-000.dcm"))
    index = wr.scan(index.root, workers=0, progress=False)
    np.testing.assert_array_equal(index.series[0].volume.array, wanted)


def test_nothing_is_decoded_before_it_is_needed(
    scan_series: Scan, ct: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = scan_series(words(ct(6)))
    monkeypatch.setattr("wetread.series.volume.read_voxels", None)
    volume = index.series[0].volume
    assert volume.shape
    assert volume.affine.shape == (4, 4)
    assert len(volume.slices) == 6
    assert "6 x 8 x 8" in repr(volume)


def test_notebook(scan_series: Scan, ct: Make) -> None:
    index = scan_series(words(ct(6, SeriesDescription="<b>")))
    html = index.series[0].volume._repr_html_()
    assert "data:image/jpeg" in html
    assert "6 x 8 x 8, 1 x 0.7 x 0.7 mm" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html.replace("<b>Volume</b>", "")
    Path(index.root, "0-002.dcm").unlink()
    assert "0-002.dcm: the file no longer exists" in index.series[0].volume._repr_html_()

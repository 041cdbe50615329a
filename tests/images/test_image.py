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
from wetread.errors import (
    DecodeError,
    LimitError,
    NotFoundError,
    UnknownNameError,
    UsageError,
)
from wetread.settings import Settings
from wetread.testing import dicom_file, element, picture
from wetread.testing.dicom import DEFLATED, changed

Real = Callable[[str], Path]


def test_sizes_need_no_decoding(real_file: Real) -> None:
    image = wr.read(real_file("JPEG2000.dcm"))
    assert image.frames == 1
    assert image.shape == (1024, 256)
    assert image.header is image.header
    assert image.spacing is not None
    assert (image.spacing.row, image.spacing.source) == (2.26, "PixelSpacing")
    assert wr.read(real_file("color3d_jpeg_baseline.dcm")).shape == (480, 640, 3)
    assert wr.read(real_file("color3d_jpeg_baseline.dcm")).frames == 120


def test_pixels_equal_pydicom(real_file: Real) -> None:
    image = wr.read(real_file("CT_small.dcm"))
    assert np.array_equal(image.pixels(), pydicom.dcmread(real_file("CT_small.dcm")).pixel_array)
    values = image.values()
    assert values.dtype == np.float32
    assert np.array_equal(values, image.pixels().astype("f4") - 1024)
    assert np.array_equal(image.padding(), image.pixels() == -2000)


def test_parameters_of_an_enhanced_frame_come_from_its_groups(real_file: Real) -> None:
    image = wr.read(real_file("eCT_Supplemental.dcm"))
    assert image.frames == 2
    assert image.spacing is not None
    assert image.values(1).min() < 0 <= image.pixels(1).min()
    assert image.render(frame=1).view is not None


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "CT_small.dcm"])
def test_size_is_the_longest_side_and_never_enlarges(name: str, real_file: Real) -> None:
    image = wr.read(real_file(name))
    full = image.display()
    assert full.dtype == np.uint8
    assert full.shape == image.shape
    assert max(image.display(size=50).shape) == 50
    assert image.display(size=5000).shape == full.shape


def test_a_thumbnail_and_the_full_picture_have_one_window(real_file: Real) -> None:
    image = wr.read(real_file("JPEG2000.dcm"))
    for window in ("auto", None):
        assert image.render(window).view == image.render(window, size=64).view


def test_render_returns_the_steps(real_file: Real) -> None:
    picture = wr.read(real_file("CT_small.dcm")).render("lung")
    assert picture.steps == ("padding -2000", "rescale x 1 -1024", "window lung -600/1500")


@pytest.mark.parametrize(
    ("name", "window", "frame", "error", "message"),
    [
        ("MR_small.dcm", "lung", 0, UsageError, "CT in HU, this image is MR"),
        ("CT_small.dcm", "lumg", 0, UnknownNameError, "did you mean lung"),
        ("CT_small.dcm", "9", 0, UsageError, "the file has "),
        ("CT_small.dcm", (40, -1), 0, UsageError, "a width above 0"),
        ("CT_small.dcm", None, 1, UsageError, "frame 1 does not exist: 1 frame, "),
        ("CT_small.dcm", None, -1, UsageError, "frame -1 does not exist"),
        ("MR_truncated.dcm", None, 0, DecodeError, "truncated: 8,130 of 8,192 bytes"),
        ("rtstruct.dcm", None, 0, DecodeError, "no pixels: this is RT Structure Set Storage"),
        ("test-SR.dcm", None, 0, DecodeError, "no pixels: this is "),
        ("waveform_ecg.dcm", None, 0, DecodeError, "this is 12-lead ECG Waveform Storage"),
        ("DICOMDIR", None, 0, DecodeError, "this is Media Storage Directory Storage"),
        ("README.txt", None, 0, DecodeError, "has no header"),
    ],
)
def test_wrong_usage_names_the_file(
    name: str,
    window: str | tuple[float, float] | None,
    frame: int,
    error: type[Exception],
    message: str,
    real_file: Real,
) -> None:
    image = wr.read(real_file(name))
    with pytest.raises(error) as raised:
        image.display(window, frame=frame)
    assert message in str(raised.value)
    assert str(raised.value).count(image.path) == 1


def test_short_accepts_a_truncated_frame(real_file: Real) -> None:
    image = wr.read(real_file("MR_truncated.dcm"))
    whole = pydicom.dcmread(real_file("MR_small.dcm")).pixel_array
    pixels = image.pixels(short=True)
    assert np.array_equal(pixels[:-1], whole[:-1])
    assert not pixels[-1, -31:].any()


def stated(tmp_path: Path, real_file: Real, syntax: bytes) -> Path:
    """CT_small.dcm with another transfer syntax in File Meta."""
    data = real_file("CT_small.dcm").read_bytes()
    file = tmp_path / "stated.dcm"
    file.write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", syntax.ljust(20, b"\0"), 1))
    return file


def test_every_step_keeps_the_limits_that_are_given(tmp_path: Path, real_file: Real) -> None:
    row = wr.read(real_file("CT_small.dcm")).row
    image = wr.Image(str(real_file("CT_small.dcm").parent), row, Settings(frame_bytes=1000))
    for ask in (image.pixels, image.values, image.padding, image.render):
        with pytest.raises(LimitError, match="refused: a frame of 32,768 bytes"):
            ask()
    padded = changed(picture(), element("ImageComments", "x" * 9000))
    (path := tmp_path / "deflated.dcm").write_bytes(dicom_file(padded, DEFLATED))
    image = wr.Image(str(tmp_path), wr.read(path).row, Settings(header_bytes=6000))
    with pytest.raises(DecodeError, match="no pixels"):  # the header ends at the limit
        image.pixels()


def test_detected_transfer_syntax_is_used(tmp_path: Path, real_file: Real) -> None:
    image = wr.read(stated(tmp_path, real_file, b"1.2.840.10008.1.2"))
    assert image.header.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"
    assert np.array_equal(image.pixels(), wr.read(real_file("CT_small.dcm")).pixels())


def test_the_byte_order_is_not_guessed(tmp_path: Path, real_file: Real) -> None:
    image = wr.read(stated(tmp_path, real_file, b"1.2.840.10008.1.2.2"))
    with pytest.raises(DecodeError, match="refused: the bytes contradict the transfer syntax"):
        image.pixels()


def test_a_member_of_an_archive(tmp_path: Path, real_file: Real) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(real_file("CT_small.dcm"), "in/ct.dcm")
    image = wr.read(tmp_path / "a.zip")
    assert image.name == "a.zip in/ct.dcm"
    assert np.array_equal(image.pixels(), wr.read(real_file("CT_small.dcm")).pixels())


def test_a_deleted_file(tmp_path: Path, real_file: Real) -> None:
    shutil.copy(real_file("CT_small.dcm"), tmp_path)
    image = wr.read(tmp_path / "CT_small.dcm")
    (tmp_path / "CT_small.dcm").unlink()
    for ask in (lambda: image.header, image.pixels):
        with pytest.raises(NotFoundError, match=r"CT_small.dcm: the file no longer exists"):
            ask()


def test_inaccessible_file_is_not_reported_as_damaged(tmp_path: Path, real_file: Real) -> None:
    shutil.copy(real_file("CT_small.dcm"), tmp_path)
    image = wr.read(tmp_path / "CT_small.dcm")
    (tmp_path / "CT_small.dcm").unlink()
    (tmp_path / "CT_small.dcm").mkdir()
    for ask in (lambda: image.header, image.pixels):
        with pytest.raises(DecodeError, match=r"CT_small.dcm: .*not a regular file") as raised:
            ask()
        assert isinstance(raised.value, OSError)


def test_a_damaged_archive_is_named(tmp_path: Path, real_file: Real) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(real_file("CT_small.dcm"), "ct.dcm")
    image = wr.read(tmp_path / "a.zip")
    (tmp_path / "a.zip").write_bytes(b"PK\x05\x06 damaged")
    with pytest.raises(DecodeError, match=r"a.zip ct.dcm: not a readable zip"):
        image.pixels()


def test_read_opens_one_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds 0 files"):
        wr.read(tmp_path)
    with pytest.raises(UsageError, match="scan or view it"):
        wr.read(tmp_path)
    with pytest.raises(NotFoundError):
        wr.read(tmp_path / "absent.dcm")


def test_every_real_file_is_displayed_or_an_error(real_files: list[Path]) -> None:
    shown, refused = [], []
    for image in wr.scan(real_files[::4], progress=False):
        try:
            shown.append(image.display(size=64))
        except (UsageError, DecodeError) as error:
            refused.append((image.path, str(error)))
    assert {(str(picture.dtype), max(picture.shape[:2]) <= 64) for picture in shown} == {
        ("uint8", True)
    }
    assert all(path in text for path, text in refused)
    assert len(shown) > 30


@pytest.mark.parametrize(
    ("codec", "near"),
    [("jpeg2000", 0.1), ("htj2k", 0.1), ("jpeg", 0.1), ("jpeg-ls", 0.35)],  # means of whole pixels
)
@pytest.mark.parametrize(("rows", "columns"), [(1001, 733), (1024, 1536)])
def test_positions_are_the_same_at_every_size(
    tmp_path: Path,
    codec: str,
    near: float,
    rows: int,
    columns: int,
    write_disc: Any,
    find_disc: Any,
) -> None:
    """Also with lower resolutions of the file, which are shifted."""
    where = write_disc(tmp_path / "disc.dcm", codec, rows, columns)
    image = wr.read(tmp_path / "disc.dcm")
    for size in (None, rows // 2, 700, 400, 256, 200, 128):
        found = find_disc(image.display("full", size), rows, columns)
        assert found == pytest.approx(where, abs=near)


def test_a_file_truncated_before_its_pixels(real_file: Real, tmp_path: Path) -> None:
    path = tmp_path / "cut.dcm"
    path.write_bytes(real_file("CT_small.dcm").read_bytes()[:3000])
    with pytest.raises(DecodeError, match=r"this is CT Image.*; partial; .*TRUNCATED: have "):
        wr.read(path).pixels()


def test_the_error_of_a_broken_link_gives_the_reason(tmp_path: Path) -> None:
    (tmp_path / "link.dcm").symlink_to("nowhere")
    with pytest.raises(DecodeError, match=r"no_access; BROKEN_LINK: A broken or circular"):
        wr.read(tmp_path / "link.dcm").pixels()


def test_values_that_break_a_rule_give_no_warning(tmp_path: Path) -> None:
    """The UID of VinBigData's files is a hash in hexadecimal digits; pydicom warns of it."""
    uid = "11d685a4f759747f218b485a4596e66c"
    long = element("SliceThickness", "0.12345678901234567")  # of 16 characters at most
    data = dicom_file(changed(picture(1, 4, 4), element("SOPInstanceUID", uid), long))
    (tmp_path / "a.dcm").write_bytes(data)
    header = wr.read(tmp_path / "a.dcm").header  # a warning is an error in tests
    assert header.SliceThickness == 0.12345678901234567
    assert header.SOPInstanceUID == uid
    assert uid in str(header)

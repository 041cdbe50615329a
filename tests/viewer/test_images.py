"""Image data sent to the browser agree with `Image`: stored values and tables bit for bit."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import imagecodecs
import numpy as np
import pytest
from PIL import Image as Pillow

import wetread as wr
from wetread.display.pipeline import read_pipeline
from wetread.display.plot import square_pixels
from wetread.display.render import make_table
from wetread.errors import WetreadError
from wetread.imaging import all_values
from wetread.pixels import read_frame
from wetread.settings import Settings
from wetread.testing import dicom_file, element
from wetread.testing.dicom import changed, radiograph
from wetread.viewer import Handle, decoder, serve
from wetread.viewer.encoding import unpack
from wetread.viewer.header import list_elements

LE = "1.2.840.10008.1.2.1"
GREY = (
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "JPEG2000.dcm",
    "693_J2KI.dcm",
    "JPGExtended.dcm",
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "examples_overlay.dcm",
    "image_dfl.dcm",
    "liver.dcm",
    "6154",
    "mono1.dcm",
    "signed8.dcm",
    "voilut.dcm",
    "modlut.dcm",
    "padded.dcm",
)
COLOUR = (
    "SC_rgb_jpeg.dcm",
    "examples_palette.dcm",
    "examples_ybr_color.dcm",
    "SC_rgb_rle_16bit.dcm",
    "US1_J2KR.dcm",
)
OTHER = ("rtdose.dcm", "float.dcm")


def lut_item(first: int, bits: int, entries: list[int]) -> list[Any]:
    return [
        [
            element("LUTDescriptor", [len(entries), first, bits], vr="US"),
            element("LUTData", entries, vr="US"),
        ]
    ]


def write_images(folder: Path) -> None:
    """Write images missing from pydicom's files: MONOCHROME1, signed 8 bits, LUTs, padding."""
    random = np.random.default_rng(0)
    wide = random.integers(0, 4096, (37, 50)).astype("<u2")
    small = random.integers(-128, 128, (20, 31)).astype("i1")
    plain = radiograph(11, 37, 50)
    grey = element("PixelData", wide.tobytes(), vr="OW")
    bits = [element("BitsStored", 12), element("HighBit", 11)]
    window = [element("WindowCenter", "2000"), element("WindowWidth", "3000")]
    files = {
        "mono1": [grey, *bits, *window, element("PhotometricInterpretation", "MONOCHROME1")],
        "padded": [grey, *bits, element("PixelPaddingValue", int(wide[0, 0]), vr="US")],
        "voilut": [grey, *bits, element("VOILUTSequence", lut_item(0, 8, list(range(256))))],
        "modlut": [
            grey,
            *bits,
            element("ModalityLUTSequence", lut_item(100, 16, [n * n for n in range(200)])),
            *window,
        ],
    }
    for name, elements in files.items():
        (folder / f"{name}.dcm").write_bytes(dicom_file(changed(plain, *elements), LE))
    signed = changed(
        radiograph(11, 20, 31),
        element("BitsAllocated", 8),
        element("BitsStored", 8),
        element("HighBit", 7),
        element("PixelRepresentation", 1),
        element("PixelData", small.tobytes(), vr="OB"),
    )
    (folder / "signed8.dcm").write_bytes(dicom_file(signed, LE))
    values = random.normal(5, 2, (20, 31)).cumsum(axis=1).astype("<f4")  # smooth, as JPEG likes it
    real = [e for e in changed(radiograph(11, 20, 31)) if e.tag != 0x7FE00010]
    real = changed(real, element("BitsAllocated", 32), element("FloatPixelData", values.tobytes()))
    (folder / "float.dcm").write_bytes(dicom_file(real, LE))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, real_files: list[Path]) -> wr.Index:
    folder = tmp_path_factory.mktemp("images")
    names = {*GREY, *COLOUR, *OTHER, "rtplan.dcm", "MR_truncated.dcm", "eCT_Supplemental.dcm"}
    for path in real_files:
        if path.name in names:
            shutil.copy(path, folder)
    write_images(folder)
    (folder / "notes.txt").write_text("no DICOM")
    (folder / "broken.dcm").write_bytes(dicom_file(radiograph(), "1.2.840.10008.1.2.4.90"))
    return wr.scan(folder, workers=0, progress=False)


@pytest.fixture(scope="module")
def client(index: wr.Index) -> Iterator[httpx.Client]:
    with serve(index) as handle, browser(handle) as client:
        yield client


def browser(handle: Handle) -> httpx.Client:
    head = {"X-Wetread-Token": handle.token}
    url = f"http://127.0.0.1:{handle.port}/"
    return httpx.Client(base_url=url, headers=head, timeout=60, trust_env=False)


def find(index: wr.Index, name: str) -> wr.Image:
    return next(image for image in index if Path(image.path).name == name)


def get(client: httpx.Client, image: wr.Image, path: str = "", **query: Any) -> httpx.Response:
    response = client.get(f"api/images/{image.id}{path and '/'}{path}", params=query)
    assert response.status_code == 200, response.text
    return response


def values_of(client: httpx.Client, image: wr.Image, accepted: str, **query: Any) -> np.ndarray:
    """Stored values, decoded like in the browser."""
    with client.stream(
        "GET",
        f"api/images/{image.id}/pixels",
        params=query,
        headers={"Accept-Encoding": accepted},
    ) as answer:
        packed = b"".join(answer.iter_raw())
        assert answer.status_code == 200, packed
        headers = answer.headers
    undo = {"zstd": imagecodecs.zstd_decode, "gzip": gzip.decompress}
    if "content-encoding" in headers:
        packed = undo[headers["content-encoding"]](packed)
    rows, columns = int(headers["x-wetread-rows"]), int(headers["x-wetread-columns"])
    dtype = headers["x-wetread-dtype"]
    if dtype == "rgb8":
        return np.frombuffer(packed, np.uint8).reshape(rows, columns, 3)
    if dtype == "display8":
        return np.frombuffer(packed, np.uint8).reshape(rows, columns)
    return unpack(packed, rows, columns, dtype)


@pytest.mark.parametrize("name", GREY)
def test_pixels_are_the_stored_values(client: httpx.Client, index: wr.Index, name: str) -> None:
    image = find(index, name)
    for accepted in ("zstd", "gzip", "identity"):
        got = values_of(client, image, accepted)
        assert got.dtype == image.pixels().dtype
        assert np.array_equal(got, image.pixels())


@pytest.mark.parametrize("name", [*GREY, *COLOUR])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_pixels_at_a_fraction(client: httpx.Client, index: wr.Index, name: str, scale: int) -> None:
    image = find(index, name)
    got = values_of(client, image, "zstd", scale=scale)
    rows, columns = image.shape[:2]
    assert got.shape[:2] == (-(-rows // scale), -(-columns // scale))
    with image.open_frames() as frames:
        longest = max(image.shape[:2])
        own = read_frame(frames, 0, size=-(-longest // scale))
    if own.scale == scale and own.values.ndim == 2:  # the file's own smaller version
        assert np.array_equal(got, own.values)


@pytest.mark.parametrize("codec", ["jpeg2000", "jpeg", "jpeg-ls"])
def test_position_of_a_disc_at_every_level(
    tmp_path: Path, codec: str, write_disc: Any, find_disc: Any
) -> None:
    """Previews cover the image; stored values come with their shift."""
    shape = (2201, 1733)
    center = write_disc(tmp_path / "disc.dcm", codec, *shape)
    index = wr.scan(tmp_path, workers=0, progress=False)
    with serve(index) as handle, browser(handle) as client:
        preview = opened(get(client, index[0], "preview", size=1024))
        assert find_disc(preview, *shape) == pytest.approx(center, abs=0.1)
        for scale in (1, 2, 4, 8):
            values = values_of(client, index[0], "zstd", scale=scale)
            answer = get(client, index[0], "pixels", scale=scale)
            shift = float(answer.headers["x-wetread-shift"])
            assert shift == ((scale - 1) / 2 if codec == "jpeg2000" else 0)
            covered = scale * values.shape[0], scale * values.shape[1]
            x, y = find_disc(values, *covered)
            assert (x - shift, y - shift) == pytest.approx(center, abs=0.1)


@pytest.mark.parametrize("name", COLOUR)
def test_colour_pixels_equal_display(client: httpx.Client, index: wr.Index, name: str) -> None:
    image = find(index, name)
    assert np.array_equal(values_of(client, image, "zstd"), image.display())
    description = get(client, image).json()
    assert (description["colour"], description["dtype"], description["auto"]) == (
        True,
        "rgb8",
        None,
    )
    assert client.get(f"api/images/{image.id}/table").status_code == 400


@pytest.mark.parametrize("name", OTHER)
def test_float_and_32_bit_values_are_sent_as_display(
    client: httpx.Client, index: wr.Index, name: str
) -> None:
    image = find(index, name)
    assert get(client, image).json()["dtype"] == "display8"
    low, high = float(image.values().min()), float(image.values().max())
    window = ((low + high) / 2, (high - low) or 1.0)
    for expected, parameter in ((None, ""), ("full", "full"), (window, f"{window[0]},{window[1]}")):
        got = values_of(client, image, "gzip", window=parameter)
        assert np.array_equal(got, image.display(expected))


@pytest.mark.parametrize("name", GREY)
@pytest.mark.parametrize("window", ["", "auto", "full", "1", "700.5,1234.25"])
def test_tables_equal_those_of_display(
    client: httpx.Client, index: wr.Index, name: str, window: str
) -> None:
    image = find(index, name)
    answer = client.get(f"api/images/{image.id}/table", params={"window": window})
    parsed: Any = window or None
    if "," in window:
        center, width = window.split(",")
        parsed = float(center), float(width)
    try:
        view = image.render(parsed).view
    except WetreadError:
        assert answer.status_code == 400
        return
    stored, chain = image.pixels(), read_pipeline(image.header)
    expected = make_table(stored.dtype, chain, view)
    table = np.frombuffer(answer.content, np.uint8)
    assert np.array_equal(table, expected)
    patterns = stored.view(f"u{stored.dtype.itemsize}")
    assert np.array_equal(table[patterns], image.display(parsed))
    modality = get(client, image, "modality").content
    values = chain.to_modality(all_values(stored.dtype)).astype("<f4")
    assert np.array_equal(np.frombuffer(modality, "<f4"), values)


@pytest.mark.parametrize("name", [*GREY, *COLOUR, *OTHER])
def test_thumb_and_preview_look_like_display(
    client: httpx.Client, index: wr.Index, name: str
) -> None:
    image = find(index, name)
    thumb = opened(get(client, image, "thumb", size=128))
    expected = square_pixels(image.display(size=128), image.aspect)
    assert_alike(thumb, expected)
    preview = opened(get(client, image, "preview", size=1024))
    assert_alike(preview, image.display(size=max(preview.shape[:2])))


def opened(answer: httpx.Response) -> np.ndarray:
    assert answer.headers["content-type"] == "image/jpeg"
    return np.asarray(Pillow.open(BytesIO(answer.content)))


def assert_alike(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.shape == expected.shape
    assert np.abs(got.astype(float) - expected).mean() < 6.5  # JPEG of noise


@pytest.mark.parametrize("name", GREY)
def test_description(client: httpx.Client, index: wr.Index, name: str) -> None:
    image = find(index, name)
    description = get(client, image).json()
    chain = read_pipeline(image.header)
    assert (description["rows"], description["columns"]) == image.shape
    assert description["frames"] == image.frames
    assert description["dtype"] == image.pixels().dtype.name
    assert description["invert"] == chain.invert
    assert (description["slope"], description["intercept"]) == (chain.slope, chain.intercept)
    assert description["modality_lut"] == (chain.modality_lut is not None)
    assert len(description["views"]) == len(chain.views)
    assert description["error"] is None
    auto = image.render("auto").view
    assert description["auto"] == {"center": auto.center, "width": auto.width}
    values = image.values()[~image.padding()].astype(float)
    low, high = description["range"]
    assert values.min() <= low <= high <= values.max()
    if description["sampled"] == 1:
        assert (low, high) == pytest.approx((values.min(), values.max()))
    assert description["levels"][0] == {
        "scale": 1,
        "rows": description["rows"],
        "columns": description["columns"],
    }
    spacing = image.spacing
    assert description["spacing"] == (
        spacing and {"row": spacing.row, "column": spacing.column, "source": spacing.source}
    )


def test_frames(client: httpx.Client, index: wr.Index) -> None:
    image = find(index, "eCT_Supplemental.dcm")
    assert get(client, image).json()["frames"] == image.frames > 1
    last = image.frames - 1
    assert np.array_equal(values_of(client, image, "zstd", frame=last), image.pixels(last))
    assert not np.array_equal(image.pixels(last), image.pixels(0))
    assert_alike(
        opened(get(client, image, "thumb", frame=last)), image.display(size=256, frame=last)
    )
    description = get(client, image, frame=last).json()
    assert description["varies"] == ("frame" in read_pipeline(image.header, last).sources.values())
    beyond = client.get(f"api/images/{image.id}", params={"frame": last + 1})
    assert (beyond.status_code, "does not exist" in beyond.text) == (400, True)


@pytest.mark.parametrize("name", ["broken.dcm", "rtplan.dcm", "notes.txt"])
def test_images_without_pixels_have_an_error(
    client: httpx.Client, index: wr.Index, name: str
) -> None:
    image = find(index, name)
    description = get(client, image).json()
    assert description["error"]
    assert description["levels"] == []
    for path in ("thumb", "preview", "pixels", "table"):
        answer = client.get(f"api/images/{image.id}/{path}")
        assert answer.status_code == 422
        assert answer.json()["code"] in ("UNDECODABLE",)


@pytest.mark.parametrize(
    ("name", "absent", "text"),
    [
        ("rtplan.dcm", "No image in this file", "RT Plan Storage"),
        ("notes.txt", "Not a DICOM file", "Text"),
    ],
)
def test_files_that_are_no_image_by_design_have_no_error(
    client: httpx.Client, index: wr.Index, name: str, absent: str, text: str
) -> None:
    description = get(client, find(index, name)).json()
    assert description["absent"] == absent
    assert description["error"].startswith(text)
    assert "error" not in {problem["severity"] for problem in description["problems"]}
    broken = get(client, find(index, "broken.dcm")).json()
    assert "absent" not in broken
    assert "UNDECODABLE" in {problem["code"] for problem in broken["problems"]}


def test_truncated_files_are_shown_in_part(client: httpx.Client, index: wr.Index) -> None:
    image = find(index, "MR_truncated.dcm")
    description = get(client, image).json()
    assert description["error"] is None
    assert "TRUNCATED" in {problem["code"] for problem in description["problems"]}
    assert np.array_equal(values_of(client, image, "zstd"), image.pixels(short=True))


def test_header_as_json(client: httpx.Client, index: wr.Index) -> None:
    image = find(index, "CT_small.dcm")
    rows = get(client, image, "header").json()
    by_keyword = {row["keyword"]: row for row in rows}
    assert by_keyword["Rows"] == {
        "tag": "(0028,0010)",
        "keyword": "Rows",
        "vr": "US",
        "value": "128",
        "masked": False,
        "items": None,
    }
    assert by_keyword["TransferSyntaxUID"]["tag"] == "(0002,0010)"
    assert by_keyword["PatientName"]["masked"]
    assert by_keyword["PatientID"]["masked"]
    assert str(image.header.PatientName) not in json.dumps(rows)
    shown = {row["keyword"]: row for row in list_elements(image.header, masked=False)}
    assert shown["PatientName"]["value"] == str(image.header.PatientName)
    assert by_keyword["ImageType"]["value"] == "\\".join(image.header.ImageType)
    private = [row for row in rows if int(row["tag"][4], 16) % 2]
    assert private
    assert all(row["masked"] for row in private if int(row["tag"][6:10], 16) > 0xFF)
    found = get(client, image, "header", search="rescale").json()
    assert {row["keyword"] for row in found} == {"RescaleIntercept", "RescaleSlope"}


def test_header_of_sequences(client: httpx.Client, index: wr.Index) -> None:
    image = find(index, "rtplan.dcm")
    rows = get(client, image, "header").json()
    beams = next(row for row in rows if row["keyword"] == "BeamSequence")
    assert beams["value"] == "1 item"
    assert {"tag", "keyword", "vr", "value", "masked", "items"} == set(beams["items"][0][0])
    found = get(client, image, "header", search="BeamType").json()
    (only,) = (row for row in found if row["keyword"] == "BeamSequence")
    assert [row["keyword"] for row in only["items"][0]] == ["BeamType"]


def test_files_that_crash_the_decoder(
    tmp_path: Path, real_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash, a hang, a panic and memory exhaustion are problems; the next image is shown."""
    monkeypatch.setattr(decoder, "FUNCTION", "wetread.testing.decoders:answer_badly")
    source = next(path for path in real_files if path.name == "CT_small.dcm")
    words = {"crash": "CRASHED", "hang": "TIMEOUT", "panic": "UNDECODABLE", "greedy": "BOMB"}
    for word in (*words, "good"):
        shutil.copy(source, tmp_path / f"{word}.dcm")
    index = wr.scan(tmp_path, workers=0, progress=False)
    settings = Settings(decode_seconds=4.0, decode_rate=1e9)
    with serve(index, settings=settings) as handle, browser(handle) as client:
        for word, code in words.items():
            image = find(index, f"{word}.dcm")
            for _ in range(2):
                description = get(client, image).json()
                assert description["problems"][-1]["code"] == code
                assert description["error"]
            answer = client.get(f"api/images/{image.id}/thumb")
            assert (answer.status_code, answer.json()["code"]) == (422, code)
            good = find(index, "good.dcm")
            assert np.array_equal(values_of(client, good, "zstd"), good.pixels())


def test_tiny_frame_cache(index: wr.Index) -> None:
    """With room for a single frame, all pixels are still correct."""
    settings = Settings(viewer_bytes=1)
    with serve(index, settings=settings) as handle, browser(handle) as client:
        for name in ("CT_small.dcm", "693_J2KI.dcm", "CT_small.dcm"):
            image = find(index, name)
            assert np.array_equal(values_of(client, image, "zstd"), image.pixels())


def test_thumbnails_are_cached_on_disk(index: wr.Index, tmp_path: Path) -> None:
    image = find(index, "CT_small.dcm")
    for _ in range(2):
        with serve(index, thumbnails=tmp_path) as handle, browser(handle) as client:
            first = get(client, image, "thumb", size=128).content
            assert get(client, image, "thumb", size=128, window="full").content != first
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert any(path.read_bytes().endswith(first) for path in files)
    for path in files:
        path.write_bytes(b"damaged")
    with serve(index, thumbnails=tmp_path) as handle, browser(handle) as client:
        assert get(client, image, "thumb", size=128).content == first

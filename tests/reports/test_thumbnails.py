"""Thumbnails of a report: correct, within the budget, and robust to crashes."""

from __future__ import annotations

import base64
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import wetread as wr
from wetread.reports import thumbnails
from wetread.reports.blocks import Request, Thumbnail
from wetread.reports.build import build
from wetread.settings import Settings
from wetread.testing.dicom import changed, dicom_file, element, picture

ROOM = 2_000_000


def pixels(drawn: Thumbnail) -> np.ndarray:
    assert drawn.reason == ""
    data = base64.b64decode(drawn.source.removeprefix("data:image/jpeg;base64,"))
    image = Pillow.open(BytesIO(data))
    assert (drawn.width, drawn.height) == image.size
    assert not image.info.get("exif")
    return np.asarray(image).astype(int)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> wr.Index:
    """Two images, one of them MONOCHROME1: dark, with a bright square at the top right."""
    folder = tmp_path_factory.mktemp("film")
    for name, photometric in (("one", "MONOCHROME1"), ("two", "MONOCHROME2")):
        stored = np.full((400, 300), 100, np.uint16)
        stored[40:80, 200:260] = 3000
        stored = 4095 - stored if photometric == "MONOCHROME1" else stored
        more = [
            element("PhotometricInterpretation", photometric),
            element("PixelData", stored.tobytes(), vr="OW"),
            element("PixelSpacing", ["0.5", "0.5"]),
        ]
        (folder / f"{name}.dcm").write_bytes(dicom_file(changed(picture(1, 400, 300), *more)))
    return wr.scan(folder, progress=False)


def test_thumbnail_equals_display(film: wr.Index) -> None:
    requests = [Request(image.id) for image in film]
    drawn = thumbnails.draw(film, requests, ROOM, workers=1)
    for image, request in zip(film, requests, strict=True):
        shown = pixels(drawn[request])
        expected = image.display(size=160).astype(int)
        assert shown.shape == expected.shape == (160, 120)
        assert np.abs(shown - expected).mean() < 4
        assert (
            shown[20:28, 84:100].mean() > 200 > 50 > shown[100:].mean()
        )  # both correctly displayed


def test_crop(film: wr.Index) -> None:
    request = Request(film[0].id, (200, 40, 260, 80))
    drawn = thumbnails.draw(film, [request], ROOM, workers=1)[request]
    assert (drawn.width, drawn.height) == (60, 40)
    assert pixels(drawn).min() > 200
    other = Request(film[0].id, (100, 40, 200, 140))
    drawn = thumbnails.draw(film, [other], ROOM, workers=1)[other]
    assert pixels(drawn).max() < 50


def test_crop_of_a_large_image_has_full_resolution(tmp_path: Path) -> None:
    stored = np.indices((3000, 2000)).sum(0) // 8 % 2 * 4095
    data = element("PixelData", stored.astype("<u2").tobytes(), vr="OW")
    (tmp_path / "a.dcm").write_bytes(dicom_file(changed(picture(1, 3000, 2000), data)))
    index = wr.scan(tmp_path, progress=False)
    request = Request(index[0].id, (1000, 2000, 1224, 2224))
    shown = pixels(thumbnails.draw(index, [request], ROOM, workers=1)[request])
    expected = index[0].display()[2000:2224, 1000:1224]
    assert shown.shape == expected.shape
    assert np.abs(shown - expected.astype(int)).mean() < 16


def test_size_budget(film: wr.Index) -> None:
    first, second = (Request(image.id) for image in film)
    one = thumbnails.draw(film, [first, first, second], ROOM, workers=1, most=1)
    assert list(one) == [first]
    assert thumbnails.draw(film, [first], 100, workers=1) == {}
    assert thumbnails.draw(film, [], ROOM) == {}
    unknown = Request("0" * 16)
    assert thumbnails.draw(film, [unknown], ROOM, workers=1) == {}


def test_report_survives_crashing_decoders(
    small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in ("crash", "panic", "hang"):
        shutil.copy(small_folder / "CT_small.dcm", small_folder / f"{word}.dcm")
    monkeypatch.setattr(thumbnails, "FUNCTION", "wetread.testing.decoders:draw_badly")
    index = wr.scan(small_folder, progress=False)
    ids = {image.path: Request(image.id) for image in index.images}
    settings = Settings(decode_seconds=4)
    drawn = thumbnails.draw(index, ids.values(), ROOM, 1, settings=settings)
    assert "the worker ended" in drawn[ids["crash.dcm"]].reason
    assert "longer than" in drawn[ids["hang.dcm"]].reason
    assert "index out of bounds" in drawn[ids["panic.dcm"]].reason
    assert drawn[ids["CT_small.dcm"]].reason == ""
    (small_folder / "hang.dcm").unlink()
    made = build(wr.scan(small_folder, progress=False), workers=1)
    assert "the worker ended" in made.html
    assert "data:image/jpeg" in made.html

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

import wetread as wr
from wetread.errors import UnknownNameError, UsageError
from wetread.images.mosaic import GAP, LINE, TILE, _choose, _drawable, _list_glyphs, _make_tile


@pytest.fixture(params=["memory", "disk", "chosen"])
def index(request: pytest.FixtureRequest, small_folder: Path, tmp_path: Path) -> wr.Index:
    to = None if request.param == "memory" else tmp_path / "to"
    index = wr.scan(small_folder, to, workers=0)
    return index.where("path <> ''") if request.param == "chosen" else index


def test_images_are_spread_evenly(index: wr.Index) -> None:
    names = ["CT_small.dcm", "JPEG2000.dcm", "MR_small.dcm", "MR_truncated.dcm"]
    for n, places in ((1, [0]), (2, [0, 3]), (3, [0, 2, 3]), (9, [0, 1, 2, 3])):
        assert [image.path for image in _choose(index, n)] == [names[p] for p in places]


def test_one_picture(index: wr.Index) -> None:
    picture = index.mosaic(columns=["path", "Modality"])
    assert picture.mode == "RGB"
    assert picture.size == (GAP + 2 * (TILE + GAP), GAP + 2 * (TILE + GAP + 2 * LINE))
    ct = np.asarray(picture)[GAP : GAP + TILE, GAP : GAP + TILE, 0]
    assert np.array_equal(ct[16:144, 16:144], index[0].display())


def test_the_tile_of_an_undecodable_file_gives_the_reason(small_folder: Path) -> None:
    index = wr.scan(small_folder, progress=False).where("path = 'MR_truncated.dcm'")
    tile = np.asarray(index.mosaic())[GAP : GAP + TILE, GAP : GAP + TILE]
    assert tuple(tile[-1, -1]) == (235, 235, 235)
    assert (tile < 100).any()


def test_wrong_usage(index: wr.Index) -> None:
    with pytest.raises(UnknownNameError, match="did you mean Modality"):
        index.mosaic(columns="modality")
    with pytest.raises(UsageError, match="n must be between 1 and"):
        index.mosaic(0)
    with pytest.raises(UsageError, match="none of these rows has pixels"):
        index.where("path LIKE '%plan%'").mosaic()


def test_every_real_file_is_a_tile(real_files: list[Path]) -> None:
    index = wr.scan(real_files, progress=False)
    picture = index.mosaic(60, ["path", "PatientName", "WindowCenter", "problems"], "lung")
    assert picture.size[0] == GAP + 9 * (TILE + GAP)


def test_characters_that_the_font_lacks_are_escaped() -> None:
    glyphs = _list_glyphs()
    assert _drawable("Müller Ωж a\n", glyphs) == "Müller Ωж a "
    assert _drawable("胸部.dcm", glyphs) == r"\u80f8\u90e8.dcm"


def test_captions_name_the_file(small_folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("a/1.dcm", "b/1.dcm"):
            archive.write(small_folder / "CT_small.dcm", name)
    images = [*wr.scan(tmp_path / "x.zip", workers=0), *wr.scan(small_folder, workers=0)[:1]]
    captions = [_make_tile(i, ["path", "PhotometricInterpretation"], None).captions for i in images]
    assert [path for path, _ in captions] == ["a/1.dcm", "b/1.dcm", "CT_small.dcm"]
    picture = wr.scan(small_folder, workers=0)[:1].mosaic()
    assert picture.size == (TILE + 2 * GAP, TILE + 2 * GAP + 2 * LINE)

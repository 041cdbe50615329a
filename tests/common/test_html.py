from __future__ import annotations

import warnings
from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image as Pillow

import wetread as wr
from wetread.common.html import MOST_BYTES, picture_html, table_html, to_jpeg

Real = Callable[[str], Path]
EVIL = "<script>alert('x')</script>"


class Tags(HTMLParser):
    """Parser that collects the tags of a page and checks that each is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_repr_html_of_an_image(real_file: Real) -> None:
    html = wr.read(real_file("RG1_UNCR.dcm"))._repr_html_()
    assert Tags(html).seen >= {"figure", "img", "table"}
    data = html.partition("data:image/jpeg;base64,")[2].partition('"')[0]
    picture = Pillow.open(BytesIO(b64decode(data)))
    assert picture.size == (964, 1024)
    assert len(html) < 210_000
    assert "CR, 1841 x 1955, window 15000/30000" in html


def test_repr_html_of_an_image_without_pixels_has_the_reason(real_file: Real) -> None:
    html = wr.read(real_file("rtplan.dcm"))._repr_html_()
    assert "no pixels: this is RT Plan Storage" in html
    assert "img" not in Tags(html).seen
    assert "has no header" in wr.read(real_file("README.txt"))._repr_html_()


def test_values_of_files_are_escaped(real_file: Real, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(real_file("CT_small.dcm"))
    dataset.PatientName = dataset.StudyDescription = EVIL
    with warnings.catch_warnings(action="ignore"):
        dataset.Modality = "<B>"
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    dataset.WindowCenterWidthExplanation = "<I>"
    dataset.StationName = "<SCRIPT>"
    folder = tmp_path / "a"
    folder.mkdir()
    with warnings.catch_warnings(action="ignore"):
        dataset.save_as(folder / "<script>.dcm")
    index = wr.scan(folder, progress=False)
    for shown in (index, index[0], index[0].header):
        html = shown._repr_html_()
        assert not {"script", "b", "i"} & Tags(html.replace("<b>", "").replace("</b>", "")).seen
        assert "&lt;" in html


def test_repr_html_of_a_header(real_file: Real) -> None:
    header = wr.read(real_file("rtplan.dcm")).header
    html = header._repr_html_()
    assert Tags(html).seen >= {"table", "details"}
    assert "<td" in html
    assert "BeamSequence" in html
    assert isinstance(header, pydicom.FileDataset)
    assert header == pydicom.dcmread(real_file("rtplan.dcm"))
    assert str(header) == str(pydicom.dcmread(real_file("rtplan.dcm")))


def test_repr_html_of_every_header(real_files: list[Path]) -> None:
    index = wr.scan(real_files[::6], progress=False)
    for image in index.where("read_status IN ('ok', 'repaired', 'partial')"):
        Tags(image.header._repr_html_())


def test_repr_html_of_an_index_has_its_first_rows(small_folder: Path) -> None:
    html = wr.scan(small_folder, progress=False)._repr_html_()
    Tags(html)
    assert "<p>6 files, " in html
    assert "CT_small.dcm" in html
    assert "rtplan.dcm" not in html


def test_a_jpeg_is_small_enough() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3)).astype("u1")
    assert len(to_jpeg(noise // 4)) <= 2 * MOST_BYTES
    assert len(to_jpeg(noise[..., 0] // 8)) <= MOST_BYTES


def test_pixels_that_are_not_square() -> None:
    assert "aspect-ratio:1.0000" in picture_html(np.zeros((10, 20), "u1"), 2.0, "", "", {})


def test_cells() -> None:
    html = table_html(["<"], [[None, ["a", 1.5], {"code": "ODD"}, "x" * 200]])
    assert html.startswith("<table><thead><tr><th>&lt;</th></tr></thead>")
    assert "<td></td><td>a\\1.5</td><td>ODD</td>" in html
    assert "x" * 119 + "…" in html

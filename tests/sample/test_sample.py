"""Sample data: DICOM in the form of VinBigData, simulated readers, no patient data."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

import wetread as wr
from wetread.boxes.kaggle import VINBIGDATA
from wetread.cli import main
from wetread.errors import StorageError, UsageError
from wetread.sample import lesions, write_sample
from wetread.sample.lesions import CLASSES, EFFUSION, MASS, OPACITY, PNEUMOTHORAX
from wetread.sample.phantom import draw_phantom

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # VinBigData's ids
PLAIN = [
    "PatientSex",
    "PatientAge",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
]
MORE = ["PixelSpacing", "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope"]
IMAGES, TEST, SIZE = 60, 20, 96


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample"), IMAGES, 3, SIZE, test=TEST)


@pytest.fixture(scope="module")
def headers(sample: Path) -> dict[str, pydicom.FileDataset]:
    return {path.stem: pydicom.dcmread(path) for path in sorted(sample.glob("*/*.dicom"))}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_have_the_elements_of_the_competition_and_no_other(headers):
    assert len(headers) == IMAGES + TEST
    forms = [[e.keyword for e in dataset] for dataset in headers.values()]
    assert {frozenset(form) for form in forms} == {frozenset(PLAIN), frozenset(PLAIN + MORE)}
    assert 0.15 < np.mean([len(form) == 11 for form in forms]) < 0.85
    for key, dataset in headers.items():
        meta = dataset.file_meta
        assert re.fullmatch("[0-9a-f]{32}", key)
        assert meta.MediaStorageSOPInstanceUID == key
        assert meta.TransferSyntaxUID == pydicom.uid.JPEG2000Lossless
        form = dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.SamplesPerPixel
        assert form == (16, 12, 11, 1)
        assert dataset.PixelRepresentation == 0
        assert max(dataset.Rows, dataset.Columns) == SIZE


def test_half_are_inverted_and_sex_and_age_have_quirks(headers):
    polarity = [dataset.PhotometricInterpretation for dataset in headers.values()]
    assert polarity.count("MONOCHROME1") == polarity.count("MONOCHROME2") == len(headers) / 2
    ages = {dataset.PatientAge for dataset in headers.values()}
    assert {"", "000Y"} < ages
    assert all(re.fullmatch(r"(\d{3}Y)?", age) for age in ages)
    assert {dataset.PatientSex for dataset in headers.values()} == {"F", "M", "O", ""}


def test_the_code_stream_is_of_12_bit_and_without_loss(sample, headers):
    numbers = {}
    for number in (0, 1):
        one = write_sample(sample.parent / f"one{number}", number + 1, 3, SIZE, test=0)
        numbers[number] = next(
            p.stem for p in one.glob("train/*") if p.stem not in numbers.values()
        )
    for number, key in numbers.items():
        stream = pydicom.encaps.get_frame(headers[key].PixelData, 0, number_of_frames=1)
        siz, cod = stream.index(b"\xff\x51"), stream.index(b"\xff\x52")
        assert stream[:2] == b"\xff\x4f"
        assert stream[siz + 40] == 11  # bits less one
        assert stream[cod + 13] == 1  # the reversible wavelet (ISO 15444-1 A.6.1)
        stored = np.rint((0.03 + 0.9 * draw_phantom(3, number, SIZE).density) * 4095)
        expected = 4095 - stored if number else stored
        assert (headers[key].pixel_array == expected).all()


def test_both_polarities_look_alike(sample):
    for path in sorted(sample.glob("train/*.dicom"))[:12]:
        seen = wr.read(path).display()
        rows, columns = seen.shape
        spine = seen[int(0.3 * rows) : int(0.4 * rows), int(0.46 * columns) : int(0.54 * columns)]
        air = seen[int(0.03 * rows) : int(0.08 * rows), int(0.2 * columns) : int(0.3 * columns)]
        assert spine.mean() > 150 > 50 > air.mean()


def test_three_of_seventeen_readers_per_image(sample):
    rows = rows_of(sample / "train.csv")
    assert list(rows[0]) == [
        "image_id",
        "class_name",
        "class_id",
        "rad_id",
        "x_min",
        "y_min",
        "x_max",
        "y_max",
    ]
    readers = defaultdict(set)
    for row in rows:
        readers[row["image_id"]].add(row["rad_id"])
    assert set(readers) == {path.stem for path in sample.glob("train/*")}
    assert all(len(trio) == 3 for trio in readers.values())
    everyone = set().union(*readers.values())
    assert {"R8", "R9", "R10"} < everyone <= {f"R{n}" for n in range(1, 18)}


def test_classes_are_those_of_the_competition(sample):
    assert CLASSES.items() <= VINBIGDATA.items()
    rows = rows_of(sample / "train.csv")
    assert {(int(r["class_id"]), r["class_name"]) for r in rows} == {
        *CLASSES.items(),
        (14, "No finding"),
    }
    for row in rows:
        corners = [row[name] for name in ("x_min", "y_min", "x_max", "y_max")]
        if row["class_id"] == "14":
            assert corners == [""] * 4
        else:
            assert all(corner.isdecimal() for corner in corners)


def test_readers_agree_for_the_most_part(sample):
    index = wr.scan(sample / "train", progress=False)
    boxes = wr.read_boxes(sample / "train.csv", images=index)
    assert boxes.dialect == "vinbigdata"
    assert set(boxes.check(index)["severity"]) <= {"info"}
    found = boxes.agreement()
    found = found[(found["reader_a"].isin(["R8", "R9", "R10"])) & (found["images"] > 10)]
    assert 0.6 < found["mean_iou"].mean() < 0.95
    assert 0.5 < found["kappa"].mean() < 0.95


def test_the_test_set_has_truth_and_a_submission_template(sample, tmp_path):
    index = wr.scan(sample / "test", progress=False)
    truth = wr.read_boxes(sample / "test_truth.csv", images=index)
    assert (truth.readers, truth.table["image"].null_count) == (("truth",), 0)
    perfect = truth.replace({"score": np.ones(len(truth)), "reader": [None] * len(truth)})
    assert wr.evaluate(perfect, truth, "vinbigdata", resamples=0).value == 1
    wr.submit(perfect.select(np.zeros(len(perfect), bool)), tmp_path / "s", "vinbigdata", index)
    blank = (sample / "sample_submission.csv").read_text().splitlines()
    assert sorted(blank) == sorted((tmp_path / "s").read_text().splitlines())
    assert len(blank) == TEST + 1


def test_images_do_not_depend_on_their_number(sample, tmp_path):
    less = write_sample(tmp_path / "less", 3, 3, SIZE, test=1)
    for file in less.glob("*/*.dicom"):
        assert file.read_bytes() == (sample / file.relative_to(less)).read_bytes()
    lines = (less / "train.csv").read_text().splitlines()
    assert lines == (sample / "train.csv").read_text().splitlines()[: len(lines)]
    other = write_sample(tmp_path / "other", 3, 4, SIZE, test=0)
    names = {path.name for path in other.glob("train/*")}
    assert len(names) == 3
    assert not names & {path.name for path in less.glob("train/*")}


def test_lesions_are_visible_inside_their_boxes(monkeypatch):
    """Compared with the same phantom, same random numbers, without the lesion."""

    def draw_nothing(phantom, wanted):
        before = phantom.density.copy()
        draw(phantom, wanted)
        phantom.density = before

    draw, shade = lesions.draw, defaultdict(list)
    phantoms = [draw_phantom(0, number, 160) for number in range(40)]
    monkeypatch.setattr(lesions, "draw", draw_nothing)
    for number, phantom in enumerate(phantoms):
        change = phantom.density - draw_phantom(0, number, 160).density
        outside = np.ones(change.shape, bool)
        for label, (x0, y0, x1, y1) in phantom.boxes:
            place = slice(int(y0), int(y1)), slice(int(x0), int(x1))
            shade[label].append(np.quantile(change[place], 0.2 if label == PNEUMOTHORAX else 0.8))
            margin = (
                slice(max(0, int(y0) - 8), int(y1) + 8),
                slice(max(0, int(x0) - 8), int(x1) + 8),
            )
            outside[margin] = False
        assert np.abs(change[outside]).max(initial=0) < 0.05
    for label in (MASS, OPACITY, EFFUSION):
        assert min(shade[label]) > 0.08
    assert max(shade[PNEUMOTHORAX]) < -0.03


def test_small_phantoms_are_radiographs_too(tmp_path):
    write_sample(tmp_path, 40, size=64, test=0, progress=False)
    measured = wr.scan(tmp_path / "train", progress=False).measure(workers=1, progress=False)
    assert measured.query("SELECT count(*) n FROM index WHERE px_std > 0")["n"].tolist() == [40]


def test_an_earlier_sample_is_replaced_and_nothing_else(tmp_path):
    write_sample(tmp_path / "s", 3, 0, 32)
    write_sample(tmp_path / "s", 2, 1, 32, test=0)
    assert len(list((tmp_path / "s").glob("*/*.dicom"))) == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.csv").write_text("mine")
    with pytest.raises(UsageError, match="other files"):
        write_sample(tmp_path / "mine", 1, 0, 32)
    assert (tmp_path / "mine" / "train.csv").read_text() == "mine"
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        write_sample(tmp_path / "file", 1, 0, 32)


@pytest.mark.parametrize("wrong", [{"images": 0}, {"size": 31}, {"test": -1}, {"bits": 17}])
def test_numbers_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(UsageError, match="images must be at least 1"):
        write_sample(tmp_path / "s", **wrong)
    assert not (tmp_path / "s").exists()


def test_every_text_states_that_images_are_phantoms(tmp_path):
    folder = tmp_path / "s"
    done = CliRunner().invoke(main, ["sample", str(folder), "--images", "2", "--size", "32"])
    assert done.exit_code == 0
    assert "2 phantoms for training and 1 for testing" in done.stdout
    assert f"wetread scan {folder}/train -o {folder}/train.index" in done.stdout
    assert "phantoms: synthetic chest radiographs" in (folder / "README.txt").read_text()
    assert "phantom" in CliRunner().invoke(main, ["sample", "--help"]).stdout


def test_json_output_of_the_command(tmp_path):
    arguments = ["sample", str(tmp_path / "s"), "--images", "2", "--test", "0", "--size", "32"]
    done = CliRunner().invoke(main, [*arguments, "--seed", "5", "--json"])
    told = {"folder": str(tmp_path / "s"), "train": 2, "test": 0}
    assert json.loads(done.stdout) == told
    assert CliRunner().invoke(main, ["sample", str(tmp_path), "--quiet"]).exit_code == 2

"""Fixtures for all tests: real files, small indexes, phantoms, oracle programs."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings

import wetread as wr
from wetread.images import batch
from wetread.testing.dicom import changed, dicom_file, element, picture

os.environ |= {"OMP_NUM_THREADS": "1", "PYTHON_CPU_COUNT": "1"}  # pytest-xdist uses all cores
if "WETREAD_GPU" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # on the CPU results are equal bit for bit
settings.register_profile("wetread", deadline=None)  # a busy machine takes longer
settings.load_profile("wetread")
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real files beside the project; tests use them where they exist."""
CODECS: dict[str, tuple[str, Callable[[np.ndarray], bytes]]] = {
    "jpeg2000": (
        "1.2.840.10008.1.2.4.90",
        lambda stored: imagecodecs.jpeg2k_encode(stored, codecformat="j2k", reversible=True),
    ),
    "htj2k": ("1.2.840.10008.1.2.4.201", imagecodecs.htj2k_encode),
    "jpeg": (
        "1.2.840.10008.1.2.4.50",
        lambda stored: imagecodecs.jpeg8_encode(stored, level=98),
    ),
    "jpeg-ls": ("1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode),
}
"""Transfer syntaxes and encoders by name; the last holds no smaller versions of itself."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs are absent, before any fixture runs; in CI it fails instead."""
    absent = [
        f"{command} is absent: apt-get install {package}"
        for package, command in (mark.args for mark in item.iter_markers("apt"))
        if shutil.which(command) is None
    ]
    if absent:
        end = pytest.fail if os.environ.get("WETREAD_REQUIRE_APT") else pytest.skip
        end("; ".join(absent))


def real_folders() -> list[Path]:
    """Folders of real DICOM files: those of pydicom and pydicom-data, the conformance set."""
    import data_store
    import pydicom.data

    folders = [
        Path(pydicom.data.__file__).parent / "test_files",
        Path(data_store.__file__).parent / "data",
        SHARED / "conformance",
    ]
    return [folder for folder in folders if folder.is_dir()]


@pytest.fixture(scope="session")
def real_files() -> list[Path]:
    """Every file of `real_folders`, some of which are not DICOM."""
    files = (path for folder in real_folders() for path in sorted(folder.rglob("*")))
    return [p for p in files if p.is_file() and p.suffix not in {".py", ".pyc", ".csv"}]


@pytest.fixture(scope="session")
def real_file() -> Callable[[str], Path]:
    """Find a real file by name, in the folders of pydicom and pydicom-data."""

    def find(name: str) -> Path:
        return next(path for folder in real_folders() for path in folder.rglob(name))

    return find


@pytest.fixture(scope="session")
def shared_case() -> Callable[[str], Path]:
    """Find the folder of a case by its number; skip the test if there is none."""

    def find(number: str) -> Path:
        found = sorted((SHARED / "cases").glob(f"{number}-*"))
        return found[0] if found else pytest.skip("no cases beside the project")

    return find


@pytest.fixture
def small_folder(tmp_path: Path) -> Path:
    """Folder of five real files and one that is not DICOM."""
    folder = tmp_path / "train"
    folder.mkdir()
    test_files = real_folders()[0]
    for name in ("CT_small.dcm", "JPEG2000.dcm", "MR_small.dcm", "MR_truncated.dcm", "rtplan.dcm"):
        shutil.copy(test_files / name, folder)
    (folder / "README.txt").write_text("no DICOM")
    return folder


@pytest.fixture
def make_index(tmp_path: Path) -> Callable[..., wr.Index]:
    """An index of small pictures: their names, and of each its size, pixels and other elements.

    A value of None leaves an element out; without pixels those of each picture are its own.
    """

    def make(pictures: Mapping[str, Mapping[str, Any]], to: Path | None = None) -> wr.Index:
        root = tmp_path / "pictures"
        for number, (name, changes) in enumerate(pictures.items(), 1):
            given = {"rows": 40, "columns": 60, **changes}
            rows, columns = given.pop("rows"), given.pop("columns")
            pixels = given.pop("pixels", bytes([number, 0]) * (rows * columns))
            elements = changed(
                picture(number, rows, columns),
                element("PixelData", pixels, vr="OW"),
                *(element(key, value) for key, value in given.items() if value is not None),
                without=[key for key, value in given.items() if value is None],
            )
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(dicom_file(elements))
        return wr.scan(root, to, workers=0, progress=False)

    return make


@pytest.fixture
def watch_decoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Start a list of the paths of images that are decoded from here on."""

    def watch() -> list[str]:
        paths: list[str] = []
        run = batch.run

        def spy(function: str, images: pa.Table, *rest: Any) -> Any:
            paths.extend(images["path"].to_pylist())
            return run(function, images, *rest)

        monkeypatch.setattr(batch, "run", spy)
        return paths

    return watch


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> wr.Index:
    """Index of two images, a.dcm and b.dcm, of 40 rows and 80 columns."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, name in enumerate(("a.dcm", "b.dcm"), 1):
        (folder / name).write_bytes(dicom_file(picture(number, 40, 80)))
    return wr.scan(folder, workers=0, progress=False)


@pytest.fixture(scope="session")
def supervision() -> Any:
    """The package supervision, which warns on import without OpenCV."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import supervision
    return supervision


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with 30 phantoms, labels, predictions and a measured, split index."""
    import numpy as np

    import wetread as wr
    from wetread.sample import write_sample

    folder = tmp_path_factory.mktemp("reported")
    write_sample(folder, 30, size=200, test=0, progress=False)
    wr.scan(folder / "train", folder / "train.index", progress=False)
    index = wr.Index.open(folder / "train.index").measure(progress=False)
    boxes = wr.read_boxes(folder / "train.csv", images=index)
    with pytest.warns(UserWarning, match="split by image"):
        index = wr.split(index, boxes, {"train": 0.5, "valid": 0.5})
    truth = wr.read_boxes(folder / "train.csv", images=index).consensus()
    chance = np.random.default_rng(0)
    valid = truth.select(np.array([part == "valid" for part in truth.table["part"].to_pylist()]))
    boxed = valid.select(np.array([kind == "box" for kind in valid.table["kind"].to_pylist()]))
    boxed = boxed.select(chance.random(len(boxed)) > 0.3)  # some are missed
    near, far = (boxed.corners + chance.normal(0, s, (len(boxed), 4)) for s in (4, 60))
    corners = np.concatenate([near, far])
    columns = {
        "key": boxed.table["key"].to_pylist() * 2,
        "label": boxed.table["label"].to_pylist() * 2,
        "score": [*chance.uniform(0.4, 1, len(near)), *chance.uniform(0, 0.6, len(far))],
    }
    columns |= {f"{a}0": np.minimum(corners[:, i], corners[:, i + 2]) for i, a in enumerate("xy")}
    columns |= {
        f"{a}1": np.maximum(corners[:, i], corners[:, i + 2]) + 4 for i, a in enumerate("xy")
    }
    wr.Boxes.from_columns(columns).save(folder / "found.parquet")
    return folder


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small sample: 24 training phantoms and 6 test phantoms of 64 pixels."""
    from wetread.sample import write_sample

    return write_sample(tmp_path_factory.mktemp("phantoms"), 24, size=64, test=6, progress=False)


@pytest.fixture(scope="session")
def phantom_cache(phantoms: Path) -> Path:
    """Cache of the training images of `phantoms`."""
    import wetread

    index = wetread.scan(phantoms / "train", workers=0, progress=False)
    return wetread.prepare(index, phantoms / "train.cache", 64, workers=1, progress=False).folder


@pytest.fixture
def write_disc() -> Callable[..., tuple[float, float]]:
    """Write an image of a disc, lossless except for JPEG; return its center (x, y)."""

    def write(path: Path, codec: str, rows: int = 1001, columns: int = 733) -> tuple[float, float]:
        bits = 8 if codec == "jpeg" else 12
        x, y, radius = 0.31 * columns, 0.77 * rows, 60
        down, across = np.mgrid[:rows, :columns] + 0.5
        inside = np.clip(radius - np.hypot(across - x, down - y) + 0.5, 0, 1)
        stored = np.rint((0.2 + 0.6 * inside) * (2**bits - 1)).astype("u1" if bits == 8 else "u2")
        syntax, encode = CODECS[codec]
        stream = bytes(encode(stored))
        elements = changed(
            picture(1, rows, columns),
            element("BitsAllocated", 8 if bits == 8 else 16),
            element("BitsStored", bits),
            element("HighBit", bits - 1),
            element("PixelData", [b"", stream + b"\0" * (len(stream) % 2)], vr="OB"),
            without=("RescaleSlope", "RescaleIntercept"),
        )
        path.write_bytes(dicom_file(elements, syntax))
        return x, y

    return write


@pytest.fixture
def find_disc() -> Callable[..., tuple[float, float]]:
    """Find the center (x, y) of such a disc in a picture, in stored pixels."""

    def find(seen: np.ndarray, rows: int = 1001, columns: int = 733) -> tuple[float, float]:
        weight = seen.astype(float) - np.median(seen)
        down, across = np.mgrid[: seen.shape[0], : seen.shape[1]] + 0.5
        down, across = down * rows / seen.shape[0], across * columns / seen.shape[1]
        weight *= np.hypot(across - 0.31 * columns, down - 0.77 * rows) < 90
        return (across * weight).sum() / weight.sum(), (down * weight).sum() / weight.sum()

    return find


@pytest.fixture(scope="module")
def s3(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Client of a local S3 server (moto), with an empty bucket named by the module's BUCKET."""
    import boto3
    from moto.server import ThreadedMotoServer

    from wetread.sources.buckets import open_bucket

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    environment = {
        "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=request.module.BUCKET)
        yield client
    open_bucket.cache_clear()
    server.stop()


_LIMITED = """
import asyncio, resource, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import wetread as wr
from wetread.settings import Settings
from wetread.viewer.catalogue import Catalogue
from wetread.viewer.decoder import Decoder
from wetread.viewer.masks import MaskServer
from wetread.viewer.series import SeriesCatalogue
from wetread.viewer.volumes import VolumeCache, VolumeServer

LIMIT, SLACK = int(sys.argv[2]), int(sys.argv[3])
settings = Settings(volume_cache_bytes=LIMIT)
index = wr.scan(sys.argv[1], workers=0, progress=False)
catalogue = Catalogue(index, settings)
series = SeriesCatalogue(catalogue, settings)
executor = ThreadPoolExecutor(1)
decoder = Decoder(index.root, settings)
cache = VolumeCache(LIMIT)

def limit_memory():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + LIMIT + SLACK
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

{body}
try:
    asyncio.run(main())
finally:
    decoder.close()
"""


@pytest.fixture
def run_limited() -> Callable[..., str]:
    """Function that runs `main` of some code on a viewer's parts, with a cache of `limit` bytes.

    The code calls `limit_memory()`, after which the process may take `slack` bytes more.
    """

    def run(body: str, folder: Path, limit: int, slack: int) -> str:
        code = _LIMITED.replace("{body}", body)
        command = [sys.executable, "-c", code, str(folder), str(limit), str(slack)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run

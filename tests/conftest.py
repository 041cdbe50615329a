"""Fixtures that every test may use: real files, and the programs that serve as oracles."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real files beside the project; tests use them where they exist."""


def real_folders() -> list[Path]:
    """The folders of real DICOM files on this machine: pydicom's, pydicom-data's, conformance."""
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
    """The real file of a name, from pydicom or pydicom-data."""

    def find(name: str) -> Path:
        return next(path for folder in real_folders() for path in folder.rglob(name))

    return find


@pytest.fixture
def small_folder(tmp_path: Path) -> Path:
    """A folder of five real files and one that is not DICOM."""
    folder = tmp_path / "train"
    folder.mkdir()
    test_files = real_folders()[0]
    for name in ("CT_small.dcm", "JPEG2000.dcm", "MR_small.dcm", "MR_truncated.dcm", "rtplan.dcm"):
        shutil.copy(test_files / name, folder)
    (folder / "README.txt").write_text("no DICOM")
    return folder


@pytest.fixture(autouse=True)
def _apt(request: pytest.FixtureRequest) -> None:
    """`@pytest.mark.apt("dcmtk", "dcmdump")`: skip where the program is absent, or fail in CI."""
    for mark in request.node.iter_markers("apt"):
        package, command = mark.args
        if shutil.which(command) is None:
            message = f"{command} is absent: apt-get install {package}"
            if os.environ.get("WETREAD_REQUIRE_APT"):
                pytest.fail(message)
            pytest.skip(message)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample: 24 phantoms of 64 pixels to train on, 6 to test on."""
    from wetread.sample import write_sample

    return write_sample(tmp_path_factory.mktemp("phantoms"), 24, size=64, test=6, progress=False)


@pytest.fixture(scope="session")
def phantom_cache(phantoms: Path) -> Path:
    """The training images of `phantoms`, decoded."""
    import wetread

    index = wetread.scan(phantoms / "train", workers=0, progress=False)
    return wetread.prepare(index, phantoms / "train.cache", 64, workers=1, progress=False).folder

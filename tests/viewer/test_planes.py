"""Planes of volumes equal those that SimpleITK resamples by nearest neighbour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import SimpleITK

import wetread as wr
from wetread.errors import UsageError
from wetread.series.volume import Volume
from wetread.settings import MIB, Settings
from wetread.testing.series import CT, stack, write
from wetread.viewer import serve
from wetread.viewer.encoding import unpack
from wetread.viewer.volumes import PLANES, cut_plane

OBLIQUE = (0.8, 0.6, 0, -0.36, 0.48, 0.8)
SAGITTAL = (0, 1, 0, 0, 0, -1)
GEOMETRIES: dict[str, dict[str, Any]] = {
    "axial": {"step": 2.5},
    "ties": {"step": 1.0, "PixelSpacing": ["0.5", "0.5"]},
    "not square": {"step": 3.1, "PixelSpacing": ["0.9", "0.4"]},
    "thin slices": {"step": 0.3},
    "sagittal": {"step": 4.0, "orientation": SAGITTAL},
    "coronal": {"step": 1.7, "orientation": (1, 0, 0, 0, 0, -1)},
    "oblique": {"step": 2.3, "orientation": OBLIQUE},
    "head first": {"step": 2.0, "orientation": (-1, 0, 0, 0, -1, 0)},
}


def volume_of(folder: Path, count: int = 9, **options: Any) -> Volume:
    rng = np.random.default_rng(1)
    slices = stack(count, rows=11, columns=13, **options)
    for one in slices:
        one["pixels"] = rng.integers(0, 4096, (11, 13)).astype("<u2").tobytes()
    write(folder, slices)
    return wr.scan(folder, workers=0, progress=False).series[0].volume


def resample(volume: Volume, name: str, at: int) -> np.ndarray:
    """Plane by SimpleITK, on the grid of voxel 0, in the direction of the patient."""
    affine, spacing = volume.affine, np.array(volume.spacing)
    image = SimpleITK.GetImageFromArray(volume.stored)
    directions = affine[:3, :3] / spacing
    image.SetOrigin(affine[:3, 3])
    image.SetSpacing(spacing[::-1].tolist())
    image.SetDirection(directions[:, ::-1].ravel())
    nearest = [int(np.abs(directions[axis]).argmax()) for axis in (2, 1, 0)]  # along z, y, x
    through, down, right = (
        nearest[n] for n in {"axial": (0, 1, 2), "coronal": (1, 0, 2)}.get(name, (2, 0, 1))
    )
    pixel = float(spacing[1:].min())
    counts = [int(np.ceil((volume.shape[a] - 0.5) * spacing[a] / pixel)) for a in (right, down)]
    start = np.zeros(3)
    start[through] = at
    grid = SimpleITK.ResampleImageFilter()
    grid.SetSize([*counts, 1])
    grid.SetOutputSpacing([pixel, pixel, 1.0])
    grid.SetOutputOrigin((affine @ [*start, 1])[:3])
    grid.SetOutputDirection(directions[:, [right, down, through]].ravel())
    grid.SetInterpolator(SimpleITK.sitkNearestNeighbor)
    plane = SimpleITK.GetArrayFromImage(grid.Execute(image))[0]
    wanted = {2: -1, 1: 1, 0: 1}  # head at the top, front at the top, right at the left
    for axis, side in ((down, 0), (right, 1)):
        world = int(np.abs(directions[:, axis]).argmax())
        if np.sign(directions[world, axis]) != wanted[world]:
            plane = np.flip(plane, side)
    return plane


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_planes_equal_those_of_simpleitk(geometry: str, name: str, tmp_path: Path) -> None:
    volume = volume_of(tmp_path, **GEOMETRIES[geometry])
    for at in (0, 3, 8):
        plane = cut_plane(volume.stored, volume.affine, name, at)
        np.testing.assert_array_equal(plane, resample(volume, name, at))


@pytest.mark.parametrize("name", PLANES)
def test_planes_of_a_real_series(name: str, shared_series: Callable[[str], Path]) -> None:
    index = wr.scan(shared_series("mr-non-isotropic"), workers=0, progress=False)
    volume = index.series[0].volume
    plane = cut_plane(volume.stored, volume.affine, name, 2)
    np.testing.assert_array_equal(plane, resample(volume, name, 2))


@pytest.fixture
def shared_series() -> Callable[[str], Path]:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "series"

    def find(name: str) -> Path:
        if not (folder / name).is_dir():
            pytest.skip("the real series are not beside the project")
        return folder / name

    return find


def test_bad_planes_are_refused() -> None:
    values, affine = np.zeros((2, 3, 4), np.uint8), np.eye(4)
    with pytest.raises(UsageError, match="axial, coronal, sagittal"):
        cut_plane(values, affine, "oblique", 0)
    with pytest.raises(UsageError, match="from 0 to 1"):
        cut_plane(values, affine, "sagittal", 2)


@contextmanager
def client_of(folder: Path, settings: Settings = Settings()) -> Iterator[httpx.Client]:
    index = wr.scan(folder, workers=0, progress=False)
    with serve(index, settings=settings) as handle:
        head = {"X-Wetread-Token": handle.token, "Accept-Encoding": ""}
        url = f"http://127.0.0.1:{handle.port}/"
        with httpx.Client(base_url=url, headers=head, timeout=60, trust_env=False) as client:
            yield client


def first_volume(client: httpx.Client) -> str:
    """Address of the volume of the first series."""
    id_ = client.get("api/series").json()["rows"][0]["id"]
    found = client.get(f"api/images/{id_}/stack").json()
    return f"api/series/{found['series']['id']}/{found['stack']}"


def read_plane(client: httpx.Client, volume: str, name: str, at: int) -> np.ndarray:
    response = client.get(f"{volume}/plane", params={"plane": name, "at": at})
    assert response.status_code == 200, response.text
    head = {n: response.headers[f"X-Wetread-{n}"] for n in ("Rows", "Columns", "Dtype")}
    rows, columns, dtype = int(head["Rows"]), int(head["Columns"]), head["Dtype"]
    if dtype == "float32":
        return np.frombuffer(response.content, dtype).reshape(rows, columns)
    return unpack(response.content, rows, columns, dtype)


@pytest.mark.parametrize("name", PLANES)
def test_the_server_sends_the_plane(name: str, tmp_path: Path) -> None:
    volume = volume_of(tmp_path, step=2.5)
    with client_of(tmp_path) as client:
        address = first_volume(client)
        about = client.get(address).json()
        plane = read_plane(client, address, name, 4)
    np.testing.assert_array_equal(plane, cut_plane(volume.stored, volume.affine, name, 4))
    described = next(one for one in about["planes"] if one["name"] == name)
    assert plane.shape == (described["rows"], described["columns"])
    assert np.array(about["affine"]).tolist() == volume.affine.tolist()


def test_a_rescale_per_slice_gives_modality_values(tmp_path: Path) -> None:
    slices = stack(6, rows=8, columns=8)
    for n, one in enumerate(slices):
        one["RescaleSlope"] = str(1 + n / 4)
        one["pixels"] = np.full((8, 8), 100 + n, "<u2").tobytes()
    write(tmp_path, slices)
    volume = wr.scan(tmp_path, workers=0, progress=False).series[0].volume
    with client_of(tmp_path) as client:
        plane = read_plane(client, first_volume(client), "coronal", 3)
    assert plane.dtype == np.float32
    np.testing.assert_array_equal(plane, cut_plane(volume.array, volume.affine, "coronal", 3))


def test_a_truncated_slice_is_named(tmp_path: Path) -> None:
    volume_of(tmp_path)
    file = tmp_path / "004.dcm"
    file.write_bytes(file.read_bytes()[:-20])
    with client_of(tmp_path) as client:
        address = first_volume(client)
        response = client.get(f"{address}/plane", params={"plane": "axial", "at": 0})
    assert response.status_code == 422
    assert response.json()["error"].startswith("004.dcm")


def test_a_volume_above_the_limit_has_no_planes(tmp_path: Path) -> None:
    volume_of(tmp_path, 2, step=2.0)
    with client_of(tmp_path, Settings(volume_cache_bytes=500)) as client:
        address = first_volume(client)
        assert "only its slices are shown" in client.get(address).json()["limit"]
        response = client.get(f"{address}/plane", params={"plane": "axial", "at": 0})
        assert response.status_code == 422
        assert "volume_cache_bytes" in response.json()["error"]


def test_addresses_that_name_no_volume(tmp_path: Path) -> None:
    volume_of(tmp_path)
    with client_of(tmp_path) as client:
        address = first_volume(client)
        assert client.get("api/series/0123456789abcdef/0").status_code == 404
        assert client.get(address.removesuffix("0") + "7").status_code == 404
        assert client.get("api/series/..%2F/0").status_code == 404
        for query in (
            {"plane": "axial", "at": "900"},
            {"plane": "x"},
            {"plane": "axial", "at": "-1"},
        ):
            assert client.get(f"{address}/plane", params=query).status_code == 400


CUT_PLANES = """
async def main():
    small, *large = sorted(index.series, key=lambda one: one.row["Rows"])
    server = VolumeServer(series, decoder, executor, cache)
    await server.plane(small.series_id, 0, "axial", 0, "")
    limit_memory()
    for one in (*large, *large):
        await server.plane(one.series_id, 0, "sagittal", 9, "")
    print("loaded", 2 * len(large))
"""


def test_memory_stays_within_the_limit(tmp_path: Path, run_limited: Callable[..., str]) -> None:
    """Three volumes of 64 MiB in a cache of 96 MiB, under RLIMIT_AS: never two of them."""
    from imagecodecs import jpegls_encode

    from wetread.testing.dicom import changed, dicom_file, element, picture

    def compressed(number: int, count: int, size: int) -> None:
        stream = jpegls_encode(np.full((size, size), 7, np.uint16))
        for n in range(count):
            elements = changed(
                picture(1, size, size),
                element("PixelData", [b"", stream + b"\0" * (len(stream) % 2)]),
                element("SOPClassUID", CT),
                element("Modality", "CT"),
                element("BitsStored", 16),
                element("HighBit", 15),
                element("SeriesInstanceUID", f"2.25.{number}"),
                element("ImagePositionPatient", ["0", "0", str(n)]),
                element("ImageOrientationPatient", list("100010")),
                element("PixelSpacing", ["1", "1"]),
            )
            path = tmp_path / f"{number}-{n:02}.dcm"
            path.write_bytes(dicom_file(elements, "1.2.840.10008.1.2.4.80"))

    compressed(1, 2, 16)
    for number in (2, 3, 4):
        compressed(number, 32, 1024)
    assert run_limited(CUT_PLANES, tmp_path, 96 * MIB, 56 * MIB).split() == ["loaded", "6"]

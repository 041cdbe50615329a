"""Masks in the viewer: the same voxels and mm as in the files, within the memory for volumes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
import SimpleITK

import wetread as wr
from wetread.settings import MIB, Settings
from wetread.viewer import runs, serve
from wetread.viewer.volumes import PLANES, cut_plane


@pytest.fixture
def masks() -> np.ndarray:
    rng = np.random.default_rng(4)
    return rng.random((5, 11, 13)) > 0.6


def test_runs_are_the_mask(masks) -> None:
    coded = np.concatenate([runs.encode(plane, 11 * k) for k, plane in enumerate(masks)])
    assert runs.count(coded) == masks.sum()
    for axis in range(3):
        for at in range(masks.shape[axis]):
            plane = runs.cut(coded, masks.shape, axis, at)
            np.testing.assert_array_equal(plane, np.take(masks, at, axis))


def test_more_runs_than_the_limit(masks) -> None:
    collector = runs.Collector(100)
    with pytest.raises(wr.errors.LimitError, match="MiB"):
        collector.add(1, 0, masks[0])


@contextmanager
def client_of(folder: Path, **options: Any) -> Iterator[httpx.Client]:
    index = wr.scan(folder, workers=0, progress=False)
    with serve(index, **{"show_phi": True, **options}) as handle:
        head = {"X-Wetread-Token": handle.token}
        url = f"http://127.0.0.1:{handle.port}/api/"
        with httpx.Client(base_url=url, headers=head, timeout=120, trust_env=False) as client:
            client.ids = dict(  # type: ignore[attr-defined]
                zip(index["path"].map(lambda path: Path(path).name), index["id"], strict=True)
            )
            yield client


def get(client: httpx.Client, path: str, **query: Any) -> Any:
    response = client.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


def read(client: httpx.Client, path: str, shape: Any, segment: int, **query: Any) -> np.ndarray:
    """Mask of a segment on a picture."""
    response = client.get(path, params=query)
    assert response.status_code == 200, response.text
    mask = np.zeros(shape, bool)
    for one in np.frombuffer(response.content, runs.WIRE):
        if one["segment"] == segment:
            mask[one["row"], one["first"] : one["end"]] = True
    return mask


def frame_points(path: Path, number: int) -> set[tuple[float, ...]]:
    """LPS mm of the pixels of a SEG, from its own attributes by pydicom."""
    seg = pydicom.dcmread(path)
    pixels = np.atleast_3d(seg.pixel_array).reshape(-1, seg.Rows, seg.Columns)
    shared = seg.SharedFunctionalGroupsSequence[0]
    spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    row, column = np.reshape(
        shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)
    ).astype(float)
    points = set()
    for frame, group in zip(pixels, seg.PerFrameFunctionalGroupsSequence, strict=True):
        if seg.SegmentationType == "LABELMAP":
            frame = frame == number
        else:
            named = group if "SegmentIdentificationSequence" in group else shared
            if named.SegmentIdentificationSequence[0].ReferencedSegmentNumber != number:
                continue
        origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        y, x = np.nonzero(frame >= 0.5 * seg.get("MaximumFractionalValue", 1))
        mm = origin + np.outer(x * float(spacing[1]), row) + np.outer(y * float(spacing[0]), column)
        points |= set(map(tuple, mm.round(3).tolist()))
    return points


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_pixels_lie_at_the_mm_of_the_file(kind, make_scan, write_seg, blob, tmp_path) -> None:
    scan = make_scan(orientation=(0.6, 0.8, 0.0, 0.0, 0.0, -1.0))
    labels = blob.astype(np.uint8)
    labels[3, 20:25, 2:9] = 2
    values = blob * 0.7 if kind == "FRACTIONAL" else labels
    path = write_seg(scan, values, kind)
    with client_of(tmp_path) as client:
        seg = client.ids["seg.dcm"]
        place = get(client, f"images/{seg}/masks")["place"]
        found = get(client, f"series/{place['series']}/{place['stack']}/masks/{seg}")
        assert [one["aligned"] for one in found["segments"]] == [True] * len(found["segments"])
        for at, segment in enumerate(found["segments"]):
            points = set()
            for k in range(scan.shape[0]):
                address = f"images/{client.ids[f'one{k:03}.dcm']}/masks/{seg}/runs"
                pixels = np.argwhere(read(client, address, scan.shape[1:], at))
                mm = scan.world(np.c_[np.full(len(pixels), k), pixels])
                points |= set(map(tuple, mm.round(3).tolist()))
            theirs = frame_points(path, segment["number"])
            assert len(points) == len(theirs) == segment["voxels"] > 0
            assert np.abs(np.array(sorted(points)) - sorted(theirs)).max() < 2e-3
            millilitres = segment["voxels"] * 2.5 * 0.8 * 0.6 / 1000
            assert segment["volume_ml"] == pytest.approx(millilitres)


@pytest.mark.parametrize("name", PLANES)
def test_planes_equal_those_that_simpleitk_resamples(
    name, scan, write_rtstruct, outlines, blob, tmp_path
) -> None:
    write_rtstruct(scan, {"A": outlines(blob), "B": outlines(np.roll(blob, 3, 2))})
    pixel = 0.6
    image = SimpleITK.GetImageFromArray(np.roll(blob, 3, 2).astype(np.uint8))
    image.SetSpacing((0.6, 0.8, 2.5))
    axes = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}[name]
    through = ({0, 1, 2} - set(axes)).pop()
    with client_of(tmp_path) as client:
        rt = client.ids["rt.dcm"]
        place = get(client, f"images/{rt}/masks")["place"]
        volume = f"series/{place['series']}/{place['stack']}"
        plane = next(one for one in get(client, volume)["planes"] if one["name"] == name)
        for at in {"axial": (3, 4), "coronal": (7, 15), "sagittal": (8, 10)}[name]:
            grid = SimpleITK.ResampleImageFilter()
            size = [1, 1, 1]
            size[axes[0]], size[axes[1]] = plane["columns"], plane["rows"]
            grid.SetSize(size)
            grid.SetOutputSpacing((pixel, pixel, pixel))
            origin = [0.0, 0.0, 0.0]
            origin[through] = at * image.GetSpacing()[through]
            grid.SetOutputOrigin(origin)
            grid.SetInterpolator(SimpleITK.sitkNearestNeighbor)
            theirs = np.squeeze(SimpleITK.GetArrayFromImage(grid.Execute(image)))
            if name != "axial":
                theirs = theirs[::-1]  # head at the top
            query = {"plane": name, "at": at}
            ours = read(client, f"{volume}/masks/{rt}/runs", theirs.shape, 1, **query)
            np.testing.assert_array_equal(ours, theirs > 0)
            assert theirs.any()


def test_planes_of_an_oblique_volume(make_scan, write_seg, blob, tmp_path) -> None:
    scan = make_scan(orientation=(0.8, 0.6, 0, -0.36, 0.48, 0.8))
    write_seg(scan, blob)
    with client_of(tmp_path) as client:
        seg = client.ids["seg.dcm"]
        place = get(client, f"images/{seg}/masks")["place"]
        address = f"series/{place['series']}/{place['stack']}/masks/{seg}/runs"
        affine = scan.index.series[0].volume.affine
        for name in PLANES:
            theirs = cut_plane(blob, affine, name, 5)
            ours = read(client, address, theirs.shape, 0, plane=name, at=5)
            np.testing.assert_array_equal(ours, theirs)


def test_a_seg_by_itself_begins_at_its_first_frame_with_foreground(
    scan, write_seg, blob, tmp_path
) -> None:
    def empty(seg: Any) -> None:
        pixels = seg.pixel_array
        pixels[:2] = 0
        seg.PixelData = pydicom.pixels.pack_bits(pixels)

    path = write_seg(scan, blob, labels=["Liver"], change=empty)
    for file in scan.folder.iterdir():
        file.unlink()
    with client_of(tmp_path) as client:
        seg = client.ids["seg.dcm"]
        found = get(client, f"images/{seg}/masks")
        assert found["first"] == 2
        assert found["place"] is None
        assert "not in the index" in found["text"]
        assert get(client, f"images/{seg}")["label"] == "SEG"
        mask = read(client, f"images/{seg}/masks/{seg}/runs", scan.shape[1:], 0, frame=2)
        np.testing.assert_array_equal(mask, pydicom.dcmread(path).pixel_array[2] > 0)


def test_labels_and_uids_are_masked(scan, write_rtstruct, outlines, blob, tmp_path) -> None:
    write_rtstruct(scan, {"Jane Doe": outlines(blob)})
    for file in list(scan.folder.iterdir())[:4]:
        file.unlink()
    with client_of(tmp_path, show_phi=False) as client:
        text = client.get(f"images/{client.ids['rt.dcm']}/masks").text
        assert "Jane" not in text
        assert "•••" in text
        assert scan.slices[0].SOPInstanceUID not in text
    with client_of(tmp_path) as client:
        text = client.get(f"images/{client.ids['rt.dcm']}/masks").text
        assert "Jane Doe" in text


def test_what_is_not_aligned_is_listed_and_not_drawn(scan, write_seg, blob, tmp_path) -> None:
    def shift(seg: Any) -> None:
        for group in seg.PerFrameFunctionalGroupsSequence:
            position = group.PlanePositionSequence[0].ImagePositionPatient
            group.PlanePositionSequence[0].ImagePositionPatient = [position[0] + 0.2, *position[1:]]

    write_seg(scan, blob, change=shift)
    (tmp_path / "labels" / "broken.dcm").write_bytes(
        (tmp_path / "labels" / "seg.dcm").read_bytes()[:3000]
    )
    with client_of(tmp_path) as client:
        id_ = client.ids["one004.dcm"]
        stack = get(client, f"images/{id_}/stack")
        address = f"series/{stack['series']['id']}/{stack['stack']}/masks"
        listed = get(client, address)
        assert client.ids["seg.dcm"] in [one["id"] for one in listed["files"]]
        (segment,) = get(client, f"{address}/{client.ids['seg.dcm']}")["segments"]
        assert segment["aligned"] is False
        assert segment["problems"][0][0] == "GRID_SHIFTED"
        runs_ = client.get(f"images/{id_}/masks/{client.ids['seg.dcm']}/runs")
        assert runs_.content == b""


def test_masks_beyond_the_limit_say_so(scan, write_seg, blob, tmp_path) -> None:
    write_seg(scan, blob)
    with client_of(tmp_path, settings=Settings(volume_cache_bytes=2000)) as client:
        found = get(client, f"images/{client.ids['seg.dcm']}/masks")
        assert "MiB" in found["text"]
        stack = get(client, f"images/{client.ids['one004.dcm']}/stack")
        address = f"series/{stack['series']['id']}/{stack['stack']}/masks"
        response = client.get(f"{address}/{client.ids['seg.dcm']}")
        assert response.status_code == 422
        assert "MiB" in response.json()["error"]


def test_addresses_that_name_no_mask(scan, tmp_path) -> None:
    with client_of(tmp_path) as client:
        id_ = client.ids["one004.dcm"]
        assert get(client, "about")["masks"] == 0
        assert client.get(f"images/{id_}/masks").status_code == 404
        assert client.get(f"images/{id_}/masks/0123456789abcdef/runs").status_code == 404
        assert client.get(f"images/{id_}/masks/{id_}/runs").status_code == 404
        assert client.get("series/0123456789abcdef/0/masks").status_code == 404


READ_MASKS = """
async def main():
    files = [image.id for image in index if image.row["Modality"] == "SEG"]
    server = MaskServer(catalogue, series, decoder, executor, cache, settings)
    await server.alone(files[0])
    limit_memory()
    total = 0
    for file in files:
        found = await server.alone(file)
        assert found["segments"][0]["voxels"], found
        total += cache["masks", file].nbytes
        assert cache.currsize <= LIMIT
    assert total > 1.2 * (LIMIT + SLACK), total
    print("read", len(files))
"""


def test_memory_of_masks_stays_within_the_limit(
    make_scan, write_seg, run_limited, tmp_path
) -> None:
    """30 masks of 1.8 MB in a cache of 16 MiB, under RLIMIT_AS."""
    scan = make_scan(shape=(8, 384, 384))
    path = write_seg(scan, np.random.default_rng(0).random((8, 384, 384)) > 0.75)
    seg = pydicom.dcmread(path)
    for number in range(29):
        seg.SOPInstanceUID = seg.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number}"
        seg.save_as(path.with_name(f"seg{number}.dcm"))
    assert run_limited(READ_MASKS, tmp_path, 16 * MIB, 24 * MIB).split() == ["read", "30"]

"""Groups of the grid and stacks around an image, as the page gets them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import wetread as wr
from wetread.testing.dicom import changed, dicom_file, element, picture
from wetread.testing.series import stack, write
from wetread.viewer import serve
from wetread.viewer.catalogue import Catalogue
from wetread.viewer.series import SeriesCatalogue

MISSING, COPIED = 20, 5


def write_files(folder: Path, real_file: Callable[[str], Path]) -> None:
    """Write a clean CT, one with a missing and a doubled slice, a cine, an SR and a text file."""
    write(folder / "clean", stack(30, SeriesInstanceUID="2.25.70", SeriesDescription="clean"))
    slices = stack(StudyInstanceUID="2.25.9")
    copy = {**slices[COPIED], "SOPInstanceUID": "2.25.99"}
    write(folder / "damaged", [*slices[:MISSING], *slices[MISSING + 1 :], copy])
    cine = [
        element("NumberOfFrames", "6"),
        element("PixelData", bytes(2 * 64 * 6), vr="OW"),
        element("SeriesInstanceUID", "2.25.71"),
        element("Modality", "XA"),
    ]
    (folder / "cine.dcm").write_bytes(dicom_file(changed(picture(1), *cine)))
    shutil.copy(real_file("reportsi.dcm"), folder)
    (folder / "notes.txt").write_text("no DICOM")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, real_file: Callable[[str], Path]) -> wr.Index:
    folder = tmp_path_factory.mktemp("series")
    write_files(folder, real_file)
    return wr.scan(folder, workers=0, progress=False)


@pytest.fixture(scope="module")
def client(index: wr.Index) -> Iterator[httpx.Client]:
    with serve(index) as handle:
        url, head = f"http://127.0.0.1:{handle.port}/", {"X-Wetread-Token": handle.token}
        with httpx.Client(base_url=url, headers=head, timeout=60, trust_env=False) as client:
            yield client


def get(client: httpx.Client, path: str, **query: Any) -> Any:
    response = client.get(f"api/{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def tiles(client: httpx.Client, **query: Any) -> dict[str, Any]:
    """Tiles of series by folder or file."""
    rows = get(client, "series", **query)["rows"]
    return {row["path"].split("/")[0]: row for row in rows}


def test_one_tile_per_series(client: httpx.Client) -> None:
    found = tiles(client)
    assert sorted(found) == ["cine.dcm", "clean", "damaged", "notes.txt", "reportsi.dcm"]
    numbers = {
        name: [row["group"].get(key) for key in ("kind", "files", "slices", "stacks", "volumes")]
        for name, row in found.items()
    }
    assert numbers["clean"] == ["series", 30, 30, 1, 1]
    assert numbers["damaged"] == ["series", 40, 40, 1, 0]
    assert numbers["notes.txt"] == ["file", 1, None, None, None]
    assert numbers["reportsi.dcm"][:3] == ["series", 1, 0]
    assert found["damaged"]["problems"][:2] == ["SLICE_DUPLICATED", "SLICE_MISSING"]
    assert found["damaged"]["worst"] == "error"
    assert found["clean"]["path"] == "clean/015.dcm"  # the middle slice


def test_tiles_agree_with_the_series_table(client: httpx.Client, index: wr.Index) -> None:
    total = get(client, "series", limit=0)["total"]
    assert total == len(index.series) + 1  # and the text file
    found, paths = tiles(client), dict(index.to_pandas()[["id", "path"]].to_numpy().tolist())
    for series in index.series:
        for one in series.stacks[:1]:
            name = paths[one.slices[0].id].split("/")[0]
            group = found[name]["group"]
            assert (group["files"], group["volumes"]) == (series.files, len(series.volumes))


def test_pages_and_filters_of_series(client: httpx.Client) -> None:
    pages = [get(client, "series", offset=n, limit=1)["rows"][0]["path"] for n in range(5)]
    assert pages == [row["path"] for row in get(client, "series")["rows"]]
    found = tiles(client, where="InstanceNumber <= 10 AND Modality = 'CT'")
    assert {name: row["group"]["matching"] for name, row in found.items()} == {
        "clean": 10,
        "damaged": 11,
    }
    last = get(client, "series", order="Modality", desc=1)["rows"][0]
    assert last["Modality"] == "XA"


def test_studies(client: httpx.Client, index: wr.Index) -> None:
    rows = get(client, "series", group="study")["rows"]
    studies = [row for row in rows if row["group"]["kind"] == "study"]
    assert len(studies) == index["StudyInstanceUID"].nunique()
    for row in studies:  # the condition selects the study without naming its masked UID
        where = row["group"]["where"]
        assert where.startswith("md5(StudyInstanceUID)")
        assert get(client, "rows", where=where)["total"] == row["group"]["files"]
        assert get(client, "series", where=where)["total"] == row["group"]["series"]


def test_tiles_have_the_position_of_their_slice(client: httpx.Client, index: wr.Index) -> None:
    rows = {row["id"]: row for row in get(client, "rows", limit=500)["rows"]}
    slices = {one.id: one.position for s in index.series for k in s.stacks for one in k.slices}
    assert len(slices) > 60
    for id_, position in slices.items():
        assert rows[id_]["slice_position_mm"] == pytest.approx(position)
    alone = [row for row in rows.values() if row["Modality"] != "CT"]
    assert alone
    assert all(row["slice_position_mm"] is None for row in alone)


def test_position_among_series(client: httpx.Client) -> None:
    rows = get(client, "series")["rows"]
    for at, row in enumerate(rows):
        position = get(client, "position", group="series", id=row["id"])
        sides = [rows[n]["id"] if 0 <= n < len(rows) else None for n in (at - 1, at + 1)]
        assert [position[name] for name in ("previous", "next")] == sides
        assert (position["offset"], position["total"]) == (at, len(rows))


def test_descriptions_are_masked(index: wr.Index, client: httpx.Client) -> None:
    assert tiles(client)["clean"]["group"]["description"]["SeriesDescription"] == "•••"
    with serve(index, show_phi=True) as handle:
        url, head = f"http://127.0.0.1:{handle.port}/", {"X-Wetread-Token": handle.token}
        with httpx.Client(base_url=url, headers=head, timeout=60, trust_env=False) as open_:
            found = tiles(open_)["clean"]["group"]["description"]
            assert found["SeriesDescription"] == "clean"


def test_times_that_divide_a_series_are_masked(tmp_path: Path) -> None:
    for number, time in enumerate(("101500", "102000")):
        slices = stack(4, ContentTime=time)
        for n, one in enumerate(slices):
            one["SOPInstanceUID"] = f"2.25.{60 + number}.{n}"
        write(tmp_path / str(number), slices)
    index = wr.scan(tmp_path, workers=0, progress=False)
    expected = [one.divided_by for one in index.series[0].volumes]
    for shown, text in ((False, "•••"), (True, "10")):
        with serve(index, show_phi=shown) as handle:
            url, head = f"http://127.0.0.1:{handle.port}/", {"X-Wetread-Token": handle.token}
            with httpx.Client(base_url=url, headers=head, timeout=60, trust_env=False) as client:
                id_ = get(client, "rows")["rows"][0]["id"]
                stacks = get(client, f"images/{id_}/stack")["stacks"]
        assert [list(one["divided_by"]) for one in stacks] == [list(one) for one in expected]
        assert all(one["divided_by"]["ContentTime"].startswith(text) for one in stacks)


def test_slices_are_in_the_order_of_the_volume(client: httpx.Client, index: wr.Index) -> None:
    series = index.series.where("volumes > 0")[0]
    found = get(client, f"images/{series.volume.slices[7].id}/stack")
    assert [tuple(one[:3]) for one in found["slices"]] == [
        pytest.approx(tuple(one)) for one in series.volume.slices
    ]
    assert (found["volume"], found["alike"], found["marks"]) == (True, True, [])
    assert found["series"]["id"] == series.series_id
    assert found["orientation"] == [1, 0, 0, 0, 1, 0]
    paths = dict(index.to_pandas()[["id", "path"]].to_numpy().tolist())
    assert [one[3] for one in found["slices"]] == [paths[one[0]] for one in found["slices"]]


def test_missing_and_doubled_slices_are_marked(client: httpx.Client) -> None:
    found = get(client, f"images/{tiles(client)['damaged']['id']}/stack")
    marks = {mark["code"]: mark["at"] for mark in found["marks"]}
    assert len(found["slices"]) == 40
    positions = [one[2] for one in found["slices"]]
    assert positions == sorted(positions)
    assert marks == {"SLICE_DUPLICATED": COPIED + 1, "SLICE_MISSING": MISSING + 0.5}
    assert positions[COPIED] == positions[COPIED + 1]
    assert np.diff(positions)[MISSING] == pytest.approx(2)
    assert not found["volume"]


def test_frames_without_positions_are_in_the_order_of_the_file(client: httpx.Client) -> None:
    found = get(client, f"images/{tiles(client)['cine.dcm']['id']}/stack")
    assert found["slices"] is None
    assert found["series"]["problems"] == []  # a cine needs no positions


@pytest.mark.parametrize("name", ["reportsi.dcm", "notes.txt"])
def test_files_without_an_image_have_no_slices(client: httpx.Client, name: str) -> None:
    found = get(client, f"images/{tiles(client)[name]['id']}/stack")
    assert not found["slices"]
    assert found["marks"] == []


def test_unplaced_images_are_in_the_order_of_instance_numbers(tmp_path: Path) -> None:
    for number in (3, 1, 2):
        elements = changed(
            picture(1),
            element("SOPInstanceUID", f"2.25.6.{number}"),
            element("InstanceNumber", str(number)),
            element("SeriesInstanceUID", "2.25.5"),
        )
        (tmp_path / f"{4 - number}.dcm").write_bytes(dicom_file(elements))
    with serve(wr.scan(tmp_path, workers=0, progress=False)) as handle:
        url, head = f"http://127.0.0.1:{handle.port}/", {"X-Wetread-Token": handle.token}
        with httpx.Client(base_url=url, headers=head, timeout=60, trust_env=False) as client:
            id_ = get(client, "rows")["rows"][0]["id"]
            found = get(client, f"images/{id_}/stack")
    assert [one[3] for one in found["slices"]] == ["3.dcm", "2.dcm", "1.dcm"]


def test_images_without_a_series_uid_are_no_stack(tmp_path: Path) -> None:
    for number in (1, 2):
        elements = changed(picture(1), without=["SeriesInstanceUID"])
        (tmp_path / f"{number}.dcm").write_bytes(dicom_file(elements))
    with serve(wr.scan(tmp_path, workers=0, progress=False)) as handle:
        url, head = f"http://127.0.0.1:{handle.port}/", {"X-Wetread-Token": handle.token}
        with httpx.Client(base_url=url, headers=head, timeout=60, trust_env=False) as client:
            id_ = get(client, "rows")["rows"][0]["id"]
            assert get(client, f"images/{id_}/stack")["slices"] is None


def test_bad_requests(client: httpx.Client) -> None:
    assert client.get("api/series?group=patient").status_code == 400
    assert client.get("api/series?order=nothing").status_code == 400
    assert client.get("api/images/0123456789abcdef/stack").status_code == 404


def test_the_series_of_an_image_is_that_of_the_whole_index(index: wr.Index) -> None:
    """The stack of the first image does not wait for the series of all others."""
    first, whole = (SeriesCatalogue(Catalogue(index)) for _ in range(2))
    assert len(whole.collection.images.ids) > 1
    for id_, uid in index.to_pandas()[["id", "SeriesInstanceUID"]].itertuples(index=False):
        if isinstance(uid, str):
            for frame in (0, 3):
                assert first.stack(id_, frame) == whole.stack(id_, frame)
    assert not first.is_collected

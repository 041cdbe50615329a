"""Annotations over HTTP: access, saving, conflicts, kills, progress and work lists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

import wetread as wr
from wetread.boxes.stroke_log import StrokeLog, log_name, read_log
from wetread.common.files import hash_file
from wetread.errors import StorageError, UsageError
from wetread.testing import dicom_file
from wetread.testing.dicom import picture
from wetread.testing.strokes import make_stroke
from wetread.viewer import Handle, serve
from wetread.viewer.annotation_routes import MAX_BODY
from wetread.viewer.annotations import Writing, open_writing


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> wr.Index:
    folder = tmp_path_factory.mktemp("train")
    for number in range(1, 7):
        (folder / f"{number}.dcm").write_bytes(dicom_file(picture(number, 40, 60)))
    (folder / "README.txt").write_text("no image")
    return wr.scan(folder, workers=0, progress=False)


@pytest.fixture
def viewer(index: wr.Index, tmp_path: Path) -> Iterator[Handle]:
    with start(index, tmp_path / "reads") as handle:
        yield handle


def start(index: wr.Index, folder: Path, reader: str = "R1", **options: Any) -> Handle:
    writing = open_writing(folder, reader, ["Nodule", "Mass"], (), show_others=False)
    return serve(index, writing=writing, **options)


def request(handle: Handle, method: str, path: str, **options: Any) -> httpx.Response:
    headers = {"X-Wetread-Token": handle.token, **options.pop("headers", {})}
    url = f"http://127.0.0.1:{handle.port}/api/{path}"
    with httpx.Client(timeout=60, trust_env=False) as client:
        return client.request(method, url, headers=headers, **options)


def post(handle: Handle, stroke: dict[str, Any], **options: Any) -> httpx.Response:
    return request(handle, "POST", "strokes", json=stroke, **options)


def get(handle: Handle, path: str) -> Any:
    return request(handle, "GET", path).json()


def lines(folder: Path, reader: str = "R1") -> list[Any]:
    return list(read_log(folder / log_name(reader))[1])


def test_a_stroke_is_saved(viewer: Handle, index: wr.Index, tmp_path: Path) -> None:
    image = index.images[0]
    stroke = make_stroke(image=image.id)
    answer = post(viewer, stroke)
    assert answer.status_code == 200
    assert answer.json() == {"status": "saved", "revision": 1, "read": 1}
    (line,) = lines(tmp_path / "reads")
    file = Path(index.root, image.path)
    assert line.stroke.uuid == stroke["uuid"]
    assert line.facts["file_size"] == file.stat().st_size
    assert line.facts["file_hash"] == hash_file(file)
    assert line.facts["key"] == image.path
    assert line.facts["reader"] == "R1"
    state = get(viewer, f"images/{image.id}/annotations")
    assert [item["revision"] for item in state["items"]] == [1]
    assert state["items"][0]["stroke"]["corners"] == [1, 2, 3.5, 4]
    boxes = wr.read_boxes(tmp_path / "reads", images=index)
    assert boxes.corners.tolist() == [[1, 2, 3.5, 4]]


def test_the_same_stroke_twice_is_one(viewer: Handle, index: wr.Index, tmp_path: Path) -> None:
    stroke = make_stroke(image=index.images[0].id)
    assert post(viewer, stroke).json() == post(viewer, stroke).json()
    stroke = make_stroke(image=index.images[1].id)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: post(viewer, stroke), range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(lines(tmp_path / "reads")) == 2


def test_a_stale_base_is_a_conflict(viewer: Handle, index: wr.Index, tmp_path: Path) -> None:
    """One reader in two windows: both strokes are kept, and both are shown."""
    image = index.images[0].id
    first = make_stroke(image=image)
    post(viewer, first)
    one = make_stroke(image=image, item=first["item"], base=1, corners=[5, 5, 9, 9])
    two = make_stroke(image=image, item=first["item"], base=1, label="Mass")
    assert post(viewer, one).status_code == 200
    answer = post(viewer, two)
    assert answer.status_code == 409
    assert answer.json()["revision"] == 2
    assert answer.json()["status"] == "conflict"
    assert "another window" in answer.json()["error"]
    assert post(viewer, two).status_code == 409  # sent again
    state = get(viewer, f"images/{image}/annotations")
    assert state["items"][0]["stroke"]["corners"] == [5, 5, 9, 9]
    assert [stroke["label"] for stroke in state["conflicts"]] == ["Mass"]
    assert len(lines(tmp_path / "reads")) == 3
    post(viewer, make_stroke("resolve", image=image, item=two["uuid"]))
    assert get(viewer, f"images/{image}/annotations")["conflicts"] == []


def test_two_readers_at_once(index: wr.Index, tmp_path: Path) -> None:
    folder, ids = tmp_path / "reads", [image.id for image in index.images]
    with start(index, folder) as one, start(index, folder, "R2") as two:
        with pytest.raises(StorageError, match="another viewer writes"):
            start(index, folder, "R1")
        with ThreadPoolExecutor(2) as threads:
            jobs = [(handle, id_) for id_ in ids for handle in (one, two)]
            list(threads.map(lambda job: post(job[0], make_stroke(image=job[1])), jobs))
        path = f"images/{ids[0]}/annotations"
        assert get(one, path) != get(two, path)
    boxes = wr.read_boxes(folder, images=index)
    assert boxes.readers == ("R1", "R2")
    assert len(boxes) == 2 * len(ids)
    start(index, folder, "R1").stop()  # free again


def test_read_only_without_a_folder(index: wr.Index) -> None:
    with serve(index) as handle:
        assert get(handle, "about")["annotation"] is None
        answer = post(handle, make_stroke(image=index.images[0].id))
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD"
        path = f"images/{index.images[0].id}/annotations"
        assert request(handle, "GET", path).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Wetread-Token": "wrong"}, 401),
        ({"X-Wetread-Token": ""}, 401),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 200),
    ],
)
def test_access(
    viewer: Handle, index: wr.Index, tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    stroke = make_stroke(image=index.images[0].id)
    assert post(viewer, stroke, headers=headers).status_code == status
    assert len(lines(tmp_path / "reads")) == (status == 200)


def test_own_origin(viewer: Handle, index: wr.Index) -> None:
    origin = {"Origin": f"http://127.0.0.1:{viewer.port}"}
    assert post(viewer, make_stroke(image=index.images[0].id), headers=origin).status_code == 200
    other = {"Origin": f"http://127.0.0.1:{viewer.port + 1}"}
    assert post(viewer, make_stroke(image=index.images[0].id), headers=other).status_code == 403


def test_other_methods_and_paths(viewer: Handle) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = request(viewer, method, "strokes")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD, POST"
    assert request(viewer, "POST", "rows").status_code == 405
    assert request(viewer, "POST", "strokes/").status_code == 405
    assert request(viewer, "GET", "strokes").status_code == 405


def test_bodies(viewer: Handle, index: wr.Index, tmp_path: Path) -> None:
    json_ = {"Content-Type": "application/json"}
    for body in (b"", b"{", b"[]", b"[" * 10_000, b'{"uuid": 1}', b"\xff"):
        assert request(viewer, "POST", "strokes", content=body, headers=json_).status_code == 400
    large = json.dumps(make_stroke(image=index.images[0].id)).encode().ljust(MAX_BODY + 1)
    assert request(viewer, "POST", "strokes", content=large, headers=json_).status_code == 413
    chunks = iter([large[:100], large[100:]])  # without a Content-Length
    assert request(viewer, "POST", "strokes", content=chunks, headers=json_).status_code == 413
    assert lines(tmp_path / "reads") == []


def test_places_outside_of_the_image(viewer: Handle, index: wr.Index, tmp_path: Path) -> None:
    image = index.images[0].id
    for values in (
        {"corners": [-1, 0, 5, 5]},
        {"corners": [0, 0, 61, 5]},
        {"corners": [0, 0, 5, 41]},
        {"frame": 1},
    ):
        assert post(viewer, make_stroke(image=image, **values)).status_code == 400, values
    assert post(viewer, make_stroke(image="0" * 16)).status_code == 404
    text = next(row for row in index if row.path == "README.txt")
    assert post(viewer, make_stroke(image=text.id)).status_code == 400
    assert lines(tmp_path / "reads") == []
    assert post(viewer, make_stroke(image=image, corners=[0, 0, 60, 40])).status_code == 200


def test_names_are_data(viewer: Handle, index: wr.Index, tmp_path: Path) -> None:
    """A label that is a path or markup is stored as it is; nothing else is written."""
    label = "../../<img src=x>"
    assert post(viewer, make_stroke(image=index.images[0].id, label=label)).status_code == 200
    assert wr.read_boxes(tmp_path / "reads").labels == (label,)
    assert {path.suffix for path in tmp_path.rglob("*.*")} == {".jsonl", ".lock"}
    for reader in ("../R1", "a/b", "", "R\0"):
        with pytest.raises(UsageError):
            start(index, tmp_path / "reads", reader)


def test_a_reply_follows_the_sync(index: wr.Index, tmp_path: Path) -> None:
    events: list[str] = []

    def sync(file: int) -> None:
        os.fsync(file)
        time.sleep(0.2)
        events.append("synced")

    writing = Writing(StrokeLog(tmp_path, "R1", sync), (), blind=True)
    events.clear()
    with serve(index, writing=writing) as handle:
        for _ in range(3):
            assert post(handle, make_stroke(image=index.images[0].id)).status_code == 200
            events.append("replied")
    assert events == ["synced", "replied"] * 3


def test_a_disk_error_is_reported(index: wr.Index, tmp_path: Path) -> None:
    """507, and the stroke is not shown; later it is saved as usual."""
    full = [False]

    def sync(file: int) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")

    writing = Writing(StrokeLog(tmp_path, "R1", sync), (), blind=True)
    image = index.images[0].id
    with serve(index, writing=writing) as handle:
        full[0] = True
        stroke = make_stroke(image=image)
        answer = post(handle, stroke)
        assert answer.status_code == 507
        assert "No space left on device; not saved" in answer.json()["error"]
        assert get(handle, f"images/{image}/annotations")["items"] == []
        full[0] = False
        assert post(handle, stroke).status_code == 200


def test_bad_usage(index: wr.Index, tmp_path: Path) -> None:
    several: list[dict[str, Any]] = [{"reader": "R1"}, {"write": tmp_path}, {"labels": ["A"]}]
    for options in several:
        with pytest.raises(UsageError, match="give both"):
            wr.view(index, **options)
    with pytest.raises(UsageError, match="choose another"):
        wr.view(index, reader="R1", write=tmp_path, port=70_000)
    wr.view(index, reader="R1", write=tmp_path).stop()  # the lock was released


def test_blind_to_other_readers(index: wr.Index, tmp_path: Path) -> None:
    """Labels of others are offered, their boxes are not; `show_others` shows them."""
    key = index.images[0].path
    columns = {"key": [key] * 2, "label": ["ILD", "Mass"], "reader": ["R2", "R1"]}
    corners = {"x0": [1, 2], "y0": [1, 2], "x1": [9, 9], "y1": [9, 9]}
    truth = wr.Boxes.from_columns({**columns, **corners})
    options: dict[str, Any] = {"reader": "R1", "write": tmp_path, "labels": ["Nodule"]}
    path = f"images/{index.images[0].id}/boxes"
    with pytest.warns(UserWarning, match="1 row of reader R1 is not shown"):
        viewer = wr.view(index, truth, **options)
    with viewer as handle:
        about = get(handle, "about")
        assert about["annotation"]["labels"] == ["Nodule", "ILD", "Mass"]
        assert about["annotation"]["blind"] is True
        assert about["readers"] == []
        assert get(handle, path)["truth"] == []
        post(handle, make_stroke(image=index.images[0].id))
    with wr.view(index, truth, show_others=True, **options) as handle:
        assert [box["reader"] for box in get(handle, path)["truth"]] == ["R2"]
        post(handle, make_stroke(image=index.images[0].id))
    assert [line.stroke.blind for line in lines(tmp_path)] == [True, False]


def test_progress_and_next_unread(viewer: Handle, index: wr.Index) -> None:
    ids = [image.id for image in index.images]
    assert get(viewer, f"unread?id={ids[0]}") == {"id": ids[1], "read": 0}
    assert get(viewer, f"unread?id={ids[5]}") == {"id": ids[0], "read": 0}  # around the end
    post(viewer, make_stroke(image=ids[1]))
    post(viewer, make_stroke(image=ids[2], item="verdict", kind="unsure"))
    assert get(viewer, f"unread?id={ids[0]}") == {"id": ids[3], "read": 2}
    assert get(viewer, f"unread?id={ids[0]}&desc=1")["id"] == ids[5]
    text = next(row.id for row in index if row.path == "README.txt")
    assert get(viewer, f"unread?id={text}&order=path")["id"] == ids[0]
    for id_ in ids:
        verdict = make_stroke(image=id_, item="verdict", kind="nothing", base=int(id_ == ids[2]))
        post(viewer, verdict)
    assert get(viewer, f"unread?id={ids[0]}") == {"id": None, "read": 6}


def test_random_order(viewer: Handle) -> None:
    def order(seed: int, where: str = "") -> list[str]:
        rows = get(viewer, f"rows?order=random:{seed}&where={where}")["rows"]
        return [row["path"] for row in rows]

    assert order(1) == order(1)
    assert sorted(order(1)) == sorted(order(2))
    assert len({tuple(order(seed)) for seed in range(5)}) > 1
    images = order(1, "Rows > 1")
    assert images == [path for path in order(1) if path in images]
    assert request(viewer, "GET", "rows?order=random:x").status_code == 400


KILLED = """
import json, os, random, signal, sys, threading
import httpx
import wetread as wr
from wetread.testing.strokes import make_stroke
from wetread.viewer import serve
from wetread.viewer.annotations import open_writing

folder, data, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
index = wr.scan(data, workers=0, progress=False)
ids = [image.id for image in index.images]
reported = []
for number in range(rounds):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        handle = serve(index, writing=open_writing(folder, "R1", (), (), False), token="t")
        os.write(write, b"%d" % handle.port)
        signal.pause()
    url = f"http://127.0.0.1:{int(os.read(read, 16))}/api/strokes"
    chance = random.Random(number)
    killer = threading.Timer(chance.uniform(0, 0.1), os.kill, (child, signal.SIGKILL))
    with httpx.Client(headers={"X-Wetread-Token": "t"}, trust_env=False) as client:
        try:
            while True:
                stroke = make_stroke(image=chance.choice(ids))
                if client.post(url, json=stroke).status_code == 200:
                    reported.append(stroke["uuid"])
                if not killer.ident:
                    killer.start()
        except httpx.TransportError:
            pass
    killer.join()
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
print(json.dumps(reported))
"""
"""Run of many servers, each forked and killed; prints the strokes that were shown as saved."""


def test_kill_loses_nothing_that_was_shown_as_saved(index: wr.Index, tmp_path: Path) -> None:
    """SIGKILL of the server at 50 random moments of one run; each server continues the log."""
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path), index.root, "50"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    reported = json.loads(done.stdout)
    saved = [line.stroke.uuid for line in lines(tmp_path)]
    assert len(reported) >= 50
    assert set(reported) <= set(saved)
    assert len(set(saved)) == len(saved)
    assert len(saved) <= len(reported) + 50  # written, and killed before the reply

"""Frames beyond Number of Frames, and stated frames that are missing."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import wetread as wr
from wetread.errors import DecodeError
from wetread.pixels import open_frames
from wetread.testing.pixel_files import CODECS, JPEGLS, even, pixel_file
from wetread.viewer import serve

FRAMES = [np.add.outer(np.arange(16), np.arange(24)).astype("u1") + 50 * n for n in range(3)]


def scan_one(folder: Path, data: bytes) -> wr.Index:
    (folder / "a.dcm").write_bytes(data)
    return wr.scan(folder, workers=0, progress=False)


def codes(problems: Any) -> list[str]:
    return [problem["code"] for problem in problems or ()]


def offsets(streams: list[bytes]) -> list[int]:
    return [0, *np.cumsum([len(stream) + 8 for stream in streams[:-1]]).tolist()]


@pytest.mark.parametrize("codec", [c for c in CODECS if c != "raw"])
def test_more_encapsulated_frames_than_stated(tmp_path: Path, codec: str) -> None:
    syntax, encode = CODECS[codec]
    streams = [even(encode(values)) for values in FRAMES]
    basic = struct.pack("<3I", *offsets(streams))
    extended = struct.pack("<3Q", *offsets(streams))
    for table, longer in ((b"", None), (basic, None), (basic[:4], None), (b"", extended)):
        for announced in (None, 1, 2):
            tags = {"NumberOfFrames": announced, "ExtendedOffsetTable": longer}
            file = pixel_file(FRAMES[0], [table, *streams], syntax, **tags)
            (tmp_path / f"{len(table)} {bool(longer)} {announced}").write_bytes(file)
    index = wr.scan(tmp_path, workers=0, progress=False).measure(progress=False, workers=1)
    assert len(index) == 12
    for image in index:
        assert image.frames == 3
        for number, values in enumerate(FRAMES):
            assert np.abs(image.pixels(number).astype(int) - values).max() <= 3
        row = image.row
        assert codes(row["problems"]) == codes(row["px_problems"]) == ["FRAMES_UNDECLARED"]
        assert abs(row["px_max"] - FRAMES[2].max()) <= 3


@pytest.mark.parametrize("codec", ["jpeg", "jpeg-ls", "jpeg2000", "jpegxl"])
def test_frames_in_several_fragments_are_told_by_their_starts(tmp_path: Path, codec: str) -> None:
    syntax, encode = CODECS[codec]
    parts = [b""]
    for values in FRAMES:
        stream = even(encode(values))
        half = len(stream) // 4 * 2
        parts += [stream[:half], stream[half:]]
    index = scan_one(tmp_path, pixel_file(FRAMES[0], parts, syntax))
    assert index[0].frames == 3
    assert abs(int(index[0].pixels(2).max()) - int(FRAMES[2].max())) <= 3
    assert codes(index[0].row["problems"]) == ["FRAMES_UNDECLARED"]


@pytest.mark.parametrize("codec", ["jpeg", "jpeg-ls", "jpeg2000", "htj2k", "jpegxl"])
def test_one_frame_in_two_fragments_with_two_offsets_is_one(tmp_path: Path, codec: str) -> None:
    syntax, encode = CODECS[codec]
    values = (np.arange(4096).reshape(64, 64) % 251).astype("u1")
    stream = even(encode(values))
    half = len(stream) // 4 * 2
    table = struct.pack("<2I", 0, 8 + half)
    file = pixel_file(values, [table, stream[:half], stream[half:]], syntax)
    index = scan_one(tmp_path, file)
    assert index[0].frames == 1
    assert index[0].render().notes == ()
    assert not index[0].row["problems"]


@pytest.mark.parametrize("end", [None, -8, -20])
def test_frames_of_a_member_are_counted_as_those_of_a_file(tmp_path: Path, end: int | None) -> None:
    syntax, encode = CODECS["jpeg-ls"]
    data = pixel_file(FRAMES[0], [b"", *(even(encode(f)) for f in FRAMES)], syntax)[:end]
    (tmp_path / "a.dcm").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("a.dcm", data)
    file, member = wr.scan(tmp_path, workers=0, progress=False).table["problems"].to_pylist()
    assert file == member
    assert "FRAMES_UNDECLARED" in codes(file)
    assert ("TRUNCATED" in codes(file)) == (end is not None)


@pytest.mark.parametrize("stated", [1, 17])
def test_the_status_does_not_depend_on_the_frames_stated(tmp_path: Path, stated: int) -> None:
    """The last bytes tell that the pixels are complete; fragments are only counted."""
    syntax, encode = CODECS["jpeg-ls"]
    data = pixel_file(
        FRAMES[0], [b"", *(even(encode(f)) for f in FRAMES)], syntax, NumberOfFrames=stated
    )
    end = data[-8:]
    index = scan_one(tmp_path, data + b"no element" + end)
    assert index[0].row["read_status"] == "ok"


def test_counting_ends_at_65536_fragments(tmp_path: Path) -> None:
    start = b"\xff\xd8\xff\xf7"
    for name, fragments, counted in (
        ("few", 65_535, "65,535"),
        ("many", 200_000, "65,535"),
        ("empty", 0, None),
    ):
        parts = [b"", *[start] * fragments, *[b""] * 100_000]
        (tmp_path / name).write_bytes(pixel_file(FRAMES[0], parts, JPEGLS))
        (row,) = wr.scan(tmp_path / name, workers=0, progress=False).table.to_pylist()
        assert row["read_status"] == "ok"
        texts = [f"{counted} frames are there, the header announces 1"] if counted else []
        assert [problem["text"] for problem in row["problems"]] == texts


def test_the_first_pixel_element_counts(tmp_path: Path) -> None:
    syntax, encode = CODECS["jpeg-ls"]
    once, twice = ([b"", *[even(encode(f)) for f in FRAMES[:n]]] for n in (1, 2))
    data = pixel_file(FRAMES[0], once, syntax)
    again = pixel_file(FRAMES[0], twice, syntax)
    second = again[again.index(b"\xe0\x7f\x10\x00") :]
    index = scan_one(tmp_path, data + second)
    assert "FRAMES_UNDECLARED" not in codes(index[0].row["problems"])


def test_uncompressed_frames_that_are_not_stated_are_noted_on_decoding() -> None:
    with open_frames(pixel_file(FRAMES[0], b"".join(f.tobytes() for f in FRAMES))) as frames:
        assert [code for code, _ in frames.notes] == ["FRAMES_UNDECLARED"]
        assert len(frames) == 3


def test_one_frame_less_than_stated_is_an_error(tmp_path: Path) -> None:
    _, encode = CODECS["jpeg-ls"]
    streams = [b"", *(even(encode(values)) for values in FRAMES)]
    index = scan_one(tmp_path, pixel_file(FRAMES[0], streams, JPEGLS, NumberOfFrames=5))
    with pytest.raises(DecodeError, match="frame 3 is missing: fragments for 3 only"):
        index[0].display(frame=3, short=True)


@pytest.fixture
def huge(tmp_path: Path) -> wr.Index:
    """One frame of 8 x 8; the header states 2,147,483,646."""
    values = np.arange(64, dtype="u1").reshape(8, 8)
    folder = tmp_path / "huge"
    folder.mkdir()
    return scan_one(folder, pixel_file(values, values.tobytes(), NumberOfFrames=2147483646))


@pytest.mark.parametrize("short", [True, False])
def test_a_missing_frame_is_never_black(huge: wr.Index, short: bool) -> None:
    assert huge[0].display("full", short=short).max() > 200
    for method in (huge[0].pixels, huge[0].values, huge[0].display, huge[0].padding):
        with pytest.raises(DecodeError, match=r"frame 7 is missing: bytes for 1 only"):
            method(frame=7, short=short)


def test_operations_on_all_frames_report_the_missing_ones(huge: wr.Index, tmp_path: Path) -> None:
    row = huge.measure(progress=False, workers=1)[0].row
    assert (row["px_status"], row["px_max"]) == ("partial", 63)
    assert "2,147,483,645 of 2,147,483,646 frames" in row["px_problems"][0]["text"]
    manifest = huge.export(tmp_path / "out", progress=False, workers=1)
    assert list(manifest["status"]) == ["ok", "failed"]
    assert len(list((tmp_path / "out").glob("*.png"))) == 1
    cache = wr.prepare(huge, tmp_path / "cache", 8, workers=1, progress=False)
    assert len(cache) == 1


def test_the_viewer_shows_no_picture_of_a_missing_frame(huge: wr.Index) -> None:
    with serve(huge, port=0) as handle:
        url, token = f"http://127.0.0.1:{handle.port}/", {"X-Wetread-Token": handle.token}
        with httpx.Client(base_url=url, headers=token, timeout=60, trust_env=False) as client:
            first, missing = (
                client.get(f"api/images/{huge[0].id}", params={"frame": frame}).json()
                for frame in (0, 7)
            )
            thumb = client.get(f"api/images/{huge[0].id}/thumb", params={"frame": 7})
    assert (first["error"], first["frames"]) == (None, 2147483646)
    assert "frame 7 is missing" in missing["error"]
    assert thumb.status_code >= 400

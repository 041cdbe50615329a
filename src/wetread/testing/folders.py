"""Damage beyond the bytes of one file: bombs, archives, links, permissions, duplicates."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

from wetread.headers.encodings import DEFLATED_FRAMES, RLE
from wetread.testing.dicom import (
    DEFLATED,
    JPEG2000,
    code_stream,
    dicom_file,
    element,
    file_meta,
    header,
    pack,
    pack_meta,
)
from wetread.testing.registry import Folder, failure_class

MIB = 1 << 20
JPEG, JPEG_LOSSLESS, JPEG_LS = (f"1.2.840.10008.1.2.4.{n}" for n in (50, 70, 80))


@failure_class(28)
def bombs(to: Folder) -> None:
    """Class 28: small data that expands to a lot; BOMB, with little memory and time."""
    elements = to.picture()
    meta = bytes(128) + b"DICM" + pack_meta(file_meta(elements, DEFLATED))
    start = pack(elements[:-1]) + header(0x00991001, "OB", 512 * MIB)
    to.put("deflated.dcm", meta + _zeros(start, 512), "refused", "BOMB", also="HEADER_BUDGET")
    with zipfile.ZipFile(to.root / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("good.dcm"), to.file())
        to.expect("bomb.zip", "ok", member="good.dcm")
        zeros = zipfile.ZipInfo("zeros.dcm")
        zeros.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(zeros, "w") as member:
            member.write(to.file())
            for _ in range(100):
                member.write(bytes(MIB))
        to.expect("bomb.zip", "refused", "BOMB", member="zeros.dcm")


@failure_class(28)
def pixel_bombs(to: Folder) -> None:
    """Class 28: pixels that declare or expand to far more than they hold; refused when decoded.

    A scan does not read pixels and reports no problem of encapsulated or deflated ones.
    """
    huge = [element("Rows", 65535), element("Columns", 65535)]
    to.put("size.dcm", to.file(*huge), "partial", "PIXELS_SHORT")
    frames = element("NumberOfFrames", 2**31 - 1)
    to.put("frames.dcm", to.file(frames), "partial", "PIXELS_SHORT")
    streams = {
        "jpeg": (JPEG, _frame_header(0xC0, 8)),
        "jpeg_lossless": (JPEG_LOSSLESS, _frame_header(0xC3, 16)),
        "jpeg_ls": (JPEG_LS, _frame_header(0xF7, 16)),
        "jpeg2000": (JPEG2000, code_stream(65535, 65535)),
        "rle": (RLE, struct.pack("<16I", 2, 64, 128, *(0,) * 13) + b"\x81\0" * 500),
    }
    for name, (syntax, stream) in streams.items():
        pixels = element("PixelData", [b"", stream], vr="OB")
        forms = {"in_both": huge, "in_stream": [], "frames": [frames]}
        for kind, form in forms.items():
            to.put(f"{name}_{kind}.dcm", to.file(*form, pixels, syntax=syntax), "ok")
    deflated = element("PixelData", [b"", _zeros(b"", 512)], vr="OB")
    to.put("deflated_frame.dcm", to.file(deflated, syntax=DEFLATED_FRAMES), "ok")
    elements = to.picture(without=("PixelData",))
    start = pack(elements) + header(0x7FE00010, "OW", 128 * MIB)
    meta = bytes(128) + b"DICM" + pack_meta(file_meta(elements, DEFLATED))
    to.put("deflated_pixels.dcm", meta + _zeros(start, 128), "ok", "FRAMES_UNDECLARED")


@failure_class(31)
def duplicates(to: Folder) -> None:
    """Class 31: equal files, and a UID in two files; POSSIBLE_DUPLICATE, UID_CLASH, all listed."""
    same = dicom_file(to.picture())
    to.put("1.dcm", same, "ok", "POSSIBLE_DUPLICATE")
    to.put("1_again.dcm", same, "ok", "POSSIBLE_DUPLICATE")
    one = to.picture()
    to.put("2.dcm", dicom_file(one), "ok", "UID_CLASH")
    other = [element("PatientName", "Roe^Richard") if e.tag == 0x00100010 else e for e in one]
    to.put("2_other.dcm", dicom_file(other), "ok", "UID_CLASH")
    to.put("3.dcm", to.file(), "ok")


@failure_class(33)
def links(to: Folder) -> None:
    """Class 33: circular, broken and file links, and hidden folders; each file once."""
    to.put("a/1.dcm", to.file(), "ok")
    to.put(".hidden/2.dcm", to.file(), "ok")
    to.put("a/.3.dcm", to.file(), "ok")
    # their names sort after their targets
    for name, target in (("a/z_up", ".."), ("a/z_self", "."), ("z_again", "a")):
        (to.root / name).symlink_to(target, target_is_directory=True)
    (to.root / "link.dcm").symlink_to("a/1.dcm")
    to.expect("link.dcm", "ok")
    for name, target in (("nowhere.dcm", "gone.dcm"), ("circle.dcm", "circle.dcm")):
        (to.root / name).symlink_to(target)
        to.expect(name, "no_access", "BROKEN_LINK")


@failure_class(34)
def no_permission(to: Folder) -> None:
    """Class 34: unreadable files and folders, pipes; NO_ACCESS, NOT_A_FILE, without blocking.

    Permissions do not apply to the superuser: read the folder as another user.
    """
    to.put("good.dcm", to.file(), "ok")
    to.put("locked.dcm", to.file(), "no_access", "NO_ACCESS").chmod(0)
    to.write("folder/unseen.dcm", to.file())
    (to.root / "folder").chmod(0)
    to.expect("folder/", "no_access", "NO_ACCESS")
    os.mkfifo(to.root / "pipe.dcm")
    to.expect("pipe.dcm", "refused", "NOT_A_FILE")


@failure_class(36)
def archives(to: Folder) -> None:
    """Class 36: zip and tar, read in place, with unsafe member names; BAD_ARCHIVE if damaged."""
    members = {
        "a/1.dcm": to.file(),
        "../../up.dcm": to.file(),
        "/absolute.dcm": to.file(),
        "notes.txt": b"not DICOM\n",
    }
    for archive in ("good.zip", "good.tar", "good.tar.gz"):
        to.write(archive, _zip(members) if archive.endswith("zip") else _tar(members, archive))
        for name, data in members.items():
            status = "ok" if data[128:132] == b"DICM" else "not_dicom"
            code = "" if status == "ok" else "NOT_DICOM"
            to.expect(archive, status, code, member=name)
    to.put("no_directory.zip", _zip(members)[:-40], "no_access", "BAD_ARCHIVE")
    to.put("no_header.tar.gz", _tar(members, "x.tar.gz")[:8], "no_access", "BAD_ARCHIVE")
    one = {"1.dcm": to.file(), "2.dcm": to.file(element("PatientID", "P2"))}
    stored = bytearray(_zip(one, zipfile.ZIP_STORED))
    stored[stored.index(b"Doe^Jane")] ^= 1  # the checksum of the first member is now wrong
    to.put("checksum.zip", bytes(stored), "no_access", "BAD_ARCHIVE", member="1.dcm")
    to.expect("checksum.zip", "ok", member="2.dcm")
    locked = bytearray(_zip(one))
    for at in (6, locked.index(b"PK\x01\x02") + 8):  # the flag "encrypted" of the first member
        locked[at] |= 1
    to.put("encrypted.zip", bytes(locked), "no_access", "BAD_ARCHIVE", member="1.dcm")
    to.expect("encrypted.zip", "ok", member="2.dcm")
    cut = _tar(one, "x.tar")
    cut = cut[: cut.index(b"2.dcm") + 700]
    to.put("cut.tar", cut, "ok", member="1.dcm")
    to.expect(
        "cut.tar",
        "partial",
        "TRUNCATED",
        also="META_LENGTH TSUID_INFERRED LENGTH_CLIPPED",
        member="2.dcm",
    )
    to.expect("cut.tar", "no_access", "BAD_ARCHIVE")  # what else was in it cannot be known


@failure_class(37)
def pixels_over_4_gib(to: Folder) -> None:
    """Class 37: Pixel Data beyond a 32-bit length; LENGTH_WRAP, without reading the pixels.

    The file is sparse: it uses no disk space.
    """
    form = [element("Rows", 40000), element("Columns", 60000)]
    size = 2 * 40000 * 60000
    start = dicom_file(to.picture(*form, without=("PixelData",)))
    start += header(0x7FE00010, "OW", size % 2**32)
    path = to.put("wrapped.dcm", start, "partial", "LENGTH_WRAP", values={"Rows": 40000})
    os.truncate(path, len(start) + size)


def killed_write(index: Path) -> list[Path]:
    """Class 38: write the leftovers of a killed scan into an index; readers ignore them.

    An incomplete Parquet file without a commit, and temporary files. Returns their paths.
    """
    part = min((index / "parts").iterdir()).read_bytes()
    left = {
        index / "parts" / "part-killed.parquet": part[: len(part) * 7 // 10],
        index / "parts" / ".part-killed.parquet.tmp": part[: len(part) // 2],
        index / "commits" / ".part-killed.json.tmp": b'{"name": "part-k',
    }
    for path, data in left.items():
        path.write_bytes(data)
    return list(left)


def _frame_header(marker: int, bits: int) -> bytes:
    """JPEG code stream of 65,535 x 65,535 values that ends after its frame header."""
    frame = struct.pack(">HBHHB3B", 11, bits, 65535, 65535, 1, 1, 0x11, 0)
    return b"\xff\xd8\xff" + bytes([marker]) + frame + b"\xff\xd9"


def _zeros(start: bytes, mib: int) -> bytes:
    """Raw deflate of `start` and `mib` MiB of zeros; one block is compressed and repeated."""
    packer = zlib.compressobj(9, wbits=-15)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * mib + packer.flush()


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def _tar(members: dict[str, bytes], name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    data = file.getvalue()
    return gzip.compress(data, mtime=0) if name.endswith("gz") else data

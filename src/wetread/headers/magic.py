"""Types of files that are not DICOM, by their first bytes."""

from __future__ import annotations

import re
import zlib
from codecs import getincrementaldecoder

from wetread.headers.core.constants import NAMED

_GZIP = "gzip file"
_SIGNS = {
    # pictures
    rb"\x89PNG\r\n\x1a\n": "PNG picture",
    rb"\xff\xd8\xff": "JPEG picture",
    rb"\0\0\0\x0cjP  ": "JPEG 2000 picture",
    rb"\xffO\xffQ": "JPEG 2000 code-stream",
    rb"\0\0\0\x0cJXL ": "JPEG XL picture",
    rb"\xff\x0a": "JPEG XL code-stream",
    rb"GIF8": "GIF picture",
    rb"BM.{4}\0{4}": "BMP picture",
    rb"II\*\0": "TIFF picture",
    rb"MM\0\*": "TIFF picture",
    rb"II\+\0": "BigTIFF picture",
    rb"MM\0\+": "BigTIFF picture",
    rb".{8}WEBP": "WebP picture",
    rb"....ftyp": "MP4 video or HEIF picture",
    # volumes and arrays
    rb".{344}n\+1\0": "NIfTI volume",
    rb".{344}ni1\0": "NIfTI header",
    rb"....n\+2\0": "NIfTI-2 volume",
    rb"\\\x01\0\0": "Analyze header",
    rb"\0\0\x01\\": "Analyze header",
    rb"NRRD000": "NRRD volume",
    rb"ObjectType": "MetaImage header",
    rb"NDims": "MetaImage header",
    rb"\x93NUMPY": "NumPy array",
    rb"\x89HDF\r\n\x1a\x0a": "HDF5 file",
    rb"MATLAB 5\.0": "MATLAB file",
    rb"PAR1": "Parquet table",
    rb"ARROW1": "Arrow table",
    rb"SQLite format 3\0": "SQLite database",
    # archives
    rb"PK\x03\x04": "zip archive or Office document",
    rb"PK\x05\x06": "empty zip archive",
    rb".{257}ustar": "tar archive",
    rb"\x1f\x8b": _GZIP,
    rb"BZh": "bzip2 file",
    rb"\xfd7zXZ\0": "xz file",
    rb"\(\xb5/\xfd": "Zstandard file",
    rb"\x04\"M\x18": "LZ4 file",
    rb"7z\xbc\xaf'\x1c": "7-Zip archive",
    rb"Rar!\x1a\x07": "RAR archive",
    # documents and other files
    rb"%PDF-": "PDF document",
    rb"%!PS": "PostScript document",
    rb"\{\\rtf": "RTF document",
    rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "Windows compound file, such as Thumbs.db or .doc",
    rb"\0\x05\x16\x07": "AppleDouble file of macOS",
    rb"\0\0\0\x01Bud1": "folder settings of macOS (.DS_Store)",
    rb"version https://git-lfs": "Git LFS pointer: the file itself was not fetched",
    rb"MZ.[\0-\x0f]": "Windows program",
    rb"\x7fELF": "Linux program",
    rb"#!": "script",
}
"""Pattern of the first bytes and name of the type; the first that fits counts."""
_MARKUP = {
    "<!doctype html": "HTML page",
    "<html": "HTML page",
    "<svg": "SVG picture",
    "<?xml": "XML file",
}
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_CONTROL = re.compile(r"[\0-\x08\x0b\x0e-\x1f\x7f]")


def name_file_type(head: bytes) -> str | None:
    """Name of a file type; None if it is unknown.

    Args:
        head: the first NAMED bytes, or the whole file if it is shorter.

    >>> name_file_type(b"%PDF-1.7"), name_file_type(b"<!DOCTYPE html>"), name_file_type(b"a,b")
    ('PDF document', 'HTML page', 'text file')
    """
    for pattern, name in _SIGNS.items():
        if re.match(pattern, head, re.DOTALL):
            inside = _name_inside(head) if name == _GZIP else None
            return f"{name} of a {inside}" if inside else name
    if head and not head.strip(b"\0"):
        return "file that begins with zeros"
    return _name_text(head)


def _name_inside(head: bytes) -> str | None:
    """Type of the file that gzip compressed."""
    try:
        inside = zlib.decompressobj(31).decompress(head, NAMED)
    except zlib.error:
        return None
    if inside[128:132] == b"DICM":  # the preamble may look like TIFF, PS3.10 section 7.1
        return "DICOM file: decompress it to read it"
    return name_file_type(inside)


def _name_text(head: bytes) -> str | None:
    encoding = next((e for mark, e in _MARKS.items() if head.startswith(mark)), "utf-8")
    try:
        text = getincrementaldecoder(encoding)().decode(head)  # a character may be cut at the end
    except UnicodeDecodeError:
        return None
    start = text.lstrip().lower()
    named = next((name for sign, name in _MARKUP.items() if start.startswith(sign)), None)
    if named or not start or _CONTROL.search(text):
        return named
    return "JSON file" if re.match(r"\{\s*\"|\[\s*[\[{]", start) else "text file"

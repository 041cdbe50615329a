"""The header of one source as a pydicom data set."""

from __future__ import annotations

import warnings
from html import escape
from io import BytesIO
from itertools import chain
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
)

from wetread.headers.deflated import inflate, read_meta
from wetread.settings import Settings
from wetread.sources.find import open_source

_LONGEST_TEXT = 120
_MOST_ITEMS, _DEEPEST = 8, 6


class Header(FileDataset):
    """A pydicom data set that shows itself in a notebook, everything in it escaped."""

    def _repr_html_(self) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _to_html(self.file_meta) + _to_html(self)


def read_dataset(
    root: str,
    path: bytes,
    member: bytes = b"",
    settings: Settings = Settings(),
    size: int | None = None,
    etag: str | None = None,
) -> Header:
    """The header without pixels, whatever the file's preamble; warnings are problems elsewhere.

    The arguments are those of `open_source`.

    Raises:
        OSError: the file cannot be read.
        Exception: pydicom's own, where it cannot read what the bytes hold.
    """
    source = open_source(root, path, member, settings, size, etag)
    with source as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = read_header(stream, settings)
    header.__class__ = Header
    assert isinstance(header, Header)
    return header


def read_header(file: BinaryIO, settings: Settings) -> FileDataset:
    """Data set of a file without its pixels, by pydicom; a deflated one grows to the limit only."""
    plain, _ = inflate(file, settings.header_bytes)
    stated = DeflatedExplicitVRLittleEndian if plain is not file else ExplicitVRBigEndian
    if plain is file and _is_little_as_big(file):
        big, little = ExplicitVRBigEndian.encode(), ExplicitVRLittleEndian.encode()
        plain = BytesIO(file.read(settings.header_bytes).replace(big, little, 1))
    header = dcmread(plain, stop_before_pixels=True, force=True)
    if plain is not file:
        header.file_meta.TransferSyntaxUID = stated
    return header


def _is_little_as_big(file: BinaryIO) -> bool:
    """True if Explicit VR Big Endian is stated of a little-endian data set; `file` is at its start.

    pydicom reads nothing of such a file.
    """
    start, syntax = read_meta(file)
    file.seek(start)
    first = file.read(6)
    file.seek(0)
    stated_big = syntax.rstrip(b"\0 ") == ExplicitVRBigEndian.encode()
    return stated_big and first[1:2] == b"\0" != first[:1] and first[4:6].isalpha()


def _to_html(dataset: Dataset, depth: int = 0) -> str:
    """A table of the elements; the items of a sequence fold."""
    rows = (f"<tr>{_row(dataset, tag, depth)}</tr>" for tag in sorted(dataset.keys()))
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def _row(dataset: Dataset, tag: int, depth: int) -> str:
    try:
        element = dataset[tag]
        cells = [
            f"({tag >> 16:04x},{tag & 0xFFFF:04x})",
            element.keyword or element.name,
            element.VR,
        ]
        if element.VR == "SQ":
            return _cells(cells) + f"<td>{_fold(list(element.value), depth)}</td>"
        text = element.repval
    except Exception as error:  # noqa: BLE001 - pydicom converts at access
        cells, text = [f"({tag >> 16:04x},{tag & 0xFFFF:04x})", "", ""], f"unreadable: {error}"
    cut = text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
    return _cells([*cells, cut])


def _cells(texts: list[str]) -> str:
    return "".join(f'<td style="text-align:left">{escape(text)}</td>' for text in texts)


def _fold(items: list[Dataset], depth: int) -> str:
    count = f"{len(items)} item{'' if len(items) == 1 else 's'}"
    if depth == _DEEPEST or not items:
        return count
    tables = (_to_html(item, depth + 1) for item in items[:_MOST_ITEMS])
    more = ["…"] if len(items) > _MOST_ITEMS else []
    return f"<details><summary>{count}</summary>{''.join(chain(tables, more))}</details>"

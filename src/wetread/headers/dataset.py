"""The header of one source as a pydicom data set."""

from __future__ import annotations

import warnings
from html import escape
from itertools import chain

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset

from wetread.settings import Settings
from wetread.sources import open_source

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
) -> Header:
    """The header without pixels, whatever the file's preamble; warnings are findings elsewhere.

    Raises:
        OSError: the file cannot be read.
        Exception: pydicom's own, where it cannot read what the bytes hold.
    """
    with open_source(root, path, member, settings) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = dcmread(stream, stop_before_pixels=True, force=True)
    header.__class__ = Header
    assert isinstance(header, Header)
    return header


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

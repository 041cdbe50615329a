"""The header of one source as a pydicom data set, made of the elements that the walk found.

pydicom converts single values; it never walks. What the table has, the data set has.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from html import escape
from io import SEEK_END
from itertools import chain
from typing import Any, BinaryIO

import numpy as np
from pydicom import config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import VALIDATORS

from wetread.errors import DecodeError
from wetread.headers.charset import CHARSET, ENCODED_VRS, decode_element, pydicom_encodings
from wetread.headers.core.constants import (
    F_CLIPPED,
    F_IMPLICIT,
    F_UNDEFINED,
    R_ENCODING,
    R_PIXEL_OFFSET,
)
from wetread.headers.encodings import UNDEFINED
from wetread.headers.problems import KINDS
from wetread.headers.schema import UNSPLIT_VRS, column_of, unpack_vr
from wetread.headers.walks import (
    Bytes,
    Elements,
    Memory,
    Walked,
    read_syntaxes,
    walk_others,
)
from wetread.settings import Settings
from wetread.sources.find import open_source

_LONGEST_TEXT = 120
_MOST_ITEMS, _DEEPEST = 8, 6
_CHECKED_VRS = {"DS", "IS", "UI"}
"""Value representations of which pydicom warns when it reads them."""
_SEQUENCES = {"SQ", "UN", ""}


class Item(Dataset):
    """A pydicom data set with the texts of the table; a value that does not convert is its bytes.

    pydicom does not decode all character sets. Elements that are not read keep their bytes.
    """

    charset = ""
    """Specific Character Set, with backslashes; of an item, also that of the data set around it."""

    def __getitem__(self, key: Any) -> Any:
        """Element of a tag or keyword, as pydicom has it."""
        try:
            if not isinstance(key, slice):
                self._decode(key)
            return super().__getitem__(key)
        except (KeyError, TypeError):
            raise
        except Exception:  # pydicom raises many kinds for damaged values
            raw = self._dict.get(Tag(key))
            if not isinstance(raw, RawDataElement):
                raise
            self._dict[raw.tag] = element = DataElement(raw.tag, "OB", raw.value)
            return element

    def _decode(self, key: Any) -> None:
        """Convert an element if it is a text that is not ASCII, or one of which pydicom warns."""
        try:
            raw = self._dict.get(Tag(key))
        except Exception:  # noqa: BLE001 - no tag; pydicom raises a KeyError later
            return
        if not isinstance(raw, RawDataElement) or raw.length == UNDEFINED or not raw.value:
            return
        vr = raw.VR or ("" if raw.tag.is_private else column_of(raw.tag).vrs[0])
        plain = raw.value.isascii() and b"\x1b" not in raw.value
        if (vr not in _CHECKED_VRS or _is_valid(vr, raw.value)) if plain else vr not in ENCODED_VRS:
            return
        text = raw.value.decode() if plain else decode_element(raw.value, vr, self.charset)
        parts = [text] if vr in UNSPLIT_VRS else text.split("\\")
        values = [part.rstrip(" \0") for part in parts]
        value = values if len(values) > 1 else values[0]
        self._dict[raw.tag] = DataElement(raw.tag, vr, value, validation_mode=config.IGNORE)


def _is_valid(vr: str, value: bytes) -> bool:
    """True if pydicom does not warn of any of the values; the table has their problems."""
    texts = value.decode().rstrip(" \0").split("\\")
    check: Callable[[str, str], tuple[bool, str]] = VALIDATORS[vr]
    return all(check(vr, text)[0] for text in texts)


class _Meta(FileMetaDataset, Item):
    """File Meta in which a value that does not convert is its bytes."""


class Header(FileDataset, Item):
    """Header with a representation in notebooks, in which all text is escaped."""

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
        DecodeError: it is no DICOM file.
    """
    with open_source(root, path, member, settings, size, etag) as stream:
        return read_header(stream, settings)


def read_header(file: BinaryIO, settings: Settings) -> Header:
    """Data set of a file without its pixels.

    Raises:
        OSError: the file cannot be read.
        DecodeError: it is no DICOM file.
    """
    walked, memory, read = _walk(file, settings)
    rows, arena = walked.rows, memory.arena
    encoding = int(rows[R_ENCODING, 0])
    if not len(walked.elements.row):
        kinds = [list(KINDS.values())[kind] for kind in walked.found.kind]
        raise DecodeError(kinds[0][1] if kinds else "no header")
    is_meta = walked.elements.tag >> 16 == 2
    meta = build_dataset(walked.elements.take(np.flatnonzero(is_meta)), arena, 0)
    data_set = build_dataset(walked.elements.take(np.flatnonzero(~is_meta)), arena, encoding)
    start = read(0, 132)
    header = Header(
        file,
        data_set,
        preamble=start[:128] if start[128:] == b"DICM" else None,
        file_meta=_Meta(meta),
        is_implicit_VR=bool(encoding & 1),
        is_little_endian=not encoding & 2,
    )
    header.charset = data_set.charset
    was = data_set.original_encoding
    header.set_original_encoding(was[0], was[1], data_set.original_character_set)
    return header


def find_pixels(file: BinaryIO, settings: Settings) -> int | None:
    """Start of the value of the pixel element in a file; None if it has none."""
    offset = int(_walk(file, settings, whole=False)[0].rows[R_PIXEL_OFFSET, 0])
    return None if offset < 0 else offset


def find_syntax(file: BinaryIO, settings: Settings) -> str | None:
    """Transfer Syntax UID that the bytes of a file are in; None if unknown, or not DICOM."""
    walked, memory, _ = _walk(file, settings, whole=False)
    syntaxes = read_syntaxes(walked, memory.arena)
    return syntaxes.names[int(syntaxes.codes[0])]


def _walk(
    file: BinaryIO, settings: Settings, *, whole: bool = True
) -> tuple[Walked, Memory, Callable[[int, int], bytes]]:
    def read(first: int, count: int) -> bytes:
        file.seek(first)
        return file.read(count)

    memory = Memory()
    size = file.seek(0, SEEK_END)
    walked = walk_others([size], lambda _, *where: read(*where), memory, settings, whole=whole)
    if walked.problems:
        raise OSError(walked.problems[0][1])
    return walked, memory, read


def build_dataset(elements: Elements, arena: Bytes, encoding: int) -> Item:
    """Data set of the elements of one file, which were walked whole.

    `encoding` has the bits 1, implicit, and 2, big endian.
    """
    return _Builder(elements, arena, encoding).build()


class _Builder:
    """Elements in the order of the file become a tree: `open` has the container at each depth.

    At even depths that is a data set; at odd ones the items of a sequence, or the fragments of a
    value of undefined length.
    """

    def __init__(self, elements: Elements, arena: Bytes, encoding: int) -> None:
        self._elements, self._arena = elements, arena
        self._little = not encoding & 2
        self._charsets = [""]
        self._open: list[Any] = [self._make(bool(encoding & 1))]
        self._sequences: list[tuple[Dataset, BaseTag, list[Dataset], bool]] = []
        self._fragments: list[tuple[Dataset, RawDataElement, list[bytes | Dataset]]] = []

    def build(self) -> Item:
        """The data set of the top level."""
        columns = ("tag", "vr", "depth", "bits", "start", "length", "offset")
        for element in zip(*(getattr(self._elements, n).tolist() for n in columns), strict=True):
            self._take(*element)
        for data_set, raw, fragments in self._fragments:
            parts = [part for part in fragments if isinstance(part, bytes)]
            data_set._dict[raw.tag] = raw._replace(value=b"".join(parts))
        for data_set, tag, items, undefined in reversed(self._sequences):
            made = DataElement(tag, "SQ", Sequence(items))
            made.is_undefined_length = undefined
            data_set._dict[tag] = made
        top: Item = self._open[0]
        return top

    def _make(self, implicit: bool) -> Item:
        data_set = Item()
        data_set.charset = self._charsets[-1]
        encodings = list(pydicom_encodings(self._charsets[-1]))
        data_set.set_original_encoding(implicit, self._little, encodings)
        return data_set

    def _take(
        self, tag: int, vr: int, depth: int, bits: int, start: int, length: int, offset: int
    ) -> None:
        if depth >= len(self._open):
            return  # below what is kept
        del self._open[depth + 1 :], self._charsets[depth + 1 :]
        if depth & 1:
            self._take_item(depth, bits, start, length, offset)
            return
        data_set, name, key = self._open[depth], unpack_vr(vr), BaseTag(tag)
        undefined, implicit = bool(bits & F_UNDEFINED), bool(bits & F_IMPLICIT)
        self._charsets.append(self._charsets[-1])
        if name == "SQ" or (start < 0 and name in _SEQUENCES and (length or undefined)):
            items: list[Dataset] = []
            self._open.append(items)
            self._sequences.append((data_set, key, items, undefined))
            data_set._dict[key] = None
            return
        if bits & F_CLIPPED:
            return
        value = self._arena[start : start + length].tobytes() if start >= 0 else b""
        if tag == CHARSET:
            data_set.charset = self._charsets[depth] = value.decode("latin-1").strip(" \0")
            was, encodings = data_set.original_encoding, pydicom_encodings(data_set.charset)
            data_set.set_original_encoding(was[0], was[1], list(encodings))
        stated = 0xFFFFFFFF if undefined else length
        raw = RawDataElement(key, name or None, stated, value, offset, implicit, self._little, True)
        data_set._dict[key] = raw
        if undefined:
            fragments: list[bytes | Dataset] = []  # no data set belongs there, but files have them
            self._open.append(fragments)
            self._fragments.append((data_set, raw, fragments))

    def _take_item(self, depth: int, bits: int, start: int, length: int, offset: int) -> None:
        """An item of a sequence, or a fragment with the head of its item."""
        if start >= 0:
            self._open[depth].append(self._arena[start - 8 : start + length].tobytes())
            return
        item = self._make(self._open[depth - 1].original_encoding[0])
        item.is_undefined_length_sequence_item = bool(bits & F_UNDEFINED)
        item.seq_item_tell = offset - 8
        self._open[depth].append(item)
        self._open.append(item)
        self._charsets.append(self._charsets[-1])


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

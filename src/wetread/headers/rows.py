"""Columns of each row that are not DICOM: status, problems, syntax, position of the pixels."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array, filled
from wetread.headers.ages import check_ages
from wetread.headers.blocks import DELIMITER, Bytes, Heads, describe_error
from wetread.headers.building import Built
from wetread.headers.charset import read_charsets
from wetread.headers.encodings import Encoding, encoding_of, is_encapsulated
from wetread.headers.extent import Announced, check_extent, is_cut
from wetread.headers.fragments import FEW, count_frames, in_many_fragments, is_encoded
from wetread.headers.identity import identify
from wetread.headers.nested import convert_private, convert_sequences, private_array
from wetread.headers.pages import FileReader
from wetread.headers.pictures import check_burned_in, find_decodable
from wetread.headers.schema import (
    INVALID_TYPE,
    PROBLEM_TYPE,
    column_of,
    format_tag,
    pack_vr,
    unify,
    unpack_vr,
)
from wetread.headers.sequences import check_fragments
from wetread.headers.walk import Elements, Rows
from wetread.headers.walked import Walked
from wetread.settings import Settings
from wetread.sources.archives import ArchiveError
from wetread.sources.find import open_source

Int64s = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]
RowProblem = tuple[int, str, str | None, int | None, str]
"""Row, code, tag, position in the file, text."""

STATUSES = ("ok", "repaired", "partial", "refused", "no_access", "timeout", "crashed", "not_dicom")
"""From the mildest to the one that hides the others."""

_STATUS_OF = {
    **dict.fromkeys(
        [
            "NO_META",
            "TSUID_INFERRED",
            "TSUID_UNKNOWN",
            "TSUID_WRONG",
            "DELIMITER",
            "BAD_VR",
            "TOO_DEEP",
        ],
        "repaired",
    ),
    **dict.fromkeys(
        [
            "TRUNCATED",
            "LENGTH_CLIPPED",
            "LENGTH_WRAP",
            "RESYNC",
            "DEFLATE_DAMAGED",
            "HEADER_BUDGET",
            "PIXELS_ABSENT",
            "PIXELS_SHORT",
        ],
        "partial",
    ),
    **dict.fromkeys(["BOMB", "NOT_A_FILE"], "refused"),
    **dict.fromkeys(["NO_ACCESS", "BROKEN_LINK", "BAD_ARCHIVE"], "no_access"),
    **dict.fromkeys(["NOT_DICOM", "EMPTY_FILE"], "not_dicom"),
    "TIMEOUT": "timeout",
    "CRASHED": "crashed",
}
_OTHER_LENGTH = {"PIXELS_SHORT", "PIXELS_LONG", "FRAMES_UNDECLARED"}
_AGE = 0x00101010
_BURNED_IN = 0x00280301
_FLOATS = (0x7FE00008, 0x7FE00009)
_PROGRAMS = (
    b"MZ",
    b"\x7fELF",
    b"\xfe\xed\xfa",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"#!",
)


@dataclass(slots=True)
class Answer:
    """Results of n rows."""

    syntax: Texts
    pixel_offset: Int64s
    pixel_length: Int64s
    without_pixels: npt.NDArray[np.bool_]
    header_hash: Int64s
    floats: npt.NDArray[np.bool_]
    """Pixels in Float or Double Float Pixel Data."""
    encodings: dict[int, Encoding] = field(default_factory=dict)
    """Of the rows that the scalar walk read."""
    clipped: list[tuple[int, int, bytes]] = field(default_factory=list)
    """Row, tag and first bytes of values that the end of a file cut."""
    problems: list[RowProblem] = field(default_factory=list)
    extra: dict[str, pa.Array] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: int) -> Answer:
        """Nothing said yet."""
        nowhere = np.full(rows, -1, np.int64)
        syntax, hashes = np.full(rows, None, object), np.zeros(rows, np.int64)
        return cls(syntax, nowhere, nowhere, nowhere < 0, hashes, nowhere > 0)

    def find(self, row: int, code: str, tag: int | None, offset: int | None, text: str) -> None:
        """Note a problem."""
        self.problems.append((row, code, None if tag is None else format_tag(tag), offset, text))

    def set_syntaxes(self, rows: Int64s, syntaxes: pa.DictionaryArray) -> None:
        """The stated Transfer Syntax UID of rows."""
        names = np.array(syntaxes.dictionary.to_pylist(), object)
        self.syntax[rows] = names[filled(syntaxes.indices, 0)]

    def set_walked(self, row: int, walked: Walked) -> None:
        """Take over what the scalar walk says of a row."""
        self.syntax[row] = walked.syntax
        self.encodings[row] = walked.encoding
        self.clipped += [(row, tag, raw) for tag, raw in walked.clipped]
        for code, tag, offset, text in walked.problems:
            self.find(row, code, tag, offset, text)

    def set_pixels(self, rows: Rows) -> None:
        """Start of the value of the pixel element in each file, its length and kind."""
        self.pixel_offset, self.pixel_length = rows.pixel_offset, rows.pixel_length
        self.without_pixels = rows.pixel_offset < 0
        self.floats = np.isin(rows.pixel_tag, _FLOATS)

    def hash_headers(self, heads: Heads, arena: Bytes) -> None:
        """CRC-32 of each header, as far as the first window goes."""
        end = np.where(self.without_pixels, heads.got, np.minimum(self.pixel_offset, heads.got))
        memory, start = arena.data, np.arange(len(end)) * heads.window
        bounds = zip(start.tolist(), (start + end).tolist(), strict=True)
        self.header_hash[:] = [crc32(memory[begin:stop]) for begin, stop in bounds]

    def check_ends(
        self,
        root: str,
        paths: list[bytes],
        members: list[bytes],
        heads: Heads,
        rows: Rows,
        settings: Settings,
    ) -> None:
        """Encapsulated pixels that do not end with their delimiter: follow the fragments."""
        open_ended = (rows.pixel_offset >= 0) & (rows.pixel_length < 0) & ~heads.ended
        open_ended[[row for row, encoding in self.encodings.items() if encoding.deflated]] = False
        for row in np.flatnonzero(open_ended):
            deadline = time.monotonic() + settings.header_seconds
            size = int(heads.size[row])
            try:
                with open_source(root, paths[row], members[row], settings, size) as stream:
                    reader = FileReader(stream, size, settings.header_bytes, deadline)
                    if reader.at(size - 8, 8) == DELIMITER:
                        continue
                    missing = check_fragments(reader, int(rows.pixel_offset[row]))
            except (OSError, ArchiveError) as error:
                missing = describe_error(error)[1]
            if missing:
                tag = int(rows.pixel_tag[row])
                self.find(int(row), "TRUNCATED", tag, int(rows.pixel_offset[row]), missing)

    def check_frames(
        self,
        open_row: Callable[[int], BinaryIO],
        arrays: dict[str, tuple[pa.Field, pa.Array]],
        heads: Heads,
        arena: Bytes,
    ) -> None:
        """More encapsulated frames than announced; with many announced, left to decoding."""
        deflated = [row for row, encoding in self.encodings.items() if encoding.deflated]
        offset = np.where(self.pixel_length < 0, self.pixel_offset, -1)
        offset[deflated] = -1
        _, frames = arrays.get("NumberOfFrames", (None, pa.nulls(len(offset), pa.int64())))
        for row in in_many_fragments(offset, heads, arena).tolist():
            announced = max(1, frames[row].as_py() or 1)
            if announced > FEW:
                continue
            count = count_frames(partial(open_row, row), int(offset[row]))
            if count > announced:
                text = f"{count} frames are there, the header announces {announced}"
                self.find(row, "FRAMES_UNDECLARED", 0x7FE00010, int(offset[row]), text)

    def convert_nested(
        self,
        arena: Bytes,
        elements: Elements,
        implicit: npt.NDArray[np.bool_],
        private: bool,
        sequences: bool,
    ) -> None:
        """The columns `private` and `sequences`; `implicit` is how the lockstep walk read a row."""
        rows = len(self.syntax)
        is_private = (elements.tag & 0x10000 != 0) & (elements.tag & 0xFFFF != 0)
        is_sequence = (elements.vr == pack_vr("SQ")) | _unsaid_sequences(elements)
        charsets = read_charsets(arena, elements)
        if private:
            chosen = _by_row(arena, elements, is_private, rows)
            values = [convert_private(c, charsets.get(r, "")) for r, c in enumerate(chosen)]
            self.extra["private"] = private_array(values)
        if sequences:
            chosen = _by_row(arena, elements, is_sequence & ~is_private, rows)
            models = []
            for row, raws in enumerate(chosen):
                encoding = self.encodings.get(row, Encoding(implicit=bool(implicit[row])))
                model, failed = convert_sequences(raws, charsets.get(row, ""), encoding)
                models.append(model)
                self.clipped += [(row, tag, raw) for tag, _, raw in raws if tag in failed]
                for tag in failed:
                    self.find(row, "BAD_VALUE", tag, None, "a sequence that does not convert")
            self.extra["sequences"] = array(models, pa.string())


def _unsaid_sequences(elements: Elements) -> npt.NDArray[np.bool_]:
    """Elements without a VR (or in UN) that the dictionary says are sequences."""
    silent = (elements.vr == 0) | (elements.vr == pack_vr("UN"))
    result = np.zeros(len(elements.tag), np.bool_)
    for i in np.flatnonzero(silent):
        result[i] = column_of(int(elements.tag[i])).vrs[0] == "SQ"
    return result


def _by_row(
    arena: Bytes, elements: Elements, mask: npt.NDArray[np.bool_], rows: int
) -> list[list[tuple[int, str, bytes]]]:
    """Tag, VR and bytes of the chosen elements of every row."""
    chosen: list[list[tuple[int, str, bytes]]] = [[] for _ in range(rows)]
    for i in np.flatnonzero(mask & (elements.start >= 0)):
        start = int(elements.start[i])
        value = arena[start : start + int(elements.length[i])].tobytes()
        chosen[elements.row[i]].append(
            (int(elements.tag[i]), unpack_vr(int(elements.vr[i])), value)
        )
    return chosen


def assemble(
    answer: Answer, sources: pa.RecordBatch | pa.Table, built: Built, heads: Heads, arena: Bytes
) -> pa.Table:
    """The table of a block: our columns, the core, the others by tag."""
    rows = sources.num_rows
    arrays = {name: array for name, (_, array) in built.arrays.items()}
    for row, (code, text) in heads.problems.items():
        answer.find(row, code, None, None, text)
    _check_pixels(answer, arrays, heads, arena, rows)
    for row, text in check_ages(arrays):
        answer.find(row, "AGE_SUSPECT", _AGE, None, text)
    _check_preambles(answer, heads, arena)
    identity = identify(sources)
    for row in np.flatnonzero(filled(identity["path_bytes"].is_valid(), False)).tolist():
        answer.find(row, "BAD_PATH", None, None, "the name is not UTF-8")
    for row, tag, raw in answer.clipped:
        built.invalid.append((row, column_of(tag).name, raw))
    problems = sorted(answer.problems + built.problems, key=_by_place)
    arrays.update(identity)
    arrays.update(_own_columns(answer, sources, heads, arena))
    arrays["problems"] = list_of(problems, rows, PROBLEM_TYPE)
    arrays["invalid"] = list_of(sorted(built.invalid, key=lambda f: f[0]), rows, INVALID_TYPE)
    arrays["read_status"] = array(_statuses(problems, rows), pa.string())
    arrays.update(answer.extra)
    return _in_order(arrays, [field for field, _ in built.arrays.values()], answer, rows)


def _by_place(problem: RowProblem) -> tuple[int, int, str, str]:
    """By row, then from the start of the file on."""
    row, code, tag, offset, _ = problem
    return row, -1 if offset is None else offset, code, tag or ""


def _in_order(
    arrays: dict[str, pa.Array], fields: list[pa.Field], answer: Answer, rows: int
) -> pa.Table:
    fields += [pa.field(name, array.type) for name, array in answer.extra.items()]
    schema = unify([pa.schema(fields)])
    columns = [
        arrays[field.name] if field.name in arrays else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _own_columns(
    answer: Answer, sources: pa.RecordBatch | pa.Table, heads: Heads, arena: Bytes
) -> dict[str, Any]:
    unread = np.zeros(len(heads.size), np.bool_)
    unread[list(heads.problems)] = True
    is_member = filled(pc.binary_length(sources.column("member")), 0) > 0
    is_file = array(~is_member & ~unread, pa.bool_())
    return {
        **{
            name: pc.if_else(is_file, array(read, pa.int64()), _column(sources, name, read, unread))
            for name, read in (("file_size", heads.size), ("mtime_ns", heads.mtime_ns))
        },
        "etag": sources.column("etag"),
        "transfer_syntax": array(answer.syntax, pa.string()),
        "pixel_offset": array(answer.pixel_offset, pa.int64(), answer.pixel_offset < 0),
        "pixel_length": array(answer.pixel_length, pa.int64(), answer.without_pixels),
        "header_hash": array(answer.header_hash, pa.int64(), unread),
    }


def _column(
    sources: pa.RecordBatch | pa.Table, name: str, read: Int64s, unread: npt.NDArray[np.bool_]
) -> pa.Array:
    """Value of the listing of the source, else the value read."""
    listed = sources.column(name)
    listed = listed.combine_chunks() if isinstance(listed, pa.ChunkedArray) else listed
    return pc.coalesce(listed, array(read, pa.int64(), unread))


def _check_preambles(answer: Answer, heads: Heads, arena: Bytes) -> None:
    """Programs before a data set (CVE-2019-11687); a TIFF there is legal."""
    first = arena[: len(heads.size) * heads.window].reshape(-1, heads.window)[:, :4]
    suspects = (heads.got > 132) & np.isin(first[:, 0], [p[0] for p in _PROGRAMS])
    for row in np.flatnonzero(suspects):
        magic = first[row].tobytes()
        is_dicom = arena[row * heads.window + 128 :][:4].tobytes() == b"DICM"
        if is_dicom and magic.startswith(_PROGRAMS):
            answer.find(int(row), "EXECUTABLE_PREAMBLE", None, 0, magic.hex(" "))


def _check_pixels(
    answer: Answer, arrays: dict[str, pa.Array], heads: Heads, arena: Bytes, rows: int
) -> None:
    native = np.full(rows, -1, np.int64)
    deflated = np.zeros(rows, np.bool_)
    for syntax in {s for s in answer.syntax if s}:
        here = answer.syntax == syntax
        native[here] = 0 if is_encapsulated(syntax) else 1
        deflated[here] = encoding_of(syntax).deflated
    size = np.where(deflated, np.int64(1) << 62, heads.size)
    said = Announced.of(arrays, rows)
    found = check_extent(said, size, answer.pixel_offset, answer.pixel_length, native)
    have = np.minimum(answer.pixel_length, size - answer.pixel_offset)
    cut = (native == 1) & (answer.pixel_length >= 0) & ~deflated & is_cut(said, have)
    known = {(f[0], f[1]) for f in answer.problems}
    stopped = {f[0] for f in answer.problems if _STATUS_OF.get(f[1]) in ("partial", "refused")}
    for row, code, text in found:
        if (row, code) not in known and not (code == "PIXELS_ABSENT" and row in stopped):
            offset = int(answer.pixel_offset[row])
            if native[row] == 1 and code in _OTHER_LENGTH and not deflated[row]:
                start, end = row * heads.window + offset, row * heads.window + int(heads.got[row])
                if is_encoded(arena[start : min(end, start + 12)].tobytes()):
                    code, text = "TSUID_WRONG", "encoded pixels under an uncompressed syntax"
                    cut[row] = False
            answer.find(row, code, 0x7FE00010, offset if offset >= 0 else None, text)
    answer.pixel_offset = np.where(deflated, -1, answer.pixel_offset)
    pixels = ~answer.without_pixels
    for row, text in check_burned_in(arrays, pixels):
        answer.find(row, "BURNED_IN_RISK", _BURNED_IN, None, text)
    open_ended = pixels & (answer.pixel_length < 0)
    arrays["decodable"] = find_decodable(
        said, answer.syntax, pixels, answer.floats, cut, open_ended
    )


def _statuses(problems: list[RowProblem], rows: int) -> list[str]:
    """The gravest status that a row's problems call for."""
    rank = [0] * rows
    for row, code, *_ in problems:
        rank[row] = max(rank[row], STATUSES.index(_STATUS_OF.get(code, "ok")))
    return [STATUSES[r] for r in rank]


def list_of(entries: list[Any], rows: int, kind: pa.ListType) -> pa.ListArray:
    """A list column of structs from entries (row, field, field, ...) sorted by row."""
    counts = np.bincount(np.array([e[0] for e in entries], np.int64), minlength=rows)
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    struct = kind.value_type
    fields = [
        array([entry[i + 1] for entry in entries], struct[i].type) for i in range(struct.num_fields)
    ]
    flat = pa.StructArray.from_arrays(fields, fields=list(struct))
    return pa.ListArray.from_arrays(array(bounds, pa.int32()), flat).cast(kind)

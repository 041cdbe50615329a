"""What is said of each row beside its DICOM columns: status, findings, syntax, where pixels are."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.arrays import array, filled
from wetread.headers.building import Built
from wetread.headers.encodings import encoding_of, is_encapsulated
from wetread.headers.extent import Announced, check_extent
from wetread.headers.gather import gather_strings
from wetread.headers.identity import identify
from wetread.headers.jsonmodel import write_sequences
from wetread.headers.nested import describe_private, of_rows, private_array
from wetread.headers.pictures import check_burned_in, find_decodable
from wetread.headers.problems import KINDS
from wetread.headers.schema import (
    FINDING_TYPE,
    INVALID_TYPE,
    column_of,
    format_tag,
    unify,
    unpack_vr,
)
from wetread.headers.walks import (
    BASE,
    CLIPPED,
    GOT,
    MOST_RAW,
    MTIME,
    PIXEL_LENGTH,
    PIXEL_OFFSET,
    PIXEL_TAG,
    SIZE,
    SYNTAX,
    SYNTAXES,
    TEXT,
    TEXT_LENGTH,
    Bytes,
    Walked,
)
from wetread.settings import Settings

Int64s = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]
RowFinding = tuple[int, str, str | None, int | None, str]
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
            "ELEMENT_LIMIT",
        ],
        "partial",
    ),
    **dict.fromkeys(["BOMB", "NOT_A_FILE"], "refused"),
    **dict.fromkeys(["NO_ACCESS", "BROKEN_LINK", "BAD_ARCHIVE"], "no_access"),
    **dict.fromkeys(["NOT_DICOM", "EMPTY_FILE"], "not_dicom"),
    "TIMEOUT": "timeout",
    "CRASHED": "crashed",
}
_RANK_OF = {code: STATUSES.index(status) for code, status in _STATUS_OF.items()}
_BURNED_IN = 0x00280301
_FLOATS = (0x7FE00008, 0x7FE00009)


@dataclass(slots=True)
class Answer:
    """What is said of n rows."""

    syntax: Texts
    pixel_offset: Int64s
    pixel_length: Int64s
    without_pixels: npt.NDArray[np.bool_]
    floats: npt.NDArray[np.bool_]
    """Pixels in Float or Double Float Pixel Data."""
    header_hash: list[int]
    findings: list[RowFinding] = field(default_factory=list)
    clipped: list[tuple[int, int, bytes]] = field(default_factory=list)
    """Row, tag and first bytes of values that are cut or over a limit."""
    extra: dict[str, pa.Array] = field(default_factory=dict)

    @classmethod
    def of(cls, walked: Walked, arena: Bytes) -> Answer:
        """What the walk says of its rows."""
        rows = walked.rows
        answer = cls(
            _syntaxes(walked, arena),
            rows[PIXEL_OFFSET],
            rows[PIXEL_LENGTH],
            rows[PIXEL_OFFSET] < 0,
            np.isin(rows[PIXEL_TAG], _FLOATS),
            hash_headers(walked, arena),
        )
        answer.note_walked(walked, arena)
        return answer

    def find(self, row: int, code: str, tag: int | None, offset: int | None, text: str) -> None:
        """Note a finding."""
        self.findings.append((row, code, None if tag is None else format_tag(tag), offset, text))

    def note_walked(self, walked: Walked, arena: Bytes) -> None:
        """Problems that the walk met."""
        found, elements = walked.found, walked.elements
        kinds = list(KINDS.values())
        for row, kind, tag, offset, a, b in zip(
            *(column.tolist() for column in (found.row, found.kind, found.tag)),
            *(column.tolist() for column in (found.offset, found.a, found.b)),
            strict=True,
        ):
            code, text = kinds[kind]
            text = text.format(
                a=a, b=b, tag=format_tag(tag), other=format_tag(b & 0xFFFFFFFF),
                vr=unpack_vr(a & 0xFFFF), syntax=SYNTAXES[a & 3],
                bytes=(a & 0xFFFFFFFF).to_bytes(4).hex(" "),
            )  # fmt: skip
            if code == "NOT_DICOM":
                start = int(walked.rows[BASE, row])
                got = min(int(walked.rows[GOT, row]), 16)
                text += f"; starts with {arena[start : start + got].tobytes().hex(' ')}"
            self.find(row, code, None if tag < 0 else tag, None if offset < 0 else offset, text)
        for row, syntax in walked.inferred.items():
            self.find(row, "TSUID_INFERRED", None, None, f"encapsulated, taken as {syntax}")
        for i in np.flatnonzero(elements.bits & CLIPPED).tolist():
            start, length = int(elements.start[i]), min(int(elements.length[i]), MOST_RAW)
            raw = arena[start : start + length].tobytes() if start >= 0 else b""
            if elements.depth[i] == 0:
                self.clipped.append((int(elements.row[i]), int(elements.tag[i]), raw))

    def convert_nested(self, walked: Walked, arena: Bytes, private: bool, sequences: bool) -> None:
        """The columns `private` and `sequences`, of rows that were walked whole."""
        described, models = [], []
        for elements, encoding in of_rows(walked):
            if private:
                from wetread.headers.dataset import build_dataset

                described.append(describe_private(build_dataset(elements, arena, encoding)))
            if sequences:
                models.append(write_sequences(elements, arena, big=bool(encoding & 2)))
        if private:
            self.extra["private"] = private_array(described)
        if sequences:
            self.extra["sequences"] = array(models, pa.string())


def _syntaxes(walked: Walked, arena: Bytes) -> Texts:
    """Transfer Syntax UID that the bytes of each row are in; None for unknown."""
    said = walked.rows[SYNTAX]
    texts = np.full(len(said), None, object)
    for bits, uid in enumerate(SYNTAXES):
        texts[said == bits] = uid
    stated = np.flatnonzero(said == -2)
    start, length = walked.rows[TEXT, stated], walked.rows[TEXT_LENGTH, stated]
    names = gather_strings(arena, start, length).dictionary_encode()
    distinct = np.array([name.strip() or None for name in names.dictionary.to_pylist()], object)
    texts[stated] = distinct[filled(names.indices, 0)]
    for row, syntax in walked.inferred.items():
        texts[row] = syntax
    return texts


def hash_headers(walked: Walked, arena: Bytes) -> list[int]:
    """CRC-32 of each header, as far as the first window goes."""
    offset, got = walked.rows[PIXEL_OFFSET], walked.rows[GOT]
    end = np.where(offset < 0, got, np.minimum(offset, got))
    memory, start = arena.data, walked.rows[BASE]
    bounds = zip(start.tolist(), (start + end).tolist(), strict=True)
    return [crc32(memory[begin:stop]) for begin, stop in bounds]


def assemble(
    answer: Answer,
    sources: pa.RecordBatch | pa.Table,
    built: Built,
    walked: Walked,
    settings: Settings,
) -> pa.Table:
    """The table of a block: our columns, the core, the others by tag."""
    rows = sources.num_rows
    arrays = {name: array for name, (_, array) in built.arrays.items()}
    for row, (code, text) in walked.problems.items():
        answer.find(row, code, None, None, text)
    _check_pixels(answer, arrays, walked, rows)
    identity = identify(sources)
    for row in np.flatnonzero(filled(identity["path_bytes"].is_valid(), False)).tolist():
        answer.find(row, "BAD_PATH", None, None, "the name is not UTF-8")
    for row, tag, raw in answer.clipped:
        built.invalid.append((row, column_of(tag).name, raw))
    findings = sorted(answer.findings + built.findings, key=_by_place)
    statuses = _statuses(findings, rows)
    findings = _capped(findings, settings)
    arrays.update(identity)
    arrays.update(_own_columns(answer, sources, walked))
    arrays["findings"] = list_of(findings, rows, FINDING_TYPE)
    arrays["invalid"] = list_of(sorted(built.invalid, key=lambda f: f[:2]), rows, INVALID_TYPE)
    arrays["read_status"] = array(STATUSES, pa.string()).take(array(statuses, pa.int8()))
    arrays.update(answer.extra)
    return _in_order(arrays, [field for field, _ in built.arrays.values()], answer, rows)


def _capped(findings: list[RowFinding], settings: Settings) -> list[RowFinding]:
    """The first findings of each row, and one that says so where there are more."""
    most = settings.row_problems
    if len(findings) <= most:
        return findings
    kept: list[RowFinding] = []
    for row, group in groupby(findings, key=itemgetter(0)):
        own = list(group)
        known = [finding for finding in own if finding[1] != "PROBLEM_LIMIT"]
        kept += known[:most]
        if len(known) > most or len(known) < len(own):
            text = f"more than {most} problems; the others are left out"
            kept.append((row, "PROBLEM_LIMIT", None, None, text))
    return kept


def _by_place(finding: RowFinding) -> tuple[int, int, str, str]:
    """By row, then from the start of the file on."""
    row, code, tag, offset, _ = finding
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
    answer: Answer, sources: pa.RecordBatch | pa.Table, walked: Walked
) -> dict[str, Any]:
    unread = np.zeros(walked.rows.shape[1], np.bool_)
    unread[list(walked.problems)] = True
    is_member = filled(pc.binary_length(sources.column("member")), 0) > 0
    is_file = array(~is_member & ~unread, pa.bool_())
    return {
        **{
            name: pc.if_else(is_file, array(read, pa.int64()), _column(sources, name, read, unread))
            for name, read in (("file_size", walked.rows[SIZE]), ("mtime_ns", walked.rows[MTIME]))
        },
        "etag": sources.column("etag"),
        "transfer_syntax": array(answer.syntax, pa.string()),
        "pixel_offset": array(answer.pixel_offset, pa.int64(), answer.pixel_offset < 0),
        "pixel_length": array(answer.pixel_length, pa.int64(), answer.without_pixels),
        "header_hash": array(np.array(answer.header_hash, np.int64), pa.int64(), unread),
    }


def _column(
    sources: pa.RecordBatch | pa.Table, name: str, read: Int64s, unread: npt.NDArray[np.bool_]
) -> pa.Array:
    """What the source's listing says, else what was read."""
    listed = sources.column(name)
    listed = listed.combine_chunks() if isinstance(listed, pa.ChunkedArray) else listed
    return pc.coalesce(listed, array(read, pa.int64(), unread))


def _check_pixels(answer: Answer, arrays: dict[str, pa.Array], walked: Walked, rows: int) -> None:
    native = np.full(rows, -1, np.int64)
    deflated = np.zeros(rows, np.bool_)
    for syntax in {s for s in answer.syntax if s}:
        here = answer.syntax == syntax
        native[here] = 0 if is_encapsulated(syntax) else 1
        deflated[here] = encoding_of(syntax).deflated
    size = np.where(deflated, np.int64(1) << 62, walked.rows[SIZE])
    said = Announced.of(arrays, rows)
    found = check_extent(said, size, answer.pixel_offset, answer.pixel_length, native)
    known = {(f[0], f[1]) for f in answer.findings}
    stopped = {f[0] for f in answer.findings if _STATUS_OF.get(f[1]) in ("partial", "refused")}
    for row, code, text in found:
        if (row, code) not in known and not (code == "PIXELS_ABSENT" and row in stopped):
            offset = int(answer.pixel_offset[row])
            answer.find(row, code, 0x7FE00010, offset if offset >= 0 else None, text)
    answer.pixel_offset = np.where(deflated, -1, answer.pixel_offset)
    pixels = ~answer.without_pixels
    for row, text in check_burned_in(arrays, pixels):
        answer.find(row, "BURNED_IN_RISK", _BURNED_IN, None, text)
    arrays["decodable"] = find_decodable(said, answer.syntax, pixels, answer.floats)


def _statuses(findings: list[RowFinding], rows: int) -> npt.NDArray[np.int8]:
    """Number of the gravest status that a row's findings call for."""
    rank = np.zeros(rows, np.int8)
    for row, code, *_ in findings:
        rank[row] = max(rank[row], _RANK_OF.get(code, 0))
    return rank


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

"""Columns of each row that are not DICOM: status, problems, syntax, position of the pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array, filled, whole_array
from wetread.common.text import counted
from wetread.headers.ages import check_ages
from wetread.headers.building import Built
from wetread.headers.core.constants import (
    F_CLIPPED,
    FEW,
    MOST_RAW,
    NAMED,
    R_ENCODED,
    R_FRAMES,
    R_HASH,
    R_HEAD,
    R_MTIME,
    R_PIXEL_LENGTH,
    R_PIXEL_OFFSET,
    R_PIXEL_TAG,
    R_SIZE,
)
from wetread.headers.encodings import encoding_of, is_encapsulated
from wetread.headers.extent import Stated, check_extent, is_cut
from wetread.headers.groups import fill_columns
from wetread.headers.identity import identify
from wetread.headers.jsonmodel import write_sequences
from wetread.headers.macros import PER_FRAME_GROUPS
from wetread.headers.magic import name_file_type
from wetread.headers.nested import describe_private, of_rows, private_array
from wetread.headers.pictures import check_burned_in, find_decodable
from wetread.headers.problems import KINDS
from wetread.headers.row_problems import RowProblems, list_of
from wetread.headers.schema import (
    CORE,
    INVALID_TYPE,
    column_of,
    format_tag,
    unpack_vr,
)
from wetread.headers.walks import (
    SYNTAXES,
    Bytes,
    Elements,
    Syntaxes,
    Walked,
    read_syntaxes,
)
from wetread.settings import Settings

Int64s = npt.NDArray[np.int64]
_OTHER_LENGTH = {"PIXELS_SHORT", "PIXELS_LONG", "FRAMES_UNDECLARED"}
_AGE = 0x00101010
_BURNED_IN = 0x00280301
_PIXEL_DATA = 0x7FE00010
_FLOATS = (0x7FE00008, 0x7FE00009)
_REQUIRED = {"SamplesPerPixel", "BitsStored", "PixelRepresentation"}
"""Elements without which pixels cannot be decoded if unreadable; absent ones have a default."""


@dataclass(slots=True)
class Answer:
    """Results of n rows."""

    syntax: Syntaxes
    pixel_offset: Int64s
    pixel_length: Int64s
    without_pixels: npt.NDArray[np.bool_]
    floats: npt.NDArray[np.bool_]
    """Pixels in Float or Double Float Pixel Data."""
    problems: RowProblems = field(default_factory=RowProblems)
    clipped: list[tuple[int, int, bytes]] = field(default_factory=list)
    """Row, tag and first bytes of values that are cut or over a limit."""
    extra: dict[str, pa.Array] = field(default_factory=dict)

    @classmethod
    def of(cls, walked: Walked, arena: Bytes) -> Answer:
        """Results of a walk."""
        rows = walked.rows
        answer = cls(
            read_syntaxes(walked, arena),
            rows[R_PIXEL_OFFSET],
            rows[R_PIXEL_LENGTH],
            rows[R_PIXEL_OFFSET] < 0,
            np.isin(rows[R_PIXEL_TAG], _FLOATS),
        )
        answer.note_walked(walked, arena)
        return answer

    def note_walked(self, walked: Walked, arena: Bytes) -> None:
        """Add the problems found by the walk."""
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
                head = _head(walked, arena, row)
                text = name_file_type(head) or f"{text}; starts with {head[:16].hex(' ')}"
            self.problems.find(row, code, text, tag, offset)
        for row, syntax in walked.inferred.items():
            self.problems.find(row, "TSUID_INFERRED", f"encapsulated, taken as {syntax}")
        for i in np.flatnonzero(elements.bits & F_CLIPPED > 0).tolist():
            start, length = int(elements.start[i]), min(int(elements.length[i]), MOST_RAW)
            raw = arena[start : start + length].tobytes() if start >= 0 else b""
            if elements.depth[i] == 0:
                self.clipped.append((int(elements.row[i]), int(elements.tag[i]), raw))

    def check_frames(self, arrays: dict[str, tuple[pa.Field, pa.Array]], walked: Walked) -> None:
        """Find more encapsulated frames than stated; if many are stated, decoding finds them."""
        found = walked.rows[R_FRAMES]
        _, stated = arrays.get("NumberOfFrames", (None, pa.nulls(len(found), pa.int64())))
        frames = np.maximum(1, filled(stated, 1))
        for row in np.flatnonzero((found > frames) & (frames <= FEW)).tolist():
            text = f"{counted(found[row], 'frame', 'are')} there"
            text = f"{text}, the header announces {frames[row]}"
            offset = int(self.pixel_offset[row])
            self.problems.find(row, "FRAMES_UNDECLARED", text, _PIXEL_DATA, offset)

    def fill_from_groups(self, walked: Walked, arena: Bytes, settings: Settings) -> Elements:
        """Elements of the walk, with values of functional groups as elements of the top level."""
        filled = fill_columns(walked.elements, arena, walked.rows.shape[1], settings)
        self.extra["from_functional_groups"] = filled.names
        for row, offset, names in filled.varying:
            text = f"frames differ in {', '.join(names)}"
            self.problems.find(row, "FRAMES_VARY", text, PER_FRAME_GROUPS, offset)
        return filled.elements

    def convert_nested(self, walked: Walked, arena: Bytes, private: bool, sequences: bool) -> None:
        """The columns `private` and `sequences`, of rows that were walked whole."""
        described, models = [], []
        for elements, encoding in of_rows(walked):
            if private:
                from wetread.headers.dataset import build_dataset

                top = (elements.depth == 0) | ((elements.depth == 1) & (elements.start >= 0))
                own = elements.take(np.flatnonzero(top))  # without the content of sequences
                described.append(describe_private(build_dataset(own, arena, encoding)))
            if sequences:
                models.append(write_sequences(elements, arena, big=bool(encoding & 2)))
        if private:
            self.extra["private"] = private_array(described)
        if sequences:
            self.extra["sequences"] = array(models, pa.string())


def _head(walked: Walked, arena: Bytes, row: int) -> bytes:
    """First bytes of a file that is not DICOM."""
    start, size = int(walked.rows[R_HEAD, row]), int(walked.rows[R_SIZE, row])
    return arena[start : start + min(size, NAMED)].tobytes()


def assemble(
    answer: Answer,
    sources: pa.RecordBatch | pa.Table,
    built: Built,
    walked: Walked,
    settings: Settings,
) -> pa.Table:
    """Assemble the table of a block: columns of wetread, the core, the others by tag."""
    rows = sources.num_rows
    arrays = {name: array for name, (_, array) in built.arrays.items()}
    problems = answer.problems
    for row, (code, text) in walked.problems.items():
        problems.find(row, code, text)
    unreadable = np.zeros(rows, np.bool_)
    unreadable[[row for row, keyword, _ in built.invalid if keyword in _REQUIRED]] = True
    _check_pixels(answer, arrays, walked, unreadable)
    for found, text in check_ages(arrays):
        problems.find_all(found, "AGE_SUSPECT", text, _AGE)
    identity = identify(sources)
    unnamed = np.flatnonzero(filled(identity["path_bytes"].is_valid(), False)).tolist()
    problems.find_all(unnamed, "BAD_PATH", "the name is not UTF-8")
    problems.extend(built.problems)
    for row, tag, raw in answer.clipped:
        built.invalid.append((row, column_of(tag).name, raw))
    arrays.update(identity)
    arrays.update(_own_columns(answer, sources, walked))
    arrays["problems"] = problems.column(rows, settings.row_problems)
    arrays["invalid"] = _invalid_column(built)
    arrays["read_status"] = problems.statuses(rows)
    arrays.update(answer.extra)
    return _in_order(arrays, built, answer)


def _invalid_column(built: Built) -> pa.ListArray:
    """The column `invalid`, by keyword in each row."""
    entries = sorted(built.invalid, key=itemgetter(0, 1))
    rows, keywords, raw = zip(*entries, strict=True) if entries else ((), (), ())
    fields = [array(keywords, pa.string()), array(raw, pa.binary())]
    return list_of(np.array(rows, np.int64), fields, built.rows, INVALID_TYPE)


def _in_order(arrays: dict[str, pa.Array], built: Built, answer: Answer) -> pa.Table:
    """Table with the core first, then the other elements by tag, then columns on request."""
    fields = {field.name: field for field in CORE}
    fields |= {n: field for n, (field, _) in built.arrays.items() if n not in fields}
    fields |= {n: pa.field(n, answer.extra[n].type) for n in sorted(answer.extra.keys() - fields)}
    columns = [
        arrays[name] if name in arrays else pa.nulls(built.rows, field.type)
        for name, field in fields.items()
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields.values()))


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
            for name, read in (
                ("file_size", walked.rows[R_SIZE]),
                ("mtime_ns", walked.rows[R_MTIME]),
            )
        },
        "etag": sources.column("etag"),
        "transfer_syntax": answer.syntax.texts(),
        "pixel_offset": array(answer.pixel_offset, pa.int64(), answer.pixel_offset < 0),
        "pixel_length": array(answer.pixel_length, pa.int64(), answer.without_pixels),
        "header_hash": array(walked.rows[R_HASH].copy(), pa.int64(), unread),
    }


def _column(
    sources: pa.RecordBatch | pa.Table, name: str, read: Int64s, unread: npt.NDArray[np.bool_]
) -> pa.Array:
    """Value of the listing of the source, else the value read."""
    return pc.coalesce(whole_array(sources.column(name)), array(read, pa.int64(), unread))


def _check_pixels(
    answer: Answer,
    arrays: dict[str, pa.Array],
    walked: Walked,
    unreadable: npt.NDArray[np.bool_],
) -> None:
    rows = len(unreadable)
    native = answer.syntax.where(lambda uid: not is_encapsulated(uid)).astype(np.int64)
    native[~answer.syntax.where(bool)] = -1
    deflated = answer.syntax.where(lambda uid: encoding_of(uid).deflated)
    size = np.where(deflated, np.int64(1) << 62, walked.rows[R_SIZE])
    stated = Stated.of(arrays, rows)
    found = check_extent(stated, size, answer.pixel_offset, answer.pixel_length, native)
    have = np.minimum(answer.pixel_length, size - answer.pixel_offset)
    cut = (native == 1) & (answer.pixel_length >= 0) & ~deflated & is_cut(stated, have)
    known, stopped = answer.problems.known(), answer.problems.stopped()
    for row, code, text in found:
        if (row, code) not in known and not (code == "PIXELS_ABSENT" and row in stopped):
            offset = int(answer.pixel_offset[row])
            other_length = native[row] == 1 and code in _OTHER_LENGTH and not deflated[row]
            if other_length and walked.rows[R_ENCODED, row]:
                code, text = "TSUID_WRONG", "encoded pixels under an uncompressed syntax"
                cut[row] = False
            answer.problems.find(row, code, text, _PIXEL_DATA, offset)
    answer.pixel_offset = np.where(deflated, -1, answer.pixel_offset)
    pixels = ~answer.without_pixels
    for risky, text in check_burned_in(arrays, pixels):
        answer.problems.find_all(risky, "BURNED_IN_RISK", text, _BURNED_IN)
    open_ended = pixels & (answer.pixel_length < 0)
    arrays["decodable"] = find_decodable(
        stated, answer.syntax, pixels, answer.floats, cut | unreadable, open_ended
    )

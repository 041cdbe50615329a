"""From sources to rows: read the bytes, walk them, build the columns, one row a source."""

from __future__ import annotations

import os
import struct
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.common.arrays import filled
from wetread.errors import DecodeError, WetreadError
from wetread.headers.blocks import (
    Arena,
    Bytes,
    Heads,
    Int64s,
    Peeker,
    describe_error,
    read_heads,
    read_windows,
)
from wetread.headers.columns import build_columns
from wetread.headers.empties import list_empties
from wetread.headers.encodings import KNOWN_SYNTAXES, encoding_of
from wetread.headers.endian import swap_values
from wetread.headers.failures import describe_exception, failed_row
from wetread.headers.gather import gather, gather_strings
from wetread.headers.pages import FileReader
from wetread.headers.peeks import peek_member, peek_object, read_object_windows
from wetread.headers.registry import Registry
from wetread.headers.rows import Answer, assemble
from wetread.headers.schema import CORE, format_tag, pack_vr, unify
from wetread.headers.single import walk_file
from wetread.headers.walk import DONE, NEXT, ODD, Elements, Rows, has_vr, is_bulk, walk
from wetread.headers.walked import Element, Walked
from wetread.settings import Settings
from wetread.sources.archives import ArchiveError
from wetread.sources.buckets import Bucket, is_url, open_bucket
from wetread.sources.find import open_source

_DICM = struct.unpack("<I", b"DICM")[0]
_META_LENGTH, _TRANSFER_SYNTAX = 0x00020000, 0x00020010
Bools = npt.NDArray[np.bool_]


class _Workspace(threading.local):
    """Buffers reused from block to block, so that their memory is touched once."""

    def __init__(self) -> None:
        self.arena = Arena()
        self.registry = Registry()


_workspace = _Workspace()


def read_headers(
    root: str,
    sources: pa.RecordBatch | pa.Table,
    *,
    private: bool = False,
    sequences: bool = False,
    empties: bool = False,
    settings: Settings = Settings(),
) -> pa.Table:
    """Read the headers of sources (`sources.find.SOURCE_SCHEMA`): one row each, in their order.

    What the bytes hold never raises: it becomes `read_status`, `problems` and `invalid`.
    The schema is `headers.schema.CORE`, then the other elements by tag; with `empties` a column
    `empties` lists the columns whose element is there without a value.

    >>> from wetread.sources.find import SOURCE_SCHEMA
    >>> read_headers("/", SOURCE_SCHEMA.empty_table()).num_rows
    0
    """
    size = settings.block_files
    tables = [
        _read_safely(root, sources.slice(i, size), private, sequences, empties, settings)
        for i in range(0, sources.num_rows, size)
    ]
    if not tables:
        return pa.Table.from_batches([], CORE)
    if len(tables) == 1:
        return tables[0]
    return _join(tables)


@dataclass(slots=True)
class _Block:
    """n sources on their way."""

    root: str
    paths: list[bytes]
    members: list[bytes]
    names: list[bytes]
    arena: Arena
    registry: Registry
    heads: Heads
    rows: Rows
    answer: Answer
    whole: bool
    settings: Settings
    bucket: Bucket | None = None
    parts: list[Elements] = field(default_factory=list)
    meta_end: Int64s = field(default_factory=lambda: np.empty(0, np.int64))
    """End of the File Meta group in each file."""


def _read_safely(
    root: str,
    sources: pa.RecordBatch | pa.Table,
    private: bool,
    sequences: bool,
    empties: bool,
    settings: Settings,
) -> pa.Table:
    """A block, where an exception costs the row that causes it and no other."""
    try:
        return _read_block(root, sources, private, sequences, empties, settings)
    except Exception as error:  # the last resort: a scan ends for no file
        if isinstance(error, WetreadError) and not isinstance(error, DecodeError):
            raise  # it concerns the root, not a row
        if sources.num_rows == 1:
            return failed_row(sources, "crashed", describe_exception(error))
    half = sources.num_rows // 2
    parts = [
        _read_safely(root, part, private, sequences, empties, settings)
        for part in (sources.slice(0, half), sources.slice(half))
    ]
    return _join(parts)


def _join(tables: list[pa.Table]) -> pa.Table:
    schema = unify(table.schema for table in tables)
    return pa.concat_tables(tables, promote_options="default").select(schema.names)


def _read_block(
    root: str,
    sources: pa.RecordBatch | pa.Table,
    private: bool,
    sequences: bool,
    empties: bool,
    settings: Settings,
) -> pa.Table:
    block = _open_block(root, sources, private or sequences, settings)
    _walk_meta(block)
    _walk_data(block)
    odd = _walk_odd(block)
    elements = Elements.join(block.parts)
    block.parts.clear()
    _note_lockstep(block, elements, odd)
    if private or sequences:
        implicit = block.rows.implicit
        block.answer.convert_nested(block.arena.bytes, elements, implicit, private, sequences)
    elements = _take_public(elements)
    if block.rows.big.any():
        big = block.rows.big & ~odd
        swap_values(block.arena.bytes, elements.take(big[elements.row] & (elements.start >= 0)))
    arena, rows = block.arena.bytes, len(block.names)
    built = build_columns(arena, elements, rows, block.registry)
    block.answer.check_frames(
        partial(_open_row, block), built.arrays, block.heads, block.arena.bytes
    )
    if empties:
        block.answer.extra["empties"] = list_empties(arena, elements, rows, block.registry)
    return assemble(block.answer, sources, built, block.heads, block.arena.bytes)


def _open_row(block: _Block, row: int) -> BinaryIO:
    return open_source(block.root, block.paths[row], block.members[row], block.settings)


def _take_public(elements: Elements) -> Elements:
    """Without private elements and group lengths, which are no columns."""
    public = (elements.tag & 0xFFFF != 0) & ((elements.tag & 0x10000) == 0)
    return elements if public.all() else elements.take(np.flatnonzero(public))


def _open_block(
    root: str, sources: pa.RecordBatch | pa.Table, whole: bool, settings: Settings
) -> _Block:
    """Read the first window of every source."""
    workspace = _workspace
    if workspace.registry.full:
        workspace.registry = Registry()
    paths = sources.column("path").to_pylist()
    members = sources.column("member").to_pylist()
    prefix = os.path.join(os.fsencode(root), b"")
    names = [prefix + path for path in paths]
    bucket = open_bucket(root, settings) if is_url(root) else None
    peekers: dict[int, Peeker] = {}
    if bucket is not None:
        sizes = sources.column("file_size").to_pylist()
        peekers = {
            i: partial(peek_object, bucket, path, size, settings)
            for i, (path, size) in enumerate(zip(paths, sizes, strict=True))
        }
    elif any(members):
        peekers = {
            i: partial(peek_member, root, paths[i], member, settings)
            for i, member in enumerate(members)
            if member
        }
    codes = sources.column("problem")
    problems: dict[int, tuple[str, str]] = {}
    if codes.null_count < len(codes):
        problems = {i: (code, "") for i, code in enumerate(codes.to_pylist()) if code}
    window = settings.windows[0]
    pool = None if bucket is None else bucket.pool
    heads = read_heads(names, workspace.arena, window, peekers, problems, settings, pool)
    if bucket is not None:  # of which the listing alone knows it
        heads.mtime_ns[:] = filled(sources.column("mtime_ns"), 0)
    rows = Rows.of(heads.size)
    rows.base[:] = np.arange(len(names)) * window
    rows.limit[:] = rows.base + heads.got
    return _Block(
        root,
        paths,
        members,
        names,
        workspace.arena,
        workspace.registry,
        heads,
        rows,
        Answer.of(len(names)),
        whole,
        settings,
        bucket,
    )


def _walk_meta(block: _Block) -> None:
    """The File Meta group of every file that starts as PS3.10 says, in lockstep."""
    rows, arena = block.rows, block.arena.bytes
    word = np.ndarray((arena.size - 3,), "<u4", arena, strides=(1,))
    rows.state[:] = ODD
    usual = (block.heads.got >= 160) & (word[rows.base + 128] == _DICM)
    usual &= word[rows.base + 132] & 0xFFFF == 2
    which = np.flatnonzero(usual)
    rows.at[which] = 132
    elements = walk(arena, rows, which, meta=True, whole=True, few=block.settings.few_files)
    rows.state[rows.state == NEXT] = ODD
    block.meta_end = rows.at.copy()
    _settle_syntax(block, elements)
    block.parts.append(elements.take(rows.state[elements.row] == DONE))


def _settle_syntax(block: _Block, elements: Elements) -> None:
    """Files in a known syntax that look like it; the others are odd."""
    rows, arena = block.rows, block.arena.bytes
    found = np.flatnonzero(elements.tag == _TRANSFER_SYNTAX)
    texts = gather_strings(arena, elements.start[found], elements.length[found])
    syntaxes = texts.dictionary_encode()
    kinds = [_lockstep_kind(uid, block.whole) for uid in syntaxes.dictionary.to_pylist()]
    kind = np.full(len(rows.size), -1, np.int8)
    if len(found):
        kind[elements.row[found]] = np.array(kinds, np.int8)[filled(syntaxes.indices, 0)]
        block.answer.set_syntaxes(elements.row[found], syntaxes)
    at = rows.base + rows.at
    rows.implicit[:], rows.big[:] = kind == 1, kind == 2
    looks_explicit = has_vr(arena, np.minimum(at, arena.size - 16))
    fits = (kind >= 0) & (at + 8 <= rows.limit) & (looks_explicit != rows.implicit)
    rows.state[(rows.state == DONE) & ~fits] = ODD


def _lockstep_kind(syntax: str, whole: bool) -> int:
    """0 explicit little endian, 1 implicit, 2 big endian, -1 not for the lockstep walk."""
    encoding = encoding_of(syntax)
    if syntax not in KNOWN_SYNTAXES or encoding.deflated or (encoding.big and whole):
        return -1
    return 2 if encoding.big else int(encoding.implicit)


def _walk_data(block: _Block) -> None:
    """The data sets in lockstep: one round in the first window, the long ones in larger ones."""
    rows, settings = block.rows, block.settings
    which = np.flatnonzero(rows.state == DONE)
    few = settings.few_files
    arena = block.arena.bytes
    block.parts.append(walk(arena, rows, which, meta=False, whole=block.whole, few=few))
    for window in settings.windows[1:]:
        batch = max(settings.round_bytes // window, 1)
        long = [i for i in np.flatnonzero(rows.state == NEXT) if not block.members[i]]
        for start in range(0, len(long), batch):
            _walk_round(block, np.array(long[start : start + batch]), window)
    rows.state[rows.state == NEXT] = ODD


def _walk_round(block: _Block, which: Int64s, window: int) -> None:
    """Go on with some rows in a larger window; what is needed of it is kept in the arena."""
    rows = block.rows
    if len(which) < block.settings.few_files:
        rows.state[which] = ODD
        return
    data, got = _read_windows(block, which, window)
    rows.first[which] = rows.at[which]
    rows.base[which] = np.arange(len(which)) * window
    rows.limit[which] = rows.base[which] + got
    few = block.settings.few_files
    elements = walk(data, rows, which, meta=False, whole=block.whole, few=few)
    here = (elements.start >= 0) & ~is_bulk(elements)
    values, bounds = gather(data, elements.start, np.where(here, elements.length, 0))
    start = block.arena.append(values) + bounds[:-1]
    block.parts.append(elements._replace(start=np.where(here, start, -1)))


def _read_windows(block: _Block, which: Int64s, window: int) -> tuple[Bytes, Int64s]:
    positions = block.rows.at[which].tolist()
    if block.bucket is None:
        return read_windows([block.names[i] for i in which], positions, window)
    paths, sizes = [block.paths[i] for i in which], block.heads.size[which].tolist()
    return read_object_windows(block.bucket, paths, positions, sizes, window)


def _walk_odd(block: _Block) -> Bools:
    """Everything the lockstep walk left, file by file; which rows these were."""
    rows = block.rows
    odd: Bools = rows.state == ODD
    if not odd.any():
        return odd
    block.parts = [part.take(~odd[part.row]) for part in block.parts]
    left = [row for row in np.flatnonzero(odd).tolist() if row not in block.heads.problems]
    each = map if block.bucket is None else block.bucket.pool.map
    for row, walked in zip(left, each(partial(_walk_one, block), left), strict=True):
        if walked is not None:
            block.answer.set_walked(row, walked)
            block.parts.append(_keep_elements(block, row, walked.elements))
            rows.pixel_offset[row] = -1 if walked.pixel_offset is None else walked.pixel_offset
            rows.pixel_length[row] = -1 if walked.pixel_length is None else walked.pixel_length
            rows.pixel_tag[row] = walked.pixel_tag
    return odd


def _walk_one(block: _Block, row: int) -> Walked | None:
    """One file through the scalar walk; None where it cannot be read any more."""
    settings = block.settings
    deadline = time.monotonic() + settings.header_seconds
    base = row * settings.windows[0]
    head = block.arena.bytes[base : base + int(block.heads.got[row])].tobytes()
    try:
        size = int(block.heads.size[row])
        source = open_source(block.root, block.paths[row], block.members[row], settings, size)
        with source as stream:
            reader = FileReader(stream, size, settings.header_bytes, deadline, head)
            return walk_file(reader, settings, deadline, whole=block.whole)
    except (OSError, ArchiveError) as error:
        block.heads.problems[row] = describe_error(error)
    return None


def _keep_elements(block: _Block, row: int, found: list[Element]) -> Elements:
    """The scalar walk's elements as flat arrays, their values in the arena."""
    values = [element.value or b"" for element in found]
    start = block.arena.append(np.frombuffer(b"".join(values), np.uint8))
    sizes = np.array([len(value) for value in values], np.int64)
    starts = start + np.cumsum(sizes) - sizes
    starts[[element.value is None for element in found]] = -1
    return Elements(
        np.full(len(found), row, np.int64),
        np.array([element.tag for element in found], np.uint32),
        np.array([pack_vr(e.vr) if e.vr else 0 for e in found], np.uint16),
        starts.astype(np.int64),
        np.array([element.length for element in found], np.int64),
        np.array([element.offset for element in found], np.int64),
    )


def _note_lockstep(block: _Block, elements: Elements, odd: Bools) -> None:
    """Problems of the rows that the lockstep walk read, as the scalar walk has them."""
    rows, answer = block.rows, block.answer
    answer.set_pixels(rows)
    answer.hash_headers(block.heads, block.arena.bytes)
    for row, (tag, at, before) in rows.unordered.items():
        if not odd[row]:
            answer.find(row, "TAG_ORDER", tag, at, f"after {format_tag(before)}")
    usual = ~odd[elements.row]
    for i in np.flatnonzero(usual & (elements.length & 1 == 1) & (elements.vr != pack_vr("SQ"))):
        answer.find(
            int(elements.row[i]),
            "ODD_LENGTH",
            int(elements.tag[i]),
            int(elements.offset[i]),
            f"{elements.length[i]} bytes",
        )
    _check_meta_length(block, elements, usual)
    answer.check_ends(block.root, block.paths, block.members, block.heads, rows, block.settings)


def _check_meta_length(block: _Block, elements: Elements, usual: Bools) -> None:
    """The stated length of the File Meta group against its last element (PS3.10 7.1)."""
    ends = block.meta_end
    lengths = np.flatnonzero(usual & (elements.tag == _META_LENGTH) & (elements.length == 4))
    lengths = lengths[elements.offset[lengths] < ends[elements.row[lengths]]]
    arena = block.arena.bytes
    word = np.ndarray((arena.size - 3,), "<u4", arena, strides=(1,))
    stated = elements.offset[lengths] + 4 + word[elements.start[lengths]]
    row = elements.row[lengths]
    for i in np.flatnonzero(stated != ends[row]):
        text = f"the group ends at {ends[row[i]]}, its length says {stated[i]}"
        answer_offset = int(elements.offset[lengths[i]])
        block.answer.find(int(row[i]), "META_LENGTH", _META_LENGTH, answer_offset, text)

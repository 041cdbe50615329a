"""Log of the strokes of one reader: an append-only file of JSON lines, synced line by line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple, Self

from wetread.boxes.strokes import VERSION, Outcome, Replay, Stroke, check_reader, parse_stroke
from wetread.common.files import storage_errors, sync_folder, take_lock
from wetread.errors import StorageError, UsageError

SUFFIX = ".strokes.jsonl"
_FORMAT = "wetread strokes"


class Line(NamedTuple):
    """A line of a log."""

    number: int
    """From 1; the head of the file is line 1."""
    stroke: Stroke
    facts: Mapping[str, Any]
    """Other values of the line: time, key, file_size and file_hash of the image."""


@dataclass(slots=True)
class _Content:
    """Complete lines of a log."""

    reader: str
    lines: Iterator[Line]


def log_name(reader: str) -> str:
    """File name of the log of a reader; the hash tells apart names that a file system does not.

    >>> log_name("R1"), log_name("r1") == log_name("R1"), log_name("Ann Müller")
    ('R1-63943b94.strokes.jsonl', False, 'Ann-M-ller-d9542357.strokes.jsonl')
    """
    words = re.sub(r"[^A-Za-z0-9]+", "-", reader).strip("-")[:24]
    digest = hashlib.blake2b(reader.encode(), digest_size=4).hexdigest()
    return f"{words}-{digest}{SUFFIX}".lstrip("-")


def image_key(row: Mapping[str, Any]) -> str:
    """Key of an image in the lines of a log: its path, or the id of an archive member."""
    return str(row["id"] if row["member"] else row["path"])


def read_log(path: Path) -> tuple[str, Iterator[Line]]:
    """Reader and lines of a log; a torn last line is left out.

    Raises:
        UsageError: not a log, of a newer version, or a line that is damaged; raised while reading.
    """
    with storage_errors(path):
        data = path.read_bytes()
    content = _parse(path, data[: data.rfind(b"\n") + 1])
    return content.reader, content.lines


def _parse(path: Path, data: bytes) -> _Content:
    head, *lines = data.split(b"\n")[:-1] or [b"{}"]
    try:
        first = json.loads(head)
        if first["format"] != _FORMAT:
            raise ValueError(first["format"])
        version, reader = first["version"], check_reader(first["reader"])
    except (ValueError, KeyError, TypeError, UsageError) as error:
        raise UsageError(f"{path} is not a log of strokes: its first line is another") from error
    if version != VERSION:
        raise UsageError(f"{path} has version {version} of the log: update wetread to read it")
    return _Content(reader, _parse_lines(path, lines))


def _parse_lines(path: Path, lines: list[bytes]) -> Iterator[Line]:
    for number, line in enumerate(lines, 2):
        try:
            values = json.loads(line)
            yield Line(number, parse_stroke(values.pop("stroke")), values)
        except (ValueError, KeyError, AttributeError, UsageError) as error:
            raise UsageError(
                f"{path} line {number} is damaged: {error}; restore the file from a copy, or "
                "remove the line"
            ) from error


class StrokeLog:
    """Open log of one reader, locked: one process writes it at a time.

    Args:
        folder: folder of the logs; created if needed.
        reader: name of the reader.
        sync: writes a file to disk, `os.fsync`; tests count its calls.

    Raises:
        UsageError: invalid name of the reader, or a damaged log.
        StorageError: the folder cannot be written, or another process writes this log.
    """

    def __init__(self, folder: Path, reader: str, sync: Callable[[int], None] = os.fsync) -> None:
        self.reader, self._sync = check_reader(reader), sync
        self.path = folder / log_name(reader)
        self.replay = Replay()
        self._mutex = Lock()
        self._broken = ""
        with contextlib.ExitStack() as opened, storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = opened.enter_context(open(self.path.with_suffix(".lock"), "ab"))
            if not take_lock(lock):
                raise StorageError(
                    f"{self.path}: another viewer writes the boxes of reader {reader!r}; stop it, "
                    "or open its address"
                )
            self._file: BinaryIO = opened.enter_context(open(self.path, "a+b", buffering=0))
            self._end = self._open()
            self._opened = opened.pop_all()

    def _open(self) -> int:
        """Replay the strokes, remove a torn last line, and return the size of the file."""
        data = self.path.read_bytes()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            self._file.truncate(end)
        if not end:
            head = {"format": _FORMAT, "version": VERSION, "reader": self.reader}
            end = self._write(0, _to_line(head))
            sync_folder(self.path.parent)
            return end
        for line in _parse(self.path, data[:end]).lines:
            self.replay.apply(line.stroke)
        return end

    def append(self, stroke: Stroke, facts: Mapping[str, Any]) -> Outcome:
        """Write a stroke to disk, then apply it.

        A stroke that is in the log is not written again. A stroke with a stale base is written, and
        its outcome is CONFLICT.

        Args:
            stroke: the stroke.
            facts: more values of the line: time, key, file_size and file_hash of the image.

        Raises:
            StorageError: the stroke could not be written; it is not in the log.
        """
        with self._mutex:
            if known := self.replay.outcomes.get(stroke.uuid):
                return known
            if self._broken:
                raise StorageError(self._broken)
            self._end = self._write(self._end, _to_line({**facts, "stroke": stroke.to_json()}))
            return self.replay.apply(stroke)

    def _write(self, end: int, line: bytes) -> int:
        """Append a line and flush it to disk; return the new size.

        What was written of a line that failed is removed.
        """
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]
            self._sync(self._file.fileno())
        except OSError as error:
            reason = error.strerror or str(error)
            try:
                self._file.truncate(end)
            except OSError:
                self._broken = f"{self.path} is damaged ({reason}): restart the viewer"
            raise StorageError(f"{self.path} cannot be written: {reason}; not saved") from error
        return end + len(line)

    def close(self) -> None:
        """Release the file and its lock."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _to_line(values: Mapping[str, Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"

"""Contenders of the header benchmark, each in its own process, which may crash.

    python bench/contenders.py NAME LIST    # read the files in LIST once per line on stdin

A contender takes full paths and returns the number of values; it must access every value. Timed
passes begin with the folder: listing the files is part of reading them, except for the floor.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WINDOW = 8192
PIXELS = 0x7FE00000
Reader = Callable[[Sequence[str]], int]


def floor() -> Reader:
    buffer = memoryview(bytearray(WINDOW))

    def read(paths: Sequence[str]) -> int:
        for path in paths:
            file = os.open(path, os.O_RDONLY)
            os.fstat(file)
            os.readv(file, [buffer])
            os.close(file)
        return 0

    return read


def wetread() -> Reader:
    import wetread as wr

    def read(paths: Sequence[str]) -> int:
        return _values(wr.scan(os.path.dirname(paths[0]), workers=0, progress=False).table)

    return read


def _list(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.is_file()]


def _values(table: Any) -> int:
    """Number of values in DICOM columns, from their null counts."""
    columns = zip(table.schema, table.columns, strict=True)
    dicom = [column for field, column in columns if b"tag" in (field.metadata or {})]
    return sum(len(column) - column.null_count for column in dicom)


def pydicom() -> Reader:
    from pydicom import dcmread

    def read(paths: Sequence[str]) -> int:
        values = 0
        for path in paths:
            dataset = dcmread(path, stop_before_pixels=True)
            for part in (dataset.file_meta, dataset):
                found = [part[tag].value for tag in part.keys() if not tag.is_private]  # noqa: SIM118
                values += len(found)
        return values

    return read


def fastdicom() -> Reader:
    from fastdicom import dcmread

    def read(paths: Sequence[str]) -> int:
        values = 0
        for path in paths:
            dataset = dcmread(path, stop_before_pixels=True)
            values += len(dataset.values()) + len(dataset.file_meta.values())
        return values

    return read


def fw_file_rs() -> Reader:
    from fw_file_rs.dcm import parse_header, read_until_pixels

    def read(paths: Sequence[str]) -> int:
        return sum(len(parse_header(read_until_pixels(path))) for path in paths)

    return read


def fw_file_rs_all(paths: Sequence[str]) -> Reader:
    # Only the keywords in the data set: the whole dictionary makes it 10 times slower.
    from fw_file_rs.dcm import Context
    from pydicom import dcmread

    seen = {e.keyword for path in paths[:500] for e in dcmread(path, stop_before_pixels=True)}
    context = Context().include_tags(sorted(seen - {""}))

    def read(paths: Sequence[str]) -> int:
        parse, until_pixels = context.parse_header, context.read_until_pixels
        return sum(len(parse(until_pixels(path))) for path in paths)

    return read


def dicomsdl() -> Reader:
    from dicomsdl import open_file

    def read(paths: Sequence[str]) -> int:
        values = 0
        for path in paths:
            found = [e.value() for e in open_file(path, PIXELS) if not e.tag() & 0x10000]
            values += len(found)
        return values

    return read


CONTENDERS: dict[str, Callable[..., Reader]] = {
    "floor: open, fstat, readv 8 KiB, close": floor,
    "wetread, one process": wetread,
    "fastdicom 0.1.0": fastdicom,
    "fw-file-rs 0.9.1, its own 22 fields": fw_file_rs,
    "fw-file-rs 0.9.1, all fields": fw_file_rs_all,
    "dicomsdl 0.109.4": dicomsdl,
    "pydicom": pydicom,
}
FLOOR, WETREAD, PYDICOM = (list(CONTENDERS)[i] for i in (0, 1, -1))
PEERS = list(CONTENDERS)[2:-1]


def make(name: str, paths: Sequence[str]) -> Reader:
    maker = CONTENDERS[name]
    return maker(paths) if maker is fw_file_rs_all else maker()


class Contender:
    """Contender in its own process, imported and warm."""

    def __init__(self, name: str, paths: Path) -> None:
        self.name = name
        self.seconds: list[float] = []
        self.values = 0
        self.error = ""
        self._process = subprocess.Popen(
            [sys.executable, __file__, name, paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._receive()

    def run(self) -> None:
        """One pass over the files."""
        if self.error:
            return
        assert self._process.stdin
        print("go", file=self._process.stdin, flush=True)
        if response := self._receive():
            self.seconds.append(response["seconds"])
            self.values = response["values"]

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout
        response: dict[str, Any] = json.loads(self._process.stdout.readline() or "{}")
        if not response:
            self.error = f"the process ended: {self._process.wait()}"
        self.error = response.get("error", self.error)
        return response

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def readable(paths: Sequence[str]) -> set[str]:
    """Select the paths that every installed peer reads; each peer runs in its own process."""
    good = set(paths)
    for name in PEERS:
        left = list(paths)
        while left:
            run = subprocess.run(
                [sys.executable, __file__, name, "-"],
                input="\n".join(left),
                capture_output=True,
                text=True,
                check=False,
            )
            response = [json.loads(line) for line in run.stdout.splitlines()]
            if response and isinstance(response[0], dict):  # not installed
                break
            good -= {path for path, ok in zip(left, response, strict=False) if not ok}
            good -= set(left[len(response) : len(response) + 1])  # the file that crashed it
            left = left[len(response) + 1 :]
    return good


def _try_each(read: Reader) -> None:
    for line in sys.stdin.read().splitlines():
        try:
            read([line])
            ok = True
        except BaseException as error:  # noqa: BLE001  (a panic in Rust is no Exception)
            ok = isinstance(error, KeyboardInterrupt)
        print(json.dumps(ok), flush=True)


def main(name: str, listed: str) -> None:
    warnings.simplefilter("ignore")
    logging.disable()
    paths = [] if listed == "-" else Path(listed).read_text().splitlines()
    try:
        read = make(name, paths)
    except ImportError as error:
        print(json.dumps({"error": f"not installed: {error.name}"}), flush=True)
        return
    if listed == "-":
        _try_each(read)
        return
    read(paths[:500])
    print(json.dumps({"ready": True}), flush=True)
    folder, lists = os.path.dirname(paths[0]), name not in (FLOOR, WETREAD)
    for _ in sys.stdin:
        begun = time.perf_counter()
        values = read(_list(folder) if lists else paths)
        seconds = time.perf_counter() - begun
        print(json.dumps({"seconds": seconds, "values": values}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Decoders that crash, hang or exhaust memory, for tests of batch decoding."""

from __future__ import annotations

import os
import signal
import time
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa

from wetread.workers.messages import Function


class Panic(BaseException):
    """Like a panic of a decoder written in Rust: not an Exception."""


def _misbehave(word: str) -> Any:
    def decoder(*args: object) -> object:
        if word == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif word == "hang":
            time.sleep(60)
        elif word == "panic":
            raise Panic("index out of bounds")
        return np.ones(1 << 32, np.uint8)  # greedy: 4 GiB

    return decoder


def measure_badly(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """`measure.columns.measure_part`; files named crash, hang, panic or greedy misbehave.

    >>> Panic("index out of bounds")
    Panic('index out of bounds')
    """
    from wetread.measure.columns import measure_part

    return _badly(measure_part, images, options)


def prepare_badly(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """`cache.prepare.prepare_part`, with such files."""
    from wetread.cache.prepare import prepare_part

    return _badly(prepare_part, images, options)


def draw_badly(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """`reports.thumbnails.draw_part`, with such files."""
    from wetread.reports.thumbnails import draw_part

    return _badly(draw_part, images, options)


def answer_badly(task: pa.Table, options: dict[str, Any]) -> pa.Table:
    """As `viewer.worker.run_task`, but a file named crash, hang, panic or greedy is one."""
    from wetread.viewer.worker import run_task

    return _badly(run_task, task, options)


def _badly(function: Function, images: pa.Table, options: dict[str, Any]) -> pa.Table:
    from wetread.pixels import codecs

    word = os.path.basename(images["path"][0].as_py()).partition(".")[0]
    if word not in ("crash", "hang", "panic", "greedy"):
        return function(images, options)
    with patch.object(codecs, "unpack", _misbehave(word)):
        return function(images, options)

"""Answers that are kept, each made once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Kept:
    """The last `most` answers by key, for several threads: who asks meanwhile waits for the first.

    >>> kept = Kept(2)
    >>> kept.get("a", lambda: 1), kept.get("a", lambda: 2)
    (1, 1)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The answer, made if it is not kept; what `make` raises is not kept."""
        with self._lock:
            answer = self._answers.get(key)
            mine = answer is None
            if answer is None:
                answer = self._answers[key] = Future()
            self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        if mine:
            try:
                answer.set_result(make())
            except BaseException as error:  # noqa: BLE001 - raised below, by all who wait
                with self._lock:
                    self._answers.pop(key, None)
                answer.set_exception(error)
        made: T = answer.result()
        return made

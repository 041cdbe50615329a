"""Memoization shared by threads."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition
from typing import Any, ParamSpec, TypeVar

from cachetools import LRUCache, cached

P = ParamSpec("P")
T = TypeVar("T")


def memoize(function: Callable[P, T], size: int = 1) -> Callable[P, T]:
    """Memoize a function in an LRU cache; threads with equal arguments wait for one computation.

    Exceptions are not cached.

    >>> from itertools import count
    >>> number = memoize(lambda _, numbers=count(): next(numbers), 2)
    >>> [number("a"), number("b"), number("a")]
    [0, 1, 0]
    """
    return cached(LRUCache[Any, T](size), condition=Condition())(function)

"""Where torch and fastai come into play: they are imported when needed, and may be absent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from wetread.errors import MissingExtraError, install_line

Array = NDArray[Any]


class Absent:
    """What stands for a name that needs fastai, where fastai is not installed.

    It can be imported; to call it, to ask it for anything or to derive from it is a
    MissingExtraError.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        """Raises MissingExtraError."""
        raise MissingExtraError(self._name, "fastai")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # inspect, doctest and copy ask for these
            raise AttributeError(name)
        raise MissingExtraError(self._name, "fastai")

    def __mro_entries__(self, bases: tuple[object, ...]) -> NoReturn:
        raise MissingExtraError(self._name, "fastai")

    def __repr__(self) -> str:
        return f"<{self._name} needs: {install_line('fastai')}>"


@contextmanager
def needs_extra(what: str) -> Iterator[None]:
    """Turns a module that is not installed into a MissingExtraError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(what, "fastai") from error


def to_tensor(values: Array) -> Any:
    """An array as a tensor that has the methods of `wetread.fastai.tensors`.

    Raises MissingExtraError where torch is not installed.
    """
    with needs_extra("a tensor"):
        import torch

        import wetread.fastai.tensors  # noqa: F401 - gives tensors their methods
    return torch.from_numpy(np.ascontiguousarray(values))


def in_kind(x: Any, compute: Callable[[Array], Array]) -> Any:
    """What `compute` makes of an array, as the kind that `x` is: array or tensor."""
    if not hasattr(x, "detach"):
        return compute(np.asarray(x))
    from wetread.fastai.tensors import like, to_array

    return like(x, compute(to_array(x)))

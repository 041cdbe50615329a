"""Optional dependencies: torch and fastai are imported on first use and may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from wetread.errors import MissingExtraError, install_line


class Absent:
    """Placeholder for a class that needs fastai, if fastai is not installed.

    It can be imported. Calling it, subclassing it or reading an attribute raises
    MissingExtraError.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise MissingExtraError."""
        raise MissingExtraError(self._name, "fastai")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # looked up by inspect, doctest and copy
            raise AttributeError(name)
        raise MissingExtraError(self._name, "fastai")

    def __mro_entries__(self, bases: tuple[object, ...]) -> NoReturn:
        raise MissingExtraError(self._name, "fastai")

    def __repr__(self) -> str:
        return f"<{self._name} needs: {install_line('fastai')}>"


@contextmanager
def needs_extra(name: str) -> Iterator[None]:
    """Convert ModuleNotFoundError to MissingExtraError; `name` is the feature in use."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(name, "fastai") from error

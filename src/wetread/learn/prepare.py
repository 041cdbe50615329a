"""The images of an index, decoded once into a cache. (interface; bodies follow)"""

from __future__ import annotations

import os

from wetread.learn.cache import Cache
from wetread.settings import Settings
from wetread.table.store import Indexed


def prepare(
    index: Indexed,
    to: str | os.PathLike[str] | None = None,
    size: int = 1024,
    workers: int | None = None,
    progress: bool = True,
    settings: Settings = Settings(),  # noqa: B008
) -> Cache:
    """A cache of every frame of every image; without `to` it lives as long as the Cache."""
    raise NotImplementedError

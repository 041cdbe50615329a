"""Debian's Chromium without a window, as tests, benchmarks and the pictures of docs drive it."""

from __future__ import annotations

import shutil
from typing import Any

_ARGS = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def launch(playwright: Any) -> Any:
    """A browser of playwright's sync API. Raises FileNotFoundError where there is no chromium."""
    path = shutil.which("chromium")
    if path is None:
        raise FileNotFoundError("no chromium: apt-get install chromium")
    return playwright.chromium.launch(executable_path=path, args=list(_ARGS))


__all__ = ["launch"]

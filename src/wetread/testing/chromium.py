"""Headless Chromium (Debian's) for tests, benchmarks and screenshots of the docs."""

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
    """Launch with playwright's sync API; FileNotFoundError if Chromium is not installed."""
    path = shutil.which("chromium")
    if path is None:
        raise FileNotFoundError("no chromium: apt-get install chromium")
    return playwright.chromium.launch(executable_path=path, args=list(_ARGS))


__all__ = ["launch"]

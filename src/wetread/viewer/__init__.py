"""The viewer: a data set in the browser, served by the current process."""

from __future__ import annotations

from wetread.viewer.handle import Handle, serve, view

__all__ = ["Handle", "serve", "view"]

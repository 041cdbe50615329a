"""The embedded sample: phantom chest radiographs with the boxes of simulated readers."""

from __future__ import annotations

from wetread.sample.write import write_sample

__all__ = ["write_sample"]

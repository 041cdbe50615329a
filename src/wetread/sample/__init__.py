"""Sample data: synthetic chest radiographs (phantoms) with bounding boxes of simulated readers."""

from __future__ import annotations

from wetread.sample.write import write_sample

__all__ = ["write_sample"]

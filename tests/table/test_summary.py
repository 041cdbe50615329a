from __future__ import annotations

import json
from pathlib import Path

from wetread.index import scan


def test_summary(small_folder: Path) -> None:
    summary = scan(small_folder, progress=False).summary()
    assert summary["files"] == summary["read"] == 6
    assert summary["bytes"] == sum(path.stat().st_size for path in small_folder.iterdir())
    assert summary["read_status"] == {"ok": 4, "not_dicom": 1, "partial": 1}
    assert summary["modality"]["MR"] == 2
    assert summary["transfer_syntax"]["1.2.840.10008.1.2.1"] == 3
    assert json.loads(json.dumps(summary)) == summary
    shown = str(summary)
    assert "6 files" in shown
    assert "3  Explicit VR Little Endian" in shown
    assert "1  TRUNCATED" in shown

from __future__ import annotations

import shutil
from pathlib import Path

from wetread.index import scan


def test_problems_across_files(small_folder: Path) -> None:
    shutil.copy(small_folder / "CT_small.dcm", small_folder / "copy.dcm")
    longer = (small_folder / "rtplan.dcm").read_bytes() + b"\0\0"
    (small_folder / "plan.dcm").write_bytes(longer)
    index = scan(small_folder, progress=False)
    same = index.problems("POSSIBLE_DUPLICATE")
    assert same["path"].to_list() == ["CT_small.dcm", "copy.dcm"]
    assert set(same["text"]) == {"2 files have this header and size; the first is CT_small.dcm"}
    clash = index.problems("UID_CLASH")
    # MR_truncated is MR_small, cut
    assert clash["path"].to_list() == [
        "MR_small.dcm", "MR_truncated.dcm", "plan.dcm", "rtplan.dcm",
    ]  # fmt: skip
    assert index.summary()["problems"]["UID_CLASH"] == 4
    alone = index.where("path <> 'copy.dcm'")
    assert alone.problems("POSSIBLE_DUPLICATE").empty


def test_files_that_are_not_dicom_are_no_duplicates(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("the same")
    assert scan(tmp_path, progress=False).problems()["code"].to_list() == ["NOT_DICOM"] * 2

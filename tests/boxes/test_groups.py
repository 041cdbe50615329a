from __future__ import annotations

import pyarrow as pa
import pytest

from wetread.boxes.groups import Grouping, group_images


def group(*images: tuple[str | None, str | None], by: str | None = None) -> Grouping:
    """Group images given as (PatientID, StudyInstanceUID)."""
    patients, studies = zip(*images, strict=True)
    ids = [f"id{n}" for n in range(len(images))]
    columns = {"id": ids, "PatientID": patients, "StudyInstanceUID": studies}
    return group_images(
        pa.table({name: pa.array(c, pa.string()) for name, c in columns.items()}), by
    )


def test_group_by_patient() -> None:
    found = group(("A", "1"), ("A ", "2"), ("B", "3"))
    assert found == Grouping(["A", "A", "B"], "PatientID", "every image has one", True)


@pytest.mark.parametrize(
    ("patient", "why"), [(None, "absent or blank"), (" ", "absent or blank"), ("X", "the same")]
)
def test_patient_absent_or_constant(patient: str | None, why: str) -> None:
    found = group((patient, "1"), (patient, "1"), (patient, "2"))
    assert (found.names, found.by) == (["1", "1", "2"], "StudyInstanceUID")
    assert why in found.why
    assert "may be in several parts" in found.why
    assert not found.certain


def test_neither_patient_nor_study() -> None:
    found = group(("X", None), ("X", None))
    assert (found.names, found.by, found.certain) == (["id0", "id1"], "image", False)
    assert found.why.startswith("PatientID is the same everywhere; StudyInstanceUID is absent")


def test_one_image_is_one_group() -> None:
    assert group(("A", "1")).names == ["A"]
    assert group((None, None)).names == ["id0"]


def test_images_without_patient_use_the_study() -> None:
    found = group(("B", "1"), (None, "1"), (None, "2"), (None, "2"), (None, None), ("A", "3"))
    assert found.names == ["B", "B", "2", "2", "id4", "A"]
    assert found.why.startswith("4 of 6 images without PatientID")
    assert not found.certain


def test_group_by_another_column() -> None:
    assert group(("A", "1"), ("A", "2"), by="StudyInstanceUID").names == ["1", "2"]
    found = group(("A", "1"), ("A", None), by="StudyInstanceUID")
    assert found.names == ["1", "id1"]
    assert not found.certain

"""Implausible ages: unknown, impossible, or in contradiction to the dates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array, filled

OLDEST = 120.0
"""Years; the oldest person whose age was verified lived 122."""
APART = 2.0
"""Years between an age and the dates, above which they contradict each other: an age is rounded
down, and de-identified birth dates are often moved to 1 January."""
_YEAR = 365.25
_ZERO_YEARS = r"^0{1,3}Y$"


def check_ages(columns: dict[str, pa.Array]) -> Iterator[tuple[list[int], str]]:
    """Rows with a suspect Patient's Age, and the reason; their years in `columns` become null.

    `000Y` is no age: below one year it is given in days, weeks or months (PS3.5 6.2, AS), and in
    public data sets it stands for an unknown one. It and ages above OLDEST become null in
    `patient_age_years`. An age that contradicts Patient's Birth Date and Study Date stays, as the
    dates may be the wrong ones. `PatientAge` itself stays as the file has it.
    """
    years, texts = columns.get("patient_age_years"), columns.get("PatientAge")
    if years is None or texts is None or years.null_count == len(years):
        return
    age = filled(years, np.nan)
    zero = filled(pc.match_substring_regex(pc.utf8_trim_whitespace(texts), _ZERO_YEARS), False)
    old = age > OLDEST
    known = ~np.isnan(age) & ~zero & ~old
    off = known & (np.abs(_years_between(columns, len(age)) - age) > APART)
    columns["patient_age_years"] = array(age, years.type, ~known)
    for rows, text in (
        (zero, "zero years stand for an unknown age"),
        (old, f"more than {OLDEST:.0f} years"),
        (off, f"more than {APART:.0f} years off Patient's Birth Date and Study Date"),
    ):
        yield np.flatnonzero(rows).tolist(), text


def _years_between(columns: dict[str, pa.Array], rows: int) -> npt.NDArray[np.float64]:
    """Age by the dates, in years; NaN where one of them is absent."""
    born, study = columns.get("PatientBirthDate"), columns.get("StudyDate")
    if born is None or study is None:
        return np.full(rows, np.nan)
    days = pc.subtract(study.cast(pa.int32()), born.cast(pa.int32()))
    between: npt.NDArray[np.float64] = filled(days.cast(pa.float64()), np.nan) / _YEAR
    return between

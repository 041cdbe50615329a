"""The data dictionary is that of pydicom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import DicomDictionary, RepeatersDictionary, mask_match

from wetread.headers.dictionary import DICTIONARY, REPEATERS, UIDS, find_mask

near = st.sampled_from([int(mask.replace("x", "0"), 16) for mask in REPEATERS])


def test_tables_equal_those_of_pydicom() -> None:
    assert DicomDictionary == DICTIONARY
    assert RepeatersDictionary == REPEATERS
    assert UID_dictionary == UIDS


@given(st.one_of(st.integers(0, 2**32 - 1), st.tuples(near, st.integers(0, 2**24)).map(sum)))
def test_masks_equal_those_of_pydicom(tag: int) -> None:
    assert find_mask(tag) == mask_match(tag)

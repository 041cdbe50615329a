"""Problems found by the walk: a code of `wetread.errors`, and a text with two numbers."""

from __future__ import annotations

KINDS: dict[str, tuple[str, str]] = {
    # the file as a whole
    "EMPTY": ("EMPTY_FILE", "0 bytes"),
    "NOT_DICOM": ("NOT_DICOM", "neither DICM at 128 nor a data set"),
    "PROGRAM": ("EXECUTABLE_PREAMBLE", "{bytes}"),
    "BUDGET": ("HEADER_BUDGET", "stopped at the limit of {a} bytes"),
    "INFLATED_BUDGET": ("BOMB", "stopped at the limit of {a} bytes"),
    "ELEMENTS": ("ELEMENT_LIMIT", "stopped at the limit of {a} elements"),
    "PROBLEMS": ("PROBLEM_LIMIT", "more than {a} problems; the others are left out"),
    # File Meta and encoding (PS3.10 7.1, PS3.5 annex A)
    "DICM_AT_0": ("NO_PREAMBLE", "DICM at 0"),
    "META_WITHOUT_DICM": ("NO_PREAMBLE", "File Meta group at {a}, no DICM before it"),
    "DATA_SET_AT_0": ("NO_PREAMBLE", "a data set starts at 0"),
    "DATA_SET_AT": ("NO_META", "a data set starts at {a}"),
    "NO_META": ("NO_META", "no File Meta group after DICM"),
    "META_LENGTH": ("META_LENGTH", "the group ends at {a}, its length says {b}"),
    "UNKNOWN_SYNTAX": ("TSUID_UNKNOWN", "not a transfer syntax of the standard"),
    "UNKNOWN_READ_AS": ("TSUID_UNKNOWN", "the bytes read as {syntax}"),
    "INFERRED": ("TSUID_INFERRED", "the bytes read as {syntax}"),
    "READ_AS": ("TSUID_WRONG", "the bytes read as {syntax}"),
    "DAMAGED": ("DEFLATE_DAMAGED", "the deflated stream ends early or is damaged"),
    "NOT_DEFLATED": ("TSUID_WRONG", "not deflated"),
    "NO_VR": ("TSUID_WRONG", "an element without a value representation"),
    # elements of the top level (PS3.5 7.1)
    "NO_DATA_SET": ("TRUNCATED", "no data set after the File Meta group"),
    "CUT_HEAD": ("TRUNCATED", "have {a} bytes of an element's head, need {b}"),
    "CUT_VALUE": ("TRUNCATED", "have {a} of {b} bytes of {tag}"),
    "CLIPPED": ("LENGTH_CLIPPED", "length {b} clipped to {a}"),
    "ODD_LENGTH": ("ODD_LENGTH", "{a} bytes"),
    "ORDER": ("TAG_ORDER", "after {other}"),
    "BAD_VR": ("BAD_VR", "no value representation of the standard"),
    "ZEROS": ("RESYNC", "zero bytes where an element should be"),
    "NO_ELEMENT": ("RESYNC", "bytes that are no element; not read further"),
    "STRAY": ("DELIMITER", "an item or delimiter outside a sequence"),
    "LONG_VALUE": ("VALUE_LIMIT", "{a} bytes, more than {b}"),
    "MANY_VALUES": ("VALUE_LIMIT", "{a} values, more than {b}"),
    "FULL_BYTES": ("VALUE_LIMIT", "more than {a} bytes of values; the others are left out"),
    "FULL_ELEMENTS": ("ELEMENT_LIMIT", "more than {a} elements; the others are left out"),
    # sequences (PS3.5 7.5)
    "UN_SEQUENCE": ("UN_SEQUENCE", "a sequence in UN of undefined length"),
    "NO_ITEMS": ("DELIMITER", "UN of undefined length that holds no items"),
    "UNDEFINED": ("DELIMITER", "{vr} of undefined length"),
    "NO_ITEM_END": ("DELIMITER", "an item without its delimiter"),
    "NO_SEQUENCE_END": ("DELIMITER", "a sequence without its delimiter"),
    "ODD_DELIMITER": ("DELIMITER", "a delimiter out of place"),
    "END_INSIDE": ("DELIMITER", "the file ends inside a sequence"),
    "NO_END": ("TRUNCATED", "have no delimiter of a sequence, need one"),
    "CUT_SEQUENCE": ("TRUNCATED", "have {a} of {b} bytes of a sequence"),
    "CLIPPED_INSIDE": ("LENGTH_CLIPPED", "a length in a sequence reaches beyond the file"),
    "BAD_VR_INSIDE": ("BAD_VR", "inside a sequence"),
    "DEEP": ("TOO_DEEP", "more than {a} sequences in one another"),
    "INSIDE": ("DELIMITER", "a length in a sequence that does not fit into its item"),
    # pixels (PS3.5 A.4)
    "CUT_PIXELS": ("TRUNCATED", "have {a} of {b} bytes of pixels"),
    "CUT_FRAGMENTS": ("TRUNCATED", "have {a} of at least {b} bytes of fragments"),
    "NO_FRAGMENTS_END": ("TRUNCATED", "have {a} bytes, need a sequence delimiter at {b}"),
    "NO_FRAGMENT": ("TRUNCATED", "have {a} bytes of fragments, need an item at {b}"),
}
"""Name in the walk -> code and text; in the text, `a` and `b` are numbers."""

NUMBER: dict[str, int] = {name: i for i, name in enumerate(KINDS)}
CODES: list[str] = sorted({code for code, _ in KINDS.values()})
CODE_NUMBERS = bytes(CODES.index(code) for code, _ in KINDS.values())
"""Code by number of the kind; a row has each code at most once per element."""

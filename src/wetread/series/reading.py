"""Files of an index and their series, as arrays of numbers and codes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import filled, whole_array
from wetread.headers.values import bytes_of
from wetread.series.slices import Bools, Floats, Ints, Slices
from wetread.table.rows import IndexRows, encoded_columns, fetch_rows
from wetread.table.summary import WITH_HEADER

VOLUMETRIC = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.128",
)
"""CT, MR and PET Image Storage: Image Position (Patient) is required (type 1)."""
_MASKS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentations: their frames are no slices of their series."""
FUNCTIONAL = (
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.4.3",
    "1.2.840.10008.5.1.4.1.1.4.4",
    "1.2.840.10008.5.1.4.1.1.30",
    "1.2.840.10008.5.1.4.1.1.128.1",
    "1.2.840.10008.5.1.4.1.1.130",
    "1.2.840.10008.5.1.4.1.1.13.1.1",
    "1.2.840.10008.5.1.4.1.1.13.1.2",
    "1.2.840.10008.5.1.4.1.1.13.1.3",
)
"""SOP classes of CT, MR, PET, X-ray 3D and parametric maps with functional groups."""
IDENTITY = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
SHARED = (
    "Modality", "SOPClassUID", "SeriesNumber", "SeriesDescription", "StudyDate", "Manufacturer",
    "ManufacturerModelName", "BodyPartExamined", "ProtocolName", "PatientPosition",
    "FrameOfReferenceUID", "SliceThickness", "ImageType",
)  # fmt: skip
"""Columns that the series table has for what all files of a series share."""
_GUESS = ("PatientID", "StudyInstanceUID", "Modality", "SeriesNumber", "SeriesDescription")
"""Columns that identify a series without Series Instance UID, together with the folder."""
_FACTOR = 0x9E3779B97F4A7C15
"""Odd factor of a polynomial hash modulo 2^64, by which lists are compared."""
_THREADS = 4
"""Threads that encode columns; Arrow releases Python's lock."""
_GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_MATRIX = ("Rows", "Columns", "SamplesPerPixel")
_OTHERS = ("read_status", "pixel_length", "NumberOfFrames", "SeriesType", "mosaic_tiles")
_UID = "SOPInstanceUID"


@dataclass(frozen=True)
class Images:
    """Files with a header, n rows, and their series."""

    row: Ints
    """Row number in the index, (n,)."""
    series: Ints
    """Number of the series of each file, in the order of their first files, (n,)."""
    first: Ints
    """First file of each series, (series,)."""
    ids: list[str]
    """Column `series_id`."""
    identities: list[tuple[str, ...]]
    """Patient ID, Study and Series Instance UID of each series; "" for absent ones."""
    clashing: Bools
    """True for series whose Series Instance UID occurs with other patients or studies."""
    unnamed: Bools
    """True for series without a Series Instance UID."""
    columns: dict[str, pa.Array]
    """Columns of the index, (n,); texts are dictionary-encoded."""
    codes: dict[str, Ints]
    """Code of each value of texts and lists, equal for equal values; -1 for null, (n,)."""
    instance: Ints
    """Number of the SOP Instance UID of each file; one of its own without a UID, (n,)."""

    def is_class(self, classes: Sequence[str]) -> Bools:
        """True for files of some SOP classes."""
        return is_any(self.columns["SOPClassUID"], classes)

    def has_item(self, name: str, value: str, position: int | None = None) -> Bools:
        """True for files with a text in a list, anywhere or at one position."""
        codes = self.codes[name]
        lists = self.columns[name].take(pa.array(_first_of_each(codes))).to_pylist()
        parts = slice(None) if position is None else slice(position, position + 1)
        found = [value in one[parts] for one in lists]
        return np.array([*found, False], bool)[codes]

    def is_multiframe(self) -> Bools:
        """True for files with several frames or with functional groups."""
        return (filled(self.columns["NumberOfFrames"], 0) > 1) | self.is_class(FUNCTIONAL)

    def is_image(self) -> Bools:
        """True for images; other files, masks among them, have no slices."""
        return _are_images(self.columns)


def read_images(index: IndexRows) -> Images:
    """Read the files with a header, and number their series.

    A series is one Series Instance UID of one patient and study; absent Patient IDs and Study
    Instance UIDs are ignored if the others agree. Without a Series Instance UID, it is one folder
    with equal patient, study, modality, series number and description.
    """
    names = dict.fromkeys((*IDENTITY, *SHARED, *_GEOMETRY, *_MATRIX, *_OTHERS))
    table = encoded_columns(index, [*names, _UID])
    coded = (*IDENTITY, *SHARED, "SeriesType")
    with ThreadPoolExecutor(_THREADS) as pool:
        columns = dict(zip(names, pool.map(_encode, map(table.column, names)), strict=True))
        columns[_UID] = whole_array(table.column(_UID))
        named = filled(pc.is_valid(columns["SeriesInstanceUID"]), False)  # a DICOMDIR is not
        read = is_any(columns["read_status"], WITH_HEADER) & (named | _are_images(columns))
        if not read.all():
            columns = {name: column.filter(pa.array(read)) for name, column in columns.items()}
        codes = dict(zip(coded, pool.map(_codes, map(columns.__getitem__, coded)), strict=True))
    rows = np.flatnonzero(read)
    key, guesses = _find_keys(index, rows, columns, codes)
    group = _number(key)
    first = _first_of_each(group)
    identities = list(zip(*(_texts_at(columns[name], first) for name in IDENTITY), strict=True))
    merged = _merge_blank(identities)
    kept, numbers = np.unique(merged, return_inverse=True)
    ids = [_name(identities[g], key[first[g]], guesses) for g in kept.tolist()]
    uids = [identities[g][-1] for g in kept.tolist()]
    times = Counter(uids)
    series = numbers[group].astype(np.int64)
    return Images(
        rows,
        series,
        np.sort(first[np.unique(numbers, return_index=True)[1]]),
        ids,
        [identities[g] for g in kept.tolist()],
        np.array([bool(uid) and times[uid] > 1 for uid in uids], bool),
        np.array([not uid for uid in uids], bool),
        columns,
        codes,
        _instances(columns.pop(_UID)),
    )


def _find_keys(
    index: IndexRows, rows: Ints, columns: dict[str, pa.Array], codes: dict[str, Ints]
) -> tuple[Ints, list[str]]:
    """Key of the series of each file, negative without UID, and the texts of negative keys."""
    key = np.zeros(len(rows), np.int64)
    for name in IDENTITY:
        key = key * (codes[name].max(initial=0) + 2) + codes[name] + 1
    absent = np.flatnonzero(codes["SeriesInstanceUID"] < 0)
    if not len(absent):
        return key, []
    at = pa.array(absent)
    paths = fetch_rows(index, rows[absent], ["path", "member"])
    folders = [pc.replace_substring_regex(paths[n], "[^/]*$", "") for n in ("path", "member")]
    archive = pc.if_else(pc.equal(paths["member"], ""), "", paths["path"])
    known = [pc.cast(columns[name].take(at), pa.string()) for name in _GUESS]
    text = pc.binary_join_element_wise(
        *folders, archive, *known, "\0", null_handling="replace", null_replacement=""
    )
    encoded = _encode(text)
    key[absent] = -1 - filled(encoded.indices, 0)
    return key, encoded.dictionary.to_pylist()


def _name(identity: tuple[str, ...], key: int, guesses: list[str]) -> str:
    """Id of a series, 16 hex digits, the same for every scan of the same files."""
    text = guesses[-1 - key] if key < 0 else "\0".join(identity)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _merge_blank(identities: list[tuple[str, ...]]) -> Ints:
    """Representative of each group: groups of one UID that differ in blanks only are one."""
    merged = np.arange(len(identities))
    members = defaultdict(list)
    for group, identity in enumerate(identities):
        members[identity[-1]].append(group)
    members.pop("", None)
    for groups in members.values():
        known = [{identities[g][i] for g in groups} - {""} for i in (0, 1)]
        if len(groups) > 1 and all(len(values) <= 1 for values in known):
            merged[groups] = max(groups, key=lambda g: sum(map(bool, identities[g])))
    return merged


def _encode(column: pa.ChunkedArray) -> pa.Array:
    """One array; texts dictionary-encoded."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.unify_dictionaries().combine_chunks()
    if pa.types.is_string(kind):
        column = column.dictionary_encode()
    return whole_array(column)


def _codes(column: pa.Array) -> Ints:
    """Integers that are equal for equal values; -1 for null, for an empty text and NaN."""
    if pa.types.is_list(column.type):
        return _list_codes(column)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes = filled(column.indices, -1).astype(np.int64)
    if pa.types.is_string(column.type.value_type):
        empty = column.dictionary.index("").as_py()
        codes[codes == empty] = -1
    return codes


def _list_codes(column: pa.Array) -> Ints:
    """Codes of lists of texts; -1 for null and empty lists."""
    lengths = filled(pc.list_value_length(column), 0).astype(np.int64)
    values = _codes(column.flatten()) + 2
    starts = np.cumsum(lengths) - lengths
    powers = np.cumprod(np.full(lengths.max(initial=0), _FACTOR, np.uint64))
    power = powers[np.arange(len(values)) - np.repeat(starts, lengths)]
    sums = np.zeros(len(lengths), np.uint64)
    some = lengths > 0
    if some.any():
        sums[some] = np.add.reduceat(values.astype(np.uint64) * power, starts[some])
    codes = pa.array(sums, mask=~some).dictionary_encode()
    return filled(codes.indices, -1).astype(np.int64)


def _number(keys: Ints) -> Ints:
    """Number of each key, in the order of first appearance.

    >>> _number(np.array([7, 3, 7])).tolist()
    [0, 1, 0]
    """
    return filled(pa.array(keys).dictionary_encode().indices, 0).astype(np.int64)


def _first_of_each(numbers: Ints) -> Ints:
    """First position of each number, of numbers in the order of first appearance."""
    before = np.maximum.accumulate(np.r_[-1, numbers])[:-1]
    return np.flatnonzero(numbers > before)


def _texts_at(column: pa.Array, rows: Ints) -> list[str]:
    return [value or "" for value in column.take(pa.array(rows)).to_pylist()]


def _are_images(columns: dict[str, pa.Array]) -> Bools:
    matrix = [filled(columns[name], 0) > 0 for name in _MATRIX[:2]]
    pixels = filled(pc.is_valid(columns["pixel_length"]), False)
    image = pixels | np.logical_and(*matrix) | is_any(columns["SOPClassUID"], VOLUMETRIC)
    return np.asarray(image & ~is_any(columns["SOPClassUID"], _MASKS))


def is_any(column: pa.Array, values: Sequence[str]) -> Bools:
    """True where a text is one of some values."""
    wanted = pc.is_in(column.dictionary, value_set=pa.array(values, pa.string()))
    return filled(wanted.take(column.indices), False)


def vectors(column: pa.Array, size: int) -> Floats:
    """First `size` numbers of each list, (n, size); NaN for absent ones."""
    if not pa.types.is_list(column.type):
        return np.full((len(column), size), np.nan)
    lengths = filled(pc.list_value_length(column), 0).astype(np.int64)
    values = filled(column.flatten(), np.nan)
    if (lengths == size).all():
        return values.reshape(-1, size)
    starts = np.cumsum(lengths) - lengths
    at = starts[:, None] + np.arange(size)
    present = np.arange(size) < lengths[:, None]
    vectors = np.full((len(column), size), np.nan)
    vectors[present] = values[at[present]]
    return vectors


def select_slices(images: Images, chosen: Ints) -> Slices:
    """Some images as slices with the geometry of the data set; see `frames` for multi-frame ones.

    Args:
        images: files of the index.
        chosen: numbers of files, (n,).
    """
    whole = len(chosen) == len(images.row)
    at = pa.array(chosen)
    columns = {
        name: images.columns[name] if whole else images.columns[name].take(at)
        for name in (*_GEOMETRY, *_MATRIX)
    }
    mosaic = images.has_item("ImageType", "MOSAIC")[chosen]
    mosaic |= filled(images.columns["mosaic_tiles"], 0)[chosen] > 1
    return Slices(
        chosen,
        np.zeros(len(chosen), np.int64),
        np.full(len(chosen), -1),
        images.series[chosen],
        vectors(columns["ImagePositionPatient"], 3),
        vectors(columns["ImageOrientationPatient"], 6),
        vectors(columns["PixelSpacing"], 2),
        np.stack([filled(columns[name], -1) for name in _MATRIX], axis=1).astype(np.int64),
        images.instance[chosen],
        images.codes["FrameOfReferenceUID"][chosen],
        images.has_item("ImageType", "LOCALIZER")[chosen],
        mosaic,
        mosaic | images.has_item("SeriesType", "REPROJECTION", 1)[chosen],
        images.is_class(VOLUMETRIC)[chosen],
    )


def _instances(uids: pa.Array) -> Ints:
    """Number of the SOP Instance UID of each file; a number of its own for a file without one.

    Only UIDs with equal ends are compared as a whole: almost all are used once.
    """
    numbers = np.arange(len(uids))
    if not pa.types.is_string(uids.type):
        return numbers
    data, bounds = bytes_of(uids)
    ends = bounds[1:].astype(np.int64)
    words = np.ndarray(max(len(data) - 7, 0), "<u8", data, strides=(1,))
    long = np.diff(bounds) >= 16
    keys = np.zeros(len(uids), np.uint64)
    keys[long] = words[ends[long] - 8] * np.uint64(_FACTOR) + words[ends[long] - 16]
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    some = np.flatnonzero(~long | np.isin(keys, repeated))
    codes = _codes(uids.take(pa.array(some)))
    numbers[some] = np.where(codes < 0, some, len(uids) + codes)
    return numbers

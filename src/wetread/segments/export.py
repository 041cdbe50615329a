"""Write segments as NIfTI: one mask per segment, or label maps and images for nnU-Net."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from wetread.common.exports import replace_export
from wetread.common.files import storage_errors, written
from wetread.common.progress import Progress
from wetread.errors import UnknownNameError, UsageError, WetreadError
from wetread.images.export import write_manifest
from wetread.segments.segment import Segment
from wetread.series.nifti import check_path, save_nifti

Form = Literal["nifti", "nnunet"]
SCHEMA = pa.schema(
    [(n, pa.string()) for n in ("path", "member", "id")]
    + [("number", pa.int64()), ("label", pa.string()), ("series_id", pa.string())]
    + [("file", pa.string()), ("value", pa.int64()), ("status", pa.string()), ("text", pa.string())]
)
"""Columns of the manifest: a segment, its file and its value there, or why it was left out."""
_ENDING = ".nii.gz"


def save_segments(
    segments: Sequence[Segment], folder: Path, form: Form = "nifti", progress: bool = True
) -> pa.Table:
    """Write segments, and a manifest with one row per segment.

    - `"nifti"`: one mask of 0 and 1 per segment, named by series id, file id and number.
    - `"nnunet"`: a data set of nnU-Net v2: `imagesTr/CASE_0000.nii.gz`, `labelsTr/CASE.nii.gz` and
      `dataset.json`; a case is a volume, named by its series id. A label map holds one value per
      voxel: a case with overlapping segments, or with one label from several files, is left out.

    Segments that are not aligned with their images are left out.

    Args:
        segments: the segments.
        folder: output folder; files of an earlier export are replaced.
        form: the layout.
        progress: show a progress bar on stderr.

    Returns:
        The manifest: `status` is "ok", "not_aligned", "overlap" or "error"; `text` says more.

    Raises:
        UnknownNameError: no such form.
        UsageError: no segment is aligned.
        MissingExtraError: nibabel is not installed.
        StorageError: the folder cannot be written.
    """
    if form not in get_args(Form):
        raise UnknownNameError("form", form, get_args(Form))
    check_path(f"a{_ENDING}")
    lines = [_describe(segment) for segment in segments]
    usable = [n for n, segment in enumerate(segments) if lines[n]["status"] == "ok"]
    if not usable:
        raise UsageError(
            "no segment is aligned with a volume: give images=index, and see segments.problems()"
        )
    with replace_export(folder):
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if form == "nifti":
                _write_masks(segments, lines, usable, folder, progress)
            else:
                _write_cases(segments, lines, usable, folder, progress)
        manifest = pa.Table.from_pylist(lines, SCHEMA)
        write_manifest(manifest, folder)
    return manifest


def _describe(segment: Segment) -> dict[str, Any]:
    """Row of the manifest."""
    row = segment.row
    line = {name: row.get(name) for name in SCHEMA.names} | {"status": "ok", "text": None}
    if row["aligned"] is False or segment.volume is None:
        text = ", ".join(row["problems"]) or "on no volume"
        line |= {"status": "not_aligned", "text": text}
    return line


def _write_masks(
    segments: Sequence[Segment],
    lines: list[dict[str, Any]],
    usable: list[int],
    folder: Path,
    progress: bool,
) -> None:
    for n in Progress(progress, len(usable), "segments").track(usable):
        segment, line = segments[n], lines[n]
        assert segment.volume is not None
        name = f"{line['series_id']}_{line['id']}_{line['number']}{_ENDING}"
        try:
            mask = segment.mask.astype(np.uint8)
        except WetreadError as error:
            line |= {"status": "error", "text": str(error)}
            continue
        save_nifti(folder / name, mask, segment.volume.affine, None)
        line |= {"file": name, "value": 1}


def _write_cases(
    segments: Sequence[Segment],
    lines: list[dict[str, Any]],
    usable: list[int],
    folder: Path,
    progress: bool,
) -> None:
    """Write a data set of nnU-Net v2."""
    names = sorted({segments[n].name for n in usable})
    values = {name: value for value, name in enumerate(names, 1)}
    cases: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for n in usable:
        volume = segments[n].volume
        assert volume is not None
        cases[lines[n]["series_id"], volume.slices[0]].append(n)
    (folder / "imagesTr").mkdir(exist_ok=True)
    (folder / "labelsTr").mkdir(exist_ok=True)
    times = Counter(series_id for series_id, _ in cases)
    modalities: set[str] = set()
    count = 0
    for (case, first), numbers in Progress(progress, len(cases), "cases").track(cases.items()):
        if times[case] > 1:  # several volumes of one series
            case = f"{case}-{first.id}"
        try:
            labels = _join(segments, numbers, values)
        except WetreadError as error:
            status = "overlap" if isinstance(error, _OverlapError) else "error"
            for n in numbers:
                lines[n] |= {"status": status, "text": str(error)}
            continue
        volume = segments[numbers[0]].volume
        assert volume is not None
        volume.save(folder / "imagesTr" / f"{case}_0000{_ENDING}")
        save_nifti(folder / "labelsTr" / f"{case}{_ENDING}", labels, volume.affine, None)
        modalities.add(segments[numbers[0]].modality or "image")
        count += 1
        for n in numbers:
            file = f"labelsTr/{case}{_ENDING}"
            lines[n] |= {"file": file, "value": values[segments[n].name]}
    content = {
        "channel_names": {"0": " or ".join(sorted(modalities)) or "image"},
        "labels": {"background": 0, **values},
        "numTraining": count,
        "file_ending": _ENDING,
    }
    with written(folder / "dataset.json") as file_:
        file_.write(json.dumps(content, indent=2, ensure_ascii=False).encode())


class _OverlapError(UsageError):
    """Segments that do not fit into one label map."""


def _join(
    segments: Sequence[Segment], numbers: list[int], values: dict[str, int]
) -> np.ndarray[Any, Any]:
    """Label map of the segments of one volume."""
    files: dict[str, str] = {}
    for n in numbers:
        segment = segments[n]
        row = segment.row
        if (other := files.setdefault(segment.name, row["id"])) != row["id"]:
            text = (
                f"{segment.name!r} of several files: {other} and {row['id']}; choose one with where"
            )
            raise _OverlapError(text)
    volume = segments[numbers[0]].volume
    assert volume is not None
    labels = np.zeros(volume.shape, np.uint8 if len(values) < 256 else np.uint16)
    names = {value: name for name, value in values.items()}
    for n in numbers:
        mask, value = segments[n].mask, values[segments[n].name]
        others = np.unique(labels[mask])
        if clash := [names[o] for o in others.tolist() if o not in (0, value)]:
            raise _OverlapError(f"{segments[n].name!r} overlaps {clash[0]!r}")
        labels[mask] = value
    return labels

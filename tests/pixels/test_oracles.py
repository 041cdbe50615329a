"""Every real file against pydicom, gdcm and dcmtk: bit for bit, or listed here."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from wetread.errors import DecodeError
from wetread.pixels import Frames, open_frames, read_frame

pytestmark = pytest.mark.filterwarnings("ignore")  # what pydicom says of odd headers

LOSSY = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 81, 91)}
DCMTK = {
    "dcmdjpeg": {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 57, 70)},
    "dcmdjpls": {f"1.2.840.10008.1.2.4.{n}" for n in (80, 81)},
    "dcmdrle": {"1.2.840.10008.1.2.5"},
}

CHROMA = "pylibjpeg rounds the colour conversion otherwise, and repeats chroma samples that \
libjpeg (gdcm and dcmtk use it too, and agree bit for bit) interpolates"
WORDS = "gdcm swaps the two bytes of each 16-bit word, which leaves 32-bit values in disorder"
PLANES = "gdcm 3.0.21 mixes the byte planes of colour deeper than 8 bits; pydicom and dcmtk agree"
TAG = "dcmtk and gdcm believe the header's RGB; the stream's JFIF marker says YBR, and it is"
WRAP = "a lossy 1024 in 10 bits stored: pydicom, reading what the others decoded, masks it to 0"
SIGN = "the code-stream is signed, the header is not: others show words, salt and pepper here"

KNOWN: dict[tuple[str, str], tuple[int, str]] = {
    ("pydicom", "SC_rgb_dcmtk_+eb+cy+n1.dcm"): (2, CHROMA),
    ("pydicom", "SC_rgb_dcmtk_+eb+cy+np.dcm"): (2, CHROMA),
    ("pydicom", "SC_rgb_jpeg_lossy_gdcm.dcm"): (2, CHROMA),
    ("pydicom", "examples_ybr_color.dcm"): (3, CHROMA),
    ("pydicom", "color3d_jpeg_baseline.dcm"): (5, CHROMA),
    ("pydicom", "cornerstonejs__dicomParser__IM00001.fragmented_no_bot_jpeg_baseline.50.dcm"): (
        3,
        CHROMA,
    ),
    ("pydicom", "fo-dicom__fo-dicom__GH195.dcm"): (4, CHROMA),
    ("pydicom", "fo-dicom__fo-dicom__JPEGwithIcon.dcm"): (7, CHROMA),
    ("pydicom", "pydicom__pylibjpeg-data__JPEGExtended_3s_1f_u_08_08.dcm"): (3, CHROMA),
    ("dcmtk", "fo-dicom__fo-dicom__GH195.dcm"): (148, TAG),
    ("gdcm", "fo-dicom__fo-dicom__GH195.dcm"): (148, TAG),
    ("pydicom", "pydicom__pylibjpeg-data__TOSHIBA_J2K_SIZ1_PixRep0.dcm"): (2**16, SIGN),
    ("gdcm", "pydicom__pylibjpeg-data__TOSHIBA_J2K_SIZ1_PixRep0.dcm"): (2**16, SIGN),
    ("dcmtk", "robyoung__dicom-test-files__RG3_JPLY"): (1024, WRAP),
    ("gdcm", "robyoung__dicom-test-files__RG3_JPLY"): (1024, WRAP),
    ("gdcm", "rtdose_expb.dcm"): (2**32, WORDS),
    ("gdcm", "rtdose_expb_1frame.dcm"): (2**32, WORDS),
    ("gdcm", "SC_rgb_rle_16bit.dcm"): (2**16, PLANES),
    ("gdcm", "SC_rgb_rle_32bit.dcm"): (2**32, PLANES),
}
"""(oracle, file) -> the largest difference that is known, and why."""


def by_pydicom(path: Path, frames: Frames, work: Path) -> Callable[[int], np.ndarray]:
    from pydicom.pixels import pixel_array

    if frames.form.syntax == "1.2.840.10008.1.2.1.99":
        return lambda _: pydicom.dcmread(path).pixel_array
    return lambda index: pixel_array(path, index=index, raw=False)


def by_gdcm(path: Path, frames: Frames, work: Path) -> Callable[[int], np.ndarray]:
    return plain(["gdcmconv", "--raw", str(path), str(work / "gdcm.dcm")], frames)


def by_dcmtk(path: Path, frames: Frames, work: Path) -> Callable[[int], np.ndarray]:
    tool = next((t for t, syntaxes in DCMTK.items() if frames.form.syntax in syntaxes), None)
    if tool is None:
        raise LookupError
    return plain([tool, str(path), str(work / "dcmtk.dcm")], frames)


def plain(command: list[str], frames: Frames) -> Callable[[int], np.ndarray]:
    """Frames of the uncompressed file that a command writes, read by pydicom."""
    from pydicom.pixels import pixel_array

    written = Path(command[-1])
    written.unlink(missing_ok=True)
    run = subprocess.run(command, capture_output=True, timeout=60)
    if run.returncode or not written.exists():
        raise LookupError
    return lambda index: pixel_array(written, index=index, raw=False)


ORACLES = {"pydicom": by_pydicom, "gdcm": by_gdcm, "dcmtk": by_dcmtk}


def readable(paths: list[Path]) -> Iterator[tuple[Path, Frames]]:
    for path in paths:
        try:
            frames = open_frames(path)
        except DecodeError:
            continue
        with frames:
            yield path, frames


def difference(frames: Frames, oracle: Callable[[int], np.ndarray]) -> int | None:
    """Largest difference over first and last frame; None if either cannot decode."""
    worst = 0
    for index in sorted({0, len(frames) - 1}):
        try:
            ours = read_frame(frames, index).values
            theirs = oracle(index)
        except Exception:  # noqa: BLE001 - oracles raise anything
            return None
        if ours.shape != theirs.shape:
            return None if ours.ndim != theirs.ndim else 10**6
        worst = max(worst, int(np.abs(ours.astype(float) - theirs.astype(float)).max()))
    return worst


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "label",
    [
        "pydicom",
        pytest.param("gdcm", marks=pytest.mark.apt("libgdcm-tools", "gdcmconv")),
        pytest.param("dcmtk", marks=[pytest.mark.apt("dcmtk", tool) for tool in DCMTK]),
    ],
)
def test_every_file_equals_the_result_of_other_decoders(
    label: str, real_files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table: dict[tuple[str, ...], list[int]] = defaultdict(list)
    wrong = []
    for path, frames in readable(real_files):
        form = frames.form
        name = UID(form.syntax).name if form.syntax else "none (implicit)"
        row = table[
            form.syntax[-6:], name[:38], form.photometric, f"{form.stored}/{form.allocated}"
        ]
        try:
            found = difference(frames, ORACLES[label](path, frames, tmp_path))
        except (LookupError, subprocess.TimeoutExpired):
            continue
        if found is None:
            continue
        row.append(found)
        allowed = KNOWN.get((label, path.name), (int(form.syntax in LOSSY), ""))[0]
        if found > allowed:
            wrong.append((path.name, form.syntax, form.photometric, found))
    with capsys.disabled():
        print_table(label, table)
    assert not wrong, "\n".join(map(str, wrong))


def print_table(label: str, table: dict[tuple[str, ...], list[int]]) -> None:
    print("\n\ntransfer syntax x photometric x bits: equal / compared (largest difference)")
    total: list[int] = []
    for key, found in sorted(table.items()):
        total += found
        worst = f" ({max(found)})" if any(found) else ""
        cell = f"{found.count(0)} / {len(found)}{worst}" if found else "-"
        print(f"{key[0]:6} {key[1]:38} {key[2]:15} {key[3]:>6} {cell:>15}")
    print(f"{label}: {len(total)} files compared, {total.count(0)} equal bit for bit")

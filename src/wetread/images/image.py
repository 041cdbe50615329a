"""Image of one row of an index: header, pixels and display."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wetread.errors import (
    PROBLEMS,
    AccessError,
    DecodeError,
    NoPixelsError,
    NotFoundError,
    UsageError,
    WetreadError,
    suggest,
)
from wetread.settings import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pydicom import Dataset

    from wetread.display.plot import BoxLike, Outline
    from wetread.display.render import Picture, WindowLike
    from wetread.display.spacing import Spacing
    from wetread.pixels import Frame, Frames

_WITH_HEADER = ("ok", "repaired", "partial")


class Drawable(Protocol):
    """Boxes of many images, as `wetread.read_boxes` returns them."""

    def on(self, image: Image, frame: int = 0) -> Iterable[BoxLike]:
        """Return the boxes on one frame of an image."""


class Segmented(Protocol):
    """Segments of many images, as `wetread.read_segments` returns them."""

    def on(self, image: Image, frame: int = 0) -> Iterable[Outline]:
        """Return the outlines on one frame of an image."""


class Image:
    """Image of a file or archive member. Header and pixels are read on first use.

    Frames are numbered from 0. In all methods `short=True` accepts a truncated uncompressed frame
    and fills the rest with zeros. Missing or damaged pixels raise DecodeError, also an OSError if
    the file cannot be read now; an unknown frame or window raises UsageError. Messages name the
    file.
    """

    def __init__(
        self,
        root: str,
        row: dict[str, Any],
        settings: Settings = Settings(),
    ) -> None:
        self.root = root
        """Root folder of the index; `path` is relative to it."""
        self.row = row
        """Row of the index, by column."""
        self._settings = settings

    @property
    def id(self) -> str:
        """Identifier of the row: 16 hex digits, stable across scans and machines."""
        return str(self.row["id"])

    @property
    def path(self) -> str:
        """Path relative to `root`."""
        return str(self.row["path"])

    @property
    def name(self) -> str:
        """Path, followed by the archive member if any."""
        return f"{self.path} {self.row['member'] or ''}".strip()

    @cached_property
    def header(self) -> Dataset:
        """Header as a pydicom data set, without pixel data.

        Raises:
            DecodeError: the file has no readable header; the message gives the reason.
            NotFoundError: the file no longer exists.
        """
        from wetread.headers.dataset import read_dataset

        if self.row["read_status"] not in _WITH_HEADER:
            raise DecodeError(f"{self.name} has no header ({self._problems()})")
        with self._named():
            try:
                return read_dataset(*self._source)
            except (OSError, WetreadError):
                raise
            except Exception as error:  # pydicom raises many kinds
                raise DecodeError(f"no header: {type(error).__name__}: {error}") from error

    @property
    def frames(self) -> int:
        """Number of frames: as stated in the header, or as present if there are more."""
        with self.open_frames() as frames:
            return len(frames)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame: (rows, columns), or (rows, columns, 3) for colour."""
        with self.open_frames() as frames:
            return frames.form.shape

    @property
    def spacing(self) -> Spacing | None:
        """Pixel spacing in mm and the element it was read from; None if unknown."""
        from wetread.display.spacing import read_spacing

        with self._named():
            return read_spacing(self.header)

    @property
    def aspect(self) -> float:
        """Pixel height divided by width; 1 if unknown."""
        from wetread.display.spacing import read_aspect

        with self._named():
            return read_aspect(self.header)

    def __getattr__(self, name: str) -> Any:
        """Value of an element of the header by keyword: `image.PatientID`."""
        if not name[:1].isupper():
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        try:
            return getattr(self.header, name)
        except AttributeError:
            near = suggest(name, self.header.dir())
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise AttributeError(f"{self.name} has no element {name}{hint}") from None

    @property
    def pixel_array(self) -> NDArray[Any]:
        """Stored values of the first frame, as `pixels()` returns them."""
        return self.pixels()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Display pixels of the first frame, as `display()` returns them."""
        return np.asarray(self.display(), dtype)

    @contextmanager
    def open_frames(self) -> Iterator[Frames]:
        """Open the encoded frames as a context manager.

        `len(frames)` is their number; `frames.read(0)` returns the bytes of the first one:
        uncompressed values, or a code-stream.
        """
        from wetread.pixels.access import integer
        from wetread.pixels.form import describe
        from wetread.pixels.frames import open_frames
        from wetread.sources.find import open_source

        header = self.header
        with self._named():
            if self.row["pixel_length"] is None:
                rows, columns = integer(header, "Rows"), integer(header, "Columns")
                if self.row["read_status"] != "partial" and not (rows and columns):
                    raise NoPixelsError(f"no pixels: {describe(header)}")
                lacking = f"; the header states {columns} x {rows}" if rows and columns else ""
                damage = f"; {self._problems()}" if self.row["read_status"] == "partial" else ""
                raise DecodeError(f"no pixels: {describe(header)}{lacking}{damage}")
            syntax = self.row["transfer_syntax"]
            header = header if syntax is None else _with_syntax(header, syntax)
            with (
                open_source(*self._source) as file,
                open_frames(file, header, self.row["pixel_offset"], self._settings) as frames,
            ):
                if syntax is None and frames.is_native:  # the byte order is not guessed
                    raise DecodeError("refused: the bytes contradict the transfer syntax stated")
                yield frames

    def pixels(self, frame: int = 0, *, short: bool = False) -> NDArray[Any]:
        """Return stored values, shape (rows, columns), or (rows, columns, 3) for RGB.

        Palette images give indices. Integers are masked to Bits Stored and sign-extended if
        signed; float pixel data stay float.
        """
        with self.open_frames() as frames:
            return self._decode(frames, frame, short).values

    def values(self, frame: int = 0, *, short: bool = False) -> NDArray[np.float32]:
        """Return modality values as float32, in HU for most CT; shape as `pixels`.

        Raises:
            DecodeError: slope, intercept or Modality LUT are present but unreadable.
        """
        from wetread.display.pipeline import read_pipeline

        with self.open_frames() as frames:
            stored = self._decode(frames, frame, short).values
            if stored.ndim == 3:
                return stored.astype(np.float32)
            return read_pipeline(frames.header, frame).to_modality(stored).astype(np.float32)

    def padding(self, frame: int = 0, *, short: bool = False) -> NDArray[np.bool_]:
        """Return the boolean mask of padding (Pixel Padding Value), shape (rows, columns)."""
        from wetread.display.pipeline import read_pipeline

        with self.open_frames() as frames:
            stored = self._decode(frames, frame, short).values
            if stored.ndim == 3:
                return np.zeros(stored.shape[:2], bool)
            return read_pipeline(frames.header, frame).is_padding(stored)

    def display(
        self,
        window: WindowLike = None,
        size: int | None = None,
        frame: int = 0,
        *,
        short: bool = False,
    ) -> NDArray[np.uint8]:
        """Return the image for display: uint8 (height, width), or sRGB (height, width, 3).

        Args:
            window: None for the first VOI LUT or window of the file, else "auto"; "auto" for a
                window computed from the pixels; "1", "2" ... for the n-th of the file; "full";
                (center, width); or, for CT in HU, "brain", "subdural", "stroke", "lung",
                "mediastinum", "soft", "bone", "liver" or "spine".
            size: maximum longest side in pixels, never enlarged. Lower resolutions in the file
                are used.
            frame: frame number, from 0.
            short: accept a truncated frame.

        Raises:
            UsageError: the window is unknown or does not apply, such as "lung" without HU.
        """
        return self.render(window, size, frame, short=short).pixels

    def render(
        self,
        window: WindowLike = None,
        size: int | None = None,
        frame: int = 0,
        *,
        short: bool = False,
    ) -> Picture:
        """Return `display` with the window, processing steps and problems; see `Picture`."""
        from wetread.display.render import render_frame

        with self.open_frames() as frames:
            return render_frame(frames, frame, window, size, short=short, settings=self._settings)

    def show(
        self,
        window: WindowLike = None,
        boxes: Iterable[BoxLike] | Drawable | None = None,
        ax: Axes | None = None,
        frame: int = 0,
        *,
        size: int | None = None,
        short: bool = False,
        segments: Segmented | None = None,
        opacity: float = 0.3,
    ) -> Axes:
        """Plot the image with matplotlib at its physical aspect ratio.

        Args:
            window: as in `display`.
            boxes: boxes from `wetread.read_boxes`, one colour per reader; or tuples (x0, y0, x1,
                y1), optionally with label and reader, in stored pixels from the top left corner.
            ax: Axes to draw on (default: a new pyplot figure).
            frame: frame number, from 0.
            size: as in `display`; Axes coordinates remain stored pixels.
            short: accept a truncated frame.
            segments: masks from `wetread.read_segments`; those that are not aligned are left out.
            opacity: of their area, 0 to 1.

        Returns:
            The Axes.
        """
        from wetread.display.plot import draw_outline, name_outlines, show

        picture = self.render(window, size, frame, short=short)
        rows, columns = self.shape[:2]
        title = f"{os.path.basename(self.name)}\n{self._caption(picture, frame)}"
        drawn = () if boxes is None else boxes.on(self, frame) if hasattr(boxes, "on") else boxes
        if boxes is not None and not (drawn := list(drawn)):
            title += ", no boxes"
        ax = show(picture.pixels, (rows, columns), self.aspect, title, drawn, ax)
        outlines = [] if segments is None else list(segments.on(self, frame))
        for outline in outlines:
            draw_outline(ax, outline.mask, outline.colour, (rows, columns), opacity)
        name_outlines(ax, [(outline.label, outline.colour) for outline in outlines])
        return ax

    def _caption(self, picture: Picture, frame: int) -> str:
        """Caption with modality, size, spacing, frame and window."""
        rows, columns = self.shape[:2]
        parts = [self.row.get("Modality") or "", f"{columns} x {rows}"]
        if spacing := self.spacing:
            parts.append(f"{spacing.column:.3g} x {spacing.row:.3g} mm")
        if (count := self.frames) > 1:
            parts.append(f"frame {frame} of {count}")
        if picture.view is not None:
            parts.append(f"window {picture.view.label}")
        return ", ".join(filter(None, parts))

    def __repr__(self) -> str:
        modality, rows, columns = (self.row.get(k) for k in ("Modality", "Rows", "Columns"))
        kind = f"{modality or ''} {columns} x {rows}" if rows else self.row["read_status"]
        return f"<Image {self.name}: {kind.strip()}>"

    def _repr_html_(self) -> str:
        from wetread.common.html import PICTURE, picture_html

        facts = {k: self.row.get(k) for k in ("transfer_syntax", "PhotometricInterpretation")}
        try:
            picture = self.render(size=PICTURE)
            caption = self._caption(picture, 0)
            shown: NDArray[np.uint8] | str = picture.pixels
            aspect = self.aspect
            facts["steps"] = ", ".join(picture.steps)
        except Exception as error:  # noqa: BLE001 - any error is shown in the notebook
            caption, shown, aspect = str(self.row.get("Modality") or ""), str(error), 1.0
        facts["problems"] = ", ".join(f["code"] for f in self.row["problems"] or ())
        return picture_html(shown, aspect, self.name, caption, facts)

    @property
    def _source(self) -> tuple[str, bytes, bytes, Settings, int | None, str | None]:
        """Arguments of `open_source`."""
        from wetread.sources.find import path_and_member

        path, member = path_and_member(self.row)
        size, etag = self.row.get("file_size"), self.row.get("etag")
        return self.root, path, member, self._settings, size, etag

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Add the file name to errors; silence warnings of pydicom, which are problems already."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except FileNotFoundError as error:
            raise NotFoundError(f"{self.name}: the file no longer exists") from error
        except (DecodeError, UsageError) as error:
            if not str(error).startswith(self.name):
                error.args = (f"{self.name}: {error}",)
            raise
        except OSError as error:
            raise AccessError(f"{self.name}: {error}") from error

    def _decode(self, frames: Frames, frame: int, short: bool) -> Frame:
        from wetread.pixels import read_frame

        return read_frame(frames, frame, short=short, settings=self._settings)

    def _problems(self) -> str:
        """Status and problems of the row, as text."""
        problems = self.row["problems"] or []
        texts = [f"{p['code']}: {p['text'] or PROBLEMS[p['code']].meaning}" for p in problems]
        return "; ".join([self.row["read_status"], *texts])


def _with_syntax(header: Dataset, syntax: str) -> Dataset:
    """Return the header with the transfer syntax detected by the scan."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    from wetread.pixels.form import transfer_syntax

    if transfer_syntax(header) == syntax:
        return header
    corrected = Dataset(header)
    corrected.file_meta = FileMetaDataset()
    corrected.file_meta.TransferSyntaxUID = UID(syntax)
    return corrected

"""One row of an index, opened: its header, its pixels, what a radiologist sees."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

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

    from wetread.display.plot import BoxLike, Drawable
    from wetread.display.render import Picture, WindowLike
    from wetread.display.spacing import Spacing
    from wetread.pixels import Frame, Frames

_WITH_HEADER = ("ok", "repaired", "partial")


class Image:
    """One file or member of an archive; nothing but its row is read before it is asked for.

    Frames count from 0. In every method `short=True` takes what there is of an uncompressed frame
    that is cut, and zeros for the rest. A file without pixels, or with damaged ones, is
    a DecodeError, and an OSError too where it cannot be read now; a frame or window that does not
    exist is a UsageError; both name the file.
    """

    def __init__(
        self,
        root: str,
        row: dict[str, Any],
        settings: Settings = Settings(),
    ) -> None:
        self.root = root
        """The folder that `path` is relative to."""
        self.row = row
        """The row of the index, by column."""
        self._settings = settings

    @property
    def id(self) -> str:
        """The key of the row: 16 hex digits, stable over scans and machines."""
        return str(self.row["id"])

    @property
    def path(self) -> str:
        """The path below `root`."""
        return str(self.row["path"])

    @property
    def name(self) -> str:
        """The path, and the member of an archive."""
        return f"{self.path} {self.row['member'] or ''}".strip()

    @cached_property
    def header(self) -> Dataset:
        """The file's elements without its pixels, as pydicom has them.

        Raises:
            DecodeError: the file has no header that can be read; the message says why.
            NotFoundError: the file is not there any more.
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
        """How many frames it has: those announced, or those present where there are more."""
        with self.open_frames() as frames:
            return len(frames)

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns) of a frame, or (rows, columns, 3)."""
        with self.open_frames() as frames:
            return frames.form.shape

    @property
    def spacing(self) -> Spacing | None:
        """Millimetres between pixels, and the element that says so; None where none does."""
        from wetread.display.spacing import read_spacing

        with self._named():
            return read_spacing(self.header)

    @property
    def aspect(self) -> float:
        """Height over width of a pixel; 1 where nothing says otherwise."""
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
        """The frames as they lie in the file, open while the block lasts.

        `len(frames)` of them; `frames.read(0)` gives the bytes of one: values, or a code-stream.
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
                lacking = f", where {columns} x {rows} are announced" if rows and columns else ""
                damage = f"; {self._problems()}" if self.row["read_status"] == "partial" else ""
                raise DecodeError(f"no pixels: {describe(header)}{lacking}{damage}")
            syntax = self.row["transfer_syntax"]
            header = header if syntax is None else _with_syntax(header, syntax)
            with (
                open_source(*self._source) as file,
                open_frames(file, header, self.row["pixel_offset"], self._settings) as frames,
            ):
                if syntax is None and frames.is_native:  # never swapped by a guess
                    stated = "refused: the bytes are not in the transfer syntax that is stated"
                    raise DecodeError(stated)
                yield frames

    def pixels(self, frame: int = 0, *, short: bool = False) -> NDArray[Any]:
        """Stored values: (rows, columns), or RGB as (rows, columns, 3); of a palette the indices.

        Masked to the bits that are stored, sign-extended where signed, in an integer type of that
        size, or as float where the file holds float.
        """
        with self.open_frames() as frames:
            return self._decode(frames, frame, short=short).values

    def values(self, frame: int = 0, *, short: bool = False) -> NDArray[np.float32]:
        """Values after the Modality LUT as float32, in HU for most CT; shape as `pixels`.

        A DecodeError where slope, intercept or LUT are there and cannot be read.
        """
        from wetread.display.pipeline import read_chain

        with self.open_frames() as frames:
            stored = self._decode(frames, frame, short=short).values
            if stored.ndim == 3:
                return stored.astype(np.float32)
            return read_chain(frames.header, frame).to_modality(stored).astype(np.float32)

    def padding(self, frame: int = 0, *, short: bool = False) -> NDArray[np.bool_]:
        """Where the pixels stand for no image (Pixel Padding Value): bool (rows, columns)."""
        from wetread.display.pipeline import read_chain

        with self.open_frames() as frames:
            stored = self._decode(frames, frame, short=short).values
            if stored.ndim == 3:
                return np.zeros(stored.shape[:2], bool)
            return read_chain(frames.header, frame).is_padding(stored)

    def display(
        self,
        window: WindowLike = None,
        size: int | None = None,
        frame: int = 0,
        *,
        short: bool = False,
    ) -> NDArray[np.uint8]:
        """What a radiologist sees: uint8 (h, w), or sRGB (h, w, 3), in stored pixels.

        Args:
            window: None is the file's first window or VOI LUT, or "auto" where it has none;
                "auto" a window made of the pixels; "1", "2" the file's n-th; "full"; (center,
                width); or one for CT in HU: brain, subdural, stroke, lung, mediastinum, soft,
                bone, liver, spine.
            size: the longest side, never enlarged; the file's own lower resolutions are used.
            frame: which frame.
            short: take a frame that is cut.

        Raises:
            UsageError: a window that does not exist or does not fit, as "lung" without HU.
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
        """As `display`, with what was done: `pixels`, `view`, `steps`, and `notes` (problems)."""
        from dataclasses import replace

        from wetread.display.pipeline import read_chain
        from wetread.display.render import SAMPLE, fit_frame, render

        with self.open_frames() as frames:
            chain = read_chain(frames.header, frame)
            sample = None
            if window == "auto" or (window is None and not chain.views):
                # Always from the same level: a thumbnail and the full picture have one window.
                sample = self._decode(frames, frame, SAMPLE, short)
            if sample and (sample.scale == 1 or (size is not None and size <= SAMPLE)):
                decoded = sample
            else:
                decoded = self._decode(frames, frame, size, short)
            picture = render(decoded, chain, window, None if sample is None else sample.values)
            if size is None:
                return picture
            pixels = fit_frame(picture.pixels, decoded, frames.form.shape, size)
            return replace(picture, pixels=pixels)

    def show(
        self,
        window: WindowLike = None,
        boxes: Iterable[BoxLike] | Drawable | None = None,
        ax: Axes | None = None,
        frame: int = 0,
        *,
        size: int | None = None,
        short: bool = False,
    ) -> Axes:
        """Draws the image with matplotlib, true to its proportions, and returns the Axes.

        Args:
            window: as in `display`.
            boxes: what `wetread.read_boxes` gave, drawn a colour a reader; or (x0, y0, x1, y1),
                followed by a label and a reader, if any, in stored pixels from the top left
                corner of the image; so are the coordinates of the Axes.
            ax: where to draw; by default a new figure of pyplot.
            frame: which frame.
            size: as in `display`; the coordinates stay those of the stored pixels.
            short: take a frame that is cut.
        """
        from wetread.display.plot import show

        picture = self.render(window, size, frame, short=short)
        rows, columns = self.shape[:2]
        title = f"{os.path.basename(self.name)}\n{self._caption(picture, frame)}"
        drawn = () if boxes is None else boxes.on(self, frame) if hasattr(boxes, "on") else boxes
        return show(picture.pixels, (rows, columns), self.aspect, title, drawn, ax)

    def _caption(self, picture: Picture, frame: int) -> str:
        """Modality, size, spacing, frame and window, for people."""
        rows, columns = self.shape[:2]
        said = [self.row.get("Modality") or "", f"{columns} x {rows}"]
        if spacing := self.spacing:
            said.append(f"{spacing.column:.3g} x {spacing.row:.3g} mm")
        if (count := self.frames) > 1:
            said.append(f"frame {frame} of {count}")
        if picture.view is not None:
            said.append(f"window {picture.view.label}")
        return ", ".join(part for part in said if part)

    def __repr__(self) -> str:
        said = [self.row.get(k) for k in ("Modality", "Rows", "Columns")]
        kind = f"{said[0] or ''} {said[2]} x {said[1]}" if said[1] else self.row["read_status"]
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
        except Exception as error:  # noqa: BLE001 - a notebook shows why, whatever it is
            caption, shown, aspect = str(self.row.get("Modality") or ""), str(error), 1.0
        facts["problems"] = ", ".join(f["code"] for f in self.row["problems"] or ())
        return picture_html(shown, aspect, self.name, caption, facts)

    @property
    def _source(self) -> tuple[str, bytes, bytes, Settings, int | None, str | None]:
        """The arguments of `open_source`."""
        from wetread.sources.find import name_bytes

        path, member = name_bytes(self.row)
        size, etag = self.row.get("file_size"), self.row.get("etag")
        return self.root, path, member, self._settings, size, etag

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors name the file; pydicom's warnings are problems already, and silent here."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except FileNotFoundError as error:
            raise NotFoundError(f"{self.name}: the file is not there any more") from error
        except (DecodeError, UsageError) as error:
            if not str(error).startswith(self.name):
                error.args = (f"{self.name}: {error}",)
            raise
        except OSError as error:
            raise AccessError(f"{self.name}: {error}") from error

    def _decode(
        self, frames: Frames, frame: int, size: int | None = None, short: bool = False
    ) -> Frame:
        from wetread.pixels import read_frame

        return read_frame(frames, frame, size=size, short=short, settings=self._settings)

    def _problems(self) -> str:
        """Its status, and the problems of its row in words."""
        found = self.row["problems"] or []
        told = [f"{f['code']}: {f['text'] or PROBLEMS[f['code']].meaning}" for f in found]
        return "; ".join([self.row["read_status"], *told])


def _with_syntax(header: Dataset, syntax: str) -> Dataset:
    """The header with the transfer syntax that the scan found, where the file's is wrong."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    from wetread.pixels.form import transfer_syntax

    if transfer_syntax(header) == syntax:
        return header
    mended = Dataset(header)
    mended.file_meta = FileMetaDataset()
    mended.file_meta.TransferSyntaxUID = UID(syntax)
    return mended

"""Method `export` of an index; a call imports the modules that write files, a scan none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from wetread.common.dataframe import to_frame
from wetread.errors import UsageError
from wetread.table.rows import IndexRows

if TYPE_CHECKING:
    import pandas as pd

    from wetread.boxes.table import BoxTable
    from wetread.datasets.labels import To
    from wetread.datasets.layout import Names
    from wetread.display.render import WindowLike
    from wetread.images.export import Crop, Format
    from wetread.series.export import VolumeFormat


class Exporting(IndexRows):
    """Index with the method `export`."""

    def export(
        self,
        folder: str | os.PathLike[str],
        size: int | None = None,
        format: Format | VolumeFormat | None = None,
        window: WindowLike = None,
        workers: int | None = None,
        progress: bool = True,
        *,
        crop: Crop = None,
        boxes: BoxTable | str | os.PathLike[str] | None = None,
        to: To | Literal["nifti"] | None = None,
        names: Names = "key",
        parts: str | None = "part",
    ) -> pd.DataFrame:
        """Write every frame as an image file, with a table `manifest.csv`, and labels if given.

        With `boxes` and `to` it is a data set that trainers read: images in `images/`, labels in
        pixels of these images. YOLO has `labels/` (without scores) and `data.yaml`, Pascal VOC
        `annotations/`, COCO `annotations.json`. After `split`, each part has its own folder, as
        `images/train`. Images without a row in the label file are unread, not normal, and are not
        written.
        `wetread.read_boxes(folder)` reads labels or predictions of these images back, in stored
        pixels.

        With `to="nifti"` every volume of every series is written as `SERIES_ID.nii.gz`, see
        `Volume.save`; the manifest has one row per stack, with the reason if it is not a volume.

        Args:
            folder: output folder; files of an earlier export are replaced.
            size: longest side in pixels; images are never enlarged.
            format: `"png16"`, `"tiff"` or `"npy"` are lossless: modality value = `slope` x pixel +
                `intercept`. `"png8"` and `"jpg"` hold the pixels of `Image.display`. Default:
                png16, with labels png8. Volumes: `"nii.gz"` or `"nii"`.
            window: window of png8 and jpg; see `Image.display`.
            workers: number of worker processes, at least 1 (default: one per core).
            progress: show a progress bar on stderr.
            crop: (x0, y0, x1, y1), edges in stored pixels, of all images; or a dictionary by id.
            boxes: labels, one set per image (merge several readers first), or a label file.
            to: format of the labels: `"yolo"`, `"coco"` or `"voc"`; `"nifti"` writes volumes.
            names: name files after the `"key"` of the label file, or by `"id"`. A key that is not
                unique or cannot be a file name is replaced by the id.
            parts: column of the index with the part of each image; None writes one part.

        Returns:
            The manifest, one row per frame: file name, path, scaling of values and coordinates, and
            the `status` of frames that were not written.

        Raises:
            UsageError: `size` or `workers` below 1, a window with a lossless format, `boxes`
                without `to`, points in a format that has none, or options of pictures with
                `to="nifti"`.
            UnknownNameError: no such format or column.
            MissingExtraError: nibabel is not installed, with `to="nifti"`.
            StorageError: the folder cannot be written.

        Warns:
            UserWarning: labels of several readers, or of images that are not in the index; and what
                the format cannot store.
        """
        from wetread.datasets.export import export_dataset
        from wetread.images.export import Form, export_images

        if to == "nifti":
            if any(option is not None for option in (size, window, crop, boxes)):
                raise UsageError("size, window, crop and boxes are for pictures, not for volumes")
            from wetread.series.export import export_volumes

            kind: Any = format or "nii.gz"
            return to_frame(export_volumes(self, folder, kind, workers, progress))
        if (boxes is None) != (to is None):
            raise UsageError("labels need both: boxes=FILE and to=yolo, coco or voc")
        picture: Any = format
        if boxes is None or to is None:
            form = Form(size, picture or "png16", window, crop)
            return to_frame(export_images(self, folder, form, workers, progress))
        form = Form(size, picture or "png8", window, crop)
        choices = (to, names, parts)
        return to_frame(export_dataset(self, folder, boxes, form, choices, workers, progress))

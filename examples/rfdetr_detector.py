"""RF-DETR (Apache-2.0, https://github.com/roboflow/rf-detr) as a detector of wetread, in one file.

    pip install 'rfdetr[train]>=1.8'
    wetread train train.cache truth.parquet --model examples/rfdetr_detector.py -o run/
    wetread predict run/ test.index --model examples/rfdetr_detector.py -o predictions.parquet

Without weights its backbone knows nothing, and a transformer learns little from few images: give a
file of Roboflow's, `--weights rf-detr-nano.pth`. Nothing is downloaded.

Written after the source of rfdetr 1.8; wetread tests this file with a stand-in for it, not with
rfdetr, and not on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wetread.learn.detector import Detector, Prediction, Shape, Target

if TYPE_CHECKING:
    from torch import Tensor


def build(shape: Shape) -> Detector:
    """An untrained RF-DETR nano for so many classes."""
    import torch
    from rfdetr.config import RFDETRNanoConfig, TrainConfig
    from rfdetr.models.lwdetr import build_criterion_from_config, build_model_from_config
    from torch.nn.functional import interpolate
    from torchvision.ops import box_convert

    # wetread counts classes from 1; here class 0 is never on an image.
    config = RFDETRNanoConfig(num_classes=shape.classes + 1, pretrain_weights=None)
    training = TrainConfig(dataset_dir=".", output_dir=".")

    class RFDETR(torch.nn.Module):
        """Losses in training mode, boxes in evaluation mode, as torchvision's detectors."""

        def __init__(self) -> None:
            super().__init__()
            self.body = build_model_from_config(config)
            self.criterion, self.finish = build_criterion_from_config(config, training)

        def forward(
            self, images: Sequence[Tensor], targets: Sequence[Target] | None = None
        ) -> dict[str, Tensor] | list[Prediction]:
            batch = (torch.stack(list(images)) - shape.mean) / shape.std
            side = config.resolution
            batch = interpolate(batch, (side, side), mode="bilinear", antialias=True)
            made = self.body(batch.expand(-1, 3, -1, -1))
            if self.training:
                assert targets is not None
                losses = self.criterion(made, [self._relative(target) for target in targets])
                weights = self.criterion.weight_dict
                return {name: losses[name] * weights[name] for name in losses if name in weights}
            sizes = torch.full((len(batch), 2), shape.size, device=batch.device)
            return [self._known(found) for found in self.finish(made, sizes)]

        def _relative(self, target: Target) -> dict[str, Any]:
            """Centres and sizes as shares of the image."""
            boxes = box_convert(target["boxes"], "xyxy", "cxcywh") / shape.size
            return {"boxes": boxes, "labels": target["labels"]}

        def _known(self, found: Prediction) -> Prediction:
            """What has one of wetread's classes."""
            kept = (found["labels"] >= 1) & (found["labels"] <= shape.classes)
            return {name: found[name][kept] for name in ("boxes", "labels", "scores")}

    model: Detector = RFDETR()
    return model

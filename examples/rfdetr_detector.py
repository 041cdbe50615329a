"""RF-DETR (Apache-2.0, https://github.com/roboflow/rf-detr) as a detector for wetread.

    pip install 'rfdetr[train]>=1.8'
    wetread train train.cache truth.parquet --model examples/rfdetr_detector.py -o run/
    wetread predict run/ test.index --model examples/rfdetr_detector.py -o predictions.parquet

Without weights the backbone is not pretrained, and a transformer learns little from few images:
give a weights file of Roboflow, `--weights rf-detr-nano.pth`. Nothing is downloaded.

Written for rfdetr 1.8; wetread tests this file with a stub of rfdetr, on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wetread.learn.detector import Detector, Prediction, Shape, Target

if TYPE_CHECKING:
    from torch import Tensor


def build(shape: Shape) -> Detector:
    """Build an untrained RF-DETR nano for the classes of `shape`."""
    import torch
    from rfdetr.config import RFDETRNanoConfig, TrainConfig
    from rfdetr.models.lwdetr import build_criterion_from_config, build_model_from_config
    from torch.nn.functional import interpolate
    from torchvision.ops import box_convert

    # wetread numbers classes from 1; class 0 is unused.
    config = RFDETRNanoConfig(num_classes=shape.classes + 1, pretrain_weights=None)
    training = TrainConfig(dataset_dir=".", output_dir=".")

    class RFDETR(torch.nn.Module):
        """Returns losses in training mode and boxes in evaluation mode, like torchvision."""

        def __init__(self) -> None:
            super().__init__()
            self.body = build_model_from_config(config)
            self.criterion, self.postprocess = build_criterion_from_config(config, training)

        def forward(
            self, images: Sequence[Tensor], targets: Sequence[Target] | None = None
        ) -> dict[str, Tensor] | list[Prediction]:
            batch = (torch.stack(list(images)) - shape.mean) / shape.std
            side = config.resolution
            batch = interpolate(batch, (side, side), mode="bilinear", antialias=True)
            outputs = self.body(batch.expand(-1, 3, -1, -1))
            if self.training:
                assert targets is not None
                losses = self.criterion(outputs, [self._relative(target) for target in targets])
                weights = self.criterion.weight_dict
                return {name: losses[name] * weights[name] for name in losses if name in weights}
            sizes = torch.full((len(batch), 2), shape.size, device=batch.device)
            return [self._filter(result) for result in self.postprocess(outputs, sizes)]

        def _relative(self, target: Target) -> dict[str, Any]:
            """Targets with centres and sizes relative to the image size."""
            boxes = box_convert(target["boxes"], "xyxy", "cxcywh") / shape.size
            return {"boxes": boxes, "labels": target["labels"]}

        def _filter(self, result: Prediction) -> Prediction:
            """Boxes with one of the classes of wetread."""
            valid = (result["labels"] >= 1) & (result["labels"] <= shape.classes)
            return {name: result[name][valid] for name in ("boxes", "labels", "scores")}

    model: Detector = RFDETR()
    return model

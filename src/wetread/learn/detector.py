"""Detectors: the interface that the training loop needs, and two Faster R-CNNs."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

Target = dict[str, Any]
"""Target of one image: `boxes` float32 (n, 4) x0, y0, x1, y1 in pixels, (0, 4) without boxes;
`labels` int64 (n,) from 1; `present` float32 (classes,), 1 for each class on the image."""
Prediction = dict[str, Any]
"""Prediction for one image: `boxes` and `labels` as in a target and `scores` float32 (n,); of a
classifier `scores` float32 (classes + 1,), the last one for any finding."""


class Shape(NamedTuple):
    """Number of classes, image size and normalisation that a model is built for."""

    classes: int
    """Number of classes, without the background (label 0)."""
    size: int
    """Height and width of an image, in pixels."""
    mean: float
    """Mean of the training images, in 0..1; subtracted by the model."""
    std: float
    """Standard deviation of the training images."""


class Detector(Protocol):
    """Interface of a trainable model: a torch Module in torchvision's format.

    In training mode `model(images, targets)` returns losses by name, which are summed; in
    evaluation mode `model(images)` returns one `Prediction` per image, in its pixels. Images are
    float32 (1, size, size) in 0..1; normalisation is part of the model.
    """

    training: bool

    def __call__(self, images: Sequence[Tensor], targets: Sequence[Target] | None = None) -> Any:
        """Losses by name, or one `Prediction` per image."""

    def train(self, mode: bool = True) -> Any:
        """Switch between training and evaluation mode."""

    def to(self, device: Any) -> Any:
        """Move the model to a device."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Trainable parameters."""

    def state_dict(self) -> dict[str, Any]:
        """All tensors of the model by name; saved as safetensors."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Load a state dict."""


class Builder(Protocol):
    """Function that builds an untrained model."""

    def __call__(self, shape: Shape) -> Detector:
        """Build the model, on the CPU."""


def build_small(shape: Shape) -> Detector:
    """Faster R-CNN (Ren et al. 2015) on a narrow ResNet with a feature pyramid: 5.7 M parameters.

    Trains on a CPU; not pretrained.
    """
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import BackboneWithFPN
    from torchvision.ops import MultiScaleRoIAlign

    layers = ("layer2", "layer3", "layer4")
    names = {layer: str(number) for number, layer in enumerate(layers)}
    backbone = BackboneWithFPN(narrow_resnet(), names, [64, 128, 256], 64)
    # The pyramid has one more, pooled level than the backbone.
    sizes = tuple((round(shape.size * part),) for part in (3 / 32, 3 / 16, 5 / 16, 1 / 2))
    model: Detector = FasterRCNN(
        backbone,
        shape.classes + 1,
        min_size=shape.size,
        max_size=shape.size,
        image_mean=[shape.mean],
        image_std=[shape.std],
        rpn_anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 4),
        box_roi_pool=MultiScaleRoIAlign([*names.values()], 7, 2),
        rpn_pre_nms_top_n_train=500,
        rpn_post_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_test=100,
        box_batch_size_per_image=64,
        box_score_thresh=LEAST_SCORE,
    )
    return model


def build_resnet50(shape: Shape) -> Detector:
    """The `fasterrcnn_resnet50_fpn_v2` of torchvision (Li et al. 2021): 43 M parameters.

    All layers are trained; start from pretrained weights, `train(weights=...)`.
    """
    from torchvision.models.detection import fasterrcnn_resnet50_fpn_v2

    model: Detector = fasterrcnn_resnet50_fpn_v2(
        weights=None,
        weights_backbone=None,
        num_classes=shape.classes + 1,
        min_size=shape.size,
        max_size=shape.size,
        # torchvision broadcasts a grey image to the three channels of these means.
        image_mean=[shape.mean] * 3,
        image_std=[shape.std] * 3,
        box_score_thresh=LEAST_SCORE,
    )
    return model


LEAST_SCORE = 0.001
"""Minimum score of a predicted box; boxes of low score do not reduce average precision."""


def narrow_resnet() -> nn.Sequential:
    """ResNet (He et al. 2015) for grey images; one block per stage, 32, 64, 128, 256 channels."""
    from torch import nn
    from torchvision.models.resnet import BasicBlock, conv1x1

    def block(before: int, after: int, stride: int) -> nn.Module:
        if stride == 1:
            return cast("nn.Module", BasicBlock(before, after))
        down = nn.Sequential(conv1x1(before, after, stride), nn.BatchNorm2d(after))
        return cast("nn.Module", BasicBlock(before, after, stride, down))

    stem = nn.Sequential(
        nn.Conv2d(1, 32, 7, 2, 3, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    )
    body = nn.Sequential(OrderedDict([("stem", stem), ("layer1", block(32, 32, 1))]))
    for stage, width in enumerate((64, 128, 256), 2):
        body.add_module(f"layer{stage}", block(width // 2, width, 2))
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return body

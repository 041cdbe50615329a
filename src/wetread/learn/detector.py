"""Detectors: what the training loop asks of one, and the two that come with wetread."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

Target = dict[str, Any]
"""Of one image: `boxes` float32 (n, 4) x0, y0, x1, y1 in its pixels, (0, 4) where there is nothing;
`labels` int64 (n,) from 1; `present` float32 (classes,) 1 for each class that is on it."""
Found = dict[str, Any]
"""Of one image: `boxes` and `labels` as in a target and `scores` float32 (n,); of a classifier
`scores` float32 (classes + 1,), the last for any finding at all."""


class Shape(NamedTuple):
    """What a model is built for."""

    classes: int
    """Without the background, which is label 0."""
    size: int
    """Height and width of an image in pixels."""
    mean: float
    """Of the training images, which are in 0..1; the model subtracts it."""
    std: float


class Detector(Protocol):
    """What a model must do to be trained, kept and used: be a torch Module in torchvision's form.

    In training mode `model(images, targets)` gives its losses by name, which are summed; in
    evaluation mode `model(images)` gives what was found, image by image, in their pixels.
    Images are float32 (1, size, size) in 0..1: scaling to what it wants is the model's part.
    """

    training: bool

    def __call__(self, images: Sequence[Tensor], targets: Sequence[Target] | None = None) -> Any:
        """Losses by name, or a `Found` an image."""

    def train(self, mode: bool = True) -> Any:
        """Turns training mode on or off."""

    def to(self, device: Any) -> Any:
        """Moves it to a device."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is learnt."""

    def state_dict(self) -> dict[str, Any]:
        """All tensors that make it, by name; they are kept as safetensors."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Puts such tensors into it."""


class Builder(Protocol):
    """A function that makes an untrained model."""

    def __call__(self, shape: Shape) -> Detector:
        """The model, on the CPU."""


def build_small(shape: Shape) -> Detector:
    """Faster R-CNN (Ren et al. 2015) on a narrow ResNet with a feature pyramid: 5.7 M parameters.

    Small enough to learn on a CPU; nothing in it is trained beforehand.
    """
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import BackboneWithFPN
    from torchvision.ops import MultiScaleRoIAlign

    layers = ("layer2", "layer3", "layer4")
    names = {layer: str(number) for number, layer in enumerate(layers)}
    backbone = BackboneWithFPN(narrow_resnet(), names, [64, 128, 256], 64)
    # The pyramid has a pooled level more than the backbone.
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
    """The `fasterrcnn_resnet50_fpn_v2` (Li et al. 2021): of torchvision, 43 M parameters.

    All of it is trained; start from weights, `train(weights=...)`.
    """
    from torchvision.models.detection import fasterrcnn_resnet50_fpn_v2

    model: Detector = fasterrcnn_resnet50_fpn_v2(
        weights=None,
        weights_backbone=None,
        num_classes=shape.classes + 1,
        min_size=shape.size,
        max_size=shape.size,
        # Three means make three channels of a grey image: torchvision broadcasts.
        image_mean=[shape.mean] * 3,
        image_std=[shape.std] * 3,
        box_score_thresh=LEAST_SCORE,
    )
    return model


LEAST_SCORE = 0.001
"""Boxes below are not kept; average precision loses nothing by more boxes of low score."""


def narrow_resnet() -> nn.Sequential:
    """ResNet (He et al. 2015) for one channel: a block a stage, of 32, 64, 128 and 256 channels."""
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

"""Multi-label classifier with an output for "any finding"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wetread.learn.detector import Detector, Shape, Target, narrow_resnet

if TYPE_CHECKING:
    from torch import Tensor


def build_tiny(shape: Shape) -> Detector:
    """Narrow ResNet of 1.2 M parameters with one sigmoid per class, and one for any finding."""
    import torch
    from torch import nn

    class Classifier(nn.Module):
        """Multi-label classifier with the interface of a `Detector`."""

        def __init__(self) -> None:
            super().__init__()
            self.body = narrow_resnet()
            self.head = nn.Linear(256, shape.classes + 1)

        def forward(
            self, images: Sequence[Tensor], targets: Sequence[Target] | None = None
        ) -> dict[str, Tensor] | list[dict[str, Any]]:
            batch = (torch.stack(list(images)) - shape.mean) / shape.std
            logits = self.head(self.body(batch).mean(dim=(2, 3))).float()
            if not self.training:
                return [{"scores": scores} for scores in logits.sigmoid()]
            assert targets is not None
            present = torch.stack([target["present"] for target in targets])
            expected = torch.cat([present, present.amax(dim=1, keepdim=True)], dim=1)
            loss = nn.functional.binary_cross_entropy_with_logits(logits, expected)
            return {"loss_classes": loss}

    model: Detector = Classifier()
    return model

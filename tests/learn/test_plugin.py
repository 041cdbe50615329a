"""The example of a custom model, with a stand-in for the package it needs."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wetread.cli.train import load_builder
from wetread.errors import NotFoundError, UsageError
from wetread.learn.detector import Shape

EXAMPLE = Path(__file__).parents[2] / "examples" / "rfdetr_detector.py"


class Body(nn.Module):
    """Stand-in of one query per position; records its input."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(3, config.num_classes)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        self.seen = batch
        return {"pred_logits": self.layer(batch.mean(dim=(2, 3)))}


class Criterion(nn.Module):
    weight_dict = {"loss_ce": 2.0}  # noqa: RUF012

    def forward(self, made: dict[str, Tensor], targets: list[dict[str, Tensor]]) -> Any:
        self.targets = targets
        loss = made["pred_logits"].square().mean()
        return {"loss_ce": loss, "cardinality_error": loss.detach()}


def finish(made: dict[str, Tensor], sizes: Tensor) -> list[dict[str, Tensor]]:
    boxes = torch.tensor([[0.0, 0.0, 1.0, 0.5]] * 3) * sizes[0, [1, 0, 1, 0]]
    found = {"boxes": boxes, "labels": torch.tensor([0, 2, 4]), "scores": torch.ones(3)}
    return [found] * len(sizes)


@pytest.fixture
def rfdetr(monkeypatch: pytest.MonkeyPatch) -> None:
    def config(**options: Any) -> Any:
        return SimpleNamespace(resolution=96, **options)

    modules: dict[str, dict[str, Any]] = {
        "rfdetr": {},
        "rfdetr.config": {"RFDETRNanoConfig": config, "TrainConfig": config},
        "rfdetr.models": {},
        "rfdetr.models.lwdetr": {
            "build_model_from_config": Body,
            "build_criterion_from_config": lambda *_: (Criterion(), finish),
        },
    }
    for name, members in modules.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("rfdetr")
def test_example_converts_input_and_output() -> None:
    model: Any = load_builder(str(EXAMPLE))(Shape(3, 64, 0.5, 0.25))
    images = [torch.full((1, 64, 64), 0.75)] * 2
    box = torch.tensor([[16.0, 0.0, 48.0, 64.0]])
    targets = [
        {"boxes": box, "labels": torch.tensor([2])},
        {"boxes": box[:0], "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    losses = model(images, targets)
    assert set(losses) == {"loss_ce"}
    losses["loss_ce"].backward()
    assert model.body.seen.shape == (2, 3, 96, 96)
    assert model.body.seen.detach().numpy() == pytest.approx(1.0)
    assert model.criterion.targets[0]["boxes"].tolist() == [[0.5, 0.5, 0.5, 1.0]]
    assert model.criterion.targets[1]["boxes"].shape == (0, 4)
    model.train(False)
    found = model(images)
    assert len(found) == 2
    assert found[0]["labels"].tolist() == [2]
    assert found[0]["boxes"].tolist() == [[0.0, 0.0, 64.0, 32.0]]


def test_example_imports_without_the_package() -> None:
    assert callable(load_builder(str(EXAMPLE)))


def test_files_without_build(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        load_builder(str(tmp_path / "none.py"))
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(UsageError, match="has no function build"):
        load_builder(str(tmp_path / "empty.py"))
    assert load_builder("small") == "small"

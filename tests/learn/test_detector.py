"""Models: output, initial weights, and no unpickling."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from wetread.errors import NotFoundError, UnknownNameError, UsageError
from wetread.learn.checkpoint import load_tensors, restore_state, save_state, save_tensors
from wetread.learn.classifier import build_tiny
from wetread.learn.detector import Detector, Shape, build_resnet50, build_small
from wetread.learn.distributed import ProcessGroup
from wetread.learn.loop import autocast
from wetread.learn.models import MODELS, find_recipe, load_weights

torch.set_num_threads(1)
SHAPE = Shape(3, 64, 0.4, 0.2)
ALONE = ProcessGroup(0, 1, torch.device("cpu"))


def target(boxes: int) -> dict[str, Any]:
    corners = torch.tensor([[5.0, 6.0, 40.0, 50.0]]).repeat(boxes, 1).reshape(-1, 4)
    present = torch.tensor([0.0, float(boxes > 0), 0.0])
    labels = torch.full((boxes,), 2, dtype=torch.int64)
    return {"boxes": corners, "labels": labels, "present": present}


def count(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("task", "name"), list(MODELS))
def test_losses_in_training_and_predictions_in_evaluation(task: str, name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[task, name].build(SHAPE)
    some = 1 if name == "resnet50" else 2  # two take their time
    images = [torch.rand(1, 64, 64) for _ in range(some)]
    model.train()
    losses = model(images, [target(2), target(0)][:some])
    loss = sum(losses.values())
    loss.backward()
    assert torch.isfinite(loss)
    assert any(parameter.grad is not None for parameter in model.parameters())
    model.train(False)
    with torch.inference_mode():
        found = model(images)
    assert len(found) == some
    for one in found:
        if task == "classify":
            assert one["scores"].shape == (4,)
        else:
            assert one["boxes"].shape == (len(one["scores"]), 4)
            assert set(one["labels"].tolist()) <= {1, 2, 3}
        assert ((one["scores"] >= 0) & (one["scores"] <= 1)).all()


def test_number_of_parameters() -> None:
    assert 5_000_000 < count(build_small(SHAPE)) < 6_000_000
    assert count(build_tiny(SHAPE)) < 1_300_000


def test_detector_trains_on_normal_images_alone() -> None:
    torch.manual_seed(0)
    model = build_small(SHAPE)
    losses = model([torch.rand(1, 64, 64)] * 2, [target(0)] * 2)
    assert all(torch.isfinite(value) for value in losses.values())
    assert float(losses["loss_box_reg"].detach()) == 0
    assert float(losses["loss_objectness"].detach()) > 0


@pytest.mark.parametrize("make", [build_small, build_tiny])
def test_bfloat16_on_a_cpu(make: Any) -> None:
    torch.manual_seed(0)
    model = make(SHAPE)
    images = [torch.rand(1, 64, 64) for _ in range(2)]
    with autocast(ALONE, "bfloat16"):
        losses = model(images, [target(1), target(0)])
    exact = model(images, [target(1), target(0)])
    sum(losses.values()).backward()
    for name, value in losses.items():
        assert torch.isfinite(value)
        assert float(value.detach()) == pytest.approx(float(exact[name].detach()), abs=0.2)
    model.train(False)
    with autocast(ALONE, "bfloat16"), torch.inference_mode():
        assert torch.isfinite(model(images)[0]["scores"]).all()


def test_classifier_overfits_four_images() -> None:
    torch.manual_seed(0)
    model = build_tiny(Shape(3, 32, 0.5, 0.3))
    images = [torch.rand(1, 32, 32) for _ in range(4)]
    wanted = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0]])
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(40):
        loss = model(images, [{"present": row} for row in wanted])["loss_classes"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.train(False)
    with torch.inference_mode():
        scores = torch.stack([one["scores"] for one in model(images)])
    assert ((scores[:, :3] > 0.5) == (wanted > 0)).all()
    assert (scores[:, 3] > 0.5).tolist() == [True, True, False, True]


def build(shape: Shape) -> Detector:
    return build_tiny(shape)


def test_names_and_builders() -> None:
    assert find_recipe("detect", "resnet50").build is build_resnet50
    assert find_recipe("detect", build).name.endswith("test_detector:build")
    with pytest.raises(UnknownNameError, match="small"):
        find_recipe("detect", "smal")
    with pytest.raises(UnknownNameError, match="detect"):
        find_recipe("detection", "small")


@pytest.fixture
def safe_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.10.0")


def test_old_torch_does_not_load_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_tiny(SHAPE)
    save_tensors(tmp_path / "a.safetensors", model.state_dict(), {})
    torch.save(model.state_dict(), tmp_path / "a.pth")
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    assert load_weights(model, tmp_path / "a.safetensors") == []
    with pytest.raises(UsageError, match=r"a\.pth.*torch>=2\.10"):
        load_weights(model, tmp_path / "a.pth")


@pytest.mark.usefixtures("safe_torch")
def test_weights_from_files(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = build_tiny(SHAPE)
    save_tensors(tmp_path / "a.safetensors", model.state_dict(), {})
    torch.save({"state_dict": model.state_dict()}, tmp_path / "a.pth")
    for name in ("a.safetensors", "a.pth"):
        torch.manual_seed(2)
        other = build_tiny(SHAPE)
        assert load_weights(other, tmp_path / name) == []
        assert all(torch.equal(v, other.state_dict()[k]) for k, v in model.state_dict().items())
    five = build_tiny(SHAPE._replace(classes=5))
    assert load_weights(five, tmp_path / "a.pth") == ["head.weight", "head.bias"]


class Bomb:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("unpickled",))


@pytest.mark.usefixtures("safe_torch")
@pytest.mark.parametrize("how", ["torch", "pickle", "text", "empty", "safetensors"])
def test_foreign_file_is_an_error_and_not_executed(tmp_path: Path, how: str) -> None:
    path = tmp_path / ("a.safetensors" if how == "safetensors" else "a.pth")
    match how:
        case "torch":
            torch.save({"head.weight": Bomb()}, path)
        case "pickle":
            path.write_bytes(pickle.dumps(Bomb(), 2))
        case "empty":
            torch.save({}, path)
        case _:
            path.write_text("no weights")
    with pytest.raises(UsageError, match="a\\."):
        load_weights(build_tiny(SHAPE), path)


def test_torchvisions_weights_are_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    model = build_tiny(SHAPE)
    with pytest.raises(NotFoundError, match=r"https://download\.pytorch\.org/models/") as error:
        load_weights(model, "torchvision")
    path = Path(str(error.value).partition(" is missing")[0])
    path.parent.mkdir()
    torch.save(model.state_dict(), path)
    assert load_weights(build_tiny(SHAPE), "torchvision") == []
    with pytest.raises(NotFoundError, match="no such file"):
        load_weights(model, tmp_path / "none.pth")


def test_state_round_trip(tmp_path: Path) -> None:
    def make() -> tuple[Any, Any]:
        model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
        return model, torch.optim.AdamW(model.parameters(), 0.01)

    def step(model: Any, optimiser: Any) -> None:
        optimiser.zero_grad()
        model(torch.ones(2, 3) * torch.tensor([[1.0], [2.0]])).square().sum().backward()
        optimiser.step()

    one, two = make(), make()
    for _ in range(3):
        step(*one)
    save_state(tmp_path / "state", *one, {"step": 3, "rows": [[1, 0, "loss", 0.1]]})  # type: ignore[arg-type]
    tensors, metadata = load_tensors(tmp_path / "state")
    restore_state(tensors, metadata, *two)
    assert (metadata["step"], metadata["rows"]) == (3, [[1, 0, "loss", 0.1]])
    for model, optimiser in (one, two):
        step(model, optimiser)
    for name, tensor in one[0].state_dict().items():
        assert torch.equal(tensor, two[0].state_dict()[name])
    with pytest.raises(UsageError, match="not written by wetread"):
        load_tensors(Path(__file__))

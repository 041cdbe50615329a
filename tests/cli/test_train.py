"""`wetread train` and `wetread predict`, also under torchrun, and `wetread demo --train`."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

import wetread as wr
from wetread.cache.cache import Cache
from wetread.cli import main
from wetread.cli.demo_train import show_training
from wetread.learn.checkpoint import load_tensors

pytestmark = pytest.mark.filterwarnings("ignore:split by image:UserWarning")
QUICK = ["--size", "64", "--batch", "4", "--epochs", "1.25", "-q"]


def run(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout if "--json" in arguments else result.output


@pytest.fixture(scope="session")
def trained(
    phantoms: Path, phantom_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A detector and a classifier."""
    folder = tmp_path_factory.mktemp("trained")
    for task in ("detect", "classify"):
        how = ["--task", task, "--consensus", "wbf", "-o", folder / task, *QUICK]
        run("train", phantom_cache, phantoms / "train.csv", *how)
    return {"detect": folder / "detect", "classify": folder / "classify"}


def test_train_prints_the_scores(phantoms: Path, phantom_cache: Path, tmp_path: Path) -> None:
    options = ["--consensus", "majority", "-o", tmp_path / "run", *QUICK[2:]]
    options += ["--window", "0.5/1", "--no-augment", "--lr", "0.001", "--seed", "3"]
    printed = run("train", phantom_cache, phantoms / "train.csv", *options)
    assert "small to detect Cardiomegaly" in printed
    assert "voc2010@0.4" in printed
    assert "held-out images of" in printed
    assert "Next: wetread predict" in printed
    config = wr.Run.open(tmp_path / "run").config
    assert config["window"] == [0.5, 1.0]
    assert config["size"] == Cache.open(phantom_cache).size
    assert (config["lr"], config["seed"], config["augment"]) == (0.001, 3, False)
    output = json.loads(run("train", phantom_cache, phantoms / "train.csv", *options, "--json"))
    assert output["run"] == config["id"]
    assert output["images"] == config["images"]["valid"]


def test_an_index_is_prepared_and_split(phantoms: Path, tmp_path: Path) -> None:
    wr.scan(phantoms / "train", tmp_path / "train.index", workers=0, progress=False)
    options = ["--consensus", "wbf", "-o", tmp_path / "run", *QUICK]
    run("train", tmp_path / "train.index", phantoms / "train.csv", *options)
    assert len(Cache.open(tmp_path / "run" / "cache")) == 24
    split = wr.Run.open(tmp_path / "run").split
    assert {*split["part"].to_pylist()} == {"train", "valid"}
    assert "part" not in wr.Index.open(tmp_path / "train.index").columns


def test_from_run_to_submission(trained: dict[str, Path], phantoms: Path, tmp_path: Path) -> None:
    wr.scan(phantoms / "test", tmp_path / "test.index", progress=False)
    to = tmp_path / "predictions.parquet"
    arguments = ["predict", trained["detect"], tmp_path / "test.index", "-o", to, "-q"]
    printed = run(*arguments)
    assert "on 6 images" in printed
    found = wr.Boxes.open(to)
    assert found.run == wr.Run.open(trained["detect"]).id
    output = json.loads(run(*arguments, "--filter", trained["classify"], "--json"))
    assert set(output["filter"]) == {"low", "high", "value", "before"}
    assert output["images"] == 6
    assert "filter: normal below" in run(*arguments, "--filter", trained["classify"])
    truth = wr.read_boxes(phantoms / "test_truth.csv")
    assert wr.evaluate(to, truth, resamples=0).images == 6
    options = ["--by", "PatientSex", "--by", "Rows", "--resamples", "0", "--json"]
    said = json.loads(run("evaluate", to, phantoms / "test_truth.csv", *options))
    assert sum(row["images"] for row in said["groups"]) == 12  # the index of `predict`, filtered
    frame = wr.submit(to, tmp_path / "submission.csv", "vinbigdata")
    assert len(frame) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "CACHE", "CSV", "-o", "run"], "--consensus wbf"),
        (["train", "CACHE", "CSV", "--consensus", "wbff", "-o", "run"], "did you mean wbf"),
        (["train", "CACHE", "none.csv", "-o", "run"], "none.csv: no such file"),
        (["train", "none", "CSV", "-o", "run"], "none"),
        (["train", "CACHE", "CSV", "--consensus", "wbf", "-o", "run", "--model", "big"], "small"),
        (["train", "CACHE", "CSV", "--consensus", "wbf", "-o", "run", "--size", "9"], "at least"),
        (["train", "CACHE", "CSV", "--consensus", "wbf", "-o", "CACHE"], "a cache, not a run"),
        (["predict", "none", "CACHE", "-o", "out"], "none: no such folder"),
        (["predict", "none", "CACHE", "-o", "absent/out"], "folder 'absent' does not exist"),
        (["predict", "CACHE", "CACHE", "-o", "out"], "is not a run of wetread train"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    phantoms: Path,
    phantom_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    real = {"CACHE": phantom_cache, "CSV": phantoms / "train.csv"}
    printed = run(*(real.get(word, word) for word in arguments), code=2)
    assert message in printed
    assert "Traceback" not in printed
    assert list(tmp_path.iterdir()) == []


def test_torchrun(phantoms: Path, phantom_cache: Path, tmp_path: Path) -> None:
    """Two processes train one model; the main one evaluates. A resumed run equals it."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "wetread", "train", str(phantom_cache)]
    command += [str(phantoms / "train.csv"), "--consensus", "wbf", *QUICK]
    home = str(Path(wr.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": home, "PYTHONWARNINGS": "ignore"}
    out = tmp_path / "run"
    ran = subprocess.run(
        [*command, "-o", str(out), "--json"], env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    output = json.loads(ran.stdout)
    trained = wr.Run.open(out)
    assert trained.config["world"] == 2
    assert output["run"] == trained.id
    steps = trained.metrics.query("name == 'loss'")["step"].tolist()
    assert steps == [1, 2]
    assert load_tensors(out / "last.safetensors")[1]["step"] == 2
    images = set(trained.valid.table["image"].to_pylist())
    assert len(images) == trained.config["images"]["valid"]


def test_demo_from_files_to_a_submission(tmp_path: Path) -> None:
    kept: dict[str, bytes] = {}
    show_training(
        Console(file=io.StringIO()),
        tmp_path / "demo",
        lambda path, made, output: kept.update({str(path): made}),
        images=20,
        test=4,
        size=64,
        epochs=1,
    )
    assert set(kept) == {"submission.csv", "curves.png", "examples.png"}
    lines = kept["submission.csv"].decode().splitlines()
    assert lines[0] == "image_id,PredictionString"
    assert len(lines) == 5
    assert kept["examples.png"].startswith(b"\x89PNG")

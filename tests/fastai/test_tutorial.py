"""The complete tutorial of fastai.medical.imaging, with fastai, on phantoms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastai", reason="pip install '.[fastai]'")

import matplotlib as mpl

mpl.use("Agg")
import fastai.vision.all as fa
import matplotlib.pyplot as plt
import torch
from scipy.stats import binomtest

from wetread.errors import UnknownNameError, UsageError
from wetread.fastai import DicomSegmentationDataLoaders, PILDicom, get_dicom_files
from wetread.fastai.interpret import tabulate_figures
from wetread.sample import write_sample

pytestmark = pytest.mark.filterwarnings("ignore")  # fastai's and torch's own; ours have their tests


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """One thread (two are slower on a busy machine), and all figures closed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    fa.set_seed(0)
    yield
    torch.set_num_threads(threads)
    plt.close("all")


@pytest.fixture(scope="module", params=[12, 16], ids=["12 bits", "16 bits"])
def phantoms(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 phantoms of 96 pixels with the readers' boxes."""
    folder = tmp_path_factory.mktemp("phantoms")
    return write_sample(folder, 32, 0, 96, test=0, bits=request.param, progress=False)


@pytest.fixture
def labels(phantoms: Path) -> pd.DataFrame:
    """Label file as in the tutorial: file and label."""
    rows = pd.read_csv(phantoms / "train.csv")
    found = rows["class_name"].ne("No finding").groupby(rows["image_id"]).any()
    label = found.map({True: "finding", False: "normal"})
    return pd.DataFrame({"file": [f"train/{key}.dicom" for key in found.index], "label": label})


def test_the_tutorial(phantoms: Path, labels: pd.DataFrame) -> None:
    items = get_dicom_files(phantoms / "train")
    trn, val = fa.RandomSplitter(seed=0)(items)
    assert (len(items), len(trn), len(val)) == (32, 26, 6)
    sample = items[7].dcmread()
    assert "Photometric Interpretation" in str(sample)
    sample.show()
    assert len(pd.DataFrame.from_dicoms(items)) == 32

    block = fa.DataBlock(
        blocks=(fa.ImageBlock(cls=PILDicom), fa.CategoryBlock),
        get_x=lambda row: phantoms / f"{row[0]}",
        get_y=lambda row: row[1],
        splitter=fa.RandomSplitter(0.4, seed=0),
        item_tfms=fa.Resize(64),
        batch_tfms=[*fa.aug_transforms(size=64), fa.Normalize.from_stats(*fa.imagenet_stats)],
    )
    loaders = block.dataloaders(labels.values, num_workers=0, bs=8)
    x, _ = loaders.one_batch()
    assert x.shape[1:] == (3, 64, 64)
    assert x.abs().max() < 4  # normalized: 12 and 16 bits are scaled before
    loaders.show_batch(max_n=4)

    learner = fa.vision_learner(
        loaders, fa.resnet18, metrics=fa.accuracy, pretrained=False, path=phantoms
    )
    assert learner.loss_func.__class__.__name__ == "CrossEntropyLossFlat"
    with learner.no_bar(), learner.no_logging():
        found = learner.lr_find(num_it=20, stop_div=False, show_plot=False)
        assert 0 < found.valley < 10
        learner.fit_one_cycle(1, 1e-3)
        file = [phantoms / labels["file"].iloc[0], labels["label"].iloc[0]]
        predicted, number, shares = learner.predict(np.array(file, object))
        assert predicted == loaders.vocab[number]
        assert float(shares.sum()) == pytest.approx(1, abs=1e-5)
        assert learner.tta(use_max=True, n=2)[0].shape == (12, 2)
        learner.show_results(max_n=4)

        interpretation = fa.Interpretation.from_learner(learner)
        interpretation.plot_top_losses(2)
        judged = fa.ClassificationInterpretation.from_learner(learner)
        judged.plot_confusion_matrix()
        matrix = judged.confusion_matrix()
        figures = judged.figures("finding")
        elsewhere = judged.figures("finding", prevalence=0.3)
    assert matrix.sum() == 12
    _check_figures(matrix, figures, elsewhere)
    with pytest.raises(UnknownNameError, match="findin"):
        judged.figures("findin")
    with pytest.raises(UsageError, match="prevalence"):
        tabulate_figures(1, 2, 3, 4, prevalence=30)


def _check_figures(matrix: Any, figures: pd.DataFrame, elsewhere: pd.DataFrame) -> None:
    """Last step of the tutorial by its own formulas, and SciPy's intervals."""
    (tp, fn), (fp, tn) = matrix.tolist()  # "finding" comes before "normal"
    counts = [(tp, tp + fn), (tn, tn + fp), (tp, tp + fp), (tn, tn + fn), (tp + tn, 12)]
    for (name, row), (hits, trials) in zip(figures.iterrows(), counts, strict=True):
        if not trials:
            assert row[["value", "low", "high"]].isna().all(), name
            continue
        interval = binomtest(hits, trials).proportion_ci(method="wilson")
        assert row["value"] == pytest.approx(hits / trials), name
        assert (row["low"], row["high"]) == pytest.approx(tuple(interval), abs=1e-9), name
    sensitivity, specificity = figures["value"][["sensitivity", "specificity"]]
    by_prevalence = sensitivity * 0.3 + specificity * 0.7
    assert elsewhere["value"]["accuracy"] == pytest.approx(by_prevalence)
    low, high = elsewhere["low"]["accuracy"], elsewhere["high"]["accuracy"]
    assert low < by_prevalence < high
    assert elsewhere.iloc[:2].equals(figures.iloc[:2])


def test_coverage_of_the_intervals_at_a_prevalence() -> None:
    """In repeated samples, the intervals contain the true values at least 95 times of 100."""
    chance = np.random.default_rng(0)
    sensitivity, specificity, prevalence = 0.8, 0.9, 0.05
    ppv = 0.8 * 0.05 / (0.8 * 0.05 + 0.1 * 0.95)
    truth = {"ppv": ppv, "npv": 0.9 * 0.95 / (0.9 * 0.95 + 0.2 * 0.05), "accuracy": 0.895}
    inside = np.zeros(3)
    for _ in range(400):
        tp, tn = chance.binomial(40, sensitivity), chance.binomial(60, specificity)
        table = tabulate_figures(tp, 40 - tp, 60 - tn, tn, prevalence)
        inside += [table["low"][name] <= truth[name] <= table["high"][name] for name in truth]
    assert (inside / 400 > 0.94).all()


def test_segmentation(phantoms: Path) -> None:
    files = get_dicom_files(phantoms / "train")[:8]

    def mask(file: Path) -> Any:
        values = np.asarray(PILDicom.create(file))
        return fa.PILMask.create((values > 128).astype(np.uint8))

    loaders = DicomSegmentationDataLoaders.from_label_func(
        phantoms,
        files,
        mask,
        0.25,
        seed=0,
        codes=["air", "body"],
        bs=2,
        item_tfms=fa.Resize(64),
        num_workers=0,
    )
    x, y = loaders.one_batch()
    assert type(x).__name__ == "TensorDicom"
    assert x.shape == (2, 1, 64, 64)
    assert y.shape == (2, 64, 64)
    assert set(y.unique().tolist()) == {0, 1}
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    loaders.show_batch(max_n=2)


def test_boxes_of_a_vinbigdata_csv(phantoms: Path) -> None:
    rows = pd.read_csv(phantoms / "train.csv").dropna()
    by_image = dict(iter(rows.groupby("image_id")))
    files = [f for f in get_dicom_files(phantoms / "train") if f.stem in by_image]
    corners = ["x_min", "y_min", "x_max", "y_max"]
    block = fa.DataBlock(
        blocks=(fa.ImageBlock(PILDicom), fa.BBoxBlock, fa.BBoxLblBlock),
        get_items=lambda _: files,
        get_y=[
            lambda file: by_image[file.stem][corners].values.tolist(),
            lambda file: by_image[file.stem]["class_name"].tolist(),
        ],
        n_inp=1,
        splitter=fa.RandomSplitter(seed=0),
        item_tfms=fa.Resize(96, method="squish"),
    )
    loaders = block.dataloaders(phantoms, bs=4, num_workers=0)
    x, boxes, labels = loaders.one_batch()
    assert x.shape == (4, 1, 96, 96)
    assert boxes.shape[:2] == labels.shape
    assert -1 <= float(boxes.min()) <= float(boxes.max()) <= 1
    assert set(loaders.vocab[1:]) == set(rows["class_name"])
    loaders.show_batch(max_n=4)

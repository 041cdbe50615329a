"""`wetread demo --train`: from DICOM files to a submission, on phantoms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wetread.cli.output import (
    echo,
    print_headline,
)

if TYPE_CHECKING:
    from rich.console import Console

    from wetread.boxes.collection import Boxes
    from wetread.index import Index
    from wetread.learn.run import Run

Keep = Callable[[Path, bytes, str], None]
"""Function that writes a file into the current folder: path, content, description."""


def show_training(
    console: Console,
    folder: Path,
    keep: Keep,
    images: int = 200,
    test: int = 60,
    size: int = 256,
    epochs: float = 5,
) -> None:
    """Scan, consensus, split, prepare, train, predict, evaluate, submit: about three minutes.

    Args:
        console: output of the section headings.
        folder: empty folder for temporary files.
        keep: called with submission.csv, curves.png and examples.png.
        images: number of training phantoms.
        test: number of test phantoms.
        size: longest side in pixels.
        epochs: epochs of the detector; the classifier takes three times as many.

    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    from wetread.learn.run_folder import require_torch

    require_torch()
    from wetread.boxes.reading import read_boxes
    from wetread.evaluation import evaluate
    from wetread.evaluation.submission import submit
    from wetread.index import scan
    from wetread.sample import write_sample

    headline = partial(print_headline, console)
    headline(f"{images + test} synthetic radiographs (phantoms), without medical meaning")
    write_sample(folder, images, size=size, test=test)
    index, truth = _read_truth(folder)
    unseen = scan(folder / "test", progress=False)
    detector, classifier = _learn(index, truth, folder, size, epochs, headline)
    headline(f"Detector and classifier on {test} unseen phantoms")
    chosen = detector.thresholds(classifier)
    found = detector.predict(unseen, filter=classifier, thresholds=chosen[:2])
    answers = read_boxes(folder / "test_truth.csv", images=unseen)
    for metric in ("voc2010@0.4", "vinbigdata"):
        echo(f"{evaluate(found, answers, metric, resamples=200)}\n")
    headline("Submission")
    submit(found, folder / "submission.csv", "vinbigdata", images=unseen)
    for path, text in (
        (folder / "submission.csv", "submission of the competition"),
        (detector.path / "curves.png", "training curves of the detector"),
        (detector.path / "examples.png", "truth solid, prediction dashed"),
    ):
        keep(Path(path.name), path.read_bytes(), text)


def _read_truth(folder: Path) -> tuple[Index, Boxes]:
    """Split training index, and the majority consensus of its readers."""
    from wetread.boxes.reading import read_boxes
    from wetread.index import scan, split

    index = scan(folder / "train", to=folder / "train.index", progress=False)
    truth = read_boxes(folder / "train.csv", images=index).consensus("majority")
    index = split(index, truth, by="MediaStorageSOPInstanceUID")  # no patients
    echo(f"{index!r}\n{truth!r}, majority of three readers")
    return index, truth


def _learn(
    index: Index,
    truth: Boxes,
    folder: Path,
    size: int,
    epochs: float,
    headline: Callable[[str], None],
) -> tuple[Run, Run]:
    """Train a detector and a classifier."""
    from wetread.cache.prepare import prepare
    from wetread.learn.training import train

    headline("Training cache")
    cache = prepare(index, folder / "train.cache", size)
    echo(repr(cache))
    headline(f"A detector, from scratch, in {epochs:g} epochs")
    detector = train(cache, truth, to=folder / "detector", size=size, epochs=epochs, augment=False)
    headline("A classifier: any finding, and which")
    classifier = train(
        cache,
        truth,
        "classify",
        to=folder / "classifier",
        size=size // 2,
        batch=16,
        epochs=3 * epochs,
        augment=False,
    )
    return detector, classifier

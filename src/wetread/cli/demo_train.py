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
"""Writes a file where the user is, and says what it is."""


def show_training(
    console: Console,
    folder: Path,
    keep: Keep,
    images: int = 200,
    test: int = 60,
    size: int = 256,
    steps: int = 100,
) -> None:
    """Scan, consensus, split, prepare, train, predict, evaluate, submit: about three minutes.

    Args:
        console: where headlines go.
        folder: an empty one for everything that is not to be kept.
        keep: called with submission.csv, curves.png and examples.png.
        images: phantoms to train on.
        test: phantoms to test on.
        size: their longer side.
        steps: of the detector; the classifier takes half as many again.

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
    headline(f"{images + test} phantoms, radiographs of nobody: what is learnt here is no medicine")
    write_sample(folder, images, size=size, test=test)
    index, truth = _read_truth(folder)
    unseen = scan(folder / "test", progress=False)
    detector, classifier = _learn(index, truth, folder, size, steps, headline)
    headline(f"Both on {test} phantoms that they have not seen")
    chosen = detector.thresholds(classifier)
    found = detector.predict(unseen, filter=classifier, thresholds=chosen[:2])
    answers = read_boxes(folder / "test_truth.csv", images=unseen)
    for metric in ("voc2010@0.4", "vinbigdata"):
        echo(f"{evaluate(found, answers, metric, resamples=200)}\n")
    headline("What is handed in")
    submit(found, folder / "submission.csv", "vinbigdata", images=unseen)
    for path, said in (
        (folder / "submission.csv", "in the competition's form"),
        (detector.path / "curves.png", "how the detector learnt"),
        (detector.path / "examples.png", "truth solid, prediction dashed"),
    ):
        keep(Path(path.name), path.read_bytes(), said)


def _read_truth(folder: Path) -> tuple[Index, Boxes]:
    """The images to train on, split, and what most of their readers say."""
    from wetread.boxes.reading import read_boxes
    from wetread.index import scan, split

    index = scan(folder / "train", to=folder / "train.index", progress=False)
    truth = read_boxes(folder / "train.csv", images=index).consensus("majority")
    index = split(index, truth, by="MediaStorageSOPInstanceUID")  # no patients
    echo(f"{index!r}\n{truth!r}, where most of three readers agree")
    return index, truth


def _learn(
    index: Index,
    truth: Boxes,
    folder: Path,
    size: int,
    steps: int,
    headline: Callable[[str], None],
) -> tuple[Run, Run]:
    """A detector and a classifier, trained."""
    from wetread.cache.prepare import prepare
    from wetread.learn.training import train

    headline("Decoded once")
    cache = prepare(index, folder / "train.cache", size)
    echo(repr(cache))
    headline(f"A detector, from scratch, in {steps} steps")
    detector = train(cache, truth, to=folder / "detector", size=size, steps=steps, augment=False)
    headline("A classifier: is there anything at all?")
    classifier = train(
        cache,
        truth,
        "classify",
        to=folder / "classifier",
        size=size // 2,
        batch=16,
        steps=steps * 3 // 2,
        augment=False,
    )
    return detector, classifier

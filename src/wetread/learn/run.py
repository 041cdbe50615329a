"""Trained model: predictions, and the thresholds of the "normal" filter."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from wetread.boxes.collection import Boxes
from wetread.cache.cache import MARKER as CACHE_MARKER
from wetread.cache.cache import Cache
from wetread.errors import UsageError
from wetread.evaluation.calibration import scale_scores
from wetread.learn.examples import VALID
from wetread.learn.filter import Thresholds, choose_thresholds, filter_normal
from wetread.learn.inference import PredictOptions, predict, warn_left_out
from wetread.learn.run_folder import RunFolder, Weights, require_torch
from wetread.table.rows import IndexLike, IndexRows

if TYPE_CHECKING:
    from wetread.workers import Engine


class Run(RunFolder):
    """A trained model with its configuration and metrics: returned by `train`, or opened."""

    def predict(
        self,
        images: IndexLike | Cache,
        *,
        filter: Run | None = None,
        thresholds: tuple[float, float] | None = None,
        calibrated: bool = False,
        weights: Weights = "best",
        device: str | None = None,
        batch: int = 8,
        workers: int = 0,
        engine: Engine | None = None,
        progress: bool = True,
    ) -> Boxes:
        """Predict boxes in stored pixels, with scores, and the run's id and classes.

        An image without predicted boxes has a row "nothing". `part` is the part of each image in
        this run; `wetread.evaluate` refuses those of "train". A classifier's boxes are as large as
        the image; see `learn.prediction.list_boxes`.

        Args:
            images: an index, whose images are decoded temporarily, a cache, or a folder of
                one.
            filter: a classifier run, for the "normal" filter.
            thresholds: thresholds of the filter (default: `Run.thresholds`).
            calibrated: scale the scores with `Run.temperature`, which was fitted on the part
                "valid"; their order stays.
            weights: `"best"` or `"last"` epoch.
            device: "cpu", "cuda", ... (default: a GPU, if there is one; untested).
            batch: batch size.
            workers: number of DataLoader workers; 0 loads in this process.
            engine: execution engine; the workers of a `wetread.DaskEngine` must see the run folder
                and the cache. Each loads the model once, with as many threads as its environment
                sets.
            progress: show a progress bar.

        Raises:
            UsageError: no image, no such device, a filter that is not a classifier, an engine
                for a custom model, or calibration with a filter or without a temperature.
            MissingExtraError: PyTorch is not installed.
            WetreadError: the GPU has too little memory for the batch.

        Warns:
            UserWarning: images that cannot be decoded; they have no row.
        """
        require_torch()
        temperature = self._temperature(filter) if calibrated else None
        if filter is not None and thresholds is None:
            thresholds = self.thresholds(filter)[:2]
        runs = [self] if filter is None else [self, filter]
        options = PredictOptions(weights, device, batch, workers)
        predictions, left_out = predict(runs, _open_images(images), options, progress, engine)
        warn_left_out(left_out)
        if temperature is not None:
            scaled = scale_scores(predictions[0].table["score"].to_numpy(), temperature)
            return predictions[0].replace({"score": scaled})
        if filter is None or thresholds is None:
            return predictions[0]
        return filter_normal(predictions[0], predictions[1], *thresholds)

    def _temperature(self, filter: Run | None) -> float:
        """Temperature of the run, for predictions without a filter."""
        if filter is not None:
            raise UsageError("calibrated=True goes without a filter, which has scores of two runs")
        if self.temperature is None:
            raise UsageError(
                f'{self!r} has no temperature: on the part "{VALID}" it has no hits or no misses'
            )
        return self.temperature

    def thresholds(self, classifier: Run) -> Thresholds:
        """Choose the thresholds of the "normal" filter on images of the part "valid" in both runs.

        Raises:
            UsageError: `classifier` is a detector, or the runs have no such image in common.
        """
        if self.task != "detect" or classifier.task != "classify":
            raise UsageError("a filter needs a detector run and a classifier run")
        both = {*self.valid.table["image"].to_pylist()}
        both &= {*classifier.valid.table["image"].to_pylist()}
        trained = classifier.split.filter(pc.equal(classifier.split["part"], "train"))
        both -= {*trained["id"].to_pylist()}
        if not both:
            raise UsageError(
                f'the two runs have no image of the part "{VALID}" in common: train both on one '
                "cache"
            )
        common = pa.array(sorted(both))
        detected, classified, truth = (
            boxes.select(pc.is_in(boxes.table["image"], value_set=common))
            for boxes in (self.valid, classifier.valid, self.truth)
        )
        return choose_thresholds(detected, classified, truth)


def _open_images(images: IndexLike | Cache) -> IndexRows | Cache:
    """Open an index or a cache by its path; return either unchanged."""
    if isinstance(images, Cache):
        return images
    if isinstance(images, str | os.PathLike) and os.path.exists(os.path.join(images, CACHE_MARKER)):
        return Cache.open(images)
    return IndexRows.of(images)

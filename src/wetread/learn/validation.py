"""Validation: scores of each epoch on the part "valid", and the weights of the best one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from wetread.boxes.collection import Boxes
from wetread.common.text import counted
from wetread.evaluation import Result, calibrate, evaluate
from wetread.learn.checkpoint import save_tensors
from wetread.learn.detector import Detector
from wetread.learn.distributed import ProcessGroup
from wetread.learn.examples import VALID, TrainingData
from wetread.learn.loop import Epoch, Row, predict_items
from wetread.learn.prediction import list_boxes, to_boxes
from wetread.learn.run_folder import CALIBRATION, STAMP, RunFolder, write_table

METRICS = {"detect": "voc2010@0.4", "classify": "classification"}
"""Metric that selects the best epoch, by task."""
SCHEMA = pa.schema(
    [("step", pa.int64()), ("epoch", pa.int32()), ("name", pa.string()), ("value", pa.float64())]
)


class Validation:
    """Evaluate a model after each epoch, and save its weights and metrics."""

    def __init__(self, run: RunFolder, data: TrainingData, processes: ProcessGroup) -> None:
        self.run = run
        self.processes = processes
        self.truth = data.truth_of(VALID)
        has_valid = data.has(VALID)
        self.examples = data.examples(VALID, run.size, run.window) if has_valid else None
        self.metric = METRICS[run.task]
        groups = zip(
            *(self.truth.table[name].to_pylist() for name in ("image", "group")), strict=True
        )
        self.patients = any(image != group for image, group in groups)
        self.path = run.path / "metrics.parquet"

    def end_epoch(self, model: Detector, epoch: Epoch) -> str:
        """Append the epoch to metrics.parquet; save the last weights, and the best ones.

        Every process predicts its share; the main process writes, and gets a line to print.
        """
        boxes = self._predict(model)
        if not self.processes.is_main:
            return ""
        rows = [row for row in self._rows() if row[0] <= epoch.first] + epoch.rows
        before = [value for _, _, name, value in rows if name == self.metric]
        loss = [value for _, _, name, value in epoch.rows if name == "loss"]
        line = f"epoch {epoch.number + 1}, step {epoch.step}: loss {sum(loss) / len(loss):.3f}"
        value = None
        if boxes is not None:
            result = evaluate(boxes, self.truth, self.metric, resamples=0)
            value = result.value
            rows += _to_rows(result, epoch)
            line += f", {format_result(result, self.patients)}"
        metadata = {
            "step": epoch.step,
            "epoch": epoch.number,
            "metric": self.metric,
            "value": value,
            "run": self.run.id,
        }
        save_tensors(self.run.path / "last.safetensors", model.state_dict(), metadata)
        # Without any score the last epoch counts as the best.
        if (not before) if value is None else value > max(before, default=-1):
            save_tensors(self.run.path / "best.safetensors", model.state_dict(), metadata)
        columns = zip(*rows, strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
        write_table(self.path, pa.table(arrays, schema=SCHEMA))
        return line

    def finish(self) -> None:
        """Write the predictions of the best weights and their temperature.

        Only the main process calls it.
        """
        alone = ProcessGroup(0, 1, self.processes.device)
        boxes = self._predict(self.run.model("best").to(alone.device), alone)
        if boxes is not None:
            boxes.save(self.run.path / "valid.parquet")
            temperature = calibrate(boxes, self.truth, self.metric)
            fitted = {"temperature": temperature, "metric": self.metric}
            STAMP.write(self.run.path / CALIBRATION, fitted)

    def _predict(self, model: Detector, processes: ProcessGroup | None = None) -> Boxes | None:
        """Predictions on the part "valid"; None if it has no image."""
        if self.examples is None:
            return None
        dataset, precision = self.examples.dataset, self.run.config["precision"]
        predictions = predict_items(
            model, self.examples, range(len(dataset)), processes or self.processes, precision
        )
        parts: dict[str, Any] = dict.fromkeys(dataset.cache.rows["id"].to_pylist(), VALID)
        rows = list_boxes(predictions, dataset, self.run.classes, parts)
        return to_boxes(rows, self.run.classes, self.run.id)

    def _rows(self) -> list[Row]:
        if not self.path.is_file():
            return []
        import pyarrow.parquet as pq

        columns = pq.read_table(self.path).to_pydict()
        return list(zip(*(columns[name] for name in SCHEMA.names), strict=True))


def format_result(result: Result, patients: bool) -> str:
    """Score with the number of images and patients; `patients`: True if they are known."""
    value = "no score" if result.value is None else f"{result.value:.3f}"
    groups = f"of {result.patients:,} patients or groups" if patients else "of unknown patients"
    return f"{result.metric} {value} on {counted(result.images, 'image')} {groups}"


def _to_rows(result: Result, epoch: Epoch) -> list[Row]:
    """Score of each label, then their mean."""
    scores = result.per_label.iloc[:, 0].dropna()
    rows: list[Row] = [
        (epoch.step, epoch.number, f"{result.metric}/{label}", float(value))
        for label, value in scores.items()
    ]
    if result.value is not None:
        rows.append((epoch.step, epoch.number, result.metric, result.value))
    return rows

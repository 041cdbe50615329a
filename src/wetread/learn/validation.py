"""What an epoch came to: scores on the part "valid", and the weights that are kept for them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from wetread.boxes.collection import Boxes
from wetread.evaluation import Result, evaluate
from wetread.learn.checkpoint import save_tensors
from wetread.learn.detector import Detector
from wetread.learn.distributed import Team
from wetread.learn.examples import VALID, Material
from wetread.learn.loop import Epoch, Row, find
from wetread.learn.prediction import list_boxes, to_boxes
from wetread.learn.run import Run, write_table

METRICS = {"detect": "voc2010@0.4", "classify": "classification"}
"""What tells the best epoch."""
SCHEMA = pa.schema(
    [("step", pa.int64()), ("epoch", pa.int32()), ("name", pa.string()), ("value", pa.float64())]
)


class Scores:
    """Judges a model epoch by epoch and keeps what there is to keep of it."""

    def __init__(self, run: Run, material: Material, team: Team) -> None:
        self.run = run
        self.team = team
        self.cache = material.cache
        self.truth = material.truth_of(VALID)
        has = material.has(VALID)
        self.items = material.items(VALID, run.size, run.window) if has else None
        self.metric = METRICS[run.task]
        groups = zip(
            *(self.truth.table[name].to_pylist() for name in ("image", "group")), strict=True
        )
        self.patients = any(image != group for image, group in groups)
        self.path = run.path / "metrics.parquet"

    def judge(self, model: Detector, epoch: Epoch) -> str:
        """Adds the epoch to metrics.parquet and writes last.safetensors, and best if it is best.

        Every process computes its share; the first one writes, and gets a line to say.
        """
        boxes = self._predict(model)
        if not self.team.leads:
            return ""
        rows = [row for row in self._rows() if row[0] <= epoch.first] + epoch.rows
        loss = [value for _, _, name, value in epoch.rows if name == "loss"]
        said = [f"epoch {epoch.number + 1}, step {epoch.step}: loss {sum(loss) / len(loss):.3f}"]
        value = None
        if boxes is not None:
            result = evaluate(boxes, self.truth, self.metric, resamples=0)
            value = result.value
            rows += _to_rows(result, epoch)
            said.append(say_result(result, self.patients))
        before = [v for _, _, name, v in rows if name == self.metric][
            : None if value is None else -1
        ]
        weights = {"step": epoch.step, "epoch": epoch.number, "metric": self.metric, "value": value}
        weights |= {"run": self.run.id}
        save_tensors(self.run.path / "last.safetensors", model.state_dict(), weights)
        # Without a figure the last epoch is taken for the best.
        if (value is None and not before) or (
            value is not None and value > max(before, default=-1)
        ):
            save_tensors(self.run.path / "best.safetensors", model.state_dict(), weights)
        columns = zip(*rows, strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
        write_table(self.path, pa.table(arrays, schema=SCHEMA))
        return ", ".join(said)

    def finish(self) -> None:
        """Writes valid.parquet: what the best weights find. Only the first process does."""
        alone = Team(0, 1, self.team.device)
        boxes = self._predict(self.run.model("best").to(alone.device), alone)
        if boxes is not None:
            boxes.save(self.run.path / "valid.parquet")

    def _predict(self, model: Detector, team: Team | None = None) -> Boxes | None:
        """What the model finds on the part "valid"; None where that has no image."""
        if self.items is None:
            return None
        data, precision = self.items.data, self.run.config["precision"]
        found = find(model, self.items, range(len(data)), team or self.team, precision)
        parts: dict[str, Any] = dict.fromkeys(self.cache.rows["id"].to_pylist(), VALID)
        rows = list_boxes(found, data, self.cache, self.run.classes, parts)
        return to_boxes(rows, self.run.classes, self.run.id)

    def _rows(self) -> list[Row]:
        if not self.path.is_file():
            return []
        import pyarrow.parquet as pq

        columns = pq.read_table(self.path).to_pydict()
        return list(zip(*(columns[name] for name in SCHEMA.names), strict=True))


def say_result(result: Result, patients: bool) -> str:
    """The figure and what it rests on; `patients` is whether they are known."""
    value = "no truth" if result.value is None else f"{result.value:.3f}"
    whose = f"of {result.groups:,} patients or groups" if patients else "of unknown patients"
    return f"{result.metric} {value} on {result.images:,} images {whose}"


def _to_rows(result: Result, epoch: Epoch) -> list[Row]:
    """The figure of each label, then the mean over them, which is last."""
    figures = result.per_label.iloc[:, 0].dropna()
    rows: list[Row] = [
        (epoch.step, epoch.number, f"{result.metric}/{label}", float(value))
        for label, value in figures.items()
    ]
    if result.value is not None:
        rows.append((epoch.step, epoch.number, result.metric, result.value))
    return rows

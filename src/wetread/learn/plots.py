"""Plots of a run: learning curves, and ground truth and predictions on example images."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from wetread.boxes.collection import Boxes
from wetread.boxes.table import CORNERS
from wetread.display.plot import COLOURS
from wetread.learn.examples import VALID, TrainingData
from wetread.learn.run_folder import RunFolder, write_file
from wetread.learn.validation import METRICS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wetread.learn.dataset import CacheDataset

_MIN_SCORE = 0.3
"""Minimum score of a box that is drawn."""
_BACKGROUND = {"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 1.0}
"""Background of text on an image."""
_EXAMPLES = 6


def draw_run(run: RunFolder, data: TrainingData) -> None:
    """Write curves.csv, curves.png and examples.png."""
    table = tabulate(run.metrics)
    write_file(run.path / "curves.csv", table.to_csv().encode())
    _save(run, "curves.png", _draw_curves(run, table))
    _save(run, "examples.png", _draw_examples(run, data))


def tabulate(metrics: pd.DataFrame) -> pd.DataFrame:
    """One row per epoch: its last step, the mean of each loss, its scores."""
    wide = metrics.pivot_table(
        index="epoch", columns="name", values="value", aggfunc="mean", sort=False
    )
    wide.insert(0, "step", metrics.groupby("epoch")["step"].max())
    return wide.rename_axis(columns=None)


def _save(run: RunFolder, name: str, figure: Figure) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_file(run.path / name, buffer.getvalue())


def _draw_curves(run: RunFolder, table: pd.DataFrame) -> Figure:
    """Loss per step and per epoch, and score per epoch, mean and per label."""
    from matplotlib.figure import Figure

    metrics, metric = run.metrics, METRICS[run.task]
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    loss = metrics[metrics["name"] == "loss"]
    left.plot(loss["step"], loss["value"], color=COLOURS[1], lw=0.8, label="per step")
    left.plot(table["step"], table["loss"], "o-", color=COLOURS[6], label="mean per epoch")
    left.set(xlabel="step", ylabel="loss", title="Training", ylim=(0, None))
    for number, (_, label) in enumerate(run.classes):
        if (name := f"{metric}/{label}") in table:
            colour = COLOURS[number % len(COLOURS)]
            right.plot(table["step"], table[name], "--", color=colour, lw=1, label=label)
    if metric in table:
        right.plot(table["step"], table[metric], "ko-", lw=2, label="mean")
    count = run.config["images"][VALID]
    right.set(xlabel="step", ylabel=metric, ylim=(0, 1.02), title=f"{count:,} held-out images")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    return figure


def _draw_examples(run: RunFolder, data: TrainingData) -> Figure:
    """Held-out images with ground truth (solid) and predictions (dashed)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8.4), layout="constrained")
    if not data.has(VALID):
        figure.text(0.5, 0.5, f'no image is in the part "{VALID}"', ha="center")
        return figure
    dataset = data.examples(VALID, run.size, run.window).dataset
    truth, predictions = data.truth_of(VALID), run.valid
    positive = dataset.labels.any(axis=1)
    # One normal image, if there is one.
    order = [*np.flatnonzero(positive)[: _EXAMPLES - 1], *np.flatnonzero(~positive)][:_EXAMPLES]
    for axes, item in zip(figure.subplots(2, 3).flat, order, strict=False):
        row = data.cache.rows.slice(int(dataset.rows[item]), 1).to_pylist()[0]
        _draw_image(axes, dataset, int(item), row)
        true, predicted = (_rows_on(boxes, row) for boxes in (truth, predictions))
        if run.task == "classify":
            _list_classes(axes, run, true, predicted)
            continue
        _draw_rows(axes, run, true, "-")
        _draw_rows(axes, run, predicted, "--")
    for axes in figure.axes:
        axes.set_axis_off()
    legends = {
        "detect": f"ground truth solid, predictions dashed, scores of {_MIN_SCORE} and more",
        "classify": "probability of each class; a dot marks true classes",
    }
    figure.suptitle(f"Held-out images: {legends[run.task]}")
    return figure


def _draw_image(axes: Axes, dataset: CacheDataset, item: int, row: dict[str, Any]) -> None:
    """Draw the input of the model in coordinates of stored pixels."""
    image = dataset[item][0].numpy()[0]
    height, width = image.shape
    x0, y0, x1, y1 = dataset.to_stored(np.array([[0.0, 0.0, width, height]]), item)[0]
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(x0, x1, y1, y0))
    axes.set(xlim=(0, row["columns"]), ylim=(row["rows"], 0))


def _rows_on(boxes: Boxes, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Boxes on a frame of the cache."""
    rows = boxes.table.filter(pc.equal(boxes.table["image"], row["id"])).to_pylist()
    return [box for box in rows if box["frame"] in (None, row["frame"])]


def _list_classes(
    axes: Axes, run: RunFolder, true: list[dict[str, Any]], predicted: list[dict[str, Any]]
) -> None:
    """Write probabilities of the classes in a corner of the image."""
    present = {row["label"] for row in true}
    scores = {row["label"]: row["score"] for row in predicted}
    lines = [f"{scores[n]:.2f} {n} {'●' * (n in present)}" for _, n in run.classes if n in scores]
    lines.append(f"{scores.get(None, 0):.2f} nothing {'●' * (not present - {None})}")
    axes.text(
        *(0.02, 0.02, "\n".join(lines)),
        transform=axes.transAxes,
        fontsize=7,
        color="white",
        bbox=_BACKGROUND,
        parse_math=False,
    )


def _draw_rows(axes: Axes, run: RunFolder, rows: list[dict[str, Any]], style: str) -> None:
    from matplotlib.patches import Rectangle

    names = [name for _, name in run.classes]
    predicted = style == "--"
    for row in rows:
        if row["kind"] != "box" or (predicted and row["score"] < _MIN_SCORE):
            continue
        known = row["label"] in names
        colour = COLOURS[names.index(row["label"]) % len(COLOURS)] if known else "white"
        x0, y0, x1, y1 = (row[name] for name in CORNERS)
        axes.add_patch(
            Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, lw=1.8, ls=style)
        )
        text = f"{row['label']} {row['score']:.2f}" if predicted else row["label"]
        at, va = ((x0, y1), "top") if predicted else ((x0, y0), "bottom")
        axes.text(*at, text, color=colour, fontsize=7, va=va, bbox=_BACKGROUND, parse_math=False)
